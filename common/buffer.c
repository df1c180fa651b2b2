/* Growing bytes with a hard maximum, and JSON strings in them. */
#include "common/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUFFER_FIRST_SIZE 256

void buffer_init(struct buffer *buffer, size_t size_max)
{
    *buffer = (struct buffer){.size_max = size_max};
}

void buffer_done(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){.size_max = buffer->size_max};
}

void buffer_reset(struct buffer *buffer)
{
    buffer->length = 0;
    buffer->failed = false;
    buffer->no_memory = false;
    if (buffer->data != NULL)
        buffer->data[0] = '\0';
}

static bool buffer_reserve(struct buffer *buffer, size_t more)
{
    if (buffer->failed)
        return false;
    if (more > buffer->size_max || buffer->length > buffer->size_max - more) {
        buffer->failed = true;
        return false;
    }
    if (more < buffer->size - buffer->length)
        return true;
    size_t size = buffer->size == 0 ? BUFFER_FIRST_SIZE : buffer->size;
    while (size - buffer->length <= more)
        size *= 2;
    char *data = realloc(buffer->data, size);
    if (data == NULL) {
        buffer->failed = true;
        buffer->no_memory = true;
        return false;
    }
    buffer->data = data;
    buffer->size = size;
    return true;
}

void buffer_append(struct buffer *buffer, const void *data, size_t length)
{
    if (length == 0 || !buffer_reserve(buffer, length))
        return;
    memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_append_format(struct buffer *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    if (length > 0 && buffer_reserve(buffer, (size_t)length)) {
        (void)vsnprintf(buffer->data + buffer->length, (size_t)length + 1, format, again);
        buffer->length += (size_t)length;
    }
    va_end(again);
    va_end(args);
}

static void buffer_append_json_char(struct buffer *buffer, char c)
{
    static const char named[] = {['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
                                 ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't'};
    unsigned char index = (unsigned char)c;
    if (index < sizeof named && named[index] != 0) {
        char escaped[2] = {'\\', named[index]};
        buffer_append(buffer, escaped, sizeof escaped);
    } else {
        buffer_append_format(buffer, "\\u%04x", index);
    }
}

void buffer_append_json(struct buffer *buffer, struct slice text)
{
    buffer_append(buffer, "\"", 1);
    size_t start = 0;
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buffer_append(buffer, text.data + start, i - start);
        buffer_append_json_char(buffer, text.data[i]);
        start = i + 1;
    }
    if (start < text.length)
        buffer_append(buffer, text.data + start, text.length - start);
    buffer_append(buffer, "\"", 1);
}

const char *buffer_text(const struct buffer *buffer)
{
    return buffer->length == 0 ? "" : buffer->data;
}
