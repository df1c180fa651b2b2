/* Time: the wall clock for people, the monotonic clock for waiting. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include "common/status.h"

#include <stdint.h>

#define CLOCK_TEXT_SIZE 32 /* "2026-11-23T09:42:00.123456Z" and its NUL */

/** @return microseconds since 1970 in UTC. */
int64_t clock_wall_us(void);

/** @return microseconds of a clock that never goes back. */
int64_t clock_monotonic_us(void);

/** Write `wall_us` as RFC 3339 in UTC with six digits. */
void clock_format_utc(int64_t wall_us, char ret_text[static CLOCK_TEXT_SIZE]);

/** Read a time of RFC 3339 with any offset and up to nine digits of a second; in UTC it must be in
 * the years 0 to 9999.
 * @return false where the text is not such a time; `ret_wall_us` is then unchanged. */
bool clock_parse_rfc3339(const char *text, size_t length, int64_t *ret_wall_us);

/** Sleep. A signal ends it early. */
void clock_sleep_us(int64_t duration_us);

#endif
