/* The session of a service's MariaDB database. MariaDB knows only `?`: a statement's ?1, ?2 … are
 * replaced, and its parameters are handed over in the order in which it names them. */
#include "producer/mariadb/compound.h"
#include "producer/mariadb/parameters.h"

#include <stdlib.h>

#define TEXT_SIZE_MAX    ((size_t)64 * 1024)
#define MESSAGE_SIZE_MAX ((size_t)512 * 1024)
#define MESSAGE_FRAMING  1024 /* bytes of a message beside its values */

struct sql_mariadb_statement {
    struct mariadb_statement *prepared; /* NULL: not yet, in this session */
    unsigned char places[SQL_COLUMNS_MAX];
    size_t count;    /* parameters that it has */
    bool takes_list; /* all rows of a step as one JSON array of arrays */
};

static struct sql_mariadb *sql_mariadb_of(struct sql_session *session)
{
    return (struct sql_mariadb *)session;
}

static void sql_mariadb_disconnect(struct sql_mariadb *self)
{
    for (size_t i = 0; self->statements != NULL && i < self->base.options.text_count; i++) {
        mariadb_statement_free(self->statements[i].prepared);
        self->statements[i].prepared = NULL;
    }
    sql_compound_forget(self);
    self->running = NULL;
    if (self->handle != NULL && self->base.options.lost_count != NULL)
        ++*self->base.options.lost_count;
    mariadb_session_close(self->handle);
    self->handle = NULL;
}

static void sql_mariadb_close(struct sql_session *session)
{
    struct sql_mariadb *self = sql_mariadb_of(session);
    session->options.lost_count = NULL;
    sql_mariadb_disconnect(self);
    free(self->statements);
    self->statements = NULL;
}

enum status sql_mariadb_judge(struct sql_mariadb *self, enum status status, const struct error *err)
{
    if (status != STATUS_OK && (err == NULL || err->connection_lost))
        sql_mariadb_disconnect(self);
    return status;
}

/* A server refuses messages above its max_allowed_packet, which is 1024 at least. */
static enum status sql_mariadb_ask_message_size(struct sql_mariadb *self, struct error *err)
{
    static const char sql[] = "SELECT @@max_allowed_packet";
    struct mariadb_statement *statement = NULL;
    bool row = false;
    enum status status = mariadb_statement_new(self->handle, "outbox", sql, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_query(statement, NULL, 0, &row, err);
    if (status == STATUS_OK && row) {
        size_t packet = (size_t)mariadb_statement_integer(statement, 0);
        self->message_size = packet < 2 * MESSAGE_FRAMING ? packet / 2 : packet - MESSAGE_FRAMING;
        if (self->message_size > MESSAGE_SIZE_MAX)
            self->message_size = MESSAGE_SIZE_MAX;
    }
    mariadb_statement_end(statement);
    mariadb_statement_free(statement);
    return status;
}

/* Transactions are begun by name and given up at the first error, so that no statement can run
 * outside of the one it belongs to; without one a reading statement leaves no lock behind. */
static enum status sql_mariadb_ready(struct sql_session *session, struct error *err)
{
    struct sql_mariadb *self = sql_mariadb_of(session);
    const struct sql_options *wanted = &session->options;
    const struct server_session_options options = {.url = wanted->url,
                                                   .application = wanted->application,
                                                   .read_only = wanted->read_only,
                                                   .lasting = wanted->lasting};
    if (self->handle != NULL)
        return STATUS_OK;
    if (wanted->single && self->statements != NULL)
        return error_set(err, STATUS_RETRY, "the connection to the database was lost");
    if (self->statements == NULL)
        self->statements = calloc(wanted->text_count, sizeof *self->statements);
    if (self->statements == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    enum status status = mariadb_session_open(&options, &self->handle, err);
    if (status == STATUS_OK)
        status = mariadb_session_execute(self->handle, wanted->setup, err);
    if (status == STATUS_OK)
        status = sql_mariadb_ask_message_size(self, err);
    if (status != STATUS_OK)
        sql_mariadb_disconnect(self);
    return status;
}

/* Replaces `?1` by `?` and notes which parameter it is. */
static void sql_mariadb_translate(const char *text, struct buffer *out,
                                  struct sql_mariadb_statement *statement)
{
    statement->count = 0;
    statement->takes_list = sql_mariadb_takes_list(text);
    for (const char *at = text; *at != '\0'; at++) {
        buffer_append(out, at, 1);
        if (at[0] != '?' || at[1] < '1' || at[1] > '9')
            continue;
        at++;
        if (statement->count < SQL_COLUMNS_MAX)
            statement->places[statement->count++] = (unsigned char)(*at - '1');
    }
}

static enum status sql_mariadb_prepare(struct sql_mariadb *self, unsigned number,
                                       struct sql_mariadb_statement **ret_statement,
                                       struct error *err)
{
    struct buffer text;
    enum status status = sql_mariadb_ready(&self->base, err);
    if (status != STATUS_OK)
        return status;
    struct sql_mariadb_statement *statement = *ret_statement = &self->statements[number];
    if (statement->prepared != NULL)
        return STATUS_OK;
    buffer_init(&text, TEXT_SIZE_MAX);
    sql_mariadb_translate(self->base.options.texts[number], &text, statement);
    status = text.failed ? error_set(err, STATUS_RETRY, "no memory")
                         : mariadb_statement_new(self->handle, "outbox", buffer_text(&text),
                                                 &statement->prepared, err);
    buffer_done(&text);
    return status;
}

static void sql_mariadb_arrange(const struct sql_mariadb_statement *statement,
                                const struct sql_parameter *row, struct mariadb_parameter *values)
{
    for (size_t i = 0; i < statement->count; i++)
        values[i] = sql_mariadb_parameter(&row[statement->places[i]]);
}

static void sql_mariadb_finish(struct sql_session *session)
{
    struct sql_mariadb *self = sql_mariadb_of(session);
    mariadb_statement_end(self->running);
    self->running = NULL;
}

static enum status sql_mariadb_run(struct sql_session *session, unsigned statement,
                                   const struct sql_parameter *parameters, size_t count,
                                   struct error *err)
{
    struct sql_mariadb *self = sql_mariadb_of(session);
    struct sql_mariadb_statement *wanted = NULL;
    struct mariadb_parameter values[SQL_COLUMNS_MAX];
    (void)count;
    sql_mariadb_finish(session);
    enum status status = sql_mariadb_prepare(self, statement, &wanted, err);
    if (status == STATUS_OK) {
        sql_mariadb_arrange(wanted, parameters, values);
        status = mariadb_statement_run(wanted->prepared, values, wanted->count, &session->changed,
                                       err);
    }
    if (status == STATUS_OK)
        self->running = wanted->prepared;
    return sql_mariadb_judge(self, status, err);
}

static enum status sql_mariadb_next(struct sql_session *session, struct error *err)
{
    struct sql_mariadb *self = sql_mariadb_of(session);
    return sql_mariadb_judge(self, mariadb_statement_next(self->running, &session->has_row, err),
                             err);
}

static struct slice sql_mariadb_column(const struct sql_session *session, size_t column)
{
    return mariadb_statement_column(((const struct sql_mariadb *)session)->running, column);
}

static enum status sql_mariadb_begin(struct sql_session *session, struct error *err)
{
    struct sql_mariadb *self = sql_mariadb_of(session);
    enum status status = sql_mariadb_ready(session, err);
    if (status == STATUS_OK)
        status = mariadb_session_execute(self->handle, "START TRANSACTION", err);
    return sql_mariadb_judge(self, status, err);
}

static enum status sql_mariadb_end(struct sql_session *session, enum status status,
                                   struct error *err)
{
    struct sql_mariadb *self = sql_mariadb_of(session);
    if (status == STATUS_OK)
        status = mariadb_session_execute(self->handle, "COMMIT", err);
    if (status != STATUS_OK && self->handle != NULL)
        mariadb_session_rollback(self->handle);
    return sql_mariadb_judge(self, status, err);
}

/* All rows as JSON arrays of arrays, in as few messages as the server takes. */
static enum status sql_mariadb_run_lists(struct sql_session *session, const struct sql_step *step,
                                         struct error *err)
{
    const struct sql_mariadb *self = sql_mariadb_of(session);
    struct buffer list;
    uint64_t changed = 0;
    size_t from = 0;
    enum status status = STATUS_OK;
    buffer_init(&list, SQL_LIST_SIZE_MAX);
    while (status == STATUS_OK && from < step->rows) {
        buffer_reset(&list);
        from += sql_mariadb_append_list(step, from, self->message_size / 2, &list);
        const struct sql_parameter value = sql_text(buffer_slice(&list));
        status = list.failed ? error_set(err, STATUS_RETRY, "no memory")
                             : sql_run(session, step->statement, &value, 1, err);
        changed += session->changed;
    }
    session->changed = changed;
    buffer_done(&list);
    return status;
}

/* The rows by array binding, in as few messages as the server takes. */
static enum status sql_mariadb_run_rows(struct sql_session *session,
                                        const struct sql_mariadb_statement *statement,
                                        const struct sql_step *step, struct error *err)
{
    struct mariadb_parameter *values = calloc(step->rows, statement->count * sizeof *values);
    if (values == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    for (size_t i = 0; i < step->rows; i++)
        sql_mariadb_arrange(statement, &step->parameters[i * step->columns],
                            &values[i * statement->count]);
    enum status status = mariadb_statement_run_rows(
        statement->prepared, (struct mariadb_rows){values, statement->count, step->rows},
        &session->changed, err);
    free(values);
    return status;
}

static enum status sql_mariadb_step(struct sql_session *session, const struct sql_step *step,
                                    struct error *err)
{
    struct sql_mariadb_statement *statement = NULL;
    if (step->rows == 0 || sql_statement_text(session, step->statement) == NULL)
        return STATUS_OK;
    enum status status = sql_mariadb_prepare(sql_mariadb_of(session), step->statement, &statement,
                                             err);
    if (status != STATUS_OK)
        return status;
    status = statement->takes_list ? sql_mariadb_run_lists(session, step, err)
             : step->rows == 1
                 ? sql_run(session, step->statement, step->parameters, step->columns, err)
                 : sql_mariadb_run_rows(session, statement, step, err);
    if (status == STATUS_OK && step->if_missed != NULL && session->changed != step->rows)
        status = error_set(err, STATUS_ABORT, "%s", step->if_missed);
    return status;
}

/* What does not fit into one message is sent step by step. */
static enum status sql_mariadb_run_each(struct sql_session *session, const struct sql_step *steps,
                                        size_t count, struct error *err)
{
    enum status status = sql_mariadb_begin(session, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        status = sql_mariadb_step(session, &steps[i], err);
    return sql_mariadb_end(session, status, err);
}

static enum status sql_mariadb_run_steps(struct sql_session *session, const struct sql_step *steps,
                                         size_t count, struct error *err)
{
    struct sql_mariadb *self = sql_mariadb_of(session);
    struct error failed = ERROR_INIT;
    bool fits = true;
    sql_mariadb_finish(session);
    enum status status = sql_mariadb_ready(session, &failed);
    if (status == STATUS_OK)
        status = sql_compound_run(self, steps, count, &fits, &failed);
    if (status == STATUS_OK && !fits)
        status = sql_mariadb_run_each(session, steps, count, &failed);
    else if (status != STATUS_OK && status != STATUS_ABORT && self->handle != NULL &&
             !failed.connection_lost)
        mariadb_session_rollback(self->handle); /* a statement that was cut off has not done it */
    if (status != STATUS_OK && err != NULL && err->status == STATUS_OK)
        *err = failed;
    return sql_mariadb_judge(self, status, &failed);
}

static bool sql_mariadb_lacks_table(const struct error *err)
{
    return err->native_code == ER_NO_SUCH_TABLE;
}

const struct sql_session_ops sql_mariadb_ops = {
    .ready = sql_mariadb_ready,
    .close = sql_mariadb_close,
    .begin = sql_mariadb_begin,
    .end = sql_mariadb_end,
    .run = sql_mariadb_run,
    .next = sql_mariadb_next,
    .column = sql_mariadb_column,
    .finish = sql_mariadb_finish,
    .run_steps = sql_mariadb_run_steps,
    .run_step = sql_mariadb_step,
    .lacks_table = sql_mariadb_lacks_table,
};
