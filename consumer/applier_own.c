/* Rule 18: an event is not written over an entity whose later own change is under way. */
#include "consumer/applier_internal.h"

#include "common/log.h"

#include <stdlib.h>

static int applier_compare_own(const void *a, const void *b)
{
    const struct own_change *left = a;
    const struct own_change *right = b;
    int order = slice_compare(left->entity_type, right->entity_type);
    return order != 0 ? order : slice_compare(left->entity_key, right->entity_key);
}

static bool applier_has_range(const struct applier *applier, const char *entity_type,
                              int32_t partition)
{
    for (size_t i = 0; i < applier->range_count; i++) {
        if (applier->ranges[i].entity_type == entity_type &&
            applier->ranges[i].partition == partition)
            return true;
    }
    return false;
}

/** The own range of every (entity type, partition) in the batch, as it was before the batch. */
static void applier_add_range(struct applier *applier, const struct batch_event *event)
{
    const struct mapping *mapping = applier_mapping(applier, event->change.entity_type);
    const struct owned *owned = &applier->owned[event->change.partition_index];
    if (mapping == NULL || !mapping->published_here ||
        applier_has_range(applier, mapping->schema->entity_type, owned->state.partition))
        return;
    struct owned before = {.sequences = owned->state.sequences,
                           .sequence_count = owned->state.sequence_count};
    applier->ranges[applier->range_count++] = (struct look_range){
        .entity_type = mapping->schema->entity_type,
        .partition = owned->state.partition,
        .above = applier_own_last(applier, &before)};
}

enum status applier_look(struct applier *applier, const struct batch *batch, struct error *err)
{
    applier->own_change_count = 0;
    applier->own_complete = true;
    applier->range_count = 0;
    if (!applier->publishes || batch->count == 0)
        return STATUS_OK;
    size_t most = applier->mapping_count * (applier->owned_count + 1);
    if (most > batch->count)
        most = batch->count;
    applier->ranges = arena_alloc(&applier->arena, most * sizeof *applier->ranges);
    if (applier->ranges == NULL)
        return applier_no_memory(err);
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->events[i].outcome != EVENT_COVERED && batch->events[i].outcome != EVENT_DROPPED)
            applier_add_range(applier, &batch->events[i]);
    }
    if (applier->range_count == 0)
        return STATUS_OK;
    enum status status = applier->ops->look(applier->store, applier->ranges, applier->range_count,
                                            NULL, APPLIER_LOOK_LIMIT, &applier->arena,
                                            &applier->own_changes, &applier->own_change_count,
                                            &applier->own_complete, err);
    if (status == STATUS_OK && applier->own_complete && applier->own_change_count > 1)
        qsort(applier->own_changes, applier->own_change_count, sizeof *applier->own_changes,
              applier_compare_own);
    return status;
}

static bool applier_any_above(const struct own_change *changes, size_t count,
                              const struct own_change *wanted, uint64_t own_last)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (applier_compare_own(&changes[middle], wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t i = low; i < count && applier_compare_own(&changes[i], wanted) == 0; i++) {
        if (changes[i].sequence > own_last)
            return true;
    }
    return false;
}

enum status applier_is_pending(struct applier *applier, const struct change *change,
                               uint64_t own_last, bool *ret_pending, struct error *err)
{
    struct own_change wanted = {.entity_type = change->entity_type,
                                .entity_key = change->entity_key};
    *ret_pending = false;
    const struct mapping *mapping = applier_mapping(applier, change->entity_type);
    if (mapping == NULL || !mapping->published_here || applier->range_count == 0)
        return STATUS_OK;
    if (applier->own_complete) {
        *ret_pending = applier_any_above(applier->own_changes, applier->own_change_count, &wanted,
                                         own_last);
        return STATUS_OK;
    }
    struct own_change *found = NULL;
    size_t count = 0;
    bool complete = true;
    enum status status = applier->ops->look(applier->store, applier->ranges, applier->range_count,
                                            &wanted, APPLIER_LOOK_LIMIT, &applier->arena, &found,
                                            &count, &complete, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        *ret_pending = *ret_pending || found[i].sequence > own_last;
    return status;
}

/** An image of the batch that was superseded is newer than the kept one. */
static const struct change *applier_superseded_before(const struct batch *batch, size_t end,
                                                      const struct change *change)
{
    for (size_t i = end; i > 0; i--) {
        const struct batch_event *event = &batch->events[i - 1];
        if (event->outcome == EVENT_SUPERSEDED &&
            slice_equal(event->change.entity_type, change->entity_type) &&
            slice_equal(event->change.entity_key, change->entity_key))
            return &event->change;
    }
    return NULL;
}

/** An own change came back as void: what it had superseded is written now. */
static enum status applier_judge_void(struct applier *applier, struct batch *batch, size_t index,
                                      struct error *err)
{
    struct batch_event *event = &batch->events[index];
    const struct change *change = &event->change;
    bool pending = false;
    enum status status = applier_is_pending(applier, change, event->own_last, &pending, err);
    if (status != STATUS_OK || pending || applier_is_blocked(applier, change))
        return status;
    event->image = applier_superseded_before(batch, index, change);
    if (event->image == NULL) {
        struct superseded_image wanted = {.entity_type = change->entity_type,
                                          .entity_key = change->entity_key};
        struct superseded_image kept = {0};
        status = applier->ops->superseded(applier->store, SUPERSEDED_READ, &wanted, &applier->arena,
                                          &kept, err);
        if (status != STATUS_OK)
            return status;
        if (kept.record.topic == NULL) {
            log_warning("agent",
                        "%.*s %.*s is diverged: the service's own change was published as void "
                        "and no earlier image is kept; write the entity again",
                        SLICE_ARGS(change->entity_type), SLICE_ARGS(change->entity_key));
            if (applier->metrics != NULL)
                atomic_fetch_add(&applier->metrics->entities_diverged, 1);
            return STATUS_OK;
        }
        struct change *decoded = NULL;
        status = applier_decode(applier, &kept.record, &decoded, err);
        if (status != STATUS_OK)
            return error_set(err, STATUS_STOP, "the kept image of an entity cannot be read");
        decoded->partition_index = change->partition_index;
        event->image = decoded;
    }
    event->outcome = EVENT_APPLY;
    return STATUS_OK;
}

enum status applier_look_again(struct applier *applier, const struct batch *batch,
                               bool *ret_pending, struct error *err)
{
    *ret_pending = false;
    if (applier->ops->excludes_writers || applier->range_count == 0)
        return STATUS_OK;
    enum status status = applier_look(applier, batch, err);
    for (size_t i = 0; i < batch->count && status == STATUS_OK && !*ret_pending; i++) {
        const struct batch_event *event = &batch->events[i];
        if (event->outcome == EVENT_APPLY)
            status = applier_is_pending(applier, &event->change, event->own_last, ret_pending, err);
    }
    return status;
}

enum status applier_look_behind(struct applier *applier, struct batch_event *event,
                                struct error *err)
{
    bool pending = false;
    if (applier->ops->excludes_writers)
        return STATUS_OK;
    applier->own_complete = false; /* asks for the one entity, in a statement of its own */
    enum status status = applier_is_pending(applier, &event->change, event->own_last, &pending,
                                            err);
    if (status != STATUS_OK || !pending)
        return status;
    event->outcome = event->change.kind == KIND_VOID ? EVENT_PASSED : EVENT_SUPERSEDED;
    return applier->ops->savepoint(applier->store, true, err);
}

enum status applier_judge_own(struct applier *applier, struct batch *batch, struct error *err)
{
    if (applier->range_count == 0)
        return STATUS_OK;
    for (size_t i = 0; i < batch->count; i++) {
        struct batch_event *event = &batch->events[i];
        enum status status = STATUS_OK;
        bool pending = false;
        if (event->outcome == EVENT_APPLY)
            status = applier_is_pending(applier, &event->change, event->own_last, &pending, err);
        else if (event->outcome == EVENT_PASSED && event->change.kind == KIND_VOID &&
                 applier_is_own(applier, &event->change))
            status = applier_judge_void(applier, batch, i, err);
        if (status == STATUS_STOP)
            applier_stop_at(applier, &event->change, err->text);
        if (status != STATUS_OK)
            return status;
        if (pending)
            event->outcome = EVENT_SUPERSEDED;
    }
    return STATUS_OK;
}
