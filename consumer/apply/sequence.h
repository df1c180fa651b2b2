/* Sequence numbers (rule 15): is an event the next one, a duplicate, or of another history, or are
 * events missing before it? */
#ifndef CONSUMER_APPLY_SEQUENCE_H
#define CONSUMER_APPLY_SEQUENCE_H

#include "consumer/store/store.h"

enum sequence_verdict {
    SEQUENCE_FIRST,                /* the first event of its incarnation */
    SEQUENCE_NEXT,                 /* apply it and advance */
    SEQUENCE_DUPLICATE,            /* applied before, the same id */
    SEQUENCE_UNVERIFIED_DUPLICATE, /* applied before, too long ago to compare its id */
    SEQUENCE_PASSED,               /* of a change set that is passed whole */
    SEQUENCE_GAP,                  /* events are missing before it */
    SEQUENCE_FORK,                 /* another id than the recorded one: two histories */
};

/** Judge a sequenced event.
 * @param state    the range of its (source, incarnation), NULL where none is known.
 * @param partial  the copy began in the middle on request: its first sequence becomes the base. */
enum sequence_verdict sequence_judge(const struct sequence_state *state,
                                     const struct change *change, bool partial);

/** Name a range of which nothing is known after an event's source and incarnation. */
void sequence_name(struct sequence_state *state, const struct change *change);

/** Begin a range with a FIRST event. */
void sequence_start(struct sequence_state *state, const struct change *change);

/** Pass all of an event's change set, also what has not come of it: the range begins behind it. */
void sequence_pass_set(struct sequence_state *state, const struct change *change);

/** Take a NEXT event into the range. */
void sequence_advance(struct sequence_state *state, const struct change *change);

/** @return the range of a (source, incarnation), or NULL. */
struct sequence_state *sequence_find(struct sequence_state *states, size_t count,
                                     struct slice source, struct slice incarnation);

#endif
