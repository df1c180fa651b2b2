/* Digests that tell two values apart; not for security. */
#ifndef COMMON_DIGEST_H
#define COMMON_DIGEST_H

#include "common/slice.h"

#include <stdint.h>

#define DIGEST_STATE_SIZE 576

/** @return XXH3-64 of the bytes; where data is NULL, that of no bytes. */
uint64_t digest_64(struct slice bytes);

/** XXH3-64 of bytes that come in pieces. The pieces themselves do not count, only the bytes. */
struct digest {
    _Alignas(64) unsigned char state[DIGEST_STATE_SIZE];
};

void digest_begin(struct digest *digest, uint64_t seed);
void digest_add(struct digest *digest, const void *bytes, size_t length);
uint64_t digest_end(const struct digest *digest);

#endif
