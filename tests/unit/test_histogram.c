/* Durations are counted in the bucket that has them, and quantiles are those of what was counted
 * between two moments. */
#include "common/histogram.h"
#include "consumer/metrics.h"

#include "tests/support/test.h"

#include <math.h>
#include <stdio.h>

#define SECOND_US INT64_C(1000000)

static struct histogram_snapshot read_all(const struct histogram *histogram)
{
    struct histogram_snapshot snapshot = {0};
    histogram_add_to(histogram, &snapshot);
    return snapshot;
}

static void bounds_rise_from_a_millisecond_to_an_hour(void **state)
{
    (void)state;
    assert_true(histogram_bound_s(0) == 0.001);
    assert_true(histogram_bound_s(HISTOGRAM_BOUNDS - 1) == 3600);
    assert_true(isinf(histogram_bound_s(HISTOGRAM_BOUNDS)));
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++)
        assert_true(histogram_bound_s(i) < histogram_bound_s(i + 1));
}

static void a_bound_belongs_to_its_bucket(void **state)
{
    (void)state;
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        struct histogram histogram = {0};
        int64_t bound_us = (int64_t)(histogram_bound_s(i) * 1e6 + 0.5);
        histogram_observe(&histogram, bound_us);
        histogram_observe(&histogram, bound_us + 1);
        struct histogram_snapshot seen = read_all(&histogram);
        assert_int_equal(seen.counts[i], 1);
        assert_int_equal(seen.counts[i + 1], 1);
        assert_int_equal(seen.sum_us, 2 * bound_us + 1);
    }
}

static void a_time_before_its_beginning_counts_as_none(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    histogram_observe(&histogram, -5 * SECOND_US);
    histogram_observe(&histogram, INT64_MAX);
    struct histogram_snapshot seen = read_all(&histogram);
    assert_int_equal(seen.counts[0], 1);
    assert_int_equal(seen.counts[HISTOGRAM_BOUNDS], 1);
    assert_int_equal(seen.sum_us, INT64_MAX);
}

static void a_quantile_is_interpolated_in_its_bucket(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    for (int i = 0; i < 90; i++)
        histogram_observe(&histogram, 700 * 1000); /* 0.5 s to 1 s */
    for (int i = 0; i < 10; i++)
        histogram_observe(&histogram, 4 * SECOND_US); /* 2.5 s to 5 s */
    struct histogram_snapshot seen = read_all(&histogram);
    assert_true(fabs(histogram_quantile_s(NULL, &seen, 0.45) - 0.75) < 1e-9);
    assert_true(fabs(histogram_quantile_s(NULL, &seen, 0.9) - 1.0) < 1e-9);
    assert_true(fabs(histogram_quantile_s(NULL, &seen, 0.95) - 3.75) < 1e-9);
    assert_true(fabs(histogram_quantile_s(NULL, &seen, 1.0) - 5.0) < 1e-9);
}

static void a_quantile_is_of_what_came_between_two_snapshots(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    for (int i = 0; i < 1000; i++)
        histogram_observe(&histogram, 40 * SECOND_US);
    struct histogram_snapshot before = read_all(&histogram);
    histogram_observe(&histogram, 2 * 1000);
    struct histogram_snapshot after = read_all(&histogram);
    assert_int_equal(histogram_count(&before, &after), 1);
    assert_true(histogram_quantile_s(&before, &after, 0.99) <= 0.0025);
    assert_true(histogram_quantile_s(NULL, &after, 0.99) > 30);
}

static void a_quantile_of_nothing_is_not_known(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    struct histogram_snapshot seen = read_all(&histogram);
    assert_true(isnan(histogram_quantile_s(NULL, &seen, 0.5)));
    histogram_observe(&histogram, SECOND_US);
    seen = read_all(&histogram);
    assert_true(isnan(histogram_quantile_s(&seen, &seen, 0.5)));
}

static void a_quantile_beyond_the_last_bound_is_that_bound(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    histogram_observe(&histogram, 90000 * SECOND_US);
    struct histogram_snapshot seen = read_all(&histogram);
    assert_true(histogram_quantile_s(NULL, &seen, 0.5) == 3600);
}

static void an_entity_type_has_one_row_and_all_rows_are_added_up(void **state)
{
    (void)state;
    static struct agent_metrics metrics;
    struct agent_type_metrics *order = agent_metrics_type(&metrics, "order", "orders");
    struct agent_type_metrics *invoice = agent_metrics_type(&metrics, "invoice", "invoices");
    assert_ptr_not_equal(order, invoice);
    assert_ptr_equal(agent_metrics_type(&metrics, "order", "orders"), order);
    assert_int_equal(atomic_load(&metrics.type_count), 2);
    histogram_observe(&order->commit_to_applied, 2 * 1000);
    histogram_observe(&invoice->commit_to_applied, 20 * 1000);
    struct histogram_snapshot all = agent_metrics_commit_to_applied(&metrics);
    assert_int_equal(histogram_count(NULL, &all), 2);
    assert_int_equal(all.sum_us, 22 * 1000);
}

static void types_beyond_the_table_share_the_spare_row(void **state)
{
    (void)state;
    static struct agent_metrics metrics;
    static char names[AGENT_METRICS_TYPES + 1][16];
    for (size_t i = 0; i <= AGENT_METRICS_TYPES; i++) {
        (void)snprintf(names[i], sizeof names[i], "type%zu", i);
        struct agent_type_metrics *row = agent_metrics_type(&metrics, names[i], "all");
        assert_int_equal(row == &metrics.spare_type, i == AGENT_METRICS_TYPES);
    }
    assert_int_equal(atomic_load(&metrics.type_count), AGENT_METRICS_TYPES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bounds_rise_from_a_millisecond_to_an_hour),
        TEST(a_bound_belongs_to_its_bucket),
        TEST(a_time_before_its_beginning_counts_as_none),
        TEST(a_quantile_is_interpolated_in_its_bucket),
        TEST(a_quantile_is_of_what_came_between_two_snapshots),
        TEST(a_quantile_of_nothing_is_not_known),
        TEST(a_quantile_beyond_the_last_bound_is_that_bound),
        TEST(an_entity_type_has_one_row_and_all_rows_are_added_up),
        TEST(types_beyond_the_table_share_the_spare_row),
    };
    return TEST_RUN(tests);
}
