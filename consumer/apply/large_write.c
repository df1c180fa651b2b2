/* Applies a large change set in parts of one transaction, or nothing of it. */
#include "consumer/apply/large_part.h"
#include "consumer/apply/judge.h"
#include "consumer/apply/parked.h"
#include "consumer/apply/sequence.h"
#include "consumer/apply/set.h"
#include "consumer/apply/write.h"

#include "common/failpoint.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFUSED_TEXT                                                                               \
    "a change set of %llu records is refused, and is too large to be parked (more than "           \
    "limits.changeset_events or _bytes): %.300s"

/** Undo what was written. @return the status as the caller's caller gets it. */
static enum status large_failed(struct applier *applier, const struct large_set *set,
                                enum status status, struct error *err)
{
    struct error why = *err;
    if (status != STATUS_REJECT && status != STATUS_STOP)
        return applier_recover(applier, status, err);
    applier->ops->rollback(applier->store);
    error_clear(err);
    (void)error_set(err, STATUS_STOP, REFUSED_TEXT,
                    (unsigned long long)(set->end - set->first_sequence + 1), why.text);
    err->reject = status == STATUS_REJECT ? why.reject : REJECT_HELD;
    return STATUS_STOP;
}

void applier_undo_large(struct applier *applier)
{
    applier->ops->rollback(applier->store);
}

static enum status large_begin(struct applier *applier, const struct large_set *set,
                               struct error *err)
{
    struct owned *owned = &applier->owned[set->index];
    arena_reset(&applier->arena);
    applier_begin_work(applier);
    owned->work.touched = true;
    struct fence fence = applier_fence(owned);
    fence.new_offset = set->next_offset;
    fence.anchor_offset = set->anchor_offset;
    fence.anchor_id = set->anchor_id;
    memset(applier->large_tally, 0, applier->mapping_count * sizeof *applier->large_tally);
    block_set_done(&applier->large_sparse);
    failpoint(FAILPOINT_AGENT_BEFORE_BEGIN);
    enum status status = applier->ops->begin(applier->store, &fence, 1, err);
    if (status == STATUS_OK)
        status = applier->ops->take_time(applier->store, err);
    if (status == STATUS_OK)
        failpoint(FAILPOINT_AGENT_AFTER_BEGIN);
    return status;
}

enum status applier_begin_large(struct applier *applier, const struct large_set *set,
                                struct error *err)
{
    bool is_unknown = applier->session.reload_needed;
    enum status status = applier_ready(applier, err);
    if (status == STATUS_OK && is_unknown)
        status = error_set_native(err, STATUS_ABORT, 1, "the position was read anew");
    if (status == STATUS_OK && set->may_move)
        status = applier_read_orders(applier, err);
    if (status != STATUS_OK)
        return status;
    status = large_begin(applier, set, err);
    return status == STATUS_OK ? status : applier_recover(applier, status, err);
}

/** Say which change of the set was refused. */
static void large_describe(const struct large_set *set, const struct change *fault,
                           struct error *why)
{
    const struct error refused = *why;
    applier_describe_fault(
        large_set_has(set, fault) ? (size_t)(fault->sequence - set->first_sequence)
                                  : SET_FAULT_UNKNOWN,
        (size_t)(set->end - set->first_sequence + 1), fault, refused.text, why->text);
}

/** List what is to be written of a part. @return OK; REJECT; FATAL. */
static enum status large_collect(struct applier *applier, struct batch *part,
                                 struct set_writes *ret_writes, struct error *err)
{
    *ret_writes = (struct set_writes){.is_part = true, .goes_on = true};
    ret_writes->writes = arena_alloc(&applier->arena,
                                     (part->count + 1) * sizeof *ret_writes->writes);
    if (ret_writes->writes == NULL)
        return applier_no_memory(err);
    for (size_t i = 0; i < part->count; i++) {
        if (part->events[i].outcome != EVENT_APPLY)
            continue;
        struct write write = applier_write_of(applier, part, i);
        if (write.mapping->published_here)
            return error_set(err, STATUS_REJECT,
                             "entity type '%s' is published here too, so changes of it cannot be "
                             "applied in parts",
                             write.mapping->schema->entity_type);
        ret_writes->writes[ret_writes->count++] = write;
    }
    return STATUS_OK;
}

/** Park a record that stands alone between the set's, and what is alone and behind it.
 * @return AGAIN: write the others; REJECT: a change of a set is behind it; FATAL. */
static enum status large_park_alone(struct applier *applier, const struct large_set *set,
                                    struct batch *part, const struct write *fault,
                                    struct error *err)
{
    const struct error why = *err;
    error_clear(err);
    applier->repeat.is_cut = false;
    fault->event->rejected = true;
    enum status status = applier_park_event(applier, fault->event, &why, err);
    for (size_t i = fault->order + 1; i < part->count && status == STATUS_OK; i++) {
        struct batch_event *event = &part->events[i];
        if (event->outcome == EVENT_APPLY && applier_is_blocked(applier, &event->change))
            status = applier_park_behind(applier, event, err);
    }
    if (status == STATUS_OK)
        status = large_check_part(part, err);
    if (status == STATUS_AGAIN)
        return large_stop_reason(applier, set, err);
    return status == STATUS_OK ? STATUS_AGAIN : status;
}

/** Write what was judged, but what stands alone and is refused. @return OK; REJECT; STOP; RETRY;
 * ABORT; FATAL. */
static enum status large_write(struct applier *applier, const struct large_set *set,
                               struct batch *part, struct error *err)
{
    struct set_writes writes = {.count = 0};
    enum status status = STATUS_AGAIN;
    while (status == STATUS_AGAIN) {
        status = large_collect(applier, part, &writes, err);
        if (status != STATUS_OK || writes.count == 0)
            break;
        status = applier_write_set(applier, &writes, err);
        bool is_refused = status == STATUS_REJECT || status == STATUS_STOP;
        if (!is_refused || writes.fault == SET_FAULT_UNKNOWN)
            break;
        const struct write *fault = &writes.writes[writes.fault];
        if (status == STATUS_REJECT && fault->image->changeset_end == 0)
            status = large_park_alone(applier, set, part, fault, err);
        else
            large_describe(set, fault->image, err);
    }
    for (size_t i = 0; status == STATUS_OK && i < writes.count; i++) {
        if (!writes.writes[i].is_absent)
            applier_tally_part(applier, writes.writes[i].image, applier->large_tally);
    }
    return status;
}

enum status applier_write_large(struct applier *applier, const struct large_set *set,
                                struct batch *part, struct error *err)
{
    arena_reset(&applier->arena);
    block_set_done(&applier->large_sparse); /* room was made */
    enum status status = large_judge_part(applier, set, part, err);
    if (status == STATUS_OK)
        status = large_write(applier, set, part, err);
    if (status == STATUS_OK)
        status = applier_write_parked(applier, part, err);
    if (status == STATUS_AGAIN)
        status = large_stop_reason(applier, set, err);
    if (status != STATUS_OK)
        return large_failed(applier, set, status, err);
    failpoint(FAILPOINT_AGENT_LARGE_WRITTEN);
    return STATUS_OK;
}

/** Delete the rows of neighbours of one table. What cannot be deleted stays. */
static enum status room_delete(struct applier *applier, const struct mapping *mapping,
                               const struct change **removals, size_t count, struct error *err)
{
    struct error why = ERROR_INIT;
    if (count == 0)
        return STATUS_OK;
    enum status status = applier->ops->savepoint(applier->store, false, err);
    if (status != STATUS_OK)
        return status;
    status = applier->ops->apply(applier->store, mapping, removals, count, &why);
    if (status == STATUS_REJECT || status == STATUS_STOP)
        return applier->ops->savepoint(applier->store, true, err);
    if (status != STATUS_OK)
        *err = why;
    return status;
}

/** A row that a sparse image changes first must be there: such an entity is remembered. So many of
 * them are as records of a set may be in memory; then no row is taken away any more.
 * @return OK with whether the row of a change may be taken away. */
static enum status room_may_take(struct applier *applier, const struct large_set *set,
                                 const struct batch_event *event, bool *ret_may, struct error *err)
{
    const struct change *change = &event->change;
    const struct mapping *mapping = applier_mapping(applier, change->entity_type);
    const size_t most = (size_t)applier->config->limits.changeset_events;
    *ret_may = false;
    if (event->decoded != STATUS_OK || change->kind != KIND_CHANGE || mapping == NULL ||
        change->schema == NULL || applier->large_sparse.entity_count >= most)
        return STATUS_OK;
    struct block_key key = block_key_of(change);
    if (applier_is_sparse(change))
        return block_set_has_entity(&applier->large_sparse, &key)
                   ? STATUS_OK
                   : block_set_add(&applier->large_sparse, &key, change->record.offset, err);
    *ret_may = !mapping->published_here && large_set_has(set, change) &&
               applier_may_move(applier, mapping, change) &&
               !block_set_has_entity(&applier->large_sparse, &key);
    return STATUS_OK;
}

static enum status large_make_room(struct applier *applier, const struct large_set *set,
                                   const struct batch *part, struct error *err)
{
    const struct mapping *last = NULL;
    size_t count = 0;
    enum status status = STATUS_OK;
    struct change *all = arena_alloc(&applier->arena, (part->count + 1) * sizeof *all);
    const struct change **removals = arena_alloc(&applier->arena,
                                                 (part->count + 1) * sizeof *removals);
    if (all == NULL || removals == NULL)
        return applier_no_memory(err);
    for (size_t i = 0; i < part->count && status == STATUS_OK; i++) {
        const struct change *change = &part->events[i].change;
        const struct mapping *mapping = applier_mapping(applier, change->entity_type);
        bool may_take = false;
        status = room_may_take(applier, set, &part->events[i], &may_take, err);
        if (status != STATUS_OK || !may_take)
            continue;
        if (mapping != last) {
            status = room_delete(applier, last, removals, count, err);
            count = 0;
            last = mapping;
        }
        all[i] = *change;
        all[i].op = CHANGE_DELETE;
        removals[count++] = &all[i];
    }
    return status == STATUS_OK ? room_delete(applier, last, removals, count, err) : status;
}

enum status applier_make_large_room(struct applier *applier, const struct large_set *set,
                                    const struct batch *part, struct error *err)
{
    arena_reset(&applier->arena);
    enum status status = large_make_room(applier, set, part, err);
    return status == STATUS_OK ? status : large_failed(applier, set, status, err);
}

/** The log may have lost records since the first reading, by retention or compaction.
 * @return OK; ABORT where the second reading has not met the set's end. */
static enum status large_check_end(const struct applier *applier, const struct large_set *set,
                                   struct error *err)
{
    const struct partition_work *work = &applier->owned[set->index].work;
    const struct sequence_state *state = sequence_find(work->sequences, work->sequence_count,
                                                       slice_of(set->sequences.source),
                                                       slice_of(set->sequences.incarnation));
    if (state != NULL && state->last == set->end && work->next_offset == set->next_offset)
        return STATUS_OK;
    return error_set_native(
        err, STATUS_ABORT, 1,
        "%s/%d: a change set was read to offset %lld, and again to %lld alone: the log has changed",
        set->topic, set->partition, (long long)set->next_offset, (long long)work->next_offset);
}

static enum status large_commit(struct applier *applier, const struct large_set *set,
                                struct error *err)
{
    const struct batch none = {.count = 0};
    enum status status = large_check_end(applier, set, err);
    if (status == STATUS_OK)
        status = applier->ops->defer(applier->store, false, err);
    failpoint(FAILPOINT_AGENT_AFTER_APPLY);
    if (status == STATUS_OK)
        status = applier_write_evidence(applier, &none, err);
    return status == STATUS_OK ? applier_commit(applier, false, err) : status;
}

enum status applier_end_large(struct applier *applier, const struct large_set *set,
                              struct error *err)
{
    const struct batch none = {.count = 0};
    struct owned *owned = &applier->owned[set->index];
    enum status status = large_commit(applier, set, err);
    if (status != STATUS_OK)
        return large_failed(applier, set, status, err);
    int64_t parked = owned->work.parked_count;
    (void)applier_tally_parts(applier, applier->large_tally);
    applier_tally_large(applier, set);
    if (parked > 0) {
        atomic_fetch_add(&applier->metrics->events_parked, (unsigned long long)parked);
        log_warning("agent",
                    "%s/%d offset %lld: %lld records between those of a large change set are "
                    "parked: see `keepstep parked list`",
                    set->topic, set->partition, (long long)set->first_offset, (long long)parked);
        owned->retry.unordered = true; /* their states are counted */
    }
    owned->work.anchor = NULL;
    status = applier_advance(applier, &none, err);
    owned->state.anchor_offset = set->anchor_offset;
    memcpy(owned->state.anchor_id, set->anchor_id, sizeof owned->state.anchor_id);
    for (size_t i = 0; i < applier->owned_count; i++) /* they may have waited for it */
        applier->owned[i].retry.is_cured = applier->owned[i].state.waiting_count > 0;
    return status;
}
