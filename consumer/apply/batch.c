/* Collects decoded events up to bounds in events and bytes, or up to a barrier. */
#include "consumer/apply/batch.h"
#include "common/stages.h"
#include "schemas/record/descriptions.h"

#include <stdlib.h>

#define BATCH_FIRST        256
#define BATCH_LEAST        16
#define BATCH_ARENA_FACTOR 16 /* decoded values take more memory than their JSON */

enum status batch_init(struct batch *batch, size_t count_max, size_t bytes_max,
                       size_t message_bytes_max, struct error *err)
{
    *batch = (struct batch){.count_max = count_max, .size = count_max, .bytes_max = bytes_max};
    size_t single = message_bytes_max > bytes_max ? message_bytes_max : bytes_max;
    arena_init(&batch->arena, 2 * BATCH_ARENA_FACTOR * single + ((size_t)16 << 20));
    batch->events = calloc(count_max, sizeof *batch->events);
    if (batch->events == NULL)
        return error_set(err, STATUS_FATAL, "no memory for a batch of %zu events", count_max);
    return descriptions_new(&batch->descriptions, err);
}

void batch_done(struct batch *batch)
{
    free(batch->events);
    descriptions_free(batch->descriptions);
    arena_done(&batch->arena);
    *batch = (struct batch){0};
}

void batch_reset(struct batch *batch)
{
    arena_reset(&batch->arena);
    batch->count = 0;
    batch->bytes = 0;
    batch->ended = false;
}

void batch_begin_small(struct batch *batch)
{
    if (batch->count_max > BATCH_FIRST)
        batch->count_max = BATCH_FIRST;
}

void batch_adapt(struct batch *batch, int64_t took_us, int64_t bound_us)
{
    size_t larger = batch->count_max + batch->count_max / 4 + 1;
    if (took_us > bound_us && batch->count_max > BATCH_LEAST)
        batch->count_max /= 2;
    else if (took_us < bound_us / 2 && batch->count >= batch->count_max)
        batch->count_max = larger < batch->size ? larger : batch->size;
}

bool batch_is_full(const struct batch *batch)
{
    return batch->ended || batch->count >= batch->count_max || batch->bytes >= batch->bytes_max ||
           batch->arena.used >= batch->arena.size_max / 2;
}

enum status batch_add(struct batch *batch, const struct record *record, size_t partition_index,
                      struct schema_finder finder, struct error *err)
{
    struct error decode = ERROR_INIT;
    const struct decoder decoder = {finder, &batch->arena, batch->descriptions};
    struct batch_event *event = &batch->events[batch->count];
    *event = (struct batch_event){0};
    STAGE_TIME(polled_us);
    event->decoded = record_decode(record, &decoder, &event->change, &decode);
    if (event->decoded == STATUS_RETRY || event->decoded == STATUS_FATAL)
        return error_set(err, STATUS_FATAL, "%s/%d offset %lld: %s", record->topic,
                         record->partition, (long long)record->offset, decode.text);
    event->reject = decode.reject;
    if (event->decoded != STATUS_OK)
        event->decode_error = arena_copy(&batch->arena, slice_of(decode.text));
    event->change.partition_index = partition_index;
    STAGE_STAMP(STAGE_POLLED, event->change.id, polled_us);
    batch->count++;
    batch->bytes += record->key.length + record->value.length;
    batch->ended = batch->ended || event->change.kind == KIND_BARRIER;
    return STATUS_OK;
}

enum status batch_add_row(struct batch *batch, const struct entity_schema *schema,
                          struct slice entity_key, struct slice value, struct error *err)
{
    struct batch_event *event = &batch->events[batch->count];
    const struct entity_row row = {.schema = schema,
                                   .entity_key = arena_copy(&batch->arena, entity_key),
                                   .value = arena_copy(&batch->arena, value)};
    *event = (struct batch_event){0};
    if (row.entity_key.data == NULL || row.value.data == NULL)
        return error_set(err, STATUS_RETRY, "no memory for a row");
    enum status status = change_of_row(&row, &batch->arena, &event->change, err);
    if (status != STATUS_OK)
        return status;
    batch->count++;
    batch->bytes += entity_key.length + value.length;
    return STATUS_OK;
}

void batch_remove(struct batch *batch, size_t partition_index)
{
    size_t left = 0;
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->events[i].change.partition_index != partition_index)
            batch->events[left++] = batch->events[i];
    }
    batch->count = left;
    if (left == 0)
        batch_reset(batch); /* what is gone fills it no more */
}

const struct batch_event *batch_last(const struct batch *batch)
{
    return &batch->events[batch->count - 1];
}
