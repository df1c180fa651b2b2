/* The JSON Schema of a MariaDB table that is already there, as a start for people. */
#ifndef CONSUMER_DESCRIBE_MARIADB_H
#define CONSUMER_DESCRIBE_MARIADB_H

#include "common/buffer.h"
#include "common/status.h"

/** Append the schema of `table`: columns from the catalogue, the key from the primary key.
 * @return OK; RETRY (the server cannot be reached); FATAL where there is no such table, no primary
 * key, or a type without a form. */
enum status schema_mariadb_describe(const char *url, const char *table, struct buffer *out,
                                    struct error *err) MUST_CHECK;

#endif
