/* Applies a large change set in parts of one transaction, or nothing of it. */
#include "consumer/apply/large.h"
#include "consumer/apply/judge.h"
#include "consumer/apply/sequence.h"
#include "consumer/apply/set.h"
#include "consumer/apply/write.h"

#include "common/failpoint.h"

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
    return error_set(err, STATUS_STOP, REFUSED_TEXT,
                     (unsigned long long)(set->end - set->first_sequence + 1), why.text);
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
    failpoint(FAILPOINT_AGENT_BEFORE_BEGIN);
    enum status status = applier->ops->begin(applier->store, &fence, 1, err);
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
    if (status != STATUS_OK)
        return status;
    status = large_begin(applier, set, err);
    return status == STATUS_OK ? status : applier_recover(applier, status, err);
}

static bool large_has(const struct large_set *set, const struct change *change)
{
    return change->sequence >= set->first_sequence && change->sequence <= set->end &&
           slice_is(change->incarnation, set->sequences.incarnation) &&
           slice_is(change->source, set->sequences.source);
}

/** @return OK; REJECT where an event would be parked: all of the set is refused for it. */
static enum status large_check_parked(const struct batch *part, struct error *err)
{
    for (size_t i = 0; i < part->count; i++) {
        const struct batch_event *event = &part->events[i];
        if (event->outcome == EVENT_PARKED)
            return error_set(
                err, STATUS_REJECT, "%.*s %.*s at offset %lld: %.*s",
                SLICE_ARGS(event->change.entity_type), SLICE_ARGS(event->change.entity_key),
                (long long)event->change.record.offset, SLICE_ARGS(event->parked_reason));
    }
    return STATUS_OK;
}

/** Judge a part. @return OK; REJECT; RETRY; ABORT; FATAL. */
static enum status large_judge(struct applier *applier, const struct large_set *set,
                               struct batch *part, struct error *err)
{
    struct owned *owned = &applier->owned[set->index];
    for (size_t i = 0; i < part->count; i++) {
        struct batch_event *event = &part->events[i];
        batch_event_alone(event, i);
        event->stop_offset = set->first_offset;
        event->fate = large_has(set, &event->change) ? set->fate : SET_WHOLE;
        event->key_seen = false;
    }
    enum status status = applier_judge_events(applier, part, err);
    if (status == STATUS_AGAIN) { /* the partition is to stop at one of its events */
        status = error_set(err, STATUS_REJECT, "%s", owned->stop.reason);
        owned->stop = (struct partition_stop){.offset = INT64_MAX};
    }
    if (status == STATUS_OK)
        status = large_check_parked(part, err);
    if (status == STATUS_OK)
        status = applier_judge_keys(applier, part, err);
    return status == STATUS_OK ? large_check_parked(part, err) : status;
}

/** Say which change of the set was refused. */
static void large_describe(const struct large_set *set, const struct set_writes *writes,
                           struct error *why)
{
    struct error told = *why;
    if (writes->fault == SET_FAULT_UNKNOWN)
        return;
    const struct change *fault = writes->writes[writes->fault].image;
    applier_describe_fault(
        large_has(set, fault) ? (size_t)(fault->sequence - set->first_sequence) : SET_FAULT_UNKNOWN,
        (size_t)(set->end - set->first_sequence + 1), fault, why->text, told.text);
    *why = told;
}

/** Write what was judged. @return OK; REJECT; RETRY; ABORT; FATAL. */
static enum status large_write(struct applier *applier, const struct large_set *set,
                               struct batch *part, struct error *err)
{
    struct set_writes writes = {.is_part = true, .goes_on = true};
    writes.writes = arena_alloc(&applier->arena, (part->count + 1) * sizeof *writes.writes);
    if (writes.writes == NULL)
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
        writes.writes[writes.count++] = write;
        applier_tally_part(applier, write.image, applier->large_tally);
    }
    if (writes.count == 0)
        return STATUS_OK;
    enum status status = applier_write_set(applier, &writes, err);
    if (status == STATUS_REJECT || status == STATUS_STOP)
        large_describe(set, &writes, err);
    return status;
}

enum status applier_write_large(struct applier *applier, const struct large_set *set,
                                struct batch *part, struct error *err)
{
    arena_reset(&applier->arena);
    enum status status = large_judge(applier, set, part, err);
    if (status == STATUS_OK)
        status = large_write(applier, set, part, err);
    if (status != STATUS_OK)
        return large_failed(applier, set, status, err);
    failpoint(FAILPOINT_AGENT_LARGE_WRITTEN);
    return STATUS_OK;
}

/** @return OK; FATAL where the second reading has not met the set's end. */
static enum status large_check_end(const struct applier *applier, const struct large_set *set,
                                   struct error *err)
{
    const struct partition_work *work = &applier->owned[set->index].work;
    const struct sequence_state *state = sequence_find(work->sequences, work->sequence_count,
                                                       slice_of(set->sequences.source),
                                                       slice_of(set->sequences.incarnation));
    if (state != NULL && state->last == set->end && work->next_offset == set->next_offset)
        return STATUS_OK;
    return error_set(
        err, STATUS_FATAL, "%s/%d: a change set was read to offset %lld and again to %lld: a bug",
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
    (void)applier_tally_parts(applier, applier->large_tally);
    applier_tally_large(applier, set);
    owned->work.anchor = NULL;
    status = applier_advance(applier, &none, err);
    owned->state.anchor_offset = set->anchor_offset;
    memcpy(owned->state.anchor_id, set->anchor_id, sizeof owned->state.anchor_id);
    for (size_t i = 0; i < applier->owned_count; i++) /* they may have waited for it */
        applier->owned[i].retry.is_cured = applier->owned[i].state.waiting_count > 0;
    return status;
}
