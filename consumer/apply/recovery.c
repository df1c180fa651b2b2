/* Reads the partitions anew where a commit's outcome is unknown, the connection was lost (rule 4),
 * or an operator has changed something. */
#include "consumer/apply/internal.h"
#include "consumer/apply/parked.h"

#include "common/log.h"

#include <stdlib.h>
#include <string.h>

static void applier_reload_swap(struct applier *applier, struct owned *owned,
                                struct partition_state *fresh)
{
    bool revised = fresh->revision != owned->state.revision;
    owned->reloaded = owned->reloaded || revised || applier->session.reload_needed ||
                      fresh->next_offset != owned->state.next_offset;
    partition_state_done(&owned->state);
    owned->state = *fresh;
    if (revised) { /* an operator's command lets a stopped partition try again */
        owned->state.stopped[0] = '\0';
        owned->stop.offset = INT64_MAX;
    } else if (owned->state.stopped[0] != '\0') { /* each later fence keeps the reason */
        owned->stop.offset = owned->state.next_offset;
        memcpy(owned->stop.reason, owned->state.stopped, sizeof owned->stop.reason);
    }
    owned->end_offset = 0;
    owned->retry.next_us = 0;
    owned->retry.unordered = owned->state.parked_count > 0;
    owned->retry.pass = (struct retry_pass){0};
    queue_forget_scans(owned);
    owned->images.are_possible = true;
    applier_publish_metrics(applier, owned);
}

/** Take the fence by epoch alone, then read everything in the same transaction (rule 4). The
 * position may have moved: forward by a commit that went through, back where a crash of the
 * database took commits that had not waited for the disk. */
static enum status applier_reload_owned(struct applier *applier, struct owned *owned,
                                        struct error *err)
{
    struct partition_state fresh = {0};
    const struct store_ops *ops = applier->ops;
    struct fence fence = applier_fence(owned);
    fence.by_epoch_alone = true;
    enum status status = ops->begin(applier->store, &fence, 1, err);
    if (status == STATUS_OK)
        status = ops->read(applier->store, owned->state.topic, owned->state.partition, &fresh, err);
    if (status == STATUS_OK)
        status = ops->commit(applier->store, true, err);
    if (status != STATUS_OK) {
        ops->rollback(applier->store);
        partition_state_done(&fresh);
        return applier_note(applier, status, err);
    }
    applier_reload_swap(applier, owned, &fresh);
    return STATUS_OK;
}

static enum status applier_reload(struct applier *applier, struct error *err)
{
    for (size_t i = 0; i < applier->owned_count; i++) {
        enum status status = applier_reload_owned(applier, &applier->owned[i], err);
        if (status != STATUS_OK)
            return status;
    }
    applier->session.reload_needed = false;
    applier->session.undurable_since_us = 0; /* the reload's commits were durable */
    for (size_t i = 0; i < applier->owned_count; i++)
        applier_publish_metrics(applier, &applier->owned[i]);
    return STATUS_OK;
}

static enum status applier_reconnect(struct applier *applier, struct error *err)
{
    struct store_meta before = applier->meta;
    if (applier->store != NULL)
        applier->ops->close(applier->store);
    applier->store = NULL;
    enum status status = applier_open(applier, err);
    if (status == STATUS_OK && strcmp(before.copy_id, applier->meta.copy_id) != 0)
        status = error_set(err, STATUS_FATAL,
                           "the database was copy %s and is copy %s now: restart the agent",
                           before.copy_id, applier->meta.copy_id);
    if (status == STATUS_OK) {
        log_info("agent", "the database answers again");
        applier->session.is_lost = false;
        return STATUS_OK;
    }
    applier->meta = before;
    if (applier->store != NULL)
        applier->ops->close(applier->store);
    applier->store = NULL;
    return status;
}

enum status applier_note(struct applier *applier, enum status status, const struct error *err)
{
    if (status == STATUS_RETRY && err->connection_lost) {
        applier->session.is_lost = true;
        applier->session.reload_needed = true;
    }
    return status;
}

enum status applier_ready(struct applier *applier, struct error *err)
{
    enum status status = STATUS_OK;
    if (applier->session.is_lost)
        status = applier_reconnect(applier, err);
    if (status == STATUS_OK && applier->session.reload_needed)
        status = applier_reload(applier, err);
    return status;
}

enum status applier_recover(struct applier *applier, enum status status, struct error *err)
{
    applier->ops->rollback(applier->store);
    if (status != STATUS_ABORT || err->native_code != 1)
        return applier_note(applier, status, err);
    struct error reload = ERROR_INIT;
    enum status reloaded = applier_reload(applier, &reload);
    if (reloaded == STATUS_OK)
        return status;
    *err = reload;
    return reloaded;
}

static bool applier_is_revised(const struct owned *owned, const struct partition_state *states,
                               size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (topic_partition_equal(partition_state_tp(&states[i]),
                                  partition_state_tp(&owned->state)))
            return states[i].epoch != owned->state.epoch ||
                   states[i].revision != owned->state.revision;
    }
    return true;
}

/* One statement reads all positions: one statement a partition would delay the records that come.
 */
enum status applier_refresh(struct applier *applier, struct error *err)
{
    struct partition_state *states = NULL;
    size_t count = 0;
    enum status status = applier_ready(applier, err);
    if (status != STATUS_OK || applier->owned_count == 0)
        return status;
    status = applier->ops->list(applier->store, &states, &count, err);
    for (size_t i = 0; status == STATUS_OK && i < applier->owned_count; i++) {
        if (applier_is_revised(&applier->owned[i], states, count))
            status = applier_reload_owned(applier, &applier->owned[i], err);
    }
    free(states);
    return applier_note(applier, status, err);
}
