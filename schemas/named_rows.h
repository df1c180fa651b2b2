/* How a database's SQL finds the rows that a row names by a foreign key. */
#ifndef SCHEMAS_NAMED_ROWS_H
#define SCHEMAS_NAMED_ROWS_H

#include "schemas/column_sql.h"

/** A foreign key. Borrows everything. */
struct named_rows {
    struct column_sql child; /* the table that names rows, as row `c` */
    struct column_sql parent;
    const char *child_table; /* quoted */
    const char *parent_table;
    struct slice condition; /* row `t` of the parent is what row `c` names */
};

/** Append a query of two texts: the key of each row that the row of one key names, and "". Its
 * parameters are those of key_sql_append(). */
void named_rows_append(struct buffer *sql, const struct named_rows *rows);

#endif
