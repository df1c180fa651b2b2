/* Reads keys and values of records in one pass where they are flat rows of scalars. Everything else
 * is left to jansson, also what is wrong, so that errors have one source. */
#include "schemas/json_schema/json_schema.h"
#include "schemas/record/value.h"

#include <endian.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#define FLAT_DIGITS_MAX     18 /* so many always fit an int64 */
#define FLAT_NUMBER_SIZE    64
#define FLAT_KEY_LENGTH_MAX 1024
#define FLAT_BYTES(byte)    (UINT64_C(0x0101010101010101) * (byte))

struct flat_reader {
    const char *at;
    const char *end;
    struct arena *arena;
};

struct flat_row {
    const struct entity_schema *schema;
    const struct json_flat *flat;
    struct value *values;
    size_t count; /* present columns */
};

static void flat_skip_space(struct flat_reader *reader)
{
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\n' ||
                                        *reader->at == '\r' || *reader->at == '\t'))
        reader->at++;
}

static bool flat_take(struct flat_reader *reader, struct slice text)
{
    if ((size_t)(reader->end - reader->at) < text.length ||
        memcmp(reader->at, text.data, text.length) != 0)
        return false;
    reader->at += text.length;
    return true;
}

/** Take one character of JSON's grammar, and the white space around it. */
static bool flat_take_mark(struct flat_reader *reader, char mark)
{
    flat_skip_space(reader);
    if (reader->at == reader->end || *reader->at != mark)
        return false;
    reader->at++;
    flat_skip_space(reader);
    return true;
}

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

/** @return the length of the UTF-8 sequence; 0 where it is none (RFC 3629). */
static size_t flat_sequence_length(const char *at, const char *end)
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

/** @return the character that a backslash and `c` mean; 0 where this reader cannot decode it. */
static char flat_unescaped(char c)
{
    static const char known[] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                 ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    unsigned char index = (unsigned char)c;
    return index < sizeof known ? known[index] : (char)0;
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
    }
    *ret_text = (struct slice){.data = text, .length = length};
    return true;
}

/** Read a string. It is borrowed where it has no escapes. */
static bool flat_string(struct flat_reader *reader, struct slice *ret_text)
{
    bool escaped = false;
    if (reader->at == reader->end || *reader->at != '"')
        return false;
    const char *start = reader->at + 1;
    const char *at = flat_skip_plain(start, reader->end);
    while (at < reader->end && *at != '"') {
        size_t length = 0;
        if (*at == '\\') {
            bool known = reader->end - at > 1 && flat_unescaped(at[1]) != 0;
            length = known ? 2 : 0;
            escaped = true;
        } else if ((unsigned char)*at >= 0x80) {
            length = flat_sequence_length(at, reader->end);
        }
        if (length == 0)
            return false;
        at = flat_skip_plain(at + length, reader->end);
    }
    if (at == reader->end)
        return false;
    reader->at = at + 1;
    *ret_text = (struct slice){.data = start, .length = (size_t)(at - start)};
    return !escaped || flat_unescape(reader->arena, *ret_text, ret_text);
}

static size_t flat_digits(struct flat_reader *reader, int64_t *ret_number)
{
    const char *start = reader->at;
    uint64_t number = 0;
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
        number = number * 10 + (uint64_t)(*reader->at++ - '0');
    *ret_number = (int64_t)(number & INT64_MAX);
    return (size_t)(reader->at - start);
}

/** Read a JSON integer. One that may exceed 64 bits is not taken. */
static bool flat_integer(struct flat_reader *reader, int64_t *ret_integer)
{
    bool negative = flat_take(reader, slice_of("-"));
    const char *start = reader->at;
    size_t digits = flat_digits(reader, ret_integer);
    if (digits == 0 || digits > FLAT_DIGITS_MAX || (digits > 1 && *start == '0'))
        return false;
    *ret_integer = negative ? -*ret_integer : *ret_integer;
    return true;
}

/** Read the part of a number after its integer digits, as jansson does. */
static bool flat_real(struct flat_reader *reader, const char *start, double *ret_real)
{
    char text[FLAT_NUMBER_SIZE];
    int64_t ignored;
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

static bool flat_number(struct flat_reader *reader, const struct flat_row *row, size_t index,
                        struct value *value)
{
    enum column_type type = row->schema->columns[index].type;
    const char *start = reader->at;
    int64_t integer = 0;
    double real = 0;
    if (!flat_integer(reader, &integer))
        return false;
    char next = '\0';
    if (reader->at < reader->end)
        next = *reader->at;
    bool is_real = next == '.' || next == 'e' || next == 'E';
    if (is_real) {
        *value = (struct value){.kind = VALUE_DOUBLE};
        bool taken = type == COLUMN_DOUBLE && flat_real(reader, start, &real);
        value->number = real;
        return taken && json_flat_allows_real(row->flat, index, real);
    }
    if (type == COLUMN_DOUBLE)
        *value = (struct value){.kind = VALUE_DOUBLE, .number = (double)integer};
    else
        *value = (struct value){.kind = VALUE_INTEGER, .integer = integer};
    return (type == COLUMN_INTEGER || type == COLUMN_DOUBLE) &&
           json_flat_allows_integer(row->flat, index, integer);
}

static bool flat_text(struct flat_reader *reader, const struct column *column, struct slice text,
                      struct value *value)
{
    switch (column->type) {
    case COLUMN_INTEGER:
    case COLUMN_DOUBLE:
    case COLUMN_BOOLEAN:
        return false;
    case COLUMN_TEXT:
        if (column->length_max > 0 && text.length > column->length_max)
            break; /* it may have fewer code points than bytes */
        *value = (struct value){.kind = VALUE_TEXT, .text = text};
        return true;
    default:
        break;
    }
    return record_value_text(column, text, reader->arena, value, NULL) == STATUS_OK;
}

static bool flat_column(struct flat_reader *reader, const struct flat_row *row, size_t index)
{
    const struct column *column = &row->schema->columns[index];
    struct value *value = &row->values[index];
    struct slice text;
    char first = '\0';
    if (reader->at < reader->end)
        first = *reader->at;
    if (first == '"')
        return flat_string(reader, &text) && json_flat_allows_text(row->flat, index, text) &&
               flat_text(reader, column, text, value);
    if (first == 'n') {
        value->kind = VALUE_NULL;
        return column->nullable && !column->is_key && json_flat_allows_null(row->flat, index) &&
               flat_take(reader, slice_of("null"));
    }
    if (first == 't' || first == 'f') {
        *value = (struct value){.kind = VALUE_BOOLEAN, .boolean = first == 't'};
        return column->type == COLUMN_BOOLEAN && json_flat_allows_boolean(row->flat, index) &&
               flat_take(reader, slice_of(first == 't' ? "true" : "false"));
    }
    return flat_number(reader, row, index, value);
}

/** Read a member's name with its colon: mostly that of the column after the last one.
 * @return the column's index, or a larger number. */
static size_t flat_name(struct flat_reader *reader, const struct flat_row *row, size_t guess)
{
    struct slice name;
    if (guess < row->schema->column_count &&
        flat_take(reader, json_flat_member(row->flat, guess))) {
        flat_skip_space(reader);
        return guess;
    }
    if (!flat_string(reader, &name) || !flat_take_mark(reader, ':'))
        return SIZE_MAX;
    return json_flat_find(row->flat, guess, name);
}

static bool flat_columns(struct flat_reader *reader, struct flat_row *row)
{
    size_t guess = 0;
    if (!flat_take_mark(reader, '{'))
        return false;
    do {
        size_t index = flat_name(reader, row, guess);
        if (index >= row->schema->column_count || row->values[index].kind != VALUE_ABSENT ||
            !flat_column(reader, row, index))
            return false;
        row->count++;
        guess = index + 1;
    } while (flat_take_mark(reader, ','));
    return flat_take_mark(reader, '}');
}

static bool flat_op(char op, enum change_op *ret_op)
{
    if (op == 'c')
        *ret_op = CHANGE_CREATE;
    else if (op == 'u')
        *ret_op = CHANGE_UPDATE;
    else if (op == 'r')
        *ret_op = CHANGE_READ;
    else
        return false;
    return true;
}

/** Read {"op":…,"before":null,"after":{…}}: in any order, each once, and nothing else. */
static bool flat_members(struct flat_reader *reader, struct flat_row *row, enum change_op *ret_op)
{
    bool has_op = false;
    bool has_before = false;
    bool has_after = false;
    if (!flat_take_mark(reader, '{'))
        return false;
    do {
        struct slice name;
        struct slice text;
        bool taken = false;
        if (!flat_string(reader, &name) || !flat_take_mark(reader, ':'))
            return false;
        if (!has_op && slice_is(name, "op"))
            taken = has_op = flat_string(reader, &text) && text.length == 1 &&
                             flat_op(text.data[0], ret_op);
        else if (!has_before && slice_is(name, "before"))
            taken = has_before = flat_take(reader, slice_of("null"));
        else if (!has_after && slice_is(name, "after"))
            taken = has_after = flat_columns(reader, row);
        if (!taken)
            return false;
    } while (flat_take_mark(reader, ','));
    return flat_take_mark(reader, '}') && has_op && has_after;
}

/** Read a payload. What stands before the row is compared at once where Keepstep wrote it. */
static bool flat_payload(struct flat_reader *reader, struct flat_row *row, enum change_op *ret_op)
{
    static const char begin[] = "{\"op\":\"";
    static const char rest[] = "\",\"before\":null,\"after\":";
    struct flat_reader ahead = *reader;
    bool taken = false;
    if (flat_take(&ahead, slice_of(begin)) && ahead.at < ahead.end &&
        flat_op(*ahead.at++, ret_op) && flat_take(&ahead, slice_of(rest))) {
        *reader = ahead;
        taken = flat_columns(reader, row) && flat_take_mark(reader, '}');
    } else {
        taken = flat_members(reader, row, ret_op);
    }
    return taken && reader->at == reader->end;
}

/** Treat missing columns as record_payload_judge() does. */
static bool flat_absent(const struct flat_row *row, enum change_op op)
{
    if (row->count == row->schema->column_count || op == CHANGE_UPDATE)
        return true;
    for (size_t i = 0; i < row->schema->column_count; i++) {
        if (row->values[i].kind != VALUE_ABSENT)
            continue;
        if (json_flat_is_required(row->flat, i))
            return false;
        if (row->schema->columns[i].nullable)
            row->values[i].kind = VALUE_NULL;
    }
    return true;
}

static bool flat_key_name(struct flat_reader *reader, size_t position, const struct column *column)
{
    return flat_take(reader, slice_of(position == 0 ? "{\"" : ",\"")) &&
           flat_take(reader, slice_of(column->name)) && flat_take(reader, slice_of("\":"));
}

static bool flat_key_value(struct flat_reader *reader, const struct column *column,
                           struct value *value)
{
    const char *start = reader->at;
    struct slice text;
    if (column->type == COLUMN_INTEGER) {
        *value = (struct value){.kind = VALUE_INTEGER};
        return flat_integer(reader, &value->integer) && (value->integer != 0 || *start == '0');
    }
    if (column->type == COLUMN_BYTES || !flat_string(reader, &text) || text.data != start + 1)
        return false;
    return flat_text(reader, column, text, value) && slice_equal(value->text, text);
}

/** Make the values absent again. @return false. */
static bool flat_give_up(const struct record_row *row)
{
    memset(row->values, 0, row->schema->column_count * sizeof *row->values);
    return false;
}

bool record_flat_key(struct record_row *row, struct slice key)
{
    const struct entity_schema *schema = row->schema;
    if (key.length == 0 || key.length > FLAT_KEY_LENGTH_MAX)
        return false;
    struct flat_reader reader = {.at = key.data, .end = key.data + key.length, .arena = row->arena};
    for (size_t i = 0; i < schema->key_count; i++) {
        size_t index = schema->key_columns[i];
        if (!flat_key_name(&reader, i, &schema->columns[index]) ||
            !flat_key_value(&reader, &schema->columns[index], &row->values[index]))
            return flat_give_up(row);
    }
    return (flat_take(&reader, slice_of("}")) && reader.at == reader.end) || flat_give_up(row);
}

/** @return whether the row has the values of its key. */
static bool flat_is_key(const struct record_row *row)
{
    for (size_t i = 0; i < row->schema->key_count; i++) {
        const struct value *value = &row->values[row->schema->key_columns[i]];
        const struct value *key = &row->key_values[row->schema->key_columns[i]];
        bool same = value->kind == VALUE_INTEGER
                        ? key->kind == VALUE_INTEGER && key->integer == value->integer
                        : value->kind == VALUE_TEXT && key->kind == VALUE_TEXT &&
                              slice_equal(key->text, value->text);
        if (!same)
            return false;
    }
    return true;
}

bool record_flat_payload(struct record_row *row, struct slice payload)
{
    const struct entity_schema *schema = row->schema;
    struct flat_row flat = {
        .schema = schema, .flat = json_schema_flat(schema->row), .values = row->values};
    if (flat.flat == NULL || json_schema_flat(schema->sparse_row) == NULL || payload.length == 0)
        return false;
    struct flat_reader reader = {
        .at = payload.data, .end = payload.data + payload.length, .arena = row->arena};
    return (flat_payload(&reader, &flat, &row->op) && flat_absent(&flat, row->op) &&
            flat_is_key(row)) ||
           flat_give_up(row);
}
