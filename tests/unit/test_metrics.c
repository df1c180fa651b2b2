/* The metrics page says what the counters hold, and promtool accepts it. */
#include "tests/support/test.h"

#include "common/clock.h"
#include "operate/metrics.h"

#include <stdio.h>

static struct agent_metrics agent;
static struct relay_metrics relay;
static char service_name[] = "sh\"op";
static const struct config config = {.service = service_name};
static struct metrics_sources sources = {&config, &agent, &relay};

static void prepare_partition(void)
{
    struct agent_partition_metrics *partition = agent_metrics_partition(&agent, "order", 3);
    assert_non_null(partition);
    atomic_store(&partition->owned, true);
    atomic_store(&partition->applied_offset, 40);
    atomic_store(&partition->log_end, 42);
    atomic_store(&agent.events_applied, 7);
}

static void the_page_is_accepted_by_promtool(void **state)
{
    struct buffer text;
    (void)state;
    prepare_partition();
    buffer_init(&text, 1 << 20);
    metrics_render(&sources, &text);
    assert_non_null(
        strstr(buffer_text(&text), "keepstep_events_applied_total{service=\"sh\\\"op\"} 7\n"));
    assert_non_null(strstr(buffer_text(&text),
                           "keepstep_consumer_lag_records{topic=\"order\",partition=\"3\"} 2\n"));
    test_write_file(test_path("metrics"), buffer_text(&text));
    buffer_done(&text);
    if (system("promtool --version >/dev/null 2>&1") != 0)
        test_skip("promtool is not installed");
    assert_int_equal(system(test_format("promtool check metrics < %s", test_path("metrics"))), 0);
}

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
    buffer_done(&reason);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_page_is_accepted_by_promtool),
        TEST(readiness_names_who_makes_no_progress),
    };
    return TEST_RUN(tests);
}
