/* The only door to jansson. Only schemas/ and tests/ include it, so that no other layer knows how a
 * document is kept in memory. */
#ifndef SCHEMAS_JSON_H
#define SCHEMAS_JSON_H

#include "common/slice.h"
#include "common/status.h"

#include <jansson.h>

/** How every document is loaded: any value at the top, and no member's name twice in an object. */
#define JSON_LOAD_FLAGS (JSON_REJECT_DUPLICATES | JSON_DECODE_ANY)

/** Call after jansson has read something. Without memory jansson reports a syntax error or loses a
 * byte, so its result is void.
 * @return `status`; RETRY where this thread had no memory since the last call.
 * @thread any. */
enum status json_check_memory(enum status status, struct error *err) MUST_CHECK;

/** Load the value of a record. NULs in strings are kept. jansson refuses an integer beyond 64 bits;
 * here its digits are kept for json_large_integer().
 * @return NULL with REJECT. The text names the fault and its byte, never the content. */
json_t *json_load_value(struct slice text, struct error *err) MUST_CHECK;

/** @return the digits of an integer beyond 64 bits that json_load_value() kept; NULL for any other
 * value. */
const char *json_large_integer(const json_t *json);

#endif
