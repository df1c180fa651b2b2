/* Writes a judged batch and the evidence of what became of its events. */
#ifndef CONSUMER_APPLY_WRITE_H
#define CONSUMER_APPLY_WRITE_H

#include "consumer/apply/internal.h"

/** @return whether an image lacks columns. A full image or a delete replaces whatever was there. */
bool applier_is_sparse(const struct change *change);

/** Write the images of a batch: reduced and in bulk. Where the database rejects that, write them
 * one by one in the order of the log and park what fails.
 * @return OK; AGAIN; RETRY; ABORT; FATAL. */
enum status applier_write(struct applier *applier, struct batch *batch,
                          struct error *err) MUST_CHECK;

/** Store what is parked, the superseded images and the sequences. Statuses as applier_write(). */
enum status applier_write_evidence(struct applier *applier, const struct batch *batch,
                                   struct error *err) MUST_CHECK;

#endif
