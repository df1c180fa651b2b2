/* Gives each parked record of a partition its state: waiting, or behind another one. The first
 * record of a set stands for all of it; the others are behind that one. */
#include "common/utf8.h"
#include "consumer/apply/parked.h"
#include "consumer/apply/set.h"

#include <stdio.h>
#include <stdlib.h>

#define ORDER_RECORDS   256 /* read at a time */
#define ORDER_WRITE     64  /* changed in one transaction */
#define ORDER_EDITS     (ORDER_RECORDS + ORDER_WRITE)
#define ORDER_PASS      4096                /* changed in one pass, if it reads no more than .. */
#define ORDER_COST      32                  /* .. so many records for each: it lasts as long */
#define ORDER_SET_BYTES ((size_t)256 << 20) /* of one record without its value */

/** Records whose state in the database is to change. */
struct order_edits {
    struct parked_record records[ORDER_EDITS];
    char reasons[ORDER_EDITS][ERROR_TEXT_SIZE];
    size_t count;
    size_t written; /* of them */
};

/** What was found of a partition so far. */
struct order_found {
    struct partition_state state;
    struct order_edits *edits;
    int64_t edited;            /* how many were written */
    bool has_more;             /* the pass ended before all were read */
    struct arena arena;        /* that of the next field */
    struct parked_records set; /* the first record of the set that was met last */
};

static enum status order_write(struct applier *applier, struct owned *owned, void *subject,
                               struct error *err)
{
    struct order_edits *edits = subject;
    size_t end = edits->written + ORDER_WRITE;
    enum status status = STATUS_OK;
    (void)owned;
    while (edits->written < edits->count && edits->written < end && status == STATUS_OK)
        status = applier->ops->edit_parked(applier->store, &edits->records[edits->written++],
                                           PARKED_ATTEMPT, err);
    return status;
}

static struct block_key order_key(const struct parked_record *record)
{
    return block_key_stored(record->entity_type, record->entity_key, record->record.key);
}

/** Block a record's entity. @return OK with whether it waits. */
static enum status order_block(struct order_found *found, const struct parked_record *record,
                               bool *ret_waits, struct error *err)
{
    struct block_key key = order_key(record);
    *ret_waits = block_set_has(&found->state.blocked, &key);
    return block_set_add(&found->state.blocked, &key, record->record.offset, err);
}

/** Go through the entities of a set: find whether one of them waits, or block them.
 * @param ret_waits  NULL: block them. */
static enum status order_through_set(struct applier *applier, struct order_found *found,
                                     const struct parked_record *head, bool *ret_waits,
                                     struct error *err)
{
    const struct parked_record *row = NULL;
    struct set_rows rows;
    set_rows_begin(&rows, head);
    enum status status = set_rows_next(applier, &rows, &row, err);
    while (status == STATUS_OK && row != NULL && (ret_waits == NULL || !*ret_waits)) {
        struct block_key key = order_key(row);
        if (ret_waits != NULL)
            *ret_waits = block_set_has(&found->state.blocked, &key);
        else
            status = block_set_add(&found->state.blocked, &key, head->record.offset, err);
        if (status == STATUS_OK)
            status = set_rows_next(applier, &rows, &row, err);
    }
    set_rows_done(&rows);
    return status;
}

/** The same as order_block() for a record of a set: the set's first one brings all of its keys. */
static enum status order_block_set(struct applier *applier, struct order_found *found,
                                   const struct parked_record *record, bool *ret_waits,
                                   struct error *err)
{
    const struct parked_filter filter = {
        .partition = -1, .set_of = record, .without_value = true, .limit = 1};
    enum status status = STATUS_OK;
    *ret_waits = true; /* for the first one */
    if (found->set.count == 0 || !parked_is_same_set(&found->set.records[0], record)) {
        arena_reset(&found->arena);
        found->set = (struct parked_records){0};
        status = applier->ops->read_parked(applier->store, &filter, &found->arena, &found->set,
                                           err);
    }
    if (status != STATUS_OK || found->set.count == 0 ||
        found->set.records[0].parked_id != record->parked_id)
        return status;
    *ret_waits = false;
    status = order_through_set(applier, found, record, ret_waits, err);
    return status == STATUS_OK ? order_through_set(applier, found, record, NULL, err) : status;
}

/** Count a record, and add an edit where its state is not the right one. */
static enum status order_note(struct applier *applier, const struct parked_record *record,
                              struct order_found *found, struct error *err)
{
    struct order_edits *edits = found->edits;
    bool waits_for = false;
    enum parked_state state = record->state;
    enum status status = record->changeset_end != 0
                             ? order_block_set(applier, found, record, &waits_for, err)
                             : order_block(found, record, &waits_for, err);
    if (waits_for && state == PARKED_WAITING)
        state = PARKED_BEHIND;
    else if (!waits_for && state == PARKED_BEHIND)
        state = PARKED_WAITING;
    found->state.parked_count++;
    found->state.parked_bytes += record->bytes;
    found->state.waiting_count += state == PARKED_WAITING;
    found->state.held_count += state == PARKED_HELD;
    if (state != record->state) {
        char *reason = edits->reasons[edits->count];
        utf8_format(reason, ERROR_TEXT_SIZE, "%.*s", SLICE_ARGS(record->reason));
        edits->records[edits->count++] = (struct parked_record){.parked_id = record->parked_id,
                                                                .state = state,
                                                                .reason = slice_of(reason),
                                                                .code = record->code,
                                                                .attempts = record->attempts};
    }
    return status;
}

/** Write the edits, in short transactions. */
static enum status order_flush(struct applier *applier, struct owned *owned,
                               struct order_found *found, struct error *err)
{
    struct order_edits *edits = found->edits;
    enum status status = STATUS_OK;
    while (edits->written < edits->count && status == STATUS_OK)
        status = applier_repair(applier, owned, order_write, edits, err);
    found->edited += (int64_t)edits->count;
    edits->count = 0;
    edits->written = 0;
    return status;
}

/** The service beside the agent must get its turn, but to begin each time at the first record would
 * read the square of them: a pass that reads long may write as long. */
static bool order_is_over(const struct order_found *found)
{
    return found->edited >= ORDER_PASS && found->edited * ORDER_COST >= found->state.parked_count;
}

/** Read the parked records and give each its state, until all are counted or the pass is over. */
static enum status order_read(struct applier *applier, struct owned *owned,
                              struct order_found *found, struct error *err)
{
    struct parked_filter filter = {.topic = owned->state.topic,
                                   .partition = owned->state.partition,
                                   .blocking = true,
                                   .without_value = true,
                                   .limit = ORDER_RECORDS};
    struct parked_records read = {.count = ORDER_RECORDS};
    enum status status = STATUS_OK;
    while (status == STATUS_OK && read.count == ORDER_RECORDS && !order_is_over(found)) {
        arena_reset(&applier->arena);
        status = applier->ops->read_parked(applier->store, &filter, &applier->arena, &read, err);
        for (size_t i = 0; i < read.count && status == STATUS_OK; i++) {
            status = order_note(applier, &read.records[i], found, err);
            filter.from_offset = read.records[i].record.offset + 1;
        }
        (void)applier_note(applier, status, err);
        bool is_last = read.count < ORDER_RECORDS;
        if (status == STATUS_OK && (is_last || found->edits->count + ORDER_RECORDS > ORDER_EDITS))
            status = order_flush(applier, owned, found, err);
        found->has_more = !is_last;
    }
    return status;
}

enum status applier_order_parked(struct applier *applier, struct owned *owned, struct error *err)
{
    struct order_edits *edits = calloc(1, sizeof *edits);
    struct order_found found = {.edits = edits};
    if (edits == NULL)
        return applier_no_memory(err);
    arena_init(&found.arena, ORDER_SET_BYTES);
    enum status status = order_read(applier, owned, &found, err);
    if (status == STATUS_OK && !found.has_more) {
        block_set_done(&owned->state.blocked);
        owned->state.blocked = found.state.blocked;
        owned->state.parked_count = found.state.parked_count;
        owned->state.parked_bytes = found.state.parked_bytes;
        owned->state.waiting_count = found.state.waiting_count;
        owned->state.held_count = found.state.held_count;
        owned->retry.unordered = false;
        queue_forget_scans(owned); /* their records may be gone */
        applier_publish_metrics(applier, owned);
        found.state.blocked = (struct block_set){0};
    }
    block_set_done(&found.state.blocked);
    arena_done(&found.arena);
    free(edits);
    return status;
}
