/* Judges a part of a large change set: the set is whole or refused, and what stands alone between
 * its records is parked as ever. */
#include "consumer/apply/large_part.h"
#include "consumer/apply/judge.h"

#include <string.h>

/** A partition's work before a part was judged, which may have to be judged again. */
struct work_before {
    struct partition_work work; /* its lists are the ones below */
    struct sequence_state *sequences;
    struct block_set blocked;
};

static enum status before_keep(struct applier *applier, const struct owned *owned,
                               struct work_before *before, struct error *err)
{
    const struct partition_work *work = &owned->work;
    size_t bytes = work->sequence_count * sizeof *before->sequences;
    *before = (struct work_before){.work = *work};
    before->sequences = arena_alloc(&applier->arena, bytes + 1);
    if (before->sequences == NULL)
        return applier_no_memory(err);
    if (bytes > 0)
        memcpy(before->sequences, work->sequences, bytes);
    return block_set_merge(&before->blocked, &work->blocked, err);
}

static void before_restore(struct owned *owned, struct work_before *before)
{
    struct partition_work *work = &owned->work;
    struct sequence_state *sequences = work->sequences; /* it has grown at most */
    size_t size = work->sequence_size;
    block_set_done(&work->blocked);
    *work = before->work;
    work->sequences = sequences;
    work->sequence_size = size;
    if (work->sequence_count > 0)
        memcpy(sequences, before->sequences, work->sequence_count * sizeof *sequences);
    work->blocked = before->blocked;
    before->blocked = (struct block_set){0};
}

enum status large_check_part(const struct batch *part, struct error *err)
{
    for (size_t i = 0; i < part->count; i++) {
        const struct batch_event *event = &part->events[i];
        const struct change *change = &event->change;
        if (event->outcome != EVENT_PARKED || change->changeset_end == 0)
            continue;
        (void)error_set(err, STATUS_REJECT, "%.*s %.*s at offset %lld: %.*s",
                        SLICE_ARGS(change->entity_type), SLICE_ARGS(change->entity_key),
                        (long long)change->record.offset, SLICE_ARGS(event->parked_reason));
        err->reject = event->parked_held ? REJECT_HELD : REJECT_WAITING;
        return STATUS_REJECT;
    }
    return STATUS_OK;
}

/** @return whether judging a part may ask the database, so that it may have to be done again. */
static bool part_has_keys(const struct batch *part)
{
    size_t i = 0;
    while (i < part->count && part->events[i].change.sequence != 0)
        i++;
    return i < part->count;
}

static enum status judge_once(struct applier *applier, const struct large_set *set,
                              struct batch *part, struct error *err)
{
    for (size_t i = 0; i < part->count; i++) {
        struct batch_event *event = &part->events[i];
        batch_event_alone(event, i);
        event->stop_offset = set->first_offset;
        event->fate = large_set_fate(set, &event->change);
    }
    enum status status = applier_judge_events(applier, part, err);
    if (status == STATUS_OK)
        status = large_check_part(part, err);
    if (status == STATUS_OK)
        status = applier_judge_keys(applier, part, err);
    return status == STATUS_OK ? large_check_part(part, err) : status;
}

enum status large_stop_reason(struct applier *applier, const struct large_set *set,
                              struct error *err)
{
    struct owned *owned = &applier->owned[set->index];
    error_clear(err);
    enum status status = error_set(err, STATUS_REJECT, "%s", owned->stop.reason);
    owned->stop = (struct partition_stop){.offset = INT64_MAX};
    return status;
}

enum status large_judge_part(struct applier *applier, const struct large_set *set,
                             struct batch *part, struct error *err)
{
    struct owned *owned = &applier->owned[set->index];
    struct work_before before = {.sequences = NULL};
    bool has_keys = part_has_keys(part);
    enum status status = before_keep(applier, owned, &before, err);
    applier->repeat = (struct repeat){.is_cut = false};
    if (status == STATUS_OK && has_keys) /* the claims are taken back to it */
        status = applier->ops->savepoint(applier->store, false, err);
    if (status == STATUS_OK)
        status = judge_once(applier, set, part, err);
    while (status == STATUS_AGAIN && !applier->repeat.is_cut) { /* what is parked was a duplicate */
        before_restore(owned, &before);
        status = before_keep(applier, owned, &before, err);
        if (status == STATUS_OK)
            status = applier->ops->savepoint(applier->store, true, err);
        if (status == STATUS_OK)
            status = judge_once(applier, set, part, err);
    }
    block_set_done(&before.blocked);
    return status == STATUS_AGAIN ? large_stop_reason(applier, set, err) : status;
}
