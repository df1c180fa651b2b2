/* How the PostgreSQL store writes texts that PostgreSQL could not hold, and reads rows. */
#include "common/utf8.h"
#include "consumer/store/postgresql/internal.h"

#include <stdio.h>

#define OID_TEXT      25
#define TEXT_SIZE_MAX ((size_t)256 * 1024 * 1024)

bool store_postgresql_is_text(struct slice text)
{
    if (text.length == 0)
        return true;
    const unsigned char *at = (const unsigned char *)text.data;
    const unsigned char *end = at + text.length;
    while (at < end) {
        unsigned char c = *at++;
        unsigned int more = c < 0x80 ? 0 : c < 0xc2 ? 9 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        if (c == 0 || c > 0xf4 || more == 9 || (size_t)(end - at) < more)
            return false;
        if (more > 0 && ((c == 0xe0 && *at < 0xa0) || (c == 0xed && *at > 0x9f) ||
                         (c == 0xf0 && *at < 0x90) || (c == 0xf4 && *at > 0x8f)))
            return false;
        for (; more > 0; more--)
            if ((*at++ & 0xc0) != 0x80)
                return false;
    }
    return true;
}

void store_postgresql_encode(struct buffer *out, struct slice text)
{
    static const char digits[] = "0123456789abcdef";
    bool marked = text.length >= 2 && text.data[0] == '\\' && text.data[1] == 'x';
    if (!marked && store_postgresql_is_text(text)) {
        buffer_append(out, text.data, text.length);
        return;
    }
    buffer_append_text(out, "\\x");
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        buffer_append(out, &digits[c >> 4], 1);
        buffer_append(out, &digits[c & 15], 1);
    }
}

static int hexadecimal(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Undo store_postgresql_encode() into as many bytes at most. @return how many. */
static size_t text_decode(struct slice text, char *ret_bytes)
{
    bool marked = text.length >= 2 && text.data[0] == '\\' && text.data[1] == 'x';
    if (!marked) {
        if (text.length > 0)
            memcpy(ret_bytes, text.data, text.length);
        return text.length;
    }
    for (size_t i = 2; i + 1 < text.length; i += 2)
        ret_bytes[i / 2 - 1] = (char)(hexadecimal(text.data[i]) << 4 |
                                      hexadecimal(text.data[i + 1]));
    return text.length / 2 - 1;
}

/* Integers come in binary form, of any size. */
static int64_t row_integer(const struct store_row *row, int column)
{
    const unsigned char *at = (const unsigned char *)PQgetvalue(row->result, row->index, column);
    int length = PQgetlength(row->result, row->index, column);
    uint64_t integer = length > 0 && at[0] >= 0x80 ? UINT64_MAX : 0;
    for (int i = 0; i < length; i++)
        integer = integer << 8 | at[i];
    return (int64_t)integer;
}

static struct slice row_bytes(const struct store_row *row, int column)
{
    return postgresql_session_text(row->result, row->index, column);
}

static bool row_keep(const struct store_row *row, int column, struct arena *arena,
                     struct slice *ret_bytes)
{
    struct slice bytes = row_bytes(row, column);
    *ret_bytes = bytes;
    if (bytes.data == NULL)
        return true;
    char *kept = arena_alloc(arena, bytes.length + 1);
    if (kept == NULL)
        return false;
    size_t length = bytes.length;
    if (PQftype(row->result, column) == OID_TEXT)
        length = text_decode(bytes, kept);
    else if (length > 0)
        memcpy(kept, bytes.data, length);
    *ret_bytes = (struct slice){.data = kept, .length = length};
    return true;
}

static void row_copy(const struct store_row *row, int column, char *ret_text, size_t size)
{
    struct slice text = {0};
    struct arena arena;
    arena_init(&arena, TEXT_SIZE_MAX);
    if (!row_keep(row, column, &arena, &text))
        text = (struct slice){0};
    (void)snprintf(ret_text, size, "%.*s", SLICE_ARGS(utf8_cut(text, size - 1)));
    arena_done(&arena);
}

struct store_row store_postgresql_row(PGresult *result)
{
    return (struct store_row){.integer = row_integer,
                              .bytes = row_bytes,
                              .keep = row_keep,
                              .copy = row_copy,
                              .result = result};
}
