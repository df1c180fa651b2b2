/* Event ids that are derived from a row of the outbox. */
#include "tests/support/test.h"

#include "schemas/event_id.h"

#define NOON_US INT64_C(1764417600000000)

static const char *derived(const char *origin, int64_t position, int64_t created_us)
{
    char id[EVENT_ID_SIZE];
    event_id_derive(slice_of(origin), position, created_us, id);
    return test_format("%s", id);
}

/* What was published under an id must be found by it in every later version. */
static void an_id_stays_what_it_is(void **state)
{
    (void)state;
    assert_string_equal(derived("shop", 1, NOON_US), "b2bb6fe7-46df-86b5-8000-000000000001");
    assert_string_equal(derived("shop", INT64_C(123456789), NOON_US + 1),
                        "2ab78032-b530-87d5-8000-0000075bcd15");
}

static void it_is_a_uuid_of_version_8_that_ends_in_the_position(void **state)
{
    (void)state;
    static const int64_t positions[] = {1, 2, 41, 65536, INT64_C(1) << 48, EVENT_ID_POSITION_MAX};
    static const int64_t times[] = {0, NOON_US, INT64_C(-62135596800000000),
                                    INT64_C(253402300799999999)};
    for (size_t i = 0; i < sizeof positions / sizeof *positions; i++) {
        for (size_t t = 0; t < sizeof times / sizeof *times; t++) {
            const char *id = derived("shop", positions[i], times[t]);
            assert_int_equal(strlen(id), 36);
            assert_int_equal(id[14], '8');
            assert_non_null(strchr("89ab", id[19]));
            assert_true(event_id_position(slice_of(id)) == positions[i]);
        }
    }
    assert_string_equal(derived("shop", 41, NOON_US) + 19, "8000-000000000029");
    assert_string_equal(derived("shop", EVENT_ID_POSITION_MAX, 0) + 19, "bfff-ffffffffffff");
}

static void another_origin_position_or_microsecond_gives_another_id(void **state)
{
    (void)state;
    const char *id = derived("shop", 41, NOON_US);
    assert_string_equal(derived("shop", 41, NOON_US), id);
    assert_string_not_equal(derived("shop", 41, NOON_US + 1), id);
    assert_string_not_equal(derived("shop", 42, NOON_US), id);
    assert_string_not_equal(derived("shop2", 41, NOON_US), id);
    assert_string_not_equal(derived("", 41, NOON_US), id);
    for (int64_t i = 1; i <= 1000; i++) /* the digest alone tells the times apart */
        assert_true(strncmp(derived("shop", 41, NOON_US + i), id, 18) != 0);
}

static void no_other_id_names_a_position(void **state)
{
    (void)state;
    static const char *const others[] = {"",
                                         "the-id",
                                         "01942f6e-0000-7000-8000-00000000002a",
                                         "01942f6e-0000-4000-8000-00000000002a",
                                         "01942f6e-0000-8000-c000-00000000002a",
                                         "01942f6e-0000-8000-0000-00000000002a",
                                         "01942f6e-0000-8000-8000-00000000002A",
                                         "01942f6e-0000-8000-8000-00000000002",
                                         "01942f6e-0000-8000-8000-00000000002a0",
                                         "01942f6e00000-8000-8000-00000000002a",
                                         "01942f6e-0000-8000-8000-0000000000-a"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (event_id_position(slice_of(others[i])) != 0)
            test_fail("%s", others[i]);
    }
    assert_true(event_id_position((struct slice){0}) == 0);
    assert_true(event_id_position(slice_of("01942f6e-0000-8000-8000-00000000002a")) == 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_id_stays_what_it_is),
        TEST(it_is_a_uuid_of_version_8_that_ends_in_the_position),
        TEST(another_origin_position_or_microsecond_gives_another_id),
        TEST(no_other_id_names_a_position),
    };
    return TEST_RUN(tests);
}
