/* The data of the loop of joint transactions, and what its files offer each other. */
#ifndef CONSUMER_JOINT_INTERNAL_H
#define CONSUMER_JOINT_INTERNAL_H

#include "consumer/feed/feed.h"
#include "consumer/joint/agent.h"
#include "consumer/joint/open.h"

#include "schemas/joint_decide.h"

#define JOINT_BATCH_RECORDS 64
#define JOINT_READ_BYTES    ((size_t)32 * 1024 * 1024) /* of the records of a batch */

struct joint_agent {
    struct joint_options options;
    const struct store_ops *ops;
    struct store *store; /* NULL: it is to be opened */
    struct store_meta meta;
    struct feed *feed;
    const atomic_bool *stop;
    int64_t backoff_us;
    int64_t prune_at_us; /* monotonic */
    int64_t find_at_us;  /* monotonic: the topic, or its owner, is looked for again */
    bool is_stopped;     /* it stands still, loudly */
    /* Of the partition: */
    bool is_owned;
    struct partition_state state; /* as the database has it */
    int64_t read_first;           /* the log's end as of the assignment: votes begin there (69) */
    int64_t anchor_offset;        /* of the record that is to be compared first; -1: none */
    struct joint_log log;         /* the undecided, and the decided that are not settled */
    struct joint_opens opens;
    /* What was read and is not stored yet: */
    struct arena arena;
    struct joint_record *records;
    size_t record_count;
    int64_t read_to; /* behind the last record that was read */
};

/** Begin a transaction behind the fence of the partition, which moves to `offset`.
 * @param last  the last record before it; NULL: the position stays.
 * @return OK; RETRY (locked; the connection is lost); ABORT; FATAL. */
enum status joint_begin(struct joint_agent *agent, int64_t offset, const struct joint_record *last,
                        struct error *err) MUST_CHECK;

/** Commit, or roll back where `status` is not OK. @return the status of both. */
enum status joint_end(struct joint_agent *agent, enum status status, bool durable,
                      struct error *err) MUST_CHECK;

/** Write what is known of an open transaction into its row. */
enum status joint_mark(struct joint_agent *agent, const struct joint_open *open,
                       struct error *err) MUST_CHECK;

/* read.c */

/** Store what the records that were read mean, with the position behind them, in one transaction.
 * After a failure memory and database differ: the partition must be taken anew.
 * @return OK; RETRY; ABORT; STOP (an own vote that this database does not know); FATAL. */
enum status joint_store_records(struct joint_agent *agent, struct error *err) MUST_CHECK;

/** Load all that the database knows of the prefix that was read. */
enum status joint_load(struct joint_agent *agent, struct error *err) MUST_CHECK;

/* step.c */

/** Do what is due: settle, withdraw, vote; each in a transaction of its own. A lock that is not to
 * be had is no failure. @return OK; RETRY (the connection is lost); ABORT; FATAL. */
enum status joint_step(struct joint_agent *agent, struct error *err) MUST_CHECK;

#endif
