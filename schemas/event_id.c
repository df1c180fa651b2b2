/* Derives event ids, and reads the position out of them. */
#include "schemas/event_id.h"
#include "common/digest.h"

#include <stddef.h>
#include <string.h>

#define ORIGIN_BYTES_MAX 255
#define DIGEST_BITS      60
#define VERSION          UINT64_C(8)
#define VARIANT          (UINT64_C(2) << 62)
#define LENGTH           (EVENT_ID_SIZE - 1)

static const char DIGITS[] = "0123456789abcdef";

/* The same bytes on every machine: the number's lowest byte first. */
static size_t event_id_put_number(unsigned char *target, int64_t number)
{
    for (size_t i = 0; i < sizeof number; i++)
        target[i] = (unsigned char)((uint64_t)number >> (8 * i));
    return sizeof number;
}

static uint64_t event_id_digest(struct slice origin, int64_t position, int64_t created_us)
{
    unsigned char bytes[2 * sizeof(int64_t) + ORIGIN_BYTES_MAX];
    size_t length = event_id_put_number(bytes, position);
    length += event_id_put_number(bytes + length, created_us);
    size_t origin_length = origin.length < ORIGIN_BYTES_MAX ? origin.length : ORIGIN_BYTES_MAX;
    if (origin_length > 0)
        memcpy(bytes + length, origin.data, origin_length);
    return digest_64((struct slice){(const char *)bytes, length + origin_length});
}

static bool event_id_is_hyphen(size_t at)
{
    return at == 8 || at == 13 || at == 18 || at == 23;
}

void event_id_derive(struct slice origin, int64_t position, int64_t created_us,
                     char ret_id[static EVENT_ID_SIZE])
{
    uint64_t digest = event_id_digest(origin, position, created_us) >> (64 - DIGEST_BITS);
    uint64_t halves[2] = {(digest & ~UINT64_C(0xfff)) << 4 | VERSION << 12 | (digest & 0xfff),
                          VARIANT | (uint64_t)position};
    size_t digit = 0;
    for (size_t i = 0; i < LENGTH; i++) {
        if (event_id_is_hyphen(i)) {
            ret_id[i] = '-';
            continue;
        }
        ret_id[i] = DIGITS[halves[digit / 16] >> (60 - digit % 16 * 4) & 0xf];
        digit++;
    }
    ret_id[LENGTH] = '\0';
}

int64_t event_id_position(struct slice id)
{
    uint64_t last_half = 0;
    if (id.data == NULL || id.length != LENGTH || id.data[14] != '8')
        return 0;
    for (size_t i = 0; i < LENGTH; i++) {
        const char *digit = event_id_is_hyphen(i) ? NULL : memchr(DIGITS, id.data[i], 16);
        if (event_id_is_hyphen(i) ? id.data[i] != '-' : digit == NULL)
            return 0;
        if (digit != NULL && i > 18)
            last_half = last_half << 4 | (uint64_t)(digit - DIGITS);
    }
    return last_half >> 62 == VARIANT >> 62 ? (int64_t)(last_half & EVENT_ID_POSITION_MAX) : 0;
}
