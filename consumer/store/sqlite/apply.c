/* The SQLite store's writing of changes. */
#include "consumer/store/sqlite/internal.h"

#include <math.h>

static int value_bind(sqlite3_stmt *statement, int index, enum column_type type,
                      const struct value *value)
{
    const char *data = value->text.data;
    switch (value->kind) {
    case VALUE_INTEGER:
        return sqlite3_bind_int64(statement, index, value->integer);
    case VALUE_DOUBLE:
        return sqlite3_bind_double(statement, index, value->number);
    case VALUE_BOOLEAN:
        return sqlite3_bind_int(statement, index, value->boolean);
    case VALUE_TEXT:
        if (data == NULL || value->text.length == 0)
            data = ""; /* a null pointer would bind NULL */
        if (type == COLUMN_BYTES)
            return sqlite3_bind_blob64(statement, index, data, value->text.length, SQLITE_STATIC);
        return sqlite3_bind_text64(statement, index, data, value->text.length, SQLITE_STATIC,
                                   SQLITE_UTF8);
    case VALUE_ABSENT:
    case VALUE_NULL:
        break;
    }
    return sqlite3_bind_null(statement, index);
}

static enum status reject_held(struct error *err, const char *format, const struct change *change,
                               const char *name)
{
    bool first = err != NULL && err->status == STATUS_OK;
    char text[ERROR_TEXT_SIZE];
    (void)sqlite3_snprintf(sizeof text, text, "%.*s %.*s", SLICE_ARGS(change->entity_type),
                           SLICE_ARGS(change->entity_key));
    enum status status = error_set(err, STATUS_REJECT, "%s: %s %s", text, format, name);
    if (first)
        err->reject = REJECT_HELD;
    return status;
}

/* The statement for the columns that this change brings. */
static enum status statement_for(struct store_sqlite *self, struct mapped_table *table,
                                 const struct change *change, struct row_statement **ret_statement,
                                 struct error *err)
{
    const struct entity_schema *schema = table->mapping->schema;
    bool complete = true;

    for (size_t i = 0; i < schema->key_count; i++) {
        enum value_kind kind = change->values[schema->key_columns[i]].kind;
        if (kind == VALUE_ABSENT || kind == VALUE_NULL)
            return reject_held(err, "has no value for the key column", change,
                               schema->columns[schema->key_columns[i]].name);
    }
    *ret_statement = &table->removal;
    if (change->op == CHANGE_DELETE)
        return STATUS_OK;
    for (size_t i = 0; i < schema->column_count; i++) {
        const struct value *value = &change->values[i];
        complete = complete && value->kind != VALUE_ABSENT;
        if (value->kind == VALUE_DOUBLE && !isfinite(value->number))
            return reject_held(err, "has no finite number in", change, schema->columns[i].name);
        if (value->kind == VALUE_DOUBLE && value->number == 0 && signbit(value->number))
            return reject_held(err, "has a zero below zero, which SQLite writes as 0, in", change,
                               schema->columns[i].name);
    }
    *ret_statement = &table->full;
    if (complete)
        return STATUS_OK;
    struct row_statement *sparse = &table->sparse;
    bool present[ENTITY_COLUMNS_MAX] = {false};
    for (size_t i = 0; i < schema->column_count; i++)
        present[i] = change->values[i].kind != VALUE_ABSENT;
    enum row_form form = change->op == CHANGE_UPDATE ? ROW_UPDATE : ROW_UPSERT;
    *ret_statement = sparse;
    if (sparse->statement != NULL && sparse->form == form &&
        memcmp(sparse->present, present, sizeof present) == 0)
        return STATUS_OK;
    sparse->form = form;
    memcpy(sparse->present, present, sizeof present);
    return store_sqlite_row_prepare(self, table, sparse, err);
}

/* SQLite has one code for a broken schema and for what a function in a trigger, a check or a
 * generated column makes of a row ("malformed JSON"). Where the statement compiles, it is the row.
 */
static enum status row_fail(struct store_sqlite *self, sqlite3_stmt *statement, int code,
                            const char *table, struct error *err)
{
    sqlite3_stmt *again = NULL;
    bool first = err != NULL && err->status == STATUS_OK;
    enum status status = store_sqlite_fail(self, code, table, err);
    if (!first || (code & 0xff) != SQLITE_ERROR || sqlite3_get_autocommit(self->database))
        return status;
    if (sqlite3_prepare_v2(self->database, sqlite3_sql(statement), -1, &again, NULL) == SQLITE_OK) {
        status = err->status = STATUS_REJECT;
        err->reject = REJECT_HELD;
    }
    (void)sqlite3_finalize(again);
    return status;
}

static enum status write_row(struct store_sqlite *self, struct mapped_table *table,
                             const struct change *change, struct error *err)
{
    const struct entity_schema *schema = table->mapping->schema;
    struct row_statement *row = NULL;
    int code = SQLITE_OK;
    enum status status = statement_for(self, table, change, &row, err);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; code == SQLITE_OK && i < row->count; i++) {
        size_t column = row->order[i];
        code = value_bind(row->statement, (int)i + 1, schema->columns[column].type,
                          &change->values[column]);
    }
    if (code == SQLITE_OK)
        while ((code = sqlite3_step(row->statement)) == SQLITE_ROW)
            continue;
    if (code != SQLITE_DONE)
        status = row_fail(self, row->statement, code, table->name, err);
    else if (row->form == ROW_UPDATE && sqlite3_changes64(self->database) == 0)
        status = reject_held(err, "lacks columns, and there is no row to keep them from in", change,
                             table->name);
    (void)sqlite3_reset(row->statement);
    (void)sqlite3_clear_bindings(row->statement);
    return status;
}

enum status store_sqlite_check_deferred(struct store_sqlite *self, const char *what,
                                        struct error *err)
{
    int violations = 0;
    int highest = 0;
    (void)sqlite3_db_status(self->database, SQLITE_DBSTATUS_DEFERRED_FKS, &violations, &highest, 0);
    return violations == 0 ? STATUS_OK
                           : store_sqlite_fail(self, SQLITE_CONSTRAINT_FOREIGNKEY, what, err);
}

/* A deferred foreign key is judged here, as if it were immediate: at COMMIT no event could be
 * blamed. The row is undone, so that all before it stays as written. */
static enum status write_row_deferred(struct store_sqlite *self, struct mapped_table *table,
                                      const struct change *change, struct error *err)
{
    enum status status = store_sqlite_execute(self, "SAVEPOINT keepstep_row", err);
    if (status != STATUS_OK)
        return status;
    status = write_row(self, table, change, err);
    if (status == STATUS_OK)
        status = store_sqlite_check_deferred(self, table->name, err);
    if (sqlite3_get_autocommit(self->database))
        return status; /* the transaction is gone, and the savepoint with it */
    enum status ended = store_sqlite_execute(self,
                                             status == STATUS_OK
                                                 ? "RELEASE keepstep_row"
                                                 : "ROLLBACK TO keepstep_row; RELEASE keepstep_row",
                                             err);
    return status == STATUS_OK ? ended : status;
}

enum status store_sqlite_apply(struct store *store, const struct mapping *mapping,
                               const struct change *const *changes, size_t count, struct error *err)
{
    struct store_sqlite *self = store_sqlite_of(store);
    struct mapped_table *table = store_sqlite_table(self, slice_of(mapping->schema->entity_type));
    enum status status = STATUS_OK;
    size_t i = 0;

    if (table == NULL)
        return error_set(err, STATUS_FATAL, "\"%s\" was not prepared",
                         mapping->schema->entity_type);
    self->has_written = true;
    struct parameter name = parameter_text(table->name);
    if (mapping
            ->published_here) /* its trigger is silent for direct writes while the row is there */
        status = store_sqlite_run(self, STATEMENT_APPLYING_SET, PARAMETERS(name), NULL, err);
    while (status == STATUS_OK && i < count) {
        status = self->has_deferred && !self->defers
                     ? write_row_deferred(self, table, changes[i], err)
                     : write_row(self, table, changes[i], err);
        if (status == STATUS_OK)
            i++;
    }
    if (mapping->published_here && !sqlite3_get_autocommit(self->database)) {
        struct error second = ERROR_INIT;
        enum status cleared = store_sqlite_run(self, STATEMENT_APPLYING_CLEAR, PARAMETERS(name),
                                               NULL, &second);
        if (cleared != STATUS_OK && (status == STATUS_OK || status == STATUS_REJECT)) {
            if (err != NULL)
                *err = second;
            status = cleared;
        }
    }
    return status;
}
