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
