/* The memory of owned partitions: what a transaction makes of them, and what it leaves. */
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
        struct agent_partition_metrics *row = NULL;
        if (applier->metrics != NULL)
            row = agent_metrics_partition(applier->metrics, partition_state_tp(&owned->state));
        if (row != NULL)
            atomic_store(&row->owned, false);
        partition_state_done(&owned->state);
        block_set_done(&owned->blocking);
        applier_forget_scans(owned);
        free(owned->sequences);
    }
    free(applier->owned);
    applier->owned = NULL;
    applier->owned_count = 0;
    applier->undurable_since_us = 0;
    applier->reload_needed = false;
}

void applier_begin_work(struct applier *applier)
{
    applier->healed = (struct healed){0};
    for (size_t i = 0; i < applier->owned_count; i++) {
        struct owned *owned = &applier->owned[i];
        size_t count = owned->state.sequence_count;
        owned->touched = false;
        owned->parked = 0;
        owned->parked_bytes = 0;
        owned->blocked = 0;
        block_set_done(&owned->blocking);
        owned->next_offset = owned->state.next_offset;
        owned->anchor = NULL;
        if (owned->sequence_size < count) {
            free(owned->sequences);
            owned->sequences = calloc(count, sizeof *owned->sequences);
            owned->sequence_size = owned->sequences == NULL ? 0 : count;
        }
        owned->sequence_count = owned->sequence_size < count ? 0 : count;
        if (owned->sequence_count > 0)
            memcpy(owned->sequences, owned->state.sequences, count * sizeof *owned->sequences);
    }
}

enum status applier_advance_blocked(struct owned *owned, struct error *err)
{
    struct error memory = ERROR_INIT;
    owned->state.parked_count += owned->parked;
    owned->state.parked_bytes += owned->parked_bytes;
    if (block_set_merge(&owned->state.blocked, &owned->blocking, &memory) != STATUS_OK)
        return applier_no_memory(err); /* it is committed: not to know of it would lose the order */
    return STATUS_OK;
}

static void applier_advance_partition(struct applier *applier, struct owned *owned)
{
    struct partition_state *state = &owned->state;
    struct sequence_state *old = state->sequences;
    size_t old_count = state->sequence_count;
    state->sequences = owned->sequences;
    state->sequence_count = owned->sequence_count;
    owned->sequences = old;
    owned->sequence_size = old_count;
    state->next_offset = owned->next_offset;
    if (owned->anchor != NULL) {
        state->anchor_offset = owned->anchor->offset;
        memcpy(state->anchor_id, owned->anchor_id, sizeof state->anchor_id);
    }
    if (applier_is_stopping(owned))
        memcpy(state->stopped, owned->stop_reason, sizeof state->stopped);
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
    }
    enum status status = STATUS_OK;
    for (size_t i = 0; i < applier->owned_count; i++) {
        struct owned *owned = &applier->owned[i];
        if (owned->touched && status == STATUS_OK)
            status = applier_advance_blocked(owned, err);
        if (owned->touched)
            applier_advance_partition(applier, owned);
        if (cures)
            owned->cure = owned->state.waiting_count > 0 || owned->unordered;
    }
    return status;
}

void applier_publish_metrics(struct applier *applier, const struct owned *owned)
{
    struct agent_partition_metrics *row = NULL;
    if (applier->metrics != NULL)
        row = agent_metrics_partition(applier->metrics, partition_state_tp(&owned->state));
    if (row == NULL)
        return;
    atomic_store(&row->owned, true);
    atomic_store(&row->stopped, owned->state.stopped[0] != '\0');
    atomic_store(&row->applied_offset, owned->state.next_offset);
    if (applier->undurable_since_us == 0)
        atomic_store(&row->durable_offset, owned->state.next_offset);
    atomic_store(&row->parked, owned->state.parked_count);
}
