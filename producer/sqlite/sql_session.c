/* The session of a service's SQLite database. */
#include "producer/sqlite/sql_session.h"

#include <stdlib.h>

static struct sql_sqlite *sql_sqlite_of(struct sql_session *session)
{
    return (struct sql_sqlite *)session;
}

static enum status sql_sqlite_fail(const struct sql_sqlite *self, struct error *err)
{
    return sqlite_session_error(self->db, "outbox", err);
}

static enum status sql_sqlite_ready(struct sql_session *session, struct error *err)
{
    struct sql_sqlite *self = sql_sqlite_of(session);
    const struct sql_options *options = &session->options;
    int flags = options->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    if (self->db != NULL)
        return STATUS_OK;
    if (self->statements == NULL)
        self->statements = calloc(options->text_count, sizeof(sqlite3_stmt *));
    if (self->statements == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    enum status status = sqlite_session_open(
        options->url, flags | (options->create ? SQLITE_OPEN_CREATE : 0), &self->db, err);
    if (status == STATUS_OK && options->setup != NULL)
        status = sqlite_session_execute(self->db, options->setup, err);
    return status;
}

static void sql_sqlite_finish(struct sql_session *session)
{
    struct sql_sqlite *self = sql_sqlite_of(session);
    if (self->running != NULL)
        (void)sqlite3_reset(self->running);
    self->running = NULL;
    self->stepped = false;
}

static void sql_sqlite_close(struct sql_session *session)
{
    struct sql_sqlite *self = sql_sqlite_of(session);
    for (size_t i = 0; self->statements != NULL && i < session->options.text_count; i++)
        (void)sqlite3_finalize(self->statements[i]);
    free(self->statements);
    self->statements = NULL;
    (void)sqlite3_close_v2(self->db); /* rolls back what is open */
    self->db = NULL;
}

static enum status sql_sqlite_begin(struct sql_session *session, struct error *err)
{
    return sqlite_session_execute(sql_sqlite_of(session)->db, "BEGIN IMMEDIATE", err);
}

static enum status sql_sqlite_end(struct sql_session *session, enum status status,
                                  struct error *err)
{
    struct sql_sqlite *self = sql_sqlite_of(session);
    if (status == STATUS_OK)
        status = sqlite_session_execute(self->db, "COMMIT", err);
    if (status != STATUS_OK && self->db != NULL)
        sqlite_session_rollback(self->db);
    return status;
}

static void sql_sqlite_bind(sqlite3_stmt *statement, const struct sql_parameter *parameters,
                            size_t count)
{
    int named = sqlite3_bind_parameter_count(statement);
    for (int i = 0; i < named && i < (int)count; i++) {
        if (parameters[i].kind == SQL_KIND_INTEGER)
            (void)sqlite3_bind_int64(statement, i + 1, parameters[i].integer);
        else
            sqlite_session_bind(statement, i + 1, parameters[i].text);
    }
}

enum status sql_sqlite_prepare(struct sql_sqlite *self, unsigned statement, struct error *err)
{
    const char *text = sql_statement_text(&self->base, statement);
    if (text == NULL || self->statements[statement] != NULL)
        return STATUS_OK;
    return sqlite_session_prepare(self->db, text, &self->statements[statement], err);
}

static enum status sql_sqlite_run(struct sql_session *session, unsigned statement,
                                  const struct sql_parameter *parameters, size_t count,
                                  struct error *err)
{
    struct sql_sqlite *self = sql_sqlite_of(session);
    sqlite3_stmt **prepared = &self->statements[statement];
    sql_sqlite_finish(session);
    enum status status = sql_sqlite_prepare(self, statement, err);
    if (status != STATUS_OK)
        return status;
    sql_sqlite_bind(*prepared, parameters, count);
    int code = sqlite3_step(*prepared);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        status = sql_sqlite_fail(self, err);
    else
        session->changed = (uint64_t)sqlite3_changes(self->db);
    if (code == SQLITE_ROW) {
        self->running = *prepared;
        self->stepped = true;
    } else {
        (void)sqlite3_reset(*prepared);
    }
    return status;
}

static enum status sql_sqlite_next(struct sql_session *session, struct error *err)
{
    struct sql_sqlite *self = sql_sqlite_of(session);
    session->has_row = self->stepped;
    if (self->stepped || self->running == NULL) {
        self->stepped = false;
        return STATUS_OK;
    }
    int code = sqlite3_step(self->running);
    session->has_row = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? STATUS_OK : sql_sqlite_fail(self, err);
}

static struct slice sql_sqlite_column(const struct sql_session *session, size_t column)
{
    return sqlite_session_text(((const struct sql_sqlite *)session)->running, (int)column);
}

static enum status sql_sqlite_step(struct sql_session *session, const struct sql_step *step,
                                   struct error *err)
{
    enum status status = STATUS_OK;
    uint64_t changed = 0;
    for (size_t i = 0; status == STATUS_OK && i < step->rows; i++) {
        const struct sql_parameter *row = step->columns == 0 ? NULL
                                                             : &step->parameters[i * step->columns];
        status = sql_run(session, step->statement, row, step->columns, err);
        changed += session->changed;
    }
    if (status == STATUS_OK && step->if_missed != NULL && changed != step->rows)
        status = error_set(err, STATUS_ABORT, "%s", step->if_missed);
    session->changed = changed;
    return status;
}

static enum status sql_sqlite_run_steps(struct sql_session *session, const struct sql_step *steps,
                                        size_t count, struct error *err)
{
    enum status status = sql_sqlite_begin(session, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        status = sql_sqlite_step(session, &steps[i], err);
    return sql_sqlite_end(session, status, err);
}

/* SQLite has no code of its own for it. */
static bool sql_sqlite_lacks_table(const struct error *err)
{
    return (err->native_code & 0xff) == SQLITE_ERROR && strstr(err->text, "no such ") != NULL;
}

const struct sql_session_ops sql_sqlite_ops = {
    .ready = sql_sqlite_ready,
    .close = sql_sqlite_close,
    .begin = sql_sqlite_begin,
    .end = sql_sqlite_end,
    .run = sql_sqlite_run,
    .next = sql_sqlite_next,
    .column = sql_sqlite_column,
    .finish = sql_sqlite_finish,
    .run_steps = sql_sqlite_run_steps,
    .run_step = sql_sqlite_step,
    .lacks_table = sql_sqlite_lacks_table,
};
