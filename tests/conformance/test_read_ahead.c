/* Whatever happens while one batch is held up and the next one is read: nothing is lost, repeated
 * or out of order. The database holds the batch up, and an agent takes one event a batch, so it is
 * known what the reader has read.
 * labels: threads */
#include "tests/support/agent_world.h"

#include "consumer/feed/feed.h"

#include <sqlite3.h>
#include <sysexits.h>
#include <unistd.h>

#define HEARTBEAT    12 /* Kafka's number of this request */
#define LARGE        2000
#define READ_US      500000 /* within which the reader reads what is there */
#define LIMIT_MS     60000
#define BUSY_MS      5000 /* after which the agent's transaction gives up a locked database */
#define SEEN         "SELECT id, group_concat(a) FROM (SELECT * FROM seen ORDER BY n) GROUP BY id"
#define SESSION_TEXT "6000"

/* What the reader has read while the batch, an event of partition 0, is held up. */
enum ahead { AHEAD_NOTHING, AHEAD_SAME_PARTITION, AHEAD_OTHER_PARTITION, AHEADS };

struct story {
    struct agent_world world;
    sqlite3 *holder;
    enum ahead ahead;
    int sent[AGENT_WORLD_PARTITIONS];
    const char *expected[AGENT_WORLD_PARTITIONS]; /* of the values that its key had, in order */
};

static struct story stories[AHEADS];

#define FOR_EACH_STORY(story) for (struct story *story = stories; story < stories + AHEADS; story++)

static void holder_run(struct story *story, const char *sql)
{
    char *error = NULL;
    if (sqlite3_exec(story->holder, sql, NULL, NULL, &error) != SQLITE_OK)
        test_fail("%s: %s", sql, error);
}

/** Send the partition's next event. @param skipped  how many sequences are left out before it. */
static const char *send_next(struct story *story, int partition, int skipped)
{
    story->sent[partition] += 1 + skipped;
    const char *text = test_format("%d", story->sent[partition]);
    agent_world_send(&story->world, &(struct agent_world_event){.partition = partition,
                                                                .sequence = story->sent[partition],
                                                                .text = text});
    return text;
}

static void expect_next(struct story *story, int partition, const char *text)
{
    const char *before = story->expected[partition];
    story->expected[partition] = before == NULL ? text : test_format("%s,%s", before, text);
}

/** @return what SEEN says once all that is expected was applied. */
static const char *expected_rows(const struct story *story)
{
    const struct agent_world *world = &story->world;
    int first = world->keys[0] < world->keys[1] ? 0 : 1;
    const char *rows = "";
    for (int i = 0; i < AGENT_WORLD_PARTITIONS; i++) {
        int partition = i == 0 ? first : 1 - first;
        if (story->expected[partition] != NULL)
            rows = test_format("%s%d|%s\n", rows, world->keys[partition],
                               story->expected[partition]);
    }
    return rows;
}

static bool waits_to_apply(void *context)
{
    const struct story *story = context;
    const struct agent_partition_metrics *rows = story->world.metrics->partitions;
    bool first = atomic_load(&rows[0].oldest_unapplied_us) != 0;
    bool second = atomic_load(&rows[1].oldest_unapplied_us) != 0;
    return first && (second || story->ahead != AHEAD_OTHER_PARTITION);
}

/** Start an agent, with the first event of each partition. */
static void begin(struct story *story)
{
    struct agent_world *world = &story->world;
    agent_world_make(world, AGENT_WORLD_PARTITIONS);
    world->config.limits.batch_events = 1;
    (void)send_next(story, 0, 0);
    (void)send_next(story, 1, 0);
    agent_world_start(world);
}

/** Wait until it is caught up. From now on the copy notes each value that a row takes. */
static void catch_up(struct story *story)
{
    struct agent_world *world = &story->world;
    assert_true(sqlite_wait_for(world->database, "SELECT count(*) FROM orders", "2\n", LIMIT_MS));
    (void)sqlite_text(world->database, "CREATE TABLE seen(n INTEGER PRIMARY KEY, id, a);"
                                       "CREATE TRIGGER seen AFTER UPDATE ON orders "
                                       "BEGIN INSERT INTO seen(id, a) VALUES(new.id, new.a); END;");
    assert_int_equal(sqlite3_open(world->database, &story->holder), SQLITE_OK);
    (void)sqlite3_busy_timeout(story->holder, BUSY_MS);
}

/** Hold up the next event of partition 0, and let the reader read what the story says.
 * @param skipped  sequences that are left out before the first of them. */
static void hold_up(struct story *story, int skipped)
{
    holder_run(story, "BEGIN IMMEDIATE");
    const char *text = send_next(story, 0, skipped);
    if (skipped == 0)
        expect_next(story, 0, text);
    (void)usleep(READ_US); /* the next event comes too late for this batch */
    if (story->ahead == AHEAD_SAME_PARTITION) {
        text = send_next(story, 0, 0);
        if (skipped == 0)
            expect_next(story, 0, text);
    }
    if (story->ahead == AHEAD_OTHER_PARTITION)
        expect_next(story, 1, send_next(story, 1, 0));
    if (!test_wait(waits_to_apply, story, LIMIT_MS))
        test_fail("story %d: nothing waits", (int)story->ahead);
    (void)usleep(READ_US);
}

static void begin_all(void)
{
    FOR_EACH_STORY(story)
    {
        *story = (struct story){.ahead = (enum ahead)(story - stories)};
        begin(story);
    }
    FOR_EACH_STORY(story)
    catch_up(story);
}

static void hold_up_all(void)
{
    FOR_EACH_STORY(story)
    hold_up(story, 0);
}

/** @return once the copy has seen what it should, and nothing else. */
static void expect_seen(struct story *story)
{
    if (!sqlite_wait_for(story->world.database, SEEN, expected_rows(story), LIMIT_MS))
        test_fail("story %d: seen\n%swhere this was expected\n%s", (int)story->ahead,
                  sqlite_text(story->world.database, SEEN), expected_rows(story));
}

/** Send one event more a partition; all must have been applied then, once and in order. */
static void finish_all(void)
{
    FOR_EACH_STORY(story)
    {
        for (int partition = 0; partition < AGENT_WORLD_PARTITIONS; partition++)
            expect_next(story, partition, send_next(story, partition, 0));
    }
    FOR_EACH_STORY(story)
    {
        expect_seen(story);
        agent_world_end(&story->world);
        assert_string_equal(sqlite_text(story->world.database, SEEN), expected_rows(story));
        (void)sqlite3_close(story->holder);
        agent_world_done(&story->world);
    }
}

static void a_batch_that_is_held_up_is_followed_by_the_next(void **state)
{
    (void)state;
    begin_all();
    hold_up_all();
    FOR_EACH_STORY(story)
    holder_run(story, "COMMIT");
    finish_all();
}

static bool has_failed(void *context)
{
    struct story *story = context;
    return atomic_load(&story->world.metrics->state) == AGENT_WAITING_DATABASE;
}

static bool is_applying(void *context)
{
    struct story *story = context;
    return atomic_load(&story->world.metrics->state) == AGENT_APPLYING;
}

static void expect_failed_all(void)
{
    FOR_EACH_STORY(story)
    assert_true(test_wait(has_failed, story, LIMIT_MS));
}

static void a_batch_that_fails_is_applied_before_the_next(void **state)
{
    (void)state;
    begin_all();
    hold_up_all();
    expect_failed_all();
    FOR_EACH_STORY(story)
    holder_run(story, "COMMIT");
    finish_all();
}

/* An operator's command raises the revision, so the agent reads the position anew. */
static void what_was_read_is_dropped_when_positions_are_read_anew(void **state)
{
    (void)state;
    begin_all();
    hold_up_all();
    FOR_EACH_STORY(story)
    holder_run(story, "UPDATE keepstep_position SET revision = revision + 1; COMMIT");
    finish_all();
}

static void what_was_read_is_dropped_when_one_partition_is_read_anew(void **state)
{
    (void)state;
    begin_all();
    hold_up_all();
    expect_failed_all();
    FOR_EACH_STORY(story)
    holder_run(story, "UPDATE keepstep_position SET revision = revision + 1 WHERE partition = 0;"
                      "COMMIT");
    finish_all();
}

static void what_was_read_is_dropped_when_another_agent_has_taken_the_partitions(void **state)
{
    (void)state;
    begin_all();
    hold_up_all();
    FOR_EACH_STORY(story)
    holder_run(story, "UPDATE keepstep_position SET epoch = epoch + 1; COMMIT");
    finish_all();
}

/* The stop is found in the batch; events of its partition are in the next one. */
static void a_partition_that_stops_drops_what_was_read_of_it(void **state)
{
    (void)state;
    begin_all();
    FOR_EACH_STORY(story)
    hold_up(story, 1);
    FOR_EACH_STORY(story)
    holder_run(story, "COMMIT");
    FOR_EACH_STORY(story)
    {
        assert_true(sqlite_wait_for(
            story->world.database,
            "SELECT partition, next_offset FROM keepstep_position WHERE stopped <> ''", "0|1\n",
            LIMIT_MS));
        expect_next(story, 1, send_next(story, 1, 0));
        expect_seen(story);
        agent_world_end(&story->world);
        assert_string_equal(sqlite_text(story->world.database, SEEN), expected_rows(story));
        assert_int_equal(sqlite_number(story->world.database,
                                       "SELECT next_offset FROM keepstep_position WHERE "
                                       "partition = 0"),
                         1);
        (void)sqlite3_close(story->holder);
        agent_world_done(&story->world);
    }
}

static void an_agent_that_is_stopped_meanwhile_goes_on_after_its_start(void **state)
{
    (void)state;
    begin_all();
    hold_up_all();
    FOR_EACH_STORY(story)
    {
        atomic_store(&story->world.run.stop, true);
        holder_run(story, "COMMIT");
    }
    FOR_EACH_STORY(story)
    {
        agent_world_end(&story->world);
        agent_world_start(&story->world);
    }
    finish_all();
}

/* Such an agent joins the group again, and its join is not answered yet when it leaves. */
static void an_agent_that_is_stopped_when_another_has_taken_its_partitions_ends(void **state)
{
    (void)state;
    begin_all();
    hold_up_all();
    FOR_EACH_STORY(story)
    {
        atomic_store(&story->world.run.stop, true);
        holder_run(story, "UPDATE keepstep_position SET epoch = epoch + 1; COMMIT");
    }
    FOR_EACH_STORY(story)
    {
        agent_world_end(&story->world);
        agent_world_start(&story->world);
    }
    finish_all();
}

static void a_member_that_is_fenced_meanwhile_ends_and_its_successor_goes_on(void **state)
{
    (void)state;
    begin_all();
    hold_up_all();
    FOR_EACH_STORY(story)
    rd_kafka_mock_push_request_errors(story->world.cluster, HEARTBEAT, 1,
                                      RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID);
    FOR_EACH_STORY(story)
    {
        (void)test_wait(has_failed, story, BUSY_MS / 2); /* a heartbeat comes by then */
        holder_run(story, "COMMIT");
        agent_world_join(&story->world);
        assert_int_equal(story->world.run.status, STATUS_FATAL);
        assert_int_equal(story->world.run.err.exit_code, EX_CONFIG);
        agent_world_start(&story->world);
    }
    finish_all();
}

static rd_kafka_t *join_group(const struct story *story)
{
    const struct agent_world *world = &story->world;
    char group[FEED_GROUP_SIZE];
    const char *copy = sqlite_text(world->database,
                                   "SELECT value FROM keepstep_meta WHERE key = 'copy_id'");
    feed_group_name(&world->config, test_format("%.*s", (int)strcspn(copy, "\n"), copy), group);
    const struct text_pair pairs[] = {{"group.id", group},
                                      {"session.timeout.ms", SESSION_TEXT},
                                      {"partition.assignment.strategy", "range"},
                                      {"enable.auto.commit", "false"}};
    const struct kafka_settings layers[] = {{&world->kafka, 1}, KAFKA_SETTINGS(pairs)};
    struct error err = ERROR_INIT;
    rd_kafka_conf_t *conf = NULL;
    rd_kafka_t *member = NULL;
    assert_int_equal(kafka_conf_new(layers, 2, &conf, &err), STATUS_OK);
    assert_int_equal(kafka_handle_new(RD_KAFKA_CONSUMER, conf, &member, &err), STATUS_OK);
    (void)rd_kafka_poll_set_consumer(member);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    (void)rd_kafka_topic_partition_list_add(topics, "order", RD_KAFKA_PARTITION_UA);
    assert_int_equal(rd_kafka_subscribe(member, topics), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_topic_partition_list_destroy(topics);
    return member;
}

/** Poll as a member of the group. @return whether it owns a partition. */
static bool owns_one(void *context)
{
    rd_kafka_t *member = context;
    rd_kafka_topic_partition_list_t *assigned = NULL;
    rd_kafka_message_t *message = rd_kafka_consumer_poll(member, 10);
    if (message != NULL)
        rd_kafka_message_destroy(message);
    if (rd_kafka_assignment(member, &assigned) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    bool owns = assigned->cnt > 0;
    rd_kafka_topic_partition_list_destroy(assigned);
    return owns;
}

static void what_was_read_is_dropped_when_the_group_rebalances(void **state)
{
    rd_kafka_t *members[AHEADS];
    (void)state;
    begin_all();
    hold_up_all();
    for (int i = 0; i < AHEADS; i++)
        members[i] = join_group(&stories[i]);
    (void)sleep(2); /* the agents learn of it while their batches are held up */
    FOR_EACH_STORY(story)
    holder_run(story, "COMMIT");
    for (int i = 0; i < AHEADS; i++) {
        assert_true(test_wait(owns_one, members[i], LIMIT_MS));
        (void)rd_kafka_consumer_close(members[i]);
        rd_kafka_destroy(members[i]);
    }
    finish_all();
}

static void what_was_read_is_kept_while_the_broker_is_away(void **state)
{
    (void)state;
    begin_all();
    hold_up_all();
    FOR_EACH_STORY(story)
    (void)rd_kafka_mock_broker_set_down(story->world.cluster, 1);
    (void)usleep(READ_US);
    FOR_EACH_STORY(story)
    {
        holder_run(story, "COMMIT");
        expect_seen(story);
        (void)rd_kafka_mock_broker_set_up(story->world.cluster, 1);
    }
    finish_all();
}

/* The end of the log stands behind what was read ahead. The position must not move there with the
 * batch that failed. */
static void the_end_of_the_log_waits_for_what_was_read_before_it(void **state)
{
    struct story *story = &stories[0];
    struct agent_world *world = &story->world;
    char large[LARGE + 1];
    (void)state;
    memset(large, 'x', LARGE);
    large[LARGE] = '\0';
    *story = (struct story){.ahead = AHEAD_NOTHING};
    begin(story);
    catch_up(story);
    agent_world_end(world);
    world->config.limits.batch_events = 100;
    world->config.limits.batch_bytes = LARGE / 2; /* the large event fills a batch */
    agent_world_start(world);
    assert_true(test_wait(is_applying, story, LIMIT_MS));
    (void)usleep(READ_US);
    holder_run(story, "BEGIN IMMEDIATE");
    story->sent[0]++;
    agent_world_send(world, &(struct agent_world_event){.sequence = story->sent[0], .text = large});
    (void)usleep(READ_US);
    expect_next(story, 0, large);
    expect_next(story, 0, send_next(story, 0, 0));
    expect_next(story, 0, send_next(story, 0, 0));
    assert_true(test_wait(has_failed, story, LIMIT_MS));
    (void)usleep(READ_US);
    holder_run(story, "COMMIT");
    expect_seen(story);
    expect_next(story, 0, send_next(story, 0, 0));
    expect_seen(story);
    agent_world_end(world);
    (void)sqlite3_close(story->holder);
    agent_world_done(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_batch_that_is_held_up_is_followed_by_the_next, 120),
        TEST_WITH_LIMIT(a_batch_that_fails_is_applied_before_the_next, 120),
        TEST_WITH_LIMIT(what_was_read_is_dropped_when_positions_are_read_anew, 120),
        TEST_WITH_LIMIT(what_was_read_is_dropped_when_one_partition_is_read_anew, 120),
        TEST_WITH_LIMIT(what_was_read_is_dropped_when_another_agent_has_taken_the_partitions, 120),
        TEST_WITH_LIMIT(a_partition_that_stops_drops_what_was_read_of_it, 120),
        TEST_WITH_LIMIT(an_agent_that_is_stopped_meanwhile_goes_on_after_its_start, 120),
        TEST_WITH_LIMIT(an_agent_that_is_stopped_when_another_has_taken_its_partitions_ends, 120),
        TEST_WITH_LIMIT(a_member_that_is_fenced_meanwhile_ends_and_its_successor_goes_on, 120),
        TEST_WITH_LIMIT(what_was_read_is_dropped_when_the_group_rebalances, 120),
        TEST_WITH_LIMIT(what_was_read_is_kept_while_the_broker_is_away, 120),
        TEST_WITH_LIMIT(the_end_of_the_log_waits_for_what_was_read_before_it, 120),
    };
    return TEST_RUN(tests);
}
