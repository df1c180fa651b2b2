/* Validates lines of JSON by a schema. */
#ifndef SCHEMAS_SCHEMA_LINES_H
#define SCHEMAS_SCHEMA_LINES_H

#include "common/status.h"

#include <stdio.h>

/** Read one JSON text per line from `in` and validate each. Write "line N: path: reason" to
 * `report` for each invalid line. Empty lines are skipped.
 * @return OK, also with invalid lines; FATAL where the schema or the input cannot be read; REJECT
 * where a line is too long (common/lines.h). */
enum status schema_lines_validate(const char *schema_path, FILE *in, FILE *report,
                                  size_t *ret_invalid, struct error *err) MUST_CHECK;

#endif
