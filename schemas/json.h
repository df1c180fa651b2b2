/* The project's only door to jansson: only schemas/ (and tests/) may include it, so that no other
 * layer depends on how a document is held in memory. */
#ifndef SCHEMAS_JSON_H
#define SCHEMAS_JSON_H

#include "common/status.h"

#include <jansson.h>

/** How every document is loaded: any value at the top, no name twice in one object. */
#define JSON_LOAD_FLAGS (JSON_REJECT_DUPLICATES | JSON_DECODE_ANY)

/** jansson says "syntax error" also where memory was short, or drops a byte: what was read is void
 * then. @return `status`, or RETRY in its place where memory was short since the last call.
 * @thread any, each for itself */
enum status json_settle(enum status status, struct error *err) MUST_CHECK;

#endif
