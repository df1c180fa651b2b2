/* Finds a store's back end by its URL, and frees what stores hand out. */
#include "consumer/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

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

/* @return how many records of a topic were read, all of its partitions together. */
static enum status store_records_read(struct store *store, const char *topic, int64_t *ret_read,
                                      struct error *err)
{
    struct partition_state *states = NULL;
    size_t count = 0;
    enum status status = store->ops->list(store, &states, &count, err);
    *ret_read = 0;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        if (strcmp(states[i].topic, topic) == 0)
            *ret_read += states[i].next_offset;
    }
    free(states);
    return status;
}

enum status store_prepare(struct store *store, const struct mapping *mapping, struct error *err)
{
    const char *topic = mapping->entry->topic;
    int64_t read = 0;
    bool has = false;
    enum status status = store->ops->has_table(store, mapping, &has, err);
    if (status == STATUS_OK && !has)
        status = store_records_read(store, topic, &read, err);
    if (status != STATUS_OK)
        return status;
    if (read == 0)
        return store->ops->prepare(store, mapping, err);
    if (err != NULL && err->status == STATUS_OK)
        err->exit_code = EX_CONFIG;
    return error_set(err, STATUS_FATAL,
                     "there is no table \"%s\" for %s, but %" PRId64 " records of topic %s were "
                     "read: a new table would lack them. Give it the name that the old one has, or "
                     "restore it; apply into an empty database to have them all; or create it by "
                     "hand, for a copy that begins here",
                     mapping_table(mapping), mapping->schema->entity_type, read, topic);
}

const char *mapping_table(const struct mapping *mapping)
{
    return mapping->entry->table == NULL ? mapping->schema->entity_type : mapping->entry->table;
}

void partition_state_done(struct partition_state *state)
{
    for (size_t i = 0; i < state->blocked_count; i++) {
        free(state->blocked[i].entity_type);
        free(state->blocked[i].entity_key);
    }
    free(state->blocked);
    free(state->sequences);
    state->blocked = NULL;
    state->blocked_count = 0;
    state->sequences = NULL;
    state->sequence_count = 0;
}
