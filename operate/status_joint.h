/* A line of `keepstep status` on joint transactions. */
#ifndef OPERATE_STATUS_JOINT_H
#define OPERATE_STATUS_JOINT_H

#include "operate/service.h"

/** Append how far the joint topic is read here, and what is not settled; nothing where the service
 * takes no part. @return OK; RETRY; FATAL. */
enum status status_joint_append(const struct service *service, struct buffer *text,
                                struct buffer *json, struct error *err) MUST_CHECK;

#endif
