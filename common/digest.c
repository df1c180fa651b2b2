/* XXH3-64; the only door to xxhash. It is compiled in: the library does not promise the size of a
 * state, and short inputs are digested faster without a call into it. */
#include "common/digest.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(sizeof(XXH3_state_t) == DIGEST_STATE_SIZE, "struct digest holds xxhash's state");
_Static_assert(_Alignof(XXH3_state_t) <= _Alignof(struct digest), "and is aligned like it");

uint64_t digest_64(struct slice bytes)
{
    return XXH3_64bits(bytes.data == NULL ? "" : bytes.data, bytes.length);
}

/* Without this xxhash takes the bytes of a state that was never reset for its last seed. */
void digest_begin(struct digest *digest, uint64_t seed)
{
    XXH3_INITSTATE((XXH3_state_t *)(void *)digest->state);
    (void)XXH3_64bits_reset_withSeed((XXH3_state_t *)(void *)digest->state, seed);
}

void digest_add(struct digest *digest, const void *bytes, size_t length)
{
    if (length > 0)
        (void)XXH3_64bits_update((XXH3_state_t *)(void *)digest->state, bytes, length);
}

uint64_t digest_end(const struct digest *digest)
{
    return XXH3_64bits_digest((const XXH3_state_t *)(const void *)digest->state);
}
