/* The MariaDB store's statements: prepared at their first use, rows read one by one as text. */
#include "consumer/store/mariadb/internal.h"

#include "common/buffer.h"
#include "consumer_mariadb_sql.h"
#include "schemas_sql.h"

#include <stdlib.h>

#define PACKET_OVERHEAD 256
#define VALUE_OVERHEAD  16
#define SQL_SIZE_MAX    ((size_t)64 * 1024)

static const char *const statement_texts[STATEMENT_COUNT] = {
#define STATEMENT_TEXT(name) [STATEMENT_##name] = SQL_##name,
    STORE_SQL_STATEMENTS(STATEMENT_TEXT) STORE_JOINT_STATEMENTS(STATEMENT_TEXT)
        STORE_GUARD_STATEMENTS(STATEMENT_TEXT) STORE_MARIADB_STATEMENTS(STATEMENT_TEXT)
#undef STATEMENT_TEXT
};

/* @return the end of the string, quoted name or comment that begins at `at`. */
static const char *quoted_end(const char *at)
{
    const char quote = *at;
    if (at[0] == '-' && at[1] == '-')
        return at + strcspn(at, "\n");
    for (at++; *at != '\0' && *at != quote; at++)
        at += *at == '\\' && quote != '`' && at[1] != '\0';
    return *at == '\0' ? at : at + 1;
}

/* Read the number behind a `?`. @return from 0 on. */
static uint8_t parameter_number(const char **at)
{
    unsigned int number = 0;
    for (; **at >= '0' && **at <= '9'; ++*at)
        number = 10 * number + (unsigned int)(**at - '0');
    return (uint8_t)(number - 1);
}

/* Replace ?1, ?2 … by `?`, and note for each place which parameter it is. */
static void places_find(struct fixed_statement *statement, const char *text, struct buffer *sql)
{
    statement->place_count = 0;
    for (const char *at = text; *at != '\0';) {
        const char *start = at;
        if (*at == '\'' || *at == '"' || *at == '`' || (at[0] == '-' && at[1] == '-')) {
            at = quoted_end(at);
            buffer_append(sql, start, (size_t)(at - start));
            continue;
        }
        buffer_append(sql, at++, 1);
        if (*start == '?' && statement->place_count < STATEMENT_PLACES_MAX)
            statement->parameters[statement->place_count++] = parameter_number(&at);
    }
}

static enum status statement_prepare(struct store_mariadb *self, unsigned int id, struct error *err)
{
    struct fixed_statement *statement = &self->statements[id];
    struct buffer sql;
    enum status status = STATUS_OK;
    if (statement->prepared != NULL)
        return STATUS_OK;
    buffer_init(&sql, SQL_SIZE_MAX);
    places_find(statement, statement_texts[id], &sql);
    if (sql.failed)
        status = error_set(err, STATUS_RETRY, "out of memory");
    else
        status = mariadb_statement_new(self->session, statement_texts[id], buffer_text(&sql),
                                       &statement->prepared, err);
    buffer_done(&sql);
    return status;
}

static struct mariadb_parameter value_of(const struct parameter *parameter)
{
    switch (parameter->kind) {
    case PARAMETER_INTEGER:
        return mariadb_integer(parameter->integer);
    case PARAMETER_TEXT:
        return mariadb_text(parameter->bytes);
    case PARAMETER_RAW_TEXT:
    case PARAMETER_BYTES:
        break;
    }
    return mariadb_bytes(parameter->bytes);
}

/* Fill self->values: one value for each place of each row. */
static enum status values_fill(struct store_mariadb *self, const struct sql_call *call, size_t rows,
                               struct error *err)
{
    const struct fixed_statement *statement = &self->statements[call->id];
    size_t needed = statement->place_count * rows;
    if (needed > self->value_count) {
        struct mariadb_parameter *grown = realloc(self->values, needed * sizeof *grown);
        if (grown == NULL)
            return error_set(err, STATUS_RETRY, "out of memory");
        self->values = grown;
        self->value_count = needed;
    }
    for (size_t i = 0; i < needed; i++) {
        size_t number = statement->parameters[i % statement->place_count];
        if (number >= call->count)
            return error_set(err, STATUS_FATAL, "parameter %zu was not given", number + 1);
        self->values[i] = value_of(
            &call->parameters[i / statement->place_count * call->count + number]);
    }
    return STATUS_OK;
}

/* A larger message would be refused, or the connection would break. */
static bool packet_fits(const struct store_mariadb *self, size_t count)
{
    size_t size = PACKET_OVERHEAD;
    for (size_t i = 0; i < count; i++)
        size += self->values[i].text.length + VALUE_OVERHEAD;
    return size <= self->packet_size;
}

static int64_t row_integer(const struct store_row *row, int column)
{
    return mariadb_statement_integer(row->result, (size_t)column);
}

static struct slice row_bytes(const struct store_row *row, int column)
{
    return mariadb_statement_column(row->result, (size_t)column);
}

static bool row_keep(const struct store_row *row, int column, struct arena *arena,
                     struct slice *ret_bytes)
{
    return mariadb_statement_text(row->result, (size_t)column, arena, ret_bytes);
}

static void row_copy(const struct store_row *row, int column, char *ret_text, size_t size)
{
    mariadb_statement_copy(row->result, (size_t)column, ret_text, size);
}

enum status store_mariadb_send(struct store_sql *sql, const struct sql_call *call,
                               struct error *err)
{
    struct store_mariadb *self = (struct store_mariadb *)sql;
    const struct fixed_statement *statement = &self->statements[call->id];
    uint64_t matched = 0;
    enum status status = statement_prepare(self, call->id, err);
    if (status == STATUS_OK)
        status = values_fill(self, call, 1, err);
    if (status == STATUS_OK && !packet_fits(self, statement->place_count))
        status = error_set(err, STATUS_STOP,
                           "more than the server's max_allowed_packet of %zu bytes takes: raise it "
                           "and start the agent again",
                           self->packet_size);
    if (status == STATUS_OK)
        status = mariadb_statement_run(statement->prepared, self->values, statement->place_count,
                                       &matched, err);
    struct store_row row = {.integer = row_integer,
                            .bytes = row_bytes,
                            .keep = row_keep,
                            .copy = row_copy,
                            .result = statement->prepared,
                            .is_last = call->read == NULL};
    while (status == STATUS_OK && !row.is_last) {
        bool more = false;
        status = mariadb_statement_next(statement->prepared, &more, err);
        if (status == STATUS_OK && more)
            status = call->read(call->context, &row, err);
        row.is_last = row.is_last || !more;
    }
    if (status == STATUS_OK && call->changes != NULL)
        *call->changes += (int64_t)matched;
    mariadb_statement_end(statement->prepared);
    return status;
}

/* All rows go in one message if the server takes it. */
enum status store_mariadb_send_rows(struct store_sql *sql, const struct sql_call *call, size_t rows,
                                    struct error *err)
{
    struct store_mariadb *self = (struct store_mariadb *)sql;
    const struct fixed_statement *statement = &self->statements[call->id];
    uint64_t matched = 0;
    enum status status = statement_prepare(self, call->id, err);
    if (status == STATUS_OK)
        status = values_fill(self, call, rows, err);
    bool fits = status == STATUS_OK && packet_fits(self, statement->place_count * rows);
    if (fits)
        status = mariadb_statement_run_rows(
            statement->prepared, (struct mariadb_rows){self->values, statement->place_count, rows},
            &matched, err);
    if (call->changes != NULL)
        *call->changes += (int64_t)matched;
    return status == STATUS_OK && !fits ? store_sql_send_each(sql, call, rows, err) : status;
}
