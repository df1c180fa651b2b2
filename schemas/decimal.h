/* Adds decimals as they are written, of any number of digits: no database rounds on the way. */
#ifndef SCHEMAS_DECIMAL_H
#define SCHEMAS_DECIMAL_H

#include "common/arena.h"
#include "common/slice.h"

/** Add two decimals in the form of docs/TYPES.md. The sum has as many digits behind the point as
 * the one of them that has more.
 * @return the sum, in the arena; `data` is NULL where the arena is full. */
struct slice decimal_add(struct slice left, struct slice right, struct arena *arena);

#endif
