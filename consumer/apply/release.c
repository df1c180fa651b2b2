/* Releases what is parked of one entity: applies its records in their order, as many as one
 * transaction takes. The next transaction goes on after them. */
#include "consumer/apply/parked.h"
#include "consumer/apply/image.h"
#include "consumer/apply/pending.h"

#include "common/clock.h"
#include "common/log.h"

/** What became of a record. */
enum attempt { ATTEMPT_APPLIED, ATTEMPT_SUPERSEDED, ATTEMPT_WAITS, ATTEMPT_HELD };
#define MARKED_MAX 100 /* records that one transaction marks as replaced */

/** One transaction's work on a queue, and what came of it. */
struct release {
    struct queue queue;
    struct queue_part part; /* the queue's first records */
    struct queue_scan *scan;
    int64_t until_us;     /* monotonic */
    bool pending;         /* an own change is under way: its records are superseded (rule 18) */
    enum attempt attempt; /* the last one */
    size_t gone;          /* records that are not parked any more: released or replaced */
    int64_t gone_bytes;
    int64_t last_offset;              /* of the last of them */
    const struct parked_record *head; /* the first that was released; NULL: none */
    bool head_superseded;
    const struct change *change;                     /* that was tried last */
    const struct change *changes[QUEUE_RECORDS + 1]; /* that were applied */
    size_t applied;
    size_t superseded;
    int64_t replaced_from; /* for the scan; 0: as it was */
    bool exhausted;        /* nothing of the entity is left */
    bool waiting;          /* what is left waits, and is not held */
};

/** Apply one record, or keep its image where an own change supersedes it.
 * @return OK with ATTEMPT_APPLIED or ATTEMPT_SUPERSEDED; otherwise why it failed. */
static enum status release_attempt(struct applier *applier, struct release *release,
                                   const struct parked_record *record, enum attempt *ret_attempt,
                                   struct error *err)
{
    struct owned *owned = release->queue.owned;
    struct change *change = NULL;
    enum status status = applier_decode(applier, &record->record, &change, err);
    release->change = change;
    if (status != STATUS_OK)
        return status;
    const struct mapping *mapping = applier_mapping(applier, change->entity_type);
    if (mapping == NULL || change->schema == NULL)
        return error_set(err, STATUS_REJECT, "its entity type is not configured under apply:");
    /* A later own record of the entity will be written instead. */
    bool superseded = mapping->published_here &&
                      (release->pending || record->record.offset < release->scan->last_own);
    *ret_attempt = superseded ? ATTEMPT_SUPERSEDED : ATTEMPT_APPLIED;
    if (superseded)
        return applier_keep_image(applier, owned, change, err);
    const struct change *const changes[] = {change};
    status = applier->ops->apply(applier->store, mapping, changes, 1, err);
    if (applier_passes_absent(owned, record->record.offset, err)) {
        error_clear(err);
        status = applier->ops->savepoint(applier->store, true, err);
    }
    return status == STATUS_OK ? applier_drop_image(applier, owned, change, err) : status;
}

enum status applier_release_failed(struct applier *applier, const struct parked_record *record,
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

static void release_count(struct release *release, const struct parked_record *record,
                          enum attempt attempt)
{
    bool superseded = attempt == ATTEMPT_SUPERSEDED;
    if (release->head == NULL) {
        release->head = record;
        release->head_superseded = superseded;
    }
    if (superseded)
        release->superseded++;
    else
        release->changes[release->applied++] = release->change;
    release->gone++;
    release->gone_bytes += record->bytes;
    release->last_offset = record->record.offset;
}

/** Try one record. @return OK with release->attempt; RETRY; ABORT; FATAL. */
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
        release_count(release, record, release->attempt);
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
        status = applier_release_failed(applier, record, &why, err);
    return status;
}

/** Mark records from the filter's offset on as skipped because a later one replaces them, as many
 * as one transaction takes. They stay as evidence. @return OK with whether all were. */
static enum status release_mark(struct applier *applier, struct release *release,
                                const struct parked_filter *filter, bool *ret_all,
                                struct error *err)
{
    int64_t replacing = release->scan->replacing;
    struct parked_records parked = {0};
    struct parked_filter light = *filter;
    int64_t bytes = 0;
    light.without_value = true;
    light.limit = MARKED_MAX;
    enum status status = applier->ops->read_parked(applier->store, &light, &applier->arena, &parked,
                                                   err);
    *ret_all = false;
    for (size_t i = 0; i < parked.count && status == STATUS_OK; i++) {
        *ret_all = parked.records[i].record.offset >= replacing;
        bytes += parked.records[i].bytes;
        if (*ret_all || (i > 0 && bytes > applier->config->limits.batch_bytes))
            break;
        struct parked_record marked = parked.records[i];
        marked.state = PARKED_SKIPPED;
        marked.next_attempt_us = clock_wall_us(); /* its retention begins now */
        status = applier->ops->edit_parked(applier->store, &marked, PARKED_ATTEMPT, err);
        release->gone++;
        release->gone_bytes += marked.bytes;
        release->last_offset = marked.record.offset;
    }
    return status;
}

/** More is replaced than one transaction takes: mark the piece directly before the replacing
 * record. The records before that piece stay complete, so that they can still be applied in order
 * if the first of them waits no longer. */
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

/** Write a later record that replaces the waiting one, such as a delete, and mark what it replaces.
 * Where that is more than one transaction takes, undo the write and mark a piece from the end on.
 */
static enum status release_replacing(struct applier *applier, struct release *release,
                                     const struct parked_record *waits, struct error *err)
{
    struct parked_records parked = {0};
    struct error why = ERROR_INIT;
    enum attempt attempt = ATTEMPT_WAITS;
    bool all = false;
    char type[STORE_NAME_SIZE];
    int64_t replacing = release->scan->replacing;
    if (replacing <= waits->record.offset)
        return STATUS_OK;
    struct parked_filter filter = queue_filter(&release->queue, replacing, type);
    filter.limit = 1;
    enum status status = applier->ops->savepoint(applier->store, false, err);
    if (status == STATUS_OK)
        status = applier->ops->read_parked(applier->store, &filter, &applier->arena, &parked, err);
    const struct parked_record *last = parked.records;
    if (status != STATUS_OK || parked.count == 0 || last->record.offset != replacing)
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
    release_count(release, last, attempt);
    release->attempt = ATTEMPT_APPLIED; /* nothing of what is left was tried */
    release_tell_replaced(waits, replacing);
    return STATUS_OK;
}

/** Try the records until one fails or the time is over. */
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

/** Let the first record that is left wait, so that the next pass finds it. Where it was just tried,
 * its state is right already. */
static enum status release_promote(struct applier *applier, struct release *release,
                                   struct error *err)
{
    struct parked_records parked = {0};
    char type[STORE_NAME_SIZE];
    release->waiting = release->attempt == ATTEMPT_WAITS;
    if (release->attempt == ATTEMPT_WAITS || release->attempt == ATTEMPT_HELD)
        return STATUS_OK;
    struct parked_filter filter = queue_filter(&release->queue, release->last_offset + 1, type);
    filter.without_value = true;
    filter.limit = 1;
    enum status status = applier->ops->read_parked(applier->store, &filter, &applier->arena,
                                                   &parked, err);
    const struct parked_record *next = parked.records;
    release->exhausted = status == STATUS_OK && parked.count == 0;
    if (status != STATUS_OK || parked.count == 0)
        return status;
    return applier_promote(applier, release->queue.owned, next, &release->waiting, err);
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

/** Count what was released, and log it as its parking was logged, but of PARKED_TOLD_MAX entities
 * at most: one mended row may cure thousands. */
static void release_report(const struct applier *applier, const struct release *release,
                           size_t *ret_entities)
{
    const struct parked_record *head = release->head;
    int64_t now_us = clock_wall_us();
    for (size_t i = 0; i < release->applied; i++)
        applier_tally_applied(applier, release->changes[i], now_us);
    atomic_fetch_add(&applier->metrics->events_applied, release->applied);
    atomic_fetch_add(&applier->metrics->events_healed, release->applied);
    atomic_fetch_add(&applier->metrics->events_superseded, release->superseded);
    bool told = release->scan->told;
    release->scan->told = head != NULL && !release->exhausted;
    if (head == NULL || told || ++*ret_entities > PARKED_TOLD_MAX)
        return;
    log_info(
        "agent", "parked %.*s %.*s from %s/%d offset %lld is %s at attempt %d, and %zu behind it%s",
        SLICE_ARGS(head->entity_type), SLICE_ARGS(head->entity_key), head->record.topic,
        head->record.partition, (long long)head->record.offset,
        release->head_superseded ? "superseded" : "applied", head->attempts + 1,
        release->applied + release->superseded - 1, release->exhausted ? "" : "; more are left");
}

/** After the commit: the state without what was released. */
static void release_advance(struct owned *owned, const struct release *release)
{
    struct block_key key = block_key_stored(release->queue.head->entity_type,
                                            release->queue.head->entity_key,
                                            release->queue.head->record.key);
    owned->state.parked_count -= (int64_t)release->gone;
    owned->state.parked_bytes -= release->gone_bytes;
    owned->state.waiting_count += release->waiting ? 0 : -1;
    owned->state.held_count += release->attempt == ATTEMPT_HELD ? 1 : 0;
    if (release->replaced_from > 0)
        release->scan->replaced_from = release->replaced_from;
    if (owned->state.blocked.unreadable_count > 0)
        owned->retry.unordered = true;
    if (release->exhausted)
        block_set_remove(&owned->state.blocked, &key);
    owned->retry.pass.progress = owned->retry.pass.progress ||
                                 (release->gone > 0 && !release->exhausted);
}

/** @return how many of the queue's first records may be tried in one transaction. A set is tried
 * whole, when it has come to the front of all its queues. */
static size_t release_ready(const struct queue *queue, const struct queue_part *part)
{
    size_t ready = 0;
    while (ready < part->count && part->records[ready].state != PARKED_HELD &&
           part->records[ready].changeset_end == 0 &&
           !applier_is_behind_unreadable(queue->owned, &part->records[ready]))
        ready++;
    /* Records of other entities may stand between two whose entity cannot be read. */
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
    struct release attempt;
    do {
        attempt = release;
        attempt.until_us = clock_monotonic_us() + applier_time_us(applier);
        status = applier_repair(applier, owned, release_work, &attempt, err);
        release.pending = true; /* that is what makes it try again */
    } while (status == STATUS_AGAIN);
    if (status == STATUS_OK) {
        release_advance(owned, &attempt);
        release_report(applier, &attempt, &owned->retry.pass.healed);
    }
    applier_publish_metrics(applier, owned);
    return status;
}
