/* Reads the columns of a table from PostgreSQL's catalogue. */
#include "consumer/describe/postgresql.h"

#include "common/postgresql_name.h"
#include "common/postgresql_session.h"
#include "consumer/describe/table.h"
#include "consumer_postgresql_sql.h"

#define VARCHAR_HEAD 4 /* of a modifier, before the length or the digits */

static const struct {
    const char *typname;
    enum column_type type;
} schema_postgresql_types[] = {
    {"int2", COLUMN_INTEGER},
    {"int4", COLUMN_INTEGER},
    {"int8", COLUMN_INTEGER},
    {"numeric", COLUMN_DECIMAL},
    {"float4", COLUMN_DOUBLE},
    {"float8", COLUMN_DOUBLE},
    {"text", COLUMN_TEXT},
    {"varchar", COLUMN_TEXT},
    {"bytea", COLUMN_BYTES},
    {"bool", COLUMN_BOOLEAN},
    {"timestamptz", COLUMN_DATE_TIME},
    {"timestamp", COLUMN_TIMESTAMP},
    {"date", COLUMN_DATE},
    {"time", COLUMN_TIME},
    {"uuid", COLUMN_UUID},
    {"json", COLUMN_JSON},
    {"jsonb", COLUMN_JSON},
};

static bool schema_postgresql_type_of(struct slice typname, enum column_type *ret_type)
{
    for (size_t i = 0; i < sizeof schema_postgresql_types / sizeof *schema_postgresql_types; i++) {
        if (slice_is(typname, schema_postgresql_types[i].typname)) {
            *ret_type = schema_postgresql_types[i].type;
            return true;
        }
    }
    return false;
}

/* A modifier is -1 where there is none; a scale below zero rounds, and has no form. */
static bool schema_postgresql_modify(struct column *column, struct slice typname, int64_t modifier)
{
    if (modifier < VARCHAR_HEAD)
        return true;
    if (slice_is(typname, "varchar"))
        column->length_max = (uint32_t)(modifier - VARCHAR_HEAD);
    if (column->type != COLUMN_DECIMAL)
        return true;
    int64_t scale = (((modifier - VARCHAR_HEAD) & 0x7ff) ^ 1024) - 1024;
    column->precision = (uint32_t)((modifier - VARCHAR_HEAD) >> 16 & 0xffff);
    column->scale = (uint32_t)scale;
    return scale >= 0 && scale <= (int64_t)column->precision;
}

static enum status schema_postgresql_columns(const PGresult *result, struct schema_table *table,
                                             struct error *err)
{
    enum status status = STATUS_OK;
    for (int row = 0; row < PQntuples(result) && status == STATUS_OK; row++) {
        struct slice typname = postgresql_session_text(result, row, 1);
        bool is_key = postgresql_session_integer(result, row, 4) != 0;
        struct column column = {.name = PQgetvalue(result, row, 0),
                                .is_key = is_key,
                                .nullable = !is_key &&
                                            postgresql_session_integer(result, row, 3) == 0};
        if (schema_postgresql_type_of(typname, &column.type) &&
            schema_postgresql_modify(&column, typname, postgresql_session_integer(result, row, 2)))
            schema_table_add(table, &column);
        else
            status = schema_table_refuse(table, column.name, PQgetvalue(result, row, 5), err);
    }
    return status;
}

enum status schema_postgresql_describe(const char *url, const char *table, struct buffer *out,
                                       struct error *err)
{
    struct server_session_options options = {
        .url = url, .application = "keepstep schema", .read_only = true};
    struct buffer name;
    PGconn *connection = NULL;
    PGresult *result = NULL;
    struct schema_table schema;

    buffer_init(&name, out->size_max);
    postgresql_name_append_table(&name, table);
    const struct slice quoted = buffer_slice(&name);
    schema_table_init(&schema, table, out->size_max);
    enum status status = postgresql_session_open(&options, &connection, err);
    if (status == STATUS_OK)
        status = postgresql_session_query(connection, SQL_DESCRIBE_COLUMNS,
                                          (struct slice_list){&quoted, 1}, &result, err);
    if (status == STATUS_OK)
        status = schema_postgresql_columns(result, &schema, err);
    if (status == STATUS_OK)
        status = schema_table_write(&schema, out, err);
    PQclear(result);
    postgresql_session_close(connection);
    schema_table_done(&schema);
    buffer_done(&name);
    return status;
}
