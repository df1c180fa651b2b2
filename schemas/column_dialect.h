/* How a database's SQL writes each type of column as JSON: one const table a database. */
#ifndef SCHEMAS_COLUMN_DIALECT_H
#define SCHEMAS_COLUMN_DIALECT_H

#include "schemas/column_sql.h"
#include "schemas/sql_text.h"

/** A column of a row, for which a template is written. */
struct column_place {
    const struct column_sql *columns;
    struct buffer *sql;
    struct slice row;
    size_t index; /* of the schema's column */
    bool in_key;  /* the value becomes part of the entity key */
};

/** A named piece of a value's template. Several may have one name: the first that applies is
 * written. */
struct column_part {
    const char *name;
    const char *text;
    bool (*when)(const struct column_place *place); /* NULL: always */
};

/** Templates have two kinds of words: `{}`, the column of the row, and names of parts. */
struct column_dialect {
    struct text_dialect text;
    const char *values[COLUMN_UUID + 1]; /* the JSON text of a value, also of NULL */
    const struct column_part *parts;
    size_t part_count;
};

#endif
