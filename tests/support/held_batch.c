/* Agents on SQLite with one batch held up, and what their copies should see. */
#include "tests/support/held_batch.h"

#include <unistd.h>

#define SEEN "SELECT id, group_concat(a) FROM (SELECT * FROM seen ORDER BY n) GROUP BY id"

struct story stories[AHEADS];

void story_hold(struct story *story, const char *sql)
{
    char *error = NULL;
    if (sqlite3_exec(story->holder, sql, NULL, NULL, &error) != SQLITE_OK)
        test_fail("%s: %s", sql, error);
}

const char *story_send(struct story *story, int partition, int skipped)
{
    story->sent[partition] += 1 + skipped;
    const char *text = test_format("%d", story->sent[partition]);
    agent_world_send(&story->world, &(struct agent_world_event){.partition = partition,
                                                                .sequence = story->sent[partition],
                                                                .text = text});
    return text;
}

void story_expect(struct story *story, int partition, const char *text)
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

void story_begin(struct story *story)
{
    struct agent_world *world = &story->world;
    agent_world_make(world, AGENT_WORLD_PARTITIONS);
    world->config.limits.batch_events = 1;
    (void)story_send(story, 0, 0);
    (void)story_send(story, 1, 0);
    agent_world_start(world);
}

void story_catch_up(struct story *story)
{
    struct agent_world *world = &story->world;
    assert_true(sqlite_wait_for(world->database, "SELECT count(*) FROM orders", "2\n",
                                HELD_BATCH_LIMIT_MS));
    (void)sqlite_text(world->database, "CREATE TABLE seen(n INTEGER PRIMARY KEY, id, a);"
                                       "CREATE TRIGGER seen AFTER UPDATE ON orders "
                                       "BEGIN INSERT INTO seen(id, a) VALUES(new.id, new.a); END;");
    assert_int_equal(sqlite3_open(world->database, &story->holder), SQLITE_OK);
    (void)sqlite3_busy_timeout(story->holder, HELD_BATCH_BUSY_MS);
}

void story_hold_up(struct story *story, int skipped)
{
    story_hold(story, "BEGIN IMMEDIATE");
    const char *text = story_send(story, 0, skipped);
    if (skipped == 0)
        story_expect(story, 0, text);
    (void)usleep(HELD_BATCH_READ_US); /* the next event comes too late for this batch */
    if (story->ahead == AHEAD_SAME_PARTITION) {
        text = story_send(story, 0, 0);
        if (skipped == 0)
            story_expect(story, 0, text);
    }
    if (story->ahead == AHEAD_OTHER_PARTITION)
        story_expect(story, 1, story_send(story, 1, 0));
    if (!test_wait(waits_to_apply, story, HELD_BATCH_LIMIT_MS))
        test_fail("story %d: nothing waits", (int)story->ahead);
    (void)usleep(HELD_BATCH_READ_US);
}

void stories_begin(void)
{
    FOR_EACH_STORY(story)
    {
        *story = (struct story){.ahead = (enum ahead)(story - stories)};
        story_begin(story);
    }
    FOR_EACH_STORY(story)
    story_catch_up(story);
}

void stories_hold_up(void)
{
    FOR_EACH_STORY(story)
    story_hold_up(story, 0);
}

void story_expect_seen(struct story *story)
{
    if (!sqlite_wait_for(story->world.database, SEEN, expected_rows(story), HELD_BATCH_LIMIT_MS))
        test_fail("story %d: seen\n%swhere this was expected\n%s", (int)story->ahead,
                  sqlite_text(story->world.database, SEEN), expected_rows(story));
}

void story_end(struct story *story)
{
    agent_world_end(&story->world);
    assert_string_equal(sqlite_text(story->world.database, SEEN), expected_rows(story));
    (void)sqlite3_close(story->holder);
    agent_world_done(&story->world);
}

void stories_finish(void)
{
    FOR_EACH_STORY(story)
    {
        for (int partition = 0; partition < AGENT_WORLD_PARTITIONS; partition++)
            story_expect(story, partition, story_send(story, partition, 0));
    }
    FOR_EACH_STORY(story)
    {
        story_expect_seen(story);
        story_end(story);
    }
}

bool story_has_failed(void *context)
{
    struct story *story = context;
    return atomic_load(&story->world.metrics->state) == AGENT_WAITING_DATABASE;
}

bool story_is_applying(void *context)
{
    struct story *story = context;
    return atomic_load(&story->world.metrics->state) == AGENT_APPLYING;
}

void stories_expect_failed(void)
{
    FOR_EACH_STORY(story)
    assert_true(test_wait(story_has_failed, story, HELD_BATCH_LIMIT_MS));
}
