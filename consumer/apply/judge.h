/* Judges the events of a batch: what is done with each. */
#ifndef CONSUMER_APPLY_JUDGE_H
#define CONSUMER_APPLY_JUDGE_H

#include "consumer/apply/internal.h"

/** Outcome of every event that needs no statement; a partition that must stop gets stop_offset. */
enum status applier_judge(struct applier *applier, struct batch *batch,
                          struct error *err) MUST_CHECK;

/** Claim the idempotency keys that are kept singly, inside the transaction. */
enum status applier_judge_keys(struct applier *applier, struct batch *batch,
                               struct error *err) MUST_CHECK;

/** Mark an event as parked and its entity as blocked. */
enum status applier_park_event(struct applier *applier, struct batch_event *event,
                               enum reject_kind kind, int code, const char *reason,
                               struct error *err) MUST_CHECK;
bool applier_is_blocked(const struct applier *applier, const struct change *change);

/** The last applied sequence of the service's own events in a partition. */
uint64_t applier_own_last(const struct applier *applier, const struct owned *owned);

#endif
