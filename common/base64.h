/* Bytes as base64 (RFC 4648), with padding. */
#ifndef COMMON_BASE64_H
#define COMMON_BASE64_H

#include "common/buffer.h"

/** Append bytes as base64. The caller looks at out->failed. */
void base64_append(struct buffer *out, struct slice bytes);

/** Append the bytes that a text says; it may also be of the alphabet for URLs.
 * @return whether it is base64, and there was room. */
bool base64_read(struct slice text, struct buffer *bytes) MUST_CHECK;

#endif
