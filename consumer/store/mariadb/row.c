/* The MariaDB store's array binding: one command writes a chunk of rows. */
#include "consumer/store/mariadb/internal.h"

#include "common/buffer.h"

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

/* The columns that a form binds, in order. @return their number. */
static size_t row_order(const struct entity_schema *schema, enum row_form form, const bool *present,
                        size_t order[static 2 * ENTITY_COLUMNS_MAX])
{
    bool all = form == ROW_UPSERT || form == ROW_INSERT;
    size_t count = 0;
    for (size_t i = 0; (all || form == ROW_UPDATE) && i < schema->column_count; i++) {
        if (all || (!schema->columns[i].is_key && present[i]))
            order[count++] = i;
    }
    for (size_t i = 0; !all && i < schema->key_count; i++)
        order[count++] = schema->key_columns[i];
    return count;
}

/* What is absent takes its default: only an INSERT binds that. @return the bytes that the value
 * takes. */
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

/* A strict session still rounds with a mere note, where a column was altered behind prepare(). What
 * says nothing of a value: the statement log's doubts, and what a trigger signals. */
static bool is_of_no_value(unsigned long number)
{
    return number == ER_BINLOG_UNSAFE_STATEMENT || number == ER_SIGNAL_WARN;
}

static enum status warnings_judge(struct store_mariadb *self, const struct mapped_table *table,
                                  struct error *err)
{
    enum status status = STATUS_OK;
    MYSQL_ROW row = NULL;
    if (mysql_query(self->session, "SHOW WARNINGS") != 0)
        return mariadb_session_error(self->session, "read warnings", err);
    MYSQL_RES *rows = mysql_store_result(self->session);
    if (rows == NULL)
        return mariadb_session_error(self->session, "read warnings", err);
    while (status == STATUS_OK && (row = mysql_fetch_row(rows)) != NULL) {
        unsigned long number = strtoul(row[1], NULL, 10);
        bool first = err != NULL && err->status == STATUS_OK;
        if (is_of_no_value(number))
            continue;
        status = error_set_native(err, STATUS_REJECT, (int)number,
                                  "%.160s: %s (%lu): the column would not keep the value as it is",
                                  table->name, row[2], number);
        if (first)
            err->reject = REJECT_HELD;
    }
    mysql_free_result(rows);
    return status;
}

/* A statement and the columns that it binds, in order. */
struct row_statement {
    struct mariadb_statement *statement;
    size_t order[2 * ENTITY_COLUMNS_MAX];
    size_t count;
};

static enum status chunk_execute(struct store_mariadb *self, const struct mapped_table *table,
                                 const struct row_statement *row, size_t rows,
                                 uint64_t *ret_matched, struct error *err)
{
    MYSQL_BIND binds[2 * ENTITY_COLUMNS_MAX];
    uint64_t matched = 0;
    bool doubtful = false;
    for (size_t i = 0; i < row->count; i++)
        array_bind(&self->arrays[i], table->limits[row->order[i]].form, &binds[i]);
    enum status status = mariadb_statement_run_arrays(row->statement, binds, (unsigned int)rows,
                                                      &matched, &doubtful, err);
    *ret_matched += matched;
    return doubtful ? warnings_judge(self, table, err) : status;
}

/* The statement for changes that have the columns of this one. */
static enum status row_statement_find(struct store_mariadb *self, struct mapped_table *table,
                                      enum row_form form, const struct change *change,
                                      struct row_statement *ret_row, struct error *err)
{
    const struct entity_schema *schema = table->mapping->schema;
    bool present[ENTITY_COLUMNS_MAX] = {false};
    bool complete = change_is_complete(change);
    for (size_t i = 0; i < schema->column_count; i++)
        present[i] = change->values[i].kind != VALUE_ABSENT;
    ret_row->count = row_order(schema, form, present, ret_row->order);
    if (form == ROW_UPDATE && !complete)
        return store_mariadb_sparse_prepare(self, table, present, &ret_row->statement, err);
    enum status status = store_mariadb_row_prepare(self, table, form, err);
    ret_row->statement = table->rows[form];
    return status;
}

enum status store_mariadb_write(struct store_mariadb *self, struct mapped_table *table,
                                enum row_form form, const struct change *const *changes,
                                size_t count, uint64_t *ret_matched, struct error *err)
{
    const struct entity_schema *schema = table->mapping->schema;
    struct row_statement row;
    size_t size_max = self->packet_size / 2 < CHUNK_SIZE_MAX ? self->packet_size / 2
                                                             : CHUNK_SIZE_MAX;
    *ret_matched = 0;
    enum status status = row_statement_find(self, table, form, changes[0], &row, err);
    if (status != STATUS_OK)
        return status;
    size_t rows_max = CHUNK_VALUES / row.count < CHUNK_ROWS_MAX ? CHUNK_VALUES / row.count
                                                                : CHUNK_ROWS_MAX;
    status = arrays_grow(self, row.count, count < rows_max ? count : rows_max, err);
    for (size_t i = 0; status == STATUS_OK && i < count;) {
        size_t rows = 0;
        size_t size = 0;
        for (; i < count && rows < rows_max; i++, rows++) {
            size_t row_size = 0;
            for (size_t j = 0; j < row.count; j++)
                row_size += value_set(&schema->columns[row.order[j]], &self->arrays[j], rows,
                                      &changes[i]->values[row.order[j]]);
            if (rows > 0 && size + row_size > size_max)
                break;
            size += row_size;
        }
        status = chunk_execute(self, table, &row, rows, ret_matched, err);
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

/* Compare the current row's key with those that were asked for. */
static void present_mark(const struct mapped_table *table, const struct buffer *keys,
                         const size_t *ends, size_t count, struct buffer *key, bool *ret_present)
{
    const struct mariadb_statement *statement = table->rows[ROW_PRESENT];
    buffer_reset(key);
    for (size_t i = 0; i < table->mapping->schema->key_count; i++)
        store_mariadb_key_part(key, mariadb_statement_column(statement, i));
    for (size_t i = 0; i < count; i++) {
        size_t start = i == 0 ? 0 : ends[i - 1];
        struct slice asked = {.data = keys->data + start, .length = ends[i] - start};
        ret_present[i] = ret_present[i] || slice_equal(asked, buffer_slice(key));
    }
}

static enum status present_some(struct mapped_table *table, const struct change *const *changes,
                                size_t count, struct buffer *keys, struct buffer *key,
                                bool *ret_present, struct error *err)
{
    const struct entity_schema *schema = table->mapping->schema;
    struct mariadb_statement *statement = table->rows[ROW_PRESENT];
    struct mariadb_parameter parameters[PARAMETERS_MAX];
    size_t ends[PRESENT_KEYS] = {0};
    size_t used = 0;
    bool row = false;
    buffer_reset(keys);
    for (size_t i = 0; i < PRESENT_KEYS; i++) {
        const struct change *change = changes[i < count ? i : count - 1];
        for (size_t j = 0; j < schema->key_count; j++)
            parameters[used++] = key_parameter(&schema->columns[schema->key_columns[j]],
                                               &change->values[schema->key_columns[j]]);
        if (i < count)
            store_mariadb_key(table, change, keys);
        ends[i] = keys->length;
    }
    if (keys->failed)
        return error_set(err, STATUS_RETRY, "no memory for keys");
    enum status status = mariadb_statement_query(statement, parameters, used, &row, err);
    while (status == STATUS_OK && row) {
        present_mark(table, keys, ends, count, key, ret_present);
        status = mariadb_statement_next(statement, &row, err);
    }
    mariadb_statement_end(statement);
    return status;
}

enum status store_mariadb_present(struct store_mariadb *self, struct mapped_table *table,
                                  const struct change *const *changes, size_t count,
                                  bool *ret_present, struct error *err)
{
    struct buffer keys;
    struct buffer key;
    buffer_init(&keys, KEYS_SIZE_MAX);
    buffer_init(&key, KEYS_SIZE_MAX);
    enum status status = store_mariadb_row_prepare(self, table, ROW_PRESENT, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i += PRESENT_KEYS) {
        size_t some = count - i < PRESENT_KEYS ? count - i : PRESENT_KEYS;
        memset(ret_present + i, 0, some * sizeof *ret_present);
        status = present_some(table, changes + i, some, &keys, &key, ret_present + i, err);
    }
    buffer_done(&keys);
    buffer_done(&key);
    return status;
}
