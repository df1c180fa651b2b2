/* Releases a parked change set: applies it whole, or none of it (rule 57). Its first record stands
 * for all of them, and waits when no record of another one is before it. */
#include "common/utf8.h"
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
#define MOVED_ATTEMPTS 2 /* by then it was tried once since it was parked */

/** One transaction's work on a set, and what came of it. A set with more bytes than fit in memory
 * is read and written in parts. */
struct set_release {
    const struct parked_record *head;
    size_t count;               /* its records */
    int64_t bytes;              /* of those */
    struct parked_records part; /* the records that are being written */
    struct set_writes set;      /* of that part */
    struct type_tally *tally;   /* one of each mapping */
    struct error why;           /* a part was refused: nothing is written, and that is recorded */
    bool is_singly;             /* writing in bulk was fatal */
    bool is_applied;            /* else it failed */
    bool is_held;               /* where it failed */
    size_t superseded;
    struct set_behind behind;
};

/** The records that are written next: a set within its limits is one part. */
struct set_part {
    struct set_rows rows;
    const struct parked_record *row; /* the first one behind the part; NULL: there is none */
    size_t first;                    /* the place of its first record in the set */
    int64_t first_offset;            /* of that record */
    size_t count;
};

/** Go on with the next part. */
static enum status part_next(struct applier *applier, struct set_part *part, struct error *err)
{
    const struct config_limits *limits = &applier->config->limits;
    int64_t most = limits->batch_bytes > limits->changeset_bytes ? limits->batch_bytes
                                                                 : limits->changeset_bytes;
    int64_t bytes = 0;
    enum status status = STATUS_OK;
    part->first += part->count;
    part->first_offset = part->row->record.offset;
    part->count = 0;
    while (status == STATUS_OK && part->row != NULL &&
           (part->count == 0 || bytes + part->row->bytes <= most)) {
        bytes += part->row->bytes;
        part->count++;
        status = set_rows_next(applier, &part->rows, &part->row, err);
    }
    return status;
}

/** Read the records of a part, whole, and note their entities. */
static enum status part_read(struct applier *applier, struct set_release *release,
                             const struct set_part *part, struct error *err)
{
    const struct parked_filter filter = {.partition = -1,
                                         .set_of = release->head,
                                         .from_offset = part->first_offset,
                                         .limit = part->count};
    arena_reset(&applier->arena);
    release->part = (struct parked_records){0};
    enum status status = applier->ops->read_parked(applier->store, &filter, &applier->arena,
                                                   &release->part, err);
    if (status == STATUS_OK && release->part.count != part->count)
        return error_set_native(err, STATUS_ABORT, 1, "a parked change set has changed");
    for (size_t i = 0; i < release->part.count && status == STATUS_OK; i++) {
        const struct parked_record *row = &release->part.records[i];
        struct block_key key = block_key_stored(row->entity_type, row->entity_key, row->record.key);
        status = block_set_add(&release->behind.entities, &key, 0, err);
    }
    return status;
}

/** Decode a part's records.
 * @param ret_fault  the place in the part of the record at fault.
 * @return OK; REJECT, STOP with the fault; RETRY; FATAL. */
static enum status part_decode(struct applier *applier, const struct owned *owned,
                               struct set_release *release, size_t *ret_fault, struct error *err)
{
    size_t count = release->part.count;
    enum status status = STATUS_OK;
    release->set.writes = arena_alloc(&applier->arena, count * sizeof *release->set.writes);
    if (release->set.writes == NULL)
        return applier_no_memory(err);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        struct change *change = NULL;
        *ret_fault = i;
        status = applier_decode(applier, &release->part.records[i].record, &change, err);
        if (status != STATUS_OK)
            return status;
        const struct mapping *mapping = applier_mapping(applier, change->entity_type);
        if (mapping == NULL || change->schema == NULL)
            return error_set(err, STATUS_REJECT, "its entity type is not configured under apply:");
        change->partition_index = (size_t)(owned - applier->owned);
        release->set.writes[i] = (struct write){.image = change, .mapping = mapping, .order = i};
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

/** Say which record of a part was refused, while it is in memory. @param fault  its place there, or
 * SET_FAULT_UNKNOWN. */
static void part_describe(const struct set_release *release, const struct set_part *part,
                          size_t fault, struct error *why)
{
    const struct error refused = *why;
    bool is_known = fault != SET_FAULT_UNKNOWN;
    const struct parked_record *record = &release->part.records[is_known ? fault : 0];
    const struct change named = {.entity_type = record->entity_type,
                                 .entity_key = record->entity_key};
    applier_describe_fault(is_known ? part->first + fault : SET_FAULT_UNKNOWN, release->count,
                           is_known ? &named : NULL, refused.text, why->text);
}

/** @param others  how many records of its partition are parked beside it. */
static enum status release_failed_set(struct applier *applier, struct set_release *release,
                                      int64_t others, const struct error *why, struct error *err)
{
    struct error told = *why;
    release->is_held = why->status != STATUS_REJECT || why->reject != REJECT_WAITING;
    if (!release->is_held && release->set.may_move && others > 0)
        utf8_format(told.text + strlen(told.text), sizeof told.text - strlen(told.text), "%s",
                    TRIED_ALONE);
    return applier_release_failed(applier, release->head, &told, err);
}

/** Write the part that is decoded.
 * @param ret_fault  the place in the part of what was refused, or SET_FAULT_UNKNOWN.
 * @return OK; REJECT and STOP with the fault; AGAIN (once more, singly, because it was fatal; or
 * because an own change came in between); RETRY; ABORT; FATAL. */
static enum status part_write(struct applier *applier, struct owned *owned,
                              struct set_release *release, size_t *ret_fault, struct error *err)
{
    struct set_writes *set = &release->set;
    *ret_fault = SET_FAULT_UNKNOWN;
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
        *ret_fault = set->writes[set->fault].order;
    if (status != STATUS_OK || applier->ops->excludes_writers)
        return status;
    status = release_supersede(applier, owned, release, false, err);
    return status == STATUS_OK && set->count < count ? STATUS_AGAIN : status;
}

/** Read and write one part. @return as part_write(); what was refused is described. */
static enum status release_part(struct applier *applier, struct owned *owned,
                                struct set_release *release, const struct set_part *part,
                                struct error *err)
{
    size_t fault = SET_FAULT_UNKNOWN;
    release->set.goes_on = part->row != NULL;
    release->set.is_part = part->first > 0 || release->set.goes_on;
    enum status status = part_read(applier, release, part, err);
    if (status == STATUS_OK)
        status = part_decode(applier, owned, release, &fault, err);
    if (status == STATUS_OK)
        status = part_write(applier, owned, release, &fault, err);
    if (status == STATUS_REJECT || status == STATUS_STOP)
        part_describe(release, part, fault, err);
    if (status == STATUS_OK)
        status = release_drop_images(applier, owned, release, err);
    for (size_t i = 0; status == STATUS_OK && i < release->set.count; i++)
        applier_tally_part(applier, release->set.writes[i].image, release->tally);
    return status;
}

/** Write the set, part by part. @return as part_write(). */
static enum status release_write(struct applier *applier, struct owned *owned,
                                 struct set_release *release, struct error *err)
{
    struct set_part part = {.count = 0};
    set_rows_begin(&part.rows, release->head);
    enum status status = set_rows_next(applier, &part.rows, &part.row, err);
    while (status == STATUS_OK && part.row != NULL) {
        status = part_next(applier, &part, err);
        if (status == STATUS_OK)
            status = release_part(applier, owned, release, &part, err);
    }
    set_rows_done(&part.rows);
    return status;
}

static enum status set_release_work(struct applier *applier, struct owned *owned, void *subject,
                                    struct error *err)
{
    struct set_release *release = subject;
    int64_t others = owned->state.parked_count - (int64_t)release->count;
    struct error why = ERROR_INIT;
    if (release->why.status != STATUS_OK)
        return release_failed_set(applier, release, others, &release->why, err);
    enum status status = applier->ops->take_time(applier->store, &why);
    if (status == STATUS_OK)
        status = release_write(applier, owned, release, &why);
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
    return status == STATUS_OK ? applier_promote_behind(applier, owned, &release->behind, err)
                               : status;
}

/** After the commit: the state without the set. */
static void set_release_advance(struct owned *owned, const struct set_release *release)
{
    struct partition_state *state = &owned->state;
    state->waiting_count += (int64_t)release->behind.promoted;
    state->waiting_count -= release->is_applied || release->is_held ? 1 : 0;
    state->held_count += release->is_held ? 1 : 0;
    if (!release->is_applied)
        return;
    state->parked_count -= (int64_t)release->count;
    state->parked_bytes -= release->bytes;
    if (state->blocked.unreadable_count > 0 || release->behind.is_unordered)
        owned->retry.unordered = true;
    block_set_subtract(&state->blocked, &release->behind.gone);
    owned->retry.pass.progress = owned->retry.pass.progress || release->behind.promoted > 0 ||
                                 release->behind.is_unordered;
    queue_forget_scans(owned); /* a set ends what may be replaced */
}

static void set_release_report(const struct applier *applier, struct owned *owned,
                               const struct set_release *release)
{
    const struct parked_record *head = release->head;
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
        release->count, head->record.topic, head->record.partition, (long long)head->record.offset,
        SLICE_ARGS(head->entity_type), SLICE_ARGS(head->entity_key), head->attempts + 1);
}

/** Try it, until an attempt ends without the wish for another one. */
static enum status release_attempts(struct applier *applier, struct owned *owned,
                                    struct set_release *release, struct error *err)
{
    const struct set_release begun = *release;
    enum status status = STATUS_AGAIN;
    while (status == STATUS_AGAIN) {
        const struct set_release before = *release;
        set_behind_done(&release->behind);
        *release = begun;
        release->is_singly = before.is_singly;
        release->why = before.why;
        memset(release->tally, 0, applier->mapping_count * sizeof *release->tally);
        status = applier_repair(applier, owned, set_release_work, release, err);
    }
    if (status == STATUS_OK) {
        set_release_advance(owned, release);
        set_release_report(applier, owned, release);
    }
    set_behind_done(&release->behind);
    return status;
}

/** Count its records. @return OK with whether `head` is the first of them. */
static enum status release_measure(struct applier *applier, struct set_release *release,
                                   bool *ret_first, struct error *err)
{
    const struct parked_record *row = NULL;
    struct set_rows rows;
    set_rows_begin(&rows, release->head);
    enum status status = set_rows_next(applier, &rows, &row, err);
    *ret_first = row != NULL && row->parked_id == release->head->parked_id;
    while (status == STATUS_OK && row != NULL) {
        release->count++;
        release->bytes += row->bytes;
        status = set_rows_next(applier, &rows, &row, err);
    }
    set_rows_done(&rows);
    return status;
}

enum status applier_release_set(struct applier *applier, struct owned *owned,
                                const struct parked_record *head, struct error *err)
{
    struct set_release release = {.head = head, .why = ERROR_INIT};
    bool is_first = false;
    release.tally = calloc(applier->mapping_count + 1, sizeof *release.tally);
    enum status status = release.tally == NULL ? applier_no_memory(err)
                                               : release_measure(applier, &release, &is_first, err);
    (void)applier_note(applier, status, err);
    if (status == STATUS_OK && !is_first)
        owned->retry.unordered = true; /* only the first record of a set may wait */
    release.set.may_move = is_first && head->attempts >= MOVED_ATTEMPTS;
    if (status == STATUS_OK && release.set.may_move)
        status = applier_read_orders(applier, err);
    if (status == STATUS_OK && is_first)
        status = release_attempts(applier, owned, &release, err);
    free(release.tally);
    applier_publish_metrics(applier, owned);
    return status;
}
