/* Clocks and RFC 3339: what is read, what is refused, and that text and number agree. */
#include "common/clock.h"

#include "tests/support/test.h"

#include <limits.h>
#include <stdio.h>
#include <time.h>

static bool parse(const char *text, int64_t *ret_wall_us)
{
    return clock_parse_rfc3339(text, strlen(text), ret_wall_us);
}

static void known_times_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t wall_us;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00.000001Z", 1},
        {"1969-12-31T23:59:59.999999Z", -1},
        {"2000-02-29T12:00:00Z", 951825600000000},
        {"2001-09-09T01:46:40Z", 1000000000000000},
        {"2001-09-09t01:46:40z", 1000000000000000},
        {"2001-09-09 01:46:40Z", 1000000000000000},
        {"2001-09-09T03:46:40+02:00", 1000000000000000},
        {"2001-09-08T20:16:40-05:30", 1000000000000000},
        {"2001-09-09T01:46:40.5Z", 1000000000500000},
        {"2001-09-09T01:46:40.123456789Z", 1000000000123456},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t wall_us = -77;
        if (!parse(cases[i].text, &wall_us))
            test_fail("refused: %s", cases[i].text);
        assert_int_equal(wall_us, cases[i].wall_us);
    }
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {"",
                                        "2001",
                                        "2001-09-09",
                                        "2001-09-09T01:46:40",
                                        "2001-9-09T01:46:40Z",
                                        "2001-13-09T01:46:40Z",
                                        "2001-00-09T01:46:40Z",
                                        "2001-09-31T01:46:40Z",
                                        "2001-09-00T01:46:40Z",
                                        "2001-02-29T01:46:40Z",
                                        "1900-02-29T01:46:40Z",
                                        "2001-09-09T24:00:00Z",
                                        "2001-09-09T01:60:40Z",
                                        "2001-09-09T01:46:61Z",
                                        "2001-09-09T01:46:40.Z",
                                        "2001-09-09T01:46:40.1234567890Z",
                                        "2001-09-09T01:46:40+2:00",
                                        "2001-09-09T01:46:40+02",
                                        "2001-09-09T01:46:40+24:00",
                                        "2001-09-09T01:46:40+02:60",
                                        "2001-09-09T01:46:40ZZ",
                                        " 2001-09-09T01:46:40Z",
                                        "2001-09-09T01:46:40Z ",
                                        "-001-09-09T01:46:40Z",
                                        "2001-09-09X01:46:40Z",
                                        "2001/09/09T01:46:40Z",
                                        "9999-12-31T23:59:59-01:00",
                                        "0000-01-01T00:00:00+01:00"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t wall_us = -77;
        if (parse(cases[i], &wall_us))
            test_fail("accepted: \"%s\"", cases[i]);
        assert_int_equal(wall_us, -77);
    }
    int64_t wall_us = 0;
    assert_false(clock_parse_rfc3339(NULL, 0, &wall_us));
}

static void every_cut_of_a_time_is_refused(void **state)
{
    (void)state;
    static const char text[] = "2001-09-09T01:46:40.5+02:00";
    int64_t wall_us = 0;
    assert_true(clock_parse_rfc3339(text, sizeof text - 1, &wall_us));
    for (size_t length = 0; length < sizeof text - 1; length++)
        assert_false(clock_parse_rfc3339(text, length, &wall_us));
}

static void a_nul_stands_for_nothing(void **state)
{
    (void)state;
    static const char in_place_of_z[] = "2001-09-09T01:46:40\0";
    static const char in_place_of_dash[] = "2001\0"
                                           "09-09T01:46:40Z";
    int64_t wall_us = 0;
    assert_false(clock_parse_rfc3339(in_place_of_z, sizeof in_place_of_z - 1, &wall_us));
    assert_false(clock_parse_rfc3339(in_place_of_dash, sizeof in_place_of_dash - 1, &wall_us));
}

/* The text comes from the C library's calendar, the number from ours. */
static void the_calendar_is_that_of_the_c_library(void **state)
{
    (void)state;
    for (int64_t day = -719527; day < 2932896; day += 13) { /* 0000-01-02 to 9999-12-31 */
        char text[CLOCK_TEXT_SIZE];
        int64_t wall_us = -77;
        clock_format_utc(day * 86400000000, text);
        assert_true(parse(text, &wall_us));
        assert_int_equal(wall_us, day * 86400000000);
    }
}

#define FORM "dddd-dd-ddTdd:dd:dd.ddddddZ"

static int digits(const char *text, int count)
{
    int number = 0;
    while (count-- > 0)
        number = number * 10 + (*text++ - '0');
    return number;
}

/* Judge a text of 27 bytes by the calendar of the C library, which carries what is out of range. */
static bool library_parse(const char *text, int64_t *ret_wall_us)
{
    for (size_t i = 0; i < sizeof FORM - 1; i++) {
        char wanted = FORM[i];
        bool same = text[i] == wanted || (wanted == 'T' && (text[i] == 't' || text[i] == ' ')) ||
                    (wanted == 'Z' && text[i] == 'z');
        if (wanted == 'd' ? text[i] < '0' || text[i] > '9' : !same)
            return false;
    }
    struct tm wanted = {.tm_year = digits(text, 4) - 1900,
                        .tm_mon = digits(text + 5, 2) - 1,
                        .tm_mday = digits(text + 8, 2),
                        .tm_hour = digits(text + 11, 2),
                        .tm_min = digits(text + 14, 2),
                        .tm_sec = digits(text + 17, 2)};
    struct tm found = wanted;
    *ret_wall_us = (int64_t)timegm(&found) * 1000000 + digits(text + 20, 6);
    return found.tm_year == wanted.tm_year && found.tm_mon == wanted.tm_mon &&
           found.tm_mday == wanted.tm_mday && found.tm_hour == wanted.tm_hour &&
           found.tm_min == wanted.tm_min && found.tm_sec == wanted.tm_sec;
}

static void expect_library(const char *text)
{
    int64_t wall_us = 0;
    int64_t wanted_us = 0;
    bool wanted = library_parse(text, &wanted_us);
    if (clock_parse_rfc3339(text, sizeof FORM - 1, &wall_us) != wanted)
        test_fail("%s: %.27s", wanted ? "refused" : "accepted", text);
    if (wanted)
        assert_int_equal(wall_us, wanted_us);
}

static void fields_in_and_out_of_range_have_the_verdict_of_the_c_library(void **state)
{
    static const int years[] = {0, 1, 4, 100, 400, 1900, 1970, 2000, 2023, 2024, 2100, 9999};
    static const int seconds[] = {0, 59, 60, 61, 99};
    char text[64];
    (void)state;
    for (size_t i = 0; i < sizeof years / sizeof *years; i++) {
        for (int day = 0; day < 14 * 33; day++) {
            for (size_t j = 0; j < sizeof seconds / sizeof *seconds; j++) {
                (void)snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", years[i],
                               day / 33, day % 33, day % 25, day % 61, seconds[j], day);
                expect_library(text);
            }
        }
    }
}

static void one_changed_byte_anywhere_has_the_verdict_of_the_c_library(void **state)
{
    static const char *const times[] = {"2024-02-29T23:59:59.999999Z",
                                        "1999-12-31T00:00:00.000000Z"};
    char text[sizeof FORM];
    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        for (size_t at = 0; at < sizeof FORM - 1; at++) {
            memcpy(text, times[i], sizeof text);
            for (int byte = CHAR_MIN; byte <= CHAR_MAX; byte++) {
                text[at] = (char)byte;
                expect_library(text);
            }
        }
    }
}

static void text_and_number_agree(void **state)
{
    (void)state;
    static const int64_t cases[] = {0,
                                    1,
                                    -1,
                                    999999,
                                    1000000,
                                    -1000000,
                                    1000000000123456,
                                    253402300799999999,
                                    -62135596800000000};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[CLOCK_TEXT_SIZE];
        int64_t wall_us = 0;
        clock_format_utc(cases[i], text);
        if (!parse(text, &wall_us))
            test_fail("refused: %s", text);
        assert_int_equal(wall_us, cases[i]);
    }
}

static void a_time_is_written_with_six_digits(void **state)
{
    (void)state;
    char text[CLOCK_TEXT_SIZE];
    clock_format_utc(1000000000000007, text);
    assert_string_equal(text, "2001-09-09T01:46:40.000007Z");
    clock_format_utc(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999999Z");
}

static void the_monotonic_clock_counts_a_sleep(void **state)
{
    (void)state;
    int64_t before = clock_monotonic_us();
    clock_sleep_us(20000);
    int64_t passed = clock_monotonic_us() - before;
    assert_true(passed >= 20000);
    assert_true(clock_wall_us() > 1600000000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(known_times_are_read),
        TEST(what_is_no_time_is_refused),
        TEST(every_cut_of_a_time_is_refused),
        TEST(a_nul_stands_for_nothing),
        TEST(text_and_number_agree),
        TEST(the_calendar_is_that_of_the_c_library),
        TEST(fields_in_and_out_of_range_have_the_verdict_of_the_c_library),
        TEST(one_changed_byte_anywhere_has_the_verdict_of_the_c_library),
        TEST(a_time_is_written_with_six_digits),
        TEST(the_monotonic_clock_counts_a_sleep),
    };
    return TEST_RUN(tests);
}
