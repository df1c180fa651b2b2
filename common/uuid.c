/* UUIDv7: 48 bits of milliseconds, a 12 bit counter, 62 random bits. */
#include "common/uuid.h"

#include "common/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define UUID_COUNTER_BITS 12

static pthread_mutex_t uuid_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t uuid_last; /* milliseconds and counter of the last one */

static uint64_t uuid_random(void)
{
    uint64_t random = 0;
    ssize_t got;
    do {
        got = getrandom(&random, sizeof random, 0);
    } while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof random)
        abort();
    return random;
}

/* A new millisecond starts in the lower half of the counter; a full counter borrows from the next
 * millisecond, as RFC 9562 section 6.2 allows. */
static uint64_t uuid_next(uint64_t random)
{
    uint64_t now = (uint64_t)clock_wall_us() / 1000 << UUID_COUNTER_BITS;
    now |= random >> (64 - UUID_COUNTER_BITS + 1);
    (void)pthread_mutex_lock(&uuid_lock);
    uint64_t next = now > uuid_last ? now : uuid_last + 1;
    uuid_last = next;
    (void)pthread_mutex_unlock(&uuid_lock);
    return next;
}

void uuid_v7(char ret_text[static UUID_TEXT_SIZE])
{
    uint64_t next = uuid_next(uuid_random());
    uint64_t tail = uuid_random();
    uint64_t milliseconds = next >> UUID_COUNTER_BITS;
    (void)snprintf(ret_text, UUID_TEXT_SIZE, "%08x-%04x-7%03x-%04x-%012llx",
                   (unsigned int)(milliseconds >> 16 & 0xffffffff),
                   (unsigned int)(milliseconds & 0xffff), (unsigned int)(next & 0xfff),
                   (unsigned int)(0x8000 | (tail >> 48 & 0x3fff)),
                   (unsigned long long)(tail & 0xffffffffffff));
}
