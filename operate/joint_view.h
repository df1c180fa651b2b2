/* How commands print joint transactions. */
#ifndef OPERATE_JOINT_VIEW_H
#define OPERATE_JOINT_VIEW_H

#include "consumer/joint/joint.h"

/** Append a line of the list, or an object and a newline with `json`. @param service  whose row it
 * is. @return OK; RETRY (no memory); FATAL (the stored row cannot be read). */
enum status joint_view_line(const struct joint_row *row, const char *service, bool json,
                            struct buffer *out, struct error *err) MUST_CHECK;

/** Append the line above the list. */
void joint_view_header(struct buffer *out);

/** Append all that is known of one. Statuses as above. */
enum status joint_view_whole(const struct joint_row *row, const char *service, bool json,
                             struct buffer *out, struct error *err) MUST_CHECK;

/** @return whether the log has decided it, as this service has read it; then `ret_committed`. */
bool joint_view_is_decided(const struct joint_row *row, bool *ret_committed);

#endif
