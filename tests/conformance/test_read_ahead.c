/* Whatever happens while one batch is held up and the next one is read: nothing is lost, repeated
 * or out of order. labels: threads */
#include "tests/support/held_batch.h"

#include <unistd.h>

#define LARGE 2000

static void a_batch_that_is_held_up_is_followed_by_the_next(void **state)
{
    (void)state;
    stories_begin();
    stories_hold_up();
    FOR_EACH_STORY(story)
    story_hold(story, "COMMIT");
    stories_finish();
}

static void a_batch_that_fails_is_applied_before_the_next(void **state)
{
    (void)state;
    stories_begin();
    stories_hold_up();
    stories_expect_failed();
    FOR_EACH_STORY(story)
    story_hold(story, "COMMIT");
    stories_finish();
}

/* An operator's command raises the revision, so the agent reads the position anew. */
static void what_was_read_is_dropped_when_positions_are_read_anew(void **state)
{
    (void)state;
    stories_begin();
    stories_hold_up();
    FOR_EACH_STORY(story)
    story_hold(story, "UPDATE keepstep_position SET revision = revision + 1; COMMIT");
    stories_finish();
}

static void what_was_read_is_dropped_when_one_partition_is_read_anew(void **state)
{
    (void)state;
    stories_begin();
    stories_hold_up();
    stories_expect_failed();
    FOR_EACH_STORY(story)
    story_hold(story, "UPDATE keepstep_position SET revision = revision + 1 WHERE partition = 0;"
                      "COMMIT");
    stories_finish();
}

/* The stop is found in the batch; events of its partition are in the next one. */
static void a_partition_that_stops_drops_what_was_read_of_it(void **state)
{
    (void)state;
    stories_begin();
    FOR_EACH_STORY(story)
    story_hold_up(story, 1);
    FOR_EACH_STORY(story)
    story_hold(story, "COMMIT");
    FOR_EACH_STORY(story)
    {
        assert_true(sqlite_wait_for(
            story->world.database,
            "SELECT partition, next_offset FROM keepstep_position WHERE stopped <> ''", "0|1\n",
            HELD_BATCH_LIMIT_MS));
        story_expect(story, 1, story_send(story, 1, 0));
        story_expect_seen(story);
        assert_int_equal(sqlite_number(story->world.database,
                                       "SELECT next_offset FROM keepstep_position WHERE "
                                       "partition = 0"),
                         1);
        story_end(story);
    }
}

static void what_was_read_is_kept_while_the_broker_is_away(void **state)
{
    (void)state;
    stories_begin();
    stories_hold_up();
    FOR_EACH_STORY(story)
    (void)rd_kafka_mock_broker_set_down(story->world.cluster, 1);
    (void)usleep(HELD_BATCH_READ_US);
    FOR_EACH_STORY(story)
    {
        story_hold(story, "COMMIT");
        story_expect_seen(story);
        (void)rd_kafka_mock_broker_set_up(story->world.cluster, 1);
    }
    stories_finish();
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
    story_begin(story);
    story_catch_up(story);
    agent_world_end(world);
    world->config.limits.batch_events = 100;
    world->config.limits.batch_bytes = LARGE / 2; /* the large event fills a batch */
    agent_world_start(world);
    assert_true(test_wait(story_is_applying, story, HELD_BATCH_LIMIT_MS));
    (void)usleep(HELD_BATCH_READ_US);
    story_hold(story, "BEGIN IMMEDIATE");
    story->sent[0]++;
    agent_world_send(world, &(struct agent_world_event){.sequence = story->sent[0], .text = large});
    (void)usleep(HELD_BATCH_READ_US);
    story_expect(story, 0, large);
    story_expect(story, 0, story_send(story, 0, 0));
    story_expect(story, 0, story_send(story, 0, 0));
    assert_true(test_wait(story_has_failed, story, HELD_BATCH_LIMIT_MS));
    (void)usleep(HELD_BATCH_READ_US);
    story_hold(story, "COMMIT");
    story_expect_seen(story);
    story_expect(story, 0, story_send(story, 0, 0));
    story_expect_seen(story);
    story_end(story);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_batch_that_is_held_up_is_followed_by_the_next, 120),
        TEST_WITH_LIMIT(a_batch_that_fails_is_applied_before_the_next, 120),
        TEST_WITH_LIMIT(what_was_read_is_dropped_when_positions_are_read_anew, 120),
        TEST_WITH_LIMIT(what_was_read_is_dropped_when_one_partition_is_read_anew, 120),
        TEST_WITH_LIMIT(a_partition_that_stops_drops_what_was_read_of_it, 120),
        TEST_WITH_LIMIT(what_was_read_is_kept_while_the_broker_is_away, 120),
        TEST_WITH_LIMIT(the_end_of_the_log_waits_for_what_was_read_before_it, 120),
    };
    return TEST_RUN(tests);
}
