/* Releases a parked change set: applies it whole, or none of it (rule 57). Its first record stands
 * for all of them, and waits when no record of another one is before it. */
#include "consumer/apply/image.h"
#include "consumer/apply/parked.h"
#include "consumer/apply/pending.h"
#include "consumer/apply/set.h"

#include "common/clock.h"
#include "common/log.h"

#include <stdio.h>

#define MOVED_ATTEMPTS 2 /* by then it was tried once since it was parked */

/** One transaction's work on a set, and what came of it. */
struct set_release {
    const struct parked_record *head;
    struct parked_records rows; /* in the order of the log */
    struct set_writes set;
    size_t fault;    /* the record at fault, or SET_FAULT_UNKNOWN */
    bool is_singly;  /* writing in bulk was fatal */
    bool is_applied; /* else it failed */
    bool is_held;    /* where it failed */
    size_t promoted; /* records that wait now, because it is gone */
    size_t superseded;
    struct block_set gone; /* entities of which nothing is left */
};

/** The records of a set without their values, the oldest first. */
static enum status set_rows(struct applier *applier, const struct parked_record *of, bool whole,
                            struct parked_records *ret_rows, struct error *err)
{
    const struct parked_filter filter = {.partition = -1, .set_of = of, .without_value = !whole};
    return applier->ops->read_parked(applier->store, &filter, &applier->arena, ret_rows, err);
}

static struct block_key row_key(const struct parked_record *row)
{
    return block_key_stored(row->entity_type, row->entity_key, row->record.key);
}

/** Find the first parked record of a record's entity. @return OK; *ret_first is NULL where there is
 * none. */
static enum status first_of_entity(struct applier *applier, struct owned *owned,
                                   const struct parked_record *row,
                                   const struct parked_record **ret_first, struct error *err)
{
    struct parked_records read = {0};
    char type[STORE_NAME_SIZE];
    const struct queue queue = {owned, row};
    struct parked_filter filter = queue_filter(&queue, 0, type);
    filter.without_value = true;
    filter.limit = 1;
    enum status status = applier->ops->read_parked(applier->store, &filter, &applier->arena, &read,
                                                   err);
    *ret_first = read.count == 0 ? NULL : read.records;
    return status;
}

/** @return OK with whether a set is the oldest of every one of its entities. */
static enum status set_is_first(struct applier *applier, struct owned *owned,
                                const struct parked_records *rows, bool *ret_first,
                                struct error *err)
{
    int64_t begin = rows->records[0].record.offset;
    enum status status = STATUS_OK;
    *ret_first = true;
    for (size_t i = 0; i < rows->count && status == STATUS_OK && *ret_first; i++) {
        const struct parked_record *row = &rows->records[i];
        const struct parked_record *oldest = NULL;
        struct block_key key = row_key(row);
        status = first_of_entity(applier, owned, row, &oldest, err);
        *ret_first = status == STATUS_OK && (oldest == NULL || oldest->record.offset >= begin) &&
                     block_set_first_unreadable(&owned->state.blocked, &key) >= begin;
    }
    return status;
}

enum status applier_promote(struct applier *applier, struct owned *owned,
                            const struct parked_record *next, bool *ret_promoted, struct error *err)
{
    struct parked_record head = *next;
    bool is_ready = !applier_is_behind_unreadable(owned, next);
    enum status status = STATUS_OK;
    *ret_promoted = false;
    if (next->changeset_end != 0) {
        struct parked_records rows = {0};
        status = set_rows(applier, next, false, &rows, err);
        if (status != STATUS_OK || rows.count == 0)
            return status;
        head = rows.records[0];
        is_ready = head.state == PARKED_BEHIND;
        if (is_ready)
            status = set_is_first(applier, owned, &rows, &is_ready, err);
    }
    if (status != STATUS_OK || !is_ready || head.state != PARKED_BEHIND)
        return status;
    head.state = PARKED_WAITING;
    head.next_attempt_us = 0;
    *ret_promoted = true;
    return applier->ops->edit_parked(applier->store, &head, PARKED_ATTEMPT, err);
}

/** Let go on what stood behind the set, entity by entity. */
static enum status release_promote_all(struct applier *applier, struct owned *owned,
                                       struct set_release *release, struct error *err)
{
    struct block_set seen = {0};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < release->rows.count && status == STATUS_OK; i++) {
        const struct parked_record *row = &release->rows.records[i];
        const struct parked_record *next = NULL;
        struct block_key key = row_key(row);
        bool promoted = false;
        if (block_set_has_entity(&seen, &key))
            continue;
        status = block_set_add(&seen, &key, 0, err);
        if (status == STATUS_OK)
            status = first_of_entity(applier, owned, row, &next, err);
        if (status == STATUS_OK && next == NULL)
            status = block_set_add(&release->gone, &key, 0, err);
        else if (status == STATUS_OK)
            status = applier_promote(applier, owned, next, &promoted, err);
        release->promoted += promoted;
    }
    block_set_done(&seen);
    return status;
}

/** Decode the records. @return OK; REJECT, STOP with the fault; RETRY; FATAL. */
static enum status release_decode(struct applier *applier, const struct owned *owned,
                                  struct set_release *release, struct error *err)
{
    size_t count = release->rows.count;
    enum status status = STATUS_OK;
    release->set.writes = arena_alloc(&applier->arena, count * sizeof *release->set.writes);
    if (release->set.writes == NULL)
        return applier_no_memory(err);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        struct change *change = NULL;
        release->fault = i;
        status = applier_decode(applier, &release->rows.records[i].record, &change, err);
        if (status != STATUS_OK)
            return status;
        const struct mapping *mapping = applier_mapping(applier, change->entity_type);
        if (mapping == NULL || change->schema == NULL)
            return error_set(err, STATUS_REJECT, "its entity type is not configured under apply:");
        change->partition_index = (size_t)(owned - applier->owned);
        release->set.writes[i] = (struct write){.image = change, .mapping = mapping, .order = i};
        write_note_key(&release->set.writes[i]);
    }
    return status;
}

/** Take the changes of entities of which an own change is under way out of what is written, and
 * with `keeps` keep their images (rule 18). */
static enum status release_supersede(struct applier *applier, struct owned *owned,
                                     struct set_release *release, bool keeps, struct error *err)
{
    struct set_writes *set = &release->set;
    enum status status = STATUS_OK;
    size_t left = 0;
    for (size_t i = 0; i < set->count && status == STATUS_OK; i++) {
        const struct write write = set->writes[i];
        bool pending = false;
        if (write.mapping->published_here)
            status = applier_ask_pending_singly(applier, owned, write.image->entity_type, err);
        if (status == STATUS_OK && write.mapping->published_here)
            status = applier_is_pending_now(applier, write.image->entity_type,
                                            write.image->entity_key, &pending, err);
        if (status == STATUS_OK && pending && keeps)
            status = applier_keep_image(applier, owned, write.image, err);
        if (!pending)
            set->writes[left++] = write;
    }
    set->count = left;
    return status;
}

/** After the writes: the images that were kept of what is written are older. */
static enum status release_drop_images(struct applier *applier, struct owned *owned,
                                       const struct set_release *release, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < release->set.count && applier->publishes && status == STATUS_OK; i++)
        status = applier_drop_image(applier, owned, release->set.writes[i].image, err);
    return status;
}

static enum status release_failed_set(struct applier *applier, struct set_release *release,
                                      struct error *why, struct error *err)
{
    size_t row = release->fault;
    const struct parked_record *record = &release->rows.records[row == SET_FAULT_UNKNOWN ? 0 : row];
    const struct change named = {.entity_type = record->entity_type,
                                 .entity_key = record->entity_key};
    struct error told = *why;
    applier_describe_fault(row, release->rows.count, row == SET_FAULT_UNKNOWN ? NULL : &named,
                           why->text, told.text);
    release->is_held = why->status != STATUS_REJECT || why->reject != REJECT_WAITING;
    return applier_release_failed(applier, &release->rows.records[0], &told, err);
}

/** Write the set. @return OK; REJECT and STOP with the fault; AGAIN (once more, singly, because it
 * was fatal; or because an own change came in between); RETRY; ABORT; FATAL. */
static enum status release_write(struct applier *applier, struct owned *owned,
                                 struct set_release *release, struct error *err)
{
    enum status status = release_decode(applier, owned, release, err);
    if (status != STATUS_OK)
        return status;
    release->fault = SET_FAULT_UNKNOWN;
    release->set.count = release->rows.count;
    release->set.is_singly = release->is_singly;
    status = release_supersede(applier, owned, release, true, err);
    size_t count = release->set.count;
    release->superseded = release->rows.count - count;
    if (status != STATUS_OK || count == 0)
        return status;
    status = applier_write_set(applier, &release->set, err);
    if (status == STATUS_FATAL && !release->is_singly) {
        release->is_singly = true;
        return STATUS_AGAIN;
    }
    if ((status == STATUS_REJECT || status == STATUS_STOP) &&
        release->set.fault != SET_FAULT_UNKNOWN)
        release->fault = release->set.writes[release->set.fault].order;
    if (status != STATUS_OK || applier->ops->excludes_writers)
        return status;
    status = release_supersede(applier, owned, release, false, err);
    return status == STATUS_OK && release->set.count < count ? STATUS_AGAIN : status;
}

static enum status set_release_work(struct applier *applier, struct owned *owned, void *subject,
                                    struct error *err)
{
    struct set_release *release = subject;
    struct error why = ERROR_INIT;
    enum status status = release_write(applier, owned, release, &why);
    if (status == STATUS_REJECT || status == STATUS_STOP)
        return release_failed_set(applier, release, &why, err);
    if (status != STATUS_OK) {
        *err = why;
        return status;
    }
    release->is_applied = true;
    status = release_drop_images(applier, owned, release, err);
    if (status == STATUS_OK)
        status = applier->ops->edit_parked(applier->store, release->head, PARKED_DELETE, err);
    return status == STATUS_OK ? release_promote_all(applier, owned, release, err) : status;
}

/** After the commit: the state without the set. */
static void set_release_advance(struct owned *owned, const struct set_release *release)
{
    struct partition_state *state = &owned->state;
    state->waiting_count += (int64_t)release->promoted;
    state->waiting_count -= release->is_applied || release->is_held ? 1 : 0;
    state->held_count += release->is_held ? 1 : 0;
    if (!release->is_applied)
        return;
    state->parked_count -= (int64_t)release->rows.count;
    for (size_t i = 0; i < release->rows.count; i++)
        state->parked_bytes -= release->rows.records[i].bytes;
    if (state->blocked.unreadable_count > 0)
        owned->retry.unordered = true;
    block_set_subtract(&state->blocked, &release->gone);
    owned->retry.pass.progress = owned->retry.pass.progress || release->promoted > 0;
    queue_forget_scans(owned); /* a set ends what may be replaced */
}

static void set_release_report(const struct applier *applier, struct owned *owned,
                               const struct set_release *release)
{
    const struct parked_record *head = &release->rows.records[0];
    int64_t now_us = clock_wall_us();
    if (!release->is_applied)
        return;
    for (size_t i = 0; i < release->set.count; i++)
        applier_tally_applied(applier, release->set.writes[i].image, now_us);
    atomic_fetch_add(&applier->metrics->events_applied, release->set.count);
    atomic_fetch_add(&applier->metrics->events_healed, release->set.count);
    atomic_fetch_add(&applier->metrics->changesets_applied, 1);
    atomic_fetch_add(&applier->metrics->events_superseded, release->superseded);
    if (++owned->retry.pass.healed > PARKED_TOLD_MAX)
        return;
    log_info(
        "agent",
        "the parked transaction of %zu changes from %s/%d offset %lld, %.*s %.*s the first, is "
        "applied at attempt %d",
        release->rows.count, head->record.topic, head->record.partition,
        (long long)head->record.offset, SLICE_ARGS(head->entity_type), SLICE_ARGS(head->entity_key),
        head->attempts + 1);
}

enum status applier_release_set(struct applier *applier, struct owned *owned,
                                const struct parked_record *head, struct error *err)
{
    struct set_release release = {.head = head};
    arena_reset(&applier->arena);
    enum status status = set_rows(applier, head, true, &release.rows, err);
    (void)applier_note(applier, status, err);
    if (status != STATUS_OK)
        return status;
    if (release.rows.count == 0 || release.rows.records[0].parked_id != head->parked_id) {
        owned->retry.unordered = true; /* only the first record of a set may wait */
        return STATUS_OK;
    }
    release.set.may_move = release.rows.records[0].attempts >= MOVED_ATTEMPTS;
    if (release.set.may_move)
        status = applier_read_orders(applier, err);
    struct set_release attempt = release;
    while (status == STATUS_OK || status == STATUS_AGAIN) {
        bool is_singly = attempt.is_singly;
        block_set_done(&attempt.gone);
        attempt = release;
        attempt.is_singly = is_singly;
        status = applier_repair(applier, owned, set_release_work, &attempt, err);
        if (status != STATUS_AGAIN)
            break;
    }
    if (status == STATUS_OK) {
        set_release_advance(owned, &attempt);
        set_release_report(applier, owned, &attempt);
    }
    block_set_done(&attempt.gone);
    applier_publish_metrics(applier, owned);
    return status;
}
