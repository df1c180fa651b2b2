/* How `keepstep tail` shows a record: a line for people, or an object in kcat's form. */
#ifndef OPERATE_TAIL_PRINT_H
#define OPERATE_TAIL_PRINT_H

#include "common/buffer.h"
#include "consumer/feed/tail.h"

/** A record, and what was read in it. */
struct tail_shown {
    const struct tail_record *tail;
    const struct change *change; /* filled as far as the record could be read */
    const char *reason;          /* why it could not be read; NULL: it could */
};

/** Append `TIME OP KEY CHANGES from SOURCE #SEQUENCE, TOPIC [PARTITION] at OFFSET`. */
void tail_append_text(const struct tail_shown *shown, struct buffer *out);

/** Append one object on a line: kcat's keys (topic, partition, offset, tstype, ts, broker, headers,
 * key, payload) and "keepstep", what was read. Bytes that are no UTF-8 are in NAME_base64. */
void tail_append_json(const struct tail_shown *shown, struct buffer *out);

#endif
