/* Tokens, and who holds what one names: of one to five members, some of them stopped, parked,
 * silent or forgotten. */
#include "operate/wait/internal.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <sysexits.h>

#define HERE  "shop/0193583c-0000-7000-8000-000000000001"
#define TOKEN HERE "/order:0=7"

static bool reads(const char *text)
{
    struct token token;
    struct arena arena;
    struct error err = ERROR_INIT;
    arena_init(&arena, 16 * TOKEN_BYTES_MAX);
    enum status status = token_read(slice_of(text), &arena, &token, &err);
    arena_done(&arena);
    assert_true(status == STATUS_OK || status == STATUS_REJECT);
    return status == STATUS_OK;
}

static void a_token_reads_as_it_is_written_and_nothing_else_is_one(void **state)
{
    static const char *const none[] = {"",
                                       "shop",
                                       HERE,
                                       HERE "/",
                                       HERE "/order",
                                       HERE "/order:",
                                       HERE "/order:0",
                                       HERE "/order:0=",
                                       HERE "/order:0=0",
                                       HERE "/order:0=1,",
                                       HERE "/order:0=1/",
                                       HERE "/order:=1",
                                       HERE "/order:00=1",
                                       HERE "/order:0=1=2,3",
                                       HERE "/order:0=-1",
                                       HERE "/order:4294967296=1",
                                       HERE "/order:0=1234567890123456789",
                                       HERE "/or\"der:0=1",
                                       HERE "//order:0=1",
                                       "sh op/0193583c-0000-7000-8000-000000000001/order:0=1",
                                       "shop/0193583c/order:0=1"};
    struct token token;
    struct arena arena;
    struct error err = ERROR_INIT;
    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        if (reads(none[i]))
            test_fail("%s", none[i]);
    }
    arena_init(&arena, 16 * TOKEN_BYTES_MAX);
    assert_int_equal(token_read(slice_of(HERE "/order:0=7,12=9/pay.new:3=1"), &arena, &token, &err),
                     STATUS_OK);
    assert_string_equal(token.source, "shop");
    assert_string_equal(token.incarnation, "0193583c-0000-7000-8000-000000000001");
    assert_int_equal(token.count, 3);
    assert_int_equal(token.places[1].partition, 12);
    assert_true(token.places[1].sequence == 9);
    assert_string_equal(token.places[2].topic, "pay.new");
    arena_done(&arena);
}

/* What is known of the pauses of all copies that report; "": none is paused. */
static const char *paused = "";

/* A copy of "order" in partition 0. */
static void report(struct members *members, int number, const char *copy_state, int64_t durable,
                   int64_t parked_from)
{
    struct error err = ERROR_INIT;
    const char *key = test_format("member/copy%d/id%d/1", number, number);
    const char *value = test_format(
        "{\"v\":1,\"service\":\"copy%d\",\"copy\":\"id%d\",\"instance\":\"1\",\"version\":\"1\","
        "\"at\":\"2026-11-28T22:40:00.123456Z\",\"publishes\":{},"
        "\"outbox\":{\"waiting\":-1,\"set_aside\":-1},"
        "\"applies\":{\"order\":{\"topic\":\"order\",\"state\":\"%s\",\"joined\":true,"
        "\"lag_ms\":0,\"reason\":\"\"}},\"positions\":{\"order\":[[0,1,%lld,%lld,%lld]]}%s}",
        number, number, copy_state, (long long)durable, (long long)durable, (long long)parked_from,
        paused);
    const struct control_record record = {
        .key = slice_of(key), .value = slice_of(value), .offset = number};
    assert_int_equal(members_take(members, &record, &err), STATUS_OK);
    assert_int_equal(members->unreadable.status, STATUS_OK);
}

static void forget(struct members *members, int number)
{
    struct error err = ERROR_INIT;
    const char *key = test_format("member/copy%d/id%d/1", number, number);
    const struct control_record record = {
        .key = slice_of(key), .value = (struct slice){0}, .offset = 100};
    assert_int_equal(members_take(members, &record, &err), STATUS_OK);
}

/* Look whether an event that stands below offset 50 has arrived. */
static void look(const struct members *members, enum wait_scope scope, const char *at,
                 struct wait_state *ret_seen)
{
    struct wait_goal goal;
    struct error err = ERROR_INIT;
    *ret_seen = (struct wait_state){0};
    assert_int_equal(wait_goal_init(&goal, TOKEN, scope, at, &err), STATUS_OK);
    goal.offsets[0] = 50;
    if (wait_goal_holders(members, &goal, ret_seen, &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_true(ret_seen->fulfilled == (ret_seen->reason[0] == '\0'));
    wait_goal_done(&goal);
}

static bool arrived(const struct members *members, enum wait_scope scope, const char *at)
{
    struct wait_state seen;
    look(members, scope, at, &seen);
    return seen.fulfilled;
}

static void more_than_half_of_one_to_five_members_make_a_quorum(void **state)
{
    (void)state;
    for (int count = 1; count <= 5; count++) {
        struct members members;
        members_init(&members);
        for (int i = 0; i < count; i++)
            report(&members, i, "complete", 49, -1);
        for (int holding = 0; holding <= count; holding++) {
            if (holding > 0)
                report(&members, holding - 1, "complete", 50, -1);
            assert_true(arrived(&members, WAIT_QUORUM, NULL) == (holding > count / 2));
            assert_true(arrived(&members, WAIT_ALL, NULL) == (holding == count));
            assert_true(arrived(&members, WAIT_SERVICE, "copy0") == (holding > 0));
        }
        members_done(&members);
    }
}

static void
a_member_that_stopped_or_parked_counts_as_what_it_has_and_a_forgotten_one_not(void **state)
{
    struct members members;
    (void)state;
    members_init(&members);
    assert_false(arrived(&members, WAIT_QUORUM, NULL)); /* nobody has said anything */
    assert_false(arrived(&members, WAIT_ALL, NULL));
    report(&members, 0, "complete", 80, -1);
    report(&members, 1, "stopped", 80, -1);
    report(&members, 2, "complete", 80, 30);
    assert_false(arrived(&members, WAIT_QUORUM, NULL));
    assert_false(arrived(&members, WAIT_SERVICE, "copy1"));
    assert_false(arrived(&members, WAIT_SERVICE, "copy2/id2"));
    report(&members, 2, "complete", 80, 60); /* the parked one is above it */
    assert_true(arrived(&members, WAIT_QUORUM, NULL));
    assert_false(arrived(&members, WAIT_ALL, NULL));
    forget(&members, 1);
    assert_true(arrived(&members, WAIT_ALL, NULL));
    report(&members, 3, "filling", 80, -1);
    report(&members, 4, "partial", 80, -1);
    assert_false(arrived(&members, WAIT_QUORUM, NULL)); /* 2 of 4 */
    members_done(&members);
}

static void a_member_that_is_paused_is_named(void **state)
{
    static const char at_one[] =
        "copy1 lacks order p0 up to offset 50; order is paused at copy1 since 2026-11-30T01:02:03Z";
    struct members members;
    struct wait_state seen;
    (void)state;
    members_init(&members);
    report(&members, 0, "complete", 49, -1);
    paused = ",\"paused\":{\"order\":\"2026-11-30T01:02:03.000004Z\"}";
    report(&members, 1, "complete", 49, -1);
    report(&members, 2, "complete", 80, -1); /* it has the event all the same */
    paused = "";
    look(&members, WAIT_SERVICE, "copy1", &seen);
    assert_string_equal(seen.reason, at_one);
    look(&members, WAIT_SERVICE, "copy0", &seen);
    assert_string_equal(seen.reason, "copy0 lacks order p0 up to offset 50");
    look(&members, WAIT_QUORUM, NULL, &seen);
    assert_string_equal(seen.reason,
                        "all but 1 of 3 members lacks order p0 up to offset 50; order is paused at "
                        "copy1 since 2026-11-30T01:02:03Z");
    report(&members, 0, "complete", 50, -1);
    look(&members, WAIT_ALL, NULL, &seen);
    assert_string_equal(seen.reason, at_one);
    members_done(&members);
}

static void a_name_that_nobody_has_is_an_error(void **state)
{
    struct members members;
    struct wait_goal goal;
    struct wait_state seen = {0};
    struct error err = ERROR_INIT;
    (void)state;
    members_init(&members);
    report(&members, 0, "complete", 80, -1);
    assert_int_equal(wait_goal_init(&goal, TOKEN, WAIT_SERVICE, "copy", &err), STATUS_OK);
    assert_int_equal(wait_goal_holders(&members, &goal, &seen, &err), STATUS_FATAL);
    assert_int_equal(err.exit_code, EX_USAGE);
    wait_goal_done(&goal);
    members_done(&members);
}

static void a_topic_that_a_service_does_not_apply_never_arrives_there(void **state)
{
    struct members members;
    struct wait_goal goal;
    struct wait_state seen = {0};
    struct error err = ERROR_INIT;
    (void)state;
    members_init(&members);
    report(&members, 0, "complete", 80, -1);
    assert_int_equal(
        wait_goal_init(&goal, HERE "/order:0=1/payment:0=1", WAIT_SERVICE, "copy0", &err),
        STATUS_OK);
    goal.offsets[0] = goal.offsets[1] = 1;
    assert_int_equal(wait_goal_holders(&members, &goal, &seen, &err), STATUS_OK);
    assert_false(seen.fulfilled);
    assert_non_null(strstr(seen.reason, "copy0 lacks payment p0"));
    wait_goal_done(&goal);
    members_done(&members);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_token_reads_as_it_is_written_and_nothing_else_is_one),
        TEST(more_than_half_of_one_to_five_members_make_a_quorum),
        TEST(a_member_that_stopped_or_parked_counts_as_what_it_has_and_a_forgotten_one_not),
        TEST(a_member_that_is_paused_is_named),
        TEST(a_name_that_nobody_has_is_an_error),
        TEST(a_topic_that_a_service_does_not_apply_never_arrives_there),
    };
    return TEST_RUN(tests);
}
