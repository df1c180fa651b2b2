/* Reads UTF-8 sequences: no overlong forms, no surrogates, nothing above U+10FFFF. */
#include "common/utf8.h"

#include <stdio.h>
#include <string.h>

size_t utf8_sequence_length(const char *at, const char *end)
{
    unsigned char first = (unsigned char)at[0];
    size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    if (first < 0xc2 || first > 0xf4 || (size_t)(end - at) < length)
        return 0;
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    for (size_t i = 1; i < length; i++) {
        unsigned char byte = (unsigned char)at[i];
        if (byte < low || byte > high)
            return 0;
        low = 0x80;
        high = 0xbf;
    }
    return length;
}

bool utf8_is_valid(struct slice text)
{
    const char *at = text.data;
    const char *end = text.data + text.length;
    while (at < end) {
        size_t length = (unsigned char)*at < 0x80 ? 1 : utf8_sequence_length(at, end);
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

struct slice utf8_cut(struct slice text, size_t size_max)
{
    size_t start = text.length < size_max ? text.length : size_max;
    text.length = start;
    while (start > 0 && ((unsigned char)text.data[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0 || (unsigned char)text.data[start - 1] < 0x80)
        return text;
    start--;
    if (utf8_sequence_length(text.data + start, text.data + text.length) == 0)
        text.length = start;
    return text;
}

void utf8_vformat(char *out, size_t size, const char *format, va_list args)
{
    int wanted = vsnprintf(out, size, format, args);
    if (wanted <= 0 || size == 0)
        return;
    const char *at = out;
    const char *end = out + ((size_t)wanted < size ? (size_t)wanted : size - 1);
    char *kept = out;
    while (at < end) {
        size_t length = (unsigned char)*at < 0x80 ? 1 : utf8_sequence_length(at, end);
        memmove(kept, at, length);
        kept += length;
        at += length == 0 ? 1 : length;
    }
    *kept = '\0';
}

void utf8_format(char *out, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    utf8_vformat(out, size, format, args);
    va_end(args);
}
