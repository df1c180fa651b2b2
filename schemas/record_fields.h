/* Reads the members of a JSON object that another program has written, strictly. Of the faults the
 * first one is told; after it everything reads as empty. */
#ifndef SCHEMAS_RECORD_FIELDS_H
#define SCHEMAS_RECORD_FIELDS_H

#include "common/arena.h"
#include "common/buffer.h"
#include "schemas/json.h"

#include <stdint.h>

#define FIELDS_TEXT_MAX 1024 /* bytes of a name or a reason */

/** The reading of one record. */
struct fields {
    struct arena *arena; /* gets what was read */
    struct error *err;
    enum status status; /* OK; REJECT; RETRY */
};

/** Load a record, and check its "v".
 * @return the object; NULL with the status set: REJECT, or RETRY (memory). */
json_t *fields_load(struct fields *fields, struct slice value, size_t bytes_max, int version);

/** Note that the member of this name is at fault. */
void fields_refuse(struct fields *fields, const char *name);

/** @return zeroed memory for `count` things and one more; NULL: the status is set. */
void *fields_allocate(struct fields *fields, size_t count, size_t size);

/** @return a copy of `text`; "" where it is NULL or too long, which is refused as `name`. */
const char *fields_copy(struct fields *fields, const char *text, const char *name);
const char *fields_text(struct fields *fields, const json_t *json, const char *name);

/** The same of a text that becomes a part of a key: not empty, and without a slash. */
const char *fields_name(struct fields *fields, const json_t *json, const char *name);

/** @return an integer of at least `least`; what is none is refused as `name`. */
int64_t fields_integer(struct fields *fields, const json_t *json, int64_t least, const char *name);

/** @return the number of a member, from 0 to `limit`. */
int64_t fields_count(struct fields *fields, const json_t *json, const char *name, int64_t limit);
bool fields_bool(struct fields *fields, const json_t *json, const char *name);

/** @return microseconds since 1970 of an RFC 3339 time. */
int64_t fields_time(struct fields *fields, const json_t *json, const char *name);

/** @return the member `name`, an object (an array) of at most `limit` members; NULL was refused. */
json_t *fields_object(struct fields *fields, const json_t *json, const char *name, size_t limit);
json_t *fields_array(struct fields *fields, const json_t *json, const char *name, size_t limit);

/** Append `,"name":"text"`. */
void fields_append_text(struct buffer *out, const char *name, const char *text);

/** Append `,"name":"…"` of an error's text. It can hold bytes of a record, or end in the middle of
 * a character, and then nobody could read the record. */
void fields_append_reason(struct buffer *out, const char *name, const char *reason);

/** Append `,"name":"2026-…Z"`. */
void fields_append_time(struct buffer *out, const char *name, int64_t time_us);

#endif
