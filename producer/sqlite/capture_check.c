/* What SQLite's catalogue says of a table that is to be captured. */
#include "producer/sqlite/capture.h"
#include "producer_sqlite_sql.h"

struct check_sqlite {
    struct check base;
    sqlite3 *db;
};

/* Steps to the statement's row, if there is one. An error is not taken for an empty catalogue. */
static enum status capture_step(sqlite3 *db, sqlite3_stmt *statement, bool *ret_row,
                                struct error *err)
{
    int code = sqlite3_step(statement);
    *ret_row = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? STATUS_OK
                                                     : sqlite_session_error(db, "catalogue", err);
}

/* What one query of the catalogue finds. */
struct answer {
    bool row;
    int number;
    char name[CHECK_NAME_SIZE];
};

/* Runs a query of the table's name, and of a column's where there is one. */
static enum status capture_ask(const struct check *check, const char *sql, const char *column,
                               struct answer *ret_answer, struct error *err)
{
    sqlite3 *db = ((const struct check_sqlite *)check)->db;
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_session_prepare(db, sql, &statement, err);
    if (status != STATUS_OK)
        return status;
    sqlite_session_bind(statement, 1, slice_of(check->entry->table));
    if (column != NULL)
        sqlite_session_bind(statement, 2, slice_of(column));
    *ret_answer = (struct answer){0};
    status = capture_step(db, statement, &ret_answer->row, err);
    if (ret_answer->row) {
        ret_answer->number = sqlite3_column_int(statement, 0);
        (void)sqlite3_snprintf(sizeof ret_answer->name, ret_answer->name, "%s",
                               sqlite3_column_text(statement, 1));
    }
    (void)sqlite3_finalize(statement);
    return status;
}

static enum status capture_table(struct check *check, struct check_table *ret_table,
                                 struct error *err)
{
    struct answer answer;
    enum status status = capture_ask(check, SQL_CHECK_TABLE, NULL, &answer, err);
    ret_table->exists = status == STATUS_OK && answer.row;
    ret_table->key_columns = ret_table->exists ? (size_t)answer.number : 0;
    return status;
}

static enum status capture_column(struct check *check, const struct column *column,
                                  const char *name, struct check_column *ret_column,
                                  struct error *err)
{
    struct answer answer;
    enum status status = capture_ask(check, SQL_CHECK_COLUMN, name, &answer, err);
    if (status != STATUS_OK)
        return status;
    ret_column->exists = answer.row;
    ret_column->in_key = answer.number > 0;
    if (answer.row && column != NULL && column->is_key && column->type != COLUMN_INTEGER &&
        column->type != COLUMN_TEXT)
        return check_refuse(check, err, "needs an integer or text key; it is neither: %s", name);
    return STATUS_OK;
}

/* SQLite allows NULL in a key, except in INTEGER PRIMARY KEY, STRICT and WITHOUT ROWID tables. */
enum status capture_sqlite_check_keys(sqlite3 *db, const struct check *check, struct error *err)
{
    const struct entity_schema *schema = check->schema;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < schema->key_count; i++) {
        const char *column = config_column(check->entry,
                                           schema->columns[schema->key_columns[i]].name);
        sqlite3_stmt *statement = NULL;
        bool row = false;
        char *sql = sqlite3_mprintf("SELECT 1 FROM \"%w\" WHERE \"%w\" IS NULL LIMIT 1",
                                    check->entry->table, column);
        if (sql == NULL)
            return error_set(err, STATUS_RETRY, "no memory");
        status = sqlite_session_prepare(db, sql, &statement, err);
        sqlite3_free(sql);
        if (status == STATUS_OK)
            status = capture_step(db, statement, &row, err);
        if (status == STATUS_OK && row)
            status = check_refuse(check, err,
                                  "has rows with NULL in their primary key, which are the same "
                                  "entity as no other; give them a value or delete them: %s",
                                  column);
        (void)sqlite3_finalize(statement);
    }
    return status;
}

static enum status capture_changes(struct check *check, struct error *err)
{
    struct answer answer;
    enum status status = capture_ask(check, SQL_CHECK_UNIQUE, NULL, &answer, err);
    if (status == STATUS_OK && answer.number > 0)
        return check_refuse(check, err,
                            "has a second unique index, through which REPLACE removes rows without "
                            "a trigger; %s",
                            answer.name);
    if (status == STATUS_OK && check_is_applied(check)) {
        status = capture_ask(check, SQL_CHECK_CASCADE, NULL, &answer, err);
        if (status == STATUS_OK && answer.number > 0)
            return check_refuse_cascade(check, answer.name, err);
    }
    if (status == STATUS_OK && !check->watching)
        status = capture_sqlite_check_keys(((struct check_sqlite *)check)->db, check, err);
    return status;
}

static const struct check_ops OPS = {
    .table = capture_table, .column = capture_column, .changes = capture_changes};

enum status capture_sqlite_check(sqlite3 *db, const struct check *check, struct error *err)
{
    struct check_sqlite self = {.base = *check, .db = db};
    self.base.ops = &OPS;
    return check_table(&self.base, err);
}
