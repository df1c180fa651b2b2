/* What stores hand out: how it is named and how it is freed. */
#include "consumer/store/store.h"

#include <stdlib.h>

const char *mapping_table(const struct mapping *mapping)
{
    return mapping->entry->table == NULL ? mapping->schema->entity_type : mapping->entry->table;
}

void partition_state_done(struct partition_state *state)
{
    block_set_done(&state->blocked);
    free(state->sequences);
    state->sequences = NULL;
    state->sequence_count = 0;
}

uint64_t sequences_last(const struct sequence_state *sequences, size_t count, const char *source,
                        const char *incarnation)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(sequences[i].source, source) == 0 &&
            strcmp(sequences[i].incarnation, incarnation) == 0)
            return sequences[i].last;
    }
    return 0;
}

int64_t store_record_bytes(const struct record *record)
{
    size_t bytes = record->key.length + record->value.length;
    for (size_t i = 0; i < record->header_count; i++)
        bytes += record->headers[i].name.length + record->headers[i].value.length;
    return (int64_t)bytes;
}

static struct slice header_find(const struct record *record, const char *name)
{
    for (size_t i = 0; i < record->header_count; i++) {
        if (slice_is(record->headers[i].name, name))
            return record->headers[i].value;
    }
    return (struct slice){0};
}

struct record_sequence store_record_sequence(const struct record *record)
{
    static const struct record_sequence none = {.source = {"", 0}, .incarnation = {"", 0}};
    struct slice digits = header_find(record, "ce_sequence");
    struct record_sequence place = {.source = header_find(record, "ce_source"),
                                    .incarnation = header_find(record, "ce_incarnation")};
    if (digits.length == 0 || place.source.length > STORE_KEY_MAX ||
        place.incarnation.length != STORE_TOKEN_SIZE - 1)
        return none;
    for (size_t i = 0; i < digits.length; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9' || place.sequence > INT64_MAX / 10 - 1)
            return none;
        place.sequence = place.sequence * 10 + (digits.data[i] - '0');
    }
    return place;
}

bool parked_is_same_set(const struct parked_record *left, const struct parked_record *right)
{
    if (left->changeset_end == 0 || left->changeset_end != right->changeset_end ||
        left->record.partition != right->record.partition ||
        strcmp(left->record.topic, right->record.topic) != 0)
        return false;
    struct record_sequence left_place = store_record_sequence(&left->record);
    struct record_sequence right_place = store_record_sequence(&right->record);
    return slice_equal(left_place.source, right_place.source) &&
           slice_equal(left_place.incarnation, right_place.incarnation);
}
