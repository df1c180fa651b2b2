/* The memory of owned partitions: from the beginning of a transaction to its commit. */
#include "consumer/apply/internal.h"
#include "consumer/apply/parked.h"

#include <stdlib.h>
#include <string.h>

struct fence applier_fence(const struct owned *owned)
{
    const struct partition_state *state = &owned->state;
    return (struct fence){.topic = state->topic,
                          .partition = state->partition,
                          .old_offset = state->next_offset,
                          .new_offset = state->next_offset,
                          .epoch = state->epoch,
                          .revision = state->revision,
                          .anchor_offset = -1,
                          .anchor_id = "",
                          .stopped = state->stopped[0] == '\0' ? NULL : state->stopped};
}

void applier_forget_owned(struct applier *applier)
{
    for (size_t i = 0; i < applier->owned_count; i++) {
        struct owned *owned = &applier->owned[i];
        struct topic_partition tp = partition_state_tp(&owned->state);
        atomic_store(&agent_metrics_partition(applier->metrics, tp)->owned, false);
        partition_state_done(&owned->state);
        block_set_done(&owned->work.blocked);
        queue_forget_scans(owned);
        free(owned->work.sequences);
    }
    free(applier->owned);
    applier->owned = NULL;
    applier->owned_count = 0;
    applier->session.undurable_since_us = 0;
    applier->session.reload_needed = false;
}

void applier_begin_work(struct applier *applier)
{
    for (size_t i = 0; i < applier->owned_count; i++) {
        struct owned *owned = &applier->owned[i];
        struct partition_work *work = &owned->work;
        size_t count = owned->state.sequence_count;
        block_set_done(&work->blocked);
        *work = (struct partition_work){.next_offset = owned->state.next_offset,
                                        .sequences = work->sequences,
                                        .sequence_size = work->sequence_size};
        if (work->sequence_size < count) {
            free(work->sequences);
            work->sequences = calloc(count, sizeof *work->sequences);
            work->sequence_size = work->sequences == NULL ? 0 : count;
        }
        work->sequence_count = work->sequence_size < count ? 0 : count;
        if (work->sequence_count > 0)
            memcpy(work->sequences, owned->state.sequences, count * sizeof *work->sequences);
    }
}

enum status applier_advance_blocked(struct owned *owned, struct error *err)
{
    struct error memory = ERROR_INIT;
    owned->state.parked_count += owned->work.parked_count;
    owned->state.parked_bytes += owned->work.parked_bytes;
    if (block_set_merge(&owned->state.blocked, &owned->work.blocked, &memory) != STATUS_OK)
        return applier_no_memory(
            err); /* it is committed, and without it later events would overtake */
    return STATUS_OK;
}

static void applier_advance_partition(struct applier *applier, struct owned *owned)
{
    struct partition_state *state = &owned->state;
    struct sequence_state *old = state->sequences;
    size_t old_count = state->sequence_count;
    state->sequences = owned->work.sequences;
    state->sequence_count = owned->work.sequence_count;
    owned->work.sequences = old;
    owned->work.sequence_size = old_count;
    state->next_offset = owned->work.next_offset;
    if (owned->work.anchor != NULL) {
        state->anchor_offset = owned->work.anchor->offset;
        memcpy(state->anchor_id, owned->work.anchor_id, sizeof state->anchor_id);
    }
    if (applier_is_stopping(owned))
        memcpy(state->stopped, owned->stop.reason, sizeof state->stopped);
    applier_publish_metrics(applier, owned);
}

enum status applier_advance(struct applier *applier, const struct batch *batch, struct error *err)
{
    bool cures = false;
    for (size_t i = 0; i < batch->count; i++) {
        const struct batch_event *event = &batch->events[i];
        struct owned *owned = &applier->owned[event->change.partition_index];
        cures = cures || event->outcome == EVENT_APPLY;
        if (event->outcome == EVENT_PARKED && !event->parked_held && !event->parked_behind)
            owned->state.waiting_count++;
        owned->state.held_count += event->outcome == EVENT_PARKED && event->parked_held;
    }
    enum status status = STATUS_OK;
    for (size_t i = 0; i < applier->owned_count; i++) {
        struct owned *owned = &applier->owned[i];
        if (owned->work.touched && status == STATUS_OK)
            status = applier_advance_blocked(owned, err);
        if (owned->work.touched)
            applier_advance_partition(applier, owned);
        if (cures)
            owned->retry.is_cured = owned->state.waiting_count > 0 || owned->retry.unordered;
    }
    return status;
}

void applier_publish_metrics(struct applier *applier, const struct owned *owned)
{
    struct agent_partition_metrics *row = agent_metrics_partition(
        applier->metrics, partition_state_tp(&owned->state));
    atomic_store(&row->owned, true);
    agent_metrics_set_stop(row, owned->state.stopped);
    atomic_store(&row->applied_offset, owned->state.next_offset);
    if (applier->session.undurable_since_us == 0)
        atomic_store(&row->durable_offset, owned->state.next_offset);
    atomic_store(&row->parked, owned->state.parked_count);
    if (owned->state.parked_count == 0)
        atomic_store(&row->parked_since_us, 0);
    atomic_store(&row->parked_waiting, owned->state.waiting_count);
    atomic_store(&row->parked_held, owned->state.held_count);
}
