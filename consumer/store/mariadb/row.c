/* Binds rows as arrays: one command writes a chunk of them. */
#include "consumer/store/mariadb/internal.h"

#include <stdlib.h>

#define CHUNK_ROWS_MAX 4096
#define CHUNK_VALUES   ((size_t)64 * 1024) /* rows times columns */
#define CHUNK_SIZE_MAX ((size_t)8 * 1024 * 1024)
#define VALUE_SIZE     9 /* a number, or the length of a text, and its indicator */
#define KEYS_SIZE_MAX  ((size_t)4 * 1024 * 1024)

void store_mariadb_arrays_free(struct store_mariadb *self)
{
    for (size_t i = 0; i < ENTITY_COLUMNS_MAX; i++) {
        free(self->arrays[i].values);
        free(self->arrays[i].lengths);
        free(self->arrays[i].indicators);
        self->arrays[i] = (struct column_array){0};
    }
    self->array_columns = 0;
    self->array_rows = 0;
}

static enum status arrays_grow(struct store_mariadb *self, size_t columns, size_t rows,
                               struct error *err)
{
    if (columns <= self->array_columns && rows <= self->array_rows)
        return STATUS_OK;
    if (rows < self->array_rows)
        rows = self->array_rows;
    if (columns < self->array_columns)
        columns = self->array_columns;
    store_mariadb_arrays_free(self);
    for (size_t i = 0; i < columns; i++) {
        struct column_array *array = &self->arrays[i];
        array->values = calloc(rows, sizeof *array->values);
        array->lengths = calloc(rows, sizeof *array->lengths);
        array->indicators = calloc(rows, sizeof *array->indicators);
        if (array->values == NULL || array->lengths == NULL || array->indicators == NULL) {
            store_mariadb_arrays_free(self);
            return error_set(err, STATUS_RETRY, "out of memory");
        }
    }
    self->array_columns = columns;
    self->array_rows = rows;
    return STATUS_OK;
}

/* An absent value stands for the column's default; only an INSERT binds such values. @return the
 * size of the value in the message. */
static size_t value_set(const struct column *column, struct column_array *array, size_t row,
                        const struct value *value)
{
    struct slice text;
    array->indicators[row] = STMT_INDICATOR_NONE;
    array->lengths[row] = 0;
    array->values[row].integer = 0;
    switch (value->kind) {
    case VALUE_INTEGER:
        array->values[row].integer = value->integer;
        break;
    case VALUE_BOOLEAN:
        array->values[row].integer = value->boolean;
        break;
    case VALUE_DOUBLE:
        array->values[row].number = value->number;
        break;
    case VALUE_TEXT:
        text = store_mariadb_text(column, value->text);
        array->values[row].text = text.data;
        array->lengths[row] = text.length;
        break;
    case VALUE_NULL:
    case VALUE_UNFIT:
        array->indicators[row] = STMT_INDICATOR_NULL;
        break;
    case VALUE_ABSENT:
        array->indicators[row] = STMT_INDICATOR_DEFAULT;
        break;
    }
    return array->lengths[row] + VALUE_SIZE;
}

static void array_bind(const struct column_array *array, enum bind_form form, MYSQL_BIND *bind)
{
    static const enum enum_field_types types[] = {[BIND_INTEGER] = MYSQL_TYPE_LONGLONG,
                                                  [BIND_DOUBLE] = MYSQL_TYPE_DOUBLE,
                                                  [BIND_TEXT] = MYSQL_TYPE_STRING,
                                                  [BIND_BYTES] = MYSQL_TYPE_BLOB};
    *bind = (MYSQL_BIND){.buffer_type = types[form], .buffer = array->values};
    bind->u.indicator = array->indicators;
    if (form == BIND_TEXT || form == BIND_BYTES)
        bind->length = array->lengths;
}

/* Even a strict session rounds a value with only a note, if a column was altered after prepare().
 * These warnings say nothing about values: that the binary log may not repeat a statement safely,
 * and what a trigger signals. */
static bool is_of_no_value(unsigned long number)
{
    return number == ER_BINLOG_UNSAFE_STATEMENT || number == ER_SIGNAL_WARN;
}

static enum status warnings_judge(const struct mapped_table *table, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(table->store);
    enum status status = STATUS_OK;
    MYSQL_ROW row = NULL;
    if (mysql_query(self->session, "SHOW WARNINGS") != 0)
        return mariadb_session_error(self->session, "read warnings", err);
    MYSQL_RES *rows = mysql_store_result(self->session);
    if (rows == NULL)
        return mariadb_session_error(self->session, "read warnings", err);
    while (status == STATUS_OK && (row = mysql_fetch_row(rows)) != NULL) {
        unsigned long number = strtoul(row[1], NULL, 10);
        if (is_of_no_value(number))
            continue;
        status = error_set_native(err, STATUS_REJECT, (int)number,
                                  "%.160s: %s (%lu): the column would not keep the value as it is",
                                  table->name, row[2], number);
    }
    mysql_free_result(rows);
    return status;
}

static enum status chunk_execute(const struct mapped_table *table, const struct row_statement *row,
                                 size_t rows, uint64_t *ret_matched, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(table->store);
    MYSQL_BIND binds[ENTITY_COLUMNS_MAX];
    struct mariadb_outcome outcome = {0};
    for (size_t i = 0; i < row->count; i++)
        array_bind(&self->arrays[i], (enum bind_form)table->limits[row->columns[i]].form,
                   &binds[i]);
    enum status status = mariadb_statement_run_arrays(row->statement, binds, (unsigned int)rows,
                                                      &outcome, err);
    *ret_matched += outcome.affected;
    return outcome.has_warnings ? warnings_judge(table, err) : status;
}

enum status store_mariadb_write_rows(struct mapped_table *table, struct rows_written *rows,
                                     struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(table->store);
    const struct entity_schema *schema = table->mapping->schema;
    struct row_statement *row = NULL;
    size_t size_max = self->packet_size / 2 < CHUNK_SIZE_MAX ? self->packet_size / 2
                                                             : CHUNK_SIZE_MAX;
    rows->matched = 0;
    enum status status = sql_row_prepare(table, rows->form, rows->changes[0], &row, err);
    if (status != STATUS_OK)
        return status;
    size_t rows_max = CHUNK_VALUES / row->count < CHUNK_ROWS_MAX ? CHUNK_VALUES / row->count
                                                                 : CHUNK_ROWS_MAX;
    status = arrays_grow(self, row->count, rows->count < rows_max ? rows->count : rows_max, err);
    for (size_t i = 0; status == STATUS_OK && i < rows->count;) {
        size_t used = 0;
        size_t size = 0;
        for (; i < rows->count && used < rows_max; i++, used++) {
            size_t row_size = 0;
            for (size_t j = 0; j < row->count; j++)
                row_size += value_set(&schema->columns[row->columns[j]], &self->arrays[j], used,
                                      &rows->changes[i]->values[row->columns[j]]);
            if (used > 0 && size + row_size > size_max)
                break;
            size += row_size;
        }
        status = chunk_execute(table, row, used, &rows->matched, err);
    }
    return status;
}

static struct mariadb_parameter key_parameter(const struct column *column,
                                              const struct value *value)
{
    if (value->kind == VALUE_INTEGER || value->kind == VALUE_BOOLEAN)
        return mariadb_integer(value->kind == VALUE_INTEGER ? value->integer : value->boolean);
    struct slice text = store_mariadb_text(column, value->text);
    return column->type == COLUMN_BYTES ? mariadb_bytes(text) : mariadb_text(text);
}

/* One row_find statement for FOUND_KEYS keys. */
struct keys_asked {
    const struct row_statement *row;
    struct buffer keys; /* one behind the other */
    struct buffer key;  /* of the row that was found */
    size_t ends[FOUND_KEYS];
    bool *present;
    size_t count;
};

/* Compare the key of the current row with all keys that were asked for. */
static void found_mark(struct keys_asked *asked)
{
    buffer_reset(&asked->key);
    for (size_t i = 0; i < asked->row->count; i++)
        store_mariadb_key_part(&asked->key, mariadb_statement_column(asked->row->statement, i));
    for (size_t i = 0; i < asked->count; i++) {
        size_t start = i == 0 ? 0 : asked->ends[i - 1];
        struct slice key = {.data = asked->keys.data + start, .length = asked->ends[i] - start};
        asked->present[i] = asked->present[i] || slice_equal(key, buffer_slice(&asked->key));
    }
}

static enum status find_some(struct mapped_table *table, const struct change *const *changes,
                             struct keys_asked *asked, struct error *err)
{
    const struct entity_schema *schema = table->mapping->schema;
    struct mariadb_statement *statement = asked->row->statement;
    struct mariadb_parameter parameters[FOUND_KEYS * KEY_COLUMNS_MAX];
    size_t used = 0;
    bool row = false;
    buffer_reset(&asked->keys);
    for (size_t i = 0; i < FOUND_KEYS; i++) {
        const struct change *change = changes[i < asked->count ? i : asked->count - 1];
        for (size_t j = 0; j < schema->key_count; j++)
            parameters[used++] = key_parameter(&schema->columns[schema->key_columns[j]],
                                               &change->values[schema->key_columns[j]]);
        if (i < asked->count)
            store_mariadb_key(table, change, &asked->keys);
        asked->ends[i] = asked->keys.length;
    }
    if (asked->keys.failed)
        return error_set(err, STATUS_RETRY, "no memory for keys");
    enum status status = mariadb_statement_query(statement, parameters, used, &row, err);
    while (status == STATUS_OK && row) {
        found_mark(asked);
        status = mariadb_statement_next(statement, &row, err);
    }
    mariadb_statement_end(statement);
    return status;
}

enum status store_mariadb_find_rows(struct mapped_table *table, const struct change *const *changes,
                                    size_t count, bool *ret_present, struct error *err)
{
    struct keys_asked asked = {0};
    struct row_statement *row = NULL;
    buffer_init(&asked.keys, KEYS_SIZE_MAX);
    buffer_init(&asked.key, KEYS_SIZE_MAX);
    enum status status = sql_row_prepare(table, ROW_FIND, NULL, &row, err);
    asked.row = row;
    memset(ret_present, 0, count * sizeof *ret_present);
    for (size_t i = 0; status == STATUS_OK && i < count; i += FOUND_KEYS) {
        asked.count = count - i < FOUND_KEYS ? count - i : FOUND_KEYS;
        asked.present = ret_present + i;
        status = find_some(table, changes + i, &asked, err);
    }
    buffer_done(&asked.keys);
    buffer_done(&asked.key);
    return status;
}
