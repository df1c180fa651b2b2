/* The published tables of a MariaDB database, in a snapshot. A table that was altered or emptied
 * since is an error of its own (1412). One that took the table's name since, by RENAME, is read as
 * it was in the snapshot; it has no triggers, so that its rows are different for good. */
#include "producer/source/sql.h"

#include "common/mariadb_scan.h"
#include "producer/mariadb/capture.h"
#include "producer/mariadb/sql_session.h"
#include "schemas/sql_text.h"
#include "producer_mariadb_sql.h"

#include <stdio.h>
#include <stdlib.h>

#define SETUP_SIZE 256

extern const struct source_ops source_mariadb_ops;

struct source_mariadb {
    struct source_sql shared;
    struct sql_mariadb session;
    char setup[SETUP_SIZE];
};

static const char *const STATEMENTS[SOURCE_STATEMENT_COUNT] = {
    SOURCE_STATEMENTS(SOURCE_STATEMENT_TEXT)};

static struct sql_mariadb *source_mariadb_session(struct source_sql *self)
{
    return &((struct source_mariadb *)self)->session;
}

static enum status source_mariadb_begin(struct source_sql *self, struct error *err)
{
    struct sql_mariadb *session = source_mariadb_session(self);
    enum status status = mariadb_session_execute(session->handle, SQL_SOURCE_ISOLATION, err);
    if (status == STATUS_OK)
        status = mariadb_session_execute(session->handle, SQL_SOURCE_BEGIN, err);
    return sql_mariadb_judge(session, status, err);
}

/* The catalogue tells a TIMESTAMP from a DATETIME. */
static enum status source_mariadb_describe(struct source_sql *self, const struct source_scan *scan,
                                           struct source_table *ret_table, struct error *err)
{
    struct sql_mariadb *session = source_mariadb_session(self);
    struct capture_mariadb found;
    const struct check check = {
        .entry = scan->entry, .schema = scan->schema, .watching = true, .reading = true};
    enum status status = capture_mariadb_check(session->handle, &check, &found, err);
    memcpy(ret_table->is_timestamp, found.is_timestamp, sizeof found.is_timestamp);
    return sql_mariadb_judge(session, status, err);
}

static void source_mariadb_append_table(struct buffer *sql, const char *table)
{
    sql_quote(sql, '`', slice_of(table));
}

static enum status source_mariadb_query(struct source_sql *self, struct row_query *query,
                                        struct error *err)
{
    struct sql_mariadb *session = source_mariadb_session(self);
    return sql_mariadb_judge(session, mariadb_scan_run(session->handle, query, err), err);
}

static bool source_mariadb_lacks_right(const struct error *err)
{
    return mariadb_session_lacks_right((unsigned int)err->native_code);
}

/* One statement reads a whole table, as long as the snapshot may last. */
static enum status source_mariadb_open(const struct config *config, struct source **ret_source,
                                       struct error *err)
{
    static const struct source_database database = {.columns = &column_mariadb_dialect,
                                                    .begin = source_mariadb_begin,
                                                    .describe = source_mariadb_describe,
                                                    .append_table = source_mariadb_append_table,
                                                    .query = source_mariadb_query,
                                                    .lacks_right = source_mariadb_lacks_right};
    struct source_mariadb *self = calloc(1, sizeof *self);
    if (self == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    long long seconds = (long long)config->limits.scan_time_s;
    (void)snprintf(self->setup, sizeof self->setup,
                   "SET SESSION autocommit = 1, max_statement_time = %lld, "
                   "idle_transaction_timeout = %lld, idle_readonly_transaction_timeout = %lld, "
                   "net_write_timeout = %lld",
                   seconds, seconds, seconds, seconds);
    self->session.base.options.setup = self->setup;
    self->session.base.options.texts = STATEMENTS;
    self->session.base.ops = &sql_mariadb_ops;
    self->shared.session = &self->session.base;
    self->shared.database = &database;
    self->shared.base.ops = &source_mariadb_ops;
    return source_sql_open(&self->shared, config, ret_source, err);
}

const struct source_ops source_mariadb_ops = {
    .scheme = "mysql",
    .open = source_mariadb_open,
    SOURCE_SQL_SLOTS,
};
