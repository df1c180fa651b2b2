/* Reads the rows of a scan: the JSON texts of a key and of all columns, as schemas/column_sql.h
 * lets a database write them. */
#ifndef SCHEMAS_ROW_SCAN_H
#define SCHEMAS_ROW_SCAN_H

#include "schemas/change.h"

/** What a database wrote of a row; data NULL: it wrote NULL. */
struct row_texts {
    struct slice key;
    struct slice image;
};

struct scanned_row {
    struct slice key;           /* canonical; where it has no canonical form, as it was written */
    const struct value *values; /* as many as the schema has columns */
    /** All columns as the database has written them: where none is unfit, an object of the forms
     * that an event has. data NULL: no database has written it. */
    struct slice image;
};

/** @param row  borrowed until the call returns.
 * @return OK; anything else ends the scan. */
typedef enum status row_visit(void *context, const struct scanned_row *row, struct error *err);

/** Read a row. A column that has no canonical form, or cannot be read, becomes VALUE_UNFIT. Limits
 * of the schema (lengths, digits, its JSON Schema, a column that is not nullable) are not asked: a
 * value that breaks one is a value too. Slices are in the texts or in the arena.
 * @return OK; RETRY (arena full, no memory). */
enum status row_scan_read(const struct entity_schema *schema, struct row_texts texts,
                          struct arena *arena, struct scanned_row *ret_row,
                          struct error *err) MUST_CHECK;

#endif
