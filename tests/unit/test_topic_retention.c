/* When retention reaches a place in a log, between the marks at which a broker was asked. */
#include "common/topic_retention.h"
#include "tests/support/test.h"

#include <math.h>

#define HOUR_S 3600.0
#define DAY_S  (24 * HOUR_S)

/* Of a topic that keeps a record for `retention_s`. At each mark ten records more are gone. */
static struct topic_retention make(double retention_s)
{
    static struct partition_retention partition;
    struct topic_retention retention = {
        .retention_s = retention_s, .partitions = &partition, .partition_count = 1};
    partition = (struct partition_retention){.bounds = {.first = 5, .end = 200}};
    for (int64_t i = 0; i < RETENTION_MARKS; i++)
        partition.kept[i] = 10 + 10 * i;
    topic_retention_mark(&retention);
    return retention;
}

static void assert_left(double left_s, double expected_s)
{
    if (fabs(left_s - expected_s) > 0.01)
        test_fail("%f s instead of %f s", left_s, expected_s);
}

static void marks_are_close_where_little_time_is_left(void **state)
{
    struct topic_retention week = make(7 * DAY_S);
    struct topic_retention minute = make(64);
    (void)state;
    assert_left(week.marks[0], 0);
    assert_left(week.marks[1], 45 * 60);
    assert_left(week.marks[RETENTION_MARKS - 1], 2 * DAY_S);
    assert_left(minute.marks[1], 1);
    assert_left(minute.marks[RETENTION_MARKS - 1], 64);
}

static void the_time_that_is_left_lies_between_two_marks(void **state)
{
    struct topic_retention week = make(7 * DAY_S);
    (void)state;
    assert_left(topic_retention_left_s(&week, 0, 3), 0); /* it is gone */
    assert_left(topic_retention_left_s(&week, 0, 9), 0);
    assert_left(topic_retention_left_s(&week, 0, 10), 0);
    assert_left(topic_retention_left_s(&week, 0, 20), 45 * 60);
    assert_left(topic_retention_left_s(&week, 0, 25), 67.5 * 60);
    assert_left(topic_retention_left_s(&week, 0, 70), DAY_S);
    assert_left(topic_retention_left_s(&week, 0, 79), DAY_S * 1.9);
}

static void what_is_not_in_sight_is_not_told(void **state)
{
    struct topic_retention week = make(7 * DAY_S);
    struct topic_retention forever = make(0);
    (void)state;
    assert_true(isnan(topic_retention_left_s(&week, 0, 80)));  /* beyond the last mark */
    assert_true(isnan(topic_retention_left_s(&week, 0, 200))); /* all is read */
    assert_true(isnan(topic_retention_left_s(&week, 0, -1)));
    assert_true(isnan(topic_retention_left_s(&week, 1, 10)));
    assert_true(isnan(topic_retention_left_s(&forever, 0, 10)));
}

/* A topic that keeps its records for an hour: who reads as they come is always near the end. */
static void a_record_that_has_just_come_is_no_lag(void **state)
{
    struct topic_retention hour = make(HOUR_S);
    (void)state;
    assert_left(topic_retention_left_s(&hour, 0, 70), HOUR_S / 2);
    assert_true(isnan(topic_retention_left_s(&hour, 0, 79)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(marks_are_close_where_little_time_is_left),
        TEST(the_time_that_is_left_lies_between_two_marks),
        TEST(what_is_not_in_sight_is_not_told),
        TEST(a_record_that_has_just_come_is_no_lag),
    };
    return TEST_RUN(tests);
}
