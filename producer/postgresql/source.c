/* The published tables of a PostgreSQL database, in a snapshot. */
#include "producer/source/sql.h"

#include "common/postgresql_name.h"
#include "common/postgresql_scan.h"
#include "producer/postgresql/capture.h"
#include "producer/postgresql/sql_session.h"
#include "producer_postgresql_sql.h"
#include "schemas/sql_text.h"

#include <stdlib.h>

/* A table is read as it lies on the disk, and keys by their index; the outbox never is
 * (POSTGRESQL_OUTBOX_PLANNER). */
#define PLAN_ROWS                                                                                  \
    "SET LOCAL enable_seqscan = on; SET LOCAL enable_bitmapscan = on; SET LOCAL enable_sort = on"
#define PLAN_OUTBOX                                                                                \
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;"                           \
    "SET LOCAL enable_sort = off"

extern const struct source_ops source_postgresql_ops;

struct source_postgresql {
    struct source_sql shared;
    struct sql_postgresql session;
};

static const char *const STATEMENTS[SOURCE_STATEMENT_COUNT] = {
    SOURCE_STATEMENTS(SOURCE_STATEMENT_TEXT)};

static struct sql_postgresql *source_postgresql_session(struct source_sql *self)
{
    return &((struct source_postgresql *)self)->session;
}

static enum status source_postgresql_begin(struct source_sql *self, struct error *err)
{
    struct sql_postgresql *session = source_postgresql_session(self);
    return sql_postgresql_judge(
        session,
        postgresql_snapshot_begin(session->connection, self->config->limits.scan_time_s, err), err);
}

static enum status source_postgresql_keep(struct source_sql *self, struct error *err)
{
    struct sql_postgresql *session = source_postgresql_session(self);
    return sql_postgresql_judge(session, postgresql_snapshot_keep(session->connection, err), err);
}

static enum status source_postgresql_has(struct source_sql *self, const char *table,
                                         struct error *err)
{
    struct sql_postgresql *session = source_postgresql_session(self);
    return sql_postgresql_judge(session, postgresql_snapshot_has(session->connection, table, err),
                                err);
}

/* What the snapshot's catalogue says is wrong where the table is another one by now. */
static enum status source_postgresql_replaced(struct source_sql *self, const char *table,
                                              struct error *err)
{
    PGconn *connection = source_postgresql_session(self)->connection;
    PGresult *found = NULL;
    struct buffer name;
    buffer_init(&name, SQL_TEXT_MAX);
    postgresql_name_append_table(&name, table);
    const struct slice quoted = buffer_slice(&name);
    enum status status = postgresql_session_query(connection, SQL_SOURCE_TABLE,
                                                  (struct slice_list){&quoted, 1}, &found, err);
    if (status == STATUS_OK && PQgetvalue(found, 0, 0)[0] == 't')
        status = postgresql_snapshot_has(connection, buffer_text(&name), err);
    PQclear(found);
    buffer_done(&name);
    return status;
}

static enum status source_postgresql_describe(struct source_sql *self,
                                              const struct source_scan *scan,
                                              struct source_table *ret_table, struct error *err)
{
    struct sql_postgresql *session = source_postgresql_session(self);
    const struct check check = {.config = self->config,
                                .entry = scan->entry,
                                .schema = scan->schema,
                                .watching = true,
                                .reading = true};
    struct error refused = ERROR_INIT;
    (void)ret_table;
    enum status status = capture_postgresql_check(session->connection, &check, &refused);
    if (status == STATUS_FATAL)
        status = source_postgresql_replaced(self, scan->entry->table, err);
    if (status == STATUS_OK && refused.status != STATUS_OK)
        status = refused.status;
    if (status == refused.status && err != NULL && err->status == STATUS_OK)
        *err = refused;
    return sql_postgresql_judge(session, status, err);
}

static enum status source_postgresql_query(struct source_sql *self, struct row_query *query,
                                           struct error *err)
{
    struct sql_postgresql *session = source_postgresql_session(self);
    enum status status = postgresql_session_execute(session->connection, PLAN_ROWS, err);
    if (status == STATUS_OK)
        status = postgresql_scan_query(session->connection, query, err);
    if (status == STATUS_OK)
        status = postgresql_session_execute(session->connection, PLAN_OUTBOX, err);
    return sql_postgresql_judge(session, status, err);
}

static bool source_postgresql_lacks_right(const struct error *err)
{
    return err->native_code == postgresql_sqlstate_code(SQLSTATE_INSUFFICIENT_PRIVILEGE);
}

static enum status source_postgresql_open(const struct config *config, struct source **ret_source,
                                          struct error *err)
{
    static const struct source_database database = {.columns = &column_postgresql_dialect,
                                                    .begin = source_postgresql_begin,
                                                    .keep = source_postgresql_keep,
                                                    .has = source_postgresql_has,
                                                    .describe = source_postgresql_describe,
                                                    .append_table = postgresql_name_append_table,
                                                    .query = source_postgresql_query,
                                                    .lacks_right = source_postgresql_lacks_right};
    struct source_postgresql *self = calloc(1, sizeof *self);
    if (self == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    self->shared.base.ops = &source_postgresql_ops;
    self->shared.database = &database;
    self->shared.session = &self->session.base;
    self->session.base.ops = &sql_postgresql_ops;
    self->session.base.options.texts = STATEMENTS;
    self->session.base.options.setup = POSTGRESQL_OUTBOX_PLANNER;
    return source_sql_open(&self->shared, config, ret_source, err);
}

const struct source_ops source_postgresql_ops = {
    .scheme = "postgresql",
    .open = source_postgresql_open,
    SOURCE_SQL_SLOTS,
};
