/* Digests that tell two values apart; not for security. */
#ifndef COMMON_DIGEST_H
#define COMMON_DIGEST_H

#include "common/slice.h"

#include <stdint.h>

/** @return XXH3-64 of the bytes; where data is NULL, that of no bytes. */
uint64_t digest_64(struct slice bytes);

#endif
