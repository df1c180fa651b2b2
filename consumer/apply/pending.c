/* Keeps events from being written over own changes that are not read back yet (rule 18). */
#include "consumer/apply/pending.h"
#include "consumer/apply/judge.h"
#include "consumer/apply/image.h"
#include "consumer/store/pending.h"

#include "common/log.h"

#include <stdlib.h>

/** @return what is to be read of an entity type's own changes in a partition: all that is not read
 * back as of the last commit. */
static struct pending_range applier_range(const struct applier *applier,
                                          const struct mapping *mapping, const struct owned *owned)
{
    const struct partition_state *state = &owned->state;
    return (struct pending_range){
        .schema = mapping->schema,
        .partition = state->partition,
        .above = applier_own_last(applier, state->sequences, state->sequence_count)};
}

/** Add the range of an event's entity type and partition, unless it is there. */
static void applier_add_range(const struct applier *applier, const struct mapping *mapping,
                              const struct batch_event *event, struct pending_range *ranges,
                              size_t *count)
{
    const struct owned *owned = &applier->owned[event->change.partition_index];
    for (size_t i = 0; i < *count; i++) {
        if (ranges[i].schema == mapping->schema && ranges[i].partition == owned->state.partition)
            return;
    }
    ranges[(*count)++] = applier_range(applier, mapping, owned);
}

/** Sort the entities and leave each once. @return how many are left. */
static size_t applier_distinct(struct own_change *entities, size_t count)
{
    size_t left = 0;
    if (count > 1)
        qsort(entities, count, sizeof *entities, own_change_compare);
    for (size_t i = 0; i < count; i++) {
        if (left == 0 || own_change_compare(&entities[left - 1], &entities[i]) != 0)
            entities[left++] = entities[i];
    }
    return left;
}

enum status applier_read_pending(struct applier *applier, const struct batch *batch,
                                 struct error *err)
{
    applier->pending = (struct pending_read){0};
    if (!applier->publishes || batch->count == 0)
        return STATUS_OK;
    size_t most = applier->mapping_count * (applier->owned_count + 1);
    struct pending_range *ranges = arena_alloc(
        &applier->arena, (most < batch->count ? most : batch->count) * sizeof *ranges);
    struct own_change *entities = arena_alloc(&applier->arena, batch->count * sizeof *entities);
    size_t range_count = 0;
    size_t entity_count = 0;
    if (ranges == NULL || entities == NULL)
        return applier_no_memory(err);
    for (size_t i = 0; i < batch->count; i++) {
        const struct batch_event *event = &batch->events[i];
        const struct mapping *mapping = applier_mapping(applier, event->change.entity_type);
        if (event->outcome == EVENT_COVERED || event->outcome == EVENT_DROPPED || mapping == NULL ||
            !mapping->published_here)
            continue;
        applier_add_range(applier, mapping, event, ranges, &range_count);
        entities[entity_count++] = (struct own_change){.entity_type = event->change.entity_type,
                                                       .entity_key = event->change.entity_key};
    }
    if (range_count == 0)
        return STATUS_OK;
    applier->pending = (struct pending_read){
        .ranges = ranges,
        .range_count = range_count,
        .entities = entities,
        .entity_count = applier_distinct(entities, entity_count)};
    return applier->ops->read_pending(applier->store, &applier->pending, err);
}

enum status applier_is_pending(struct applier *applier, const struct change *change,
                               uint64_t own_last, bool *ret_pending, struct error *err)
{
    struct own_change wanted = {.entity_type = change->entity_type,
                                .entity_key = change->entity_key};
    struct pending_read *pending = &applier->pending;
    *ret_pending = false;
    const struct mapping *mapping = applier_mapping(applier, change->entity_type);
    if (mapping == NULL || !mapping->published_here || pending->range_count == 0)
        return STATUS_OK;
    const struct own_change *own = pending->entity_count == 0
                                       ? NULL
                                       : bsearch(&wanted, pending->entities, pending->entity_count,
                                                 sizeof wanted, own_change_compare);
    if (own == NULL) {
        struct pending_read alone = {.ranges = pending->ranges,
                                     .range_count = pending->range_count,
                                     .entities = &wanted,
                                     .entity_count = 1};
        enum status status = applier->ops->read_pending(applier->store, &alone, err);
        if (status != STATUS_OK)
            return status;
        own = &wanted;
    }
    *ret_pending = own->sequence > own_last;
    return STATUS_OK;
}

/** An own change came back as void: write what it had superseded. */
static enum status applier_judge_void(struct applier *applier, struct batch *batch, size_t index,
                                      struct error *err)
{
    struct batch_event *event = &batch->events[index];
    const struct change *change = &event->change;
    bool pending = false;
    enum status status = applier_is_pending(applier, change, event->own_last, &pending, err);
    if (status != STATUS_OK || pending || applier_is_blocked(applier, change))
        return status;
    status = applier_image_before(applier, batch, index, &event->image, err);
    if (status != STATUS_OK)
        return status;
    if (event->image == NULL) {
        log_warning("agent",
                    "%.*s %.*s is diverged: the service's own change was published as void and no "
                    "earlier image is kept; write the entity again",
                    SLICE_ARGS(change->entity_type), SLICE_ARGS(change->entity_key));
        atomic_fetch_add(&applier->metrics->entities_diverged, 1);
        return STATUS_OK;
    }
    event->outcome = EVENT_APPLY;
    return STATUS_OK;
}

static void applier_supersede(struct batch_event *event)
{
    event->outcome = batch_event_is_void(event) ? EVENT_PASSED : EVENT_SUPERSEDED;
}

enum status applier_recheck_pending(struct applier *applier, struct batch *batch, bool *ret_pending,
                                    struct error *err)
{
    *ret_pending = false;
    if (applier->ops->excludes_writers || applier->pending.range_count == 0)
        return STATUS_OK;
    enum status status = applier_read_pending(applier, batch, err);
    for (size_t i = 0; i < batch->count && status == STATUS_OK; i++) {
        struct batch_event *event = &batch->events[i];
        bool pending = false;
        if (event->outcome == EVENT_APPLY || event->rejected)
            status = applier_is_pending(applier, &event->change, event->own_last, &pending, err);
        if (pending)
            applier_supersede(event);
        *ret_pending = *ret_pending || pending;
    }
    return status;
}

enum status applier_recheck_write(struct applier *applier, struct batch_event *event,
                                  struct error *err)
{
    bool pending = false;
    if (applier->ops->excludes_writers)
        return STATUS_OK;
    applier->pending.entity_count = 0; /* so that the database is asked about this entity now */
    enum status status = applier_is_pending(applier, &event->change, event->own_last, &pending,
                                            err);
    if (status != STATUS_OK || !pending)
        return status;
    applier_supersede(event);
    return applier->ops->savepoint(applier->store, true, err);
}

enum status applier_judge_own(struct applier *applier, struct batch *batch, struct error *err)
{
    if (applier->pending.range_count == 0)
        return STATUS_OK;
    for (size_t i = 0; i < batch->count; i++) {
        struct batch_event *event = &batch->events[i];
        enum status status = STATUS_OK;
        bool pending = false;
        if (event->outcome == EVENT_APPLY)
            status = applier_is_pending(applier, &event->change, event->own_last, &pending, err);
        else if (event->outcome == EVENT_PASSED && batch_event_is_void(event) &&
                 applier_is_own(applier, &event->change))
            status = applier_judge_void(applier, batch, i, err);
        if (status == STATUS_STOP)
            status = applier_stop_at(applier, event, err->text);
        if (status != STATUS_OK)
            return status;
        if (pending)
            event->outcome = EVENT_SUPERSEDED;
    }
    return STATUS_OK;
}

enum status applier_ask_pending_singly(struct applier *applier, const struct owned *owned,
                                       struct slice entity_type, struct error *err)
{
    const struct mapping *mapping = applier_mapping(applier, entity_type);
    applier->pending = (struct pending_read){0};
    if (mapping == NULL || !mapping->published_here)
        return STATUS_OK;
    struct pending_range *range = arena_alloc(&applier->arena, sizeof *range);
    if (range == NULL)
        return applier_no_memory(err);
    *range = applier_range(applier, mapping, owned);
    applier->pending = (struct pending_read){.ranges = range, .range_count = 1};
    return STATUS_OK;
}

enum status applier_is_pending_now(struct applier *applier, struct slice entity_type,
                                   struct slice entity_key, bool *ret_pending, struct error *err)
{
    const struct change entity = {.entity_type = entity_type, .entity_key = entity_key};
    *ret_pending = false;
    if (applier->pending.range_count == 0)
        return STATUS_OK;
    return applier_is_pending(applier, &entity, applier->pending.ranges[0].above, ret_pending, err);
}

enum status applier_attempt_write(struct applier *applier, const struct mapping *mapping,
                                  const struct change *change, bool *ret_superseded,
                                  struct error *err)
{
    const struct change *const changes[] = {change};
    struct error reject = ERROR_INIT;
    enum status status = applier->ops->apply(applier->store, mapping, changes, 1, &reject);
    if (status == STATUS_REJECT && !applier->ops->excludes_writers) {
        /* An own change may be the cause: an update finds no row that it has deleted. */
        enum status undone = applier->ops->savepoint(applier->store, true, err);
        if (undone != STATUS_OK)
            return undone;
    } else if (status != STATUS_OK || applier->ops->excludes_writers) {
        *err = reject;
        return status;
    }
    enum status checked = applier_is_pending_now(applier, change->entity_type, change->entity_key,
                                                 ret_superseded, err);
    if (checked != STATUS_OK)
        return checked;
    if (*ret_superseded)
        return applier->ops->savepoint(applier->store, true, err);
    if (status != STATUS_OK)
        *err = reject;
    return status;
}
