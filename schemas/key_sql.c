/* Writes conditions of keys. A parameter has the key column's own type, or one that is wider, so
 * that the table's index is used and a key that the column cannot hold is just not found. */
#include "schemas/key_sql.h"

#include "schemas/column_dialect.h"
#include "schemas/record/value.h"

#include <ctype.h>

/* The types that a key may have. */
static const char *const POSTGRESQL_TYPES[] = {
    [COLUMN_INTEGER] = "bigint",      [COLUMN_DECIMAL] = "numeric",
    [COLUMN_TEXT] = "text",           [COLUMN_BYTES] = "bytea",
    [COLUMN_DATE] = "date",           [COLUMN_TIME] = "time",
    [COLUMN_TIMESTAMP] = "timestamp", [COLUMN_DATE_TIME] = "timestamptz",
    [COLUMN_UUID] = "uuid",
};

/* A SQLite column may make a number of a text, or keep whatever it is given. */
static void key_sql_sqlite(struct buffer *sql, enum column_type type, size_t number)
{
    if (type == COLUMN_INTEGER || type == COLUMN_BYTES)
        buffer_append_format(sql, " = ?%zu", number);
    else
        buffer_append_format(sql, " IN (?%zu, CAST(?%zu AS NUMERIC), CAST(?%zu AS BLOB))", number,
                             number, number);
}

/* Nothing here may raise: another database has keys that this one cannot hold. PostgreSQL has no
 * year 0. A text column of the schema may be one of another type, which as a text is found too. */
static void key_sql_postgresql(struct buffer *sql, enum column_type type, size_t number)
{
    bool has_year = type == COLUMN_DATE || type == COLUMN_TIMESTAMP || type == COLUMN_DATE_TIME;
    if (has_year)
        buffer_append_format(sql,
                             " = CASE WHEN $%zu::text NOT LIKE '0000%%' THEN $%zu::text::%s END",
                             number, number, POSTGRESQL_TYPES[type]);
    else
        buffer_append_format(sql, "%s = $%zu::%s", type == COLUMN_TEXT ? "::text" : "", number,
                             POSTGRESQL_TYPES[type]);
}

static void key_sql_column(struct buffer *sql, const struct column_sql *columns, size_t index,
                           size_t number)
{
    enum column_type type = columns->schema->columns[index].type;
    if (columns->dialect == &column_sqlite_dialect)
        key_sql_sqlite(sql, type, number);
    else if (columns->dialect == &column_postgresql_dialect)
        key_sql_postgresql(sql, type, number);
    else
        buffer_append_text(sql, " = ?");
}

/* MariaDB keeps a UUID in a text column as the service wrote it: in small letters or in capitals.
 */
static size_t key_forms(const struct column_sql *columns)
{
    const struct entity_schema *schema = columns->schema;
    for (size_t i = 0; columns->dialect == &column_mariadb_dialect && i < schema->key_count; i++) {
        if (schema->columns[schema->key_columns[i]].type == COLUMN_UUID)
            return 2;
    }
    return 1;
}

size_t key_sql_width(const struct column_sql *columns)
{
    return columns->schema->key_count * key_forms(columns);
}

/* In SQLite a statement costs no way to a server and back. */
size_t key_sql_count(const struct column_sql *columns)
{
    size_t fitting = KEY_SQL_PARAMETERS_MAX / key_sql_width(columns);
    return columns->dialect == &column_sqlite_dialect || fitting == 0 ? 1 : fitting;
}

void key_sql_append(struct buffer *sql, const struct column_sql *columns, const char *row,
                    size_t count)
{
    const struct entity_schema *schema = columns->schema;
    count *= key_forms(columns);
    for (size_t key = 0; key < count; key++) {
        buffer_append_text(sql, key == 0 ? "(" : ") OR (");
        for (size_t i = 0; i < schema->key_count; i++) {
            size_t index = schema->key_columns[i];
            buffer_append_format(sql, "%s%s.", i == 0 ? "" : " AND ", row);
            sql_quote(sql, columns->dialect->text.quote,
                      slice_of(config_column(columns->entry, schema->columns[index].name)));
            key_sql_column(sql, columns, index, key * schema->key_count + i + 1);
        }
    }
    buffer_append_text(sql, ")");
}

static struct query_parameter key_parameter(const struct column_sql *columns, size_t key_column,
                                            const struct value *value)
{
    const struct entity_schema *schema = columns->schema;
    enum column_type type = schema->columns[schema->key_columns[key_column]].type;
    struct query_parameter parameter = {.kind = QUERY_TEXT, .text = value->text};
    if (value->kind == VALUE_INTEGER)
        return (struct query_parameter){.kind = QUERY_INTEGER, .integer = value->integer};
    if (type == COLUMN_BYTES)
        parameter.kind = QUERY_BYTES;
    if (type == COLUMN_DATE_TIME && columns->dialect == &column_mariadb_dialect &&
        parameter.text.length > 0)
        parameter.text.length--; /* the Z: the session is in UTC */
    return parameter;
}

static enum status key_in_capitals(struct query_parameter *parameter, struct arena *arena,
                                   struct error *err)
{
    struct slice copy = arena_copy(arena, parameter->text);
    char *text = (char *)(uintptr_t)copy.data;
    if (text == NULL)
        return error_set(err, STATUS_RETRY, "no memory for a key");
    for (size_t i = 0; i < copy.length; i++)
        text[i] = (char)toupper((unsigned char)text[i]);
    parameter->text = copy;
    return STATUS_OK;
}

enum status key_sql_parameters(const struct column_sql *columns, struct slice key,
                               struct arena *arena, struct query_parameter *ret_parameters,
                               struct error *err)
{
    const struct entity_schema *schema = columns->schema;
    struct record_row row = record_row_new(schema, arena);
    if (row.values == NULL)
        return error_set(err, STATUS_RETRY, "no memory for a key of \"%s\"", schema->entity_type);
    enum status status = json_check_memory(canonical_key_values(&row, key, err), err);
    for (size_t i = 0; status == STATUS_OK && i < schema->key_count; i++)
        ret_parameters[i] = key_parameter(columns, i, &row.values[schema->key_columns[i]]);
    for (size_t i = schema->key_count; status == STATUS_OK && i < key_sql_width(columns); i++) {
        size_t place = i - schema->key_count;
        ret_parameters[i] = ret_parameters[place];
        if (schema->columns[schema->key_columns[place]].type == COLUMN_UUID)
            status = key_in_capitals(&ret_parameters[i], arena, err);
    }
    return status;
}

/* PostgreSQL's texts hold no NUL character. */
bool key_sql_is_nowhere(const struct column_sql *columns, const struct query_parameter *parameters)
{
    const struct entity_schema *schema = columns->schema;
    bool has_nul = false;
    for (size_t i = 0; i < schema->key_count && !has_nul; i++)
        has_nul = schema->columns[schema->key_columns[i]].type == COLUMN_TEXT &&
                  parameters[i].kind == QUERY_TEXT && parameters[i].text.length > 0 &&
                  memchr(parameters[i].text.data, '\0', parameters[i].text.length) != NULL;
    return has_nul && columns->dialect == &column_postgresql_dialect;
}
