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

#define RUN_RECORDS 64 /* of one entity's that are read at a time */

/** Some neighbours among the parked records of one entity, as many as one transaction takes. */
struct run_piece {
    int64_t first_offset;
    size_t count;
    int64_t bytes;
};

/** What is known of the parked records of one entity that follow the first of them. */
struct run_scan {
    struct run_piece *pieces; /* of the records that were looked at */
    size_t piece_count;
    int64_t replaced_from; /* from here on those before `replacing` are skipped; INT64_MAX: none */
    uint64_t digest;       /* of entity type and key */
    int64_t next_offset;   /* records below were looked at */
    int64_t last_own;      /* offset of the last own one (rule 18); -1: none */
    int64_t replacing;     /* of the last that replaces all before it; -1: none */
    bool closed;           /* behind what cannot be read nothing replaces anything */
    bool told;             /* the log says already that it is being released */
};

/** One time through the waiting records of a partition, in pieces. */
struct retry_pass {
    bool running;
    int64_t due_us;
    int64_t offset; /* goes on here */
    bool progress;  /* it has released something of what is left */
    size_t healed;  /* entities, for the log */
};

/** An owned partition: its state as committed, and what the running transaction makes of it. */
struct owned {
    struct partition_state state;
    bool reloaded;
    int64_t end_offset;  /* noted end of the log, 0: none */
    int64_t retry_at_us; /* no earlier look for waiting records */
    bool cure;           /* a commit may have cured waiting records: look at once */
    bool unordered;      /* whose turn it is among the parked records is to be found out */
    struct retry_pass pass;
    int64_t together_offset; /* from here on waiting heads are tried together the next time */
    struct run_scan *scans;  /* of waiting entities */
    size_t scan_count;
    bool kept;                                   /* superseded images of it may be stored */
    int64_t kept_offset;                         /* the record of the last one looked at */
    struct delete_seen deletes[APPLIER_DELETES]; /* the last ones, at digest % their number */

    int64_t stop_offset; /* events from here on are not applied; INT64_MAX: none */
    char stop_reason[ERROR_TEXT_SIZE];
    char first_reason[ERROR_TEXT_SIZE / 2]; /* of what was parked first since it was taken */

    /* The running transaction. */
    bool touched;
    struct sequence_state *sequences;
    size_t sequence_count;
    size_t sequence_size;
    int64_t next_offset;
    const struct record *anchor; /* the last data record; NULL: none yet */
    char anchor_id[STORE_ID_SIZE];
    int64_t parked; /* records, */
    int64_t parked_bytes;
    size_t blocked;            /* and entities that were not blocked before */
    struct block_set blocking; /* what waits for them */
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
