/* The applier's transactions: one a batch, and small ones for a stop, a repair, or durability. */
#include "common/utf8.h"
#include "consumer/apply/internal.h"
#include "consumer/apply/judge.h"
#include "consumer/apply/pending.h"
#include "consumer/apply/write.h"

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/stages.h"

#include <stdio.h>
#include <string.h>

enum status applier_stop_at(struct applier *applier, const struct batch_event *event,
                            const char *reason)
{
    struct owned *owned = &applier->owned[event->change.partition_index];
    if (event->stop_offset >= owned->stop.offset)
        return STATUS_STOP;
    applier->repeat.is_cut = true;
    owned->stop.offset = event->stop_offset;
    utf8_format(owned->stop.reason, sizeof owned->stop.reason, "offset %lld: %.400s",
                (long long)event->change.record.offset, reason);
    return STATUS_AGAIN;
}

bool applier_is_stopping(const struct owned *owned)
{
    return owned->stop.offset != INT64_MAX && owned->state.stopped[0] == '\0';
}

/** Begin with a fence for each partition that this transaction moves or stops. They are in (topic,
 * partition) order because the owned partitions are. */
static enum status applier_begin(struct applier *applier, bool *ret_nothing, struct error *err)
{
    size_t count = 0;
    struct fence *fences = arena_alloc(&applier->arena,
                                       (applier->owned_count + 1) * sizeof *fences);
    if (fences == NULL)
        return applier_no_memory(err);
    for (size_t i = 0; i < applier->owned_count; i++) {
        struct owned *owned = &applier->owned[i];
        if (owned->stop.offset == INT64_MAX && owned->end_offset > owned->work.next_offset) {
            owned->work.next_offset = owned->end_offset;
            owned->work.touched = true;
        }
        owned->work.touched = owned->work.touched || applier_is_stopping(owned);
        if (!owned->work.touched)
            continue;
        struct fence fence = applier_fence(owned);
        fence.new_offset = owned->work.next_offset;
        if (owned->work.anchor != NULL) {
            applier_anchor(owned->work.anchor, owned->work.anchor_id);
            fence.anchor_offset = owned->work.anchor->offset;
            fence.anchor_id = owned->work.anchor_id;
        }
        fence.stopped = owned->stop.offset == INT64_MAX ? NULL : owned->stop.reason;
        fences[count++] = fence;
    }
    *ret_nothing = count == 0;
    if (count == 0)
        return STATUS_OK;
    failpoint(FAILPOINT_AGENT_BEFORE_BEGIN);
    return applier->ops->begin(applier->store, fences, count, err);
}

enum status applier_commit(struct applier *applier, bool durable, struct error *err)
{
    int64_t now = clock_monotonic_us();
    durable = durable || (applier->session.undurable_since_us != 0 &&
                          now - applier->session.undurable_since_us >= APPLIER_DURABLE_US);
    failpoint(FAILPOINT_AGENT_BEFORE_COMMIT);
    enum status status = applier->ops->commit(applier->store, durable, err);
    if (status != STATUS_OK) {
        applier->session.reload_needed = applier->session.reload_needed || status == STATUS_RETRY;
        return status;
    }
    failpoint(FAILPOINT_AGENT_AFTER_COMMIT);
    if (durable)
        applier->session.undurable_since_us = 0;
    else if (applier->session.undurable_since_us == 0)
        applier->session.undurable_since_us = now;
    atomic_fetch_add(&applier->metrics->commits, 1);
    atomic_fetch_add(&applier->metrics->commits_durable, durable ? 1 : 0);
    atomic_store(&applier->metrics->last_progress_us, clock_wall_us());
    return STATUS_OK;
}

static enum status applier_transaction(struct applier *applier, struct batch *batch,
                                       bool *ret_nothing, struct error *err)
{
    enum status status = applier_begin(applier, ret_nothing, err);
    if (status != STATUS_OK || *ret_nothing)
        return status;
    failpoint(FAILPOINT_AGENT_AFTER_BEGIN);
    status = applier_judge_keys(applier, batch, err);
    if (status == STATUS_OK)
        status = applier_read_pending(applier, batch, err);
    if (status == STATUS_OK)
        status = applier_judge_own(applier, batch, err);
    if (status == STATUS_OK)
        status = applier_write(applier, batch, err);
    failpoint(FAILPOINT_AGENT_AFTER_APPLY);
    if (status == STATUS_OK)
        status = applier_write_evidence(applier, batch, err);
    return status == STATUS_OK ? applier_commit(applier, false, err) : status;
}

static void applier_forget_keys(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        batch->events[i].key_seen = false;
}

enum status applier_apply(struct applier *applier, struct batch *batch, struct error *err)
{
    bool nothing = false;
    bool unknown = applier->session.reload_needed;
    enum status status = applier_ready(applier, err);
    if (status == STATUS_OK && unknown) /* the batch may not begin at the position any more */
        status = error_set_native(err, STATUS_ABORT, 1, "the position was read anew");
    if (status != STATUS_OK)
        return status;
    applier->repeat = (struct repeat){.is_cut = true};
    STAGE_TIME(begun_us);
    do {
        if (applier->repeat.is_cut)
            applier_forget_keys(batch); /* the first event under a key may be cut off */
        applier->repeat.is_cut = false;
        error_clear(err);
        arena_reset(&applier->arena);
        applier_begin_work(applier);
        status = applier_judge(applier, batch, err);
        if (status == STATUS_OK)
            status = applier_transaction(applier, batch, &nothing, err);
        if (status == STATUS_AGAIN)
            applier->ops->rollback(applier->store);
    } while (status == STATUS_AGAIN);
    if (status == STATUS_STOP) /* no event to blame, so no partition to stop */
        status = err->status = STATUS_FATAL;
    if (status != STATUS_OK)
        return applier_recover(applier, status, err);
    STAGE_TIME(applied_us);
    STAGE_STAMP_EACH(STAGE_BEGUN, batch->count, batch->events[each].change.id, begun_us);
    STAGE_STAMP_EACH(STAGE_APPLIED, batch->count, batch->events[each].change.id, applied_us);
    if (nothing)
        return STATUS_OK;
    applier_tally(applier, batch);
    if (batch->has_sets)
        applier_tally_sets(applier, batch);
    return applier_advance(applier, batch, err);
}

/** Record why a partition stands still, durably. @param reason  NULL: it goes on. */
static enum status applier_record_stop(struct applier *applier, struct owned *owned,
                                       const char *reason, struct error *err)
{
    enum status status = applier_ready(applier, err);
    if (status != STATUS_OK)
        return status;
    struct fence fence = applier_fence(owned);
    fence.stopped = reason;
    status = applier->ops->begin(applier->store, &fence, 1, err);
    if (status == STATUS_OK)
        status = applier_commit(applier, true, err);
    return status == STATUS_OK ? status : applier_recover(applier, status, err);
}

enum status applier_stop(struct applier *applier, size_t index, const char *reason,
                         struct error *err)
{
    struct owned *owned = &applier->owned[index];
    /* Set before it is recorded: where recording fails, the next transaction does it. */
    owned->stop.offset = owned->state.next_offset;
    utf8_format(owned->stop.reason, sizeof owned->stop.reason, "%s", reason);
    enum status status = applier_record_stop(applier, owned, owned->stop.reason, err);
    if (status != STATUS_OK)
        return status;
    memcpy(owned->state.stopped, owned->stop.reason, sizeof owned->state.stopped);
    failpoint(FAILPOINT_AGENT_STOP_RECORDED);
    applier_publish_metrics(applier, owned);
    return STATUS_OK;
}

enum status applier_go_on(struct applier *applier, size_t index, struct error *err)
{
    struct owned *owned = &applier->owned[index];
    enum status status = applier_record_stop(applier, owned, NULL, err);
    if (status != STATUS_OK)
        return status;
    owned->state.stopped[0] = '\0';
    owned->stop = (struct partition_stop){.offset = INT64_MAX};
    applier_publish_metrics(applier, owned);
    return STATUS_OK;
}

enum status applier_make_durable(struct applier *applier, bool now, struct error *err)
{
    int64_t since = applier->session.undurable_since_us;
    if (applier->session.is_lost || applier->session.reload_needed)
        return applier_ready(applier, err); /* reloading commits durably */
    if (since == 0 || applier->owned_count == 0 ||
        (!now && clock_monotonic_us() - since < APPLIER_DURABLE_US))
        return STATUS_OK;
    struct fence fence = applier_fence(&applier->owned[0]);
    enum status status = applier->ops->begin(applier->store, &fence, 1, err);
    if (status == STATUS_OK)
        status = applier_commit(applier, true, err);
    if (status != STATUS_OK)
        return applier_recover(applier, status, err);
    for (size_t i = 0; i < applier->owned_count; i++)
        applier_publish_metrics(applier, &applier->owned[i]);
    return STATUS_OK;
}

enum status applier_repair(struct applier *applier, struct owned *owned, applier_repair_work *work,
                           void *subject, struct error *err)
{
    struct fence fence = applier_fence(owned);
    applier_begin_work(applier);
    enum status status = applier->ops->begin(applier->store, &fence, 1, err);
    if (status == STATUS_OK)
        status = work(applier, owned, subject, err);
    if (status == STATUS_OK) {
        failpoint(FAILPOINT_AGENT_PARKED_BEFORE_COMMIT);
        status = applier_commit(applier, false, err);
    }
    if (status != STATUS_OK)
        return applier_recover(applier, status, err);
    failpoint(FAILPOINT_AGENT_PARKED_AFTER_COMMIT);
    return applier_advance_blocked(owned, err);
}
