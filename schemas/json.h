/* The project's only door to jansson: only schemas/ (and tests/) may include it. No other layer
 * depends on how a document is held in memory. */
#ifndef SCHEMAS_JSON_H
#define SCHEMAS_JSON_H

#include "common/slice.h"
#include "common/status.h"

#include <jansson.h>

/** How every document is loaded: any value at the top, no name twice in one object. */
#define JSON_LOAD_FLAGS (JSON_REJECT_DUPLICATES | JSON_DECODE_ANY)

/** Without memory jansson reports a syntax error, or drops a byte: what it has read is void then.
 * @return `status`; RETRY instead where this thread had no memory since the last call.
 * @thread any. */
enum status json_check_memory(enum status status, struct error *err) MUST_CHECK;

/** Load the value of a record. NULs in strings are kept. An integer that 64 bits cannot hold, which
 * jansson refuses, is kept as its digits: json_large_integer() reads it.
 * @return NULL with REJECT, which says what is wrong and at which byte, never what stands there. */
json_t *json_load_value(struct slice text, struct error *err) MUST_CHECK;

/** @return the digits of an integer beyond 64 bits that json_load_value() kept; NULL for all else.
 */
const char *json_large_integer(const json_t *json);

#endif
