/* The MariaDB store's statements: prepared at their first use, rows read one by one as text. */
#include "consumer/store_mariadb_internal.h"

#include "consumer_mariadb_sql.h"

#include <stdio.h>
#include <stdlib.h>

#define COLUMN_SIZE     256
#define PACKET_OVERHEAD 256
#define VALUE_OVERHEAD  16

static const char *const statement_texts[STATEMENT_COUNT] = {
#define STATEMENT_TEXT(name) [STATEMENT_##name] = SQL_##name,
    STORE_MARIADB_STATEMENTS(STATEMENT_TEXT)
#undef STATEMENT_TEXT
};

void store_mariadb_statement_close(struct statement *statement)
{
    if (statement->handle != NULL)
        (void)mysql_stmt_close(statement->handle);
    statement->handle = NULL;
}

void store_mariadb_statement_free(struct statement *statement)
{
    store_mariadb_statement_close(statement);
    for (size_t i = 0; i < RESULT_COLUMNS_MAX; i++)
        free(statement->columns[i].data);
}

enum status store_mariadb_statement(struct store_mariadb *self, struct statement *statement,
                                    const char *sql, struct error *err)
{
    store_mariadb_statement_close(statement);
    statement->handle = mysql_stmt_init(self->session);
    if (statement->handle == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    if (mysql_stmt_prepare(statement->handle, sql, strlen(sql)) != 0) {
        enum status status = mariadb_session_statement_error(statement->handle, sql, err);
        store_mariadb_statement_close(statement);
        return status;
    }
    statement->column_count = mysql_stmt_field_count(statement->handle);
    if (statement->column_count > RESULT_COLUMNS_MAX) {
        store_mariadb_statement_close(statement);
        return error_set(err, STATUS_FATAL, "%.200s: too many columns", sql);
    }
    return STATUS_OK;
}

static bool column_grow(struct result_column *column, size_t size)
{
    if (column->size >= size)
        return true;
    char *grown = realloc(column->data, size);
    if (grown == NULL)
        return false;
    column->data = grown;
    column->size = size;
    return true;
}

static void result_bind(struct result_column *column, MYSQL_BIND *bind)
{
    *bind = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_BLOB,
                         .buffer = column->data,
                         .buffer_length = column->size,
                         .length = &column->length,
                         .is_null = &column->is_null};
}

static enum status results_bind(struct statement *statement, const char *doing, struct error *err)
{
    MYSQL_BIND binds[RESULT_COLUMNS_MAX];
    for (unsigned int i = 0; i < statement->column_count; i++) {
        if (!column_grow(&statement->columns[i], COLUMN_SIZE))
            return error_set(err, STATUS_RETRY, "out of memory");
        result_bind(&statement->columns[i], &binds[i]);
        binds[i].buffer_type = MYSQL_TYPE_STRING; /* numbers too are read as text */
    }
    if (mysql_stmt_bind_result(statement->handle, binds) != 0)
        return mariadb_session_statement_error(statement->handle, doing, err);
    return STATUS_OK;
}

/* What did not fit is read again into a larger buffer, which is bound for the rows to come. */
static enum status columns_complete(struct statement *statement, struct error *err)
{
    bool grown = false;
    for (unsigned int i = 0; i < statement->column_count; i++) {
        struct result_column *column = &statement->columns[i];
        MYSQL_BIND bind;
        if (column->is_null || column->length <= column->size)
            continue;
        if (!column_grow(column, column->length))
            return error_set(err, STATUS_RETRY, "out of memory");
        result_bind(column, &bind);
        bind.buffer_type = MYSQL_TYPE_STRING;
        if (mysql_stmt_fetch_column(statement->handle, &bind, i, 0) != 0)
            return mariadb_session_statement_error(statement->handle, "read a column", err);
        grown = true;
    }
    return grown ? results_bind(statement, "read a column", err) : STATUS_OK;
}

enum status store_mariadb_next(struct statement *statement, bool *ret_row, struct error *err)
{
    int code = mysql_stmt_fetch(statement->handle);
    *ret_row = code == 0 || code == MYSQL_DATA_TRUNCATED;
    if (*ret_row)
        return columns_complete(statement, err);
    if (code == MYSQL_NO_DATA)
        return STATUS_OK;
    return mariadb_session_statement_error(statement->handle, "read a row", err);
}

void store_mariadb_end(struct statement *statement)
{
    if (statement != NULL && statement->handle != NULL && statement->column_count > 0)
        (void)mysql_stmt_free_result(statement->handle);
}

static void parameter_bind(const struct parameter *parameter, MYSQL_BIND *bind)
{
    *bind = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_NULL};
    if (parameter->kind == PARAMETER_INTEGER) {
        bind->buffer_type = MYSQL_TYPE_LONGLONG;
        bind->buffer = (void *)(uintptr_t)&parameter->integer;
    } else if (parameter->bytes.data != NULL) {
        bind->buffer_type = parameter->kind == PARAMETER_BLOB ? MYSQL_TYPE_BLOB : MYSQL_TYPE_STRING;
        bind->buffer = (void *)(uintptr_t)parameter->bytes.data;
        bind->buffer_length = parameter->bytes.length;
    }
}

enum status store_mariadb_query(struct statement *statement, const struct parameter *parameters,
                                size_t count, const char *doing, bool *ret_row, struct error *err)
{
    MYSQL_BIND binds[PARAMETERS_MAX];
    *ret_row = false;
    if (count > PARAMETERS_MAX || count != mysql_stmt_param_count(statement->handle))
        return error_set(err, STATUS_FATAL, "%.200s: wrong number of parameters", doing);
    for (size_t i = 0; i < count; i++)
        parameter_bind(&parameters[i], &binds[i]);
    if ((count > 0 && mysql_stmt_bind_param(statement->handle, binds) != 0) ||
        mysql_stmt_execute(statement->handle) != 0)
        return mariadb_session_statement_error(statement->handle, doing, err);
    if (statement->column_count == 0)
        return STATUS_OK;
    enum status status = results_bind(statement, doing, err);
    if (status == STATUS_OK)
        status = store_mariadb_next(statement, ret_row, err);
    if (status != STATUS_OK)
        store_mariadb_end(statement);
    return status;
}

/* The server, or the connection, would break at it. */
static enum status packet_check(const struct store_mariadb *self,
                                const struct parameter *parameters, size_t count, struct error *err)
{
    size_t size = PACKET_OVERHEAD;
    for (size_t i = 0; i < count; i++)
        size += parameters[i].bytes.length + VALUE_OVERHEAD;
    if (size <= self->packet_size)
        return STATUS_OK;
    return error_set(err, STATUS_STOP,
                     "more than the server's max_allowed_packet of %zu bytes takes: raise it and "
                     "start the agent again",
                     self->packet_size);
}

enum status store_mariadb_start(struct store_mariadb *self, enum statement_id id,
                                const struct parameter *parameters, size_t count,
                                struct statement **ret_statement, bool *ret_row, struct error *err)
{
    struct statement *statement = &self->statements[id];
    enum status status = STATUS_OK;
    if (statement->handle == NULL)
        status = store_mariadb_statement(self, statement, statement_texts[id], err);
    if (status == STATUS_OK)
        status = packet_check(self, parameters, count, err);
    if (status != STATUS_OK)
        return status;
    *ret_statement = statement;
    return store_mariadb_query(statement, parameters, count, statement_texts[id], ret_row, err);
}

enum status store_mariadb_run(struct store_mariadb *self, enum statement_id id,
                              const struct parameter *parameters, size_t count,
                              int64_t *ret_changes, struct error *err)
{
    struct statement *statement = NULL;
    bool row = false;
    enum status status = store_mariadb_start(self, id, parameters, count, &statement, &row, err);
    if (status != STATUS_OK)
        return status;
    if (ret_changes != NULL)
        *ret_changes = (int64_t)mysql_stmt_affected_rows(statement->handle);
    store_mariadb_end(statement);
    return STATUS_OK;
}

enum status store_mariadb_number(struct store_mariadb *self, enum statement_id id,
                                 const struct parameter *parameters, size_t count, int64_t absent,
                                 int64_t *ret_number, struct error *err)
{
    struct statement *statement = NULL;
    bool row = false;
    enum status status = store_mariadb_start(self, id, parameters, count, &statement, &row, err);
    if (status != STATUS_OK)
        return status;
    *ret_number = row ? store_mariadb_integer(statement, 0) : absent;
    store_mariadb_end(statement);
    return STATUS_OK;
}

struct slice store_mariadb_column(const struct statement *statement, size_t column)
{
    const struct result_column *result = &statement->columns[column];
    if (result->is_null)
        return (struct slice){0};
    return (struct slice){.data = result->data, .length = result->length};
}

int64_t store_mariadb_integer(const struct statement *statement, size_t column)
{
    char text[32] = "";
    store_mariadb_copy(statement, column, text, sizeof text);
    return strtoll(text, NULL, 10);
}

void store_mariadb_copy(const struct statement *statement, size_t column, char *ret_text,
                        size_t size)
{
    struct slice text = store_mariadb_column(statement, column);
    (void)snprintf(ret_text, size, "%.*s", SLICE_ARGS(text));
}

bool store_mariadb_keep(const struct statement *statement, size_t column, struct arena *arena,
                        struct slice *ret_bytes)
{
    struct slice bytes = store_mariadb_column(statement, column);
    *ret_bytes = bytes.data == NULL ? bytes : arena_copy(arena, bytes);
    return bytes.data == NULL || ret_bytes->data != NULL;
}

static int64_t row_integer(const struct store_row *row, int column)
{
    return store_mariadb_integer(row->result, (size_t)column);
}

static bool row_keep(const struct store_row *row, int column, struct arena *arena,
                     struct slice *ret_bytes)
{
    return store_mariadb_keep(row->result, (size_t)column, arena, ret_bytes);
}

static void row_copy(const struct store_row *row, int column, char *ret_text, size_t size)
{
    store_mariadb_copy(row->result, (size_t)column, ret_text, size);
}

struct store_row store_mariadb_row(struct statement *statement)
{
    return (struct store_row){
        .integer = row_integer, .keep = row_keep, .copy = row_copy, .result = statement};
}
