/* Names in PostgreSQL's SQL, quoted as they are written. */
#ifndef COMMON_POSTGRESQL_NAME_H
#define COMMON_POSTGRESQL_NAME_H

#include "common/buffer.h"

/** Append one quoted identifier. */
void postgresql_name_append(struct buffer *sql, struct slice name);

/** Append the table that people name: what stands before a first dot is its schema, otherwise the
 * search path finds it. to_regclass() takes it too. */
void postgresql_name_append_table(struct buffer *sql, const char *table);

#endif
