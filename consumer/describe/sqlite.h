/* The JSON Schema of an SQLite table that is already there, as a start for people. */
#ifndef CONSUMER_DESCRIBE_SQLITE_H
#define CONSUMER_DESCRIBE_SQLITE_H

#include "common/buffer.h"
#include "common/status.h"

/** Append the schema of `table`: columns from the catalogue, the key from the primary key.
 * @return OK; FATAL where there is no such table, no primary key, or a type without a form. */
enum status schema_sqlite_describe(const char *path, const char *table, struct buffer *out,
                                   struct error *err) MUST_CHECK;

#endif
