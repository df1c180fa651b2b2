/* Whether bytes are UTF-8 (RFC 3629), and texts that stay so where they are cut. */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include "common/slice.h"
#include "common/status.h"

#include <stdarg.h>

/** @return the length of the sequence of several bytes that begins at `at`; 0 where it is none. */
size_t utf8_sequence_length(const char *at, const char *end);

/** @return whether all of a text is UTF-8. */
bool utf8_is_valid(struct slice text);

/** @return the beginning of a text, of at most `size_max` bytes, that ends between two characters.
 */
struct slice utf8_cut(struct slice text, size_t size_max);

/** As snprintf() and vsnprintf(), for what people read, and what others must be able to read: what
 * is no UTF-8 is left out, as is the half of a character where the text, or what a precision takes
 * of another one, was cut. */
void utf8_format(char *out, size_t size, const char *format, ...) PRINTF_LIKE(3, 4);
void utf8_vformat(char *out, size_t size, const char *format, va_list args) PRINTF_LIKE(3, 0);

#endif
