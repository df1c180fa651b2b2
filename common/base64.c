/* Base64, four characters for three bytes. */
#include "common/base64.h"

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_append(struct buffer *out, struct slice bytes)
{
    for (size_t i = 0; i < bytes.length; i += 3) {
        const unsigned char *at = (const unsigned char *)bytes.data + i;
        size_t left = bytes.length - i;
        unsigned int group = (unsigned int)at[0] << 16 | (left > 1 ? (unsigned int)at[1] << 8 : 0) |
                             (left > 2 ? (unsigned int)at[2] : 0);
        const char text[] = {base64_digits[group >> 18], base64_digits[group >> 12 & 63],
                             left > 1 ? base64_digits[group >> 6 & 63] : '=',
                             left > 2 ? base64_digits[group & 63] : '='};
        buffer_append(out, text, sizeof text);
    }
}

static int base64_digit(char c)
{
    const char *at = c == '\0' ? NULL : strchr(base64_digits, c);
    if (c == '-' || c == '_')
        return c == '-' ? 62 : 63;
    return at == NULL ? -1 : (int)(at - base64_digits);
}

bool base64_read(struct slice text, struct buffer *bytes)
{
    if (text.data == NULL || text.length % 4 != 0)
        return false;
    for (size_t i = 0; i < text.length; i += 4) {
        bool last = i + 4 == text.length;
        size_t padding = !last || text.data[i + 3] != '=' ? 0 : text.data[i + 2] == '=' ? 2 : 1;
        unsigned int group = 0;
        for (size_t j = 0; j < 4; j++) {
            int digit = j >= 4 - padding ? 0 : base64_digit(text.data[i + j]);
            if (digit < 0)
                return false;
            group = group << 6 | (unsigned int)digit;
        }
        const char out[] = {(char)(group >> 16), (char)(group >> 8), (char)group};
        buffer_append(bytes, out, 3 - padding);
    }
    return !bytes->failed;
}
