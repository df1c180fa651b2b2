/* Pauses and fills as the applier sees them: it reads them and the fills' stages, ends them, and
 * passes what a row that is gone by filled_to cannot take (rule 39). */
#include "consumer/apply/internal.h"

#include <stdlib.h>
#include <string.h>

enum status applier_list(struct applier *applier, struct partition_state **ret_states,
                         size_t *ret_count, struct error *err)
{
    enum status status = applier_ready(applier, err);
    if (status == STATUS_OK)
        status = applier->ops->list(applier->store, ret_states, ret_count, err);
    return applier_note(applier, status, err);
}

enum status applier_list_fills(struct applier *applier, struct fill_state **ret_fills,
                               size_t *ret_count, struct error *err)
{
    enum status status = applier_ready(applier, err);
    if (status == STATUS_OK)
        status = applier->ops->list_fills(applier->store, ret_fills, ret_count, err);
    return applier_note(applier, status, err);
}

enum status applier_list_paused(struct applier *applier, struct paused_types *ret_paused,
                                struct error *err)
{
    enum status status = applier_ready(applier, err);
    if (status == STATUS_OK)
        status = applier->ops->list_paused(applier->store, ret_paused, err);
    return applier_note(applier, status, err);
}

/** Look first, without a transaction, whether every partition has come to its filled_to. */
static enum status fill_is_reached(struct applier *applier, const char *topic, bool *ret_reached,
                                   struct error *err)
{
    struct partition_state *states = NULL;
    size_t count = 0;
    *ret_reached = true;
    enum status status = applier->ops->list(applier->store, &states, &count, err);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(states[i].topic, topic) == 0 && partition_is_filling(&states[i]))
            *ret_reached = false;
    }
    free(states);
    return STATUS_OK;
}

enum status applier_finish_fill(struct applier *applier, const struct fill_state *fill,
                                struct error *err)
{
    bool reached = false;
    enum status status = applier_ready(applier, err);
    if (status == STATUS_OK)
        status = fill_is_reached(applier, fill->topic, &reached, err);
    if (status != STATUS_OK || !reached)
        return applier_note(applier, status, err);
    status = applier->ops->begin(applier->store, NULL, 0, err);
    if (status == STATUS_OK)
        status = applier->ops->fill(applier->store, FILL_FINISH, fill, NULL, err);
    if (status == STATUS_OK)
        status = applier_commit(applier, false, err);
    return status == STATUS_OK ? status : applier_recover(applier, status, err);
}

bool applier_passes_absent(const struct owned *owned, int64_t offset, const struct error *why)
{
    return why->status == STATUS_REJECT && why->reject == REJECT_NO_ROW &&
           offset < owned->state.filled_to;
}
