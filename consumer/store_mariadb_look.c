/* The MariaDB store's look at own changes that were not read back (rule 18). */
#include "consumer/store_mariadb_internal.h"

/* Changes found so far; past the limit it is not complete. */
struct look {
    struct store_mariadb *self;
    struct arena *arena;
    const struct own_change *entity;
    struct own_change *changes;
    size_t count;
    size_t size;
    size_t limit;
    bool complete;
};

static enum status look_grow(struct look *look, struct error *err)
{
    if (look->count < look->size)
        return STATUS_OK;
    size_t size = look->size == 0 ? 64 : look->size * 2;
    struct own_change *grown = arena_alloc(look->arena, size * sizeof *grown);
    if (grown == NULL)
        return error_set(err, STATUS_RETRY, "no memory for own changes");
    if (look->count > 0)
        memcpy(grown, look->changes, look->count * sizeof *grown);
    look->changes = grown;
    look->size = size;
    return STATUS_OK;
}

/* A waiting row's key may not be canonical yet: the relay makes it so with the claim. */
static enum status look_add(struct look *look, const char *entity_type, struct statement *statement,
                            bool numbered, struct error *err)
{
    struct own_change change = {.entity_type = slice_of(entity_type), .sequence = UINT64_MAX};
    struct slice canonical = {0};
    struct mapped_table *table = store_mariadb_table(look->self, change.entity_type);

    if (!store_mariadb_keep(statement, 0, look->arena, &change.entity_key))
        return error_set(err, STATUS_RETRY, "no memory for own changes");
    if (numbered) {
        change.sequence = (uint64_t)store_mariadb_integer(statement, 1);
    } else if (table != NULL) {
        struct error ignored = ERROR_INIT; /* the relay sets such a row aside, under this key */
        if (canonical_key(table->mapping->schema, change.entity_key, look->arena, &canonical,
                          &ignored) == STATUS_OK)
            change.entity_key = canonical;
    }
    if (look->entity != NULL && !slice_equal(look->entity->entity_key, change.entity_key))
        return STATUS_OK;
    if (look->count >= look->limit) {
        look->complete = false;
        return STATUS_OK;
    }
    enum status status = look_grow(look, err);
    if (status == STATUS_OK)
        look->changes[look->count++] = change;
    return status;
}

static enum status look_start(struct look *look, const struct look_range *range, bool numbered,
                              struct statement **ret_statement, bool *ret_row, struct error *err)
{
    struct parameter type = parameter_text(range->entity_type);
    struct parameter partition = parameter_integer(range->partition);
    struct parameter above = parameter_integer((int64_t)range->above);
    if (!numbered)
        return store_mariadb_start(look->self, STATEMENT_LOOK_WAITING, PARAMETERS(type),
                                   ret_statement, ret_row, err);
    if (look->entity != NULL)
        return store_mariadb_start(
            look->self, STATEMENT_LOOK_NUMBERED_ENTITY,
            PARAMETERS(partition, above, type, parameter_slice(look->entity->entity_key)),
            ret_statement, ret_row, err);
    return store_mariadb_start(
        look->self, STATEMENT_LOOK_NUMBERED,
        PARAMETERS(partition, above, type, parameter_integer((int64_t)look->limit + 1)),
        ret_statement, ret_row, err);
}

static enum status look_rows(struct look *look, const struct look_range *range, bool numbered,
                             struct error *err)
{
    struct statement *statement = NULL;
    bool row = false;
    enum status status = look_start(look, range, numbered, &statement, &row, err);
    while (status == STATUS_OK && row && look->complete) {
        status = look_add(look, range->entity_type, statement, numbered, err);
        if (status == STATUS_OK)
            status = store_mariadb_next(statement, &row, err);
    }
    store_mariadb_end(statement);
    return status;
}

enum status store_mariadb_look(struct store *store, const struct look_range *ranges, size_t count,
                               const struct own_change *entity, size_t limit, struct arena *arena,
                               struct own_change **ret_changes, size_t *ret_count,
                               bool *ret_complete, struct error *err)
{
    struct look look = {.self = store_mariadb_of(store),
                        .arena = arena,
                        .entity = entity,
                        .limit = limit,
                        .complete = true};
    enum status status = STATUS_OK;

    for (size_t i = 0; look.self->has_outbox && status == STATUS_OK && i < count; i++) {
        if (entity != NULL && !slice_is(entity->entity_type, ranges[i].entity_type))
            continue;
        bool seen = false; /* a type's waiting rows are read once */
        for (size_t j = 0; !seen && j < i; j++)
            seen = strcmp(ranges[i].entity_type, ranges[j].entity_type) == 0;
        if (!seen)
            status = look_rows(&look, &ranges[i], false, err);
        if (status == STATUS_OK && look.complete)
            status = look_rows(&look, &ranges[i], true, err);
    }
    store_mariadb_release(look.self);
    *ret_changes = look.changes;
    *ret_count = look.count;
    *ret_complete = look.complete;
    return status;
}
