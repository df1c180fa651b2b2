/* A step's parameters as MariaDB takes them: values to bind, or all rows as one JSON text. */
#ifndef PRODUCER_MARIADB_PARAMETERS_H
#define PRODUCER_MARIADB_PARAMETERS_H

#include "common/buffer.h"
#include "common/mariadb_statement.h"
#include "producer/sql/session.h"

/** A row of any table fits into a list of this size. */
#define SQL_LIST_SIZE_MAX ((size_t)2 * 1024 * 1024)

struct mariadb_parameter sql_mariadb_parameter(const struct sql_parameter *parameter);

/** @return whether a statement takes all rows of a step at once, as a list in its parameter ?1. */
bool sql_mariadb_takes_list(const char *text);

/** Append rows of a step, from row `from` on, as a JSON array of arrays. It ends with the row by
 * which it reaches `size` bytes.
 * @return how many rows are in it: at least one. */
size_t sql_mariadb_append_list(const struct sql_step *step, size_t from, size_t size,
                               struct buffer *list);

#endif
