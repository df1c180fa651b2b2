/* Which change sets the log has to their end. A copy passes a set that lacks its end once another
 * incarnation has begun (rule 56), so what such a set says is not in the log for the new one. */
#ifndef PRODUCER_INIT_FORWARD_SETS_H
#define PRODUCER_INIT_FORWARD_SETS_H

#include "producer/init/origin.h"
#include "schemas/change.h"

struct forward_set;
struct forward_span;

/** The sets that are open where the log was read to. All zero but for `kept_max`: none. */
struct forward_sets {
    struct forward_set *sets;
    size_t count;
    size_t kept;     /* events of all of these */
    size_t kept_max; /* more than that are not kept: the largest set is read again at its end */
    struct forward_span *spans;
    size_t span_count; /* whole sets that are to be read again */
};

/** A record of this origin. */
struct forward_record {
    const void *partition; /* stands for the partition that has it */
    int64_t offset;
    const struct change *change; /* its sequence, incarnation and set */
    struct origin_note note;
};

/** Called for each event of which the log has the whole set. */
typedef enum status forward_take(void *context, const struct origin_note *note, struct error *err);

/** Add the next record of a partition: `take` is called for it, or once its set has ended.
 * @return OK; RETRY (no memory); what `take` returns. */
enum status forward_sets_add(struct forward_sets *sets, const struct forward_record *record,
                             forward_take *take, void *context, struct error *err) MUST_CHECK;

/** Say which part of a partition is to be read again, once the log was read: all of it has sets
 * that were not kept. @return false: nothing. */
bool forward_sets_span(const struct forward_sets *sets, const void *partition, int64_t *ret_from,
                       int64_t *ret_until);

/** @return whether a record that is read again is of such a set, and was not taken yet. */
bool forward_sets_has(const struct forward_sets *sets, const struct forward_record *record);

/** Forget all. */
void forward_sets_done(struct forward_sets *sets);

#endif
