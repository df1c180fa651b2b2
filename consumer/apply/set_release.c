/* Releases a parked change set: applies it whole, or none of it (rule 57). Its first record stands
 * for all of them, and waits when no record of another one is before it. */
#include "consumer/apply/image.h"
#include "consumer/apply/parked.h"
#include "consumer/apply/pending.h"
#include "consumer/apply/set.h"

#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Said once its rows were made anew too: until then nothing points to another transaction. */
#define TRIED_ALONE                                                                                \
    "; a transaction is tried alone: if another parked one has to give up what this one needs, "   \
    "write the rows of both by hand and skip both"
#define MOVED_ATTEMPTS 2                   /* by then it was tried once since it was parked */
#define ROWS_BYTES     ((size_t)256 << 20) /* of a set's records without their values */

/** One transaction's work on a set, and what came of it. A set with more bytes than fit in memory
 * is read and written in parts. */
struct set_release {
    const struct parked_record *head;
    struct parked_records rows; /* without their values, in the order of the log */
    struct parked_records part; /* the records that are being written */
    struct set_writes set;      /* of that part */
    struct type_tally *tally;   /* one of each mapping */
    struct error why;           /* a part was refused: nothing is written, and that is recorded */
    size_t fault;               /* the record at fault, or SET_FAULT_UNKNOWN */
    bool is_singly;             /* writing in bulk was fatal */
    bool is_applied;            /* else it failed */
    bool is_held;               /* where it failed */
    size_t promoted;            /* records that wait now, because it is gone */
    size_t superseded;
    struct block_set gone; /* entities of which nothing is left */
};

/** The records of a set without their values, the oldest first. */
static enum status set_rows(struct applier *applier, const struct parked_record *of,
                            struct arena *arena, struct parked_records *ret_rows, struct error *err)
{
    const struct parked_filter filter = {.partition = -1, .set_of = of, .without_value = true};
    return applier->ops->read_parked(applier->store, &filter, arena, ret_rows, err);
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
        status = set_rows(applier, next, &applier->arena, &rows, err);
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

/** @return where the part that begins at a record ends: a set within its limits is one part. */
static size_t part_end(const struct applier *applier, const struct set_release *release,
                       size_t first)
{
    const struct config_limits *limits = &applier->config->limits;
    int64_t most = limits->batch_bytes > limits->changeset_bytes ? limits->batch_bytes
                                                                 : limits->changeset_bytes;
    int64_t bytes = 0;
    size_t end = first;
    while (end < release->rows.count && (end == first || bytes <= most))
        bytes += release->rows.records[end++].bytes;
    return bytes > most && end > first + 1 ? end - 1 : end;
}

/** Read the records of a part, whole. */
static enum status part_read(struct applier *applier, struct set_release *release, size_t first,
                             size_t end, struct error *err)
{
    const struct parked_filter filter = {.partition = -1,
                                         .set_of = release->head,
                                         .from_offset = release->rows.records[first].record.offset,
                                         .limit = end - first};
    arena_reset(&applier->arena);
    release->part = (struct parked_records){0};
    enum status status = applier->ops->read_parked(applier->store, &filter, &applier->arena,
                                                   &release->part, err);
    if (status == STATUS_OK && release->part.count != end - first)
        return error_set_native(err, STATUS_ABORT, 1, "a parked change set has changed");
    return status;
}

/** Decode a part's records. @return OK; REJECT, STOP with the fault; RETRY; FATAL. */
static enum status part_decode(struct applier *applier, const struct owned *owned,
                               struct set_release *release, size_t first, struct error *err)
{
    size_t count = release->part.count;
    enum status status = STATUS_OK;
    release->set.writes = arena_alloc(&applier->arena, count * sizeof *release->set.writes);
    if (release->set.writes == NULL)
        return applier_no_memory(err);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        struct change *change = NULL;
        release->fault = first + i;
        status = applier_decode(applier, &release->part.records[i].record, &change, err);
        if (status != STATUS_OK)
            return status;
        const struct mapping *mapping = applier_mapping(applier, change->entity_type);
        if (mapping == NULL || change->schema == NULL)
            return error_set(err, STATUS_REJECT, "its entity type is not configured under apply:");
        change->partition_index = (size_t)(owned - applier->owned);
        release->set.writes[i] = (struct write){
            .image = change, .mapping = mapping, .order = first + i};
        write_note_key(&release->set.writes[i]);
    }
    release->set.count = count;
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

/** @param others  how many records of its partition are parked beside it. */
static enum status release_failed_set(struct applier *applier, struct set_release *release,
                                      int64_t others, const struct error *why, struct error *err)
{
    size_t row = release->fault;
    const struct parked_record *record = &release->rows.records[row == SET_FAULT_UNKNOWN ? 0 : row];
    const struct change named = {.entity_type = record->entity_type,
                                 .entity_key = record->entity_key};
    struct error told = *why;
    applier_describe_fault(row, release->rows.count, row == SET_FAULT_UNKNOWN ? NULL : &named,
                           why->text, told.text);
    release->is_held = why->status != STATUS_REJECT || why->reject != REJECT_WAITING;
    if (!release->is_held && release->set.may_move && others > 0)
        (void)snprintf(told.text + strlen(told.text), sizeof told.text - strlen(told.text), "%s",
                       TRIED_ALONE);
    return applier_release_failed(applier, &release->rows.records[0], &told, err);
}

/** Write the part that is decoded. @return OK; REJECT and STOP with the fault; AGAIN (once more,
 * singly, because it was fatal; or because an own change came in between); RETRY; ABORT; FATAL. */
static enum status part_write(struct applier *applier, struct owned *owned,
                              struct set_release *release, struct error *err)
{
    struct set_writes *set = &release->set;
    release->fault = SET_FAULT_UNKNOWN;
    set->is_singly = release->is_singly;
    enum status status = release_supersede(applier, owned, release, true, err);
    size_t count = set->count;
    release->superseded += release->part.count - count;
    if (status != STATUS_OK || count == 0)
        return status;
    status = applier_write_set(applier, set, err);
    if (status == STATUS_FATAL && !release->is_singly) {
        release->is_singly = true;
        return STATUS_AGAIN;
    }
    if ((status == STATUS_REJECT || status == STATUS_STOP) && set->fault != SET_FAULT_UNKNOWN)
        release->fault = set->writes[set->fault].order;
    if (status != STATUS_OK || applier->ops->excludes_writers)
        return status;
    status = release_supersede(applier, owned, release, false, err);
    return status == STATUS_OK && set->count < count ? STATUS_AGAIN : status;
}

/** Write the set, part by part. @return as part_write(). */
static enum status release_write(struct applier *applier, struct owned *owned,
                                 struct set_release *release, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < release->rows.count && status == STATUS_OK;) {
        size_t end = part_end(applier, release, i);
        release->set.goes_on = end < release->rows.count;
        release->set.is_part = i > 0 || release->set.goes_on;
        status = part_read(applier, release, i, end, err);
        if (status == STATUS_OK)
            status = part_decode(applier, owned, release, i, err);
        if (status == STATUS_OK)
            status = part_write(applier, owned, release, err);
        if (status == STATUS_OK)
            status = release_drop_images(applier, owned, release, err);
        for (size_t j = 0; status == STATUS_OK && j < release->set.count; j++)
            applier_tally_part(applier, release->set.writes[j].image, release->tally);
        i = end;
    }
    return status;
}

static enum status set_release_work(struct applier *applier, struct owned *owned, void *subject,
                                    struct error *err)
{
    struct set_release *release = subject;
    int64_t others = owned->state.parked_count - (int64_t)release->rows.count;
    struct error why = ERROR_INIT;
    if (release->why.status != STATUS_OK)
        return release_failed_set(applier, release, others, &release->why, err);
    enum status status = release_write(applier, owned, release, &why);
    if (status == STATUS_REJECT || status == STATUS_STOP) {
        if (!release->set.is_part)
            return release_failed_set(applier, release, others, &why, err);
        release->why = why; /* the parts before it are written */
        return STATUS_AGAIN;
    }
    if (status != STATUS_OK) {
        *err = why;
        return status;
    }
    release->is_applied = true;
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
    if (!release->is_applied)
        return;
    size_t applied = applier_tally_parts(applier, release->tally);
    atomic_fetch_add(&applier->metrics->events_healed, applied);
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

/** Try it, until an attempt ends without the wish for another one. */
static enum status release_attempts(struct applier *applier, struct owned *owned,
                                    struct set_release *release, struct error *err)
{
    const struct set_release begun = *release;
    enum status status = STATUS_AGAIN;
    while (status == STATUS_AGAIN) {
        const struct set_release before = *release;
        block_set_done(&release->gone);
        *release = begun;
        release->is_singly = before.is_singly;
        release->why = before.why;
        release->fault = before.fault;
        memset(release->tally, 0, applier->mapping_count * sizeof *release->tally);
        status = applier_repair(applier, owned, set_release_work, release, err);
    }
    if (status == STATUS_OK) {
        set_release_advance(owned, release);
        set_release_report(applier, owned, release);
    }
    block_set_done(&release->gone);
    return status;
}

enum status applier_release_set(struct applier *applier, struct owned *owned,
                                const struct parked_record *head, struct error *err)
{
    struct set_release release = {.head = head, .why = ERROR_INIT};
    struct arena rows;
    arena_reset(&applier->arena);
    arena_init(&rows, ROWS_BYTES);
    release.tally = calloc(applier->mapping_count + 1, sizeof *release.tally);
    enum status status = release.tally == NULL ? applier_no_memory(err)
                                               : set_rows(applier, head, &rows, &release.rows, err);
    (void)applier_note(applier, status, err);
    bool is_first = release.rows.count > 0 && release.rows.records[0].parked_id == head->parked_id;
    if (status == STATUS_OK && !is_first)
        owned->retry.unordered = true; /* only the first record of a set may wait */
    release.set.may_move = is_first && release.rows.records[0].attempts >= MOVED_ATTEMPTS;
    if (status == STATUS_OK && release.set.may_move)
        status = applier_read_orders(applier, err);
    if (status == STATUS_OK && is_first)
        status = release_attempts(applier, owned, &release, err);
    free(release.tally);
    arena_done(&rows);
    applier_publish_metrics(applier, owned);
    return status;
}
