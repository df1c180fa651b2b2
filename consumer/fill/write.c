/* Writes rows and keys of a fill: what was pushed since the last transaction, in bulk, without the
 * rows that have own changes under way (rule 41). */
#include "consumer/fill/internal.h"

#include "common/clock.h"
#include "common/failpoint.h"

#include <stdlib.h>

static bool is_published(const struct fill_loader *loader, const struct change *change)
{
    return loader_mapping(loader, change->entity_type)->published_here;
}

static int find_compare(const void *key, const void *change)
{
    const struct change *wanted = key;
    const struct own_change *own = change;
    int order = slice_compare(wanted->entity_type, own->entity_type);
    return order != 0 ? order : slice_compare(wanted->entity_key, own->entity_key);
}

/* Leaves out what has an own change under way. @return OK with how many rows that are more. */
static enum status leave_out(struct fill_loader *loader, size_t *ret_more, struct error *err)
{
    struct batch *batch = &loader->written->batch;
    size_t count = 0;
    *ret_more = 0;
    if (loader->range_count == 0 || batch->count == 0)
        return STATUS_OK;
    struct own_change *entities = arena_alloc(&loader->arena, batch->count * sizeof *entities);
    if (entities == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the rows of a fill");
    for (size_t i = 0; i < batch->count; i++) {
        const struct change *change = &batch->events[i].change;
        if (is_published(loader, change))
            entities[count++] = (struct own_change){.entity_type = change->entity_type,
                                                    .entity_key = change->entity_key};
    }
    enum status status = loader_read_own(loader, entities, count, err);
    for (size_t i = 0; status == STATUS_OK && i < batch->count; i++) {
        struct batch_event *event = &batch->events[i];
        const struct own_change *own = bsearch(&event->change, entities, count, sizeof *entities,
                                               find_compare);
        if (own == NULL || own->sequence == 0 || event->outcome == EVENT_SUPERSEDED)
            continue;
        event->outcome = EVENT_SUPERSEDED;
        ++*ret_more;
    }
    return status;
}

/** How the rows of a transaction are written; each one where the database rejected the one before.
 * A table that was cleared has no row of the attempt, but the service may have made one meanwhile.
 */
enum way { WAY_INSERT, WAY_UPSERT, WAY_SINGLY };

/* Writes rows of one type that follow each other. */
static enum status write_run(struct fill_loader *loader, const struct change **changes,
                             size_t count, struct error *err)
{
    const struct mapping *mapping = loader_mapping(loader, changes[0]->entity_type);
    return loader->store->ops->apply(loader->store, mapping, changes, count, err);
}

static enum status write_bulk(struct fill_loader *loader, enum way way, struct error *err)
{
    struct batch *batch = &loader->written->batch;
    const struct change **run = arena_alloc(&loader->arena, (batch->count + 1) * sizeof *run);
    enum status status = STATUS_OK;
    size_t count = 0;
    if (run == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the rows of a fill");
    for (size_t i = 0; status == STATUS_OK && i < batch->count; i++) {
        struct batch_event *event = &batch->events[i];
        event->change.is_new = way == WAY_INSERT;
        if (event->outcome != EVENT_APPLY)
            continue;
        if (count > 0 && run[0]->schema != event->change.schema) {
            status = write_run(loader, run, count, err);
            count = 0;
        }
        run[count++] = &event->change;
    }
    return status == STATUS_OK && count > 0 ? write_run(loader, run, count, err) : status;
}

/* A row that the database rejects may stand against an own change: then it is left out. Any other
 * one ends the attempt, and would end each other one. */
static enum status write_rejected(struct fill_loader *loader, struct batch_event *event,
                                  struct error *reject, struct error *err)
{
    const struct change *change = &event->change;
    struct own_change own = {.entity_type = change->entity_type, .entity_key = change->entity_key};
    enum status status = loader->store->ops->savepoint(loader->store, true, err);
    if (status == STATUS_OK && is_published(loader, change))
        status = loader_read_own(loader, &own, 1, err);
    if (status != STATUS_OK)
        return status;
    if (own.sequence != 0) {
        event->outcome = EVENT_SUPERSEDED;
        return STATUS_OK;
    }
    error_prefix(reject, "%.*s %.*s%s", SLICE_ARGS(change->entity_type),
                 SLICE_ARGS(change->entity_key),
                 reject->reject == REJECT_WAITING
                     ? " (if it refers to a row of another topic, fill that topic first)"
                     : "");
    *err = *reject;
    return err->status = STATUS_STOP;
}

static enum status write_singly(struct fill_loader *loader, struct error *err)
{
    struct batch *batch = &loader->written->batch;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < batch->count; i++) {
        struct batch_event *event = &batch->events[i];
        const struct change *change = &event->change;
        struct error reject = ERROR_INIT;
        event->change.is_new = false;
        if (event->outcome != EVENT_APPLY)
            continue;
        status = loader->store->ops->savepoint(loader->store, false, err);
        if (status != STATUS_OK)
            break;
        enum status written = write_run(loader, &change, 1, &reject);
        if (written == STATUS_REJECT || written == STATUS_STOP) {
            status = write_rejected(loader, event, &reject, err);
        } else if (written != STATUS_OK) {
            *err = reject;
            status = written;
        }
    }
    return status;
}

/* A savepoint that nobody goes back to costs SQLite a copy of each page. */
static enum status write_begin(struct fill_loader *loader, enum way way, struct error *err)
{
    struct store *store = loader->store;
    enum status status = store->ops->begin(store, NULL, 0, err);
    if (status == STATUS_OK && way != WAY_SINGLY && store->ops->excludes_writers)
        status = store->ops->drop_savepoint(store, err);
    if (status == STATUS_OK)
        status = store->ops->fill(store, FILL_PROGRESS, &loader->written->fill, NULL, err);
    return status;
}

/* @return OK; AGAIN (an own change was committed meanwhile); REJECT (of a run); STOP (of a row). */
static enum status write_all(struct fill_loader *loader, enum way way, struct error *err)
{
    struct store *store = loader->store;
    size_t more = 0;
    enum status status = leave_out(loader, &more, err);
    if (status == STATUS_OK)
        status = way == WAY_SINGLY ? write_singly(loader, err) : write_bulk(loader, way, err);
    if (status == STATUS_OK && loader->written->key_count > 0)
        status = store->ops->claim_keys(store, loader->written->keys, loader->written->key_count,
                                        err);
    if (status != STATUS_OK || store->ops->excludes_writers)
        return status;
    status = leave_out(loader, &more, err);
    return status == STATUS_OK && more > 0 ? STATUS_AGAIN : status;
}

static enum status write_transaction(struct fill_loader *loader, enum way way, struct error *err)
{
    arena_reset(&loader->arena);
    enum status status = write_begin(loader, way, err);
    if (status == STATUS_OK)
        status = write_all(loader, way, err);
    if (status != STATUS_OK)
        return status;
    failpoint(FAILPOINT_FILL_BEFORE_ROWS);
    status = loader->store->ops->commit(loader->store, false, err);
    if (status == STATUS_OK)
        failpoint(FAILPOINT_FILL_AFTER_ROWS);
    return status;
}

enum status loader_write(struct fill_loader *loader, struct error *err)
{
    enum way way = WAY_INSERT;
    int rounds = 0;
    enum status status = loader_open(loader, err);
    int64_t begun_us = clock_monotonic_us();
    while (status == STATUS_OK) {
        status = write_transaction(loader, way, err);
        bool is_rejected = status == STATUS_REJECT || status == STATUS_STOP;
        bool again = status == STATUS_AGAIN || (is_rejected && way != WAY_SINGLY);
        way += is_rejected && way != WAY_SINGLY;
        if (!again)
            break;
        loader->store->ops->rollback(loader->store);
        error_clear(err);
        status = ++rounds < LOADER_ROUNDS_MAX
                     ? STATUS_OK
                     : error_set(err, STATUS_RETRY, "the service changes the rows all the time");
    }
    status = loader_undo(loader, status, err);
    if (status == STATUS_ABORT)
        status = loader_was_done(loader, FILL_LOADING, loader->written->fill.rows_offset, err);
    loader->written->took_us = clock_monotonic_us() - begun_us;
    if (status == STATUS_OK && loader->meta.incarnation[0] != '\0')
        clock_sleep_us(LOADER_FREE_US); /* the service's turn (rule 19) */
    return status;
}
