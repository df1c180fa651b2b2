/* Writes changes to MariaDB: a single one by itself, a longer run in bulk. */
#include "consumer/store/mariadb/internal.h"

#include "consumer/store/sql/apply.h"
#include "consumer/store/sql/limits.h"

#include <stdlib.h>

/* How a change is written. Two steps are an UPDATE, and an INSERT if that finds no row. */
enum way { WAY_DELETE, WAY_SPARSE, WAY_INSERT, WAY_UPSERT, WAY_TWO_STEPS, WAYS };

static enum way way_of(const struct mapped_table *table, const struct change *change)
{
    if (change->op == CHANGE_DELETE)
        return WAY_DELETE;
    bool complete = change_is_complete(change);
    if (change->is_there || (!complete && change->op == CHANGE_UPDATE))
        return WAY_SPARSE;
    if (complete && change->is_new)
        return WAY_INSERT;
    return complete && !table->has_other_keys ? WAY_UPSERT : WAY_TWO_STEPS;
}

static enum status write_form(struct mapped_table *table, enum row_form form,
                              const struct change *const *changes, size_t count, struct error *err)
{
    struct rows_written rows = {.form = form, .changes = changes, .count = count};
    return store_mariadb_write_rows(table, &rows, err);
}

/* A row that does not exist cannot be locked, so the service may insert it between the two steps.
 * After a duplicate key the UPDATE is tried again; if it finds no row, the duplicate is in another
 * unique index. */
static enum status write_two_steps(struct mapped_table *table, const struct change *change,
                                   struct error *err)
{
    struct rows_written update = {.form = ROW_UPDATE, .changes = &change, .count = 1};
    struct error duplicate = ERROR_INIT;
    enum status status = store_mariadb_write_rows(table, &update, err);
    if (status != STATUS_OK || update.matched > 0)
        return status;
    status = write_form(table, ROW_INSERT, &change, 1, &duplicate);
    if (status == STATUS_REJECT && duplicate.native_code == ER_DUP_ENTRY) {
        status = store_mariadb_write_rows(table, &update, err);
        if (status != STATUS_OK || update.matched > 0)
            return status;
        status = STATUS_REJECT;
    }
    if (status != STATUS_OK && err != NULL && err->status == STATUS_OK)
        *err = duplicate;
    return status;
}

static enum status write_one(struct mapped_table *table, const struct change *change,
                             struct error *err)
{
    struct rows_written update = {.form = ROW_UPDATE, .changes = &change, .count = 1};
    struct error upsert = ERROR_INIT;
    enum status status = STATUS_OK;
    switch (way_of(table, change)) {
    case WAY_DELETE:
        return write_form(table, ROW_DELETE, &change, 1, err);
    case WAY_INSERT:
        return write_form(table, ROW_INSERT, &change, 1, err);
    case WAY_SPARSE:
        status = store_mariadb_write_rows(table, &update, err);
        return status == STATUS_OK && update.matched == 0 ? sql_hold_no_row(table, change, err)
                                                          : status;
    case WAY_UPSERT:
        status = write_form(table, ROW_UPSERT, &change, 1, &upsert);
        if (status == STATUS_REJECT && upsert.native_code == ER_BAD_NULL_ERROR)
            break; /* a duplicate in another unique index: see row_upsert in row.sql */
        if (status != STATUS_OK && err != NULL)
            *err = upsert;
        return status;
    case WAY_TWO_STEPS:
    case WAYS:
        break;
    }
    return write_two_steps(table, change, err);
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

/* One UPDATE for each set of columns. `changes` is sorted by these sets. */
static enum status write_updates(struct mapped_table *table, const struct change **changes,
                                 size_t count, uint64_t *ret_matched, struct error *err)
{
    enum status status = STATUS_OK;
    *ret_matched = 0;
    for (size_t start = 0, end = 0; status == STATUS_OK && start < count; start = end) {
        struct rows_written rows = {.form = ROW_UPDATE, .changes = changes + start};
        for (size_t i = start; i < count; i++) {
            const struct change *same = changes[i];
            if (!has_same_columns(table->mapping->schema, changes[start], same))
                continue;
            changes[i] = changes[end];
            changes[end++] = same;
        }
        rows.count = end - start;
        status = store_mariadb_write_rows(table, &rows, err);
        *ret_matched += rows.matched;
    }
    return status;
}

/* UPDATE the rows that exist and INSERT the others. If only some exist, they are looked up. */
static enum status write_two_steps_bulk(struct mapped_table *table, const struct change **changes,
                                        size_t count, struct error *err)
{
    uint64_t matched = 0;
    size_t absent = 0;
    enum status status = write_updates(table, changes, count, &matched, err);
    if (status != STATUS_OK || matched == count)
        return status;
    if (matched == 0)
        return write_form(table, ROW_INSERT, changes, count, err);
    bool *present = calloc(count, sizeof *present);
    if (present == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    status = store_mariadb_find_rows(table, changes, count, present, err);
    for (size_t i = 0; i < count; i++) {
        if (!present[i])
            changes[absent++] = changes[i];
    }
    free(present);
    if (status == STATUS_OK && absent > 0)
        status = write_form(table, ROW_INSERT, changes, absent, err);
    return status;
}

static enum row_form way_form(enum way way)
{
    if (way == WAY_DELETE)
        return ROW_DELETE;
    return way == WAY_INSERT ? ROW_INSERT : ROW_UPSERT;
}

static enum status write_way(struct mapped_table *table, enum way way,
                             const struct change **changes, size_t count, struct error *err)
{
    uint64_t matched = 0;
    if (way == WAY_TWO_STEPS)
        return write_two_steps_bulk(table, changes, count, err);
    if (way != WAY_SPARSE)
        return write_form(table, way_form(way), changes, count, err);
    enum status status = write_updates(table, changes, count, &matched, err);
    if (status == STATUS_OK && matched != count)
        status = sql_hold_no_row(table, changes[0], err);
    return status;
}

/* No entity occurs twice, so the order matters only between rows that depend on each other. If that
 * makes the run fail, the applier writes its changes one by one. Deletes come first: the values of
 * unique columns that they free may be taken by other rows. */
static enum status write_bulk(struct mapped_table *table, const struct change *const *changes,
                              size_t count, struct error *err)
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
            status = write_way(table, (enum way)way, some, used, err);
    }
    free(some);
    return status;
}

/* In a table that keeps the order of all changes only neighbours that are written alike share a
 * statement. */
static bool keeps_turn(const struct mapped_table *table, const struct change *before,
                       const struct change *change)
{
    enum way way = way_of(table, change);
    return !table->keeps_order ||
           (way == way_of(table, before) && way != WAY_TWO_STEPS &&
            (way != WAY_SPARSE || has_same_columns(table->mapping->schema, before, change)));
}

struct run {
    struct mapped_table *table;
    const struct change *const *changes;
};

static bool segment_joins(void *context, size_t start, size_t index)
{
    const struct run *run = context;
    return index == start || keeps_turn(run->table, run->changes[index - 1], run->changes[index]);
}

static enum status segment_write(void *context, size_t start, size_t end, struct error *err)
{
    const struct run *run = context;
    return write_bulk(run->table, run->changes + start, end - start, err);
}

enum status store_mariadb_write(struct mapped_table *table, const struct change *const *changes,
                                size_t count, struct error *err)
{
    struct run run = {.table = table, .changes = changes};
    struct sql_segments segments = {
        .joins = segment_joins, .write = segment_write, .context = &run};
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        status = store_mariadb_judge_size(table, changes[i], err);
    if (status != STATUS_OK)
        return status;
    return count == 1 ? write_one(table, changes[0], err)
                      : sql_segments_write(&segments, changes, count, err);
}
