/* Reading clocks, and UTC times as text. */
#include "common/clock.h"

#include <stdio.h>
#include <time.h>

#define US_PER_SECOND      1000000
#define YEAR_0_SECONDS     (-INT64_C(62167219200))
#define YEAR_10000_SECONDS INT64_C(253402300800)
#define SECONDS_PER_DAY    86400
#define DAYS_TO_1970       719468 /* from the first of March of the year 0 */
#define SECONDS_LENGTH     19     /* "2026-11-23T09:42:00" */
#define OFFSET_LENGTH      6      /* "+01:00" */
#define REST_LENGTH        8      /* ".123456Z" */

static int64_t clock_read_us(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * US_PER_SECOND + now.tv_nsec / 1000;
}

int64_t clock_wall_us(void)
{
    return clock_read_us(CLOCK_REALTIME);
}

int64_t clock_monotonic_us(void)
{
    return clock_read_us(CLOCK_MONOTONIC);
}

void clock_format_utc(int64_t wall_us, char ret_text[static CLOCK_TEXT_SIZE])
{
    int64_t seconds = wall_us / US_PER_SECOND;
    int64_t fraction = wall_us % US_PER_SECOND;
    if (fraction < 0) {
        fraction += US_PER_SECOND;
        seconds--;
    }
    time_t time = (time_t)seconds;
    struct tm utc;
    (void)gmtime_r(&time, &utc);
    char rest[sizeof "-12-31T23:59:59"];
    (void)strftime(rest, sizeof rest, "-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(ret_text, CLOCK_TEXT_SIZE, "%04d%s.%06dZ", (utc.tm_year + 1900) % 10000, rest,
                   (int)fraction);
}

/* @return the number of two digits; 100 where they are none. */
static int clock_pair(const char *text)
{
    int tens = text[0] - '0';
    int ones = text[1] - '0';
    return tens < 0 || tens > 9 || ones < 0 || ones > 9 ? 100 : tens * 10 + ones;
}

static bool clock_literal(const char **text, const char *end, const char *any)
{
    while (*text < end && *any != '\0') {
        if (**text == *any++) {
            (*text)++;
            return true;
        }
    }
    return false;
}

static int64_t clock_fraction_us(const char **text, const char *end)
{
    int64_t fraction = 0;
    int digits = 0;
    for (; *text < end && **text >= '0' && **text <= '9' && digits < 9; (*text)++, digits++) {
        if (digits < 6)
            fraction = fraction * 10 + (**text - '0');
    }
    if (digits == 0)
        return -1;
    for (; digits < 6; digits++)
        fraction *= 10;
    return fraction;
}

/* @return the offset east of UTC in seconds; INT32_MIN where it is malformed. */
static int clock_offset(const char **text, const char *end)
{
    const char *at = *text;
    if (clock_literal(text, end, "Zz"))
        return 0;
    if (end - at < OFFSET_LENGTH || (at[0] != '+' && at[0] != '-') || at[3] != ':')
        return INT32_MIN;
    int hours = clock_pair(at + 1);
    int minutes = clock_pair(at + 4);
    if (hours > 23 || minutes > 59)
        return INT32_MIN;
    *text += OFFSET_LENGTH;
    return (at[0] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
}

static int clock_days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

/* Days since 1970-01-01. Years begin in March here, so that a leap day is the last of its year. */
static int64_t clock_days(int year, int month, int day)
{
    int64_t years = month > 2 ? year : year - 1;
    int64_t eras = (years >= 0 ? years : years - 399) / 400;
    int64_t year_of_era = years - eras * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return eras * 146097 + day_of_era - DAYS_TO_1970;
}

/* Read "2026-11-23T09:42:00", whose fields have fixed places, as seconds since 1970. */
static bool clock_seconds(const char *text, int64_t *ret_seconds)
{
    int century = clock_pair(text);
    int year = clock_pair(text + 2);
    int month = clock_pair(text + 5);
    int day = clock_pair(text + 8);
    int hour = clock_pair(text + 11);
    int minute = clock_pair(text + 14);
    int second = clock_pair(text + 17);
    bool marks = text[4] == '-' && text[7] == '-' && text[13] == ':' && text[16] == ':' &&
                 (text[10] == 'T' || text[10] == 't' || text[10] == ' ');
    if (!marks || century > 99 || year > 99 || month < 1 || month > 12 || hour > 23 ||
        minute > 59 || second > 59)
        return false;
    year += century * 100;
    if (day < 1 || day > clock_days_in_month(year, month))
        return false;
    *ret_seconds = clock_days(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 +
                   second;
    return true;
}

/* Read ".123456Z", as Keepstep writes it. @return the microseconds; -1 where the text is not that.
 */
static int64_t clock_rest(const char *text, const char *end)
{
    if (end - text != REST_LENGTH || text[0] != '.' || text[REST_LENGTH - 1] != 'Z')
        return -1;
    int first = clock_pair(text + 1);
    int second = clock_pair(text + 3);
    int third = clock_pair(text + 5);
    return first > 99 || second > 99 || third > 99 ? -1 : first * 10000 + second * 100 + third;
}

bool clock_parse_rfc3339(const char *text, size_t length, int64_t *ret_wall_us)
{
    int64_t seconds = 0;
    if (length < SECONDS_LENGTH || !clock_seconds(text, &seconds))
        return false;
    const char *end = text + length;
    text += SECONDS_LENGTH;
    int64_t fraction = clock_rest(text, end);
    if (fraction < 0) {
        fraction = clock_literal(&text, end, ".") ? clock_fraction_us(&text, end) : 0;
        int offset = clock_offset(&text, end);
        if (fraction < 0 || offset == INT32_MIN || text != end)
            return false;
        seconds -= offset;
    }
    if (seconds < YEAR_0_SECONDS || seconds >= YEAR_10000_SECONDS)
        return false;
    *ret_wall_us = seconds * US_PER_SECOND + fraction;
    return true;
}

void clock_sleep_us(int64_t duration_us)
{
    struct timespec wait = {.tv_sec = duration_us / US_PER_SECOND,
                            .tv_nsec = (duration_us % US_PER_SECOND) * 1000};
    (void)nanosleep(&wait, NULL);
}
