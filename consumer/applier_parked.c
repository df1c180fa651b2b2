/* Tries waiting records again, with the records behind them, each entity in a transaction. */
#include "consumer/applier_internal.h"

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"

#include <string.h>

enum attempt { ATTEMPT_APPLIED, ATTEMPT_SUPERSEDED, ATTEMPT_WAITS, ATTEMPT_HELD };

#define PARKED_RUN_MAX  1000 /* records of one entity in one transaction */
#define PARKED_HEAD_MAX 100
#define PARKED_PAUSE_US 200000
#define PARKED_TOLD_MAX 10 /* entities of a partition that one round names in the log */

/** What is parked of one entity, in the order of the log. */
struct parked_run {
    struct owned *owned;
    struct parked_record *records;
    size_t count;
};

/** A later own record of the entity stands behind this one: that one will be written (rule 18). */
static bool applier_parked_superseded(struct applier *applier, const struct parked_run *run,
                                      size_t index)
{
    for (size_t i = index + 1; i < run->count; i++) {
        struct change *later = NULL;
        struct error ignored = ERROR_INIT;
        if (run->records[i].state != PARKED_SKIPPED &&
            applier_decode(applier, &run->records[i].record, &later, &ignored) == STATUS_OK &&
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

/** @return OK with ATTEMPT_APPLIED or ATTEMPT_SUPERSEDED; otherwise why it failed. */
static enum status applier_attempt(struct applier *applier, const struct parked_run *run,
                                   size_t index, enum attempt *ret_attempt, struct error *err)
{
    struct owned *owned = run->owned;
    struct change *change = NULL;
    enum status status = applier_decode(applier, &run->records[index].record, &change, err);
    if (status != STATUS_OK)
        return status;
    const struct mapping *mapping = applier_mapping(applier, change->entity_type);
    if (mapping == NULL || change->schema == NULL)
        return error_set(err, STATUS_REJECT, "its entity type is not configured under apply:");
    bool superseded = false;
    if (mapping->published_here)
        superseded = applier_parked_superseded(applier, run, index);
    if (mapping->published_here && !superseded && applier->look.range_count > 0)
        status = applier_is_pending(applier, change, applier->look.ranges[0].above, &superseded,
                                    err);
    if (status == STATUS_OK && !superseded)
        status = applier_attempt_write(applier, mapping, change, &superseded, err);
    *ret_attempt = superseded ? ATTEMPT_SUPERSEDED : ATTEMPT_APPLIED;
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

/** One record. @return OK with *ret_attempt. */
static enum status applier_retry_record(struct applier *applier, const struct parked_run *run,
                                        size_t index, enum attempt *ret_attempt, struct error *err)
{
    const struct parked_record *record = &run->records[index];
    struct error why = ERROR_INIT;
    enum status status = applier->ops->savepoint(applier->store, false, err);
    if (status != STATUS_OK)
        return status;
    status = applier_attempt(applier, run, index, ret_attempt, &why);
    if (status == STATUS_OK)
        return applier->ops->edit_parked(applier->store, record, PARKED_DELETE, err);
    if (status != STATUS_REJECT && status != STATUS_STOP) {
        *err = why;
        applier_name_fatal(err, record->entity_type, record->entity_key, &record->record);
        return status;
    }
    bool waits = status == STATUS_REJECT && why.reject == REJECT_WAITING;
    *ret_attempt = waits ? ATTEMPT_WAITS : ATTEMPT_HELD;
    status = applier->ops->savepoint(applier->store, true, err);
    if (status == STATUS_OK)
        status = applier_attempt_failed(applier, record, &why, err);
    return status;
}

/** @return the last record behind `index` that replaces all before it, with only such in between as
 * can be read; `index` where there is none. */
static size_t applier_parked_replacing(struct applier *applier, const struct parked_run *run,
                                       size_t index)
{
    const struct parked_record *records = run->records;
    size_t found = index;
    for (size_t i = index + 1; i < run->count; i++) {
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
 * written, and what it replaces is kept as evidence. @return OK; where it was written,
 * *ret_index is moved to it and *ret_attempt is set. */
static enum status applier_retry_replacing(struct applier *applier, const struct parked_run *run,
                                           size_t *ret_index, enum attempt *ret_attempt,
                                           struct error *err)
{
    const struct parked_record *records = run->records;
    enum attempt attempt = ATTEMPT_WAITS;
    struct error why = ERROR_INIT;
    size_t index = *ret_index;
    size_t last = applier_parked_replacing(applier, run, index);
    if (last == index)
        return STATUS_OK;
    enum status status = applier->ops->savepoint(applier->store, false, err);
    if (status != STATUS_OK)
        return status;
    status = applier_attempt(applier, run, last, &attempt, &why);
    if (status == STATUS_REJECT || status == STATUS_STOP)
        return applier->ops->savepoint(applier->store, true, err);
    if (status != STATUS_OK) {
        *err = why;
        applier_name_fatal(err, records[last].entity_type, records[last].entity_key,
                           &records[last].record);
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
    *ret_attempt = attempt;
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

static void applier_note_healed(struct applier *applier, const struct parked_record *record,
                                enum attempt attempt)
{
    struct healed *healed = &applier->healed;
    bool superseded = attempt == ATTEMPT_SUPERSEDED;
    if (healed->head == NULL) {
        healed->head = record;
        healed->head_superseded = superseded;
    }
    *(superseded ? &healed->superseded : &healed->applied) += 1;
}

/** Until one of them fails. */
static enum status applier_retry_records(struct applier *applier, const struct parked_run *run,
                                         struct error *err)
{
    enum status status = STATUS_OK;
    enum attempt attempt = ATTEMPT_APPLIED;
    for (size_t i = 0; i < run->count && status == STATUS_OK; i++) {
        if (run->records[i].state == PARKED_SKIPPED)
            continue;
        if (run->records[i].state == PARKED_HELD)
            break;
        status = applier_retry_record(applier, run, i, &attempt, err);
        if (status == STATUS_OK && attempt == ATTEMPT_WAITS)
            status = applier_retry_replacing(applier, run, &i, &attempt, err);
        if (status != STATUS_OK || attempt == ATTEMPT_WAITS || attempt == ATTEMPT_HELD)
            break;
        applier_note_healed(applier, &run->records[i], attempt);
    }
    return status;
}

static enum status applier_retry_run(struct applier *applier, struct owned *owned,
                                     const void *subject, struct error *err)
{
    const struct parked_record *head = subject;
    struct parked_run run = {.owned = owned};
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
    enum status status = applier->ops->read_parked(applier->store, &filter, &applier->arena,
                                                   &run.records, &run.count, err);
    if (status == STATUS_OK)
        status = applier_look_for(applier, owned, head->entity_type, err);
    return status == STATUS_OK ? applier_retry_records(applier, &run, err) : status;
}

/** Count what the last transaction healed, and say it like its parking was said, but of no more
 * than PARKED_TOLD_MAX entities: one mended row may cure thousands. */
static void applier_report_healed(const struct applier *applier, size_t *ret_entities)
{
    const struct healed *healed = &applier->healed;
    const struct parked_record *head = healed->head;
    if (applier->metrics != NULL) {
        atomic_fetch_add(&applier->metrics->events_applied, healed->applied);
        atomic_fetch_add(&applier->metrics->events_healed, healed->applied);
        atomic_fetch_add(&applier->metrics->events_superseded, healed->superseded);
    }
    if (head == NULL || ++*ret_entities > PARKED_TOLD_MAX)
        return;
    log_info("agent",
             "parked %.*s %.*s from %s/%d offset %lld is %s at attempt %d, and %zu behind it",
             SLICE_ARGS(head->entity_type), SLICE_ARGS(head->entity_key), head->record.topic,
             head->record.partition, (long long)head->record.offset,
             healed->head_superseded ? "superseded" : "applied", head->attempts + 1,
             healed->applied + healed->superseded - 1);
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
    size_t healed = 0;
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
        if (status == STATUS_OK)
            applier_report_healed(applier, &healed);
    }
    if (healed > PARKED_TOLD_MAX)
        log_info("agent", "%s/%d: what was parked of %zu more entities is applied",
                 owned->state.topic, owned->state.partition, healed - PARKED_TOLD_MAX);
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
    return applier_retry_together(applier, err);
}
