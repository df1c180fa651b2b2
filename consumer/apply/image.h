/* Rule 18: the superseded images that are kept of an entity, until something newer is written. */
#ifndef CONSUMER_APPLY_IMAGE_H
#define CONSUMER_APPLY_IMAGE_H

#include "consumer/apply/internal.h"

/** Keep a superseded image, until something newer is written or the own change was read back. */
enum status applier_keep_image(struct applier *applier, struct owned *owned,
                               const struct change *change, struct error *err) MUST_CHECK;

/** What a kept image (NULL: none) and a newer one make of the row: the newer one, unless it lacks
 * columns that the kept one has. @param ret_image  either of them, or in the applier's arena. */
enum status applier_merge_images(struct applier *applier, const struct change *kept,
                                 const struct change *newer, const struct change **ret_image,
                                 struct error *err) MUST_CHECK;

/** @return whether a stored record was merged of several: it has Keepstep's form in any topic. */
bool applier_is_merged(const struct record *record);

/** Read the kept image of a change's entity; NULL: none. @return OK; STOP (it cannot be read). */
enum status applier_read_image(struct applier *applier, const struct change *of,
                               const struct change **ret_kept, struct error *err) MUST_CHECK;

/** What is kept of an event's entity in front of that event, the batch's at `end`; NULL: nothing.
 */
enum status applier_image_before(struct applier *applier, const struct batch *batch, size_t end,
                                 const struct change **ret_image, struct error *err) MUST_CHECK;

/** Drop an entity's kept image: what the row holds now is newer. */
enum status applier_drop_image(struct applier *applier, const struct owned *owned,
                               const struct change *change, struct error *err) MUST_CHECK;

#endif
