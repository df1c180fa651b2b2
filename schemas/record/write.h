/* Writes the headers and the values of records. */
#ifndef SCHEMAS_RECORD_WRITE_H
#define SCHEMAS_RECORD_WRITE_H

#include "common/buffer.h"
#include "schemas/change.h"

/** The contents of the headers. A slice whose data is NULL leaves its header out. */
struct record_head {
    struct slice origin;
    struct slice incarnation;
    uint64_t sequence;
    uint64_t changeset_end; /* sequence of its set's last record; 0: it is alone, no header */
    struct slice id;
    struct slice previous_id; /* absent at sequence 1 */
    struct slice type;        /* "order.updated" */
    struct slice created_at;  /* RFC 3339 */
    enum change_kind kind;
    struct slice joint_kind; /* ce_kind of a record of joint transactions; of others data is NULL */
    struct slice joint;      /* the name of the joint transaction that made the change */
    struct slice subject;    /* only where it differs from the record key */
    struct slice traceparent;
};

/** Build the headers. Names are constants; values borrow `head` or are in `arena`.
 * @return OK; RETRY (arena full). */
enum status record_headers_build(const struct record_head *head, struct arena *arena,
                                 struct header **ret_headers, size_t *ret_count,
                                 struct error *err) MUST_CHECK;

/** Append an integer or a double as a decimal text that reads back to the same value.
 * @return false for any other kind; then nothing is appended. */
bool value_append_number(const struct value *value, struct buffer *out);

/** Append a value of a column of this type as JSON; one that has no canonical form as a string, in
 * hexadecimal where it is no ASCII. */
void value_append(enum column_type type, const struct value *value, struct buffer *out);

/** Append the record value of a changed row: all columns that are not absent, in the forms of
 * docs/PROTOCOL.md, section 1.4. */
void record_value_write(const struct change *change, struct buffer *out);

#endif
