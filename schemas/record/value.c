/* Decodes values of columns, and checks their forms on the wire. */
#include "schemas/record/value.h"

#include "common/buffer.h"
#include "common/clock.h"

#include <inttypes.h>
#include <math.h>

#define RECORD_KEY_SIZE_MAX ((size_t)64 * 1024)
#define FRACTION_DIGITS     6

static enum status record_value_refuse(const struct column *column, const char *wanted,
                                       struct error *err)
{
    return error_set(err, STATUS_REJECT, "column \"%s\": not %s (type %s)", column->name, wanted,
                     column_type_name(column->type));
}

static bool record_value_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)? */
static bool record_value_is_decimal(struct slice text)
{
    const char *at = text.data;
    const char *end = text.data + text.length;
    if (at < end && *at == '-')
        at++;
    if (at == end || !record_value_is_digit(*at))
        return false;
    if (*at == '0' && at + 1 < end && record_value_is_digit(at[1]))
        return false;
    while (at < end && record_value_is_digit(*at))
        at++;
    if (at == end)
        return true;
    if (*at++ != '.' || at == end)
        return false;
    while (at < end && record_value_is_digit(*at))
        at++;
    return at == end;
}

/* Count the digits before and after the point. A single zero before it counts as none. */
static bool record_value_fits(const struct column *column, struct slice decimal)
{
    size_t before = 0;
    size_t behind = 0;
    bool point = false;
    if (column->precision == 0)
        return true;
    for (size_t i = 0; i < decimal.length; i++) {
        char c = decimal.data[i];
        point = point || c == '.';
        before += !point && record_value_is_digit(c) && !(before == 0 && c == '0');
        behind += point && c != '.';
    }
    return before <= column->precision - column->scale && behind <= column->scale;
}

static int record_value_nibble(char c)
{
    if (record_value_is_digit(c))
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static enum status record_value_bytes(const struct column *column, struct slice text,
                                      struct arena *arena, struct slice *ret, struct error *err)
{
    if (text.length % 2 != 0)
        return record_value_refuse(column, "hexadecimal", err);
    char *bytes = arena_alloc(arena, text.length / 2 + 1);
    if (bytes == NULL)
        return error_set(err, STATUS_RETRY, "batch arena full");
    for (size_t i = 0; i < text.length; i += 2) {
        int high = record_value_nibble(text.data[i]);
        int low = record_value_nibble(text.data[i + 1]);
        if (high < 0 || low < 0)
            return record_value_refuse(column, "hexadecimal", err);
        bytes[i / 2] = (char)(high * 16 + low);
    }
    *ret = (struct slice){.data = bytes, .length = text.length / 2};
    return STATUS_OK;
}

static size_t record_value_code_points(struct slice text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.length; i++)
        count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return count;
}

/* Dates and times are read as parts of an RFC 3339 time, and cut out of its canonical form. */
struct record_time_form {
    const char *before;
    const char *after;
    size_t from;
    size_t length;
    const char *example;
    const char *wanted;
};

static const struct record_time_form record_time_forms[] = {
    [COLUMN_DATE_TIME] = {"", "", 0, 27, "2026-11-23T09:42:00.123456Z", "an RFC 3339 time"},
    [COLUMN_TIMESTAMP] = {"", "Z", 0, 26, "2026-11-23T09:42:00.123456",
                          "a time without a zone, 2026-11-23T09:42:00.123456"},
    [COLUMN_DATE] = {"", "T00:00:00Z", 0, 10, "2026-11-23", "a date, 2026-11-23"},
    [COLUMN_TIME] = {"1970-01-01T", "Z", 11, 15, "09:42:00.123456",
                     "a time of day, 09:42:00.123456"},
};

/** The text was read as a time of this form, so its digits are right. It is canonical where it is
 * as long as that and has the marks that can also be written otherwise. */
static bool record_value_is_canonical(const struct record_time_form *form, struct slice text)
{
    static const size_t marks[] = {10, 19, 26}; /* T, the point and Z in an RFC 3339 time */
    if (text.length != form->length)
        return false;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        size_t at = marks[i] - form->from; /* a mark before the form wraps around */
        if (at < form->length && text.data[at] != form->example[at])
            return false;
    }
    return true;
}

/* Find digits that the canonical form cannot hold. */
static bool record_value_is_finer(struct slice text)
{
    const char *at = text.length == 0 ? NULL : memchr(text.data, '.', text.length);
    const char *end = text.data + text.length;
    for (size_t i = 0; at != NULL && ++at < end && record_value_is_digit(*at); i++) {
        if (i >= FRACTION_DIGITS && *at != '0')
            return true;
    }
    return false;
}

static bool record_value_read_time(const struct record_time_form *form, struct slice text,
                                   int64_t *ret_time_us)
{
    char whole[2 * CLOCK_TEXT_SIZE];
    struct slice before = slice_of(form->before);
    struct slice after = slice_of(form->after);
    if (before.length + after.length == 0)
        return clock_parse_rfc3339(text.data, text.length, ret_time_us);
    if (text.length > CLOCK_TEXT_SIZE)
        return false;
    memcpy(whole, before.data, before.length);
    memcpy(whole + before.length, text.data, text.length);
    memcpy(whole + before.length + text.length, after.data, after.length);
    return clock_parse_rfc3339(whole, before.length + text.length + after.length, ret_time_us);
}

static enum status record_value_time(const struct column *column, struct slice text,
                                     struct arena *arena, struct slice *ret, struct error *err)
{
    const struct record_time_form *form = &record_time_forms[column->type];
    int64_t time_us = 0;
    if (!record_value_read_time(form, text, &time_us))
        return record_value_refuse(column, form->wanted, err);
    if (record_value_is_canonical(form, text)) {
        *ret = text;
        return STATUS_OK;
    }
    if (record_value_is_finer(text))
        return record_value_refuse(column, "a time of whole microseconds", err);
    char *canonical = arena_alloc(arena, CLOCK_TEXT_SIZE);
    if (canonical == NULL)
        return error_set(err, STATUS_RETRY, "batch arena full");
    clock_format_utc(time_us, canonical);
    *ret = (struct slice){.data = canonical + form->from, .length = form->length};
    return STATUS_OK;
}

static bool record_value_is_uuid(struct slice text)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    if (text.length != sizeof form - 1)
        return false;
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        bool fits = form[i] == '-' ? c == '-' : record_value_is_digit(c) || (c >= 'a' && c <= 'f');
        if (!fits)
            return false;
    }
    return true;
}

static bool record_value_is_time(enum column_type type)
{
    return type == COLUMN_DATE_TIME || type == COLUMN_DATE || type == COLUMN_TIME ||
           type == COLUMN_TIMESTAMP;
}

enum status record_value_text(const struct column *column, struct slice text, struct arena *arena,
                              struct value *ret_value, struct error *err)
{
    ret_value->kind = VALUE_TEXT;
    if (column->type == COLUMN_BYTES)
        return record_value_bytes(column, text, arena, &ret_value->text, err);
    if (column->type == COLUMN_DECIMAL && !record_value_is_decimal(text))
        return record_value_refuse(column, "a decimal number", err);
    if (column->type == COLUMN_DECIMAL && !record_value_fits(column, text))
        return error_set(err, STATUS_REJECT,
                         "column \"%s\": more digits than %" PRIu32 ", %" PRIu32
                         " of them behind the point",
                         column->name, column->precision, column->scale);
    if (column->type == COLUMN_JSON) {
        json_t *json = json_loadb(text.data, text.length,
                                  JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
        if (json == NULL)
            return record_value_refuse(column, "a JSON text", err);
        json_decref(json);
    }
    if (column->type == COLUMN_UUID && !record_value_is_uuid(text))
        return record_value_refuse(column, "a UUID in lower case", err);
    if (record_value_is_time(column->type))
        return record_value_time(column, text, arena, &ret_value->text, err);
    if (column->type == COLUMN_TEXT && column->length_max > 0 &&
        record_value_code_points(text) > column->length_max)
        return error_set(err, STATUS_REJECT, "column \"%s\": longer than %" PRIu32 " characters",
                         column->name, column->length_max);
    ret_value->text = text;
    return STATUS_OK;
}

enum status record_value_decode(const struct column *column, const json_t *json,
                                struct arena *arena, struct value *ret_value, struct error *err)
{
    if (json_is_null(json)) {
        ret_value->kind = VALUE_NULL;
        if (!column->nullable || column->is_key)
            return error_set(err, STATUS_REJECT, "column \"%s\": null is not allowed",
                             column->name);
        return STATUS_OK;
    }
    switch (column->type) {
    case COLUMN_INTEGER:
        if (!json_is_integer(json))
            return record_value_refuse(column, "an integer", err);
        *ret_value = (struct value){.kind = VALUE_INTEGER, .integer = json_integer_value(json)};
        return STATUS_OK;
    case COLUMN_DOUBLE:
        if (!json_is_number(json) || !isfinite(json_number_value(json)))
            return record_value_refuse(column, "a number", err);
        *ret_value = (struct value){.kind = VALUE_DOUBLE, .number = json_number_value(json)};
        return STATUS_OK;
    case COLUMN_BOOLEAN:
        if (!json_is_boolean(json))
            return record_value_refuse(column, "true or false", err);
        *ret_value = (struct value){.kind = VALUE_BOOLEAN, .boolean = json_is_true(json)};
        return STATUS_OK;
    case COLUMN_DECIMAL:
    case COLUMN_TEXT:
    case COLUMN_BYTES:
    case COLUMN_DATE_TIME:
    case COLUMN_JSON:
    case COLUMN_DATE:
    case COLUMN_TIME:
    case COLUMN_TIMESTAMP:
    case COLUMN_UUID:
        break;
    }
    if (!json_is_string(json))
        return record_value_refuse(column, "a string", err);
    struct slice text = {.data = json_string_value(json), .length = json_string_length(json)};
    enum status status = record_value_text(column, text, arena, ret_value, err);
    if (status != STATUS_OK || ret_value->text.data != text.data)
        return status;
    ret_value->text = arena_copy(arena, text); /* the document does not last */
    return ret_value->text.data == NULL ? error_set(err, STATUS_RETRY, "batch arena full")
                                        : STATUS_OK;
}

static void record_value_key_member(struct buffer *key, const struct column *column,
                                    const struct value *value)
{
    buffer_append_json(key, slice_of(column->name));
    buffer_append_text(key, ":");
    if (value->kind == VALUE_INTEGER) {
        buffer_append_format(key, "%" PRId64, value->integer);
    } else if (column->type == COLUMN_BYTES) {
        buffer_append_text(key, "\"");
        for (size_t i = 0; i < value->text.length; i++)
            buffer_append_format(key, "%02X", (unsigned char)value->text.data[i]);
        buffer_append_text(key, "\"");
    } else {
        buffer_append_json(key, value->text);
    }
}

enum status record_value_key(const struct entity_schema *schema, const struct value *values,
                             struct arena *arena, struct slice *ret_key, struct error *err)
{
    enum status status = STATUS_OK;
    struct buffer key;

    buffer_init(&key, RECORD_KEY_SIZE_MAX);
    for (size_t i = 0; i < schema->key_count; i++) {
        const struct column *column = &schema->columns[schema->key_columns[i]];
        const struct value *value = &values[schema->key_columns[i]];
        if (value->kind != VALUE_INTEGER && value->kind != VALUE_TEXT) {
            status = error_set(err, STATUS_REJECT, "key column \"%s\" has no value", column->name);
            goto out;
        }
        buffer_append_text(&key, i == 0 ? "{" : ",");
        record_value_key_member(&key, column, value);
    }
    buffer_append_text(&key, "}");
    if (key.no_memory) {
        status = error_set(err, STATUS_RETRY, "no memory for an entity key");
        goto out;
    }
    if (key.failed) {
        status = error_set(err, STATUS_REJECT, "entity key longer than %zu bytes",
                           RECORD_KEY_SIZE_MAX);
        goto out;
    }
    *ret_key = arena_copy(arena, buffer_slice(&key));
    if (ret_key->data == NULL)
        status = error_set(err, STATUS_RETRY, "batch arena full");
out:
    buffer_done(&key);
    return status;
}
