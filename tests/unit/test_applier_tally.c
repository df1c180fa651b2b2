/* What the metrics say of the events that a transaction has applied: how many, of which entity
 * type, and how long they took. */
#include "tests/support/copy.h"

#include "common/clock.h"

#define SECOND_US INT64_C(1000000)

static const char parents[] =
    "CREATE TABLE parents(name TEXT PRIMARY KEY);"
    "CREATE TABLE orders(id INTEGER NOT NULL PRIMARY KEY, a TEXT REFERENCES parents(name), b TEXT);"
    "INSERT INTO parents VALUES('known')";

/* @return how many events took so long that they are in the bucket of `seconds`. */
static uint64_t count_within(const struct copy *copy, double seconds)
{
    struct histogram_snapshot all = agent_metrics_commit_to_applied(copy->metrics);
    size_t bucket = 0;
    while (histogram_bound_s(bucket) < seconds)
        bucket++;
    return all.counts[bucket];
}

static uint64_t count_all(const struct copy *copy)
{
    struct histogram_snapshot all = agent_metrics_commit_to_applied(copy->metrics);
    return histogram_count(NULL, &all);
}

static void an_event_took_from_its_commit_to_that_of_the_copy(void **state)
{
    (void)state;
    struct copy *copy = copy_begin("", false);
    const struct agent_type_metrics *type = &copy->metrics->types[0];
    assert_string_equal(type->type, "order");
    assert_string_equal(type->topic, COPY_TOPIC);
    copy->committed_us = clock_wall_us() - 45 * SECOND_US;
    copy_add(copy, 1, 1, "c", COPY_ROW("x", "1"));
    copy->committed_us = clock_wall_us() + 45 * SECOND_US; /* a clock that is ahead */
    copy_add(copy, 2, 2, "c", COPY_ROW("x", "2"));
    assert_int_equal(count_all(copy), 0);
    copy_apply(copy);
    assert_int_equal(count_all(copy), 2);
    assert_int_equal(count_within(copy, 60), 1);
    assert_int_equal(count_within(copy, 0.001), 1);
    assert_int_equal(atomic_load(&type->events_applied), 2);
    copy_finish(copy);
}

static void an_event_that_does_not_say_when_it_was_committed_has_no_time(void **state)
{
    (void)state;
    struct copy *copy = copy_begin("", false);
    copy_add(copy, 1, 1, "c", COPY_ROW("x", "1"));
    copy_apply(copy);
    assert_int_equal(count_all(copy), 0);
    assert_int_equal(atomic_load(&copy->metrics->types[0].events_applied), 1);
    copy_finish(copy);
}

static void what_was_applied_before_counts_once(void **state)
{
    (void)state;
    struct copy *copy = copy_begin("", false);
    copy->committed_us = clock_wall_us();
    copy_add(copy, 1, 1, "c", COPY_ROW("x", "1"));
    copy_apply(copy);
    copy_add_from(copy, "shop", 1, "e1", NULL, NULL, 1,
                  "{\"op\":\"c\",\"before\":null,\"after\":{\"id\":1,\"a\":\"x\",\"b\":\"1\"}}");
    copy_apply(copy);
    assert_int_equal(atomic_load(&copy->metrics->events_duplicate), 1);
    assert_int_equal(count_all(copy), 1);
    assert_int_equal(atomic_load(&copy->metrics->types[0].events_applied), 1);
    copy_finish(copy);
}

static void a_parked_event_took_until_it_was_released(void **state)
{
    (void)state;
    struct copy *copy = copy_begin(parents, false);
    const struct agent_type_metrics *type = &copy->metrics->types[0];
    copy->committed_us = clock_wall_us() - 200 * SECOND_US;
    copy_add(copy, 1, 1, "c", COPY_ROW("late", "1"));
    copy_add(copy, 2, 1, "u", COPY_ROW("late", "2"));
    copy->committed_us = clock_wall_us();
    copy_add(copy, 3, 2, "c", COPY_ROW("known", "3"));
    copy_apply(copy);
    assert_int_equal(atomic_load(&type->events_parked), 2);
    assert_int_equal(atomic_load(&type->events_applied), 1);
    assert_int_equal(count_all(copy), 1);
    (void)sqlite_text(copy->database, "INSERT INTO parents VALUES('late')");
    copy_retry_later(copy, INT64_MAX);
    assert_int_equal(copy_parked(copy), 0);
    assert_int_equal(atomic_load(&type->events_applied), 3);
    assert_int_equal(count_all(copy), 3);
    assert_int_equal(count_within(copy, 300), 2);
    copy_finish(copy);
}

static void it_is_known_since_when_the_first_record_is_parked(void **state)
{
    (void)state;
    struct copy *copy = copy_begin(parents, false);
    const struct agent_partition_metrics *partition = &copy->metrics->partitions[0];
    int64_t before = clock_wall_us();
    copy_add(copy, 1, 1, "c", COPY_ROW("late", "1"));
    copy_apply(copy);
    int64_t after = clock_wall_us();
    copy_add(copy, 2, 2, "c", COPY_ROW("late", "2"));
    copy_apply(copy);
    copy_must(copy, applier_note_parked(copy->applier, &copy->err));
    int64_t since = atomic_load(&partition->parked_since_us);
    assert_true(since >= before - 1000 && since <= after);
    (void)sqlite_text(copy->database, "INSERT INTO parents VALUES('late')");
    copy_retry_later(copy, INT64_MAX);
    assert_int_equal(atomic_load(&partition->parked_since_us), 0);
    copy_must(copy, applier_note_parked(copy->applier, &copy->err));
    assert_int_equal(atomic_load(&partition->parked_since_us), 0);
    copy_finish(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_event_took_from_its_commit_to_that_of_the_copy),
        TEST(an_event_that_does_not_say_when_it_was_committed_has_no_time),
        TEST(what_was_applied_before_counts_once),
        TEST(a_parked_event_took_until_it_was_released),
        TEST(it_is_known_since_when_the_first_record_is_parked),
    };
    return TEST_RUN(tests);
}
