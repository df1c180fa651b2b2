/* The published tables of a SQLite database, in a snapshot. */
#include "producer/source/sql.h"

#include "common/sqlite_scan.h"
#include "producer/sqlite/capture.h"
#include "producer/sqlite/sql_session.h"
#include "schemas/sql_text.h"
#include "producer_sqlite_sql.h"

#include <stdlib.h>

extern const struct source_ops source_sqlite_ops;

struct source_sqlite {
    struct source_sql shared;
    struct sql_sqlite session;
};

static const char *const STATEMENTS[SOURCE_STATEMENT_COUNT] = {
    SOURCE_STATEMENTS(SOURCE_STATEMENT_TEXT)};

static sqlite3 *source_sqlite_database(struct source_sql *self)
{
    return ((struct source_sqlite *)self)->session.db;
}

/* A reader of a rollback journal makes every write fail. */
static enum status source_sqlite_check_journal(sqlite3 *db, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_session_prepare(db, SQL_SOURCE_JOURNAL, &statement, err);
    if (status != STATUS_OK)
        return status;
    if (sqlite3_step(statement) != SQLITE_ROW)
        status = sqlite_session_error(db, SQL_SOURCE_JOURNAL, err);
    else if (!slice_is(sqlite_session_text(statement, 0), "wal"))
        status = error_set(err, STATUS_STOP,
                           "the database is in journal_mode=%s, where the service cannot write "
                           "while its tables are read: PRAGMA journal_mode = WAL",
                           (const char *)sqlite3_column_text(statement, 0));
    (void)sqlite3_finalize(statement);
    return status;
}

static enum status source_sqlite_begin(struct source_sql *self, struct error *err)
{
    sqlite3 *db = source_sqlite_database(self);
    enum status status = source_sqlite_check_journal(db, err);
    if (status == STATUS_OK)
        status = sqlite_session_execute(db, SQL_SOURCE_BEGIN, err);
    if (status != STATUS_OK)
        sqlite_session_rollback(db);
    return status;
}

static enum status source_sqlite_describe(struct source_sql *self, const struct source_scan *scan,
                                          struct source_table *ret_table, struct error *err)
{
    const struct check check = {
        .entry = scan->entry, .schema = scan->schema, .watching = true, .reading = true};
    (void)ret_table;
    return capture_sqlite_check(source_sqlite_database(self), &check, err);
}

static void source_sqlite_append_table(struct buffer *sql, const char *table)
{
    sql_quote(sql, '"', slice_of(table));
}

static enum status source_sqlite_query(struct source_sql *self, struct row_query *query,
                                       struct error *err)
{
    return sqlite_scan_run(source_sqlite_database(self), query, err);
}

/* Files have rights, tables have not. */
static bool source_sqlite_lacks_right(const struct error *err)
{
    (void)err;
    return false;
}

static enum status source_sqlite_open(const struct config *config, struct source **ret_source,
                                      struct error *err)
{
    static const struct source_database database = {.columns = &column_sqlite_dialect,
                                                    .begin = source_sqlite_begin,
                                                    .describe = source_sqlite_describe,
                                                    .append_table = source_sqlite_append_table,
                                                    .query = source_sqlite_query,
                                                    .lacks_right = source_sqlite_lacks_right};
    struct source_sqlite *self = calloc(1, sizeof *self);
    if (self == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    self->shared = (struct source_sql){
        .base = {&source_sqlite_ops}, .database = &database, .session = &self->session.base};
    self->session.base.options.texts = STATEMENTS;
    self->session.base.ops = &sql_sqlite_ops;
    return source_sql_open(&self->shared, config, ret_source, err);
}

const struct source_ops source_sqlite_ops = {
    .scheme = "sqlite",
    .open = source_sqlite_open,
    SOURCE_SQL_SLOTS,
};
