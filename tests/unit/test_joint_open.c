/* The open transactions of a service: which of them waits for which (rule 61). */
#include "consumer/joint/wanted.h"
#include "tests/support/test.h"

#include <stdio.h>

#define WANT(service, id)                                                                          \
    "{\"service\":\"" service "\",\"type\":\"stock\",\"key\":{\"id\":" id "},\"op\":\"k\"}"

static struct joint_opens opens;
static struct joint_tally tallies[8];
static struct error err;

static struct joint_open *add(enum joint_state state, const char *changes)
{
    const struct joint_types none = {0};
    size_t at = opens.count;
    const struct joint_open open = {.tally = &tallies[at], .state = state};
    if (joint_opens_add(&opens, &open, slice_of(changes), &err) != STATUS_OK ||
        joint_open_find_wants(opens.items[at], "shop", &none, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return opens.items[at];
}

static int end(void **state)
{
    (void)state;
    joint_opens_done(&opens);
    return 0;
}

/* @return which of those that stand before it a transaction waits for; NULL: none. */
static const struct joint_open *before(const struct joint_open *open)
{
    struct joint_wanted wanted = {0};
    for (size_t i = 0; i < opens.count && opens.items[i] != open; i++)
        assert_int_equal(joint_wanted_add(&wanted, opens.items[i], &err), STATUS_OK);
    const struct joint_open *found = joint_wanted_by(&wanted, open);
    joint_wanted_done(&wanted);
    return found;
}

static void one_waits_for_the_first_that_wants_one_of_its_entities(void **state)
{
    (void)state;
    struct joint_open *first = add(JOINT_STATE_RESERVED,
                                   "[" WANT("shop", "1") "," WANT("shop", "2") "]");
    struct joint_open *second = add(JOINT_STATE_QUEUED,
                                    "[" WANT("shop", "2") "," WANT("shop", "3") "]");
    struct joint_open *third = add(JOINT_STATE_QUEUED, "[" WANT("shop", "3") "]");
    struct joint_open *other = add(JOINT_STATE_QUEUED, "[" WANT("shop", "4") "]");
    struct joint_open *elsewhere = add(JOINT_STATE_QUEUED, "[" WANT("web", "1") "]");
    assert_ptr_equal(before(first), NULL);
    assert_ptr_equal(before(second), first);
    assert_ptr_equal(before(third), second); /* it has not been tried yet */
    assert_ptr_equal(before(other), NULL);
    assert_false(joint_open_has_part(elsewhere));
    joint_opens_remove(&opens, first);
    assert_ptr_equal(before(second), NULL);
    assert_int_equal(opens.count, 4);
    (void)end(NULL);
}

/* What is read once more is proposed before what the database has kept (rule 61). */
static void one_that_is_added_late_stands_where_it_was_proposed(void **state)
{
    static struct joint_tally late = {.proposal_offset = 5};
    static struct joint_tally kept = {.proposal_offset = 8};
    const struct joint_open of_late = {.tally = &late};
    const struct joint_open of_kept = {.tally = &kept};
    (void)state;
    assert_int_equal(joint_opens_add(&opens, &of_kept, slice_of(""), &err), STATUS_OK);
    assert_int_equal(joint_opens_add(&opens, &of_late, slice_of(""), &err), STATUS_OK);
    assert_ptr_equal(opens.items[0]->tally, &late);
    assert_ptr_equal(opens.items[1]->tally, &kept);
    (void)end(NULL);
}

static void nobody_waits_for_one_that_changes_nothing(void **state)
{
    static const struct {
        enum joint_state state;
        bool withdrawn;
        bool lost_vote;
        bool holds;
    } cases[] = {
        {JOINT_STATE_QUEUED, false, false, true},    {JOINT_STATE_QUEUED, true, false, false},
        {JOINT_STATE_QUEUED, false, true, false},    {JOINT_STATE_REFUSED, false, false, false},
        {JOINT_STATE_RESERVED, false, false, true},  {JOINT_STATE_RESERVED, true, false, true},
        {JOINT_STATE_COMMITTING, true, false, true}, {JOINT_STATE_ABORTING, false, false, false},
        {JOINT_STATE_HELD, false, false, true},      {JOINT_STATE_ABORTED, false, false, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct joint_open *first = add(cases[i].state, "[" WANT("shop", "1") "]");
        struct joint_open *second = add(JOINT_STATE_QUEUED, "[" WANT("shop", "1") "]");
        first->withdrawn = cases[i].withdrawn;
        first->lost_vote = cases[i].lost_vote;
        if ((before(second) == first) != cases[i].holds)
            test_fail("case %zu", i);
        (void)end(NULL);
    }
}

/* What is looked up is a name, however many there are and whoever has asked first. */
static void each_of_thousands_of_names_is_found_again(void **state)
{
    enum { COUNT = 5000 };
    struct joint_wanted wanted = {0};
    static struct slice names[COUNT];
    static struct joint_open all[COUNT];
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        names[i] = slice_of(test_format("stock {\"id\":%zu}", i));
        all[i] = (struct joint_open){
            .state = JOINT_STATE_RESERVED, .wants = &names[i], .want_count = 1};
        assert_null(joint_wanted_by(&wanted, &all[i]));
        for (size_t n = 0; n < 2; n++)
            assert_int_equal(joint_wanted_add(&wanted, &all[i], &err), STATUS_OK);
    }
    assert_int_equal(wanted.count, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        assert_ptr_equal(joint_wanted_by(&wanted, &all[i]), &all[i]);
    joint_wanted_clear(&wanted);
    assert_null(joint_wanted_by(&wanted, &all[0]));
    joint_wanted_done(&wanted);
}

static void what_is_stored_and_cannot_be_read_is_fatal(void **state)
{
    const struct joint_types none = {0};
    const struct joint_open open = {.tally = &tallies[0]};
    (void)state;
    assert_int_equal(joint_opens_add(&opens, &open, slice_of("[1]"), &err), STATUS_OK);
    assert_int_equal(joint_open_find_wants(opens.items[0], "shop", &none, &err), STATUS_FATAL);
    (void)end(NULL);
}

static void every_state_has_one_name(void **state)
{
    enum joint_state found;
    (void)state;
    for (enum joint_state one = JOINT_STATE_PROPOSED; one <= JOINT_STATE_ELSEWHERE; one++) {
        assert_true(joint_state_parse(slice_of(joint_state_name(one)), &found));
        assert_int_equal(found, one);
    }
    assert_false(joint_state_parse(slice_of("done"), &found));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_waits_for_the_first_that_wants_one_of_its_entities),
        TEST(one_that_is_added_late_stands_where_it_was_proposed),
        TEST(nobody_waits_for_one_that_changes_nothing),
        TEST(each_of_thousands_of_names_is_found_again),
        TEST(what_is_stored_and_cannot_be_read_is_fatal),
        TEST(every_state_has_one_name),
    };
    return TEST_RUN(tests);
}
