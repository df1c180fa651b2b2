/* Takes apart a change that people write as one line of JSON. */
#ifndef SCHEMAS_CHANGE_LINE_H
#define SCHEMAS_CHANGE_LINE_H

#include "common/arena.h"

/** Slices are in the arena or in the line. Data NULL: absent. */
struct change_line {
    struct slice entity_type; /* `type` up to its last dot */
    struct slice type;        /* "order.updated" */
    struct slice key;         /* JSON of an object or a number; the text of a string */
    struct slice payload;     /* {"op","before","after"}, with the bytes of the line */
    struct slice traceparent;
    struct slice partition_key;
};

/** Take apart {"type","key","op","before","after","traceparent","partition_key"}. The values of
 * before and after are not read, so every number keeps its digits.
 * @return OK; REJECT (not JSON, no type or no key); RETRY (arena full). */
enum status change_line_read(struct slice line, struct arena *arena, struct change_line *ret_line,
                             struct error *err) MUST_CHECK;

#endif
