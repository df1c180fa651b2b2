/* The project's only door to jansson: only schemas/ (and tests/) may include it, so that no other
 * layer depends on how a document is held in memory. */
#ifndef SCHEMAS_JSON_H
#define SCHEMAS_JSON_H

#include <jansson.h>

/** How every document is loaded: any value at the top, no name twice in one object. */
#define JSON_LOAD_FLAGS (JSON_REJECT_DUPLICATES | JSON_DECODE_ANY)

#endif
