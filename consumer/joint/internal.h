/* The data of the loop of joint transactions, and what its files offer each other. */
#ifndef CONSUMER_JOINT_INTERNAL_H
#define CONSUMER_JOINT_INTERNAL_H

#include "consumer/feed/feed.h"
#include "consumer/joint/row.h"
#include "consumer/joint/agent.h"
#include "consumer/joint/wanted.h"

#include "schemas/joint_decide.h"

#define JOINT_BATCH_RECORDS 64
#define JOINT_ROW_US        (INT64_C(60) * 1000 * 1000) /* the longest timeout */
#define JOINT_STORE_US      INT64_C(50000)
#define JOINT_READ_BYTES    ((size_t)32 * 1024 * 1024) /* of the records of a batch */

/** What is known of the time of a transaction that was read. */
struct joint_time {
    int64_t proposal_offset;
    int64_t since_us; /* these are those of struct joint_open */
    int64_t row_until_us;
    int64_t next_us;
    int64_t backoff_us;
    bool is_told;
};

/** Of all that were open when the partition was taken anew: the process stays the same, so no time
 * begins anew (rule 68). Zeroed: nothing is known. */
struct joint_times {
    struct joint_time *items; /* in the order of the proposals */
    size_t count;
    size_t size;
};

struct joint_agent {
    struct joint_options options;
    const struct store_ops *ops;
    struct store *store; /* NULL: it is to be opened */
    struct store_meta meta;
    struct feed *feed;
    const atomic_bool *stop;
    int64_t backoff_us;
    int64_t prune_at_us;  /* monotonic */
    int64_t find_at_us;   /* monotonic: the topic, or its owner, is looked for again */
    bool is_stopped;      /* it stands still, loudly */
    bool has_said;        /* something for the log, in the open transaction */
    bool passes_triggers; /* one on keepstep_joint has ended a transaction: none of them runs */
    /* Of the partition: */
    bool is_owned;
    struct partition_state state; /* as the database has it */
    struct joint_history history;
    int64_t read_first;    /* the log's end as of the assignment: votes begin there (69) */
    int64_t hinted_offset; /* that the group was told last; -1: none since the assignment */
    int64_t hint_at_us;    /* monotonic: the next one */
    bool has_said_again;   /* what was lost behind a gap of this service's own records */
    bool has_recounted;    /* what guards the reserved entities was set right */
    bool reads_ahead;      /* of the position, because rows of keepstep_joint cannot be written */
    int64_t seen_to;       /* then: what was read so far */
    bool leaves_out;       /* of what was read, because too many rows wait: it is read again */
    int64_t catch_up_at_us;
    int64_t catch_up_from;     /* offset of the first proposal whose row is tried next */
    int64_t tell_behind_at_us; /* 0: the first row was told just now */
    int64_t anchor_offset;     /* of the record that is to be compared first; -1: none */
    struct joint_log log;      /* the undecided, and the decided that are not settled */
    struct joint_opens opens;
    struct joint_wanted wanted; /* of those that this step has passed */
    struct joint_times times;
    /* What was read and is not stored yet: */
    struct arena arena;
    struct joint_record *records;
    int64_t read_us[JOINT_BATCH_RECORDS]; /* monotonic: when each of them was */
    size_t record_count;
    int64_t read_to;        /* behind the last record that was read */
    int64_t store_until_us; /* monotonic: until then they wait in memory; 0: they do not wait */
};

/** Begin a transaction behind the fence of the partition, which moves to `offset`.
 * @param last  the last record before it; NULL: the position stays.
 * @return OK; RETRY (locked; the connection is lost); ABORT; FATAL. */
enum status joint_begin(struct joint_agent *agent, int64_t offset, const struct joint_record *last,
                        struct error *err) MUST_CHECK;

/** Commit, or roll back where `status` is not OK. @return the status of both. */
enum status joint_end(struct joint_agent *agent, enum status status, bool durable,
                      struct error *err) MUST_CHECK;

/** @return how far the log was read. */
static inline int64_t joint_seen_to(const struct joint_agent *agent)
{
    return agent->reads_ahead ? agent->seen_to : agent->state.next_offset;
}

/* ahead.c */

/** @return whether a proposal that was read just now is left out, because too many rows wait. Once
 * one is, so are all that come behind it, until the partition is taken anew. */
bool joint_leaves_out(struct joint_agent *agent);

/** Write the rows that are behind, some of them at each call, and the position once none is. Where
 * something was left out, the log is read again from there.
 * @return OK (also: they still cannot be written); RETRY (the connection is lost); ABORT; FATAL. */
enum status joint_catch_up(struct joint_agent *agent, struct error *err) MUST_CHECK;

/* agent.c */

/** Read the log again from the stored position. */
void joint_read_again(struct joint_agent *agent);

/* hint.c */

/** Compare what the group was told of the partition with the database, before it is taken.
 * @return OK; STOP (a clone, or a restored database: rule 8); RETRY. */
enum status joint_check_hint(struct joint_agent *agent, struct error *err) MUST_CHECK;

/** Tell the group how far this copy is, at most once a second, where that has changed. */
void joint_send_hint(struct joint_agent *agent);

/* row.c */

/** Write what is known of an open transaction into its row. @return as joint_row_write(); REJECT
 * of a last state alone, where the database can write rows without triggers. */
enum status joint_mark(struct joint_agent *agent, const struct joint_open *open,
                       struct error *err) MUST_CHECK;

/** Write the row of a proposal that was read. @param changes  all of them; may be empty.
 * @return as joint_mark(). */
enum status joint_row_note(struct joint_agent *agent, const struct joint_open *open,
                           struct slice changes, struct joint_noted *ret_noted,
                           struct error *err) MUST_CHECK;

/* read.c */

/** Store what the records that were read mean, with the position behind them, in one transaction.
 * After a failure memory and database differ: the partition must be taken anew.
 * @return OK (also: somebody holds what it writes, for less than a minute so far, and the records
 * wait where they are); RETRY; ABORT; STOP (an own vote that this database does not know); FATAL.
 */
enum status joint_store_records(struct joint_agent *agent, struct error *err) MUST_CHECK;

/** Write the numbers of the sources that were read, in the open transaction; note that they are
 * written, behind it. */
enum status joint_sources_write(struct joint_agent *agent, struct error *err) MUST_CHECK;
void joint_sources_keep(struct joint_agent *agent);

/** Load all that the database knows of the prefix that was read. */
enum status joint_load(struct joint_agent *agent, struct error *err) MUST_CHECK;

/* say.c */

/** Write a record for the log. */
enum status joint_say_vote(struct joint_agent *agent, const struct joint_open *open,
                           const struct joint_answer *vote, struct error *err) MUST_CHECK;
enum status joint_say_withdrawal(struct joint_agent *agent, const struct joint_open *open,
                                 struct slice why, struct error *err) MUST_CHECK;

/** Say once more what this service has said in an incarnation of which nothing counts any more: its
 * records stood behind a gap. Once an assignment, when it has caught up; what is in the log already
 * counts once. @return OK; RETRY; ABORT; FATAL. */
enum status joint_say_again(struct joint_agent *agent, struct error *err) MUST_CHECK;

/* step.c */

/** Do what is due: settle, withdraw, vote; each in a transaction of its own. A lock that is not to
 * be had is no failure. @return OK; RETRY (the connection is lost); ABORT; FATAL. */
enum status joint_step(struct joint_agent *agent, struct error *err) MUST_CHECK;

/** Count one that is settled here, and forget it. */
void joint_note_settled(struct joint_agent *agent, const struct joint_open *open);

/* times.c */

/** Keep the times of what is open, before that is forgotten. Without memory they begin anew. */
void joint_times_keep(struct joint_agent *agent);

/** Give one that was read or loaded its times back, where they are known. */
void joint_times_give(const struct joint_agent *agent, struct joint_open *open);

/** All that the database knows is loaded: forget the times of what stands before the position. */
void joint_times_pass(struct joint_agent *agent);

#endif
