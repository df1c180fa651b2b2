/* The names of a fill's stages, and the fill of one topic. */
#include "common/utf8.h"
#include "consumer/store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FILL_REASON_SHOWN 300

static const char *const stage_names[] = {
    [FILL_NONE] = "",
    [FILL_ASKED] = "asked",
    [FILL_CLEARING] = "clearing",
    [FILL_LOADING] = "loading",
    [FILL_REPLAYING] = "replaying",
    [FILL_DONE] = "done",
    [FILL_CANCELLED] = "cancelled",
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

enum fill_place fill_describe(const struct fill_view *view, const char *topic, char *ret_text,
                              size_t size)
{
    const struct fill_state *fill = fill_find(view->fills, view->fill_count, topic);
    bool filling = fill != NULL && fill_holds_topic(fill->stage);
    for (size_t i = 0; i < view->state_count; i++)
        filling = filling || (strcmp(view->states[i].topic, topic) == 0 &&
                              partition_is_filling(&view->states[i]));
    ret_text[0] = '\0';
    if (fill != NULL && fill_is_given_up(fill)) {
        utf8_format(ret_text, size,
                    "its fill was given up: %.*s. Mend the cause, then `keepstep fill %.80s`",
                    FILL_REASON_SHOWN, fill->reason, topic);
        return FILL_GIVEN_UP;
    }
    if (filling)
        utf8_format(ret_text, size, "it is being filled from %s: %s, %" PRId64 " rows",
                    fill == NULL ? "?" : fill->source,
                    fill_stage_name(fill == NULL ? FILL_REPLAYING : fill->stage),
                    fill == NULL ? 0 : fill->rows);
    return filling ? FILL_UNDER_WAY : FILL_NOT_UNDER_WAY;
}

enum status store_fill_describe(struct store *store, const char *topic, char *ret_text, size_t size,
                                struct error *err)
{
    struct partition_state *states = NULL;
    struct fill_state *fills = NULL;
    struct fill_view view = {0};
    enum status status = store->ops->list(store, &states, &view.state_count, err);
    if (status == STATUS_OK)
        status = store->ops->list_fills(store, &fills, &view.fill_count, err);
    view.states = states;
    view.fills = fills;
    if (status == STATUS_OK)
        (void)fill_describe(&view, topic, ret_text, size);
    free(states);
    free(fills);
    return status;
}

enum status fill_lost(const struct fill_state *fill, struct error *err)
{
    return error_set_native(err, STATUS_ABORT, 1,
                            "%s: the fill %s does not stand where it was read: another attempt has "
                            "begun, or another process goes on with it",
                            fill->topic, fill->id);
}
