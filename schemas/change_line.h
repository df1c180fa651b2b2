/* A change as people write it: one line of JSON, taken apart. */
#ifndef SCHEMAS_CHANGE_LINE_H
#define SCHEMAS_CHANGE_LINE_H

#include "common/arena.h"

/** Slices live in the arena or in the line; data NULL: not given. */
struct change_line {
    struct slice entity_type; /* what stands before the last dot of `type` */
    struct slice type;        /* "order.updated" */
    struct slice key;         /* JSON of an object or number, or the text of a string */
    struct slice payload;     /* {"op","before","after"}; members byte for byte as in the line */
    struct slice traceparent;
    struct slice partition_key;
};

/** Take apart {"type","key","op","before","after","traceparent","partition_key"}. The values of
 * before and after are not read: every number keeps its digits.
 * @return OK; REJECT (not JSON, no type or key); RETRY (arena full). */
enum status change_line_read(struct slice line, struct arena *arena, struct change_line *ret_line,
                             struct error *err) MUST_CHECK;

#endif
