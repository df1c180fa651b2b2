/* The metrics page shows the counters' values, and promtool accepts it. */
#include "tests/support/test.h"

#include "common/clock.h"
#include "consumer/stop_reason.h"
#include "operate/metrics_table.h"

#include <math.h>
#include <stdio.h>

#define SECOND_US INT64_C(1000000)

static struct agent_metrics agent;
static struct relay_metrics relay;
static char service_name[] = "sh\"op";
static char order_type[] = "order";
static char stock_type[] = "stock";
static char order_topic[] = "shop.order";
static struct config_entry applied[] = {{.entity_type = order_type, .topic = order_topic}};
static struct config_entry published[] = {{.entity_type = order_type, .topic = order_topic},
                                          {.entity_type = stock_type, .topic = stock_type}};
static const struct config config = {.service = service_name,
                                     .apply = applied,
                                     .apply_count = 1,
                                     .publish = published,
                                     .publish_count = 2};
static struct desk_metrics desk;
static struct joint_metrics joint;
static struct metrics_sources sources = {
    .config = &config, .agent = &agent, .relay = &relay, .desk = &desk, .joint = &joint};

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
    assert_non_null(strstr(
        buffer_text(&text),
        "keepstep_consumer_lag_records{service=\"sh\\\"op\",topic=\"order\",partition=\"3\"} 2\n"));
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
        {"gauge", "keepstep_changeset_rests_lost", &relay.rests_lost},
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
    const char *seconds =
        "keepstep_consumer_lag_seconds{service=\"sh\\\"op\",topic=\"order\",partition=\"3\"} ";
    assert_non_null(strstr(buffer_text(&text), test_format("%s2", seconds))); /* 20 and more */
    assert_null(strstr(buffer_text(&text), "keepstep_consumer_lag_records{"));
    assert_null(strstr(buffer_text(&text), "keepstep_consumer_log_end_offset{"));
    atomic_store(&agent.last_round_us, clock_monotonic_us());
    buffer_reset(&text);
    metrics_render(&sources, &text);
    page_has(&text, test_format("%s0", seconds));
    page_has(
        &text,
        "keepstep_consumer_lag_records{service=\"sh\\\"op\",topic=\"order\",partition=\"3\"} 0");
    atomic_store(&agent.last_round_us, 0);
    buffer_done(&text);
}

static void what_was_seen_of_a_log_long_ago_is_not_told(void **state)
{
    static const char lag[] = "topic=\"order\",partition=\"3\"} 2\n";
    (void)state;
    struct buffer text;
    buffer_init(&text, 1 << 20);
    prepare_partition();
    atomic_store(&agent.partitions[0].log_end_seen_us, clock_monotonic_us() - 20 * SECOND_US);
    metrics_render(&sources, &text);
    assert_null(strstr(buffer_text(&text), lag));
    atomic_store(&agent.partitions[0].log_end_seen_us, 0);
    metrics_render(&sources, &text);
    assert_non_null(strstr(buffer_text(&text), lag));
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
    page_has(&text, "keepstep_consumer_parked_records{service=\"sh\\\"op\",topic=\"order\","
                    "partition=\"1023\"} 1023");
    assert_null(strstr(buffer_text(&text), "} 1024\n"));
    assert_null(strstr(buffer_text(&text), "} 1025\n"));
    buffer_done(&text);
}

/* Let everything be known that may be unknown. */
static void prepare_everything(void)
{
    int64_t now = clock_monotonic_us();
    prepare_partition();
    struct agent_type_metrics *type = agent_metrics_type(&agent, "or\"der", "order");
    atomic_store(&agent.partitions[0].stop_reason, "gap");
    atomic_store(&agent.partitions[0].log_begin, 1);
    atomic_store(&agent.partitions[0].oldest_unapplied_us, clock_wall_us());
    atomic_store(&agent.partitions[0].oldest_unapplied_log_us, clock_wall_us());
    atomic_store(&agent.partitions[0].retention_us, 3600 * SECOND_US);
    atomic_store(&agent.broker_heard_us, now);
    atomic_store(&agent.database_heard_us, now);
    agent_metrics_set_fill(&agent, "order", 5, 3, false);
    histogram_observe(&type->commit_to_applied, 20 * 1000);
    atomic_store(&relay.holds_lease, true);
}

static void forget_everything(void)
{
    atomic_store(&agent.partitions[0].stop_reason, NULL);
    atomic_store(&agent.partitions[0].oldest_unapplied_us, 0);
    atomic_store(&agent.partitions[0].oldest_unapplied_log_us, 0);
    atomic_store(&agent.partitions[0].retention_us, 0);
    atomic_store(&agent.broker_heard_us, 0);
    atomic_store(&agent.database_heard_us, 0);
    atomic_store(&relay.holds_lease, false);
}

static void every_metric_of_the_table_is_on_the_page_and_in_the_document(void **state)
{
    (void)state;
    struct buffer text;
    struct buffer document;
    buffer_init(&text, 1 << 20);
    buffer_init(&document, 1 << 20);
    prepare_everything();
    metrics_render(&sources, &text);
    metrics_describe(&document);
    for (size_t i = 0; i < metrics_count; i++) {
        const struct metric *metric = &metrics_table[i];
        const char *part = metric->histogram == NULL ? "" : "_bucket";
        const char *line = test_format("\n%s%s{service=\"sh\\\"op\"", metric->name, part);
        page_has(&text, test_format("# TYPE %s %s", metric->name, metric->type));
        if (strstr(buffer_text(&text), line) == NULL)
            test_fail("no value %s on the page", line + 1);
        if (strstr(buffer_text(&document),
                   test_format("| `%s` | %s |", metric->name, metric->type)) == NULL)
            test_fail("%s is not in the document", metric->name);
    }
    forget_everything();
    buffer_done(&text);
    buffer_done(&document);
}

static void every_value_on_the_page_says_whose_it_is(void **state)
{
    static const char whose[] = "{service=\"sh\\\"op\"";
    (void)state;
    size_t values = 0;
    struct buffer text;
    buffer_init(&text, 1 << 20);
    prepare_everything();
    metrics_render(&sources, &text);
    const char *page = test_format("%s", buffer_text(&text));
    for (const char *line = page; *line != '\0'; line += strcspn(line, "\n") + 1) {
        const char *labels = line + strcspn(line, "{\n");
        if (*line == '#')
            continue;
        values++;
        if (strncmp(labels, whose, sizeof whose - 1) != 0)
            test_fail("without its service: %.*s", (int)strcspn(line, "\n"), line);
    }
    assert_true(values > metrics_count);
    forget_everything();
    buffer_done(&text);
}

static void a_histogram_counts_up_to_each_bound(void **state)
{
    (void)state;
    static struct agent_metrics counted;
    struct metrics_sources of_counted = {.config = &config, .agent = &counted};
    struct agent_type_metrics *type = agent_metrics_type(&counted, "order", "orders");
    const char *name = "keepstep_commit_to_applied_seconds";
    const char *labels = "{service=\"sh\\\"op\",type=\"order\",topic=\"orders\"";
    struct buffer text;
    buffer_init(&text, 1 << 20);
    histogram_observe(&type->commit_to_applied, 1000);
    histogram_observe(&type->commit_to_applied, 3000);
    histogram_observe(&type->commit_to_applied, 7200 * SECOND_US);
    metrics_render(&of_counted, &text);
    page_has(&text, test_format("# TYPE %s histogram", name));
    page_has(&text, test_format("%s_bucket%s,le=\"0.001\"} 1", name, labels));
    page_has(&text, test_format("%s_bucket%s,le=\"0.0025\"} 1", name, labels));
    page_has(&text, test_format("%s_bucket%s,le=\"0.005\"} 2", name, labels));
    page_has(&text, test_format("%s_bucket%s,le=\"3600\"} 2", name, labels));
    page_has(&text, test_format("%s_bucket%s,le=\"+Inf\"} 3", name, labels));
    page_has(&text, test_format("%s_count%s} 3", name, labels));
    page_has(&text, test_format("%s_sum%s} 7200.0039999999999", name, labels));
    buffer_done(&text);
}

static void retention_counts_only_where_a_record_waits_and_its_age_is_known(void **state)
{
    const int64_t now = clock_wall_us();
    const struct {
        long long log_end;
        long long stored_us;
        long long caught_up_us;
        long long retention_us;
        const char *seconds; /* how it begins; NULL: absent */
    } cases[] = {
        {42, now - 10 * SECOND_US, 0, 3610 * SECOND_US, "} 3599."},
        {42, now - 10 * SECOND_US, now, 3610 * SECOND_US, "} 3599."},
        {42, 0, now - 10 * SECOND_US, 3610 * SECOND_US, "} 3599."}, /* not read yet */
        {-1, 0, now - 10 * SECOND_US, 3610 * SECOND_US, "} 3599."},
        {42, now - 3700 * SECOND_US, 0, 3600 * SECOND_US, "} 0\n"}, /* any moment */
        {40, now - 10 * SECOND_US, 0, 3610 * SECOND_US, NULL},      /* nothing waits */
        {42, 0, 0, 3610 * SECOND_US, NULL},
        {42, now - 10 * SECOND_US, 0, 0, NULL}, /* kept for ever, or not known */
    };
    (void)state;
    prepare_partition();
    struct agent_partition_metrics *partition = &agent.partitions[0];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer text;
        buffer_init(&text, 1 << 20);
        atomic_store(&partition->log_end, cases[i].log_end);
        atomic_store(&partition->oldest_unapplied_log_us, cases[i].stored_us);
        atomic_store(&partition->caught_up_us, cases[i].caught_up_us);
        atomic_store(&partition->retention_us, cases[i].retention_us);
        metrics_render(&sources, &text);
        const char *found = strstr(buffer_text(&text), "\nkeepstep_retention_overtakes_seconds{");
        const char *value = found == NULL ? "" : strchr(found, '}');
        if (cases[i].seconds == NULL ? found != NULL
                                     : strncmp(value, cases[i].seconds, strlen(cases[i].seconds)))
            test_fail("case %zu: %.40s", i, value);
        buffer_done(&text);
    }
    atomic_store(&partition->caught_up_us, 0);
    forget_everything();
}

static void a_stop_has_its_class_only_while_it_lasts(void **state)
{
    (void)state;
    const char *line = "keepstep_stop_info{service=\"sh\\\"op\",topic=\"order\",partition=\"3\","
                       "reason=\"unknown_column\"} 1";
    struct buffer text;
    buffer_init(&text, 1 << 20);
    prepare_partition();
    atomic_store(&agent.partitions[0].stop_reason,
                 stop_reason_name("offset 7: column \"x\" is not in the schema of \"order\""));
    metrics_render(&sources, &text);
    page_has(&text, line);
    atomic_store(&agent.partitions[0].stop_reason, NULL);
    buffer_reset(&text);
    metrics_render(&sources, &text);
    assert_null(strstr(buffer_text(&text), "keepstep_stop_info{"));
    buffer_done(&text);
}

static void the_age_of_what_is_parked_is_absent_until_it_is_known(void **state)
{
    (void)state;
    const char *name = "\nkeepstep_consumer_oldest_parked_age_seconds{";
    struct buffer text;
    buffer_init(&text, 1 << 20);
    prepare_partition();
    metrics_render(&sources, &text);
    const char *found = strstr(buffer_text(&text), name);
    assert_non_null(found);
    assert_true(strtod(strchr(found, '}') + 1, NULL) == 0);
    atomic_store(&agent.partitions[0].parked, 2);
    buffer_reset(&text);
    metrics_render(&sources, &text);
    assert_null(strstr(buffer_text(&text), name));
    atomic_store(&agent.partitions[0].parked_since_us, clock_wall_us() - 90 * SECOND_US);
    buffer_reset(&text);
    metrics_render(&sources, &text);
    found = strstr(buffer_text(&text), name);
    assert_non_null(found);
    double age = strtod(strchr(found, '}') + 1, NULL);
    assert_true(age >= 90 && age < 900);
    atomic_store(&agent.partitions[0].parked, 0);
    atomic_store(&agent.partitions[0].parked_since_us, 0);
    buffer_done(&text);
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
        TEST(what_was_seen_of_a_log_long_ago_is_not_told),
        TEST(partitions_beyond_the_table_share_a_row_that_is_not_shown),
        TEST(every_metric_of_the_table_is_on_the_page_and_in_the_document),
        TEST(every_value_on_the_page_says_whose_it_is),
        TEST(a_histogram_counts_up_to_each_bound),
        TEST(retention_counts_only_where_a_record_waits_and_its_age_is_known),
        TEST(a_stop_has_its_class_only_while_it_lasts),
        TEST(the_age_of_what_is_parked_is_absent_until_it_is_known),
    };
    return TEST_RUN(tests);
}
