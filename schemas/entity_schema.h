/* An entity type: its columns, its key and the JSON Schema that its rows must satisfy. */
#ifndef SCHEMAS_ENTITY_SCHEMA_H
#define SCHEMAS_ENTITY_SCHEMA_H

#include "common/slice.h"
#include "common/status.h"

#include <stdint.h>

#define ENTITY_COLUMNS_MAX 256

/** The column's type alone decides the form of its values, on the wire and in the batch. */
enum column_type {
    COLUMN_INTEGER,   /* JSON integer, int64 */
    COLUMN_DECIMAL,   /* JSON string, "-12.50" */
    COLUMN_DOUBLE,    /* JSON number */
    COLUMN_TEXT,      /* JSON string */
    COLUMN_BYTES,     /* JSON string, hexadecimal in upper case */
    COLUMN_BOOLEAN,   /* JSON true or false */
    COLUMN_DATE_TIME, /* JSON string, UTC with six digits: 2026-11-23T09:42:00.123456Z */
    COLUMN_JSON,      /* JSON string that holds a JSON text */
    COLUMN_DATE,      /* JSON string: 2026-11-23 */
    COLUMN_TIME,      /* JSON string, a time of day with six digits: 09:42:00.123456 */
    COLUMN_TIMESTAMP, /* JSON string, without a zone: 2026-11-23T09:42:00.123456 */
    COLUMN_UUID,      /* JSON string in lower case: 01942f6e-… */
};

struct column {
    char *name;
    enum column_type type;
    bool nullable;
    bool is_key;
    uint32_t length_max; /* code points; 0: no limit */
    uint32_t precision;  /* all digits of a decimal; 0: no limit */
    uint32_t scale;      /* the digits after the point, where precision is set */
};

struct json_schema;

struct entity_schema {
    char *entity_type;
    struct column *columns; /* in the order of the schema's `properties` */
    size_t column_count;
    size_t *key_columns; /* indexes into columns, sorted by the bytes of names */
    size_t key_count;
    struct json_schema *row;        /* judges a full row image */
    struct json_schema *sparse_row; /* judges the columns that an update has */
};

/** Read `<folder>/<entity type>.schema.json`. It is strict draft-07 with top-level `properties`,
 * which have `x-keepstep-type` (decimals: also `x-keepstep-precision` and `x-keepstep-scale`).
 * `x-keepstep-key` is an array of column names.
 * @return OK; FATAL with exit code 78 naming the file, the place and what to do. */
enum status entity_schema_new(const char *folder, const char *entity_type,
                              struct entity_schema **ret_schema, struct error *err) MUST_CHECK;
void entity_schema_free(struct entity_schema *schema);

/** @return the column's index; -1 where there is none. */
int entity_schema_find(const struct entity_schema *schema, struct slice name);

/** @return "integer", "decimal", …: the words of `x-keepstep-type`. */
const char *column_type_name(enum column_type type);
bool column_type_parse(const char *name, enum column_type *ret_type);

#endif
