/* Gives each parked record of a partition its state: waiting, or behind another one. */
#include "consumer/apply/parked.h"

#include <stdio.h>
#include <stdlib.h>

#define ORDER_RECORDS 256 /* read at a time */
#define ORDER_EDITS   64  /* changed in one transaction */

/** Records whose state in the database is to change. */
struct order_edits {
    struct parked_record records[ORDER_EDITS];
    char reasons[ORDER_EDITS][ERROR_TEXT_SIZE];
    size_t count;
};

static enum status order_write(struct applier *applier, struct owned *owned, void *subject,
                               struct error *err)
{
    const struct order_edits *edits = subject;
    enum status status = STATUS_OK;
    (void)owned;
    for (size_t i = 0; i < edits->count && status == STATUS_OK; i++)
        status = applier->ops->edit_parked(applier->store, &edits->records[i], PARKED_ATTEMPT, err);
    return status;
}

/** Count a record, and add an edit where its state is not the right one. */
static enum status order_note(const struct parked_record *record, struct partition_state *found,
                              struct order_edits *edits, struct error *err)
{
    struct block_key key = block_key_stored(record->entity_type, record->entity_key,
                                            record->record.key);
    bool waits_for = block_set_has(&found->blocked, &key);
    enum parked_state state = record->state;
    if (waits_for && state == PARKED_WAITING)
        state = PARKED_BEHIND;
    else if (!waits_for && state == PARKED_BEHIND)
        state = PARKED_WAITING;
    found->parked_count++;
    found->parked_bytes += record->bytes;
    found->waiting_count += state == PARKED_WAITING;
    found->held_count += state == PARKED_HELD;
    if (state != record->state) {
        char *reason = edits->reasons[edits->count];
        (void)snprintf(reason, ERROR_TEXT_SIZE, "%.*s", SLICE_ARGS(record->reason));
        edits->records[edits->count++] = (struct parked_record){.parked_id = record->parked_id,
                                                                .state = state,
                                                                .reason = slice_of(reason),
                                                                .code = record->code,
                                                                .attempts = record->attempts};
    }
    return block_set_add(&found->blocked, &key, record->record.offset, err);
}

/** Read the parked records until all are counted, or until the edits are full. */
static enum status order_read(struct applier *applier, const struct owned *owned,
                              struct partition_state *found, struct order_edits *edits,
                              struct error *err)
{
    struct parked_filter filter = {.topic = owned->state.topic,
                                   .partition = owned->state.partition,
                                   .blocking = true,
                                   .without_value = true,
                                   .limit = ORDER_RECORDS};
    struct parked_records read = {.count = ORDER_RECORDS};
    enum status status = STATUS_OK;
    edits->count = 0;
    while (status == STATUS_OK && read.count == ORDER_RECORDS) {
        arena_reset(&applier->arena);
        status = applier->ops->read_parked(applier->store, &filter, &applier->arena, &read, err);
        for (size_t i = 0; i < read.count && status == STATUS_OK; i++) {
            if (edits->count == ORDER_EDITS)
                return STATUS_OK;
            status = order_note(&read.records[i], found, edits, err);
            filter.from_offset = read.records[i].record.offset + 1;
        }
    }
    return status;
}

enum status applier_order_parked(struct applier *applier, struct owned *owned, struct error *err)
{
    struct order_edits *edits = calloc(1, sizeof *edits);
    struct partition_state found = {0};
    if (edits == NULL)
        return applier_no_memory(err);
    enum status status = order_read(applier, owned, &found, edits, err);
    (void)applier_note(applier, status, err);
    if (status == STATUS_OK && edits->count > 0)
        status = applier_repair(applier, owned, order_write, edits, err);
    if (status == STATUS_OK && edits->count < ORDER_EDITS) {
        block_set_done(&owned->state.blocked);
        owned->state.blocked = found.blocked;
        owned->state.parked_count = found.parked_count;
        owned->state.parked_bytes = found.parked_bytes;
        owned->state.waiting_count = found.waiting_count;
        owned->state.held_count = found.held_count;
        owned->retry.unordered = false;
        queue_forget_scans(owned); /* their records may be gone */
        applier_publish_metrics(applier, owned);
        found.blocked = (struct block_set){0};
    }
    block_set_done(&found.blocked);
    free(edits);
    return status;
}
