/* Finds a store's back end by its URL, and frees what stores hand out. */
#include "consumer/store.h"

#include <stdlib.h>
#include <string.h>

const struct store_ops *store_find(const char *url)
{
    static const struct store_ops *const all[] = {&store_sqlite_ops, &store_postgresql_ops,
                                                  &store_mariadb_ops, &store_memory_ops};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        size_t length = strlen(all[i]->scheme);
        if (strncmp(url, all[i]->scheme, length) == 0 && url[length] == ':')
            return all[i];
    }
    return NULL;
}

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
