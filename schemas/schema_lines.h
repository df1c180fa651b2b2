/* Judges lines of JSON by a schema, for people and pipelines. */
#ifndef SCHEMAS_SCHEMA_LINES_H
#define SCHEMAS_SCHEMA_LINES_H

#include "common/status.h"

#include <stdio.h>

/** Read one JSON text a line from `in` and judge each; say "line N: path: reason" of each that is
 * not valid on `report`. Empty lines are passed over.
 * @return OK also with invalid lines; FATAL where schema or input cannot be read; REJECT where a
 * line is longer than any (common/lines.h). */
enum status schema_lines_validate(const char *schema_path, FILE *in, FILE *report,
                                  size_t *ret_invalid, struct error *err) MUST_CHECK;

#endif
