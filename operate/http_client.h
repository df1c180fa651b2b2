/* Asks a running sidecar for one of its pages. */
#ifndef OPERATE_HTTP_CLIENT_H
#define OPERATE_HTTP_CLIENT_H

#include "common/buffer.h"

#define HTTP_GET_SECONDS 5
#define HTTP_NOBODY      (-1) /* nobody listens there */
#define HTTP_NO_ANSWER   (-2) /* no HTTP answer within HTTP_GET_SECONDS, or one too large */

/** GET a path; who listens on all addresses is asked by loopback. @param body  appended to.
 * @return the answer's status, as 200; HTTP_NOBODY; HTTP_NO_ANSWER. */
int http_get(const char *host, const char *port, const char *path, struct buffer *body);

#endif
