/* A change set that is not kept in memory: it is read to its end once, then read again and applied
 * in parts of one transaction (rule 58). */
#ifndef CONSUMER_APPLY_LARGE_H
#define CONSUMER_APPLY_LARGE_H

#include "consumer/apply/applier.h"

/** What is known of such a set while it is read for the first time. It owns nothing. */
struct large_set {
    size_t index; /* its partition's, in the applier */
    char topic[STORE_NAME_SIZE];
    int32_t partition;
    int64_t first_offset;            /* of its first record */
    uint64_t first_sequence;         /* of that record */
    uint64_t end;                    /* the last sequence */
    bool is_known;                   /* some sequence of its incarnation was applied or read */
    struct sequence_state sequences; /* of its incarnation, as far as it was read */
    int64_t next_offset;             /* behind the last record that was read */
    int64_t anchor_offset;           /* of that record */
    char anchor_id[STORE_ID_SIZE];
    bool has_void;
    bool is_read; /* to its end, or to what ends it: its fate is known */
    enum set_fate fate;
};

/** Begin to read a set that opens with this event; large_set_note() gets the event again. */
void large_set_begin(const struct applier *applier, const struct change *first,
                     struct large_set *ret_set);

/** Note a record of its partition, in the order of the log, until `is_read`. The record that makes
 * the set abandoned is not a part of it: it is read again.
 * @return OK; STOP (the partition must stop in front of the set). */
enum status large_set_note(const struct applier *applier, struct large_set *set,
                           const struct batch_event *event, struct error *err) MUST_CHECK;

/** @return how many of its records were read. */
int64_t large_set_records(const struct large_set *set);

/** Begin the transaction, whose fence moves the position behind the set. It is rolled back where
 * this or one of the next two does not return OK.
 * @return OK; RETRY, ABORT and FATAL as applier_apply(). */
enum status applier_begin_large(struct applier *applier, const struct large_set *set,
                                struct error *err) MUST_CHECK;

/** Write the next records of the set and of what stands between them.
 * @return as applier_begin_large(); STOP (the text says why the set is refused: such a set is not
 * parked, so its partition must stop in front of it). */
enum status applier_write_large(struct applier *applier, const struct large_set *set,
                                struct batch *part, struct error *err) MUST_CHECK;

/** Commit, once all of it is written. Statuses as applier_write_large(). */
enum status applier_end_large(struct applier *applier, const struct large_set *set,
                              struct error *err) MUST_CHECK;

/** Roll the transaction back: the rest of the set does not come. */
void applier_undo_large(struct applier *applier);

#endif
