/* The metrics page shows the counters' values, and promtool accepts it. */
#include "tests/support/test.h"

#include "common/clock.h"
#include "operate/metrics.h"

#include <stdio.h>

#define SECOND_US INT64_C(1000000)

static struct agent_metrics agent;
static struct relay_metrics relay;
static char service_name[] = "sh\"op";
static const struct config config = {.service = service_name};
static struct desk_metrics desk;
static struct metrics_sources sources = {&config, &agent, &relay, NULL, &desk};

static void prepare_partition(void)
{
    struct agent_partition_metrics *partition = agent_metrics_partition(
        &agent, (struct topic_partition){"order", 3});
    assert_non_null(partition);
    atomic_store(&partition->owned, true);
    atomic_store(&partition->applied_offset, 40);
    atomic_store(&partition->log_end, 42);
    atomic_store(&agent.events_applied, 7);
    atomic_store(&agent.events_healed, 3);
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
    assert_non_null(
        strstr(buffer_text(&text), "keepstep_events_healed_total{service=\"sh\\\"op\"} 3\n"));
    assert_non_null(strstr(buffer_text(&text),
                           "keepstep_consumer_lag_records{topic=\"order\",partition=\"3\"} 2\n"));
    test_write_file(test_path("metrics"), buffer_text(&text));
    buffer_done(&text);
    if (system("promtool --version >/dev/null 2>&1") != 0)
        test_skip("promtool is not installed");
    assert_int_equal(system(test_format("promtool check metrics < %s", test_path("metrics"))), 0);
}

static void page_has(const struct buffer *text, const char *line)
{
    if (strstr(buffer_text(text), test_format("\n%s\n", line)) == NULL)
        test_fail("no line %s in\n%s", line, buffer_text(text));
}

static void every_number_of_the_relay_is_on_the_page(void **state)
{
    static const struct {
        const char *type;
        const char *name;
        atomic_int_fast64_t *value;
    } numbers[] = {
        {"counter", "keepstep_events_published_total", &relay.acknowledged},
        {"counter", "keepstep_events_sent_total", &relay.published},
        {"counter", "keepstep_events_adopted_total", &relay.adopted},
        {"counter", "keepstep_relay_log_records_read_total", &relay.log_read},
        {"counter", "keepstep_events_voided_total", &relay.voided},
        {"counter", "keepstep_events_set_aside_total", &relay.set_aside},
        {"counter", "keepstep_outbox_purged_events_total", &relay.purged},
        {"counter", "keepstep_relay_failures_total", &relay.failures},
        {"counter", "keepstep_relay_producers_rebuilt_total", &relay.rebuilt},
        {"gauge", "keepstep_outbox_pending_events", &relay.waiting},
        {"gauge", "keepstep_outbox_set_aside_events", &relay.set_aside_now},
        {"gauge", "keepstep_relay_in_flight_events", &relay.in_flight},
    };
    static const char age_name[] =
        "keepstep_outbox_oldest_pending_age_seconds{service=\"sh\\\"op\"} ";
    const size_t count = sizeof numbers / sizeof *numbers;
    struct buffer text;
    (void)state;
    for (size_t i = 0; i < count; i++)
        atomic_store(numbers[i].value, (int_fast64_t)(100 + i));
    atomic_store(&relay.oldest_unacknowledged_us, clock_wall_us() - 7 * 1000 * 1000);
    atomic_store(&relay.progress_us, 1500000);
    atomic_store(&relay.holds_lease, true);
    buffer_init(&text, 1 << 20);
    metrics_render(&sources, &text);
    for (size_t i = 0; i < count; i++) {
        page_has(&text, test_format("# TYPE %s %s", numbers[i].name, numbers[i].type));
        page_has(&text, test_format("%s{service=\"sh\\\"op\"} %zu", numbers[i].name, 100 + i));
    }
    page_has(&text, "keepstep_relay_holds_lease{service=\"sh\\\"op\"} 1");
    page_has(&text, "keepstep_relay_last_progress_timestamp_seconds{service=\"sh\\\"op\"} 1.5");
    const char *age = strstr(buffer_text(&text), age_name);
    assert_non_null(age);
    double seconds = strtod(age + strlen(age_name), NULL);
    assert_true(seconds >= 7 && seconds < 60);
    atomic_store(&relay.oldest_unacknowledged_us, 0);
    atomic_store(&relay.progress_us, 0);
    buffer_reset(&text);
    metrics_render(&sources, &text);
    page_has(&text, test_format("%s0", age_name));
    buffer_done(&text);
}

static void a_relay_without_the_lease_has_no_pending_numbers(void **state)
{
    static const char *const held[] = {
        "keepstep_outbox_pending_events", "keepstep_outbox_set_aside_events",
        "keepstep_relay_in_flight_events", "keepstep_outbox_oldest_pending_age_seconds"};
    struct buffer text;
    (void)state;
    atomic_store(&relay.waiting, 9999);
    atomic_store(&relay.holds_lease, false);
    atomic_store(&relay.standby, true);
    buffer_init(&text, 1 << 20);
    metrics_render(&sources, &text);
    for (size_t i = 0; i < sizeof held / sizeof *held; i++)
        assert_null(strstr(buffer_text(&text), held[i]));
    page_has(&text, "keepstep_relay_holds_lease{service=\"sh\\\"op\"} 0");
    page_has(&text, "keepstep_relay_standby{service=\"sh\\\"op\"} 1");
    buffer_reset(&text);
    atomic_store(&agent.ready, true);
    atomic_store(&relay.progress_us, clock_wall_us());
    assert_true(metrics_ready(&sources, &text));
    assert_string_equal(buffer_text(&text), "relay: standby");
    buffer_reset(&text);
    atomic_store(&relay.progress_us, 0); /* it has stopped checking */
    assert_false(metrics_ready(&sources, &text));
    atomic_store(&relay.standby, false);
    atomic_store(&agent.ready, false);
    buffer_done(&text);
}

static void seconds_of_lag_that_are_not_known_are_left_out(void **state)
{
    const struct {
        long long log_end;
        long long oldest_us;
        const char *seconds;
        long long withheld_us; /* since when another producer's transaction is open */
    } cases[] = {
        {42, 0, "} 3", clock_wall_us() - 30000000},
        {40, 0, "} 0\n", clock_wall_us() - 30000000}, /* that transaction has ended */
        {42, clock_wall_us() - 90000000, "} 9", clock_wall_us() - 30000000},
        {40, 0, "} 0\n", 0},
        {39, 0, "} 0\n", 0}, /* measured before the last transaction */
        {42, 0, NULL, 0},
        {-1, 0, NULL, 0},
        {42, clock_wall_us() - 90000000, "} 9", 0},
        {-1, clock_wall_us() - 90000000, "} 9", 0},
    };
    (void)state;
    prepare_partition();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer text;
        buffer_init(&text, 1 << 20);
        atomic_store(&agent.partitions[0].log_end, cases[i].log_end);
        atomic_store(&agent.partitions[0].oldest_unapplied_us, cases[i].oldest_us);
        atomic_store(&agent.partitions[0].withheld_since_us, cases[i].withheld_us);
        metrics_render(&sources, &text);
        const char *found = strstr(buffer_text(&text), "keepstep_consumer_lag_seconds{");
        const char *value = found == NULL ? "" : strchr(found, '}');
        if (cases[i].seconds == NULL ? found != NULL
                                     : strncmp(value, cases[i].seconds, strlen(cases[i].seconds)))
            test_fail("case %zu: %.40s", i, value);
        buffer_done(&text);
    }
}

static void lag_grows_while_the_agent_cannot_look(void **state)
{
    (void)state;
    struct buffer text;
    buffer_init(&text, 1 << 20);
    prepare_partition();
    atomic_store(&agent.partitions[0].log_end, 40);
    atomic_store(&agent.partitions[0].oldest_unapplied_us, 0);
    atomic_store(&agent.last_round_us, clock_monotonic_us() - 20 * SECOND_US);
    metrics_render(&sources, &text);
    const char *seconds = "keepstep_consumer_lag_seconds{topic=\"order\",partition=\"3\"} ";
    assert_non_null(strstr(buffer_text(&text), test_format("%s2", seconds))); /* 20 and more */
    assert_null(strstr(buffer_text(&text), "keepstep_consumer_lag_records{"));
    assert_null(strstr(buffer_text(&text), "keepstep_consumer_log_end_offset{"));
    atomic_store(&agent.last_round_us, clock_monotonic_us());
    buffer_reset(&text);
    metrics_render(&sources, &text);
    page_has(&text, test_format("%s0", seconds));
    page_has(&text, "keepstep_consumer_lag_records{topic=\"order\",partition=\"3\"} 0");
    atomic_store(&agent.last_round_us, 0);
    buffer_done(&text);
}

static void partitions_beyond_the_table_share_a_row_that_is_not_shown(void **state)
{
    static struct agent_metrics full;
    struct metrics_sources of_full = {.config = &config, .agent = &full};
    struct agent_partition_metrics *row = NULL;
    struct buffer text;
    (void)state;
    for (int32_t i = 0; i <= AGENT_METRICS_PARTITIONS + 1; i++) {
        row = agent_metrics_partition(&full, (struct topic_partition){"order", i});
        atomic_store(&row->owned, true);
        atomic_store(&row->parked, i);
    }
    assert_ptr_equal(row, &full.spare);
    assert_ptr_equal(agent_metrics_partition(&full, (struct topic_partition){"order", 7}),
                     &full.partitions[7]);
    buffer_init(&text, 1 << 20);
    metrics_render(&of_full, &text);
    page_has(&text, "keepstep_consumer_parked_records{topic=\"order\",partition=\"1023\"} 1023");
    assert_null(strstr(buffer_text(&text), "} 1024\n"));
    assert_null(strstr(buffer_text(&text), "} 1025\n"));
    buffer_done(&text);
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

static void the_document_is_that_of_the_table(void **state)
{
    (void)state;
    struct buffer text;
    buffer_init(&text, 65536);
    metrics_describe(&text);
    test_assert_document("docs/METRICS.md", buffer_text(&text));
    buffer_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_page_is_accepted_by_promtool),
        TEST(the_document_is_that_of_the_table),
        TEST(every_number_of_the_relay_is_on_the_page),
        TEST(a_relay_without_the_lease_has_no_pending_numbers),
        TEST(seconds_of_lag_that_are_not_known_are_left_out),
        TEST(lag_grows_while_the_agent_cannot_look),
        TEST(partitions_beyond_the_table_share_a_row_that_is_not_shown),
        TEST(readiness_names_who_makes_no_progress),
        TEST(readiness_means_that_acknowledgements_move_and_the_broker_answers),
    };
    return TEST_RUN(tests);
}
