/* Reading clocks, and UTC times as text. */
#include "common/clock.h"

#include <stdio.h>
#include <time.h>

#define US_PER_SECOND      1000000
#define YEAR_0_SECONDS     (-INT64_C(62167219200))
#define YEAR_10000_SECONDS INT64_C(253402300800)
#define SECONDS_PER_DAY    86400
#define DAYS_TO_1970       719468 /* from the first of March of the year 0 */

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

/* Read exactly `digits` digits and move `text` past them. @return -1 where there are fewer. */
static int clock_digits(const char **text, const char *end, int digits)
{
    int number = 0;
    for (int i = 0; i < digits; i++) {
        if (*text >= end || **text < '0' || **text > '9')
            return -1;
        number = number * 10 + (*(*text)++ - '0');
    }
    return number;
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
    if (clock_literal(text, end, "Zz"))
        return 0;
    if (*text >= end || (**text != '+' && **text != '-'))
        return INT32_MIN;
    int sign = *(*text)++ == '-' ? -1 : 1;
    int hours = clock_digits(text, end, 2);
    if (hours < 0 || hours > 23 || !clock_literal(text, end, ":"))
        return INT32_MIN;
    int minutes = clock_digits(text, end, 2);
    if (minutes < 0 || minutes > 59)
        return INT32_MIN;
    return sign * (hours * 3600 + minutes * 60);
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

bool clock_parse_rfc3339(const char *text, size_t length, int64_t *ret_wall_us)
{
    const char *end = text + length;
    int year = clock_digits(&text, end, 4);
    bool ok = year >= 0 && clock_literal(&text, end, "-");
    int month = ok ? clock_digits(&text, end, 2) : -1;
    ok = month >= 1 && month <= 12 && clock_literal(&text, end, "-");
    int day = ok ? clock_digits(&text, end, 2) : -1;
    ok = day >= 1 && day <= clock_days_in_month(year, month) && clock_literal(&text, end, "Tt ");
    int hour = ok ? clock_digits(&text, end, 2) : -1;
    ok = hour >= 0 && hour <= 23 && clock_literal(&text, end, ":");
    int minute = ok ? clock_digits(&text, end, 2) : -1;
    ok = minute >= 0 && minute <= 59 && clock_literal(&text, end, ":");
    int second = ok ? clock_digits(&text, end, 2) : -1;
    if (second < 0 || second > 59)
        return false;
    int64_t fraction = 0;
    if (clock_literal(&text, end, "."))
        fraction = clock_fraction_us(&text, end);
    int offset = clock_offset(&text, end);
    if (fraction < 0 || offset == INT32_MIN || text != end)
        return false;
    int64_t seconds = clock_days(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 +
                      second - offset;
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
