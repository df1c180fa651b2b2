/* A change set that is not kept in memory: it is read to its end once, then read again and applied
 * in parts of one transaction (rule 58). */
#ifndef CONSUMER_APPLY_LARGE_H
#define CONSUMER_APPLY_LARGE_H

#include "consumer/apply/applier.h"

#define LARGE_OTHERS    4
#define LARGE_UNWRITTEN 16

/** Records that come late, between those of a large set: of an earlier incarnation of its source.
 */
struct large_other {
    struct sequence_state sequences; /* as far as they were read */
    uint64_t set_first;              /* of their open set; 0: none is open */
    uint64_t set_end;
    bool has_void;
};

/** A set of such an incarnation of which nothing is written. */
struct large_unwritten {
    char incarnation[STORE_TOKEN_SIZE];
    uint64_t first;
    uint64_t last; /* that was read of it */
    enum set_fate fate;
};

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
    bool is_read;  /* to its end, or to what ends it: its fate is known */
    bool may_move; /* set by who applies it again after a refusal: rows may be made anew */
    enum set_fate fate;
    struct large_other others[LARGE_OTHERS];
    size_t other_count;
    struct large_unwritten unwritten[LARGE_UNWRITTEN];
    size_t unwritten_count;
};

/** Begin to read a set that opens with this event; large_set_note() gets the event again. */
void large_set_begin(const struct applier *applier, const struct change *first,
                     struct large_set *ret_set);

/** Note a record of its partition, in the order of the log, until `is_read`. The record that makes
 * the set abandoned is not a part of it: it is read again.
 * @return OK; STOP (the partition must stop in front of the set). */
enum status large_set_note(const struct applier *applier, struct large_set *set,
                           const struct batch_event *event, struct error *err) MUST_CHECK;

/** @return whether a change is one of the set's. */
bool large_set_has(const struct large_set *set, const struct change *change);

/** @return what becomes of the set that a change is of, be it this one or one between its records.
 */
enum set_fate large_set_fate(const struct large_set *set, const struct change *change);

/** @return how many of its records were read. */
int64_t large_set_records(const struct large_set *set);

/** Begin the transaction, whose fence moves the position behind the set. It is rolled back where
 * this or one of the next two does not return OK.
 * @return OK; RETRY, ABORT and FATAL as applier_apply(). */
enum status applier_begin_large(struct applier *applier, const struct large_set *set,
                                struct error *err) MUST_CHECK;

/** Where rows may be made anew, before the first applier_write_large(): take the rows of the next
 * records away, so that their unique values are free for each other. All of the set is read once
 * for that. Statuses as applier_begin_large(). */
enum status applier_make_large_room(struct applier *applier, const struct large_set *set,
                                    const struct batch *part, struct error *err) MUST_CHECK;

/** Write the next records of the set and of what stands between them. Of the latter, what is alone
 * may be parked.
 * @return as applier_begin_large(); STOP (the text says why the set is refused: such a set is not
 * parked, so its partition must stop in front of it; `reject` says whether it may heal). */
enum status applier_write_large(struct applier *applier, const struct large_set *set,
                                struct batch *part, struct error *err) MUST_CHECK;

/** Commit, once all of it is written. Statuses as applier_write_large(); ABORT also where the log
 * has not given again what it gave the first time: the set is to be read anew. */
enum status applier_end_large(struct applier *applier, const struct large_set *set,
                              struct error *err) MUST_CHECK;

/** Roll the transaction back: the rest of the set does not come. */
void applier_undo_large(struct applier *applier);

#endif
