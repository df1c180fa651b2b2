/* Rule 18: the superseded images that are kept of an entity, until something newer is written. */
#ifndef CONSUMER_APPLY_IMAGE_H
#define CONSUMER_APPLY_IMAGE_H

#include "consumer/apply/internal.h"

/** Keep a superseded image. Memory for it is given back at once: a batch may have thousands of
 * small images that are merged with large ones. @return OK; STOP (the one before cannot be read);
 * RETRY. */
enum status applier_keep_image(struct applier *applier, struct owned *owned,
                               const struct change *change, struct error *err) MUST_CHECK;

/** Make one image of a kept one and a newer one: the newer one, with the columns that it lacks
 * taken from the kept one.
 * @param kept       NULL: none.
 * @param ret_image  either of the two, or a new one in the applier's arena. */
enum status applier_merge_images(struct applier *applier, const struct change *kept,
                                 const struct change *newer, const struct change **ret_image,
                                 struct error *err) MUST_CHECK;

/** @return whether a stored record was merged of several: it has Keepstep's form in any topic. */
bool applier_is_merged(const struct record *record);

/** Read the kept image of a change's entity; NULL: none. @return OK; STOP (it cannot be read). */
enum status applier_read_image(struct applier *applier, const struct change *of,
                               const struct change **ret_kept, struct error *err) MUST_CHECK;

/** Find the image that is kept of an event's entity just before that event; NULL: none.
 * @param index  of the event in the batch. */
enum status applier_image_before(struct applier *applier, const struct batch *batch, size_t index,
                                 const struct change **ret_image, struct error *err) MUST_CHECK;

/** Drop an entity's kept image: the row holds something newer now. */
enum status applier_drop_image(struct applier *applier, const struct owned *owned,
                               const struct change *change, struct error *err) MUST_CHECK;

#endif
