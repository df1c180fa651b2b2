/* Own changes that the agent has not read back. No event is written over an entity that has a later
 * one (rule 18). */
#ifndef CONSUMER_APPLY_PENDING_H
#define CONSUMER_APPLY_PENDING_H

#include "consumer/apply/internal.h"

/** Read the own changes not read back of all entities of the batch. */
enum status applier_read_pending(struct applier *applier, const struct batch *batch,
                                 struct error *err) MUST_CHECK;

/** @return OK with whether the entity has an own change above the sequence `own_last` that is not
 * read back. */
enum status applier_is_pending(struct applier *applier, const struct change *change,
                               uint64_t own_last, bool *ret_pending, struct error *err) MUST_CHECK;

/** Outside a batch: from here on applier_is_pending_now() asks the database about each entity of
 * this type alone. */
enum status applier_ask_pending_singly(struct applier *applier, const struct owned *owned,
                                       struct slice entity_type, struct error *err) MUST_CHECK;

/** @return OK with whether the entity has an own change that is not read back at this moment. */
enum status applier_is_pending_now(struct applier *applier, struct slice entity_type,
                                   struct slice entity_key, bool *ret_pending,
                                   struct error *err) MUST_CHECK;

/** Mark as superseded the events whose entity has a later own change. A void of the service's own
 * ends one: what it had superseded is to be written. @return OK; AGAIN; RETRY; FATAL. */
enum status applier_judge_own(struct applier *applier, struct batch *batch,
                              struct error *err) MUST_CHECK;

/** One check after all writes of a batch, where other sessions write meanwhile: an event whose
 * entity has a newer own change is superseded, also where the database rejected it because of that
 * change.
 * @return OK with whether there was one: write again from the batch's beginning. */
enum status applier_recheck_pending(struct applier *applier, struct batch *batch, bool *ret_pending,
                                    struct error *err) MUST_CHECK;

/** The same check after the write of one event, which is undone to its savepoint. */
enum status applier_recheck_write(struct applier *applier, struct batch_event *event,
                                  struct error *err) MUST_CHECK;

/** Write a change that is stored outside the log, then check for a newer own change; where there is
 * one, undo the write to the savepoint.
 * @return OK with *ret_superseded; REJECT; STOP; RETRY; FATAL. */
enum status applier_attempt_write(struct applier *applier, const struct mapping *mapping,
                                  const struct change *change, bool *ret_superseded,
                                  struct error *err) MUST_CHECK;

#endif
