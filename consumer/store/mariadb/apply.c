/* The MariaDB store's writing of changes: a run in bulk, and where that is rejected row by row. */
#include "consumer/store/mariadb/internal.h"

#include "common/buffer.h"
#include "common/digest.h"

#include <stdlib.h>

#define KEYS_SIZE_MAX ((size_t)256 * 1024 * 1024)

/* How the changes of a run are written; upserts in two steps where the table asks for it. */
enum way { WAY_DELETE, WAY_SPARSE, WAY_UPSERT, WAY_TWO_STEPS, WAYS };

static enum way way_of(const struct mapped_table *table, const struct change *change)
{
    if (change->op == CHANGE_DELETE)
        return WAY_DELETE;
    bool complete = change_is_complete(change);
    if (!complete && change->op == CHANGE_UPDATE)
        return WAY_SPARSE;
    return complete && table->upserts ? WAY_UPSERT : WAY_TWO_STEPS;
}

static enum status no_row(const struct mapped_table *table, const struct change *change,
                          struct error *err)
{
    bool first = err != NULL && err->status == STATUS_OK;
    enum status status = error_set(
        err, STATUS_REJECT, "%.*s %.*s: lacks columns, and there is no row to keep them from in %s",
        SLICE_ARGS(change->entity_type), SLICE_ARGS(change->entity_key), table->name);
    if (first)
        err->reject = REJECT_HELD;
    return status;
}

/* Nobody can lock a row that is not there: a duplicate after a missed UPDATE is the service's new
 * row as long as an UPDATE finds it, and another unique index's affair otherwise. */
static enum status write_two_steps(struct store_mariadb *self, struct mapped_table *table,
                                   const struct change *change, struct error *err)
{
    struct error duplicate = ERROR_INIT;
    uint64_t matched = 0;
    uint64_t inserted = 0;
    enum status status = store_mariadb_write(self, table, ROW_UPDATE, &change, 1, &matched, err);
    if (status != STATUS_OK || matched > 0)
        return status;
    status = store_mariadb_write(self, table, ROW_INSERT, &change, 1, &inserted, &duplicate);
    if (status == STATUS_REJECT && duplicate.native_code == ER_DUP_ENTRY) {
        status = store_mariadb_write(self, table, ROW_UPDATE, &change, 1, &matched, err);
        if (status != STATUS_OK || matched > 0)
            return status;
        status = STATUS_REJECT;
    }
    if (status != STATUS_OK && err != NULL && err->status == STATUS_OK)
        *err = duplicate;
    return status;
}

static enum status write_one(struct store_mariadb *self, struct mapped_table *table,
                             const struct change *change, struct error *err)
{
    struct error upsert = ERROR_INIT;
    uint64_t matched = 0;
    enum status status = STATUS_OK;
    switch (way_of(table, change)) {
    case WAY_DELETE:
        return store_mariadb_write(self, table, ROW_DELETE, &change, 1, &matched, err);
    case WAY_SPARSE:
        status = store_mariadb_write(self, table, ROW_UPDATE, &change, 1, &matched, err);
        return status == STATUS_OK && matched == 0 ? no_row(table, change, err) : status;
    case WAY_UPSERT:
        status = store_mariadb_write(self, table, ROW_UPSERT, &change, 1, &matched, &upsert);
        /* That is what the upsert makes of another index's duplicate. */
        if (status == STATUS_REJECT && upsert.native_code == ER_BAD_NULL_ERROR)
            break;
        if (status != STATUS_OK && err != NULL)
            *err = upsert;
        return status;
    case WAY_TWO_STEPS:
    case WAYS:
        break;
    }
    return write_two_steps(self, table, change, err);
}

static bool has_same_columns(const struct entity_schema *schema, const struct change *one,
                             const struct change *other)
{
    for (size_t i = 0; i < schema->column_count; i++) {
        if ((one->values[i].kind == VALUE_ABSENT) != (other->values[i].kind == VALUE_ABSENT))
            return false;
    }
    return true;
}

/* One UPDATE for each set of columns; `changes` is sorted by that. */
static enum status write_updates(struct store_mariadb *self, struct mapped_table *table,
                                 const struct change **changes, size_t count, uint64_t *ret_matched,
                                 struct error *err)
{
    enum status status = STATUS_OK;
    *ret_matched = 0;
    for (size_t start = 0, end = 0; status == STATUS_OK && start < count; start = end) {
        uint64_t matched = 0;
        for (size_t i = start; i < count; i++) {
            const struct change *same = changes[i];
            if (!has_same_columns(table->mapping->schema, changes[start], same))
                continue;
            changes[i] = changes[end];
            changes[end++] = same;
        }
        status = store_mariadb_write(self, table, ROW_UPDATE, changes + start, end - start,
                                     &matched, err);
        *ret_matched += matched;
    }
    return status;
}

/* UPDATE what is there, INSERT what is not; asks which only where it is some of them. */
static enum status write_two_steps_bulk(struct store_mariadb *self, struct mapped_table *table,
                                        const struct change **changes, size_t count,
                                        struct error *err)
{
    uint64_t matched = 0;
    size_t absent = 0;
    enum status status = write_updates(self, table, changes, count, &matched, err);
    if (status != STATUS_OK || matched == count)
        return status;
    if (matched == 0)
        return store_mariadb_write(self, table, ROW_INSERT, changes, count, &matched, err);
    bool *present = calloc(count, sizeof *present);
    if (present == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    status = store_mariadb_present(self, table, changes, count, present, err);
    for (size_t i = 0; i < count; i++) {
        if (!present[i])
            changes[absent++] = changes[i];
    }
    free(present);
    if (status == STATUS_OK && absent > 0)
        status = store_mariadb_write(self, table, ROW_INSERT, changes, absent, &matched, err);
    return status;
}

static enum status write_way(struct store_mariadb *self, struct mapped_table *table, enum way way,
                             const struct change **changes, size_t count, struct error *err)
{
    uint64_t matched = 0;
    if (way == WAY_TWO_STEPS)
        return write_two_steps_bulk(self, table, changes, count, err);
    if (way != WAY_SPARSE)
        return store_mariadb_write(self, table, way == WAY_DELETE ? ROW_DELETE : ROW_UPSERT,
                                   changes, count, &matched, err);
    enum status status = write_updates(self, table, changes, count, &matched, err);
    if (status == STATUS_OK && matched != count)
        status = no_row(table, changes[0], err);
    return status;
}

/* Entities differ, so only what happens between them tells one order from another: what that makes
 * fail, the applier does again one by one. Deletes first, as they make room. */
static enum status write_bulk(struct store_mariadb *self, struct mapped_table *table,
                              const struct change *const *changes, size_t count, struct error *err)
{
    const struct change **some = calloc(count, sizeof(const struct change *));
    enum status status = STATUS_OK;
    if (some == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    for (size_t way = 0; status == STATUS_OK && way < WAYS; way++) {
        size_t used = 0;
        for (size_t i = 0; i < count; i++) {
            if (way_of(table, changes[i]) == way)
                some[used++] = changes[i];
        }
        if (used > 0)
            status = write_way(self, table, (enum way)way, some, used, err);
    }
    free(some);
    return status;
}

/* Keys of the running segment, found by their digests. */
struct key_set {
    const struct mapped_table *table;
    struct buffer key;
    uint64_t *digests;
    size_t *owners; /* index of the change plus one */
    size_t size;    /* a power of two */
};

/* @return whether a change from `start` on has this key; it is then noted under `index`. Equal
 * digests of different keys only end a segment early. */
static bool key_set_add(struct key_set *set, const struct change *change, size_t index,
                        size_t start)
{
    buffer_reset(&set->key);
    store_mariadb_key(set->table, change, &set->key);
    uint64_t digest = digest_64(buffer_slice(&set->key));
    size_t at = (size_t)digest & (set->size - 1);
    while (set->owners[at] != 0 && set->digests[at] != digest)
        at = (at + 1) & (set->size - 1);
    bool found = set->owners[at] > start;
    set->owners[at] = index + 1;
    set->digests[at] = digest;
    return found;
}

/* Where every change has its turn only those share a statement that come one behind the other. */
static bool keeps_turn(const struct mapped_table *table, const struct change *before,
                       const struct change *change)
{
    enum way way = way_of(table, change);
    return !table->keeps_order ||
           (way == way_of(table, before) && way != WAY_TWO_STEPS &&
            (way != WAY_SPARSE || has_same_columns(table->mapping->schema, before, change)));
}

/* Write runs within which no entity occurs twice. */
static enum status write_segments(struct store_mariadb *self, struct mapped_table *table,
                                  const struct change *const *changes, size_t count,
                                  struct error *err)
{
    struct key_set set = {.table = table, .size = 64};
    enum status status = STATUS_OK;
    size_t start = 0;

    while (set.size < 2 * count)
        set.size *= 2;
    buffer_init(&set.key, KEYS_SIZE_MAX);
    set.digests = calloc(set.size, sizeof *set.digests);
    set.owners = calloc(set.size, sizeof *set.owners);
    if (set.digests == NULL || set.owners == NULL)
        status = error_set(err, STATUS_RETRY, "out of memory");
    for (size_t i = 0; status == STATUS_OK && i <= count; i++) {
        bool begins = i == count || key_set_add(&set, changes[i], i, start);
        if (!begins && (i == start || keeps_turn(table, changes[i - 1], changes[i])))
            continue;
        status = write_bulk(self, table, changes + start, i - start, err);
        start = i;
    }
    free(set.digests);
    free(set.owners);
    buffer_done(&set.key);
    return status;
}

/* The trigger of the table is silent while its name stands in the variable; a rollback to a
 * savepoint does not clear it, the rollback of the whole does. */
static enum status applying_set(struct store_mariadb *self, const char *name, struct error *err)
{
    enum status status = store_mariadb_run(self, STATEMENT_APPLYING,
                                           PARAMETERS(parameter_text(name)), NULL, err);
    self->applying = name != NULL || status != STATUS_OK;
    return status;
}

enum status store_mariadb_apply(struct store *store, const struct mapping *mapping,
                                const struct change *const *changes, size_t count,
                                struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    struct mapped_table *table = store_mariadb_table(self, slice_of(mapping->schema->entity_type));
    struct error cleared = ERROR_INIT;
    enum status status = STATUS_OK;

    if (table == NULL)
        return error_set(err, STATUS_FATAL, "\"%s\" was not prepared",
                         mapping->schema->entity_type);
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        status = store_mariadb_judge(self, table, changes[i], err);
    if (status != STATUS_OK)
        return status;
    if (mapping->published_here)
        status = applying_set(self, table->name, err);
    if (status == STATUS_OK && count == 1)
        status = write_one(self, table, changes[0], err);
    else if (status == STATUS_OK)
        status = write_segments(self, table, changes, count, err);
    if (self->applying && (status == STATUS_OK || status == STATUS_REJECT) &&
        applying_set(self, NULL, &cleared) != STATUS_OK) {
        if (err != NULL)
            *err = cleared;
        status = cleared.status;
    }
    return status;
}
