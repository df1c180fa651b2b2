/* UUIDs of version 7. */
#include "tests/support/test.h"

#include "common/clock.h"
#include "common/uuid.h"

static void later_ones_sort_after_earlier_ones(void **state)
{
    (void)state;
    char last[UUID_TEXT_SIZE] = "";
    for (int i = 0; i < 20000; i++) {
        char next[UUID_TEXT_SIZE];
        uuid_v7(next);
        assert_true(strcmp(last, next) < 0);
        memcpy(last, next, sizeof last);
    }
}

static void version_variant_and_time_are_in_place(void **state)
{
    (void)state;
    char text[UUID_TEXT_SIZE];
    uuid_v7(text);
    assert_int_equal(strlen(text), 36);
    assert_int_equal(text[14], '7');
    assert_non_null(strchr("89ab", text[19]));
    char hex[13] = "";
    memcpy(hex, text, 8);
    memcpy(hex + 8, text + 9, 4);
    int64_t milliseconds = strtoll(hex, NULL, 16);
    int64_t now = clock_wall_us() / 1000;
    assert_true(milliseconds > now - 60000 && milliseconds < now + 60000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(later_ones_sort_after_earlier_ones),
        TEST(version_variant_and_time_are_in_place),
    };
    return TEST_RUN(tests);
}
