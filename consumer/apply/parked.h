/* What is parked of the owned partitions: read entity by entity, put in its order, and applied once
 * that is possible. */
#ifndef CONSUMER_APPLY_PARKED_H
#define CONSUMER_APPLY_PARKED_H

#include "consumer/apply/internal.h"

#define PARKED_TOLD_MAX 10 /* entities of a partition that one pass names in the log */

/* queue.c */

#define QUEUE_RECORDS 64 /* of one entity's that are read at a time */

/** Consecutive records of a queue, as many as one transaction takes. */
struct queue_piece {
    int64_t first_offset;
    size_t count;
    int64_t bytes;
};

/** What is known of the records of a queue that follow its first one. */
struct queue_scan {
    uint64_t digest;            /* of entity type and key */
    int64_t next_offset;        /* records below were looked at */
    struct queue_piece *pieces; /* of those */
    size_t piece_count;
    int64_t last_own;      /* offset of the last own record (rule 18); -1: none */
    int64_t replacing;     /* offset of the last record that replaces all before it; -1: none */
    int64_t replaced_from; /* from here on those before it are skipped already; INT64_MAX: none */
    bool closed;           /* a record is held or cannot be read: no later one replaces anything */
    bool told;             /* the log says already that it is being released */
};

/** What is parked of one entity in one partition, oldest record first. Borrowed. */
struct queue {
    struct owned *owned;
    const struct parked_record *head; /* its first record */
};

/** Neighbours of a queue, whole, in the applier's arena: at most as many bytes as a batch has. */
struct queue_part {
    struct parked_record *records;
    size_t count;
    bool has_more; /* others follow */
};

/** The records of a queue from an offset on, without the skipped.
 * @param ret_type  borrowed by the filter. */
struct parked_filter queue_filter(const struct queue *queue, int64_t from_offset,
                                  char ret_type[static STORE_NAME_SIZE]);

/** Read a part of a queue from an offset on. @return OK; RETRY; FATAL. */
enum status queue_read(struct applier *applier, const struct queue *queue, int64_t from_offset,
                       struct queue_part *ret_part, struct error *err) MUST_CHECK;

/** Look through a queue until `until_us` (monotonic); the next call goes on from there.
 * @return OK; *ret_scan is NULL where there is more to look at. */
enum status queue_scan_on(struct applier *applier, const struct queue *queue, int64_t until_us,
                          struct queue_scan **ret_scan, struct error *err) MUST_CHECK;

/** Forget what is known of all queues of a partition. */
void queue_forget_scans(struct owned *owned);

/** @return where the last piece before an offset begins; -1: there is none. */
int64_t queue_piece_before(const struct queue_scan *scan, int64_t offset);

/** @return whether a record has to wait for one before it whose entity cannot be read. */
bool applier_is_behind_unreadable(const struct owned *owned, const struct parked_record *record);

/* order.c */

/** Find out which parked records of a partition wait for none before them, and give each its state
 * in the database. Called again until nothing is `unordered`. Statuses as applier_apply(). */
enum status applier_order_parked(struct applier *applier, struct owned *owned,
                                 struct error *err) MUST_CHECK;

/* release.c */

/** Try what is parked of one entity, as much of it as one transaction takes. Statuses as
 * applier_apply(). */
enum status applier_release(struct applier *applier, const struct queue *queue,
                            struct queue_scan *scan, struct error *err) MUST_CHECK;

/** Store that an attempt failed, and when the next one is due. */
enum status applier_release_failed(struct applier *applier, const struct parked_record *record,
                                   const struct error *why, struct error *err) MUST_CHECK;

/* set_release.c */

/** Try a parked set, whole, in one transaction.
 * @param head  its first record, which waits. Statuses as applier_apply(). */
enum status applier_release_set(struct applier *applier, struct owned *owned,
                                const struct parked_record *head, struct error *err) MUST_CHECK;

/* set_promote.c */

/** Inside a transaction: what stood before a record is gone; let it wait, or its set where no
 * record of that stands behind another one.
 * @param next  the first one of its entity that is left. */
enum status applier_promote(struct applier *applier, struct owned *owned,
                            const struct parked_record *next, bool *ret_promoted,
                            struct error *err) MUST_CHECK;

/* retry.c */

/** @return microseconds that a transaction may last, so that the service gets its turn (rule 19).
 */
int64_t applier_time_us(const struct applier *applier);

/* together.c */

/** Read anew what follows the rows of each mapping: a trigger or foreign key made since prepare
 * would act when a row is deleted. @return OK; RETRY. */
enum status applier_read_orders(struct applier *applier, struct error *err) MUST_CHECK;

/** @return whether a change's row may be deleted and made anew: no other rows follow it, and the
 * image has all of its columns. */
bool applier_may_move(const struct applier *applier, const struct mapping *mapping,
                      const struct change *change);

/** Try entities that wait for each other in one transaction (rule 22). Statuses as applier_apply().
 */
enum status applier_retry_together(struct applier *applier, struct error *err) MUST_CHECK;

#endif
