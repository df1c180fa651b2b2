/* Decides when waiting records are tried again. A pass goes through all of a partition that are
 * due; it is cut into calls that last no longer than one transaction may. */
#include "consumer/apply/parked.h"

#include "common/clock.h"
#include "common/log.h"

#define PARKED_HEAD_MAX  100
#define PARKED_PAUSE_US  200000
#define PARKED_ALONE_US  50000 /* how long a transaction may last without a service beside it */
#define PARKED_HEADS_MAX ((size_t)256 << 20)

int64_t applier_time_us(const struct applier *applier)
{
    int64_t time_ms = applier->config->limits.batch_time_ms;
    return applier->config->publish_count > 0 && time_ms > 0 ? 1000 * time_ms : PARKED_ALONE_US;
}

/** Go on with a pass until the time is over or it ends. */
static enum status applier_retry_heads(struct applier *applier, struct owned *owned,
                                       int64_t until_us, struct error *err)
{
    struct retry_pass *pass = &owned->retry.pass;
    struct arena arena;
    struct parked_records heads = {0};
    struct parked_filter filter = {.topic = owned->state.topic,
                                   .partition = owned->state.partition,
                                   .from_offset = pass->offset,
                                   .due_us = pass->due_us,
                                   .without_value = true,
                                   .limit = PARKED_HEAD_MAX};
    arena_init(&arena, PARKED_HEADS_MAX);
    enum status status = applier->ops->read_parked(applier->store, &filter, &arena, &heads, err);
    (void)applier_note(applier, status, err);
    for (size_t i = 0; i < heads.count && status == STATUS_OK; i++) {
        struct queue queue = {owned, &heads.records[i]};
        struct queue_scan *scan = NULL;
        pass->offset = heads.records[i].record.offset;
        if (heads.records[i].changeset_end != 0) {
            status = applier_release_set(applier, owned, &heads.records[i], err);
            pass->offset++;
            if (clock_monotonic_us() >= until_us)
                break;
            continue;
        }
        status = queue_scan_on(applier, &queue, until_us, &scan, err);
        if (status != STATUS_OK || scan == NULL)
            break;
        status = applier_release(applier, &queue, scan, err);
        pass->offset = heads.records[i].record.offset + 1;
        if (clock_monotonic_us() >= until_us)
            break;
    }
    pass->running = heads.count > 0;
    arena_done(&arena);
    return status;
}

/** End a pass. If it released a part of a queue the next one begins at once, else after a pause. */
static void applier_end_pass(struct owned *owned)
{
    struct retry_pass *pass = &owned->retry.pass;
    if (!pass->progress && pass->healed > PARKED_TOLD_MAX)
        log_info("agent", "%s/%d: what was parked of %zu more entities is applied",
                 owned->state.topic, owned->state.partition, pass->healed - PARKED_TOLD_MAX);
    owned->retry.next_us = pass->progress ? 0 : clock_monotonic_us() + PARKED_PAUSE_US;
    *pass = (struct retry_pass){.healed = pass->progress ? pass->healed : 0};
}

static enum status applier_retry_partition(struct applier *applier, struct owned *owned,
                                           int64_t now_us, int64_t until_us, struct error *err)
{
    struct retry_state *retry = &owned->retry;
    enum status status = applier_ready(applier, err);
    while (status == STATUS_OK && retry->unordered && clock_monotonic_us() < until_us)
        status = applier_order_parked(applier, owned, err);
    if (status != STATUS_OK || retry->unordered)
        return status;
    if (!retry->pass.running) {
        if (owned->state.waiting_count == 0 || clock_monotonic_us() < retry->next_us)
            return STATUS_OK;
        retry->pass.running = true;
        retry->pass.due_us = retry->is_cured ? INT64_MAX : now_us;
        retry->is_cured = false;
    }
    do /* at least once, however long applier_order_parked() took */
        status = applier_retry_heads(applier, owned, until_us, err);
    while (status == STATUS_OK && retry->pass.running && clock_monotonic_us() < until_us);
    if (status == STATUS_OK && !retry->pass.running)
        applier_end_pass(owned);
    return status;
}

bool applier_is_retrying(const struct applier *applier)
{
    return applier->turns.is_retrying;
}

/** @return whether a partition has waiting records to try at once, without a pause. */
static bool applier_has_more(const struct owned *owned)
{
    return owned->retry.next_us == 0 && owned->state.waiting_count > 0;
}

enum status applier_retry_parked(struct applier *applier, int64_t now_us, struct error *err)
{
    int64_t until_us = clock_monotonic_us() + applier_time_us(applier);
    struct turns *turns = &applier->turns;
    enum status status = STATUS_OK;
    turns->is_retrying = false;
    for (size_t i = 0; i < applier->owned_count && status == STATUS_OK; i++) {
        struct owned *owned = &applier->owned[turns->retry_index++ % applier->owned_count];
        if (owned->state.parked_count == 0 || owned->is_paused)
            continue;
        do
            status = applier_retry_partition(applier, owned, now_us, until_us, err);
        while (status == STATUS_OK && applier_has_more(owned) && clock_monotonic_us() < until_us);
        turns->is_retrying = turns->is_retrying || owned->retry.unordered ||
                             owned->retry.pass.running || applier_has_more(owned);
    }
    return status == STATUS_OK ? applier_retry_together(applier, err) : status;
}
