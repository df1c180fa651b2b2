/* Comparing copies by key: what was left out, and entities that are named. */
#include "tests/support/compare_case.h"

#include <sysexits.h>

static void rows_compared_by_key_may_be_missing_or_too_many(void **state)
{
    (void)state;
    struct compare_case *world = case_begin(2);
    for (int id = 1; id <= 4; id++) {
        case_open(world, BILLING, 0, id, LEFT_OWN);
        case_settle(world, BILLING, 1, id);
    }
    case_set(world, BILLING, 0, 1, CASE_NO_ROW);
    case_set(world, SHOP, 0, 2, CASE_NO_ROW);
    case_set(world, SHOP, 0, 3, CASE_NO_ROW);
    case_set(world, BILLING, 0, 3, CASE_NO_ROW);
    assert_int_equal(case_run(world), EX_DATAERR);
    assert_string_equal(case_differences(world, BILLING), "1 missing, 2 extra");
    assert_int_equal(world->result.compared_by_key, 4);
    case_end(world);
}

/* Two entities alone: the others are not asked for, and a mention makes one wait. */
static void entities_that_are_named_are_compared_alone(void **state)
{
    (void)state;
    static const struct slice keys[] = {{.data = "{\"id\":2}", .length = 8},
                                        {.data = "{\"id\":3}", .length = 8}};
    struct compare_case *world = case_begin(2);
    world->options.keys = keys;
    world->options.key_count = 2;
    case_set(world, BILLING, 0, 2, 99);
    case_set(world, BILLING, 0, 3, 99);
    case_set(world, BILLING, 1, 3, 3);
    case_set(world, BILLING, 0, 4, 99);
    case_move(world, SHOP, 0, 0, 13);
    case_move(world, SHOP, 1, 0, 10);
    case_mention(world, 0, 12, 3);
    assert_int_equal(case_run(world), EX_DATAERR);
    assert_string_equal(case_differences(world, BILLING), "2 differs");
    assert_string_equal(case_left(world), "");
    assert_int_equal(world->services[SHOP].calls[CASE_SUMS], 0);
    assert_int_equal(world->services[SHOP].calls[CASE_LIST], 0);
    assert_int_equal(world->result.compared_by_key, 2);
    case_end(world);
}

static void a_comparison_of_named_entities_that_is_stopped_calls_none_equal(void **state)
{
    (void)state;
    static const struct slice keys[] = {{.data = "{\"id\":3}", .length = 8}};
    atomic_bool stop = true;
    struct compare_case *world = case_begin(2);
    world->options.keys = keys;
    world->options.key_count = 1;
    world->options.stop = &stop;
    assert_int_equal(case_run(world), EX_TEMPFAIL);
    case_assert_state(world, BILLING, COPY_NOT_COMPARED, "was stopped");
    case_end(world);
}

/* A text and a blob of SQLite, whose keys are read alike: at a copy or at the reference, of an
 * entity that is compared with all or by its key, whatever else the rows have. */
static void two_rows_that_are_read_with_one_key_are_named_and_not_compared(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        struct compare_case *world = case_begin(2);
        int where = i % 2 == 0 ? BILLING : SHOP;
        world->services[where].doubled_id = 3;
        world->services[where].doubled_value = i / 2 % 2 == 0 ? 3 : 99;
        if (i >= 4) {
            case_open(world, BILLING, 0, 3, LEFT_OWN);
            case_settle(world, BILLING, 1, 3);
        }
        (void)case_run(world);
        const struct copy_result *copy = &world->result.copies[BILLING];
        assert_int_equal(copy->difference_count, 0);
        if (copy->state == COPY_EQUAL ||
            strstr(copy->reason, "several of its rows are read with the key {\"id\":3}") == NULL)
            test_fail("case %d: state %d, \"%s\"", i, (int)copy->state, copy->reason);
        case_end(world);
    }
}

/* A repair of one entity would change one of its rows by that key, and not the one that differs. */
static void of_a_named_entity_with_two_rows_no_difference_is_told(void **state)
{
    (void)state;
    static const struct slice keys[] = {{.data = "{\"id\":3}", .length = 8}};
    for (int i = 0; i < 8; i++) {
        struct compare_case *world = case_begin(2);
        int where = i % 2 == 0 ? BILLING : SHOP;
        world->options.keys = keys;
        world->options.key_count = 1;
        world->services[where].doubled_id = 3;
        world->services[where].doubled_value = i / 2 % 2 == 0 ? 3 : 99;
        if (i >= 4)
            case_set(world, BILLING, 0, 3, 77);
        (void)case_run(world);
        const struct copy_result *copy = &world->result.copies[BILLING];
        assert_int_equal(copy->difference_count, 0);
        assert_true(copy->is_doubled);
        case_assert_state(world, BILLING, COPY_NOT_COMPARED,
                          "several of its rows are read with the key {\"id\":3}");
        case_end(world);
    }
}

/* Neither row may be called too many: a repair would delete one of them by that key. */
static void two_rows_of_one_key_that_the_reference_lacks_are_no_difference(void **state)
{
    (void)state;
    for (int value = 3; value <= 99; value += 96) {
        struct compare_case *world = case_begin(2);
        for (int round = 0; round < CASE_ROUNDS; round++)
            world->services[SHOP].values[round][3] = CASE_NO_ROW;
        world->services[BILLING].doubled_id = 3;
        world->services[BILLING].doubled_value = value;
        (void)case_run(world);
        const struct copy_result *copy = &world->result.copies[BILLING];
        assert_int_equal(copy->difference_count, 0);
        assert_int_equal(copy->counts[DIFFERENCE_EXTRA], 0);
        assert_int_equal(copy->state, COPY_NOT_COMPARED);
        if (strstr(copy->reason, "several of its rows are read with the key {\"id\":3}") == NULL)
            test_fail("%d: \"%s\"", value, copy->reason);
        case_end(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rows_compared_by_key_may_be_missing_or_too_many),
        TEST(entities_that_are_named_are_compared_alone),
        TEST(a_comparison_of_named_entities_that_is_stopped_calls_none_equal),
        TEST(two_rows_that_are_read_with_one_key_are_named_and_not_compared),
        TEST(of_a_named_entity_with_two_rows_no_difference_is_told),
        TEST(two_rows_of_one_key_that_the_reference_lacks_are_no_difference),
    };
    return TEST_RUN(tests);
}
