/* What the files of the comparison share. */
#ifndef OPERATE_COMPARE_INTERNAL_H
#define OPERATE_COMPARE_INTERNAL_H

#include "operate/compare/compare.h"

struct compare {
    const struct compare_options *options;
    struct comparison *result;
    struct row_columns columns[COMPARE_PARTICIPANTS_MAX];
    struct stamp stamps[COMPARE_PARTICIPANTS_MAX]; /* of this round */
    participant_mask comparable;                   /* copies that were not dropped */
    size_t asked;                                  /* the participant that is read now */
    uint64_t *left_out; /* digests of the keys that are left out of the sums, sorted */
    size_t left_out_count;
    int64_t kept_at_us; /* when the other snapshots were kept last */
};

static inline struct participant *compare_participant(const struct compare *compare, size_t index)
{
    return compare->options->participants[index];
}

static inline bool compare_has(const struct compare *compare, size_t index)
{
    return (compare->comparable & participant_bit(index)) != 0;
}

/** @return whether a participant is asked: the reference as long as there is a copy. */
static inline bool compare_asks(const struct compare *compare, size_t index)
{
    return index == 0 ? compare->comparable != 0 : compare_has(compare, index);
}

/** Compare a copy no more. The first reason stays. */
void compare_drop(struct compare *compare, size_t index, const char *format, ...) PRINTF_LIKE(3, 4);

/** Drop a participant for a reason. If it is the reference, all copies are dropped. */
void compare_drop_participant(struct compare *compare, size_t index, const char *reason);

/** The same for an error. What a client library says is marked: it can name hosts and logins. */
void compare_drop_failed(struct compare *compare, size_t index, const struct error *err);

/** Drop the participant that is read now: two of its rows have this key. */
void compare_drop_doubled(struct compare *compare, struct slice key);

/** Drop all copies for a reason that is no participant's. */
void compare_drop_all(struct compare *compare, const char *reason);

/** Begin a question to a participant: its columns, and what is done once a second meanwhile. */
struct question compare_question(struct compare *compare, size_t index);

/** Judge the answer to a question: a participant that failed is dropped.
 * @return whether it was answered. */
bool compare_is_answered(struct compare *compare, size_t index, enum status status,
                         struct error *err);

/** Count a difference of a copy, and name it if there is room. @return OK; RETRY (memory). */
enum status compare_note(struct compare *compare, size_t index, enum difference_kind kind,
                         struct slice key, struct error *err) MUST_CHECK;

/** Begin a round: take the stamps, drop who is incomparable, and close the entities that are open
 * or that the log mentions between two stamps.
 * @param add  whether entities that are not in the set are added to it.
 * @return OK; RETRY (memory). */
enum status compare_stamps(struct compare *compare, bool add, struct error *err) MUST_CHECK;

/** Compare all rows but those that are left out: first their sums, then the rows of buckets that
 * differ. @return OK; RETRY (memory). */
enum status compare_all_rows(struct compare *compare, struct error *err) MUST_CHECK;

/** Compare the rows of entities that were left out and are not closed now.
 * @return OK; RETRY (memory). */
enum status compare_left_rows(struct compare *compare, struct error *err) MUST_CHECK;

/** Read the rows of the copy's named differences from number `first` on, if rows are asked for.
 * @return OK; RETRY (memory). */
enum status compare_read_rows(struct compare *compare, size_t index, size_t first,
                              struct error *err) MUST_CHECK;

#endif
