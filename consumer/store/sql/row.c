/* Fills positions, sequences, blocked entities and parked records from rows of any database. */
#include "consumer/store/sql/row.h"

#include <stdio.h>
#include <stdlib.h>

#define SCRATCH_MAX ((size_t)256 * 1024 * 1024) /* a key may be as large as a message */

static enum status out_of_memory(struct error *err)
{
    return error_set(err, STATUS_RETRY, "no memory for what the database keeps");
}

/* One more element at the end of an array; NULL without memory. */
static void *array_grow(void **array, size_t count, size_t size)
{
    char *grown = realloc(*array, (count + 1) * size);
    if (grown == NULL)
        return NULL;
    *array = grown;
    memset(grown + count * size, 0, size);
    return grown + count * size;
}

struct partition_state partition_state_named(const char *topic, int32_t partition)
{
    struct partition_state state = {.partition = partition, .anchor_offset = -1};
    (void)snprintf(state.topic, sizeof state.topic, "%s", topic);
    return state;
}

void store_row_position(const struct store_row *row, struct partition_state *state)
{
    row->copy(row, 0, state->topic, sizeof state->topic);
    state->partition = (int32_t)row->integer(row, 1);
    state->next_offset = row->integer(row, 2);
    state->durable_offset = row->integer(row, 3);
    state->epoch = row->integer(row, 4);
    state->revision = row->integer(row, 5);
    row->copy(row, 6, state->token, sizeof state->token);
    state->anchor_offset = row->integer(row, 7);
    row->copy(row, 8, state->anchor_id, sizeof state->anchor_id);
    row->copy(row, 9, state->cluster_id, sizeof state->cluster_id);
    state->partition_count = (int32_t)row->integer(row, 10);
    state->partial = row->integer(row, 11) != 0;
    row->copy(row, 12, state->stopped, sizeof state->stopped);
    state->filled_to = row->integer(row, 13);
    state->exists = true;
}

enum status store_row_add_state(const struct store_row *row, struct partition_state **states,
                                size_t *count, struct error *err)
{
    void *array = *states;
    struct partition_state *state = array_grow(&array, *count, sizeof *state);
    *states = array;
    if (state == NULL)
        return out_of_memory(err);
    store_row_position(row, state);
    (*count)++;
    return STATUS_OK;
}

enum status store_row_add_sequence(const struct store_row *row, struct partition_state *state,
                                   struct error *err)
{
    struct slice digests;
    struct arena scratch;
    void *array = state->sequences;
    struct sequence_state *sequence = array_grow(&array, state->sequence_count, sizeof *sequence);
    state->sequences = array;
    if (sequence == NULL)
        return out_of_memory(err);
    state->sequence_count++;
    row->copy(row, 0, sequence->source, sizeof sequence->source);
    row->copy(row, 1, sequence->incarnation, sizeof sequence->incarnation);
    sequence->base = (uint64_t)row->integer(row, 2);
    sequence->last = (uint64_t)row->integer(row, 3);
    row->copy(row, 4, sequence->last_id, sizeof sequence->last_id);
    arena_init(&scratch, SCRATCH_MAX);
    bool kept = row->keep(row, 5, &scratch, &digests);
    if (kept && digests.length == sizeof sequence->digests)
        memcpy(sequence->digests, digests.data, sizeof sequence->digests);
    arena_done(&scratch);
    return kept ? STATUS_OK : out_of_memory(err);
}

enum status store_row_add_blocked(const struct store_row *row, struct partition_state *state,
                                  struct error *err)
{
    struct slice type;
    struct slice entity_key;
    struct slice record_key;
    struct arena scratch;
    arena_init(&scratch, SCRATCH_MAX);
    enum status status = STATUS_OK;
    if (!row->keep(row, 0, &scratch, &type) || !row->keep(row, 1, &scratch, &entity_key) ||
        !row->keep(row, 2, &scratch, &record_key))
        status = out_of_memory(err);
    if (status == STATUS_OK) {
        struct block_key key = block_key_stored(type, entity_key, record_key);
        status = block_set_add(&state->blocked, &key, row->integer(row, 3), err);
    }
    arena_done(&scratch);
    return status;
}

enum status store_row_place(const struct store_row *row, struct place *place, struct error *err)
{
    struct slice name;
    struct arena scratch;
    place->has_table = row->integer(row, 0) != 0;
    place->has_column = row->integer(row, 1) != 0;
    row->copy(row, 3, place->recorded, sizeof place->recorded);
    arena_init(&scratch, SCRATCH_MAX);
    bool kept = row->keep(row, 2, &scratch, &name);
    if (kept)
        place_set_name(place, name);
    arena_done(&scratch);
    return kept ? STATUS_OK : out_of_memory(err);
}

void store_row_counts(const struct store_row *row, struct partition_state *state)
{
    state->parked_count = row->integer(row, 0);
    state->waiting_count = row->integer(row, 1);
    state->parked_bytes = row->integer(row, 2);
    state->held_count = row->integer(row, 3);
}

/* Six columns from `first` on: topic, partition, offset, key, value, headers. */
static enum status record_fill(const struct store_row *row, int first, struct arena *arena,
                               struct record *record, struct error *err)
{
    struct slice topic;
    struct slice headers;
    struct header *unpacked = NULL;

    record->partition = (int32_t)row->integer(row, first + 1);
    record->offset = row->integer(row, first + 2);
    if (!row->keep(row, first, arena, &topic) || !row->keep(row, first + 3, arena, &record->key) ||
        !row->keep(row, first + 4, arena, &record->value) ||
        !row->keep(row, first + 5, arena, &headers))
        return out_of_memory(err);
    record->topic = topic.data;
    if (headers.data == NULL)
        return STATUS_OK;
    enum status status = headers_unpack(headers, arena, &unpacked, &record->header_count, err);
    record->headers = unpacked;
    return status;
}

/* A place for one more record. */
static struct parked_record *parked_grow(struct parked_records *list, struct arena *arena)
{
    if (list->count == list->size) {
        size_t larger = list->size == 0 ? 16 : list->size * 2;
        struct parked_record *grown = arena_alloc(arena, larger * sizeof *grown);
        if (grown == NULL)
            return NULL;
        if (list->count > 0)
            memcpy(grown, list->records, list->count * sizeof *grown);
        list->records = grown;
        list->size = larger;
    }
    return &list->records[list->count];
}

enum status store_row_add_parked(const struct store_row *row, struct arena *arena,
                                 struct parked_records *list, struct error *err)
{
    struct parked_record *parked = parked_grow(list, arena);
    if (parked == NULL)
        return out_of_memory(err);
    *parked = (struct parked_record){.parked_id = row->integer(row, 0),
                                     .state = (enum parked_state)row->integer(row, 9),
                                     .code = (int)row->integer(row, 11),
                                     .attempts = (int)row->integer(row, 12),
                                     .parked_at_us = row->integer(row, 13),
                                     .next_attempt_us = row->integer(row, 14),
                                     .bytes = row->integer(row, 15),
                                     .changeset_end = (uint64_t)row->integer(row, 16)};
    if (!row->keep(row, 7, arena, &parked->entity_type) ||
        !row->keep(row, 8, arena, &parked->entity_key) ||
        !row->keep(row, 10, arena, &parked->reason))
        return out_of_memory(err);
    enum status status = record_fill(row, 1, arena, &parked->record, err);
    list->count += status == STATUS_OK;
    return status;
}

enum status store_row_image(const struct store_row *row, struct arena *arena,
                            struct superseded_image *ret_image, struct error *err)
{
    if (!row->keep(row, 6, arena, &ret_image->entity_type) ||
        !row->keep(row, 7, arena, &ret_image->entity_key))
        return out_of_memory(err);
    return record_fill(row, 0, arena, &ret_image->record, err);
}

enum status store_record_headers(const struct record *record, struct arena *arena,
                                 struct slice *ret_blob, struct error *err)
{
    *ret_blob = (struct slice){0};
    if (record->header_count == 0)
        return STATUS_OK;
    *ret_blob = headers_pack(record->headers, record->header_count, arena);
    return ret_blob->data == NULL ? out_of_memory(err) : STATUS_OK;
}
