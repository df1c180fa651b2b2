/* Sums of decimals, as texts. */
#include "schemas/decimal.h"
#include "tests/support/test.h"

#include <inttypes.h>
#include <stdio.h>

#define ARENA_SIZE ((size_t)1024 * 1024)
#define PAIRS      20000

static void assert_sum(const char *left, const char *right, const char *expected)
{
    struct arena arena;
    arena_init(&arena, ARENA_SIZE);
    struct slice sum = decimal_add(slice_of(left), slice_of(right), &arena);
    if (!slice_is(sum, expected))
        test_fail("%s + %s = %.*s, not %s", left, right, SLICE_ARGS(sum), expected);
    arena_done(&arena);
}

static void decimals_are_added_exactly(void **state)
{
    static const char *const sums[][3] = {
        {"0", "0", "0"},
        {"1.25", "0.10", "1.35"},
        {"1.25", "-0.1", "1.15"},
        {"0.1", "0.2", "0.3"},
        {"-0.005", "0.005", "0.000"},
        {"0.005", "-0.01", "-0.005"},
        {"-1", "0.999", "-0.001"},
        {"-1", "-0.001", "-1.001"},
        {"999", "1", "1000"},
        {"-999.9", "-0.1", "-1000.0"},
        {"1000", "-1", "999"},
        {"100", "-100", "0"},
        {"100", "-101", "-1"},
        {"18446744073709551615", "1", "18446744073709551616"},
        {"99999999999999999999999999999999999.999999999999999999999999999999",
         "0.000000000000000000000000000001",
         "100000000000000000000000000000000000.000000000000000000000000000000"},
        {"1", "-0.000000000000000000000000000001", "0.999999999999999999999999999999"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++) {
        assert_sum(sums[i][0], sums[i][1], sums[i][2]);
        assert_sum(sums[i][1], sums[i][0], sums[i][2]);
    }
}

/* @return a number of ten-thousandths. */
static const char *text_of(int64_t number)
{
    int64_t size = number < 0 ? -number : number;
    return test_format("%s%" PRId64 ".%04" PRId64, number < 0 ? "-" : "", size / 10000,
                       size % 10000);
}

static void sums_are_those_of_integers(void **state)
{
    uint64_t random = 88172645463325252ULL;
    (void)state;
    for (size_t i = 0; i < PAIRS; i++) {
        int64_t numbers[2];
        for (size_t j = 0; j < 2; j++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            numbers[j] = (int64_t)(random >> (8 + random % 50)) * (random & 1024 ? 1 : -1);
        }
        assert_sum(text_of(numbers[0]), text_of(numbers[1]), text_of(numbers[0] + numbers[1]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimals_are_added_exactly),
        cmocka_unit_test(sums_are_those_of_integers),
    };
    return TEST_RUN(tests);
}
