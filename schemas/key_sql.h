/* How a database's SQL finds the rows of some keys. */
#ifndef SCHEMAS_KEY_SQL_H
#define SCHEMAS_KEY_SQL_H

#include "common/row_query.h"
#include "schemas/change.h"
#include "schemas/column_sql.h"

#define KEY_SQL_PARAMETERS_MAX 64 /* of a statement */
#define KEY_SQL_FORMS_MAX      2  /* in which a key is looked for */

/** @return how many parameters a key has: its columns, in as many forms as it is looked for. */
size_t key_sql_width(const struct column_sql *columns);

/** @return for how many keys a statement is best written. */
size_t key_sql_count(const struct column_sql *columns);

/** Append a condition: the row has one of `count` keys. Its parameters are the columns of the keys,
 * key by key and form by form, each in the byte order of the columns' names. Two keys may be the
 * same. The condition may be true of other rows too, whose keys the table takes for the same (in
 * capitals, with blanks at their end), so compare the keys of the rows that come. @param row  "t".
 */
void key_sql_append(struct buffer *sql, const struct column_sql *columns, const char *row,
                    size_t count);

/** Read the parameters of a key: key_sql_width() of them, its canonical form first; slices are in
 * `key` or in the arena.
 * @param key  as a scan gives it. @return OK; REJECT (it has no canonical form, so that only a scan
 * of all rows finds its row); RETRY (arena full). */
enum status key_sql_parameters(const struct column_sql *columns, struct slice key,
                               struct arena *arena, struct query_parameter *ret_parameters,
                               struct error *err) MUST_CHECK;

/** @return whether no row can have the key of these parameters. They cannot be bound then. */
bool key_sql_is_nowhere(const struct column_sql *columns, const struct query_parameter *parameters);

#endif
