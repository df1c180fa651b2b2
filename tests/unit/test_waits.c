/* Where a relay looks again once something came late in front of what it has passed. */
#include "producer/relay/waits.h"
#include "tests/support/test.h"

#define STEP 10 /* rows that are passed at once */

static void pass(struct waits *waits, size_t times)
{
    for (size_t i = 0; i < times; i++) {
        struct outbox_row rows[STEP + 1] = {{0}};
        for (size_t r = 0; r <= STEP; r++)
            rows[r] = (struct outbox_row){.position = waits->passed + 1 + (int64_t)r,
                                          .entity_type = slice_of("order"),
                                          .entity_key = slice_of("1"),
                                          .paused = true};
        assert_int_equal(waits_pass(waits, rows, STEP + 1, STEP), STEP);
    }
}

static void expect(const struct waits *waits, size_t passes)
{
    assert_int_equal(waits->passed, passes * STEP);
    assert_int_equal(waits->count, passes * STEP);
}

static void each_step_back_is_twice_as_long_and_the_next_pass_ends_it(void **state)
{
    struct waits waits = {0};
    (void)state;
    pass(&waits, 20);
    waits_go_back(&waits);
    expect(&waits, 19);
    waits_go_back(&waits);
    expect(&waits, 17);
    waits_go_back(&waits);
    expect(&waits, 13);
    pass(&waits, 1);
    expect(&waits, 14);
    waits_go_back(&waits);
    expect(&waits, 13);
    assert_int_equal(waits.entities.count, 1);
    waits_done(&waits);
}

static void the_way_back_ends_at_the_beginning(void **state)
{
    struct waits waits = {0};
    (void)state;
    waits_go_back(&waits);
    expect(&waits, 0);
    pass(&waits, 3);
    waits_go_back(&waits);
    waits_go_back(&waits);
    expect(&waits, 0);
    assert_int_equal(waits.entities.count, 0);
    pass(&waits, 1);
    waits_go_back(&waits);
    expect(&waits, 0);
    waits_done(&waits);
}

static void of_more_stops_than_there_is_room_for_some_stay(void **state)
{
    struct waits waits = {0};
    (void)state;
    pass(&waits, 3 * WAITS_STOPS + 1);
    assert_in_range(waits.stop_count, WAITS_STOPS / 2, WAITS_STOPS);
    waits_go_back(&waits);
    assert_in_range(waits.passed, (3 * WAITS_STOPS - 8) * STEP, 3 * WAITS_STOPS * STEP);
    assert_int_equal(waits.count, waits.passed);
    waits_done(&waits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_step_back_is_twice_as_long_and_the_next_pass_ends_it),
        TEST(the_way_back_ends_at_the_beginning),
        TEST(of_more_stops_than_there_is_room_for_some_stay),
    };
    return TEST_RUN(tests);
}
