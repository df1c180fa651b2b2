/* Writes the members of the JSON objects that commands print. Each puts the comma in front of
 * itself where one is needed. */
#ifndef OPERATE_MEMBER_H
#define OPERATE_MEMBER_H

#include "common/buffer.h"

#include <stdint.h>

/** Begin an object or an array. @param name  NULL: it is no member. @param bracket  "{" or "[". */
void member_begin(struct buffer *out, const char *name, const char *bracket);

/** @param value  data NULL: null. */
void member_text(struct buffer *out, const char *name, struct slice value);

void member_number(struct buffer *out, const char *name, int64_t number);

/** The same, and null for a number below 0: it is not known. */
void member_known_number(struct buffer *out, const char *name, int64_t number);

/** With three decimals; null below 0. */
void member_seconds(struct buffer *out, const char *name, double seconds);

/** As RFC 3339; null for 0. @param time_us  microseconds since 1970. */
void member_time(struct buffer *out, const char *name, int64_t time_us);

/** A word of a fixed list, as people see it, "set aside"; "set_aside" in JSON. NULL: null. */
void member_word(struct buffer *out, const char *name, const char *word);

/** Any JSON text. @param json  length 0: `none`. */
void member_json(struct buffer *out, const char *name, struct slice json, const char *none);

/** A text; of bytes that are no UTF-8 instead the member "NAME_base64". data NULL is null. */
void member_bytes(struct buffer *out, const char *name, struct slice bytes);
void member_bool(struct buffer *out, const char *name, bool value);

#endif
