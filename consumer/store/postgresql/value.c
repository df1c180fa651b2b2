/* Values in PostgreSQL's binary form, as arrays of a run's column; what a column would round, cut
 * or pad is refused here, because the database does it in silence. */
#include "consumer/store/postgresql/internal.h"

#include "common/clock.h"

#include <endian.h>
#include <float.h>
#include <math.h>
#include <stdio.h>

#define EPOCH_US ((int64_t)946684800 * 1000000) /* PostgreSQL's: 2000-01-01 */
#define DAY_US   ((int64_t)86400 * 1000000)

#define ARRAY_COUNT_OFFSET 12
#define DIGITS_BEFORE_MAX  131072
#define DIGITS_BEHIND_MAX  16383

static const struct {
    const char *name;
    uint32_t oid;
} wires[] = {
    [WIRE_INT8] = {"bigint", 20},
    [WIRE_FLOAT8] = {"double precision", 701},
    [WIRE_BOOL] = {"boolean", 16},
    [WIRE_BYTEA] = {"bytea", 17},
    [WIRE_TEXT] = {"text", 25},
    [WIRE_TIMESTAMPTZ] = {"timestamptz", 1184},
    [WIRE_TIMESTAMP] = {"timestamp", 1114},
    [WIRE_DATE] = {"date", 1082},
    [WIRE_TIME] = {"time", 1083},
};

const char *wire_name(enum wire wire)
{
    return wires[wire].name;
}

static void append_32(struct buffer *array, uint32_t number)
{
    number = htobe32(number);
    buffer_append(array, &number, sizeof number);
}

/* Dimensions, may hold NULLs, type of an element, number of elements, first index. */
void array_begin(struct buffer *array, enum wire wire)
{
    buffer_reset(array);
    append_32(array, 1);
    append_32(array, 1);
    append_32(array, wires[wire].oid);
    append_32(array, 0);
    append_32(array, 1);
}

void array_end(struct buffer *array, size_t count)
{
    uint32_t number = htobe32((uint32_t)count);
    if (!array->failed)
        memcpy(array->data + ARRAY_COUNT_OFFSET, &number, sizeof number);
}

void array_append(struct buffer *array, const void *bytes, size_t length)
{
    append_32(array, (uint32_t)length);
    if (length > 0)
        buffer_append(array, bytes, length);
}

/* The text as it is stored: where it is not UTF-8 it grows. */
void array_append_text(struct buffer *array, struct slice text)
{
    size_t start = array->length;
    append_32(array, 0);
    store_postgresql_encode(array, text);
    uint32_t length = htobe32((uint32_t)(array->length - start - sizeof length));
    if (!array->failed)
        memcpy(array->data + start, &length, sizeof length);
}

void array_append_integer(struct buffer *array, int64_t integer)
{
    uint64_t bytes = htobe64((uint64_t)integer);
    array_append(array, &bytes, sizeof bytes);
}

void array_append_null(struct buffer *array)
{
    append_32(array, UINT32_MAX);
}

enum status store_postgresql_hold(const struct change *change, const char *why, const char *name,
                                  struct error *err)
{
    bool first = err != NULL && err->status == STATUS_OK;
    enum status status = error_set(err, STATUS_REJECT, "%.*s %.*s: %s %s",
                                   SLICE_ARGS(change->entity_type), SLICE_ARGS(change->entity_key),
                                   why, name);
    if (first)
        err->reject = REJECT_HELD;
    return status;
}

static size_t code_points(struct slice text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.length; i++)
        count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return count;
}

/* A decimal without digits behind the point, as an integer. */
static bool decimal_integer(struct slice text, int64_t *ret_integer)
{
    bool negative = text.length > 0 && text.data[0] == '-';
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    uint64_t integer = 0;
    for (size_t i = negative; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (integer > (limit - digit) / 10)
            return false;
        integer = integer * 10 + digit;
    }
    *ret_integer = (int64_t)(negative ? 0 - integer : integer);
    return true;
}

/* Any other spelling of a UUID would come back changed. */
static bool is_uuid(struct slice text)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    if (text.length != sizeof form - 1)
        return false;
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        bool fits = form[i] == '-' ? c == '-' : (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (!fits)
            return false;
    }
    return true;
}

/* What numeric can hold at all. */
static bool decimal_fits(struct slice text)
{
    const char *point = memchr(text.data, '.', text.length);
    size_t sign = text.length > 0 && text.data[0] == '-';
    size_t before = (point == NULL ? text.length : (size_t)(point - text.data)) - sign;
    size_t behind = point == NULL ? 0 : text.length - sign - before - 1;
    return before <= DIGITS_BEFORE_MAX && behind <= DIGITS_BEHIND_MAX;
}

/* Canonical forms of known length: a time, and what was cut out of one. */
static bool time_value(enum wire wire, struct slice text, int64_t *ret_value)
{
    char whole[2 * CLOCK_TEXT_SIZE];
    int64_t time_us = 0;
    const char *before = wire == WIRE_TIME ? "1970-01-01T" : "";
    const char *after = wire == WIRE_TIMESTAMPTZ ? "" : wire == WIRE_DATE ? "T00:00:00Z" : "Z";
    if (text.length >= CLOCK_TEXT_SIZE)
        return false;
    int length = snprintf(whole, sizeof whole, "%s%.*s%s", before, SLICE_ARGS(text), after);
    if (!clock_parse_rfc3339(whole, (size_t)length, &time_us) || strncmp(whole, "0000", 4) == 0)
        return false;
    *ret_value = wire == WIRE_TIME ? time_us : time_us - EPOCH_US;
    if (wire == WIRE_DATE)
        *ret_value /= DAY_US; /* whole days on both sides of 2000 */
    return true;
}

/* An escaped one: JSON has no other. */
static bool json_has_nul(struct slice json)
{
    static const char nul[] = "\\u0000";
    for (size_t i = 0; i + sizeof nul - 1 <= json.length; i++) {
        if (json.data[i] == '\\' && memcmp(json.data + i, nul, sizeof nul - 1) == 0)
            return true;
        i += json.data[i] == '\\';
    }
    return false;
}

static enum status encode_text(const struct mapped_table *table, size_t index,
                               const struct change *change, struct buffer *array, struct error *err)
{
    const char *name = table->mapping->schema->columns[index].name;
    const struct table_column *column = &table->columns[index];
    struct slice text = change->values[index].text;
    int64_t integer = 0;

    switch (column->form->wire) {
    case WIRE_INT8:
        if (!decimal_integer(text, &integer) || integer < column->form->smallest ||
            integer > column->form->largest)
            return store_postgresql_hold(change, "the table's type has no room for", name, err);
        array_append_integer(array, integer);
        return STATUS_OK;
    case WIRE_BYTEA:
        array_append(array, text.data, text.length);
        return STATUS_OK;
    case WIRE_TIMESTAMPTZ:
    case WIRE_TIMESTAMP:
    case WIRE_TIME:
    case WIRE_DATE:
        if (!time_value(column->form->wire, text, &integer))
            return store_postgresql_hold(change, "PostgreSQL has no such time in", name, err);
        if (column->form->wire == WIRE_DATE) {
            uint32_t day = htobe32((uint32_t)(int32_t)integer);
            array_append(array, &day, sizeof day);
        } else {
            array_append_integer(array, integer);
        }
        return STATUS_OK;
    case WIRE_TEXT:
    case WIRE_FLOAT8:
    case WIRE_BOOL:
        break;
    }
    if (text.length > 0 && memchr(text.data, '\0', text.length) != NULL)
        return store_postgresql_hold(change, "PostgreSQL's text holds no NUL character; one is in",
                                     name, err);
    if (column_form_rewrites(column->form) && json_has_nul(text))
        return store_postgresql_hold(
            change, "jsonb holds no \\u0000: declare as json or text the column", name, err);
    if (column->form->type == COLUMN_DECIMAL && !decimal_fits(text))
        return store_postgresql_hold(change, "numeric has no room for", name, err);
    if (strcmp(column->form->typname, "uuid") == 0 && !is_uuid(text))
        return store_postgresql_hold(change,
                                     "not a UUID in lower case, as the table wants it:", name, err);
    if (column->length_max > 0 && code_points(text) > column->length_max)
        return store_postgresql_hold(change, "longer than the table's column is", name, err);
    array_append(array, text.data, text.length);
    return STATUS_OK;
}

enum status store_postgresql_encode_value(const struct mapped_table *table, size_t index,
                                          const struct change *change, struct buffer *array,
                                          struct error *err)
{
    const struct value *value = &change->values[index];
    const struct column_form *form = table->columns[index].form;
    const char *name = table->mapping->schema->columns[index].name;
    uint64_t bits;

    switch (value->kind) {
    case VALUE_INTEGER:
        if (value->integer < form->smallest || value->integer > form->largest)
            return store_postgresql_hold(change, "the table's type has no room for", name, err);
        array_append_integer(array, value->integer);
        return STATUS_OK;
    case VALUE_DOUBLE:
        if (!isfinite(value->number))
            return store_postgresql_hold(change, "has no finite number in", name, err);
        if (strcmp(form->typname, "float4") == 0 &&
            (fabs(value->number) > FLT_MAX || (double)(float)value->number != value->number))
            return store_postgresql_hold(change, "real does not keep exactly the number in", name,
                                         err);
        memcpy(&bits, &value->number, sizeof bits);
        array_append_integer(array, (int64_t)bits);
        return STATUS_OK;
    case VALUE_BOOLEAN:
        array_append(array, value->boolean ? "\1" : "\0", 1);
        return STATUS_OK;
    case VALUE_TEXT:
        return encode_text(table, index, change, array, err);
    case VALUE_ABSENT:
    case VALUE_NULL:
        break;
    }
    array_append_null(array);
    return STATUS_OK;
}
