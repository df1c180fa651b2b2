/* Reads what is parked of one entity, its run, in pieces that memory and time allow: to write it,
 * and once before that to know what follows its first record. */
#include "consumer/apply/parked.h"
#include "consumer/apply/write.h"
#include "consumer/store/row.h"

#include "common/clock.h"
#include "common/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCANS_MAX 4096 /* entities of a partition that are remembered */

/** @return how many of the records fit in a batch; the first always does. */
static size_t run_fitting(const struct applier *applier, const struct parked_record *records,
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

struct parked_filter applier_run_filter(const struct owned *owned, const struct parked_record *of,
                                        int64_t from_offset, char ret_type[static STORE_NAME_SIZE])
{
    size_t length = of->entity_type.length < STORE_NAME_SIZE ? of->entity_type.length
                                                             : STORE_NAME_SIZE - 1;
    if (length > 0)
        memcpy(ret_type, of->entity_type.data, length);
    ret_type[length] = '\0';
    return (struct parked_filter){.topic = owned->state.topic,
                                  .partition = owned->state.partition,
                                  .entity_type = ret_type,
                                  .entity_key = store_or_empty(of->entity_key),
                                  .from_offset = from_offset,
                                  .blocking = true};
}

bool applier_is_behind_unreadable(const struct owned *owned, const struct parked_record *record)
{
    struct block_key key = block_key_stored(record->entity_type, record->entity_key,
                                            record->record.key);
    return block_set_first_unreadable(&owned->state.blocked, &key) < record->record.offset;
}

enum status applier_read_run(struct applier *applier, const struct owned *owned,
                             const struct parked_record *of, int64_t from_offset,
                             struct parked_record **ret_records, size_t *ret_count, bool *ret_more,
                             struct error *err)
{
    char type[STORE_NAME_SIZE];
    struct parked_record *all = NULL;
    size_t count = 0;
    *ret_count = 0;
    *ret_more = false;
    struct parked_filter filter = applier_run_filter(owned, of, from_offset, type);
    filter.without_value = true;
    filter.limit = RUN_RECORDS;
    enum status status = applier->ops->read_parked(applier->store, &filter, &applier->arena, &all,
                                                   &count, err);
    if (status != STATUS_OK || count == 0)
        return applier_note(applier, status, err);
    filter.without_value = false;
    filter.limit = run_fitting(applier, all, count);
    *ret_more = count == RUN_RECORDS || filter.limit < count;
    status = applier->ops->read_parked(applier->store, &filter, &applier->arena, ret_records,
                                       ret_count, err);
    return applier_note(applier, status, err);
}

void applier_forget_scans(struct owned *owned)
{
    for (size_t i = 0; i < owned->scan_count; i++)
        free(owned->scans[i].pieces);
    free(owned->scans);
    owned->scans = NULL;
    owned->scan_count = 0;
}

static struct run_scan *run_scan_of(struct owned *owned, const struct parked_record *head)
{
    uint64_t digest = digest_64(head->entity_type) ^ (31 * digest_64(head->entity_key) + 1);
    for (size_t i = 0; i < owned->scan_count; i++) {
        if (owned->scans[i].digest == digest)
            return &owned->scans[i];
    }
    if (owned->scan_count == SCANS_MAX)
        applier_forget_scans(owned);
    struct run_scan *grown = realloc(owned->scans, (owned->scan_count + 1) * sizeof *grown);
    if (grown == NULL)
        return NULL;
    owned->scans = grown;
    grown[owned->scan_count] = (struct run_scan){.digest = digest,
                                                 .next_offset = head->record.offset,
                                                 .last_own = -1,
                                                 .replacing = -1,
                                                 .replaced_from = INT64_MAX};
    return &owned->scans[owned->scan_count++];
}

/** A record that is held, or that cannot be read, has to be decided on before what stands behind
 * it may replace anything. */
static void run_scan_record(struct applier *applier, const struct owned *owned,
                            struct run_scan *scan, const struct parked_record *record)
{
    struct change *change = NULL;
    struct error ignored = ERROR_INIT;
    bool readable = applier_decode(applier, &record->record, &change, &ignored) == STATUS_OK &&
                    change->schema != NULL;
    scan->next_offset = record->record.offset + 1;
    if (readable && applier_is_own(applier, change))
        scan->last_own = record->record.offset;
    scan->closed = scan->closed || record->state == PARKED_HELD || !readable ||
                   applier_is_behind_unreadable(owned, record);
    if (!scan->closed && !applier_is_sparse(change)) {
        scan->replacing = record->record.offset;
        scan->replaced_from = INT64_MAX;
    }
}

/** Add a record to the last piece, or begin another one. @return false without memory. */
static bool run_scan_piece(const struct applier *applier, struct run_scan *scan,
                           const struct parked_record *record)
{
    struct run_piece *last = scan->piece_count == 0 ? NULL : &scan->pieces[scan->piece_count - 1];
    if (last == NULL || last->count == RUN_RECORDS ||
        last->bytes + record->bytes > applier->config->limits.batch_bytes) {
        struct run_piece *grown = realloc(scan->pieces, (scan->piece_count + 1) * sizeof *grown);
        if (grown == NULL)
            return false;
        scan->pieces = grown;
        last = &grown[scan->piece_count++];
        *last = (struct run_piece){.first_offset = record->record.offset};
    }
    last->count++;
    last->bytes += record->bytes;
    return true;
}

int64_t run_scan_piece_before(const struct run_scan *scan, int64_t offset)
{
    size_t count = scan->piece_count;
    while (count > 0 && scan->pieces[count - 1].first_offset >= offset)
        count--;
    return count == 0 ? -1 : scan->pieces[count - 1].first_offset;
}

enum status applier_scan_run(struct applier *applier, struct owned *owned,
                             const struct parked_record *head, int64_t until_us,
                             struct run_scan **ret_scan, struct error *err)
{
    struct run_scan *scan = run_scan_of(owned, head);
    bool more = true;
    *ret_scan = NULL;
    if (scan == NULL)
        return applier_no_memory(err);
    while (more) {
        struct parked_record *records = NULL;
        size_t count = 0;
        arena_reset(&applier->arena);
        enum status status = applier_read_run(applier, owned, head, scan->next_offset, &records,
                                              &count, &more, err);
        if (status != STATUS_OK)
            return status;
        for (size_t i = 0; i < count; i++) {
            if (!run_scan_piece(applier, scan, &records[i]))
                return applier_no_memory(err);
            run_scan_record(applier, owned, scan, &records[i]);
        }
        if (more && clock_monotonic_us() >= until_us)
            return STATUS_OK;
    }
    arena_reset(&applier->arena);
    *ret_scan = scan;
    return STATUS_OK;
}
