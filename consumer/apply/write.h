/* Writes a judged batch and the evidence of what became of its events. */
#ifndef CONSUMER_APPLY_WRITE_H
#define CONSUMER_APPLY_WRITE_H

#include "consumer/apply/internal.h"
#include "consumer/apply/sort.h"

#define OVERTAKEN_MAX 2 /* then single writes are checked for own changes one by one (rule 18) */

/** @return whether an image lacks columns. A full image or a delete replaces whatever was there. */
bool applier_is_sparse(const struct change *change);

/** Write the images of a batch: reduced and in bulk. Where the database rejects that, write them
 * one by one in the order of the log and park what fails.
 * @return OK; AGAIN; RETRY; ABORT; FATAL. */
enum status applier_write(struct applier *applier, struct batch *batch,
                          struct error *err) MUST_CHECK;

/** @return what is to be written of an event of the batch. */
struct write applier_write_of(const struct applier *applier, struct batch *batch, size_t index);

/** Write images in bulk, reduced to one an entity where it may be.
 * @param all  used up: it is the room for sorting. */
enum status applier_write_reduced(struct applier *applier, struct write *all, size_t count,
                                  struct error *err) MUST_CHECK;

/** Store what is parked of a batch.
 * @return OK; AGAIN (a record does not fit: its partition stops in front of it); RETRY; FATAL. */
enum status applier_write_parked(struct applier *applier, const struct batch *batch,
                                 struct error *err) MUST_CHECK;

/** Store what is parked, the superseded images and the sequences. Statuses as applier_write(). */
enum status applier_write_evidence(struct applier *applier, const struct batch *batch,
                                   struct error *err) MUST_CHECK;

#endif
