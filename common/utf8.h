/* Whether bytes are UTF-8 (RFC 3629). */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include "common/slice.h"

/** @return the length of the sequence of several bytes that begins at `at`; 0 where it is none. */
size_t utf8_sequence_length(const char *at, const char *end);

/** @return whether all of a text is UTF-8. */
bool utf8_is_valid(struct slice text);

/** @return a text without the part of a character at its end, where it was cut by bytes. */
struct slice utf8_whole(struct slice text);

#endif
