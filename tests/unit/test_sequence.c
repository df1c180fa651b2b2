/* How sequence numbers are judged: rule 15, and hole 1 of the model. */
#include "tests/support/test.h"

#include "consumer/apply/sequence.h"

#include <stdio.h>

static struct change change_at(uint64_t sequence, const char *id, const char *previous_id)
{
    return (struct change){.sequence = sequence,
                           .id = slice_of(id),
                           .previous_id = slice_of(previous_id),
                           .source = slice_of("shop"),
                           .incarnation = slice_of("i1")};
}

static enum sequence_verdict judge(const struct sequence_state *state, uint64_t sequence,
                                   const char *id, const char *previous_id)
{
    struct change change = change_at(sequence, id, previous_id);
    return sequence_judge(state, &change, false);
}

static void fill(struct sequence_state *state, uint64_t last)
{
    for (uint64_t i = 1; i <= last; i++) {
        struct change change = change_at(i, test_format("e%d", (int)i), "");
        if (i == 1)
            sequence_start(state, &change);
        else
            sequence_advance(state, &change);
    }
}

static void test_first_sequence_is_one(void **test)
{
    (void)test;
    struct change five = change_at(5, "e5", "e4");
    assert_int_equal(judge(NULL, 1, "e1", ""), SEQUENCE_FIRST);
    assert_int_equal(judge(NULL, 5, "e5", "e4"), SEQUENCE_GAP);
    assert_int_equal(sequence_judge(NULL, &five, true), SEQUENCE_FIRST);
}

static void test_next_gap_and_fork(void **test)
{
    (void)test;
    struct sequence_state state;
    fill(&state, 3);
    assert_int_equal(judge(&state, 4, "e4", "e3"), SEQUENCE_NEXT);
    assert_int_equal(judge(&state, 4, "x4", "x3"), SEQUENCE_FORK);
    assert_int_equal(judge(&state, 5, "e5", "e4"), SEQUENCE_GAP);
}

static void test_covered_is_a_duplicate_only_with_its_id(void **test)
{
    (void)test;
    struct sequence_state state;
    fill(&state, 300);
    assert_int_equal(judge(&state, 300, "e300", "e299"), SEQUENCE_DUPLICATE);
    assert_int_equal(judge(&state, 300, "x", "e299"), SEQUENCE_FORK);
    assert_int_equal(judge(&state, 45, "e45", "e44"), SEQUENCE_DUPLICATE);
    assert_int_equal(judge(&state, 45, "x", "e44"), SEQUENCE_FORK);
    assert_int_equal(judge(&state, 44, "x", "e43"), SEQUENCE_UNVERIFIED_DUPLICATE);
}

static void test_below_the_base_is_unverified(void **test)
{
    (void)test;
    struct sequence_state state;
    struct change five = change_at(5, "e5", "e4");
    sequence_start(&state, &five);
    assert_int_equal(state.base, 5);
    assert_int_equal(judge(&state, 4, "e4", "e3"), SEQUENCE_UNVERIFIED_DUPLICATE);
    assert_int_equal(judge(&state, 6, "e6", "e5"), SEQUENCE_NEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_first_sequence_is_one),
        TEST(test_next_gap_and_fork),
        TEST(test_covered_is_a_duplicate_only_with_its_id),
        TEST(test_below_the_base_is_unverified),
    };
    return TEST_RUN(tests);
}
