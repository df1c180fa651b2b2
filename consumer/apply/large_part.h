/* Inside consumer/apply/: a part of a large change set. */
#ifndef CONSUMER_APPLY_LARGE_PART_H
#define CONSUMER_APPLY_LARGE_PART_H

#include "consumer/apply/internal.h"
#include "consumer/apply/large.h"

/* large_other.c */

/** Note a record of another incarnation of the set's source. @return OK; STOP. */
enum status large_note_other(const struct applier *applier, struct large_set *set,
                             const struct batch_event *event, struct error *err) MUST_CHECK;

/** A record of a newer incarnation ends the open sets of earlier ones. @return OK; STOP. */
enum status large_abandon_others(struct large_set *set, struct error *err) MUST_CHECK;

/* large_judge.c */

/** Judge a part. @return OK; REJECT (`reject` says whether it may heal); RETRY; ABORT; FATAL. */
enum status large_judge_part(struct applier *applier, const struct large_set *set,
                             struct batch *part, struct error *err) MUST_CHECK;

/** @return OK; REJECT where a record of a set is to be parked: all of the large set is refused for
 * it. */
enum status large_check_part(const struct batch *part, struct error *err) MUST_CHECK;

/** After AGAIN: the partition was to stop at one of its events. @return REJECT, held. */
enum status large_stop_reason(struct applier *applier, const struct large_set *set,
                              struct error *err);

#endif
