/* The PostgreSQL store's session: opening, the pipeline of prepared statements, parameters. */
#include "consumer/store/postgresql/internal.h"

#include "common/postgresql_scan.h"

#include "consumer_postgresql_sql.h"
#include "schemas_sql.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

#define PARAMETERS_MAX   16
#define FEW_PARAMETERS   16 /* of a query whose rows are in memory at once */
#define SCRATCH_SIZE_MAX ((size_t)256 * 1024 * 1024)
#define ARRAY_SIZE_MAX   ((size_t)512 * 1024 * 1024)
#define PART_ROWS        10000 /* libpq keeps a result whole */

/* Below the server's deadlock_timeout, so that the agent yields and never the service. */
#define LOCK_WITH_OUTBOX "SET lock_timeout = '500ms'"

#define SQL_JOINT_UNIQUE SQL_UNIQUE_NAMES_POSTGRESQL

static const struct {
    const char *name;
    const char *sql;
} statements[STATEMENT_COUNT] = {
#define STATEMENT_TEXT(name) [STATEMENT_##name] = {#name, SQL_##name},
    STORE_SQL_STATEMENTS(STATEMENT_TEXT) STORE_JOINT_STATEMENTS(STATEMENT_TEXT)
        STORE_GUARD_STATEMENTS(STATEMENT_TEXT) STORE_POSTGRESQL_STATEMENTS(STATEMENT_TEXT)
#undef STATEMENT_TEXT
};

static void queue_clear(struct store_postgresql *self)
{
    for (size_t i = 0; i < self->queued; i++)
        PQclear(self->queue[i].result);
    self->queued = 0;
    self->synced = 0;
}

/* Add a place to the queue. Results that were read before are freed. */
enum status store_postgresql_queue_add(struct store_postgresql *self, const char *what,
                                       struct error *err)
{
    enum status status = STATUS_OK;
    if (self->synced == self->queued)
        queue_clear(self);
    if (self->queued == QUEUE_MAX) {
        status = store_postgresql_sync(self, NULL, err);
        queue_clear(self);
    }
    if (status == STATUS_OK)
        self->queue[self->queued++] = (struct queued){.what = what};
    return status;
}

/* Take the last place back: its statement was not sent. Its caller will not wait, so the results
 * of what was sent before it have nowhere to go. */
static void queue_give_up(struct store_postgresql *self)
{
    self->queued--;
    for (size_t i = self->synced; i < self->queued; i++) {
        self->queue[i].read = NULL;
        self->queue[i].changes = NULL;
    }
}

enum status store_postgresql_queue_sent(struct store_postgresql *self, int sent, const char *what,
                                        struct error *err)
{
    if (sent == 1)
        return STATUS_OK;
    queue_give_up(self);
    return postgresql_session_error(self->connection, NULL, what, err);
}

/* Prepare a statement at its first use in the session. The next sync reads the answer. */
static enum status statement_prepare(struct store_postgresql *self, unsigned int id,
                                     struct error *err)
{
    const char *name = statements[id].name;
    if (self->prepared[id])
        return STATUS_OK;
    enum status status = store_postgresql_queue_add(self, name, err);
    if (status == STATUS_OK)
        status = store_postgresql_queue_sent(
            self, PQsendPrepare(self->connection, name, statements[id].sql, 0, NULL), name, err);
    if (status != STATUS_OK)
        return status;
    self->queue[self->queued - 1].prepared = &self->prepared[id];
    self->prepared[id] = true;
    return STATUS_OK;
}

static enum status statement_send(struct store_postgresql *self, unsigned int id,
                                  const struct parameter *parameters, size_t count,
                                  struct error *err)
{
    const char *values[PARAMETERS_MAX] = {NULL};
    int lengths[PARAMETERS_MAX] = {0};
    int binary[PARAMETERS_MAX];
    size_t offsets[PARAMETERS_MAX];
    const char *name = statements[id].name;

    enum status status = statement_prepare(self, id, err);
    if (status == STATUS_OK)
        status = store_postgresql_queue_add(self, name, err);
    if (status != STATUS_OK)
        return status;
    buffer_reset(&self->scratch);
    for (size_t i = 0; i < count; i++) {
        int64_t integer = (int64_t)htobe64((uint64_t)parameters[i].integer);
        offsets[i] = self->scratch.length;
        binary[i] = 1;
        if (parameters[i].kind == PARAMETER_INTEGER)
            buffer_append(&self->scratch, &integer, sizeof integer);
        else if (parameters[i].kind != PARAMETER_BYTES)
            store_postgresql_encode(&self->scratch, parameters[i].bytes);
        lengths[i] = (int)(self->scratch.length - offsets[i]);
    }
    buffer_append(&self->scratch, "", 1); /* so that an empty text is not a null pointer */
    if (self->scratch.failed) {
        queue_give_up(self);
        return error_set(err, STATUS_RETRY, "%s: no memory for its parameters", name);
    }
    for (size_t i = 0; i < count; i++) {
        struct slice bytes = parameters[i].bytes;
        if (parameters[i].kind == PARAMETER_BYTES) {
            lengths[i] = (int)bytes.length;
            values[i] = bytes.data;
        } else if (parameters[i].kind == PARAMETER_INTEGER || bytes.data != NULL) {
            values[i] = self->scratch.data + offsets[i];
        }
    }
    return store_postgresql_queue_sent(
        self, PQsendQueryPrepared(self->connection, name, (int)count, values, lengths, binary, 1),
        name, err);
}

enum status store_postgresql_send_sql(struct store_postgresql *self, const char *sql,
                                      struct error *err)
{
    enum status status = store_postgresql_queue_add(self, sql, err);
    if (status != STATUS_OK)
        return status;
    return store_postgresql_queue_sent(
        self, PQsendQueryParams(self->connection, sql, 0, NULL, NULL, NULL, NULL, 1), sql, err);
}

enum status store_postgresql_send_row(struct store_postgresql *self, const char *name,
                                      const char *what, size_t count, struct error *err)
{
    const char *values[ENTITY_COLUMNS_MAX];
    int lengths[ENTITY_COLUMNS_MAX];
    int binary[ENTITY_COLUMNS_MAX];
    enum status status = store_postgresql_queue_add(self, what, err);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        values[i] = self->arrays[i].data;
        lengths[i] = (int)self->arrays[i].length;
        binary[i] = 1;
    }
    return store_postgresql_queue_sent(
        self, PQsendQueryPrepared(self->connection, name, (int)count, values, lengths, binary, 1),
        what, err);
}

enum status store_postgresql_prepare_sql(struct store_postgresql *self, const char *name,
                                         const char *sql, struct error *err)
{
    enum status status = store_postgresql_queue_add(self, sql, err);
    if (status == STATUS_OK)
        status = store_postgresql_queue_sent(
            self, PQsendPrepare(self->connection, name, sql, 0, NULL), sql, err);
    return status == STATUS_OK ? store_postgresql_sync(self, NULL, err) : status;
}

/* The result of one statement; NULL where the connection broke. */
static PGresult *queue_read(struct store_postgresql *self)
{
    PGresult *result = postgresql_session_result(self->connection);
    PGresult *more;
    while (result != NULL && (more = postgresql_session_result(self->connection)) != NULL)
        PQclear(more);
    return result;
}

static void queue_read_sync(struct store_postgresql *self)
{
    ExecStatusType kind = PGRES_EMPTY_QUERY;
    while (kind != PGRES_PIPELINE_SYNC && PQstatus(self->connection) == CONNECTION_OK) {
        PGresult *result = postgresql_session_result(self->connection);
        kind = PQresultStatus(result);
        PQclear(result);
    }
}

/* Hand the rows and changes of a result to its call. */
static enum status queue_deliver(const struct queued *queued, struct error *err)
{
    enum status status = STATUS_OK;
    struct store_row row = store_postgresql_row(queued->result);
    if (queued->changes != NULL)
        *queued->changes += strtoll(PQcmdTuples(queued->result), NULL, 10);
    while (queued->read != NULL && status == STATUS_OK && !row.is_last &&
           row.index < PQntuples(queued->result)) {
        status = queued->read(queued->context, &row, err);
        row.index++;
    }
    return status;
}

enum status store_postgresql_sync(struct store_postgresql *self, size_t *ret_failed,
                                  struct error *err)
{
    enum status status = STATUS_OK;
    if (self->synced == self->queued)
        return STATUS_OK;
    if (PQpipelineSync(self->connection) != 1)
        status = postgresql_session_error(self->connection, NULL, self->queue[0].what, err);
    for (; self->synced < self->queued; self->synced++) {
        struct queued *queued = &self->queue[self->synced];
        queued->result = PQstatus(self->connection) == CONNECTION_OK ? queue_read(self) : NULL;
        ExecStatusType kind = PQresultStatus(queued->result);
        bool done = kind == PGRES_COMMAND_OK || kind == PGRES_TUPLES_OK;
        if (!done && queued->prepared != NULL)
            *queued->prepared = false;
        if (status != STATUS_OK)
            continue;
        if (done) {
            status = queue_deliver(queued, err);
            continue;
        }
        status = postgresql_session_error(self->connection, queued->result, queued->what, err);
        if (ret_failed != NULL)
            *ret_failed = self->synced;
    }
    queue_read_sync(self);
    return status;
}

static enum status session_send(struct store_sql *sql, const struct sql_call *call,
                                struct error *err)
{
    struct store_postgresql *self = (struct store_postgresql *)sql;
    enum status status = statement_send(self, call->id, call->parameters, call->count, err);
    if (status != STATUS_OK)
        return status;
    struct queued *queued = &self->queue[self->queued - 1];
    queued->read = call->read;
    queued->context = call->context;
    queued->changes = call->changes;
    return STATUS_OK;
}

static enum status session_execute(struct store_sql *sql, const char *text, struct error *err)
{
    return store_postgresql_send_sql((struct store_postgresql *)sql, text, err);
}

static enum status session_change(struct store_sql *sql, const char *text, int64_t *ret_rows,
                                  struct error *err)
{
    struct store_postgresql *self = (struct store_postgresql *)sql;
    enum status status = session_execute(sql, text, err);
    *ret_rows = 0;
    if (status == STATUS_OK)
        status = store_postgresql_sync(self, NULL, err);
    if (status == STATUS_OK)
        *ret_rows = strtoll(PQcmdTuples(self->queue[self->queued - 1].result), NULL, 10);
    return status;
}

static enum status session_wait(struct store_sql *sql, struct error *err)
{
    return store_postgresql_sync((struct store_postgresql *)sql, NULL, err);
}

/* A pipeline takes no text of several statements, so the session leaves pipeline mode meanwhile.
 * The lock keeps two installations from colliding in the catalogue. */
static enum status session_install(struct store_sql *sql, struct error *err)
{
    struct store_postgresql *self = (struct store_postgresql *)sql;
    enum status status = store_sql_run(sql, SQL_CALL_PLAIN(CATALOGUE_LOCK), err);
    if (status == STATUS_OK && PQexitPipelineMode(self->connection) != 1)
        status = postgresql_session_error(self->connection, NULL, "install", err);
    if (status != STATUS_OK)
        return status;
    status = postgresql_session_execute(self->connection, SQL_INSTALL, err);
    if (PQenterPipelineMode(self->connection) != 1 && status == STATUS_OK)
        status = postgresql_session_error(self->connection, NULL, "install", err);
    return status;
}

static enum status session_begin(struct store_sql *sql, enum sql_transaction kind,
                                 struct error *err)
{
    static const char *const settings[] = {
        [SQL_WRITE] =
            "SET CONSTRAINTS ALL IMMEDIATE", /* an error at COMMIT would not name the event */
        [SQL_DURABLE] = "SET LOCAL synchronous_commit = on",
        [SQL_SNAPSHOT] = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"};
    enum status status = session_execute(sql, "BEGIN", err);
    return status == STATUS_OK ? session_execute(sql, settings[kind], err) : status;
}

static void session_rollback(struct store_sql *sql)
{
    struct store_postgresql *self = (struct store_postgresql *)sql;
    struct error ignored = ERROR_INIT;
    bool pending = self->synced != self->queued;
    if (self->connection != NULL && PQstatus(self->connection) == CONNECTION_OK) {
        if (pending && store_postgresql_sync(self, NULL, &ignored) != STATUS_OK)
            error_clear(&ignored);
        if (sql->in_transaction &&
            store_postgresql_send_sql(self, "ROLLBACK", &ignored) == STATUS_OK &&
            store_postgresql_sync(self, NULL, &ignored) != STATUS_OK)
            error_clear(&ignored);
    }
    queue_clear(self);
}

/* Scans read results part by part, which a pipeline does not; nor does it COPY. */
enum status store_postgresql_leave_pipeline(struct store_postgresql *self, struct error *err)
{
    enum status status = store_postgresql_sync(self, NULL, err);
    if (status == STATUS_OK && PQexitPipelineMode(self->connection) != 1)
        status = postgresql_session_error(self->connection, NULL, "leave the pipeline", err);
    return status;
}

static enum status pipeline_enter(struct store_postgresql *self, enum status status,
                                  struct error *err)
{
    if (status != STATUS_OK)
        postgresql_session_rollback(self->connection);
    if (PQenterPipelineMode(self->connection) != 1 && status == STATUS_OK)
        status = postgresql_session_error(self->connection, NULL, "enter the pipeline", err);
    return status;
}

/* A column or table that the snapshot's catalogue still names may be gone by now. */
static enum status session_query(struct store_sql *sql, struct row_query *query, struct error *err)
{
    struct store_postgresql *self = (struct store_postgresql *)sql;
    if (!sql->in_snapshot && query->runs == 1 && query->parameter_count > 0 &&
        query->parameter_count <= FEW_PARAMETERS)
        return store_postgresql_query(self, query, err);
    enum status status = store_postgresql_leave_pipeline(self, err);
    if (status != STATUS_OK)
        return status;
    status = postgresql_scan_query(self->connection, query, err);
    if (status == STATUS_FATAL && err != NULL &&
        (err->native_code == postgresql_sqlstate_code(SQLSTATE_UNDEFINED_TABLE) ||
         err->native_code == postgresql_sqlstate_code(SQLSTATE_UNDEFINED_COLUMN))) {
        status = err->status = STATUS_RETRY;
        error_mark_outdated(err);
    }
    return pipeline_enter(self, status, err);
}

static enum status session_give_way(struct store_sql *sql, struct error *err)
{
    struct store_postgresql *self = (struct store_postgresql *)sql;
    enum status status = store_postgresql_leave_pipeline(self, err);
    return status == STATUS_OK
               ? pipeline_enter(self, postgresql_snapshot_keep(self->connection, err), err)
               : status;
}

static const struct sql_session_ops postgresql_session = {
    .send = session_send,
    .send_rows = store_sql_send_each,
    .execute = session_execute,
    .change = session_change,
    .wait = session_wait,
    .install = session_install,
    .begin = session_begin,
    .commit = store_postgresql_commit,
    .rollback = session_rollback,
    .query = session_query,
    .give_way = session_give_way,
    .part_rows = PART_ROWS,
    .has_guard = true,
};

enum status store_postgresql_open(const struct store_options *options, struct store **ret_store,
                                  struct error *err)
{
    struct server_session_options session = {.url = options->path,
                                             .application = "keepstep agent",
                                             .wait_for_disk = false,
                                             .read_only = options->read_only};
    struct store_postgresql *self = calloc(1, sizeof *self);
    if (self == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    self->sql = (struct store_sql){.base.ops = &store_postgresql_ops,
                                   .session = &postgresql_session,
                                   .tables.dialect = &store_postgresql_dialect,
                                   .read_only = options->read_only};
    buffer_init(&self->scratch, SCRATCH_SIZE_MAX);
    for (size_t i = 0; i < ENTITY_COLUMNS_MAX; i++)
        buffer_init(&self->arrays[i], ARRAY_SIZE_MAX);
    enum status status = postgresql_session_open(&session, &self->connection, err);
    if (status == STATUS_OK && PQenterPipelineMode(self->connection) != 1)
        status = postgresql_session_error(self->connection, NULL, "open", err);
    if (status == STATUS_OK)
        status = store_sql_ready(&self->sql, options, err);
    if (status == STATUS_OK && self->sql.has_outbox)
        status = store_postgresql_send_sql(self, LOCK_WITH_OUTBOX, err);
    if (status == STATUS_OK)
        status = store_postgresql_sync(self, NULL, err);
    if (status != STATUS_OK) {
        store_postgresql_close(&self->sql.base);
        return status;
    }
    *ret_store = &self->sql.base;
    return STATUS_OK;
}

void store_postgresql_close(struct store *store)
{
    if (store == NULL)
        return;
    struct store_postgresql *self = store_postgresql_of(store);
    store_sql_rollback(store);
    free(self->taken);
    store_sql_done(&self->sql);
    store_postgresql_query_done(self);
    buffer_done(&self->scratch);
    for (size_t i = 0; i < ENTITY_COLUMNS_MAX; i++)
        buffer_done(&self->arrays[i]);
    postgresql_session_close(self->connection);
    free(self);
}
