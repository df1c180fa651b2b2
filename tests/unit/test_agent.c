/* The agent on librdkafka's mock cluster: it is assigned, polls, applies, and starts again.
 * labels: threads */
#include "tests/support/agent_world.h"

#include "consumer/feed/internal.h"
#include "operate/metrics.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#define OFFSET_COMMIT 8 /* Kafka's numbers of these requests */
#define LIST_OFFSETS  2
#define CUT_OFF_US    1000000

/** @param before how many headers of another program come before Keepstep's */
static void produce(struct agent_world *world, int sequence, const char *text, int before)
{
    agent_world_send(world, &(struct agent_world_event){
                                .sequence = sequence, .text = text, .headers_before = before});
}

/* Make the world, and run its agent until it has applied the first event. */
static void world_begin(struct agent_world *world)
{
    agent_world_make(world, 1);
    produce(world, 1, "one", 0);
    agent_world_start(world);
    assert_true(sqlite_wait_for(world->database, "SELECT a FROM orders", "one\n", 20000));
}

static void test_applies_and_goes_on_after_a_restart(void **test)
{
    (void)test;
    struct agent_world world;
    world_begin(&world);
    produce(&world, 2, "two", 1000);
    assert_true(sqlite_wait_for(world.database, "SELECT a FROM orders", "two\n", 5000));
    agent_world_end(&world);
    produce(&world, 3, "three", 0);
    agent_world_start(&world);
    assert_true(sqlite_wait_for(world.database, "SELECT a FROM orders", "three\n", 20000));
    produce(&world, 4, "four", 1100);
    assert_true(sqlite_wait_for(
        world.database,
        "SELECT next_offset FROM keepstep_position WHERE stopped LIKE '%1024 headers%'", "3\n",
        20000));
    agent_world_end(&world);
    assert_int_equal(atomic_load(&world.metrics->events_applied), 3);
    assert_int_equal(atomic_load(&world.metrics->partitions[0].durable_offset), 3);
    agent_world_done(&world);
}

struct lag {
    struct agent_world *world;
    const char *records;
    bool waits;
};

static bool has_lag(void *context)
{
    const struct lag *lag = context;
    struct buffer text;
    struct metrics_sources sources = {.config = &lag->world->config, .agent = lag->world->metrics};
    buffer_init(&text, 1 << 20);
    metrics_render(&sources, &text);
    const char *page = buffer_text(&text);
    const char *records = strstr(page, "keepstep_consumer_lag_records{");
    const char *seconds = strstr(page, "keepstep_consumer_lag_seconds{");
    double age = seconds == NULL ? -1 : strtod(strchr(seconds, ' '), NULL);
    bool as_wanted = records != NULL && seconds != NULL &&
                     strncmp(strchr(records, ' '), lag->records, strlen(lag->records)) == 0 &&
                     (lag->waits ? age > 0 && age < 60 : age == 0);
    buffer_done(&text);
    return as_wanted;
}

static void expect_lag(struct agent_world *world, const char *records, bool waits)
{
    struct lag lag = {.world = world, .records = test_format(" %s\n", records), .waits = waits};
    if (!test_wait(has_lag, &lag, 20000))
        test_fail("not %s records behind", records);
}

static bool is_stopped(void *context)
{
    const struct agent_world *world = context;
    return atomic_load(&world->metrics->partitions[0].stopped);
}

static void
test_lag_grows_while_the_database_does_not_answer_and_where_a_partition_stands_still(void **test)
{
    (void)test;
    struct agent_world world;
    sqlite3 *holder = NULL;
    world_begin(&world);
    expect_lag(&world, "0", false);
    assert_int_equal(sqlite3_open(world.database, &holder), SQLITE_OK);
    assert_int_equal(sqlite3_exec(holder, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    produce(&world, 2, "two", 0);
    expect_lag(&world, "1", true);
    produce(&world, 3, "three", 0);
    expect_lag(&world, "2", true);
    assert_int_equal(sqlite3_close(holder), SQLITE_OK);
    expect_lag(&world, "0", false);
    assert_string_equal(sqlite_text(world.database, "SELECT a FROM orders"), "three\n");
    produce(&world, 5, "a gap", 0);
    expect_lag(&world, "1", true);
    assert_true(test_wait(is_stopped, &world, 20000));
    produce(&world, 6, "behind it", 0);
    expect_lag(&world, "2", true);
    agent_world_end(&world);
    agent_world_start(&world);
    expect_lag(&world, "2", true);
    agent_world_end(&world);
    agent_world_done(&world);
}

/* Answer the next commit as a coordinator does when another member has taken our static name. */
static void refuse_a_commit(const struct agent_world *world)
{
    rd_kafka_mock_push_request_errors(world->cluster, OFFSET_COMMIT, 1,
                                      RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID);
}

static void test_a_member_that_is_fenced_while_its_broker_answers_ends_for_good(void **test)
{
    (void)test;
    struct agent_world world;
    struct agent_thread *run = &world.run;
    agent_world_make(&world, 1);
    agent_world_start(&world);
    refuse_a_commit(&world);
    produce(&world, 1, "one", 0);
    agent_world_join(&world);
    assert_int_equal(run->status, STATUS_FATAL);
    assert_int_equal(run->err.exit_code, EX_CONFIG);
    assert_non_null(strstr(run->err.text, "under the same instance name"));
    agent_world_done(&world);
}

/* The session may have run out while the agent was cut off. Then it fenced its own earlier self. */
static void test_a_member_that_is_fenced_after_it_was_cut_off_joins_again(void **test)
{
    (void)test;
    struct agent_world world;
    world_begin(&world);
    (void)rd_kafka_mock_broker_set_down(world.cluster, 1);
    (void)usleep(CUT_OFF_US);
    refuse_a_commit(&world);
    (void)rd_kafka_mock_broker_set_up(world.cluster, 1);
    produce(&world, 2, "two", 0);
    assert_true(sqlite_wait_for(world.database, "SELECT a FROM orders", "two\n", 30000));
    produce(&world, 3, "three", 0);
    assert_true(sqlite_wait_for(world.database, "SELECT a FROM orders", "three\n", 30000));
    agent_world_end(&world);
    agent_world_done(&world);
}

struct heard {
    struct agent_metrics *metrics;
    int64_t before_us;
};

static bool is_heard_since(void *context)
{
    const struct heard *heard = context;
    return atomic_load(&heard->metrics->database_heard_us) > heard->before_us;
}

/* An agent that waits for its broker from the start on. */
static void test_the_database_is_asked_while_there_is_no_broker(void **test)
{
    (void)test;
    struct agent_world world;
    agent_world_make(&world, 1);
    (void)rd_kafka_mock_broker_set_down(world.cluster, 1);
    agent_world_start(&world);
    struct heard heard = {.metrics = world.metrics};
    assert_true(test_wait(is_heard_since, &heard, 30000));
    heard.before_us = atomic_load(&world.metrics->database_heard_us);
    if (!test_wait(is_heard_since, &heard, 60000))
        test_fail("the database was asked once, and never again");
    assert_int_equal(atomic_load(&world.metrics->database_lost_since_us), 0);
    (void)rd_kafka_mock_broker_set_up(world.cluster, 1);
    produce(&world, 1, "one", 0);
    assert_true(sqlite_wait_for(world.database, "SELECT a FROM orders", "one\n", 30000));
    agent_world_end(&world);
    agent_world_done(&world);
}

/* As a broker answers that has just come back. */
static void test_a_partition_that_the_broker_does_not_know_yet_is_asked_for_again(void **test)
{
    (void)test;
    struct agent_world world;
    const rd_kafka_resp_err_t unknown = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    agent_world_make(&world, 1);
    rd_kafka_mock_push_request_errors(world.cluster, LIST_OFFSETS, 4, unknown, unknown, unknown,
                                      unknown);
    agent_world_start(&world);
    produce(&world, 1, "one", 0);
    assert_true(sqlite_wait_for(world.database, "SELECT a FROM orders", "one\n", 30000));
    assert_false(atomic_load(&world.metrics->partitions[0].stopped));
    agent_world_end(&world);
    agent_world_done(&world);
}

static struct feed *open_feed(const struct agent_world *world)
{
    static const char *const topics[] = {"order"};
    struct feed *feed = NULL;
    struct error err = ERROR_INIT;
    const struct feed_options options = {
        .config = &world->config, .copy_id = "a-copy", .topics = topics, .topic_count = 1};
    if (feed_open(&options, &feed, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return feed;
}

/* As a broker answers whose own copy of the metadata is behind. A topic that is gone stops its
 * partitions for an operator. */
static void test_a_topic_that_is_not_known_for_a_moment_is_not_gone(void **test)
{
    (void)test;
    struct agent_world world;
    struct error err = ERROR_INIT;
    agent_world_make(&world, 1);
    struct feed *feed = open_feed(&world);
    rd_kafka_mock_topic_set_error(world.cluster, "order", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    assert_int_equal(feed_describe_again(feed, &err), STATUS_RETRY);
    assert_int_equal(feed_partition_count(feed, "order"), 1);
    rd_kafka_mock_topic_set_error(world.cluster, "order", RD_KAFKA_RESP_ERR_NO_ERROR);
    error_clear(&err);
    assert_int_equal(feed_describe_again(feed, &err), STATUS_OK);
    feed_close(feed);
    agent_world_done(&world);
}

/* @return whether a broker has answered, and the topic may still come back. */
static bool is_missed_again(void *context)
{
    struct feed *feed = context;
    struct error err = ERROR_INIT;
    assert_int_equal(feed_describe_again(feed, &err), STATUS_RETRY);
    return feed->described[0].gone_at_us > 0;
}

/* A broker that comes back twice may be behind each time. */
static void test_a_topic_is_not_gone_because_of_the_time_in_which_no_broker_answered(void **test)
{
    (void)test;
    struct agent_world world;
    struct error err = ERROR_INIT;
    agent_world_make(&world, 1);
    struct feed *feed = open_feed(&world);
    rd_kafka_mock_topic_set_error(world.cluster, "order", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    assert_int_equal(feed_describe_again(feed, &err), STATUS_RETRY);
    feed->described[0].gone_at_us = 1; /* long ago */
    (void)rd_kafka_mock_broker_set_down(world.cluster, 1);
    error_clear(&err);
    assert_int_equal(feed_describe_again(feed, &err), STATUS_RETRY);
    (void)rd_kafka_mock_broker_set_up(world.cluster, 1);
    error_clear(&err);
    assert_true(test_wait(is_missed_again, feed, 30000));
    feed_close(feed);
    agent_world_done(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(test_applies_and_goes_on_after_a_restart, 60),
        TEST_WITH_LIMIT(
            test_lag_grows_while_the_database_does_not_answer_and_where_a_partition_stands_still,
            120),
        TEST_WITH_LIMIT(test_a_member_that_is_fenced_while_its_broker_answers_ends_for_good, 60),
        TEST_WITH_LIMIT(test_a_member_that_is_fenced_after_it_was_cut_off_joins_again, 90),
        TEST_WITH_LIMIT(test_the_database_is_asked_while_there_is_no_broker, 180),
        TEST_WITH_LIMIT(test_a_partition_that_the_broker_does_not_know_yet_is_asked_for_again, 60),
        TEST_WITH_LIMIT(test_a_topic_that_is_not_known_for_a_moment_is_not_gone, 60),
        TEST_WITH_LIMIT(test_a_topic_is_not_gone_because_of_the_time_in_which_no_broker_answered,
                        120),
    };
    return TEST_RUN(tests);
}
