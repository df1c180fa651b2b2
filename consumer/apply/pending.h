/* Rule 18: own changes that the agent has not read back. No event is written over an entity that
 * has one. */
#ifndef CONSUMER_APPLY_PENDING_H
#define CONSUMER_APPLY_PENDING_H

#include "consumer/apply/internal.h"

/** Find the own changes not read back of all entities of the batch. */
enum status applier_read_pending(struct applier *applier, const struct batch *batch,
                                 struct error *err) MUST_CHECK;

/** @return OK with whether an own change above `own_last` of this entity is under way. */
enum status applier_is_pending(struct applier *applier, const struct change *change,
                               uint64_t own_last, bool *ret_pending, struct error *err) MUST_CHECK;

/** From here on applier_is_pending_now() asks the database for each entity of this type alone. */
enum status applier_ask_pending_singly(struct applier *applier, const struct owned *owned,
                                       struct slice entity_type, struct error *err) MUST_CHECK;

/** @return OK with whether an own change of this entity is under way at this moment. */
enum status applier_is_pending_now(struct applier *applier, struct slice entity_type,
                                   struct slice entity_key, bool *ret_pending,
                                   struct error *err) MUST_CHECK;

/** Judge the events by the own changes not read back; write the kept images behind a void. */
enum status applier_judge_own(struct applier *applier, struct batch *batch,
                              struct error *err) MUST_CHECK;

/** Where writers are not excluded: look again behind the writes of a batch. An event that stands
 * over an own change that was committed meanwhile, or that the database rejected because of it, is
 * superseded, and the caller writes again from the batch's start on. */
enum status applier_recheck_pending(struct applier *applier, struct batch *batch, bool *ret_pending,
                                    struct error *err) MUST_CHECK;

/** The same behind one event's write, which is taken back to its savepoint. */
enum status applier_recheck_write(struct applier *applier, struct batch_event *event,
                                  struct error *err) MUST_CHECK;

/** Write a change that is stored outside the log, and take it back to the savepoint where the look
 * behind it finds an own change. @return OK with *ret_superseded; REJECT; STOP; RETRY; FATAL. */
enum status applier_attempt_write(struct applier *applier, const struct mapping *mapping,
                                  const struct change *change, bool *ret_superseded,
                                  struct error *err) MUST_CHECK;

#endif
