/* How a database's SQL writes the columns of a row as JSON: the one form of triggers, of existing
 * rows and of scans. */
#ifndef SCHEMAS_COLUMN_SQL_H
#define SCHEMAS_COLUMN_SQL_H

#include "common/buffer.h"
#include "schemas/config/config.h"
#include "schemas/entity_schema.h"

struct column_dialect;

extern const struct column_dialect column_sqlite_dialect;
extern const struct column_dialect column_postgresql_dialect;
extern const struct column_dialect column_mariadb_dialect;

/** Borrows everything. */
struct column_sql {
    const struct column_dialect *dialect;
    const struct entity_schema *schema;
    const struct config_entry *entry; /* names the table's columns */
    const bool *is_timestamp; /* MariaDB, by schema column: a TIMESTAMP; NULL: there is none */
};

/** Append an SQL expression: the JSON text of a row's key columns, {"id":1}, with its members in
 * the byte order of their names. Mostly it is the canonical key.
 * @param row  the name or alias of the row: "t", "NEW". */
void column_sql_append_key(struct buffer *sql, const struct column_sql *columns, const char *row);

/** Append an SQL expression: the JSON text of all columns of the schema, in its order. No value
 * makes the statement fail. One that JSON does not have, like an infinite number, becomes a string.
 */
void column_sql_append_image(struct buffer *sql, const struct column_sql *columns, const char *row);

#endif
