/* Who makes no progress, and whether broker and database answer. */
#include "tests/support/test.h"

#include "common/clock.h"
#include "operate/metrics.h"

#include <math.h>

#define SECOND_US INT64_C(1000000)

static struct agent_metrics agent;
static struct relay_metrics relay;
static const struct config config;
static struct metrics_sources sources = {.config = &config, .agent = &agent, .relay = &relay};

static void readiness_names_who_makes_no_progress(void **state)
{
    struct buffer reason;
    (void)state;
    buffer_init(&reason, 1 << 10);
    assert_false(metrics_ready(&sources, &reason));
    assert_non_null(strstr(buffer_text(&reason), "agent: "));
    assert_non_null(strstr(buffer_text(&reason), "relay: "));
    buffer_reset(&reason);
    atomic_store(&agent.ready, true);
    atomic_store(&relay.progress_us, clock_wall_us());
    assert_true(metrics_ready(&sources, &reason));
    atomic_store(&agent.last_round_us, clock_monotonic_us() - 29 * SECOND_US);
    assert_true(metrics_ready(&sources, &reason));
    atomic_store(&agent.last_round_us, clock_monotonic_us() - 31 * SECOND_US);
    atomic_store(&agent.state, AGENT_APPLYING);
    assert_false(metrics_ready(&sources, &reason));
    assert_string_equal(buffer_text(&reason), "agent: no progress");
    atomic_store(&agent.last_round_us, 0);
    buffer_done(&reason);
}

static void expect_not_ready(const char *text)
{
    struct buffer reason;
    buffer_init(&reason, 1 << 10);
    assert_false(metrics_ready(&sources, &reason));
    assert_string_equal(buffer_text(&reason), text);
    buffer_done(&reason);
}

static void readiness_means_that_acknowledgements_move_and_the_broker_answers(void **state)
{
    struct buffer reason;
    int64_t now = clock_monotonic_us();
    (void)state;
    buffer_init(&reason, 1 << 10);
    atomic_store(&agent.ready, true);
    atomic_store(&relay.progress_us, clock_wall_us());
    atomic_store(&relay.in_flight, 18000);
    atomic_store(&relay.looked_at_us, now);
    atomic_store(&relay.stalled_since_us, now - 5 * SECOND_US);
    atomic_store(&relay.broker_silent_since_us, now - 20 * SECOND_US);
    atomic_store(&agent.broker_silent_since_us, now - 20 * SECOND_US);
    assert_true(metrics_ready(&sources, &reason));
    atomic_store(&relay.stalled_since_us, now - 12 * SECOND_US);
    expect_not_ready("relay: nothing was acknowledged for 12 s, 18000 events are under way");
    atomic_store(&relay.stalled_since_us, 0);
    atomic_store(&relay.broker_silent_since_us, now - 40 * SECOND_US);
    expect_not_ready("relay: the broker has not answered for 40 s");
    atomic_store(&agent.broker_silent_since_us, now - 41 * SECOND_US);
    expect_not_ready("agent: the broker has not answered for 41 s; "
                     "relay: the broker has not answered for 40 s");
    atomic_store(&relay.broker_silent_since_us, 0);
    atomic_store(&agent.broker_silent_since_us, 0);
    assert_true(metrics_ready(&sources, &reason));
    buffer_done(&reason);
}

/* The times are how long ago it was, in seconds; 0: never. */
struct answers_case {
    double silent;
    double heard;
    double up; /* -1: not known */
};

static void expect_up(double up, double wanted, size_t index)
{
    if (wanted < 0 ? !isnan(up) : up != wanted)
        test_fail("case %zu: %f", index, up);
}

static int64_t ago_us(double seconds)
{
    return seconds == 0 ? 0 : clock_monotonic_us() - (int64_t)(seconds * 1e6);
}

static const struct answers_case answers_cases[] = {
    {0, 0, -1},                        /* not asked yet */
    {0, 1, 1},   {1, 3, 0}, {1, 0, 0}, /* it never answered */
    {0, 60, -1},                       /* it was not asked for long */
};

static void the_broker_is_up_where_all_loops_hear_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof answers_cases / sizeof *answers_cases; i++) {
        const struct answers_case *it = &answers_cases[i];
        static struct agent_metrics agent_only;
        static struct relay_metrics relay_only;
        struct metrics_sources of = {.config = &config, .agent = &agent_only};
        atomic_store(&agent_only.broker_silent_since_us, ago_us(it->silent));
        atomic_store(&agent_only.broker_heard_us, ago_us(it->heard));
        expect_up(metrics_broker_up(&of), it->up, i);
        of.relay = &relay_only;
        expect_up(metrics_broker_up(&of), it->up, i); /* the relay knows nothing */
        atomic_store(&relay_only.broker_heard_us, ago_us(1));
        expect_up(metrics_broker_up(&of), it->up == 0 ? 0 : 1, i);
        atomic_store(&relay_only.looked_at_us, ago_us(0.1));
        atomic_store(&relay_only.stalled_since_us, ago_us(20));
        expect_up(metrics_broker_up(&of), 0, i);
        atomic_store(&relay_only.stalled_since_us, 0);
        atomic_store(&relay_only.broker_heard_us, 0);
    }
}

static void the_database_is_up_where_no_loop_waits_for_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof answers_cases / sizeof *answers_cases; i++) {
        const struct answers_case *it = &answers_cases[i];
        static struct agent_metrics agent_only;
        static struct relay_metrics relay_only;
        struct metrics_sources of = {.config = &config, .relay = &relay_only};
        atomic_store(&relay_only.database_lost_since_us, ago_us(it->silent));
        atomic_store(&relay_only.database_heard_us, ago_us(it->heard));
        expect_up(metrics_database_up(&of), it->up, i);
        of.agent = &agent_only;
        atomic_store(&agent_only.state, AGENT_APPLYING);
        atomic_store(&agent_only.last_round_us, ago_us(20)); /* a statement without an answer */
        expect_up(metrics_database_up(&of), 0, i);
        atomic_store(&agent_only.state, AGENT_ASSIGNING); /* that may wait for the broker */
        expect_up(metrics_database_up(&of), it->up, i);
        atomic_store(&agent_only.last_round_us, 0);
    }
}

/* What was sent before the statement may have arrived long ago: the relay has not looked. */
static void a_relay_that_waits_for_its_database_says_nothing_against_the_broker(void **state)
{
    static struct relay_metrics hung;
    struct metrics_sources of = {.config = &config, .relay = &hung};
    struct buffer reason;
    (void)state;
    buffer_init(&reason, 1 << 10);
    atomic_store(&hung.recovered, true);
    atomic_store(&hung.in_flight, 3000);
    atomic_store(&hung.stalled_since_us, ago_us(41));
    atomic_store(&hung.looked_at_us, ago_us(40.9));
    atomic_store(&hung.database_heard_us, ago_us(41));
    atomic_store(&hung.progress_us, clock_wall_us() - 41 * SECOND_US);
    expect_up(metrics_broker_up(&of), -1, 0);
    expect_up(metrics_database_up(&of), 0, 0);
    assert_false(metrics_ready(&of, &reason));
    assert_string_equal(buffer_text(&reason), "relay: no progress");
    atomic_store(&hung.recovered, false); /* it may read a long log */
    expect_up(metrics_database_up(&of), -1, 0);
    buffer_done(&reason);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_broker_is_up_where_all_loops_hear_it),
        TEST(the_database_is_up_where_no_loop_waits_for_it),
        TEST(a_relay_that_waits_for_its_database_says_nothing_against_the_broker),
        TEST(readiness_names_who_makes_no_progress),
        TEST(readiness_means_that_acknowledgements_move_and_the_broker_answers),
    };
    return TEST_RUN(tests);
}
