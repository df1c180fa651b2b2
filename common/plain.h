/* Texts of others, as a terminal may get them: it obeys control characters. */
#ifndef COMMON_PLAIN_H
#define COMMON_PLAIN_H

#include "common/buffer.h"

/** Put '?' in the place of each byte of a control character (C0, DEL, C1 as UTF-8). */
void plain_make(char *text, size_t length);

/** The same, but for line ends and tabs. */
void plain_make_lines(char *text, size_t length);

/** Append a text without its control characters. */
void plain_append(struct buffer *out, struct slice text);

#endif
