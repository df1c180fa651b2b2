/* Prepared statements of the MariaDB client library, behind plain values. */
#include "common/mariadb_statement.h"

#include "common/utf8.h"

#include <stdlib.h>

#define MESSAGE_SIZE ((size_t)512 * 1024) /* fits a small max_allowed_packet too */
#define COLUMN_SIZE  256                  /* a column grows for a longer value */

/* One column of the current row. */
struct mariadb_column {
    char *data;
    size_t size;
    unsigned long length;
    my_bool is_null;
};

struct mariadb_statement {
    MYSQL_STMT *handle;
    const char *what;
    char *sql;
    bool has_run; /* since it was prepared */
    unsigned long parameter_count;
    MYSQL_BIND *parameters;
    unsigned int column_count;
    struct mariadb_column *columns;
    MYSQL_BIND *results;
    bool has_grown; /* the handle does not know all buffers yet */
};

/* Array binding wants each parameter's values in arrays of their own. */
struct parameter {
    int64_t *integers;
    const char **texts;
    unsigned long *lengths;
    char *indicators;
};

static enum status mariadb_statement_no_memory(struct error *err)
{
    return error_set(err, STATUS_RETRY, "no memory");
}

static enum status mariadb_statement_fail(const struct mariadb_statement *statement,
                                          struct error *err)
{
    return mariadb_session_statement_error(statement->handle, statement->what, err);
}

/* Let every value be read as text. @return false without memory. */
static bool mariadb_statement_grow(struct mariadb_statement *statement, unsigned int column,
                                   size_t size)
{
    struct mariadb_column *grown = &statement->columns[column];
    char *data = realloc(grown->data, size);
    if (data == NULL)
        return false;
    grown->data = data;
    grown->size = size;
    statement->results[column] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_STRING,
                                              .buffer = data,
                                              .buffer_length = size,
                                              .length = &grown->length,
                                              .is_null = &grown->is_null};
    return true;
}

/* Allocate the result's columns. Those of INSERT … RETURNING are known only after its first
 * execution. */
static enum status mariadb_statement_columns(struct mariadb_statement *statement, struct error *err)
{
    unsigned int count = mysql_stmt_field_count(statement->handle);
    if (count == statement->column_count)
        return STATUS_OK;
    statement->results = calloc(count, sizeof *statement->results);
    statement->columns = calloc(count, sizeof *statement->columns);
    bool complete = statement->results != NULL && statement->columns != NULL;
    statement->column_count = complete ? count : 0;
    for (unsigned int i = 0; complete && i < count; i++)
        complete = mariadb_statement_grow(statement, i, COLUMN_SIZE);
    return complete ? STATUS_OK : mariadb_statement_no_memory(err);
}

/* What was prepared before stays, where this fails. */
static enum status mariadb_statement_prepare(struct mariadb_statement *statement, MYSQL *session,
                                             struct error *err)
{
    MYSQL_STMT *handle = mysql_stmt_init(session);
    if (handle == NULL)
        return mariadb_statement_no_memory(err);
    if (mysql_stmt_prepare(handle, statement->sql, strlen(statement->sql)) != 0) {
        enum status status = mariadb_session_statement_error(handle, statement->what, err);
        (void)mysql_stmt_close(handle);
        return status;
    }
    if (statement->handle != NULL)
        (void)mysql_stmt_close(statement->handle);
    statement->handle = handle;
    statement->has_run = false;
    return STATUS_OK;
}

static enum status mariadb_statement_prepare_first(struct mariadb_statement *statement,
                                                   MYSQL *session, struct error *err)
{
    enum status status = mariadb_statement_prepare(statement, session, err);
    if (status != STATUS_OK)
        return status;
    statement->parameter_count = mysql_stmt_param_count(statement->handle);
    statement->parameters = calloc(statement->parameter_count + 1, sizeof *statement->parameters);
    return statement->parameters == NULL ? mariadb_statement_no_memory(err)
                                         : mariadb_statement_columns(statement, err);
}

enum status mariadb_statement_new(MYSQL *session, const char *what, const char *sql,
                                  struct mariadb_statement **ret_statement, struct error *err)
{
    struct mariadb_statement *statement = calloc(1, sizeof *statement);
    if (statement == NULL)
        return mariadb_statement_no_memory(err);
    statement->what = what;
    statement->sql = strdup(sql);
    enum status status = statement->sql == NULL
                             ? mariadb_statement_no_memory(err)
                             : mariadb_statement_prepare_first(statement, session, err);
    if (status == STATUS_OK)
        *ret_statement = statement;
    else
        mariadb_statement_free(statement);
    return status;
}

void mariadb_statement_free(struct mariadb_statement *statement)
{
    if (statement == NULL)
        return;
    if (statement->handle != NULL)
        (void)mysql_stmt_close(statement->handle);
    for (unsigned int i = 0; statement->columns != NULL && i < statement->column_count; i++)
        free(statement->columns[i].data);
    free(statement->parameters);
    free(statement->results);
    free(statement->columns);
    free(statement->sql);
    free(statement);
}

static enum enum_field_types mariadb_statement_type(enum mariadb_kind kind)
{
    switch (kind) {
    case MARIADB_INTEGER:
        return MYSQL_TYPE_LONGLONG;
    case MARIADB_BYTES:
        return MYSQL_TYPE_BLOB;
    case MARIADB_TEXT:
        return MYSQL_TYPE_STRING;
    case MARIADB_NULL:
        break;
    }
    return MYSQL_TYPE_NULL;
}

static enum status mariadb_statement_bind_results(struct mariadb_statement *statement,
                                                  struct error *err)
{
    statement->has_grown = false;
    return mysql_stmt_bind_result(statement->handle, statement->results) == 0
               ? STATUS_OK
               : mariadb_statement_fail(statement, err);
}

static enum status mariadb_statement_execute(struct mariadb_statement *statement, MYSQL_BIND *binds,
                                             unsigned int rows, struct error *err)
{
    MYSQL_STMT *handle = statement->handle;
    if (mysql_stmt_attr_set(handle, STMT_ATTR_ARRAY_SIZE, &rows) != 0 ||
        (statement->parameter_count > 0 && mysql_stmt_bind_param(handle, binds) != 0) ||
        mysql_stmt_execute(handle) != 0)
        return mariadb_statement_fail(statement, err);
    statement->has_run = true;
    return STATUS_OK;
}

/* A statement that has run once opens the tables and the functions of the triggers that were there
 * then. What a trigger that was made since writes, reads or calls is not there for it. */
static bool mariadb_statement_may_be_old(const struct mariadb_statement *statement)
{
    static const unsigned int numbers[] = {ER_NO_SUCH_TABLE, ER_TABLE_NOT_LOCKED,
                                           ER_TABLE_NOT_LOCKED_FOR_WRITE, ER_SP_DOES_NOT_EXIST};
    const unsigned int number = mysql_stmt_errno(statement->handle);
    bool is_one = false;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        is_one = is_one || number == numbers[i];
    return is_one;
}

/* One that failed has undone itself. Of several rows some may be written: all of the transaction is
 * tried again then. */
static enum status mariadb_statement_run_again(struct mariadb_statement *statement,
                                               MYSQL_BIND *binds, unsigned int rows,
                                               struct error *err)
{
    struct error fresh = ERROR_INIT;
    bool has_run = statement->has_run;
    enum status status = mariadb_statement_prepare(statement, statement->handle->mysql, &fresh);
    if (status == STATUS_OK && rows <= 1)
        status = mariadb_statement_execute(statement, binds, rows, &fresh);
    else if (status == STATUS_OK)
        return has_run ? (err->status = STATUS_RETRY) : err->status;
    *err = fresh;
    return status;
}

enum status mariadb_statement_run_arrays(struct mariadb_statement *statement, MYSQL_BIND *binds,
                                         unsigned int rows, struct mariadb_outcome *ret_outcome,
                                         struct error *err)
{
    struct error failure = ERROR_INIT;
    mariadb_statement_end(statement);
    enum status status = mariadb_statement_execute(statement, binds, rows, &failure);
    if (status != STATUS_OK && mariadb_statement_may_be_old(statement))
        status = mariadb_statement_run_again(statement, binds, rows, &failure);
    if (status != STATUS_OK) {
        if (err != NULL)
            *err = failure;
        return status;
    }
    MYSQL_STMT *handle = statement->handle;
    status = mariadb_statement_columns(statement, err);
    if (status != STATUS_OK)
        return status;
    if (statement->column_count > 0)
        status = mariadb_statement_bind_results(statement, err);
    if (status != STATUS_OK)
        return status;
    *ret_outcome = (struct mariadb_outcome){.affected = mysql_stmt_affected_rows(handle),
                                            .has_warnings = mysql_stmt_warning_count(handle) != 0};
    return STATUS_OK;
}

static enum status mariadb_statement_count(const struct mariadb_statement *statement, size_t count,
                                           struct error *err)
{
    if (count == statement->parameter_count)
        return STATUS_OK;
    return error_set_verdict(err, (struct verdict){0, VERDICT_FATAL}, statement->what,
                             "it has %lu parameters, not %zu", statement->parameter_count, count);
}

enum status mariadb_statement_run(struct mariadb_statement *statement,
                                  const struct mariadb_parameter *values, size_t count,
                                  uint64_t *ret_affected, struct error *err)
{
    enum status status = mariadb_statement_count(statement, count, err);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        const struct mariadb_parameter *value = &values[i];
        bool is_integer = value->kind == MARIADB_INTEGER;
        statement->parameters[i] = (MYSQL_BIND){
            .buffer_type = mariadb_statement_type(value->kind),
            .buffer = (void *)(is_integer ? (uintptr_t)&value->integer
                                          : (uintptr_t)value->text.data),
            .buffer_length = value->text.length};
    }
    struct mariadb_outcome outcome = {0};
    if (status == STATUS_OK)
        status = mariadb_statement_run_arrays(statement, statement->parameters, 0, &outcome, err);
    if (status == STATUS_OK && ret_affected != NULL)
        *ret_affected = outcome.affected;
    return status;
}

enum status mariadb_statement_query(struct mariadb_statement *statement,
                                    const struct mariadb_parameter *values, size_t count,
                                    bool *ret_row, struct error *err)
{
    *ret_row = false;
    enum status status = mariadb_statement_run(statement, values, count, NULL, err);
    if (status == STATUS_OK)
        status = mariadb_statement_next(statement, ret_row, err);
    if (status != STATUS_OK)
        mariadb_statement_end(statement);
    return status;
}

static bool mariadb_statement_fill(struct parameter *parameter, MYSQL_BIND *bind,
                                   struct mariadb_rows rows, size_t column)
{
    parameter->integers = calloc(rows.count, sizeof *parameter->integers);
    parameter->texts = calloc(rows.count, sizeof *parameter->texts);
    parameter->lengths = calloc(rows.count, sizeof *parameter->lengths);
    parameter->indicators = calloc(rows.count, sizeof *parameter->indicators);
    if (parameter->integers == NULL || parameter->texts == NULL || parameter->lengths == NULL ||
        parameter->indicators == NULL)
        return false;
    enum mariadb_kind kind = MARIADB_NULL;
    for (size_t row = 0; row < rows.count; row++) {
        const struct mariadb_parameter *value = &rows.values[row * rows.columns + column];
        kind = value->kind == MARIADB_NULL ? kind : value->kind;
        parameter->integers[row] = value->integer;
        parameter->texts[row] = value->text.data == NULL ? "" : value->text.data;
        parameter->lengths[row] = value->text.length;
        parameter->indicators[row] = value->kind == MARIADB_NULL ? STMT_INDICATOR_NULL
                                                                 : STMT_INDICATOR_NONE;
    }
    *bind = (MYSQL_BIND){
        .buffer_type = mariadb_statement_type(kind == MARIADB_NULL ? MARIADB_TEXT : kind),
        .buffer = kind == MARIADB_INTEGER ? (void *)parameter->integers : (void *)parameter->texts,
        .length = parameter->lengths};
    bind->u.indicator = parameter->indicators;
    return true;
}

static enum status mariadb_statement_run_message(struct mariadb_statement *statement,
                                                 struct mariadb_rows rows,
                                                 struct mariadb_outcome *ret_outcome,
                                                 struct error *err)
{
    enum status status = STATUS_OK;
    struct parameter *parameters = calloc(rows.columns, sizeof *parameters);
    bool complete = parameters != NULL;
    for (size_t i = 0; complete && i < rows.columns; i++)
        complete = mariadb_statement_fill(&parameters[i], &statement->parameters[i], rows, i);
    if (complete)
        status = mariadb_statement_run_arrays(statement, statement->parameters,
                                              (unsigned int)rows.count, ret_outcome, err);
    else
        status = mariadb_statement_no_memory(err);
    for (size_t i = 0; parameters != NULL && i < rows.columns; i++) {
        free(parameters[i].integers);
        free(parameters[i].texts);
        free(parameters[i].lengths);
        free(parameters[i].indicators);
    }
    free(parameters);
    return status;
}

/* @return how many rows fit into one message: at least the first. */
static size_t mariadb_statement_rows_of_message(struct mariadb_rows rows)
{
    size_t size = 0;
    size_t count = 0;
    for (; count < rows.count; count++) {
        for (size_t i = 0; i < rows.columns; i++)
            size += rows.values[count * rows.columns + i].text.length + sizeof(int64_t);
        if (count > 0 && size > MESSAGE_SIZE)
            break;
    }
    return count;
}

enum status mariadb_statement_run_rows(struct mariadb_statement *statement,
                                       struct mariadb_rows rows, uint64_t *ret_affected,
                                       struct error *err)
{
    enum status status = mariadb_statement_count(statement, rows.columns, err);
    uint64_t sum = 0;
    while (status == STATUS_OK && rows.count > 0) {
        struct mariadb_rows message = rows;
        struct mariadb_outcome outcome = {0};
        message.count = mariadb_statement_rows_of_message(rows);
        status = mariadb_statement_run_message(statement, message, &outcome, err);
        sum += outcome.affected;
        rows.values += message.count * rows.columns;
        rows.count -= message.count;
    }
    if (ret_affected != NULL)
        *ret_affected = sum;
    return status;
}

/* Read values that did not fit again, into larger buffers. The next rows use those buffers too:
 * they are bound before the next fetch, because some versions of the library (3.3.19) set the
 * lengths of the current row to 0 when results are bound. */
static enum status mariadb_statement_complete(struct mariadb_statement *statement,
                                              struct error *err)
{
    for (unsigned int i = 0; i < statement->column_count; i++) {
        const struct mariadb_column *column = &statement->columns[i];
        if (column->is_null || column->length <= column->size)
            continue;
        if (!mariadb_statement_grow(statement, i, column->length))
            return mariadb_statement_no_memory(err);
        statement->has_grown = true;
        if (mysql_stmt_fetch_column(statement->handle, &statement->results[i], i, 0) != 0)
            return mariadb_statement_fail(statement, err);
    }
    return STATUS_OK;
}

enum status mariadb_statement_next(struct mariadb_statement *statement, bool *ret_row,
                                   struct error *err)
{
    *ret_row = false;
    if (statement->has_grown) {
        enum status status = mariadb_statement_bind_results(statement, err);
        if (status != STATUS_OK)
            return status;
    }
    int code = mysql_stmt_fetch(statement->handle);
    *ret_row = code == 0 || code == MYSQL_DATA_TRUNCATED;
    if (*ret_row)
        return mariadb_statement_complete(statement, err);
    return code == MYSQL_NO_DATA ? STATUS_OK : mariadb_statement_fail(statement, err);
}

struct slice mariadb_statement_column(const struct mariadb_statement *statement, size_t column)
{
    const struct mariadb_column *found = &statement->columns[column];
    if (found->is_null)
        return (struct slice){0};
    return (struct slice){.data = found->data, .length = found->length};
}

int64_t mariadb_statement_integer(const struct mariadb_statement *statement, size_t column)
{
    char text[24];
    mariadb_statement_copy(statement, column, text, sizeof text);
    return strtoll(text, NULL, 10);
}

bool mariadb_statement_text(const struct mariadb_statement *statement, size_t column,
                            struct arena *arena, struct slice *ret_text)
{
    struct slice text = mariadb_statement_column(statement, column);
    *ret_text = text.data == NULL ? text : arena_copy(arena, text);
    return text.data == NULL || ret_text->data != NULL;
}

void mariadb_statement_copy(const struct mariadb_statement *statement, size_t column, char *target,
                            size_t size)
{
    struct slice text = utf8_cut(mariadb_statement_column(statement, column), size - 1);
    if (text.length > 0)
        memcpy(target, text.data, text.length);
    target[text.length] = '\0';
}

void mariadb_statement_end(struct mariadb_statement *statement)
{
    if (statement != NULL && statement->column_count > 0)
        (void)mysql_stmt_free_result(statement->handle);
}

enum status mariadb_statement_once(MYSQL *session, const char *sql,
                                   const struct mariadb_parameter *values, size_t count,
                                   struct error *err)
{
    struct mariadb_statement *statement = NULL;
    enum status status = mariadb_statement_new(session, sql, sql, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_run(statement, values, count, NULL, err);
    mariadb_statement_free(statement);
    return status;
}
