/* Murmur2, 32 bits, with the seed of Kafka's Java clients. */
#include "common/murmur2.h"

#define MURMUR2_SEED     0x9747b28cU
#define MURMUR2_MULTIPLY 0x5bd1e995U

static uint32_t murmur2_byte(struct slice bytes, size_t index)
{
    return (unsigned char)bytes.data[index];
}

int32_t murmur2(struct slice bytes)
{
    uint32_t hash = MURMUR2_SEED ^ (uint32_t)bytes.length;
    size_t i = 0;
    for (; bytes.length - i >= 4; i += 4) {
        uint32_t word = murmur2_byte(bytes, i) | murmur2_byte(bytes, i + 1) << 8 |
                        murmur2_byte(bytes, i + 2) << 16 | murmur2_byte(bytes, i + 3) << 24;
        word *= MURMUR2_MULTIPLY;
        word ^= word >> 24;
        word *= MURMUR2_MULTIPLY;
        hash = hash * MURMUR2_MULTIPLY ^ word;
    }
    size_t rest = bytes.length - i;
    for (size_t j = rest; j > 0; j--)
        hash ^= murmur2_byte(bytes, i + j - 1) << 8 * (j - 1);
    if (rest > 0)
        hash *= MURMUR2_MULTIPLY;
    hash ^= hash >> 13;
    hash *= MURMUR2_MULTIPLY;
    hash ^= hash >> 15;
    return (int32_t)hash;
}

int32_t murmur2_partition(struct slice key, int32_t partition_count)
{
    return (int32_t)(((uint32_t)murmur2(key) & 0x7fffffffU) % (uint32_t)partition_count);
}
