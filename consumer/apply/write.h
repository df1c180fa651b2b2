/* Writes a judged batch and the evidence of what became of its events. */
#ifndef CONSUMER_APPLY_WRITE_H
#define CONSUMER_APPLY_WRITE_H

#include "consumer/apply/internal.h"

/** A full image or a delete is not sparse: it replaces whatever was there before. */
bool applier_is_sparse(const struct change *change);

/** Write the images of a batch: reduced and in bulk, else one by one in log order. */
enum status applier_write(struct applier *applier, struct batch *batch,
                          struct error *err) MUST_CHECK;

/** Park, keep superseded images and record sequences. */
enum status applier_write_evidence(struct applier *applier, const struct batch *batch,
                                   struct error *err) MUST_CHECK;

#endif
