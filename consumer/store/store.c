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
