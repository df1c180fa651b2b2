/* Agents on SQLite that take one event a batch, with one batch held up by a lock of the database,
 * so that it is known what their readers have read: three stories at once. */
#ifndef TESTS_SUPPORT_HELD_BATCH_H
#define TESTS_SUPPORT_HELD_BATCH_H

#include "tests/support/agent_world.h"

#include <sqlite3.h>

#define HELD_BATCH_READ_US  500000 /* within which the reader reads what is there */
#define HELD_BATCH_LIMIT_MS 60000
#define HELD_BATCH_BUSY_MS                                                                         \
    5000 /* after which the agent's transaction gives up a locked database                         \
          */

/** What the reader has read while the batch, an event of partition 0, is held up. */
enum ahead { AHEAD_NOTHING, AHEAD_SAME_PARTITION, AHEAD_OTHER_PARTITION, AHEADS };

struct story {
    struct agent_world world;
    sqlite3 *holder;
    enum ahead ahead;
    int sent[AGENT_WORLD_PARTITIONS];
    const char *expected[AGENT_WORLD_PARTITIONS]; /* of the values that its key had, in order */
};

extern struct story stories[AHEADS];

#define FOR_EACH_STORY(story) for (struct story *story = stories; story < stories + AHEADS; story++)

/** Run a statement in the session that holds the batch up. */
void story_hold(struct story *story, const char *sql);

/** Send the partition's next event. @param skipped  how many sequences are left out before it. */
const char *story_send(struct story *story, int partition, int skipped);

/** The value comes next in what the copy should see. */
void story_expect(struct story *story, int partition, const char *text);

/** Start an agent, with the first event of each partition. */
void story_begin(struct story *story);

/** Wait until it is caught up. From now on the copy notes each value that a row takes. */
void story_catch_up(struct story *story);

/** Hold up the next event of partition 0, and let the reader read what the story says.
 * @param skipped  sequences that are left out before the first of them. */
void story_hold_up(struct story *story, int skipped);

/** Begin, and hold up, in all of them. */
void stories_begin(void);
void stories_hold_up(void);

/** @return once the copy has seen what it should, and nothing else. */
void story_expect_seen(struct story *story);

/** End an agent. Its copy has seen what it should. */
void story_end(struct story *story);

/** Send one event more a partition; all must have been applied then, once and in order. */
void stories_finish(void);

/** @return whether the agent waits for its database, or applies; `context` is a story. */
bool story_has_failed(void *context);
bool story_is_applying(void *context);

/** Each has given up its batch. */
void stories_expect_failed(void);

#endif
