/* The documents that the build writes from the tables of the program. */
#ifndef OPERATE_MANUAL_MANUAL_H
#define OPERATE_MANUAL_MANUAL_H

#include "common/buffer.h"

/** Append keepstep(1) as Markdown; cmake/man.awk makes a man page of it. */
void manual_describe(struct buffer *out);

/** Append the completion script for bash. */
void manual_completion(struct buffer *out);

#endif
