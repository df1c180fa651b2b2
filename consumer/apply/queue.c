/* Reads what is parked of one entity, its queue, part by part as memory and time allow. It is read
 * once to know what follows its first record, and again to release it. */
#include "consumer/apply/parked.h"
#include "consumer/apply/write.h"

#include "common/clock.h"
#include "common/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCANS_MAX 4096 /* of a partition; then it begins anew */

/** @return how many of the records fit in a batch's bytes; one always does. */
static size_t queue_fitting(const struct applier *applier, const struct parked_record *records,
                            size_t count)
{
    int64_t bytes = 0;
    size_t fitting = 0;
    while (fitting < count) {
        bytes += records[fitting].bytes;
        if (fitting > 0 && bytes > applier->config->limits.batch_bytes)
            break;
        fitting++;
    }
    return fitting;
}

struct parked_filter queue_filter(const struct queue *queue, int64_t from_offset,
                                  char ret_type[static STORE_NAME_SIZE])
{
    struct slice type = queue->head->entity_type;
    (void)snprintf(ret_type, STORE_NAME_SIZE, "%.*s", SLICE_ARGS(type));
    return (struct parked_filter){.topic = queue->owned->state.topic,
                                  .partition = queue->owned->state.partition,
                                  .entity_type = ret_type,
                                  .entity_key = store_or_empty(queue->head->entity_key),
                                  .from_offset = from_offset,
                                  .blocking = true};
}

bool applier_is_behind_unreadable(const struct owned *owned, const struct parked_record *record)
{
    struct block_key key = block_key_stored(record->entity_type, record->entity_key,
                                            record->record.key);
    return block_set_first_unreadable(&owned->state.blocked, &key) < record->record.offset;
}

enum status queue_read(struct applier *applier, const struct queue *queue, int64_t from_offset,
                       struct queue_part *ret_part, struct error *err)
{
    char type[STORE_NAME_SIZE];
    struct parked_records all = {0};
    struct parked_records fitting = {0};
    *ret_part = (struct queue_part){.count = 0};
    struct parked_filter filter = queue_filter(queue, from_offset, type);
    filter.without_value = true;
    filter.limit = QUEUE_RECORDS;
    enum status status = applier->ops->read_parked(applier->store, &filter, &applier->arena, &all,
                                                   err);
    if (status != STATUS_OK || all.count == 0)
        return applier_note(applier, status, err);
    filter.without_value = false;
    filter.limit = queue_fitting(applier, all.records, all.count);
    ret_part->has_more = all.count == QUEUE_RECORDS || filter.limit < all.count;
    status = applier->ops->read_parked(applier->store, &filter, &applier->arena, &fitting, err);
    ret_part->records = fitting.records;
    ret_part->count = fitting.count;
    return applier_note(applier, status, err);
}

void queue_forget_scans(struct owned *owned)
{
    for (size_t i = 0; i < owned->retry.scan_count; i++)
        free(owned->retry.scans[i].pieces);
    free(owned->retry.scans);
    owned->retry.scans = NULL;
    owned->retry.scan_count = 0;
}

static struct queue_scan *queue_scan_of(const struct queue *queue)
{
    const struct parked_record *head = queue->head;
    struct retry_state *retry = &queue->owned->retry;
    uint64_t digest = digest_64(head->entity_type) ^ (31 * digest_64(head->entity_key) + 1);
    for (size_t i = 0; i < retry->scan_count; i++) {
        if (retry->scans[i].digest == digest)
            return &retry->scans[i];
    }
    if (retry->scan_count == SCANS_MAX)
        queue_forget_scans(queue->owned);
    struct queue_scan *grown = realloc(retry->scans, (retry->scan_count + 1) * sizeof *grown);
    if (grown == NULL)
        return NULL;
    retry->scans = grown;
    grown[retry->scan_count] = (struct queue_scan){.digest = digest,
                                                   .next_offset = head->record.offset,
                                                   .last_own = -1,
                                                   .replacing = -1,
                                                   .replaced_from = INT64_MAX};
    return &retry->scans[retry->scan_count++];
}

/** Note what a record means for the queue. After one that is held or cannot be read, no record
 * replaces anything: an operator decides first. */
static void queue_scan_record(struct applier *applier, const struct owned *owned,
                              struct queue_scan *scan, const struct parked_record *record)
{
    struct change *change = NULL;
    struct error ignored = ERROR_INIT;
    bool readable = applier_decode(applier, &record->record, &change, &ignored) == STATUS_OK &&
                    change->schema != NULL;
    scan->next_offset = record->record.offset + 1;
    if (readable && applier_is_own(applier, change))
        scan->last_own = record->record.offset;
    scan->closed = scan->closed || record->state == PARKED_HELD || !readable ||
                   record->changeset_end != 0 || /* no part of a set is replaced */
                   applier_is_behind_unreadable(owned, record);
    if (!scan->closed && !applier_is_sparse(change)) {
        scan->replacing = record->record.offset;
        scan->replaced_from = INT64_MAX;
    }
}

/** Add a record to the last piece, or begin another one. @return false without memory. */
static bool queue_scan_piece(const struct applier *applier, struct queue_scan *scan,
                             const struct parked_record *record)
{
    struct queue_piece *last = scan->piece_count == 0 ? NULL : &scan->pieces[scan->piece_count - 1];
    if (last == NULL || last->count == QUEUE_RECORDS ||
        last->bytes + record->bytes > applier->config->limits.batch_bytes) {
        struct queue_piece *grown = realloc(scan->pieces, (scan->piece_count + 1) * sizeof *grown);
        if (grown == NULL)
            return false;
        scan->pieces = grown;
        last = &grown[scan->piece_count++];
        *last = (struct queue_piece){.first_offset = record->record.offset};
    }
    last->count++;
    last->bytes += record->bytes;
    return true;
}

int64_t queue_piece_before(const struct queue_scan *scan, int64_t offset)
{
    size_t count = scan->piece_count;
    while (count > 0 && scan->pieces[count - 1].first_offset >= offset)
        count--;
    return count == 0 ? -1 : scan->pieces[count - 1].first_offset;
}

enum status queue_scan_on(struct applier *applier, const struct queue *queue, int64_t until_us,
                          struct queue_scan **ret_scan, struct error *err)
{
    struct queue_scan *scan = queue_scan_of(queue);
    struct queue_part part = {.has_more = true};
    *ret_scan = NULL;
    if (scan == NULL)
        return applier_no_memory(err);
    while (part.has_more) {
        arena_reset(&applier->arena);
        enum status status = queue_read(applier, queue, scan->next_offset, &part, err);
        if (status != STATUS_OK)
            return status;
        for (size_t i = 0; i < part.count; i++) {
            if (!queue_scan_piece(applier, scan, &part.records[i]))
                return applier_no_memory(err);
            queue_scan_record(applier, queue->owned, scan, &part.records[i]);
        }
        if (part.has_more && clock_monotonic_us() >= until_us)
            return STATUS_OK;
    }
    arena_reset(&applier->arena);
    *ret_scan = scan;
    return STATUS_OK;
}
