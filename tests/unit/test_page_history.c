/* The rings of the page: what they hold after so many steps, and how large they are. */
#include "operate/page/history.h"
#include "tests/support/test.h"
#include "tests/support/threads.h"

#include <math.h>
#include <stdio.h>

#define STEP_US  (INT64_C(1000) * 1000 * HISTORY_STEP_S)
#define TOPIC    "shop.order"
#define PAGE_MAX ((size_t)8 * 1024 * 1024)

/* A service whose numbers the test makes up. */
struct made_up {
    struct agent_metrics agent;
    struct relay_metrics relay;
    struct metrics_sources sources;
    struct history history;
    int64_t now_us;
};

static struct made_up *begin(void)
{
    struct made_up *of = calloc(1, sizeof *of);
    assert_non_null(of);
    of->sources = (struct metrics_sources){.agent = &of->agent, .relay = &of->relay};
    of->now_us = STEP_US;
    atomic_store(&of->relay.holds_lease, true);
    history_init(&of->history, &of->sources);
    return of;
}

static void end(struct made_up *of)
{
    history_done(&of->history);
    free(of);
}

/* The agent owns a partition and is so many records behind. */
static void set_lag(struct made_up *of, int32_t partition, int64_t records)
{
    struct agent_partition_metrics *row = agent_metrics_partition(
        &of->agent, (struct topic_partition){TOPIC, partition});
    atomic_store(&row->owned, true);
    atomic_store(&row->applied_offset, 1000);
    atomic_store(&row->log_end, 1000 + records);
}

static void step(struct made_up *of)
{
    history_sample(&of->history, of->now_us, of->now_us);
    of->now_us += STEP_US;
}

/* @return the values of a series, as JSON. @param partition  -1: a series of the whole process. */
static const char *values_of(struct made_up *of, enum history_span span, const char *name,
                             int partition)
{
    struct buffer page;
    buffer_init(&page, PAGE_MAX);
    history_append(&of->history, span, &page);
    assert_false(page.failed);
    const char *head = partition < 0
                           ? test_format("{\"name\":\"%s\",\"topic\":null,\"partition\":null,"
                                         "\"values\":",
                                         name)
                           : test_format("{\"name\":\"%s\",\"topic\":\"" TOPIC
                                         "\",\"partition\":%d,\"values\":",
                                         name, partition);
    const char *found = strstr(buffer_text(&page), head);
    const char *values = "";
    if (found != NULL)
        values = test_format("%.*s", (int)strcspn(found + strlen(head), "}"), found + strlen(head));
    buffer_done(&page);
    return values;
}

static void rates_are_differences_over_the_time_between_two_values(void **state)
{
    struct made_up *of = begin();
    (void)state;
    for (int i = 0; i < 4; i++) {
        step(of);
        atomic_fetch_add(&of->agent.events_applied, 50 * (unsigned)(i + 1));
        atomic_fetch_add(&of->relay.acknowledged, 10);
        atomic_store(&of->relay.waiting, i);
    }
    assert_string_equal(values_of(of, HISTORY_QUARTER, "applied_per_s", -1), "[null,10,20,30]");
    assert_string_equal(values_of(of, HISTORY_QUARTER, "published_per_s", -1), "[null,2,2,2]");
    assert_string_equal(values_of(of, HISTORY_QUARTER, "outbox_waiting", -1), "[0,0,1,2]");
    assert_string_equal(values_of(of, HISTORY_HOUR, "applied_per_s", -1), "[null]");
    /* After a pause of ten steps the rate is the mean of the pause. */
    atomic_fetch_add(&of->agent.events_applied, 1100 - 200);
    of->now_us += 10 * STEP_US;
    step(of);
    assert_string_equal(values_of(of, HISTORY_QUARTER, "applied_per_s", -1), "[null,10,20,30,20]");
    end(of);
}

static void a_short_peak_of_the_lag_is_seen_in_a_day(void **state)
{
    struct made_up *of = begin();
    (void)state;
    for (int i = 0; i < 60; i++) {
        set_lag(of, 0, i == 17 ? 999 : 3);
        step(of);
    }
    assert_string_equal(values_of(of, HISTORY_DAY, "lag_records", 0), "[999]");
    assert_int_equal(
        strncmp(values_of(of, HISTORY_HOUR, "lag_records", 0), "[3,3,3,3,3,999,3,", 17), 0);
    end(of);
}

static void what_is_not_known_is_null(void **state)
{
    struct made_up *of = begin();
    (void)state;
    set_lag(of, 0, -1001); /* the end of the log is not known */
    set_lag(of, 1, 5);
    atomic_store(&of->agent.partitions[1].owned, false);
    atomic_store(&of->relay.holds_lease, false);
    step(of);
    step(of);
    assert_string_equal(values_of(of, HISTORY_QUARTER, "lag_records", 0), "[null,null]");
    assert_string_equal(values_of(of, HISTORY_QUARTER, "lag_records", 1), "[null,null]");
    assert_string_equal(values_of(of, HISTORY_QUARTER, "outbox_waiting", -1), "[null,null]");
    assert_string_equal(values_of(of, HISTORY_QUARTER, "commit_to_applied_p50_s", -1),
                        "[null,null]");
    double p50_s = 0;
    double p99_s = 0;
    history_latency(&of->history, &p50_s, &p99_s);
    assert_true(isnan(p50_s) && isnan(p99_s));
    struct page_trends trends = history_trends(&of->history);
    assert_true(isnan(trends.lag_per_s) && isnan(trends.catch_up_s));
    end(of);
}

static void a_span_keeps_its_last_values_and_no_more(void **state)
{
    struct made_up *of = begin();
    (void)state;
    for (int i = 0; i < 60 * 300; i++) {
        set_lag(of, 0, i);
        step(of);
    }
    static const size_t counts[HISTORY_SPANS] = {180, 240, 288};
    for (size_t span = 0; span < HISTORY_SPANS; span++) {
        const char *values = values_of(of, (enum history_span)span, "lag_records", 0);
        size_t commas = 0;
        for (const char *at = values; *at != '\0'; at++)
            commas += *at == ',';
        assert_int_equal(commas + 1, counts[span]);
        assert_non_null(strstr(values, ",17999]"));
    }
    assert_int_equal(strncmp(values_of(of, HISTORY_QUARTER, "lag_records", 0), "[17820,17821,", 13),
                     0);
    end(of);
}

static void trends_and_catching_up_follow_the_last_half_minute(void **state)
{
    struct made_up *of = begin();
    (void)state;
    for (int i = 0; i <= HISTORY_TREND; i++) {
        set_lag(of, 0, 1000 - 100 * i);
        set_lag(of, 1, 500);
        atomic_store(&of->relay.waiting, 60 * i);
        step(of);
        atomic_fetch_add(&of->agent.events_applied, 100);
    }
    struct page_trends trends = history_trends(&of->history);
    assert_true(fabs(trends.lag_per_s - -20) < 0.01);
    assert_true(fabs(trends.catch_up_s - 900.0 / 20) < 0.01);
    assert_true(fabs(trends.pending_per_s - 12) < 0.01);
    assert_true(fabs(trends.applied_per_s - 20) < 0.01);
    set_lag(of, 0, 5000);
    step(of);
    trends = history_trends(&of->history);
    assert_true(trends.lag_per_s > 0);
    assert_true(isnan(trends.catch_up_s));
    end(of);
}

static void latency_is_that_of_the_last_quarter_of_an_hour(void **state)
{
    struct made_up *of = begin();
    double p50_s = 0;
    double p99_s = 0;
    (void)state;
    struct histogram *took = &agent_metrics_type(&of->agent, "order", TOPIC)->commit_to_applied;
    for (int i = 0; i < 100; i++)
        histogram_observe(took, 60 * 1000 * 1000);
    for (int i = 0; i < 400; i++)
        step(of);
    histogram_observe(took, 20 * 1000);
    history_latency(&of->history, &p50_s, &p99_s);
    assert_true(p50_s < 1 && p99_s < 1);
    step(of);
    step(of);
    const char *values = values_of(of, HISTORY_QUARTER, "commit_to_applied_p99_s", -1);
    assert_non_null(strstr(values, "null,0.0"));
    assert_string_equal(strrchr(values, ','), ",null]");
    end(of);
}

static void more_partitions_than_there_is_room_for_are_left_out(void **state)
{
    struct made_up *of = begin();
    struct buffer page;
    (void)state;
    for (int32_t i = 0; i < 2 * HISTORY_PARTITIONS; i++)
        set_lag(of, i, i);
    for (int i = 0; i < 60 * 290; i++)
        step(of);
    assert_string_equal(values_of(of, HISTORY_DAY, "lag_records", HISTORY_PARTITIONS), "");
    assert_true(values_of(of, HISTORY_DAY, "lag_records", HISTORY_PARTITIONS - 1)[0] == '[');
    assert_true(sizeof of->history <= HISTORY_BYTES_MAX);
    buffer_init(&page, 4 * 1024 * 1024); /* what the page has room for */
    int64_t before_us = threads_used_us();
    history_append(&of->history, HISTORY_DAY, &page);
    double took_ms = (double)(threads_used_us() - before_us) / 1e3;
    assert_false(page.failed);
    assert_non_null(
        strstr(buffer_text(&page), test_format("\"left_out\":%d,", HISTORY_PARTITIONS)));
    const char *all = values_of(of, HISTORY_QUARTER, "lag_records_all", -1);
    assert_non_null(
        strstr(all, test_format(",%d]", (2 * HISTORY_PARTITIONS - 1) * HISTORY_PARTITIONS)));
    printf("# a day of %d partitions: %zu bytes in %.1f ms\n", HISTORY_PARTITIONS, page.length,
           took_ms);
    assert_true(took_ms < 500);
    buffer_done(&page);
    end(of);
}

static void only_three_spans_are_known(void **state)
{
    (void)state;
    assert_int_equal(history_span_of(NULL), HISTORY_QUARTER);
    assert_int_equal(history_span_of("900"), HISTORY_QUARTER);
    assert_int_equal(history_span_of("3600"), HISTORY_HOUR);
    assert_int_equal(history_span_of("86400"), HISTORY_DAY);
    assert_int_equal(history_span_of(""), HISTORY_SPANS);
    assert_int_equal(history_span_of("900 "), HISTORY_SPANS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rates_are_differences_over_the_time_between_two_values),
        TEST(a_short_peak_of_the_lag_is_seen_in_a_day),
        TEST(what_is_not_known_is_null),
        TEST(a_span_keeps_its_last_values_and_no_more),
        TEST(trends_and_catching_up_follow_the_last_half_minute),
        TEST(latency_is_that_of_the_last_quarter_of_an_hour),
        TEST(more_partitions_than_there_is_room_for_are_left_out),
        TEST(only_three_spans_are_known),
    };
    return TEST_RUN(tests);
}
