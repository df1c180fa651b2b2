/* The transactions of a fill that write no rows: from one stage to the next. Each can be done again
 * where the outcome of its COMMIT is unknown. */
#include "common/utf8.h"
#include "consumer/fill/internal.h"

#include "common/clock.h"
#include "common/failpoint.h"
#include "consumer/store/topic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** A transaction that changes the fill itself. */
struct loader_edit {
    enum fill_edit edit;
    enum fill_stage stage; /* that it leads to */
    bool takes_fences;     /* of all positions of the topic, by epoch alone */
    bool has_partitions;
    bool is_durable;
    enum failpoint_point before; /* its commit */
    enum failpoint_point after;
};

static enum status edit_begin(struct fill_loader *loader, const struct loader_edit *edit,
                              struct error *err)
{
    struct partition_state *states = NULL;
    struct fence *fences = NULL;
    size_t count = 0;
    enum status status = STATUS_OK;
    if (edit->takes_fences)
        status = store_list_topic(loader->store, loader->options.topic, &states, &count, err);
    if (status == STATUS_OK)
        fences = calloc(count + 1, sizeof *fences);
    if (status == STATUS_OK && fences == NULL)
        status = error_set(err, STATUS_RETRY, "no memory for the partitions");
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        fences[i] = partition_fence(&states[i]);
    if (status == STATUS_OK)
        status = loader->store->ops->begin(loader->store, fences, count, err);
    if (status == STATUS_ABORT) /* somebody takes a partition at this moment */
        status = err->status = STATUS_RETRY;
    free(fences);
    free(states);
    return status;
}

static enum status edit_try(struct fill_loader *loader, const struct loader_edit *edit,
                            struct error *err)
{
    const struct fill_partitions partitions = {loader->partitions, loader->partition_count};
    enum status status = edit_begin(loader, edit, err);
    if (status == STATUS_OK)
        status = loader->store->ops->fill(loader->store, edit->edit, &loader->fill,
                                          edit->has_partitions ? &partitions : NULL, err);
    if (status != STATUS_OK)
        return status;
    failpoint(edit->before);
    status = loader->store->ops->commit(loader->store, edit->is_durable, err);
    if (status == STATUS_OK)
        failpoint(edit->after);
    return status;
}

enum status loader_was_done(struct fill_loader *loader, enum fill_stage stage, int64_t rows_offset,
                            struct error *err)
{
    struct fill_state stored = {0};
    struct error why = *err;
    error_clear(err);
    enum status status = store_fill_read(loader->store, loader->options.topic, &stored, err);
    if (status != STATUS_OK)
        return status;
    if (strcmp(stored.id, loader->fill.id) == 0 && stored.stage == stage &&
        (rows_offset < 0 || stored.rows_offset == rows_offset))
        return STATUS_OK;
    *err = why;
    return STATUS_ABORT;
}

static enum status loader_edit(struct fill_loader *loader, const struct loader_edit *edit,
                               struct error *err)
{
    enum status status = loader_open(loader, err);
    if (status == STATUS_OK)
        status = loader_undo(loader, edit_try(loader, edit, err), err);
    if (status == STATUS_ABORT)
        status = loader_was_done(loader, edit->stage, -1, err);
    if (status == STATUS_OK)
        loader->progress.stage = loader->fill.stage = edit->stage;
    return status;
}

/* @return OK with whether the copy has read something of the topic. */
static enum status ask_whether_read(struct fill_loader *loader, bool *ret_read, struct error *err)
{
    struct partition_state *states = NULL;
    size_t count = 0;
    enum status status = store_list_topic(loader->store, loader->options.topic, &states, &count,
                                          err);
    *ret_read = false;
    for (size_t i = 0; i < count; i++)
        *ret_read = *ret_read || partition_is_read(&states[i]);
    free(states);
    return status;
}

/* A copy that has read the log is somebody's, and so are rows that nobody has loaded. */
static enum status ask_refuse(struct fill_loader *loader, const struct fill_state *stored,
                              struct error *err)
{
    const char *topic = loader->options.topic;
    bool has_read = false;
    if (stored->stage == FILL_REPLAYING)
        return error_set(error_config(err), STATUS_FATAL,
                         "%s is filled already, with rows of %s, and `keepstep run` reads the log "
                         "from there on; `keepstep fill %s --again` clears it and fills it anew",
                         topic, stored->source, topic);
    enum status status = ask_whether_read(loader, &has_read, err);
    if (status == STATUS_OK && has_read)
        return error_set(error_config(err), STATUS_FATAL,
                         "there is a copy of %s already: `keepstep repair` mends rows of it in "
                         "place; `keepstep fill %s --again` clears it and fills it anew",
                         topic, topic);
    if (status == STATUS_OK)
        status = loader_make_ranges(loader, err);
    return status == STATUS_OK ? loader_refuse_rows(loader, err) : status;
}

enum status fill_loader_ask(struct fill_loader *loader, const struct fill_asked *asked,
                            struct error *err)
{
    const struct loader_edit edit = {.edit = FILL_ASK,
                                     .stage = FILL_ASKED,
                                     .is_durable = true,
                                     .before = FAILPOINT_FILL_BEFORE_ASK,
                                     .after = FAILPOINT_FILL_AFTER_ASK};
    struct fill_state stored = {0};
    loader_forget(loader);
    enum status status = fill_loader_read(loader, &stored, err);
    /* What was given up while nothing was cleared yet may have met rows that are somebody's. */
    bool is_refused = stored.given_up && stored.stage == FILL_ASKED;
    bool goes_on = status == STATUS_OK && fill_holds_topic(stored.stage) && !is_refused;
    bool counts_on = goes_on && !asked->again && !stored.given_up && stored.voids < FILL_VOIDS_MAX;
    if (status == STATUS_OK && !goes_on && !asked->again)
        status = loader_undo(loader, ask_refuse(loader, &stored, err), err);
    if (status != STATUS_OK)
        return status;
    struct fill_state *fill = &loader->fill;
    *fill = (struct fill_state){.stage = FILL_ASKED,
                                .rows_offset = asked->has_begun ? 1 : 0,
                                .voids = counts_on ? stored.voids : 0,
                                .asked_at_us = clock_wall_us()};
    (void)snprintf(fill->topic, sizeof fill->topic, "%s", loader->options.topic);
    (void)snprintf(fill->id, sizeof fill->id, "%s", asked->id);
    (void)snprintf(fill->source, sizeof fill->source, "%s", asked->source);
    return loader_edit(loader, &edit, err);
}

static enum status cancel_refuse(const struct fill_state *stored, const char *topic,
                                 struct error *err)
{
    if (!fill_holds_topic(stored->stage))
        return error_set(error_config(err), STATUS_FATAL,
                         "%s: nobody has asked for a fill that is not done yet; one that begins by "
                         "itself is kept from it by `fill: never` under apply:",
                         topic);
    return error_set(error_config(err), STATUS_FATAL,
                     "%s: the rows that the copy had are being replaced already (%s): only the end "
                     "of a fill makes it complete again; `keepstep fill %s --from SERVICE` takes "
                     "another service's rows",
                     topic, fill_stage_name(stored->stage), topic);
}

/* The agent may begin at this moment: then what is stored is another stage. */
enum status fill_loader_cancel(struct fill_loader *loader, struct error *err)
{
    static const struct loader_edit edit = {.edit = FILL_CANCEL,
                                            .stage = FILL_CANCELLED,
                                            .is_durable = true,
                                            .before = FAILPOINT_FILL_BEFORE_CANCEL,
                                            .after = FAILPOINT_FILL_AFTER_CANCEL};
    enum status status;
    do {
        error_clear(err);
        loader_forget(loader);
        status = fill_loader_read(loader, &loader->fill, err);
        if (status == STATUS_OK && loader->fill.stage != FILL_ASKED)
            return cancel_refuse(&loader->fill, loader->options.topic, err);
        if (status == STATUS_OK)
            status = loader_edit(loader, &edit, err);
    } while (status == STATUS_ABORT);
    return status;
}

static enum status step_mark(struct fill_loader *loader, struct error *err)
{
    static const struct loader_edit edit = {.edit = FILL_CLEAR,
                                            .stage = FILL_CLEARING,
                                            .takes_fences = true,
                                            .before = FAILPOINT_FILL_BEFORE_MARK,
                                            .after = FAILPOINT_FILL_AFTER_MARK};
    enum status status = loader_edit(loader, &edit, err);
    if (status == STATUS_OK)
        loader->next = LOADER_CLEAR;
    return status;
}

static enum status step_clear(struct fill_loader *loader, struct error *err)
{
    bool is_done = false;
    enum status status = loader_open(loader, err);
    if (status == STATUS_OK)
        status = loader_undo(loader, loader_clear(loader, &is_done, err), err);
    if (status == STATUS_OK && is_done)
        loader->next = LOADER_INSTALL;
    return status;
}

static enum status step_install(struct fill_loader *loader, struct error *err)
{
    static const struct loader_edit edit = {.edit = FILL_INSTALL,
                                            .stage = FILL_LOADING,
                                            .takes_fences = true,
                                            .has_partitions = true,
                                            .before = FAILPOINT_FILL_BEFORE_INSTALL,
                                            .after = FAILPOINT_FILL_AFTER_INSTALL};
    enum status status = loader_edit(loader, &edit, err);
    if (status == STATUS_OK)
        loader->next = LOADER_LOAD;
    return status;
}

static enum status step_end(struct fill_loader *loader, struct error *err)
{
    static const struct loader_edit edit = {.edit = FILL_END,
                                            .stage = FILL_REPLAYING,
                                            .takes_fences = true,
                                            .has_partitions = true,
                                            .is_durable = true,
                                            .before = FAILPOINT_FILL_BEFORE_END,
                                            .after = FAILPOINT_FILL_AFTER_END};
    enum status status = loader_edit(loader, &edit, err);
    if (status == STATUS_OK)
        loader->next = LOADER_FINISHED;
    return status;
}

static enum status step_load(struct fill_loader *loader, struct error *err)
{
    bool is_under_way = false;
    enum status status = loader_hand_over(loader, &is_under_way, err);
    return status == STATUS_OK && !is_under_way && loader->has_end ? step_end(loader, err) : status;
}

enum status fill_loader_step(struct fill_loader *loader, struct error *err)
{
    switch (loader->next) {
    case LOADER_MARK:
        return step_mark(loader, err);
    case LOADER_CLEAR:
        return step_clear(loader, err);
    case LOADER_INSTALL:
        return step_install(loader, err);
    case LOADER_LOAD:
        return step_load(loader, err);
    case LOADER_NOTHING:
    case LOADER_FINISHED:
        break;
    }
    return STATUS_OK;
}

static enum status loader_note(struct fill_loader *loader, const struct fill_state *fill,
                               struct error *err)
{
    loader_settle(loader);
    enum status status = loader_open(loader, err);
    if (status == STATUS_OK)
        status = loader->store->ops->begin(loader->store, NULL, 0, err);
    if (status == STATUS_OK)
        status = loader->store->ops->fill(loader->store, FILL_NOTE, fill, NULL, err);
    if (status == STATUS_OK)
        status = loader->store->ops->commit(loader->store, true, err);
    return loader_undo(loader, status, err);
}

enum status fill_loader_note(struct fill_loader *loader, const char *reason, struct error *err)
{
    struct fill_state fill = {0};
    enum status status = fill_loader_read(loader, &fill, err);
    fill.given_up = false;
    utf8_format(fill.reason, sizeof fill.reason, "%s", reason);
    return status == STATUS_OK ? loader_note(loader, &fill, err) : status;
}

enum status fill_loader_give_up(struct fill_loader *loader, const char *id, const char *known_id,
                                const char *reason, struct error *err)
{
    static const struct loader_edit edit = {.edit = FILL_ASK,
                                            .stage = FILL_ASKED,
                                            .is_durable = true,
                                            .before = FAILPOINT_FILL_BEFORE_ASK,
                                            .after = FAILPOINT_FILL_AFTER_ASK};
    struct fill_state fill = {0};
    enum status status = fill_loader_read(loader, &fill, err);
    if (status != STATUS_OK)
        return status;
    if (known_id != NULL && fill_holds_topic(fill.stage) && strcmp(fill.id, known_id) != 0 &&
        strcmp(fill.id, id) != 0)
        return fill_lost(&fill, err);
    fill.given_up = true;
    fill.voids = fill.voids == 0 ? 1 : fill.voids;
    utf8_format(fill.reason, sizeof fill.reason, "%s", reason);
    if (fill_holds_topic(fill.stage))
        return loader_note(loader, &fill, err);
    if (fill.stage != FILL_NONE)
        return fill_lost(&fill, err);
    loader_forget(loader);
    fill.stage = FILL_ASKED;
    fill.asked_at_us = clock_wall_us();
    (void)snprintf(fill.topic, sizeof fill.topic, "%s", loader->options.topic);
    (void)snprintf(fill.id, sizeof fill.id, "%s", id);
    loader->fill = fill;
    return loader_edit(loader, &edit, err);
}

enum status fill_loader_void(struct fill_loader *loader, const char *reason, int64_t *ret_voids,
                             struct error *err)
{
    struct fill_state fill = loader->fill;
    fill.voids++;
    utf8_format(fill.reason, sizeof fill.reason, "%s", reason);
    enum status status = loader_note(loader, &fill, err);
    if (status == STATUS_OK) {
        loader_forget(loader);
        loader->fill = fill;
        *ret_voids = fill.voids;
    }
    return status;
}
