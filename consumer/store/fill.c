/* The names of a fill's stages, and the fill of one topic. */
#include "consumer/store/store.h"

#include <stdlib.h>

static const char *const stage_names[] = {
    [FILL_NONE] = "",           [FILL_ASKED] = "asked",         [FILL_CLEARING] = "clearing",
    [FILL_LOADING] = "loading", [FILL_REPLAYING] = "replaying", [FILL_DONE] = "done",
};

const char *fill_stage_name(enum fill_stage stage)
{
    return stage_names[stage];
}

enum fill_stage fill_stage_of(const char *name)
{
    for (size_t i = 0; i < sizeof stage_names / sizeof stage_names[0]; i++) {
        if (strcmp(name, stage_names[i]) == 0)
            return (enum fill_stage)i;
    }
    return FILL_NONE;
}

const struct fill_state *fill_find(const struct fill_state *fills, size_t count, const char *topic)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(fills[i].topic, topic) == 0)
            return &fills[i];
    }
    return NULL;
}

enum status store_fill_read(struct store *store, const char *topic, struct fill_state *ret_fill,
                            struct error *err)
{
    struct fill_state *fills = NULL;
    size_t count = 0;
    *ret_fill = (struct fill_state){.stage = FILL_NONE};
    enum status status = store->ops->list_fills(store, &fills, &count, err);
    if (status != STATUS_OK)
        return status;
    const struct fill_state *found = fill_find(fills, count, topic);
    if (found != NULL)
        *ret_fill = *found;
    free(fills);
    return STATUS_OK;
}

enum status fill_lost(const struct fill_state *fill, struct error *err)
{
    return error_set_native(err, STATUS_ABORT, 1,
                            "%s: the fill %s does not stand where it was read: another attempt has "
                            "begun, or another process goes on with it",
                            fill->topic, fill->id);
}
