/* Array literals, with which one statement takes many rows. */
#ifndef PRODUCER_POSTGRESQL_ARRAY_H
#define PRODUCER_POSTGRESQL_ARRAY_H

#include "common/buffer.h"

#include <stdint.h>

#define POSTGRESQL_ARRAY_SIZE_MAX ((size_t)256 * 1024 * 1024)

/** Append an element to what postgresql_array_end() ends; data NULL is NULL. The buffer is empty
 * before the first one. */
void postgresql_array_text(struct buffer *array, struct slice element);
void postgresql_array_integer(struct buffer *array, int64_t element);

/** @return the literal. */
struct slice postgresql_array_end(struct buffer *array);

#endif
