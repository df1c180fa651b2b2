/* Writes changes to SQLite, row by row. */
#include "consumer/store/sqlite/internal.h"

#include "consumer/store/sql/limits.h"

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
    case VALUE_UNFIT:
        break;
    }
    return sqlite3_bind_null(statement, index);
}

/* SQLITE_ERROR means a broken schema, or that a function in a trigger, a check or a generated
 * column refuses the row ("malformed JSON"). If the statement still compiles, it is the row. */
static enum status row_fail(struct store_sqlite *self, sqlite3_stmt *statement, int code,
                            const char *table, struct error *err)
{
    sqlite3_stmt *again = NULL;
    bool first = err != NULL && err->status == STATUS_OK;
    enum status status = store_sqlite_fail(self, code, table, err);
    if (!first || (code & 0xff) != SQLITE_ERROR || sqlite3_get_autocommit(self->database))
        return status;
    if (sqlite3_prepare_v2(self->database, sqlite3_sql(statement), -1, &again, NULL) == SQLITE_OK)
        status = err->status = STATUS_REJECT;
    (void)sqlite3_finalize(again);
    return status;
}

static enum status write_row(struct store_sqlite *self, struct mapped_table *table,
                             const struct change *change, struct error *err)
{
    const struct entity_schema *schema = table->mapping->schema;
    struct row_statement *row = NULL;
    int code = SQLITE_OK;
    enum status status = sql_row_prepare(table, sql_row_form(change), change, &row, err);
    if (status != STATUS_OK)
        return status;
    sqlite3_stmt *statement = row->statement;
    for (size_t i = 0; code == SQLITE_OK && i < row->count; i++) {
        size_t column = row->columns[i];
        code = value_bind(statement, (int)i + 1, schema->columns[column].type,
                          &change->values[column]);
    }
    if (code == SQLITE_OK)
        while ((code = sqlite3_step(statement)) == SQLITE_ROW)
            continue;
    if (code != SQLITE_DONE)
        status = row_fail(self, statement, code, table->name, err);
    else if (row->form == ROW_UPDATE && sqlite3_changes64(self->database) == 0)
        status = sql_hold_no_row(table, change, err);
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
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

/* A deferred foreign key is checked after each row, as if it were immediate: at COMMIT nobody could
 * say which event violates it. The row alone is undone. */
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

/* The table's triggers are silent while keepstep_applying has its name. */
enum status store_sqlite_silence(const struct mapped_table *table, bool silent, struct error *err)
{
    struct sql_call call = SQL_CALL(APPLYING_SET, parameter_text(table->name));
    if (!silent)
        call.id = STATEMENT_APPLYING_CLEAR;
    return store_sql_run(store_sql_of(table->store), call, err);
}

enum status store_sqlite_write(struct mapped_table *table, const struct change *const *changes,
                               size_t count, struct error *err)
{
    struct store_sqlite *self = store_sqlite_of(table->store);
    enum status status = STATUS_OK;
    self->has_written = true;
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        status = self->has_deferred && !self->defers
                     ? write_row_deferred(self, table, changes[i], err)
                     : write_row(self, table, changes[i], err);
    return status;
}
