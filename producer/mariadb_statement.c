/* Prepared statements of the MariaDB client library, behind plain values. */
#include "producer/mariadb_statement.h"

#include <stdlib.h>

#define STATEMENT_WHAT "outbox"
#define MESSAGE_SIZE   ((size_t)512 * 1024) /* a small max_allowed_packet takes it too */

struct mariadb_statement {
    MYSQL *session;
    MYSQL_STMT *handle;
    unsigned int column_count;
    MYSQL_BIND *columns;
    unsigned long *lengths;
    my_bool *nulls;
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
    return mariadb_session_statement_error(statement->handle, STATEMENT_WHAT, err);
}

/* Rows come as text with buffers of no length: each column is then fetched in its own size. */
static enum status mariadb_statement_bind_columns(struct mariadb_statement *statement,
                                                  struct error *err)
{
    size_t count = statement->column_count;
    statement->columns = calloc(count, sizeof *statement->columns);
    statement->lengths = calloc(count, sizeof *statement->lengths);
    statement->nulls = calloc(count, sizeof *statement->nulls);
    if (statement->columns == NULL || statement->lengths == NULL || statement->nulls == NULL)
        return mariadb_statement_no_memory(err);
    for (size_t i = 0; i < count; i++) {
        statement->columns[i].buffer_type = MYSQL_TYPE_STRING;
        statement->columns[i].length = &statement->lengths[i];
        statement->columns[i].is_null = &statement->nulls[i];
    }
    if (mysql_stmt_bind_result(statement->handle, statement->columns) != 0)
        return mariadb_statement_fail(statement, err);
    return STATUS_OK;
}

enum status mariadb_statement_new(MYSQL *session, const char *sql,
                                  struct mariadb_statement **ret_statement, struct error *err)
{
    enum status status = STATUS_OK;
    struct mariadb_statement *statement = calloc(1, sizeof *statement);
    if (statement == NULL)
        return mariadb_statement_no_memory(err);
    statement->session = session;
    statement->handle = mysql_stmt_init(session);
    if (statement->handle == NULL)
        status = mariadb_statement_no_memory(err);
    else if (mysql_stmt_prepare(statement->handle, sql, strlen(sql)) != 0)
        status = mariadb_statement_fail(statement, err);
    if (status != STATUS_OK)
        goto out;
    statement->column_count = mysql_stmt_field_count(statement->handle);
    if (statement->column_count > 0)
        status = mariadb_statement_bind_columns(statement, err);
out:
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
    free(statement->columns);
    free(statement->lengths);
    free(statement->nulls);
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

static enum status mariadb_statement_execute(struct mariadb_statement *statement, MYSQL_BIND *binds,
                                             unsigned int rows, uint64_t *ret_affected,
                                             struct error *err)
{
    MYSQL_STMT *handle = statement->handle;
    mariadb_statement_end(statement);
    (void)mysql_stmt_attr_set(handle, STMT_ATTR_ARRAY_SIZE, &rows);
    if (binds != NULL && mysql_stmt_bind_param(handle, binds) != 0)
        return mariadb_statement_fail(statement, err);
    if (mysql_stmt_execute(handle) != 0)
        return mariadb_statement_fail(statement, err);
    if (ret_affected != NULL)
        *ret_affected = mysql_stmt_affected_rows(handle);
    return STATUS_OK;
}

enum status mariadb_statement_run(struct mariadb_statement *statement,
                                  const struct mariadb_parameter *values, size_t count,
                                  uint64_t *ret_affected, struct error *err)
{
    MYSQL_BIND *binds = NULL;
    if (count > 0) {
        binds = calloc(count, sizeof *binds);
        if (binds == NULL)
            return mariadb_statement_no_memory(err);
    }
    for (size_t i = 0; i < count; i++) {
        const struct mariadb_parameter *value = &values[i];
        binds[i].buffer_type = mariadb_statement_type(value->kind);
        binds[i].buffer = value->kind == MARIADB_INTEGER ? (void *)(uintptr_t)&value->integer
                                                         : (void *)(uintptr_t)value->text.data;
        binds[i].buffer_length = value->text.length;
    }
    enum status status = mariadb_statement_execute(statement, binds, 0, ret_affected, err);
    free(binds);
    return status;
}

static bool mariadb_statement_fill(struct parameter *parameter, MYSQL_BIND *bind,
                                   const struct mariadb_parameter *values, size_t columns,
                                   size_t rows)
{
    parameter->integers = calloc(rows, sizeof *parameter->integers);
    parameter->texts = calloc(rows, sizeof *parameter->texts);
    parameter->lengths = calloc(rows, sizeof *parameter->lengths);
    parameter->indicators = calloc(rows, sizeof *parameter->indicators);
    if (parameter->integers == NULL || parameter->texts == NULL || parameter->lengths == NULL ||
        parameter->indicators == NULL)
        return false;
    enum mariadb_kind kind = MARIADB_NULL;
    for (size_t row = 0; row < rows; row++) {
        const struct mariadb_parameter *value = &values[row * columns];
        kind = value->kind == MARIADB_NULL ? kind : value->kind;
        parameter->integers[row] = value->integer;
        parameter->texts[row] = value->text.data == NULL ? "" : value->text.data;
        parameter->lengths[row] = value->text.length;
        parameter->indicators[row] = value->kind == MARIADB_NULL ? STMT_INDICATOR_NULL
                                                                 : STMT_INDICATOR_NONE;
    }
    bind->buffer_type = mariadb_statement_type(kind == MARIADB_NULL ? MARIADB_TEXT : kind);
    bind->buffer = kind == MARIADB_INTEGER ? (void *)parameter->integers : (void *)parameter->texts;
    bind->length = parameter->lengths;
    bind->u.indicator = parameter->indicators;
    return true;
}

static enum status mariadb_statement_run_message(struct mariadb_statement *statement,
                                                 const struct mariadb_parameter *values,
                                                 size_t columns, size_t rows,
                                                 uint64_t *ret_affected, struct error *err)
{
    enum status status = STATUS_OK;
    MYSQL_BIND *binds = calloc(columns, sizeof *binds);
    struct parameter *parameters = calloc(columns, sizeof *parameters);
    bool complete = binds != NULL && parameters != NULL;
    for (size_t i = 0; complete && i < columns; i++)
        complete = mariadb_statement_fill(&parameters[i], &binds[i], &values[i], columns, rows);
    if (complete)
        status = mariadb_statement_execute(statement, binds, (unsigned int)rows, ret_affected, err);
    else
        status = mariadb_statement_no_memory(err);
    for (size_t i = 0; parameters != NULL && i < columns; i++) {
        free(parameters[i].integers);
        free(parameters[i].texts);
        free(parameters[i].lengths);
        free(parameters[i].indicators);
    }
    free(parameters);
    free(binds);
    return status;
}

/* @return how many of the rows go into one message: at least the first. */
static size_t mariadb_statement_rows_of_message(const struct mariadb_parameter *values,
                                                size_t columns, size_t rows)
{
    size_t size = 0;
    size_t count = 0;
    for (; count < rows; count++) {
        for (size_t i = 0; i < columns; i++)
            size += values[count * columns + i].text.length + sizeof(int64_t);
        if (count > 0 && size > MESSAGE_SIZE)
            break;
    }
    return count;
}

enum status mariadb_statement_run_rows(struct mariadb_statement *statement,
                                       const struct mariadb_parameter *values, size_t columns,
                                       size_t rows, uint64_t *ret_affected, struct error *err)
{
    enum status status = STATUS_OK;
    uint64_t sum = 0;
    while (status == STATUS_OK && rows > 0) {
        size_t count = mariadb_statement_rows_of_message(values, columns, rows);
        uint64_t affected = 0;
        status = mariadb_statement_run_message(statement, values, columns, count, &affected, err);
        sum += affected;
        values += count * columns;
        rows -= count;
    }
    if (ret_affected != NULL)
        *ret_affected = sum;
    return status;
}

enum status mariadb_statement_next(struct mariadb_statement *statement, bool *ret_row,
                                   struct error *err)
{
    int code = mysql_stmt_fetch(statement->handle);
    *ret_row = code == 0 || code == MYSQL_DATA_TRUNCATED;
    if (*ret_row || code == MYSQL_NO_DATA)
        return STATUS_OK;
    return mariadb_statement_fail(statement, err);
}

static void mariadb_statement_fetch(struct mariadb_statement *statement, unsigned int column,
                                    char *target, size_t size)
{
    unsigned long length = 0;
    my_bool null = 0;
    MYSQL_BIND bind = {.buffer_type = MYSQL_TYPE_STRING,
                       .buffer = target,
                       .buffer_length = size,
                       .length = &length,
                       .is_null = &null};
    (void)mysql_stmt_fetch_column(statement->handle, &bind, column, 0);
}

int64_t mariadb_statement_integer(struct mariadb_statement *statement, unsigned int column)
{
    char text[24];
    mariadb_statement_copy(statement, column, text, sizeof text);
    return strtoll(text, NULL, 10);
}

bool mariadb_statement_text(struct mariadb_statement *statement, unsigned int column,
                            struct arena *arena, struct slice *ret_text)
{
    *ret_text = (struct slice){0};
    if (statement->nulls[column])
        return true;
    size_t length = statement->lengths[column];
    char *text = arena_alloc(arena, length + 1);
    if (text == NULL)
        return false;
    mariadb_statement_fetch(statement, column, text, length);
    *ret_text = (struct slice){.data = text, .length = length};
    return true;
}

void mariadb_statement_copy(struct mariadb_statement *statement, unsigned int column, char *target,
                            size_t size)
{
    size_t length = statement->nulls[column] ? 0 : statement->lengths[column];
    length = length < size ? length : size - 1;
    if (length > 0)
        mariadb_statement_fetch(statement, column, target, length);
    target[length] = '\0';
}

void mariadb_statement_end(struct mariadb_statement *statement)
{
    if (statement != NULL && statement->column_count > 0)
        (void)mysql_stmt_free_result(statement->handle);
}

enum status mariadb_statement_once(MYSQL *session, const char *sql,
                                   const struct mariadb_parameter *values, size_t count,
                                   uint64_t *ret_affected, struct error *err)
{
    struct mariadb_statement *statement = NULL;
    enum status status = mariadb_statement_new(session, sql, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_run(statement, values, count, ret_affected, err);
    mariadb_statement_free(statement);
    return status;
}
