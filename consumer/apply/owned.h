/* An owned partition in memory: what the database holds of it, what is known besides, and what the
 * running transaction makes of it. */
#ifndef CONSUMER_APPLY_OWNED_H
#define CONSUMER_APPLY_OWNED_H

#include "consumer/apply/batch.h"
#include "consumer/store/store.h"

struct applier;

#define APPLIER_DELETES 256

/** A delete that was read: a tombstone may follow it. */
struct delete_seen {
    uint64_t digest; /* of source and entity */
    int64_t offset;
};

struct queue_scan;

/** One time through the waiting records of a partition, in pieces. */
struct retry_pass {
    bool running;
    int64_t due_us; /* wall clock: records that are due later are left alone */
    int64_t offset; /* goes on here */
    bool progress;  /* it has released something of what is left */
    size_t healed;  /* entities, for the log */
};

/** When what is parked of a partition is tried again, and what is known of it by then. */
struct retry_state {
    int64_t next_us; /* monotonic: no pass begins earlier */
    bool is_cured;   /* a commit may have cured waiting records: try all of them at once */
    bool unordered;  /* whose turn it is among the parked records is to be found out */
    struct retry_pass pass;
    int64_t together_offset;  /* from here on waiting heads are tried together the next time */
    struct queue_scan *scans; /* of waiting entities */
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
    int64_t offset;    /* of the record of the last one that was looked at; -1: none */
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
    size_t blocked_count;     /* entities that were not blocked before */
    struct block_set blocked; /* what waits for them */
};

/** A partition that this agent owns. */
struct owned {
    struct partition_state state; /* as committed */
    bool reloaded;                /* its position was read anew: what was read before is dropped */
    int64_t end_offset;           /* the log goes on here, without events before it; 0: not known */
    struct partition_stop stop;
    struct retry_state retry;
    struct kept_images images;
    struct delete_seen deletes[APPLIER_DELETES]; /* the last ones, at digest % their number */
    char first_reason[ERROR_TEXT_SIZE / 2];      /* of what was parked first since it was taken */
    struct partition_work work;
};

/** A fence of a partition as it stands. */
struct fence applier_fence(const struct owned *owned);

/** @return whether it must stop, which is not recorded yet. */
bool applier_is_stopping(const struct owned *owned);

/** Reset what a transaction has made of the owned partitions. */
void applier_begin_work(struct applier *applier);

/** Memory takes over what was committed. */
enum status applier_advance(struct applier *applier, const struct batch *batch,
                            struct error *err) MUST_CHECK;

/** Memory takes over what a transaction has parked. */
enum status applier_advance_blocked(struct owned *owned, struct error *err) MUST_CHECK;

/** Show a partition's numbers to other threads. */
void applier_publish_metrics(struct applier *applier, const struct owned *owned);

/** Free the memory of all partitions; the database keeps them. */
void applier_forget_owned(struct applier *applier);

#endif
