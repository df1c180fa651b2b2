/* The session of a service's PostgreSQL database. A statement over unnest() takes all rows of a
 * step at once, an array a column. Steps are one pipeline, so that a transaction is one round trip.
 */
#include "producer/postgresql/sql_session.h"
#include "common/clock.h"
#include "producer/postgresql/array.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_SIZE       24
#define FOLLOWED_MAX_US (20 * 1000) /* older rows may have changed by now */

/* A statement's parameters as the server takes them: texts, or the literals of arrays. */
struct arguments {
    struct buffer buffers[SQL_COLUMNS_MAX];
    const char *texts[SQL_COLUMNS_MAX];
    int count;
    bool failed;
};

static struct sql_postgresql *sql_postgresql_of(struct sql_session *session)
{
    return (struct sql_postgresql *)session;
}

static void sql_postgresql_finish(struct sql_session *session)
{
    struct sql_postgresql *self = sql_postgresql_of(session);
    PQclear(self->result);
    self->result = NULL;
    self->row = -1;
}

static void sql_postgresql_drop_followed(struct sql_postgresql *self)
{
    PQclear(self->followed);
    self->followed = NULL;
}

static void sql_postgresql_disconnect(struct sql_postgresql *self)
{
    sql_postgresql_finish(&self->base);
    sql_postgresql_drop_followed(self);
    self->follows = false;
    if (self->connection != NULL && self->base.options.lost_count != NULL)
        ++*self->base.options.lost_count;
    postgresql_session_close(self->connection);
    self->connection = NULL;
}

static void sql_postgresql_close(struct sql_session *session)
{
    struct sql_postgresql *self = sql_postgresql_of(session);
    session->options.lost_count = NULL;
    sql_postgresql_disconnect(self);
    free(self->prepared);
    self->prepared = NULL;
}

enum status sql_postgresql_judge(struct sql_postgresql *self, enum status status,
                                 const struct error *err)
{
    bool lost = status == STATUS_RETRY && err != NULL && err->connection_lost;
    if (self->connection != NULL && (lost || PQstatus(self->connection) != CONNECTION_OK))
        sql_postgresql_disconnect(self);
    return status;
}

/* Reads the result of what was sent along. An error of the statement is dropped: whoever needs the
 * rows asks again. @return OK; RETRY: the connection is lost. */
static enum status sql_postgresql_collect(struct sql_postgresql *self, struct error *err)
{
    enum status status = STATUS_OK;
    if (!self->follows)
        return STATUS_OK;
    PGresult *result = postgresql_session_result(self->connection);
    PQclear(postgresql_session_result(self->connection)); /* the statement's end */
    PGresult *end = postgresql_session_result(self->connection);
    self->follows = false;
    if (PQstatus(self->connection) != CONNECTION_OK)
        status = postgresql_session_error(self->connection, end, "outbox", err);
    else if (PQresultStatus(end) != PGRES_PIPELINE_SYNC ||
             PQexitPipelineMode(self->connection) != 1)
        postgresql_session_rollback(self->connection);
    PQclear(end);
    if (status == STATUS_OK && PQresultStatus(result) == PGRES_TUPLES_OK)
        self->followed = result;
    else
        PQclear(result);
    return sql_postgresql_judge(self, status, err);
}

static enum status sql_postgresql_ready(struct sql_session *session, struct error *err)
{
    struct sql_postgresql *self = sql_postgresql_of(session);
    const struct sql_options *wanted = &session->options;
    const struct server_session_options options = {.url = wanted->url,
                                                   .application = wanted->application,
                                                   .wait_for_disk = true,
                                                   .read_only = wanted->read_only,
                                                   .lasting = wanted->lasting};
    enum status status = sql_postgresql_collect(self, err);
    if (status != STATUS_OK || self->connection != NULL)
        return status;
    if (wanted->single && self->prepared != NULL)
        return error_set(err, STATUS_RETRY, "the connection to the database was lost");
    free(self->prepared);
    self->prepared = calloc(wanted->text_count, sizeof *self->prepared);
    if (self->prepared == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    status = postgresql_session_open(&options, &self->connection, err);
    if (status == STATUS_OK && wanted->setup != NULL)
        status = postgresql_session_execute(self->connection, wanted->setup, err);
    return sql_postgresql_judge(self, status, err);
}

/* Prepares a statement at its first use in this session, under the name that it gives. */
static enum status sql_postgresql_prepare(struct sql_postgresql *self, unsigned statement,
                                          char ret_name[NAME_SIZE], struct error *err)
{
    (void)snprintf(ret_name, NAME_SIZE, "keepstep_%u", statement);
    if (self->prepared[statement])
        return STATUS_OK;
    PGresult *result = postgresql_session_last_result(
        self->connection,
        PQsendPrepare(self->connection, ret_name, self->base.options.texts[statement], 0, NULL));
    enum status status = PQresultStatus(result) == PGRES_COMMAND_OK
                             ? STATUS_OK
                             : postgresql_session_error(self->connection, result, "outbox", err);
    PQclear(result);
    self->prepared[statement] = status == STATUS_OK;
    return status;
}

/* @return the highest number of a parameter that the statement names. */
static int sql_postgresql_parameter_count(const char *text)
{
    int count = 0;
    for (; (text = strchr(text, '$')) != NULL; text++) {
        if (text[1] >= '1' && text[1] <= '9' && text[1] - '0' > count)
            count = text[1] - '0';
    }
    return count;
}

static void arguments_add(struct buffer *buffer, const struct sql_parameter *parameter,
                          bool in_array)
{
    if (in_array && parameter->kind == SQL_KIND_INTEGER)
        postgresql_array_integer(buffer, parameter->integer);
    else if (in_array)
        postgresql_array_text(buffer, parameter->text);
    else if (parameter->kind == SQL_KIND_INTEGER)
        buffer_append_format(buffer, "%" PRId64, parameter->integer);
    else
        buffer_append(buffer, parameter->text.data, parameter->text.length);
}

static bool takes_arrays(const char *text)
{
    return strstr(text, "unnest(") != NULL;
}

/* The caller ends them by arguments_done(). */
static void arguments_init(struct arguments *arguments, const char *text,
                           const struct sql_step *step)
{
    bool as_arrays = takes_arrays(text);
    *arguments = (struct arguments){.count = sql_postgresql_parameter_count(text)};
    if (arguments->count > (int)step->columns)
        arguments->count = (int)step->columns;
    for (size_t i = 0; i < (size_t)arguments->count; i++) {
        struct buffer *buffer = &arguments->buffers[i];
        buffer_init(buffer, POSTGRESQL_ARRAY_SIZE_MAX);
        for (size_t row = 0; row < step->rows; row++)
            arguments_add(buffer, &step->parameters[row * step->columns + i], as_arrays);
        if (as_arrays)
            (void)postgresql_array_end(buffer);
        bool null = !as_arrays && step->parameters[i].kind == SQL_KIND_NULL;
        arguments->texts[i] = null ? NULL : buffer_text(buffer);
        arguments->failed = arguments->failed || buffer->failed;
    }
}

static void arguments_done(struct arguments *arguments)
{
    for (int i = 0; i < arguments->count; i++)
        buffer_done(&arguments->buffers[i]);
}

static enum status sql_postgresql_send(struct sql_postgresql *self, unsigned statement,
                                       const struct arguments *arguments, struct error *err)
{
    char name[NAME_SIZE];
    if (arguments->failed)
        return error_set(err, STATUS_RETRY, "no memory");
    enum status status = sql_postgresql_prepare(self, statement, name, err);
    if (status != STATUS_OK)
        return status;
    self->result = postgresql_session_last_result(
        self->connection, PQsendQueryPrepared(self->connection, name, arguments->count,
                                              arguments->texts, NULL, NULL, 0));
    ExecStatusType kind = PQresultStatus(self->result);
    if (kind != PGRES_TUPLES_OK && kind != PGRES_COMMAND_OK)
        return postgresql_session_error(self->connection, self->result, "outbox", err);
    self->base.changed = strtoull(PQcmdTuples(self->result), NULL, 10);
    return STATUS_OK;
}

/* @return whether the statement's rows are there, because it was sent along. */
static bool sql_postgresql_take_followed(struct sql_postgresql *self, unsigned statement)
{
    if (self->followed == NULL || self->followed_statement != statement ||
        clock_monotonic_us() - self->followed_at_us > FOLLOWED_MAX_US) {
        sql_postgresql_drop_followed(self);
        return false;
    }
    self->result = self->followed;
    self->followed = NULL;
    return true;
}

static enum status sql_postgresql_run_step(struct sql_session *session, const struct sql_step *step,
                                           struct error *err)
{
    struct sql_postgresql *self = sql_postgresql_of(session);
    struct arguments arguments;
    sql_postgresql_finish(session);
    if (step->rows == 0)
        return STATUS_OK;
    enum status status = sql_postgresql_ready(session, err);
    if (status != STATUS_OK)
        return status;
    if (sql_postgresql_take_followed(self, step->statement))
        return STATUS_OK;
    arguments_init(&arguments, session->options.texts[step->statement], step);
    status = sql_postgresql_send(self, step->statement, &arguments, err);
    arguments_done(&arguments);
    const char *sqlstate = PQresultErrorField(self->result, PG_DIAG_SQLSTATE);
    if (status != STATUS_OK && step->if_missed != NULL && sqlstate != NULL &&
        strcmp(sqlstate, SQLSTATE_DIVISION_BY_ZERO) == 0) {
        error_clear(err);
        status = error_set(err, STATUS_ABORT, "%s", step->if_missed);
    }
    return sql_postgresql_judge(self, status, err);
}

static enum status sql_postgresql_run(struct sql_session *session, unsigned statement,
                                      const struct sql_parameter *parameters, size_t count,
                                      struct error *err)
{
    const struct sql_step step = {
        .statement = statement, .parameters = parameters, .columns = count, .rows = 1};
    return sql_postgresql_run_step(session, &step, err);
}

static enum status sql_postgresql_next(struct sql_session *session, struct error *err)
{
    struct sql_postgresql *self = sql_postgresql_of(session);
    (void)err;
    session->has_row = ++self->row < PQntuples(self->result);
    return STATUS_OK;
}

static struct slice sql_postgresql_column(const struct sql_session *session, size_t column)
{
    const struct sql_postgresql *self = (const struct sql_postgresql *)session;
    return postgresql_session_text(self->result, self->row, (int)column);
}

static enum status sql_postgresql_begin(struct sql_session *session, struct error *err)
{
    struct sql_postgresql *self = sql_postgresql_of(session);
    enum status status = sql_postgresql_ready(session, err);
    if (status != STATUS_OK)
        return status;
    sql_postgresql_drop_followed(self);
    return sql_postgresql_judge(self, postgresql_session_execute(self->connection, "BEGIN", err),
                                err);
}

static enum status sql_postgresql_end(struct sql_session *session, enum status status,
                                      struct error *err)
{
    struct sql_postgresql *self = sql_postgresql_of(session);
    if (status == STATUS_OK)
        status = postgresql_session_execute(self->connection, "COMMIT", err);
    if (status != STATUS_OK)
        postgresql_session_rollback(self->connection);
    return sql_postgresql_judge(self, status, err);
}

/* Reads one step's result; those behind a failed one are skipped by the server. */
static enum status sql_postgresql_step_result(struct sql_postgresql *self,
                                              const struct sql_step *step, enum status status,
                                              struct error *err)
{
    PGresult *result = postgresql_session_result(self->connection);
    ExecStatusType kind = PQresultStatus(result);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (status != STATUS_OK)
        ; /* the first error counts */
    else if (kind == PGRES_COMMAND_OK || kind == PGRES_TUPLES_OK)
        self->base.changed = strtoull(PQcmdTuples(result), NULL, 10);
    else if (step->if_missed != NULL && sqlstate != NULL &&
             strcmp(sqlstate, SQLSTATE_DIVISION_BY_ZERO) == 0)
        status = error_set(err, STATUS_ABORT, "%s", step->if_missed);
    else
        status = postgresql_session_error(self->connection, result, "outbox", err);
    PQclear(result);
    result = postgresql_session_result(self->connection); /* the step's end */
    PQclear(result);
    return status;
}

#define PIPELINE_MAX 16

/* The statements of a transaction, and behind them the one that follows, where there is one. A step
 * is a statement for each of its rows, unless that takes arrays of them. */
struct pipeline {
    const struct sql_step *steps[PIPELINE_MAX];
    struct arguments arguments[PIPELINE_MAX];
    char names[PIPELINE_MAX][NAME_SIZE];
    size_t all;
    size_t count; /* of the transaction */
    bool overflows;
};

static void pipeline_add(struct sql_postgresql *self, struct pipeline *pipeline,
                         const struct sql_step *step)
{
    const char *text = sql_statement_text(&self->base, step->statement);
    struct sql_step part = *step;
    if (text == NULL)
        return;
    if (!takes_arrays(text))
        part.rows = 1;
    for (size_t row = 0; row < step->rows; row += part.rows) {
        pipeline->overflows = pipeline->overflows || pipeline->all == PIPELINE_MAX;
        if (pipeline->overflows)
            return;
        if (step->columns > 0)
            part.parameters = &step->parameters[row * step->columns];
        arguments_init(&pipeline->arguments[pipeline->all], text, &part);
        pipeline->steps[pipeline->all++] = step;
    }
}

static enum status pipeline_prepare(struct sql_postgresql *self, struct pipeline *pipeline,
                                    struct error *err)
{
    enum status status = pipeline->overflows ? error_set(err, STATUS_FATAL, "too many statements")
                                             : STATUS_OK;
    for (size_t i = 0; i < pipeline->all && status == STATUS_OK; i++)
        status = pipeline->arguments[i].failed
                     ? error_set(err, STATUS_RETRY, "no memory")
                     : sql_postgresql_prepare(self, pipeline->steps[i]->statement,
                                              pipeline->names[i], err);
    return status;
}

/* Sends statements and a sync, up to which they are one transaction. @return false: not all. */
static bool pipeline_send(struct sql_postgresql *self, const struct pipeline *pipeline, size_t from,
                          size_t to)
{
    int sent = 1;
    for (size_t i = from; sent == 1 && i < to; i++)
        sent = PQsendQueryPrepared(self->connection, pipeline->names[i],
                                   pipeline->arguments[i].count, pipeline->arguments[i].texts, NULL,
                                   NULL, 0);
    return sent == 1 && PQpipelineSync(self->connection) == 1;
}

/* The sync's answer says that the transaction is committed. What follows is read later, unless the
 * transaction failed. */
static enum status pipeline_run(struct sql_postgresql *self, const struct pipeline *pipeline,
                                struct error *err)
{
    PGconn *connection = self->connection;
    enum status status = STATUS_OK;
    if (PQenterPipelineMode(connection) != 1 ||
        !pipeline_send(self, pipeline, 0, pipeline->count)) {
        status = postgresql_session_error(connection, NULL, "outbox", err);
        sql_postgresql_disconnect(self); /* nothing is durable, and little is known */
        return status;
    }
    self->follows = pipeline->all > pipeline->count &&
                    pipeline_send(self, pipeline, pipeline->count, pipeline->all);
    for (size_t i = 0; i < pipeline->count; i++)
        status = sql_postgresql_step_result(self, pipeline->steps[i], status, err);
    PGresult *end = postgresql_session_result(connection);
    if (status == STATUS_OK && PQresultStatus(end) != PGRES_PIPELINE_SYNC)
        status = postgresql_session_error(connection, end, "outbox: COMMIT", err);
    PQclear(end);
    self->followed_at_us = clock_monotonic_us();
    if (status == STATUS_OK && self->follows)
        self->followed_statement = pipeline->steps[pipeline->count]->statement;
    else if (self->follows || PQexitPipelineMode(connection) != 1)
        postgresql_session_rollback(connection);
    self->follows = self->follows && status == STATUS_OK;
    return status;
}

static enum status sql_postgresql_run_steps(struct sql_session *session,
                                            const struct sql_step *steps, size_t count,
                                            struct error *err)
{
    struct sql_postgresql *self = sql_postgresql_of(session);
    struct pipeline pipeline = {.count = 0};
    const struct sql_step *follower = self->follower;
    self->follower = NULL;
    enum status status = sql_postgresql_ready(session, err);
    if (status != STATUS_OK)
        return status;
    sql_postgresql_drop_followed(self);
    for (size_t i = 0; i < count && i < SQL_STEPS_MAX; i++)
        pipeline_add(self, &pipeline, &steps[i]);
    pipeline.count = pipeline.all;
    if (follower != NULL)
        pipeline_add(self, &pipeline, follower);
    status = pipeline_prepare(self, &pipeline, err);
    if (status == STATUS_OK)
        status = pipeline_run(self, &pipeline, err);
    for (size_t i = 0; i < pipeline.all; i++)
        arguments_done(&pipeline.arguments[i]);
    return sql_postgresql_judge(self, status, err);
}

static bool sql_postgresql_lacks_table(const struct error *err)
{
    return err->native_code == postgresql_sqlstate_code(SQLSTATE_UNDEFINED_TABLE);
}

const struct sql_session_ops sql_postgresql_ops = {
    .ready = sql_postgresql_ready,
    .close = sql_postgresql_close,
    .begin = sql_postgresql_begin,
    .end = sql_postgresql_end,
    .run = sql_postgresql_run,
    .next = sql_postgresql_next,
    .column = sql_postgresql_column,
    .finish = sql_postgresql_finish,
    .run_steps = sql_postgresql_run_steps,
    .run_step = sql_postgresql_run_step,
    .lacks_table = sql_postgresql_lacks_table,
};
