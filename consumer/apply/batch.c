/* Collects decoded events up to bounds in events and bytes, or up to a barrier. */
#include "consumer/apply/batch.h"
#include "common/digest.h"
#include "common/stages.h"
#include "schemas/record/descriptions.h"

#include <stdlib.h>

#define BATCH_FIRST        256
#define BATCH_LEAST        16
#define BATCH_ARENA_FACTOR 16 /* decoded values take more memory than their JSON */

enum status batch_init(struct batch *batch, size_t count_max, size_t bytes_max,
                       size_t message_bytes_max, struct error *err)
{
    *batch = (struct batch){
        .count_max = count_max, .size = count_max, .room = count_max, .bytes_max = bytes_max};
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
    batch->has_sets = false;
    batch->has_large = false;
    batch->is_linked = false;
    batch->whole = 0;
    batch->kept = 0;
    batch->kept_bytes = 0;
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

bool batch_is_exhausted(const struct batch *batch)
{
    return batch->arena.used >= batch->arena.size_max / 2;
}

static bool batch_leaves_open(const struct batch_event *event)
{
    return event->change.changeset_end > event->change.sequence;
}

/** @return whether the last event of a partition is one that its change set goes on after. */
static bool batch_is_open_at(const struct batch *batch, size_t partition_index)
{
    for (size_t i = batch->has_sets ? batch->count : 0; i-- > 0;) {
        const struct batch_event *event = &batch->events[i];
        if (event->change.partition_index == partition_index && event->change.changeset_end != 0)
            return batch_leaves_open(event);
    }
    return false;
}

/* A set that has begun is read on to its end, however many events that are. */
bool batch_is_full(const struct batch *batch)
{
    bool is_large = batch->count - batch->kept >= batch->count_max ||
                    batch->bytes - batch->kept_bytes >= batch->bytes_max;
    return batch->ended || batch->has_large ||
           (is_large && !batch_leaves_open(batch_last(batch))) || batch_is_exhausted(batch);
}

bool batch_is_part(const struct batch *batch)
{
    return batch->count >= batch->count_max || batch->bytes >= batch->bytes_max ||
           batch_is_exhausted(batch);
}

bool batch_is_large_set(const struct batch *batch, const struct change *change)
{
    return batch->set_events_max > 0 && change->changeset_end > change->sequence &&
           change->changeset_end - change->sequence >= batch->set_events_max;
}

static uint64_t batch_source_digest(const struct change *change)
{
    return digest_64(change->source) ^ (31 * digest_64(change->incarnation) + 1);
}

void batch_note_late(struct batch *batch, const struct change *change)
{
    batch->late_digest = batch_source_digest(change);
    batch->late_end = change->changeset_end;
    batch->late_partition = change->partition_index;
}

static bool batch_is_late(const struct batch *batch, const struct change *change)
{
    return change->changeset_end == batch->late_end &&
           change->partition_index == batch->late_partition &&
           batch_source_digest(change) == batch->late_digest;
}

void batch_event_alone(struct batch_event *event, size_t index)
{
    event->set = index;
    event->set_next = SET_LAST;
    event->stop_offset = event->change.record.offset;
    event->fate = SET_WHOLE;
    event->is_open = false;
}

static enum status batch_make_room(struct batch *batch, struct error *err)
{
    if (batch->count < batch->room)
        return STATUS_OK;
    size_t room = 2 * batch->room + 1;
    struct batch_event *grown = realloc(batch->events, room * sizeof *grown);
    if (grown == NULL)
        return error_set(err, STATUS_FATAL, "no memory for a batch of %zu events", room);
    batch->events = grown;
    batch->room = room;
    return STATUS_OK;
}

static enum status batch_decode(struct batch *batch, const struct record *record,
                                size_t partition_index, struct schema_finder finder,
                                struct error *err)
{
    struct error decode = ERROR_INIT;
    const struct decoder decoder = {finder, &batch->arena, batch->descriptions};
    if (batch_make_room(batch, err) != STATUS_OK)
        return STATUS_FATAL;
    struct batch_event *event = &batch->events[batch->count];
    *event = (struct batch_event){0};
    event->decoded = record_decode(record, &decoder, &event->change, &decode);
    if (event->decoded == STATUS_RETRY || event->decoded == STATUS_FATAL)
        return error_set(err, STATUS_FATAL, "%s/%d offset %lld: %s", record->topic,
                         record->partition, (long long)record->offset, decode.text);
    event->reject = decode.reject;
    if (event->decoded != STATUS_OK)
        event->decode_error = arena_copy(&batch->arena, slice_of(decode.text));
    event->change.partition_index = partition_index;
    batch_event_alone(event, batch->count);
    bool ends = event->change.kind == KIND_BARRIER && !batch_is_open_at(batch, partition_index);
    batch->count++;
    batch->bytes += record->key.length + record->value.length;
    batch->ended = batch->ended || ends;
    batch->has_sets = batch->has_sets || event->change.changeset_end != 0;
    batch->has_large = batch->has_large || (batch_is_large_set(batch, &event->change) &&
                                            !batch_is_late(batch, &event->change));
    batch->is_linked = false;
    return STATUS_OK;
}

enum status batch_add(struct batch *batch, const struct record *record, size_t partition_index,
                      struct schema_finder finder, struct error *err)
{
    STAGE_TIME(polled_us);
    enum status status = batch_decode(batch, record, partition_index, finder, err);
    if (status == STATUS_OK)
        STAGE_STAMP(STAGE_POLLED, batch_last(batch)->change.id, polled_us);
    return status;
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

/** Take what `from` holds; the two change places. */
static void batch_swap(struct batch *batch, struct batch *from)
{
    struct batch held = *batch;
    *batch = *from;
    *from = held;
}

/* What is kept is decoded once more, because its memory is the batch's. */
enum status batch_keep(struct batch *batch, struct batch *next, struct schema_finder finder,
                       struct error *err)
{
    size_t left = 0;
    enum status status = STATUS_OK;
    if (batch->whole == batch->count)
        return STATUS_OK;
    if (batch->whole == 0)
        batch_swap(batch, next);
    for (size_t i = 0; i < batch->count && status == STATUS_OK; i++) {
        const struct batch_event *event = &batch->events[i];
        const struct record *record = &event->change.record;
        if (event->is_open)
            status = batch_decode(next, record, event->change.partition_index, finder, err);
        else
            batch->events[left++] = *event;
    }
    batch->count = left;
    batch->is_linked = false; /* its events have other places now */
    next->kept = next->count;
    next->kept_bytes = next->bytes;
    next->has_large = false;
    next->ended = false; /* a barrier in front of an open set's end does not end the batch */
    return status;
}

enum status batch_compact(struct batch *batch, struct batch *empty, struct schema_finder finder,
                          struct error *err)
{
    enum status status = STATUS_OK;
    batch_reset(empty);
    for (size_t i = 0; i < batch->count && status == STATUS_OK; i++) {
        const struct change *change = &batch->events[i].change;
        status = batch_decode(empty, &change->record, change->partition_index, finder, err);
    }
    if (status != STATUS_OK)
        return status;
    empty->kept = empty->count;
    empty->kept_bytes = empty->bytes;
    empty->has_large = false;
    empty->ended = false;
    batch_swap(batch, empty);
    batch_reset(empty);
    return STATUS_OK;
}

void batch_remove(struct batch *batch, size_t partition_index)
{
    batch_remove_from(batch, partition_index, INT64_MIN);
}

void batch_remove_from(struct batch *batch, size_t partition_index, int64_t offset)
{
    size_t left = 0;
    size_t kept = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct batch_event *event = &batch->events[i];
        bool stays = event->change.partition_index != partition_index ||
                     event->change.record.offset < offset;
        kept += stays && i < batch->kept;
        if (!stays)
            continue;
        batch->events[left] = *event;
        batch_event_alone(&batch->events[left], left); /* until its sets are found again */
        left++;
    }
    batch->kept = kept;
    batch->count = left;
    batch->has_large = false; /* a late record of one fills it no more */
    batch->is_linked = false;
    if (left == 0)
        batch_reset(batch); /* what is gone fills it no more */
}

const struct batch_event *batch_last(const struct batch *batch)
{
    return &batch->events[batch->count - 1];
}
