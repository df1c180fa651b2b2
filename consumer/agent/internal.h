/* What the agent's files share. */
#ifndef CONSUMER_AGENT_INTERNAL_H
#define CONSUMER_AGENT_INTERNAL_H

#include "consumer/agent/agent.h"
#include "consumer/apply/large.h"
#include "consumer/feed/feed.h"

/** How far a change set is that is not kept in memory. */
enum large_state {
    LARGE_NONE,    /* there is none */
    LARGE_READING, /* its end has not been read */
    LARGE_READ,    /* it can be read again and applied */
};

/** What only the agent knows of an owned partition; its index is the applier's. The reader reads it
 * while it fills a batch; nothing of it changes by then. */
struct agent_partition {
    struct topic_partition tp; /* its name is one of agent->topics */
    const struct record_form *form;
    struct agent_partition_metrics *metrics;
    int64_t anchor_offset; /* to be compared when it is read; -1: nothing to compare */
    char anchor_id[STORE_ID_SIZE];
    int64_t hinted_offset; /* that the group was told last */
    int64_t next_end;      /* the log's end, read and not noted yet; -1: none */
    bool paused;           /* it is not read: it has stopped, is put off, or its type is paused */
    bool type_is_paused;   /* so it is read up to its first event, which says since when it lags */
    bool is_open;          /* a change set of it lacks its end */
    uint64_t open_end;     /* the last sequence of that set; 0: none */
    int64_t read_to;       /* the last offset that was read of an open set */
    int64_t read_us;       /* monotonic, when */
    bool is_put_off;       /* so it is paused, until there is room for its open set */
    enum large_state large_state;
    struct large_set large;       /* unless large_state is LARGE_NONE */
    int64_t large_again_us;       /* monotonic: it is not applied earlier */
    int64_t large_wait_us;        /* how long the next attempt that comes to nothing puts it off */
    int large_refusals;           /* of the set of the next field, which may heal by itself */
    int64_t large_refused_offset; /* of the first record of that */
    int64_t large_heal_us; /* monotonic: the partition, which has stopped for that, goes on; 0 */
    bool is_overtaken;     /* latch: that the log lost events while it was paused was logged */
};

struct reader;
struct agent_loading;

/** When something is done the next time. */
struct agent_timer {
    int64_t next_us; /* monotonic; 0: not begun */
    int64_t wait_us; /* the last wait of agent_is_due_seldom() */
};

#define AGENT_STEPS 16

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
    struct batch batch; /* it is filled, then applied */
    struct batch next; /* read while `batch` is applied; it holds events only until that succeeds */
    struct batch large_batch; /* of a change set that is not kept in memory; made when needed */
    struct reader *reader;
    const char **topics;
    size_t topic_count;
    bool *wants_fill; /* by topic: it is to be filled, and nobody has written that down yet */
    bool *owns_first; /* by topic: this agent owns partition 0 */
    struct fill_wishes *wishes;    /* NULL: no copy is filled by itself */
    struct agent_loading *loading; /* the topics that it fills, one at a time: the first */
    struct fill_state *fills;      /* of all topics, as they were read last */
    size_t fill_count;
    struct paused_types pauses; /* as they were read last */
    struct agent_partition *partitions;
    size_t partition_count;
    bool has_outbox;    /* the service writes in this database too: give it time (rule 19) */
    bool has_put_off;   /* a partition waits until others' open sets leave it room */
    bool has_open;      /* a change set lacks its end: it is read, and applied with that */
    bool retrying;      /* the batch failed and is applied again as it is */
    int64_t backoff_us; /* of the database; 0: it answers */
    struct agent_timer step_timers[AGENT_STEPS];
    struct agent_timer ends; /* of the logs: positions move past records that are no events */
    struct agent_timer lag;
    struct agent_timer retention;
    struct agent_timer other_hints;
    struct agent_timer missing_topics;
    struct agent_timer missing_owners;
    struct agent_timer wanted_fills;
    size_t last_index;       /* of the partition that was read last */
    size_t lag_index;        /* the partition whose lag was measured last */
    size_t other_hint_index; /* of all partitions, the one whose hint is read next */
};

void agent_set_state(struct agent *agent, enum agent_state state);

/** @param guess  the index where the search begins: mostly that of the last record.
 * @return the index of an owned partition; SIZE_MAX. */
size_t agent_partition_find(const struct agent_partition *partitions, size_t count, size_t guess,
                            struct topic_partition tp);

/** @return whether it is time; the next time comes after `period_us`. */
bool agent_is_due(struct agent_timer *timer, int64_t period_us);

/* batches.c */

/** @return OK; FATAL (no memory). */
enum status agent_init_batches(struct agent *agent, struct error *err) MUST_CHECK;

/** Empty both batches. */
void agent_reset_batches(struct agent *agent);

/** @return the batch to which the record that was polled now is added. */
struct batch *agent_filled_batch(struct agent *agent);

/** Lend the feed and the next batch to the reader, if the batch that is about to be applied is
 * worth it. After a failure nothing is read ahead.
 * @return whether they are lent: then call reader_end() before anything else but the applier. */
bool agent_begin_read_ahead(struct agent *agent);

/** Where the batch is empty, go on with the next one. Then note the ends of the logs that stand
 * behind the batch. */
void agent_take_next(struct agent *agent);

/** Drop what was read of a partition, before it stops or is read again. */
void agent_forget_read(struct agent *agent, size_t index);

/* sets.c */

/** Leave the events of open change sets to the next batch, so that the batch can be applied.
 * @return OK; FATAL (no memory); as applier_stop() where a set is too large. */
enum status agent_keep_open(struct agent *agent, struct error *err) MUST_CHECK;

/** No change set is open any more: its partitions are given up. */
void agent_forget_open(struct agent *agent);

/** @return whether the batch has nothing that could be applied before more is read. */
bool agent_waits_for_more(const struct agent *agent);

/* large.c */

/** Read a set to its end without keeping it. @param first  its first event, which is forgotten with
 * all that was read behind it. @return OK; RETRY; STOP; FATAL. */
enum status agent_begin_large(struct agent *agent, const struct change *first,
                              struct error *err) MUST_CHECK;

/** Take a record of a partition with such a set. @return OK; FATAL; as applier_stop(). */
enum status agent_read_large(struct agent *agent, size_t index, const struct record *record,
                             struct error *err) MUST_CHECK;

/** @return whether such a set has been read to its end and can be applied now. */
bool agent_is_large_read(const struct agent *agent);

/** Apply those that were. Nothing else is read meanwhile. One that is refused for what may heal
 * stops its partition, which goes on by itself later. Statuses as applier_apply(). */
enum status agent_apply_large(struct agent *agent, struct error *err) MUST_CHECK;

/** What was read of such a set counts no more. */
void agent_forget_large(struct agent_partition *partition);

/* large_again.c */

/** @return whether the set that the partition is at was refused for what may heal. */
bool agent_was_refused(const struct agent_partition *partition);

/** A set is refused for what may heal: its partition stops, and goes on by itself after a while.
 * @param took_us  what the attempt lasted. Statuses as applier_stop(). */
enum status agent_wait_for_large(struct agent *agent, size_t index, const char *reason,
                                 int64_t took_us, struct error *err) MUST_CHECK;

/** Let a partition that has stopped so go on, once it is time. Statuses as applier_stop(). */
enum status agent_heal_large(struct agent *agent, size_t index, struct error *err) MUST_CHECK;

/* agent.c */

/** Read an event's partition again from its position on: there is no room for its record. */
void agent_leave_record(struct agent *agent, const struct feed_event *event);

/** Stop a partition for a reason that the agent has found, and record it in the database. Statuses
 * as applier_stop(). */
enum status agent_stop_partition(struct agent *agent, size_t index, const char *reason,
                                 struct error *err) MUST_CHECK;

/** The same without a word in the log: the partition goes on by itself. */
enum status agent_hold_partition(struct agent *agent, size_t index, const char *reason,
                                 struct error *err) MUST_CHECK;

/* assign.c */

/** @return whether nothing was read of a partition: it has no position, or one at 0 that was made
 * only to record why it stands still. */
bool agent_is_unread(const struct partition_state *state, int64_t first);

/** Take the assigned partitions and start reading where the database says. */
enum status agent_assign(struct agent *agent, const struct feed_event *event,
                         struct error *err) MUST_CHECK;

/** Pause the partitions that have stopped. */
enum status agent_pause_stopped(struct agent *agent, struct error *err) MUST_CHECK;

/** Give all partitions up. The batch is not applied. */
void agent_drop(struct agent *agent);

/** Compare a record with the anchor of its partition (rule 5).
 * @return OK with *ret_pass false where the record was the anchor itself; STOP. */
enum status agent_check_anchor(struct agent *agent, size_t index, const struct record *record,
                               bool *ret_pass, struct error *err) MUST_CHECK;

/* fills.c */

/** Read which topics are being filled.
 * @param ret_changed  whether another set of topics is held, or one was filled, since the last
 * call.
 * @return OK; RETRY; ABORT; FATAL. */
enum status agent_read_fills(struct agent *agent, bool *ret_changed, struct error *err) MUST_CHECK;

/** Find out which topics must be filled before they are read (rule 38): those without a fill of
 * which an assigned partition was not read, where the configuration allows it.
 * @return OK; RETRY; FATAL. */
enum status agent_find_wanted_fills(struct agent *agent, const struct feed_event *event,
                                    struct error *err) MUST_CHECK;

/** @return whether nobody may read the topic: its rows are not all there yet. */
bool agent_is_held(const struct agent *agent, const char *topic);

/** Give a topic up when it is going to be filled, and read it when all its rows are there. End a
 * fill that has come to its filled_to. Statuses as applier_apply(). */
enum status agent_follow_fills(struct agent *agent, struct error *err) MUST_CHECK;

/* pauses.c */

/** Read what is paused, and log what changed.
 * @param ret_changed  whether another set of topics is paused since the last call.
 * @return OK; RETRY; ABORT; FATAL. */
enum status agent_read_pauses(struct agent *agent, bool *ret_changed, struct error *err) MUST_CHECK;

/** @return whether a type of the topic is paused: then nothing of the topic is written. */
bool agent_is_paused(const struct agent *agent, const char *topic);

/** The first event of a paused partition was read: forget it, and read on when it is resumed. */
enum status agent_hold_paused(struct agent *agent, size_t index, struct error *err) MUST_CHECK;

/** Read the partitions of topics anew that were paused or resumed. Statuses as applier_apply(). */
enum status agent_follow_pauses(struct agent *agent, struct error *err) MUST_CHECK;

/* hints.c */

#define OTHER_HINTS_US 1000000

/** What the last owner of a partition has told the group of itself. */
struct agent_hint {
    char copy_id[STORE_TOKEN_SIZE]; /* "": no hint, or an offset that somebody set by hand */
    char token[STORE_TOKEN_SIZE];
    int64_t epoch;
};

/** @return OK with the group's hint of a partition; RETRY. */
enum status agent_read_hint(struct agent *agent, struct topic_partition tp, int timeout_ms,
                            struct agent_hint *ret_hint, struct error *err) MUST_CHECK;

/** Refuse a hint of another copy, or one that this copy's database does not know.
 * @return OK; FATAL with exit code 78. */
enum status agent_check_hint(const struct agent *agent, const struct agent_hint *hint,
                             const struct partition_state *state, struct error *err) MUST_CHECK;

/** Send the hints of all partitions that moved, in one request. A lost one does little harm:
 * the next one says more.
 * @return OK; FATAL (no memory). */
enum status agent_send_hints(struct agent *agent, struct error *err);

/** Each call takes one partition that another agent owns, and compares its hint with this database.
 * If the database does not know the hint, the other agent writes into a clone (rule 8). The hint is
 * read first, because what it says was committed before it was sent.
 * @return OK; RETRY; FATAL with exit code 78. */
enum status agent_check_other_hints(struct agent *agent, struct error *err) MUST_CHECK;

/* lag.c */

/** Note where a log ends. @param stable  the last stable offset; -1: the broker did not answer. */
void agent_note_log_end(struct agent *agent, struct topic_partition tp, int64_t stable);

/** Note that the batch holds no record of a partition any more: it is read anew. */
void agent_forget_waiting(struct agent *agent, struct topic_partition tp);

/** Note that an event waits to be applied. @thread the reader's too. */
void agent_note_waiting(const struct agent_partition *partition, const struct batch_event *event);

/** Note that the batch was applied, but for partitions that have stopped. */
void agent_note_applied(struct agent *agent);

/** Note whether the broker, or the database, has answered just now. */
void agent_note_broker(struct agent *agent, bool answers);
void agent_note_database(struct agent *agent, bool answers);

/** Say that the agent does not hang. */
void agent_note_round(struct agent *agent);

/** If it is time, ask for the last stable offset of the next partition, and of each that is not
 * fetched, for at most a second. Without an answer its lag is unknown. */
void agent_measure_lag(struct agent *agent);

/* topics.c */

/** List the topics to read, each once. @return OK; FATAL (no memory). */
enum status agent_add_topics(struct agent *agent, struct error *err) MUST_CHECK;

/** Join the group again if a missing topic exists now, or if a partition has no owner. Until then
 * nobody reads them. @return OK; FATAL as feed_open(). */
enum status agent_find_partitions(struct agent *agent, struct error *err) MUST_CHECK;

#endif
