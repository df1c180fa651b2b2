/* Judges the events of a batch: what is done with each. */
#ifndef CONSUMER_APPLY_JUDGE_H
#define CONSUMER_APPLY_JUDGE_H

#include "consumer/apply/internal.h"

/** Set the outcome of each event as far as that needs no statement.
 * @return OK; AGAIN (a partition must stop at one of its events); RETRY; FATAL. */
enum status applier_judge(struct applier *applier, struct batch *batch,
                          struct error *err) MUST_CHECK;

/** Judge an event by itself: an id that cannot be remembered, or an unknown entity type, stops its
 * partition whatever stands before it. @return OK; STOP. */
enum status applier_judge_alone(const struct applier *applier, const struct change *change,
                                struct error *err) MUST_CHECK;

/** @return STOP: a change does not follow what was applied of its incarnation.
 * @param gap  events are missing; else it is a fork. */
enum status applier_stop_sequence(const struct change *change, const struct sequence_state *state,
                                  bool gap, struct error *err);

/** @return STOP: a change names another end of its change set than the set has. */
enum status applier_stop_broken(const struct change *change, struct error *err);

/** Judge the events of one partition one by one, as applier_judge() does for a whole batch. */
enum status applier_judge_events(struct applier *applier, struct batch *batch,
                                 struct error *err) MUST_CHECK;

/** Inside the transaction: claim the idempotency keys that are kept singly, and judge by them.
 * @return OK; AGAIN (a parked event is a duplicate, so that it blocks nothing); RETRY; FATAL. */
enum status applier_judge_keys(struct applier *applier, struct batch *batch,
                               struct error *err) MUST_CHECK;

/** Mark an event as parked, held or waiting as `why` says, and block its entity.
 * @return OK; AGAIN (beyond a limit: its partition stops there); RETRY; FATAL. */
enum status applier_park_event(struct applier *applier, struct batch_event *event,
                               const struct error *why, struct error *err) MUST_CHECK;

/** Count an event that is parked, and block its entity. @return as applier_park_event(). */
enum status applier_block_event(struct applier *applier, const struct batch_event *event,
                                struct error *err) MUST_CHECK;

/** The same as applier_park_event() for an event whose entity is blocked by an earlier one. */
enum status applier_park_behind(struct applier *applier, struct batch_event *event,
                                struct error *err) MUST_CHECK;

/** @return whether a parked record makes the change wait. */
bool applier_is_blocked(const struct applier *applier, const struct change *change);

/** @return the last of the service's own sequences among a partition's; 0: none. */
uint64_t applier_own_last(const struct applier *applier, const struct sequence_state *sequences,
                          size_t count);

#endif
