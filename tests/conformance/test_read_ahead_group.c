/* What was read ahead of a batch that is held up, when the agent is stopped, or loses its
 * partitions to another one. labels: threads */
#include "tests/support/held_batch.h"

#include "consumer/feed/feed.h"

#include <sysexits.h>
#include <unistd.h>

#define HEARTBEAT    12 /* Kafka's number of this request */
#define SESSION_TEXT "6000"

static void what_was_read_is_dropped_when_another_agent_has_taken_the_partitions(void **state)
{
    (void)state;
    stories_begin();
    stories_hold_up();
    FOR_EACH_STORY(story)
    story_hold(story, "UPDATE keepstep_position SET epoch = epoch + 1; COMMIT");
    stories_finish();
}

static void an_agent_that_is_stopped_meanwhile_goes_on_after_its_start(void **state)
{
    (void)state;
    stories_begin();
    stories_hold_up();
    FOR_EACH_STORY(story)
    {
        atomic_store(&story->world.run.stop, true);
        story_hold(story, "COMMIT");
    }
    FOR_EACH_STORY(story)
    {
        agent_world_end(&story->world);
        agent_world_start(&story->world);
    }
    stories_finish();
}

/* Such an agent joins the group again, and its join is not answered yet when it leaves. */
static void an_agent_that_is_stopped_when_another_has_taken_its_partitions_ends(void **state)
{
    (void)state;
    stories_begin();
    stories_hold_up();
    FOR_EACH_STORY(story)
    {
        atomic_store(&story->world.run.stop, true);
        story_hold(story, "UPDATE keepstep_position SET epoch = epoch + 1; COMMIT");
    }
    FOR_EACH_STORY(story)
    {
        agent_world_end(&story->world);
        agent_world_start(&story->world);
    }
    stories_finish();
}

static void a_member_that_is_fenced_meanwhile_ends_and_its_successor_goes_on(void **state)
{
    (void)state;
    stories_begin();
    stories_hold_up();
    FOR_EACH_STORY(story)
    rd_kafka_mock_push_request_errors(story->world.cluster, HEARTBEAT, 1,
                                      RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID);
    FOR_EACH_STORY(story)
    {
        (void)test_wait(story_has_failed, story,
                        HELD_BATCH_BUSY_MS / 2); /* a heartbeat comes by then */
        story_hold(story, "COMMIT");
        agent_world_join(&story->world);
        assert_int_equal(story->world.run.status, STATUS_FATAL);
        assert_int_equal(story->world.run.err.exit_code, EX_CONFIG);
        agent_world_start(&story->world);
    }
    stories_finish();
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
    stories_begin();
    stories_hold_up();
    for (int i = 0; i < AHEADS; i++)
        members[i] = join_group(&stories[i]);
    (void)sleep(2); /* the agents learn of it while their batches are held up */
    FOR_EACH_STORY(story)
    story_hold(story, "COMMIT");
    for (int i = 0; i < AHEADS; i++) {
        assert_true(test_wait(owns_one, members[i], HELD_BATCH_LIMIT_MS));
        (void)rd_kafka_consumer_close(members[i]);
        rd_kafka_destroy(members[i]);
    }
    stories_finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(what_was_read_is_dropped_when_another_agent_has_taken_the_partitions, 120),
        TEST_WITH_LIMIT(an_agent_that_is_stopped_meanwhile_goes_on_after_its_start, 120),
        TEST_WITH_LIMIT(an_agent_that_is_stopped_when_another_has_taken_its_partitions_ends, 120),
        TEST_WITH_LIMIT(a_member_that_is_fenced_meanwhile_ends_and_its_successor_goes_on, 120),
        TEST_WITH_LIMIT(what_was_read_is_dropped_when_the_group_rebalances, 120),
    };
    return TEST_RUN(tests);
}
