/* Quotes names for PostgreSQL's SQL. */
#ifndef COMMON_POSTGRESQL_NAME_H
#define COMMON_POSTGRESQL_NAME_H

#include "common/buffer.h"

/** Append one quoted identifier. */
void postgresql_name_append(struct buffer *sql, struct slice name);

/** Append a table's name. A part before the first dot is its schema; otherwise the search path
 * finds it. The text also suits to_regclass(). */
void postgresql_name_append_table(struct buffer *sql, const char *table);

#endif
