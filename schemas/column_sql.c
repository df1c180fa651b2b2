/* Writes the JSON texts of a row's columns as SQL expressions. */
#include "schemas/column_sql.h"

struct column_dialect {
    char quote;
};

const struct column_dialect column_sqlite_dialect = {.quote = '"'};
const struct column_dialect column_postgresql_dialect = {.quote = '"'};
const struct column_dialect column_mariadb_dialect = {.quote = '`'};

void column_sql_append_key(struct buffer *sql, const struct column_sql *columns, const char *row)
{
    (void)columns;
    (void)row;
    sql->failed = true;
}

void column_sql_append_image(struct buffer *sql, const struct column_sql *columns, const char *row)
{
    (void)columns;
    (void)row;
    sql->failed = true;
}
