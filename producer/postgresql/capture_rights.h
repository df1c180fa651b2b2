/* Whose rights PostgreSQL's capture functions have, and for which table. */
#ifndef PRODUCER_POSTGRESQL_CAPTURE_RIGHTS_H
#define PRODUCER_POSTGRESQL_CAPTURE_RIGHTS_H

#include "producer/postgresql/capture.h"

/** Append a literal, which means the same under every standard_conforming_strings. */
void capture_literal(struct buffer *sql, struct slice text);

/** Append the statement that ends a function where it was called for another table than its own, or
 * where that has another owner than the function. It stands before anything of a row is looked at:
 * the row's types belong to the table's owner, and so do their casts, which therefore run with no
 * other rights than the owner's.
 * @param name  the function's. */
void capture_rights_check(struct buffer *sql, const struct capture_postgresql_place *place,
                          struct slice name);

/** Append the statement that returns, with a warning, where the table is not the function's own: a
 * partition that was detached keeps its TRUNCATE trigger until the next `init`, but its rows are no
 * rows of the table any more. */
void capture_rights_leave(struct buffer *sql, const struct capture_postgresql_place *place);

/** Append what gives a function the rights that it must have, behind its CREATE, in the same
 * transaction.
 * @param what  the function with its schema and parentheses. */
void capture_rights_seal(struct buffer *sql, const struct capture_postgresql_place *place,
                         struct slice what);

#endif
