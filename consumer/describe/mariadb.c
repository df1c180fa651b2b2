/* Reads the columns of a table from MariaDB's catalogue. */
#include "consumer/describe/mariadb.h"

#include "common/mariadb_session.h"
#include "consumer/describe/table.h"
#include "consumer_mariadb_sql.h"

#include <stdlib.h>
#include <sysexits.h>

#define NAME_SIZE           512
#define BIG_UNSIGNED_DIGITS 20

enum described { NAME, DATA_TYPE, COLUMN_TYPE, LENGTH, PRECISION, SCALE, NULLABLE, KEY, IS_JSON };

/* The first row whose data type, and whole type where one stands here, are the column's counts. */
static const struct {
    const char *data_type;
    const char *column_type;
    enum column_type type;
} schema_mariadb_types[] = {
    {"tinyint", "tinyint(1)", COLUMN_BOOLEAN},
    {"bit", "bit(1)", COLUMN_BOOLEAN},
    {"tinyint", NULL, COLUMN_INTEGER},
    {"smallint", NULL, COLUMN_INTEGER},
    {"mediumint", NULL, COLUMN_INTEGER},
    {"int", NULL, COLUMN_INTEGER},
    {"bigint", NULL, COLUMN_INTEGER},
    {"decimal", NULL, COLUMN_DECIMAL},
    {"float", "float", COLUMN_DOUBLE},
    {"double", "double", COLUMN_DOUBLE},
    {"char", NULL, COLUMN_TEXT},
    {"varchar", NULL, COLUMN_TEXT},
    {"tinytext", NULL, COLUMN_TEXT},
    {"text", NULL, COLUMN_TEXT},
    {"mediumtext", NULL, COLUMN_TEXT},
    {"longtext", NULL, COLUMN_TEXT},
    {"enum", NULL, COLUMN_TEXT},
    {"varbinary", NULL, COLUMN_BYTES},
    {"tinyblob", NULL, COLUMN_BYTES},
    {"blob", NULL, COLUMN_BYTES},
    {"mediumblob", NULL, COLUMN_BYTES},
    {"longblob", NULL, COLUMN_BYTES},
    {"timestamp", NULL, COLUMN_DATE_TIME},
    {"datetime", NULL, COLUMN_TIMESTAMP},
    {"date", NULL, COLUMN_DATE},
    {"time", NULL, COLUMN_TIME},
    {"uuid", NULL, COLUMN_UUID},
};

/* A BIGINT UNSIGNED is more than an int64, so it travels as a decimal. */
static bool schema_mariadb_type(char *const *row, struct column *column)
{
    size_t count = sizeof schema_mariadb_types / sizeof schema_mariadb_types[0];
    size_t i = 0;
    while (i < count && (strcmp(row[DATA_TYPE], schema_mariadb_types[i].data_type) != 0 ||
                         (schema_mariadb_types[i].column_type != NULL &&
                          strcmp(row[COLUMN_TYPE], schema_mariadb_types[i].column_type) != 0)))
        i++;
    if (i == count)
        return false;
    column->type = schema_mariadb_types[i].type;
    if (column->type == COLUMN_DECIMAL) {
        column->precision = (uint32_t)strtoul(row[PRECISION], NULL, 10);
        column->scale = (uint32_t)strtoul(row[SCALE], NULL, 10);
    }
    if (strcmp(row[DATA_TYPE], "bigint") == 0 && strstr(row[COLUMN_TYPE], "unsigned") != NULL) {
        column->type = COLUMN_DECIMAL;
        column->precision = BIG_UNSIGNED_DIGITS;
    }
    if (strcmp(row[DATA_TYPE], "varchar") == 0 || strcmp(row[DATA_TYPE], "char") == 0)
        column->length_max = (uint32_t)strtoul(row[LENGTH], NULL, 10);
    if (column->type == COLUMN_TEXT && row[IS_JSON][0] == '1')
        column->type = COLUMN_JSON;
    return true;
}

static enum status schema_mariadb_columns(MYSQL_RES *result, struct schema_table *table,
                                          struct error *err)
{
    enum status status = STATUS_OK;
    MYSQL_ROW row;
    while (status == STATUS_OK && (row = mysql_fetch_row(result)) != NULL) {
        struct column column = {
            .name = row[NAME], .is_key = row[KEY][0] == '1', .nullable = row[NULLABLE][0] == '1'};
        if (schema_mariadb_type(row, &column))
            schema_table_add(table, &column);
        else
            status = schema_table_refuse(table, column.name, row[COLUMN_TYPE], err);
    }
    return status;
}

/* The catalogue's statement with the table's name in the place of its mark. */
static enum status schema_mariadb_query(MYSQL *session, const char *table, MYSQL_RES **ret_result,
                                        struct error *err)
{
    char name[2 * NAME_SIZE + 1];
    struct buffer sql;
    const char *mark = strchr(SQL_DESCRIBE_COLUMNS, '?');
    size_t length = strlen(table);
    enum status status = STATUS_OK;
    if (length > NAME_SIZE)
        return error_set(err, STATUS_FATAL, "there is no table %.64s…", table);
    buffer_init(&sql, 1 << 16);
    (void)mysql_real_escape_string(session, name, table, length);
    buffer_append(&sql, SQL_DESCRIBE_COLUMNS, (size_t)(mark - SQL_DESCRIBE_COLUMNS));
    buffer_append_format(&sql, "'%s'%s", name, mark + 1);
    if (sql.failed)
        status = error_set(err, STATUS_RETRY, "out of memory");
    else if (mysql_real_query(session, sql.data, sql.length) != 0 ||
             (*ret_result = mysql_store_result(session)) == NULL)
        status = mariadb_session_error(session, "read the catalogue", err);
    buffer_done(&sql);
    return status;
}

enum status schema_mariadb_describe(const char *url, const char *table, struct buffer *out,
                                    struct error *err)
{
    struct server_session_options options = {
        .url = url, .application = "keepstep schema", .read_only = true};
    MYSQL *session = NULL;
    MYSQL_RES *result = NULL;
    struct schema_table schema;

    if (strchr(table, '.') != NULL) {
        err->exit_code = EX_DATAERR;
        return error_set(err, STATUS_FATAL,
                         "%s names a database: the URL does that; give the table's name alone",
                         table);
    }
    schema_table_init(&schema, table, out->size_max);
    enum status status = mariadb_session_open(&options, &session, err);
    if (status == STATUS_OK)
        status = schema_mariadb_query(session, table, &result, err);
    if (status == STATUS_OK)
        status = schema_mariadb_columns(result, &schema, err);
    if (status == STATUS_OK)
        status = schema_table_write(&schema, out, err);
    mysql_free_result(result);
    mariadb_session_close(session);
    schema_table_done(&schema);
    return status;
}
