/* Inside consumer/apply/: a change set (rule 57) is written whole or not at all, and parked whole.
 */
#ifndef CONSUMER_APPLY_SET_H
#define CONSUMER_APPLY_SET_H

#include "consumer/apply/internal.h"
#include "consumer/apply/sort.h"

#define SET_FAULT_UNKNOWN SIZE_MAX

/** The images of a set, or of a part of one that is written in several, in the order of the log. */
struct set_writes {
    struct write *writes;
    size_t count;
    bool is_part;   /* where it is refused the whole transaction must be rolled back */
    bool goes_on;   /* other parts follow: constraints stay deferred */
    bool is_singly; /* not in bulk, because one of them is fatal */
    bool may_move;  /* rows may be deleted and made anew, so that their unique values are free */
    size_t fault;   /* after REJECT and STOP: the write at fault, or SET_FAULT_UNKNOWN */
};

/** @return whether an event of a batch is in a set of several. Of a batch with sets: once linked.
 */
static inline bool set_has(const struct batch *batch, size_t index)
{
    const struct batch_event *event = &batch->events[index];
    return batch->has_sets && (event->set != index || event->set_next != SET_LAST);
}

/* set_rows.c */

/** The records of a parked set without their values, in the order of the log. A page of them is in
 * memory. */
struct set_rows {
    const struct parked_record *of; /* one of them; borrowed */
    struct arena arena;             /* the page */
    struct parked_records page;
    size_t next; /* in the page */
    int64_t from_offset;
    bool is_last_page;
};

/** Begin with the first one; end it with set_rows_done(). */
void set_rows_begin(struct set_rows *rows, const struct parked_record *of);

/** Read the next one.
 * @param ret_row  valid until the next call; NULL: there is none. @return OK; RETRY. */
enum status set_rows_next(struct applier *applier, struct set_rows *rows,
                          const struct parked_record **ret_row, struct error *err) MUST_CHECK;
void set_rows_done(struct set_rows *rows);

/* set_promote.c */

/** What is left behind a set that is gone. */
struct set_behind {
    struct block_set entities; /* of the set */
    size_t promoted;           /* records that wait now, because it is gone */
    bool is_unordered;         /* more stands behind it than is looked for one by one */
    struct block_set gone;     /* entities of which nothing is left */
};

/** Inside the transaction that has deleted a set: let go on what stood behind it, or leave that to
 * applier_order_parked(). */
enum status applier_promote_behind(struct applier *applier, struct owned *owned,
                                   struct set_behind *behind, struct error *err) MUST_CHECK;
void set_behind_done(struct set_behind *behind);

/* set_write.c */

/** Write a set, or a part of it, behind a savepoint of its own, with constraints deferred to its
 * end where they can be. A write that changes no row and is passed for that (rule 39) is marked
 * `is_absent`.
 * @return OK; REJECT or STOP (nothing of it is written); RETRY; ABORT; FATAL. */
enum status applier_write_set(struct applier *applier, struct set_writes *set,
                              struct error *err) MUST_CHECK;

/** The same for a set of a batch: where it is rejected, or blocked by now, it is parked whole.
 * @param first  its first event in the batch. Statuses as applier_apply(), and AGAIN. */
enum status applier_write_batch_set(struct applier *applier, struct batch *batch, size_t first,
                                    struct error *err) MUST_CHECK;

/* set_park.c */

/** Why a set of a batch is parked. */
struct set_fault {
    size_t index; /* of the event at fault, or SET_FAULT_UNKNOWN */
    const struct error *why;
};

/** Park a set whole, and block all of its entities.
 * @param first  its first event. @param fault  NULL: what was parked before it makes it wait.
 * @return OK; AGAIN (beyond a limit: its partition stops in front of the set); FATAL. */
enum status applier_park_set(struct applier *applier, struct batch *batch, size_t first,
                             const struct set_fault *fault, struct error *err) MUST_CHECK;

/** @return whether what was parked before a set makes it wait. */
bool applier_set_is_blocked(const struct applier *applier, const struct batch *batch, size_t first);

/** After events were judged one by one: park whole what was parked in part, and what waits for
 * that. @return as applier_park_set(). */
enum status applier_judge_sets(struct applier *applier, struct batch *batch,
                               struct error *err) MUST_CHECK;

/** Describe why a set failed, in the words of its first record.
 * @param index  of the change at fault within it, or SET_FAULT_UNKNOWN; the first one needs no
 * name. @param fault  that change; NULL where it is unknown or cannot be read. */
void applier_describe_fault(size_t index, size_t size, const struct change *fault,
                            const char *reason, char ret_text[static ERROR_TEXT_SIZE]);

#endif
