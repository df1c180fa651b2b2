/* The entities that the relay notes while it measures a large change set. */
#include "producer/relay/passed.h"
#include "tests/support/test.h"

#define MANY      1000000
#define MORE      8000000 /* than are noted */
#define SLOTS_MAX ((size_t)8 * 1024 * 1024)

/* As well spread as a digest is. */
static uint64_t entity_of(uint64_t number)
{
    number = (number ^ (number >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ (number >> 27)) * UINT64_C(0x94d049bb133111eb);
    return number ^ (number >> 31);
}

static void the_last_place_of_each_entity_is_known(void **state)
{
    struct passed passed = {0};
    (void)state;
    assert_int_equal(passed_find(&passed, entity_of(1)), PLACE_BEFORE);
    for (uint64_t i = 1; i <= MANY; i++)
        assert_true(passed_note(&passed, entity_of(i), i % 2 == 0 ? PLACE_OWN : PLACE_BEHIND));
    for (uint64_t i = 1; i <= MANY; i++)
        assert_true(passed_note(&passed, entity_of(i), PLACE_OWN));
    assert_int_equal(passed.count, MANY);
    for (uint64_t i = 1; i <= MANY; i++)
        assert_int_equal(passed_find(&passed, entity_of(i)), i % 2 == 0 ? PLACE_OWN : PLACE_BEHIND);
    assert_int_equal(passed_find(&passed, entity_of(MANY + 1)), PLACE_BEFORE);
    passed_done(&passed);
    assert_int_equal(passed_find(&passed, entity_of(1)), PLACE_BEFORE);
}

static void entities_beyond_the_memory_that_is_allowed_are_not_noted(void **state)
{
    struct passed passed = {0};
    (void)state;
    for (uint64_t i = 1; i <= MORE; i++)
        assert_true(passed_note(&passed, entity_of(i), PLACE_OWN));
    assert_int_equal(passed.size, SLOTS_MAX);
    assert_int_equal(passed.count, SLOTS_MAX / 8 * 7);
    assert_int_equal(passed_find(&passed, entity_of(1)), PLACE_OWN);
    assert_int_equal(passed_find(&passed, entity_of(MORE)), PLACE_BEFORE);
    assert_true(passed_note(&passed, entity_of(1), PLACE_BEHIND));
    assert_int_equal(passed_find(&passed, entity_of(1)), PLACE_BEHIND);
    passed_done(&passed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_last_place_of_each_entity_is_known),
        TEST(entities_beyond_the_memory_that_is_allowed_are_not_noted),
    };
    return TEST_RUN(tests);
}
