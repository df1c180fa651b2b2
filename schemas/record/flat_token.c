/* Reads JSON's tokens in place, and only those that jansson would read too. */
#include "schemas/record/flat.h"

#include "common/utf8.h"

#include <endian.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#define FLAT_DIGITS_MAX     19 /* so many always fit a uint64 */
#define FLAT_NUMBER_SIZE    64
#define FLAT_DEPTH_MAX      16 /* jansson reads far deeper */
#define FLAT_UNICODE_LENGTH 6  /* of \\uXXXX */
#define FLAT_BYTES(byte)    (UINT64_C(0x0101010101010101) * (byte))

static bool flat_is_plain(char c)
{
    unsigned char byte = (unsigned char)c;
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

/** @return a word whose lowest bit is in the first of eight bytes that is not plain; 0 where all
 * are. Subtracting borrows from later bytes only, and only where an earlier one is not plain. */
static uint64_t flat_find_other(uint64_t word)
{
    uint64_t control_or_quote = (word ^ FLAT_BYTES(0x02)) - FLAT_BYTES(0x21);
    uint64_t backslash = (word ^ FLAT_BYTES('\\')) - FLAT_BYTES(1);
    return (control_or_quote | backslash | word) & FLAT_BYTES(0x80);
}

/** Move past the bytes that need no decoding, eight at a time. */
static const char *flat_skip_plain(const char *at, const char *end)
{
    for (; end - at >= (ptrdiff_t)sizeof(uint64_t); at += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        uint64_t other = flat_find_other(le64toh(word));
        if (other != 0)
            return at + __builtin_ctzll(other) / CHAR_BIT;
    }
    while (at < end && flat_is_plain(*at))
        at++;
    return at;
}

/** @return the character that a backslash and `c` mean; 0 where this reader cannot decode it. */
static char flat_unescaped(char c)
{
    static const char known[] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                 ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    unsigned char index = (unsigned char)c;
    return index < sizeof known ? known[index] : (char)0;
}

/** @return the length of the escape; 0 where it is none, or may be half of a pair. */
static size_t flat_escape_length(const char *at, const char *end)
{
    if (end - at > 1 && flat_unescaped(at[1]) != 0)
        return 2;
    if (end - at < FLAT_UNICODE_LENGTH || at[1] != 'u' || at[2] == 'd' || at[2] == 'D')
        return 0;
    for (size_t i = 2; i < FLAT_UNICODE_LENGTH; i++) {
        if (strchr("0123456789abcdefABCDEF", at[i]) == NULL || at[i] == '\0')
            return 0;
    }
    return FLAT_UNICODE_LENGTH;
}

static bool flat_unescape(struct arena *arena, struct slice raw, struct slice *ret_text)
{
    size_t length = 0;
    char *text = arena_alloc(arena, raw.length + 1);
    if (text == NULL)
        return false;
    for (size_t i = 0; i < raw.length; i++) {
        if (raw.data[i] == '\\')
            text[length++] = flat_unescaped(raw.data[++i]);
        else
            text[length++] = raw.data[i];
        if (text[length - 1] == '\0')
            return false; /* \uXXXX */
    }
    *ret_text = (struct slice){.data = text, .length = length};
    return true;
}

/** Read a string without decoding it. */
static bool flat_raw_string(struct flat_reader *reader, struct slice *ret_raw, bool *ret_escaped)
{
    *ret_escaped = false;
    if (reader->at == reader->end || *reader->at != '"')
        return false;
    const char *start = reader->at + 1;
    const char *at = flat_skip_plain(start, reader->end);
    while (at < reader->end && *at != '"') {
        size_t length = 0;
        if (*at == '\\') {
            length = flat_escape_length(at, reader->end);
            *ret_escaped = true;
        } else if ((unsigned char)*at >= 0x80) {
            length = utf8_sequence_length(at, reader->end);
        }
        if (length == 0)
            return false;
        at = flat_skip_plain(at + length, reader->end);
    }
    if (at == reader->end)
        return false;
    reader->at = at + 1;
    *ret_raw = (struct slice){.data = start, .length = (size_t)(at - start)};
    return true;
}

bool flat_string(struct flat_reader *reader, struct slice *ret_text)
{
    bool escaped = false;
    return flat_raw_string(reader, ret_text, &escaped) &&
           (!escaped || flat_unescape(reader->arena, *ret_text, ret_text));
}

static size_t flat_digits(struct flat_reader *reader, uint64_t *ret_number)
{
    const char *start = reader->at;
    uint64_t number = 0;
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
        number = number * 10 + (uint64_t)(*reader->at++ - '0');
    *ret_number = number;
    return (size_t)(reader->at - start);
}

bool flat_integer(struct flat_reader *reader, int64_t *ret_integer)
{
    uint64_t number = 0;
    bool negative = flat_take(reader, slice_of("-"));
    const char *start = reader->at;
    size_t digits = flat_digits(reader, &number);
    if (digits == 0 || digits > FLAT_DIGITS_MAX || number > INT64_MAX ||
        (digits > 1 && *start == '0'))
        return false;
    *ret_integer = negative ? -(int64_t)number : (int64_t)number;
    return true;
}

bool flat_real(struct flat_reader *reader, const char *start, double *ret_real)
{
    char text[FLAT_NUMBER_SIZE];
    uint64_t ignored;
    if (flat_take(reader, slice_of(".")) && flat_digits(reader, &ignored) == 0)
        return false;
    if (flat_take(reader, slice_of("e")) || flat_take(reader, slice_of("E"))) {
        if (!flat_take(reader, slice_of("+")))
            (void)flat_take(reader, slice_of("-"));
        if (flat_digits(reader, &ignored) == 0)
            return false;
    }
    size_t length = (size_t)(reader->at - start);
    if (length >= sizeof text)
        return false;
    memcpy(text, start, length);
    text[length] = '\0';
    *ret_real = strtod(text, NULL);
    return isfinite(*ret_real);
}

/** @return a number below 256 by which most names of an object differ. */
static unsigned flat_name_digest(struct slice name)
{
    if (name.length == 0)
        return 0;
    unsigned first = (unsigned char)name.data[0];
    unsigned middle = (unsigned char)name.data[name.length / 2];
    unsigned last = (unsigned char)name.data[name.length - 1];
    return ((unsigned)name.length * 31 + first * 7 + middle * 17 + last * 3) % 256;
}

/** @return false where the name is there already, or the object has too many. */
static bool flat_add_name(struct flat_names *names, struct slice name)
{
    unsigned digest = flat_name_digest(name);
    uint64_t *marks = &names->marks[digest / 64];
    uint64_t mark = UINT64_C(1) << digest % 64;
    for (size_t i = 0; (*marks & mark) != 0 && i < names->count; i++) {
        if (slice_equal(names->names[i], name))
            return false;
    }
    *marks |= mark;
    if (names->count == FLAT_MEMBERS_MAX)
        return false;
    names->names[names->count++] = name;
    return true;
}

bool flat_take_name(struct flat_reader *reader, struct flat_names *names, struct slice *ret_name)
{
    bool escaped = false;
    return flat_raw_string(reader, ret_name, &escaped) && !escaped &&
           flat_add_name(names, *ret_name) && flat_take_mark(reader, ':');
}

static bool flat_skip_scalar(struct flat_reader *reader)
{
    struct slice raw;
    bool escaped = false;
    const char *start = reader->at;
    int64_t integer = 0;
    double real = 0;
    switch (flat_next(reader)) {
    case '"':
        return flat_raw_string(reader, &raw, &escaped);
    case 'n':
        return flat_take(reader, slice_of("null"));
    case 't':
        return flat_take(reader, slice_of("true"));
    case 'f':
        return flat_take(reader, slice_of("false"));
    default:
        break;
    }
    if (!flat_integer(reader, &integer))
        return false;
    char next = flat_next(reader);
    return (next != '.' && next != 'e' && next != 'E') || flat_real(reader, start, &real);
}

static bool flat_skip_nested(struct flat_reader *reader, unsigned depth);

static bool flat_skip_object(struct flat_reader *reader, unsigned depth)
{
    struct flat_names names;
    struct slice name;
    flat_names_begin(&names);
    if (!flat_take_mark(reader, '{'))
        return false;
    if (flat_next(reader) != '}') {
        do {
            if (!flat_take_name(reader, &names, &name) || !flat_skip_nested(reader, depth + 1))
                return false;
        } while (flat_take_mark(reader, ','));
    }
    return flat_take_mark(reader, '}');
}

static bool flat_skip_array(struct flat_reader *reader, unsigned depth)
{
    if (!flat_take_mark(reader, '['))
        return false;
    if (flat_next(reader) != ']') {
        do {
            if (!flat_skip_nested(reader, depth + 1))
                return false;
        } while (flat_take_mark(reader, ','));
    }
    return flat_take_mark(reader, ']');
}

static bool flat_skip_nested(struct flat_reader *reader, unsigned depth)
{
    if (depth > FLAT_DEPTH_MAX)
        return false;
    if (flat_next(reader) == '{')
        return flat_skip_object(reader, depth);
    if (flat_next(reader) == '[')
        return flat_skip_array(reader, depth);
    return flat_skip_scalar(reader);
}

bool flat_skip_value(struct flat_reader *reader)
{
    return flat_skip_nested(reader, 0);
}
