/* Tries waiting records again, with the records behind them, each entity in a transaction. */
#include "consumer/applier_internal.h"

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"

#include <string.h>

enum attempt { ATTEMPT_APPLIED, ATTEMPT_WAITS, ATTEMPT_HELD };

#define PARKED_RUN_MAX  1000 /* records of one entity in one transaction */
#define PARKED_HEAD_MAX 100
#define PARKED_PAUSE_US 200000

/** A later own record of the entity stands behind this one: that one will be written (rule 18). */
static bool applier_parked_superseded(struct applier *applier, const struct parked_record *records,
                                      size_t count, size_t index)
{
    for (size_t i = index + 1; i < count; i++) {
        struct change *later = NULL;
        struct error ignored = ERROR_INIT;
        if (records[i].state != PARKED_SKIPPED &&
            applier_decode(applier, &records[i].record, &later, &ignored) == STATUS_OK &&
            applier_is_own(applier, later))
            return true;
    }
    return false;
}

enum status applier_attempt_write(struct applier *applier, const struct mapping *mapping,
                                  const struct change *change, bool *ret_superseded,
                                  struct error *err)
{
    const struct change *const changes[] = {change};
    size_t failed = 0;
    enum status status = applier->ops->apply(applier->store, mapping, changes, 1, &failed, err);
    if (status != STATUS_OK || applier->ops->excludes_writers || applier->look.range_count == 0)
        return status;
    status = applier_is_pending(applier, change, applier->look.ranges[0].above, ret_superseded,
                                err);
    if (status != STATUS_OK || !*ret_superseded)
        return status;
    return applier->ops->savepoint(applier->store, true, err);
}

static enum status applier_attempt(struct applier *applier, struct owned *owned,
                                   const struct parked_record *records, size_t count, size_t index,
                                   struct error *err)
{
    struct change *change = NULL;
    enum status status = applier_decode(applier, &records[index].record, &change, err);
    if (status != STATUS_OK)
        return status;
    const struct mapping *mapping = applier_mapping(applier, change->entity_type);
    if (mapping == NULL || change->schema == NULL)
        return error_set(err, STATUS_REJECT, "its entity type is not configured under apply:");
    bool superseded = false;
    if (mapping->published_here)
        superseded = applier_parked_superseded(applier, records, count, index);
    if (mapping->published_here && !superseded && applier->look.range_count > 0)
        status = applier_is_pending(applier, change, applier->look.ranges[0].above, &superseded,
                                    err);
    if (status == STATUS_OK && !superseded)
        status = applier_attempt_write(applier, mapping, change, &superseded, err);
    if (status == STATUS_OK && !superseded)
        return applier_drop_kept(applier, owned, change, err);
    if (status != STATUS_OK)
        return status;
    owned->kept = true;
    struct superseded_image image = {.entity_type = change->entity_type,
                                     .entity_key = change->entity_key,
                                     .record = change->record};
    struct superseded_image none = {0};
    return applier->ops->superseded(applier->store, SUPERSEDED_KEEP, &image, &applier->arena, &none,
                                    err);
}

/** Write down a failed attempt. */
static enum status applier_attempt_failed(struct applier *applier,
                                          const struct parked_record *record,
                                          const struct error *why, struct error *err)
{
    struct parked_record failed = *record;
    int shift = record->attempts < 7 ? record->attempts : 6;
    int64_t wait = (int64_t)APPLIER_BACKOFF_US << shift;
    if (wait > APPLIER_BACKOFF_MAX)
        wait = APPLIER_BACKOFF_MAX;
    bool waiting = why->status == STATUS_REJECT && why->reject == REJECT_WAITING;
    failed.state = waiting ? PARKED_WAITING : PARKED_HELD;
    failed.reason = slice_of(why->text);
    failed.code = why->native_code;
    failed.attempts = record->attempts + 1;
    failed.next_attempt_us = clock_wall_us() + wait;
    return applier->ops->edit_parked(applier->store, &failed, PARKED_ATTEMPT, err);
}

/** One record. @return OK with *ret_attempt; all but ATTEMPT_APPLIED ends the entity's run. */
static enum status applier_retry_record(struct applier *applier, struct owned *owned,
                                        const struct parked_record *records, size_t count,
                                        size_t index, enum attempt *ret_attempt, struct error *err)
{
    struct error why = ERROR_INIT;
    *ret_attempt = ATTEMPT_APPLIED;
    enum status status = applier->ops->savepoint(applier->store, false, err);
    if (status != STATUS_OK)
        return status;
    status = applier_attempt(applier, owned, records, count, index, &why);
    if (status == STATUS_OK)
        return applier->ops->edit_parked(applier->store, &records[index], PARKED_DELETE, err);
    if (status != STATUS_REJECT && status != STATUS_STOP) {
        *err = why;
        return status;
    }
    bool waits = status == STATUS_REJECT && why.reject == REJECT_WAITING;
    *ret_attempt = waits ? ATTEMPT_WAITS : ATTEMPT_HELD;
    status = applier->ops->savepoint(applier->store, true, err);
    if (status == STATUS_OK)
        status = applier_attempt_failed(applier, &records[index], &why, err);
    return status;
}

/** @return the last record behind `index` that replaces all before it, with only such in between as
 * can be read; `index` where there is none. */
static size_t applier_parked_replacing(struct applier *applier, const struct parked_record *records,
                                       size_t count, size_t index)
{
    size_t found = index;
    for (size_t i = index + 1; i < count; i++) {
        struct change *later = NULL;
        struct error ignored = ERROR_INIT;
        if (records[i].state == PARKED_SKIPPED)
            continue;
        if (records[i].state == PARKED_HELD ||
            applier_decode(applier, &records[i].record, &later, &ignored) != STATUS_OK ||
            later->schema == NULL)
            break;
        if (!applier_is_sparse(later))
            found = i;
    }
    return found;
}

/** A record that waits is no reason to withhold one that replaces it, such as a delete: that one is
 * written, and what it replaces is kept as evidence. @return OK with *ret_index moved to it. */
static enum status applier_retry_replacing(struct applier *applier, struct owned *owned,
                                           const struct parked_record *records, size_t count,
                                           size_t *ret_index, struct error *err)
{
    struct error why = ERROR_INIT;
    size_t index = *ret_index;
    size_t last = applier_parked_replacing(applier, records, count, index);
    if (last == index)
        return STATUS_OK;
    enum status status = applier->ops->savepoint(applier->store, false, err);
    if (status != STATUS_OK)
        return status;
    status = applier_attempt(applier, owned, records, count, last, &why);
    if (status == STATUS_REJECT || status == STATUS_STOP)
        return applier->ops->savepoint(applier->store, true, err);
    if (status != STATUS_OK) {
        *err = why;
        return status;
    }
    for (size_t i = index; i < last && status == STATUS_OK; i++) {
        if (records[i].state != PARKED_SKIPPED)
            status = applier->ops->edit_parked(applier->store, &records[i], PARKED_SET_SKIPPED,
                                               err);
    }
    if (status == STATUS_OK)
        status = applier->ops->edit_parked(applier->store, &records[last], PARKED_DELETE, err);
    if (status != STATUS_OK)
        return status;
    log_warning("agent",
                "%.*s %.*s: what waited from %s/%d offset %lld on is replaced by offset "
                "%lld; see `keepstep parked`",
                SLICE_ARGS(records[index].entity_type), SLICE_ARGS(records[index].entity_key),
                records[index].record.topic, records[index].record.partition,
                (long long)records[index].record.offset, (long long)records[last].record.offset);
    *ret_index = last;
    return STATUS_OK;
}

enum status applier_look_for(struct applier *applier, const struct owned *owned,
                             struct slice entity_type, struct error *err)
{
    const struct mapping *mapping = applier_mapping(applier, entity_type);
    applier->look = (struct look){0};
    if (mapping == NULL || !mapping->published_here)
        return STATUS_OK;
    struct look_range *range = arena_alloc(&applier->arena, sizeof *range);
    if (range == NULL)
        return applier_no_memory(err);
    *range = (struct look_range){.schema = mapping->schema,
                                 .partition = owned->state.partition,
                                 .above = applier_own_last(applier, owned)};
    applier->look = (struct look){.ranges = range, .range_count = 1};
    return STATUS_OK;
}

static enum status applier_retry_run(struct applier *applier, struct owned *owned,
                                     const void *subject, struct error *err)
{
    const struct parked_record *head = subject;
    char type[STORE_NAME_SIZE];
    if (head->entity_type.length >= sizeof type)
        return STATUS_OK;
    memcpy(type, head->entity_type.data, head->entity_type.length);
    type[head->entity_type.length] = '\0';
    struct slice key = arena_copy(&applier->arena, head->entity_key);
    if (key.data == NULL)
        return applier_no_memory(err);
    struct parked_filter filter = {.topic = owned->state.topic,
                                   .partition = owned->state.partition,
                                   .entity_type = type,
                                   .entity_key = key.data,
                                   .limit = PARKED_RUN_MAX};
    struct parked_record *records = NULL;
    size_t count = 0;
    enum status status = applier->ops->read_parked(applier->store, &filter, &applier->arena,
                                                   &records, &count, err);
    if (status == STATUS_OK)
        status = applier_look_for(applier, owned, head->entity_type, err);
    bool applied = true;
    for (size_t i = 0; i < count && status == STATUS_OK && applied; i++) {
        enum attempt attempt = ATTEMPT_HELD;
        size_t before = i;
        if (records[i].state == PARKED_SKIPPED)
            continue;
        if (records[i].state == PARKED_HELD)
            break;
        status = applier_retry_record(applier, owned, records, count, i, &attempt, err);
        if (status == STATUS_OK && attempt == ATTEMPT_WAITS)
            status = applier_retry_replacing(applier, owned, records, count, &i, err);
        applied = attempt == ATTEMPT_APPLIED || i > before;
        if (status == STATUS_OK && applied && applier->metrics != NULL)
            atomic_fetch_add(&applier->metrics->events_applied, 1);
    }
    return status;
}

enum status applier_repair(struct applier *applier, struct owned *owned, applier_repair_work *work,
                           const void *subject, struct error *err)
{
    struct partition_state state = {0};
    struct fence fence = applier_fence(owned);
    applier_begin_work(applier);
    enum status status = applier->ops->begin(applier->store, &fence, 1, err);
    if (status == STATUS_OK)
        status = work(applier, owned, subject, err);
    if (status == STATUS_OK)
        status = applier->ops->read(applier->store, owned->state.topic, owned->state.partition,
                                    &state, err);
    if (status == STATUS_OK) {
        failpoint(FAILPOINT_AGENT_PARKED_BEFORE_COMMIT);
        status = applier_commit(applier, false, err);
    }
    if (status != STATUS_OK) {
        partition_state_done(&state);
        return applier_recover(applier, status, err);
    }
    partition_state_done(&owned->state);
    owned->state = state;
    applier_publish_metrics(applier, owned);
    return STATUS_OK;
}

static enum status applier_retry_partition(struct applier *applier, struct owned *owned,
                                           int64_t now_us, struct error *err)
{
    struct arena arena;
    struct parked_record *heads = NULL;
    size_t count = 0;
    enum status status = applier_ready(applier, err);
    if (status != STATUS_OK)
        return status;
    arena_init(&arena, (size_t)256 << 20);
    struct parked_filter filter = {.topic = owned->state.topic,
                                   .partition = owned->state.partition,
                                   .heads_only = true,
                                   .due_us = now_us,
                                   .limit = PARKED_HEAD_MAX};
    status = applier->ops->read_parked(applier->store, &filter, &arena, &heads, &count, err);
    (void)applier_note(applier, status, err);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        arena_reset(&applier->arena);
        status = applier_repair(applier, owned, applier_retry_run, &heads[i], err);
    }
    arena_done(&arena);
    return status;
}

enum status applier_retry_parked(struct applier *applier, int64_t now_us, struct error *err)
{
    int64_t now = clock_monotonic_us();
    for (size_t i = 0; i < applier->owned_count; i++) {
        struct owned *owned = &applier->owned[i];
        if (owned->state.waiting_count == 0 || now < owned->retry_at_us)
            continue;
        owned->retry_at_us = now + PARKED_PAUSE_US;
        int64_t due = owned->cure ? INT64_MAX : now_us;
        owned->cure = false;
        enum status status = applier_retry_partition(applier, owned, due, err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}
