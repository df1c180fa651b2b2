/* What agent.c, assign.c, agent_lag.c and agent_topics.c share. */
#ifndef CONSUMER_AGENT_INTERNAL_H
#define CONSUMER_AGENT_INTERNAL_H

#include "consumer/agent/agent.h"
#include "consumer/apply/applier.h"
#include "consumer/feed/feed.h"

/** What the agent notes of a partition beside the applier's slot of the same index. */
struct agent_partition {
    int64_t anchor_offset; /* to be compared when it is read; -1: nothing to compare */
    char anchor_id[STORE_ID_SIZE];
    int64_t hinted_offset;
    bool paused; /* it has stopped */
};

/** When something is done the next time. */
struct agent_timer {
    int64_t next_us; /* monotonic; 0: not begun */
    int64_t wait_us; /* the last wait of agent_is_due_seldom() */
};

/** What the agent does now and then, each as often as it needs. */
struct agent_timers {
    struct agent_timer revisions;
    struct agent_timer prune;
    struct agent_timer kept_images;
    struct agent_timer ends; /* positions move past what is no event */
    struct agent_timer lag;
    struct agent_timer hints;
    struct agent_timer other_hints;
    struct agent_timer missing_topics;
    struct agent_timer missing_owners;
};

struct agent {
    const struct config *config;
    const struct mapping *mappings;
    size_t mapping_count;
    struct agent_metrics *metrics;
    const struct store_ops *ops;
    const atomic_bool *stop;
    enum agent_state state;
    struct applier *applier;
    struct feed *feed;
    struct batch batch;
    const char **topics;
    size_t topic_count;
    struct agent_partition *partitions;
    size_t partition_count;
    bool has_outbox;    /* the service writes in this database too: leave it time (rule 19) */
    bool retrying;      /* the batch failed and is applied again as it is */
    int64_t backoff_us; /* of the database; 0: it answers */
    struct agent_timers timers;
    size_t lag_index;        /* the partition whose lag was measured last */
    size_t other_hint_index; /* of all partitions, the one whose hint is read next */
};

void agent_set_state(struct agent *agent, enum agent_state state);

/** @return whether it is time; the next time comes after `period_us`. */
bool agent_is_due(struct agent_timer *timer, int64_t period_us);

/* assign.c */

/** Take the assigned partitions and start reading where the database says. */
enum status agent_assign(struct agent *agent, const struct feed_event *event,
                         struct error *err) MUST_CHECK;

/** Now and then compare what another agent of the group has told of its partition with this
 * database: where it is not there, the other one writes into a clone (rule 8). What is told was in
 * the database before, so the hint is read first. @return OK; RETRY; FATAL with exit code 78. */
enum status agent_check_other_hints(struct agent *agent, struct error *err) MUST_CHECK;

/** Pause what has stopped. */
enum status agent_pause_stopped(struct agent *agent, struct error *err) MUST_CHECK;

/** Give everything up without applying. */
void agent_drop(struct agent *agent);

/** Compare a record with the anchor of its partition (rule 5).
 * @return OK with *ret_pass false where the record was the anchor itself; STOP. */
enum status agent_check_anchor(struct agent *agent, size_t index, const struct record *record,
                               bool *ret_pass, struct error *err) MUST_CHECK;

/* lag.c */

/** Note where the log ends. @param stable  last stable offset that was answered; -1: none. */
void agent_note_log_end(struct agent *agent, struct topic_partition tp, int64_t stable);

/** Nothing of a partition waits in the batch any more: it is read anew. */
void agent_forget_waiting(struct agent *agent, struct topic_partition tp);

/** The last record of the batch waits from now on. */
void agent_note_waiting(struct agent *agent);

/** The batch was applied as far as its partitions go on. */
void agent_note_applied(struct agent *agent);

/** Ask for one partition's last stable offset, if it is time; without an answer it is unknown. */
void agent_measure_lag(struct agent *agent);

/* topics.c */

/** Each topic once, whatever the number of types in it. */
enum status agent_add_topics(struct agent *agent, struct error *err) MUST_CHECK;

/** Where a topic did not exist and does now, and where nobody in the group has a partition, join it
 * again: nothing else waits for them. @return OK; FATAL as feed_open(). */
enum status agent_find_partitions(struct agent *agent, struct error *err) MUST_CHECK;

#endif
