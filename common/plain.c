/* Takes the control characters out of a text. */
#include "common/plain.h"

#include <string.h>

/* @param kept  control characters that stay. */
static void plain_replace(char *text, size_t length, const char *kept)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        unsigned char next = i + 1 < length ? (unsigned char)text[i + 1] : 0;
        if (c == 0xc2 && next >= 0x80 && next < 0xa0)
            text[i] = text[i + 1] = '?';
        else if (c == 0 || c == 0x7f || (c < 0x20 && strchr(kept, c) == NULL))
            text[i] = '?';
    }
}

void plain_make(char *text, size_t length)
{
    plain_replace(text, length, "");
}

void plain_make_lines(char *text, size_t length)
{
    plain_replace(text, length, "\n\t");
}

void plain_append(struct buffer *out, struct slice text)
{
    size_t before = out->length;
    buffer_append(out, text.data, text.length);
    if (!out->failed && text.length > 0)
        plain_make(out->data + before, text.length);
}
