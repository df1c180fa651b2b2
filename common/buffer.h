/* Growing bytes with a hard maximum. */
#ifndef COMMON_BUFFER_H
#define COMMON_BUFFER_H

#include "common/slice.h"
#include "common/status.h"

/** Grows up to `size_max` bytes. Above that, or without memory, it stays as it is and `failed` is
 * set. So a run of appends needs one check, at its end. */
struct buffer {
    char *data; /* NUL-terminated where length > 0 */
    size_t length;
    size_t size;
    size_t size_max;
    bool failed;
    bool no_memory; /* the cause of `failed`; otherwise the maximum is */
};

void buffer_init(struct buffer *buffer, size_t size_max);
void buffer_done(struct buffer *buffer);

/** Empty it and keep its memory. */
void buffer_reset(struct buffer *buffer);

void buffer_append(struct buffer *buffer, const void *data, size_t length);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_append_format(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);

/** Append `text` as a JSON string with quotes and the shortest escapes. The caller has checked that
 * it is UTF-8. */
void buffer_append_json(struct buffer *buffer, struct slice text);

/** @return the text; "" while it is empty. Valid until the next append. */
const char *buffer_text(const struct buffer *buffer);

static inline struct slice buffer_slice(const struct buffer *buffer)
{
    return (struct slice){.data = buffer->data, .length = buffer->length};
}

#endif
