/* How a database's SQL writes the columns of a row as JSON: the one form of triggers, of existing
 * rows and of scans. */
#ifndef SCHEMAS_COLUMN_SQL_H
#define SCHEMAS_COLUMN_SQL_H

#include "common/buffer.h"
#include "schemas/config/config.h"
#include "schemas/entity_schema.h"

struct column_dialect;
struct sql_text;

extern const struct column_dialect column_sqlite_dialect;
extern const struct column_dialect column_postgresql_dialect; /* extra_float_digits is above 0 */
extern const struct column_dialect column_mariadb_dialect;

/** Borrows everything. */
struct column_sql {
    const struct column_dialect *dialect;
    const struct entity_schema *schema;
    const struct config_entry *entry; /* names the table's columns */
    const bool *is_timestamp; /* MariaDB, by schema column: a TIMESTAMP; NULL: there is none */
    bool refuses; /* in a trigger of SQLite: a change fails that JSON has no value for */
};

/** Append an SQL expression: the JSON text of a row's key columns, {"id":1}, with its members in
 * the byte order of their names. Mostly it is the canonical key.
 * @param row  the name or alias of the row: "t", "NEW". */
void column_sql_append_key(struct buffer *sql, const struct column_sql *columns, const char *row);

/** Append an SQL expression: the JSON text of all columns of the schema, in its order. Unless the
 * columns refuse, no value makes the statement fail: what JSON does not have, like an infinite
 * number, becomes a string. */
void column_sql_append_image(struct buffer *sql, const struct column_sql *columns, const char *row);

/** Write the object of a row as a part of a larger text: of its key columns, or of all. */
void column_sql_write(struct sql_text *text, const struct column_sql *columns, bool key,
                      struct slice row);

#endif
