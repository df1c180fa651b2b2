/* Tries waiting records again, with the records behind them: each transaction a bounded piece of
 * what is parked of one entity, in order; the next one goes on behind it. */
#include "consumer/apply/parked.h"
#include "consumer/apply/image.h"
#include "consumer/apply/pending.h"

#include "common/clock.h"
#include "common/log.h"

enum attempt { ATTEMPT_APPLIED, ATTEMPT_SUPERSEDED, ATTEMPT_WAITS, ATTEMPT_HELD };

#define MARKED_MAX 100 /* records that one transaction marks as replaced */

/** What one transaction does with what is parked of one entity. */
struct release {
    struct queue queue;
    struct queue_part part; /* the queue's first records */
    struct queue_scan *scan;
    int64_t until_us;
    bool pending;         /* an own change is under way: nothing of it is written (rule 18) */
    enum attempt attempt; /* the last one */
    size_t gone;          /* records that are parked no more, */
    int64_t gone_bytes;
    int64_t last_offset;   /* and the last of them */
    int64_t replaced_from; /* as in the scan, after it; 0: as it was */
    bool exhausted;        /* nothing of the entity is left */
    bool waiting;          /* what is left waits, and is not held */
};

/** @return OK with ATTEMPT_APPLIED or ATTEMPT_SUPERSEDED; otherwise why it failed. */
static enum status release_attempt(struct applier *applier, const struct release *release,
                                   const struct parked_record *record, enum attempt *ret_attempt,
                                   struct error *err)
{
    struct owned *owned = release->queue.owned;
    struct change *change = NULL;
    enum status status = applier_decode(applier, &record->record, &change, err);
    if (status != STATUS_OK)
        return status;
    const struct mapping *mapping = applier_mapping(applier, change->entity_type);
    if (mapping == NULL || change->schema == NULL)
        return error_set(err, STATUS_REJECT, "its entity type is not configured under apply:");
    /* A later own record of the entity stands behind this one: that one will be written. */
    bool superseded = mapping->published_here &&
                      (release->pending || record->record.offset < release->scan->last_own);
    *ret_attempt = superseded ? ATTEMPT_SUPERSEDED : ATTEMPT_APPLIED;
    if (superseded)
        return applier_keep_image(applier, owned, change, err);
    const struct change *const changes[] = {change};
    status = applier->ops->apply(applier->store, mapping, changes, 1, err);
    return status == STATUS_OK ? applier_drop_image(applier, owned, change, err) : status;
}

/** Write down a failed attempt. */
static enum status release_failed(struct applier *applier, const struct parked_record *record,
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

static void release_count(struct applier *applier, struct release *release,
                          const struct parked_record *record, enum attempt attempt)
{
    struct healed *healed = &applier->healed;
    bool superseded = attempt == ATTEMPT_SUPERSEDED;
    if (healed->head == NULL) {
        healed->head = record;
        healed->head_superseded = superseded;
    }
    *(superseded ? &healed->superseded : &healed->applied) += 1;
    release->gone++;
    release->gone_bytes += record->bytes;
    release->last_offset = record->record.offset;
}

/** One record. @return OK with release->attempt. */
static enum status release_record(struct applier *applier, struct release *release,
                                  const struct parked_record *record, struct error *err)
{
    struct error why = ERROR_INIT;
    enum status status = applier->ops->savepoint(applier->store, false, err);
    if (status != STATUS_OK)
        return status;
    status = release_attempt(applier, release, record, &release->attempt, &why);
    if (status == STATUS_OK)
        status = applier->ops->edit_parked(applier->store, record, PARKED_DELETE, &why);
    if (status == STATUS_OK)
        release_count(applier, release, record, release->attempt);
    else if (status != STATUS_REJECT && status != STATUS_STOP) {
        *err = why;
        applier_name_fatal(err, record->entity_type, record->entity_key, &record->record);
    }
    if (status != STATUS_REJECT && status != STATUS_STOP)
        return status;
    bool waits = status == STATUS_REJECT && why.reject == REJECT_WAITING;
    release->attempt = waits ? ATTEMPT_WAITS : ATTEMPT_HELD;
    status = applier->ops->savepoint(applier->store, true, err);
    if (status == STATUS_OK)
        status = release_failed(applier, record, &why, err);
    return status;
}

/** Mark the records that are replaced, from the filter's offset on, as many as one transaction
 * takes; they stay as evidence. @return OK with whether all were. */
static enum status release_mark(struct applier *applier, struct release *release,
                                const struct parked_filter *filter, bool *ret_all,
                                struct error *err)
{
    int64_t replacing = release->scan->replacing;
    struct parked_record *records = NULL;
    struct parked_filter light = *filter;
    size_t count = 0;
    int64_t bytes = 0;
    light.without_value = true;
    light.limit = MARKED_MAX;
    enum status status = applier->ops->read_parked(applier->store, &light, &applier->arena,
                                                   &records, &count, err);
    *ret_all = false;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        *ret_all = records[i].record.offset >= replacing;
        bytes += records[i].bytes;
        if (*ret_all || (i > 0 && bytes > applier->config->limits.batch_bytes))
            break;
        struct parked_record marked = records[i];
        marked.state = PARKED_SKIPPED;
        marked.next_attempt_us = clock_wall_us(); /* from now on it is kept so long */
        status = applier->ops->edit_parked(applier->store, &marked, PARKED_ATTEMPT, err);
        release->gone++;
        release->gone_bytes += marked.bytes;
        release->last_offset = marked.record.offset;
    }
    return status;
}

/** Where more is replaced than one transaction takes, mark a piece of it: what stands directly in
 * front of the record at `replacing`. The records before that piece are not tried without their
 * own beginning, and where that does not wait any more they are applied first. */
static enum status release_mark_last(struct applier *applier, struct release *release,
                                     struct parked_filter *filter,
                                     const struct parked_record *waits, struct error *err)
{
    const struct queue_scan *scan = release->scan;
    int64_t end = scan->replaced_from < scan->replacing ? scan->replaced_from : scan->replacing;
    size_t gone = release->gone;
    enum status status = STATUS_OK;
    bool ignored = false;
    while (status == STATUS_OK && release->gone == gone && end > waits->record.offset + 1) {
        int64_t first = queue_piece_before(scan, end);
        end = first > waits->record.offset ? first : waits->record.offset + 1;
        filter->from_offset = end;
        status = release_mark(applier, release, filter, &ignored, err);
    }
    release->replaced_from = end;
    struct parked_record again = *waits; /* due at once for the next piece */
    again.state = PARKED_WAITING;
    again.attempts++;
    again.next_attempt_us = 0;
    return status == STATUS_OK
               ? applier->ops->edit_parked(applier->store, &again, PARKED_ATTEMPT, err)
               : status;
}

static void release_tell_replaced(const struct parked_record *waits, int64_t replacing)
{
    log_warning("agent",
                "%.*s %.*s: what waited from %s/%d offset %lld on is replaced by offset "
                "%lld; see `keepstep parked`",
                SLICE_ARGS(waits->entity_type), SLICE_ARGS(waits->entity_key), waits->record.topic,
                waits->record.partition, (long long)waits->record.offset, (long long)replacing);
}

/** A record that waits is no reason to withhold one that replaces it, such as a delete: that one is
 * written. Where more is before it than one transaction takes, it is only tried, and what it
 * replaces gives way piece by piece, from its end on. */
static enum status release_replacing(struct applier *applier, struct release *release,
                                     const struct parked_record *waits, struct error *err)
{
    struct parked_record *last = NULL;
    struct error why = ERROR_INIT;
    enum attempt attempt = ATTEMPT_WAITS;
    size_t count = 0;
    bool all = false;
    char type[STORE_NAME_SIZE];
    int64_t replacing = release->scan->replacing;
    if (replacing <= waits->record.offset)
        return STATUS_OK;
    struct parked_filter filter = queue_filter(&release->queue, replacing, type);
    filter.limit = 1;
    enum status status = applier->ops->savepoint(applier->store, false, err);
    if (status == STATUS_OK)
        status = applier->ops->read_parked(applier->store, &filter, &applier->arena, &last, &count,
                                           err);
    if (status != STATUS_OK || count == 0 || last->record.offset != replacing)
        return status;
    status = release_attempt(applier, release, last, &attempt, &why);
    if (status == STATUS_REJECT || status == STATUS_STOP)
        return applier->ops->savepoint(applier->store, true, err);
    if (status != STATUS_OK) {
        *err = why;
        applier_name_fatal(err, last->entity_type, last->entity_key, &last->record);
        return status;
    }
    filter.from_offset = waits->record.offset;
    struct release before = *release;
    status = release_mark(applier, release, &filter, &all, err);
    if (status == STATUS_OK && !all) {
        *release = before;
        status = applier->ops->savepoint(applier->store, true, err);
        return status == STATUS_OK ? release_mark_last(applier, release, &filter, waits, err)
                                   : status;
    }
    if (status == STATUS_OK)
        status = applier->ops->edit_parked(applier->store, last, PARKED_DELETE, err);
    if (status != STATUS_OK)
        return status;
    release_count(applier, release, last, attempt);
    release->attempt = ATTEMPT_APPLIED; /* nothing of what is left was tried */
    release_tell_replaced(waits, replacing);
    return STATUS_OK;
}

/** Until one of them fails, or the time is over. */
static enum status release_records(struct applier *applier, struct release *release,
                                   struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < release->part.count && status == STATUS_OK; i++) {
        const struct parked_record *record = &release->part.records[i];
        if (i > 0 && clock_monotonic_us() >= release->until_us)
            break;
        status = release_record(applier, release, record, err);
        if (status == STATUS_OK && release->attempt == ATTEMPT_WAITS)
            return release_replacing(applier, release, record, err);
        if (release->attempt == ATTEMPT_HELD)
            break;
    }
    return status;
}

/** The first that is left of the entity waits, unless its attempt has just said more. */
static enum status release_promote(struct applier *applier, struct release *release,
                                   struct error *err)
{
    struct parked_record *next = NULL;
    size_t count = 0;
    char type[STORE_NAME_SIZE];
    release->waiting = release->attempt == ATTEMPT_WAITS;
    if (release->attempt == ATTEMPT_WAITS || release->attempt == ATTEMPT_HELD)
        return STATUS_OK;
    struct parked_filter filter = queue_filter(&release->queue, release->last_offset + 1, type);
    filter.without_value = true;
    filter.limit = 1;
    enum status status = applier->ops->read_parked(applier->store, &filter, &applier->arena, &next,
                                                   &count, err);
    release->exhausted = status == STATUS_OK && count == 0;
    if (status != STATUS_OK || count == 0 || next->state != PARKED_BEHIND ||
        applier_is_behind_unreadable(release->queue.owned, next))
        return status;
    release->waiting = true;
    next->state = PARKED_WAITING;
    next->next_attempt_us = 0;
    return applier->ops->edit_parked(applier->store, next, PARKED_ATTEMPT, err);
}

/** Find out whether an own change of the entity is under way. */
static enum status release_check_pending(struct applier *applier, struct release *release,
                                         struct error *err)
{
    const struct parked_record *head = release->queue.head;
    return applier_is_pending_now(applier, head->entity_type, head->entity_key, &release->pending,
                                  err);
}

static enum status release_work(struct applier *applier, struct owned *owned, void *subject,
                                struct error *err)
{
    struct release *release = subject;
    bool pending = release->pending;
    enum status status = applier_ask_pending_singly(applier, owned,
                                                    release->queue.head->entity_type, err);
    if (status == STATUS_OK && !pending)
        status = release_check_pending(applier, release, err);
    pending = release->pending;
    if (status == STATUS_OK)
        status = release_records(applier, release, err);
    if (status == STATUS_OK && !pending && !applier->ops->excludes_writers)
        status = release_check_pending(applier, release, err);
    if (status == STATUS_OK && release->pending && !pending)
        return STATUS_AGAIN; /* an own change came in between */
    return status == STATUS_OK ? release_promote(applier, release, err) : status;
}

/** Count what the last transaction healed, and say it like its parking was said, but of no more
 * than PARKED_TOLD_MAX entities: one mended row may cure thousands. */
static void applier_report_healed(const struct applier *applier, const struct release *release,
                                  size_t *ret_entities)
{
    const struct healed *healed = &applier->healed;
    const struct parked_record *head = healed->head;
    if (applier->metrics != NULL) {
        atomic_fetch_add(&applier->metrics->events_applied, healed->applied);
        atomic_fetch_add(&applier->metrics->events_healed, healed->applied);
        atomic_fetch_add(&applier->metrics->events_superseded, healed->superseded);
    }
    bool told = release->scan->told;
    release->scan->told = head != NULL && !release->exhausted;
    if (head == NULL || told || ++*ret_entities > PARKED_TOLD_MAX)
        return;
    log_info("agent",
             "parked %.*s %.*s from %s/%d offset %lld is %s at attempt %d, and %zu behind it%s",
             SLICE_ARGS(head->entity_type), SLICE_ARGS(head->entity_key), head->record.topic,
             head->record.partition, (long long)head->record.offset,
             healed->head_superseded ? "superseded" : "applied", head->attempts + 1,
             healed->applied + healed->superseded - 1, release->exhausted ? "" : "; more are left");
}

/** Memory takes over what a transaction has released. */
static void release_advance(struct owned *owned, const struct release *release)
{
    struct block_key key = block_key_stored(release->queue.head->entity_type,
                                            release->queue.head->entity_key,
                                            release->queue.head->record.key);
    owned->state.parked_count -= (int64_t)release->gone;
    owned->state.parked_bytes -= release->gone_bytes;
    owned->state.waiting_count += release->waiting ? 0 : -1;
    if (release->replaced_from > 0)
        release->scan->replaced_from = release->replaced_from;
    if (owned->state.blocked.unreadable_count > 0)
        owned->retry.unordered = true;
    if (release->exhausted)
        block_set_remove(&owned->state.blocked, &key);
    owned->retry.pass.progress = owned->retry.pass.progress ||
                                 (release->gone > 0 && !release->exhausted);
}

/** @return how many of the queue's first records may be tried in one transaction. */
static size_t release_ready(const struct queue *queue, const struct queue_part *part)
{
    size_t ready = 0;
    while (ready < part->count && part->records[ready].state != PARKED_HELD &&
           !applier_is_behind_unreadable(queue->owned, &part->records[ready]))
        ready++;
    /* What stands between two records whose entity cannot be read is not known here. */
    return queue->head->entity_type.length == 0 && ready > 1 ? 1 : ready;
}

enum status applier_release(struct applier *applier, const struct queue *queue,
                            struct queue_scan *scan, struct error *err)
{
    struct owned *owned = queue->owned;
    struct release release = {.queue = *queue, .scan = scan};
    enum status status = queue_read(applier, queue, queue->head->record.offset, &release.part, err);
    release.part.count = release_ready(queue, &release.part);
    if (status != STATUS_OK || release.part.count == 0) {
        owned->retry.unordered = true;
        return status;
    }
    struct release attempt = release;
    attempt.until_us = clock_monotonic_us() + applier_time_us(applier);
    status = applier_repair(applier, owned, release_work, &attempt, err);
    if (status == STATUS_AGAIN) {
        release.pending = true;
        attempt = release;
        attempt.until_us = clock_monotonic_us() + applier_time_us(applier);
        status = applier_repair(applier, owned, release_work, &attempt, err);
    }
    if (status == STATUS_OK) {
        release_advance(owned, &attempt);
        applier_report_healed(applier, &attempt, &owned->retry.pass.healed);
    }
    applier_publish_metrics(applier, owned);
    return status;
}
