/* A partition that this agent owns, in memory: as it was committed, and what the running
 * transaction makes of it. */
#ifndef CONSUMER_APPLY_OWNED_H
#define CONSUMER_APPLY_OWNED_H

#include "consumer/apply/batch.h"
#include "consumer/store/store.h"

struct applier;

#define APPLIER_DELETES 256

/** A delete that was read: a tombstone that follows it says nothing new (rule 17). */
struct delete_seen {
    uint64_t digest; /* of source and entity */
    int64_t offset;
};

struct queue_scan;

/** One time through the waiting records of a partition, in pieces. */
struct retry_pass {
    bool running;
    int64_t due_us; /* wall clock: records that are due later are left alone */
    int64_t offset; /* it goes on here */
    bool progress;  /* it has released a part of a queue: begin another pass at once */
    size_t healed;  /* entities that it has released, for the log */
};

/** How far the retries of what is parked of a partition are. */
struct retry_state {
    int64_t next_us; /* monotonic: no pass begins earlier */
    bool is_cured;   /* a commit may have cured waiting records: the next pass tries all */
    bool unordered;  /* applier_order_parked() comes first */
    struct retry_pass pass;
    int64_t together_offset;  /* applier_retry_together() goes on here */
    struct queue_scan *scans; /* of entities that wait */
    size_t scan_count;
};

/** Where a partition must not go on. */
struct partition_stop {
    int64_t offset; /* events from here on are not applied; INT64_MAX: none */
    char reason[ERROR_TEXT_SIZE];
};

/** The superseded images that are kept of a partition's entities (rule 18). */
struct kept_images {
    bool are_possible; /* the database may hold some */
    int64_t offset;    /* of the last one that was looked at; -1: begin with the first */
};

/** What the running transaction makes of a partition. */
struct partition_work {
    bool touched;
    int64_t next_offset;
    const struct record *anchor; /* the last data record; NULL: none yet */
    char anchor_id[STORE_ID_SIZE];
    struct sequence_state *sequences;
    size_t sequence_count;
    size_t sequence_size;
    int64_t parked_count;
    int64_t parked_bytes;
    uint64_t parked_set_end;  /* of the set that was parked last; 0: the last event was alone */
    size_t blocked_count;     /* entities that were not blocked before */
    struct block_set blocked; /* what the parked records make wait */
};

/** A partition that this agent owns. */
struct owned {
    struct partition_state state; /* as committed */
    bool reloaded;                /* its position was read anew: drop what was read from the log */
    bool is_paused;               /* no row of it is written (rule 49) */
    int64_t end_offset; /* the log has no events from the position up to here; 0: unknown */
    struct partition_stop stop;
    struct retry_state retry;
    struct kept_images images;
    struct delete_seen deletes[APPLIER_DELETES]; /* the last ones, at digest % their number */
    char first_reason[ERROR_TEXT_SIZE / 2];      /* of the first event that was parked */
    struct partition_work work;
};

/** @return the fence of a transaction that moves no position. */
struct fence applier_fence(const struct owned *owned);

/** @return whether it must stop and the database does not know it yet. */
bool applier_is_stopping(const struct owned *owned);

/** Begin a transaction's work on all partitions with what is committed. */
void applier_begin_work(struct applier *applier);

/** After the commit of a batch: what the transaction made of the partitions is their state now.
 * @return OK; FATAL (no memory). */
enum status applier_advance(struct applier *applier, const struct batch *batch,
                            struct error *err) MUST_CHECK;

/** The same for what a transaction has parked alone. */
enum status applier_advance_blocked(struct owned *owned, struct error *err) MUST_CHECK;

/** Show a partition's numbers to other threads. */
void applier_publish_metrics(struct applier *applier, const struct owned *owned);

/** Free the memory of all partitions. */
void applier_forget_owned(struct applier *applier);

#endif
