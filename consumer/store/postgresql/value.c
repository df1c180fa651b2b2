/* Values in PostgreSQL's binary form, as arrays of a run's column. */
#include "consumer/store/postgresql/internal.h"

#include "common/clock.h"
#include "consumer/store/sql/limits.h"

#include <endian.h>
#include <stdio.h>

#define EPOCH_US ((int64_t)946684800 * 1000000) /* PostgreSQL's: 2000-01-01 */
#define DAY_US   ((int64_t)86400 * 1000000)

#define ARRAY_COUNT_OFFSET 12

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

/* Text that is not UTF-8 is stored in hexadecimal, so its length is known only afterwards. */
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

/* PostgreSQL returns UUIDs in this spelling alone. */
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

/* Read a time, a date or a time of day in its canonical form, by completing it to a whole time. */
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

/* In JSON a NUL character can only be written as an escape. */
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

const char *store_postgresql_judge(const struct mapped_table *table, size_t index,
                                   struct slice text)
{
    const struct column_form *form = store_postgresql_form(table, index);
    if (form->wire != WIRE_TEXT)
        return NULL;
    if (text.length > 0 && memchr(text.data, '\0', text.length) != NULL)
        return "PostgreSQL's text holds no NUL character";
    if (column_form_rewrites(form) && json_has_nul(text))
        return "jsonb holds no \\u0000: declare the column as json or text";
    if (strcmp(form->typname, "uuid") == 0 && !is_uuid(text))
        return "is no UUID in lower case, as the table wants it";
    return NULL;
}

static bool encode_time(const struct column_form *form, struct slice text, struct buffer *array)
{
    int64_t time = 0;
    if (!time_value(form->wire, text, &time))
        return false;
    if (form->wire == WIRE_DATE) {
        uint32_t day = htobe32((uint32_t)(int32_t)time);
        array_append(array, &day, sizeof day);
    } else {
        array_append_integer(array, time);
    }
    return true;
}

/* @return false where the database has no such time. */
static bool encode_text(const struct column_form *form, struct slice text, struct buffer *array)
{
    bool negative = false;
    uint64_t magnitude = 0;
    switch (form->wire) {
    case WIRE_INT8: /* judged: it is a whole number */
        (void)decimal_whole(decimal_trim(text), &negative, &magnitude);
        array_append_integer(array, (int64_t)(negative ? 0 - magnitude : magnitude));
        return true;
    case WIRE_TIMESTAMPTZ:
    case WIRE_TIMESTAMP:
    case WIRE_TIME:
    case WIRE_DATE:
        return encode_time(form, text, array);
    case WIRE_BYTEA:
    case WIRE_TEXT:
    case WIRE_FLOAT8:
    case WIRE_BOOL:
        break;
    }
    array_append(array, text.data, text.length);
    return true;
}

enum status store_postgresql_encode_value(const struct mapped_table *table, size_t index,
                                          const struct change *change, struct buffer *array,
                                          struct error *err)
{
    const struct value *value = &change->values[index];
    uint64_t bits;

    switch (value->kind) {
    case VALUE_INTEGER:
        array_append_integer(array, value->integer);
        return STATUS_OK;
    case VALUE_DOUBLE:
        memcpy(&bits, &value->number, sizeof bits);
        array_append_integer(array, (int64_t)bits);
        return STATUS_OK;
    case VALUE_BOOLEAN:
        array_append(array, value->boolean ? "\1" : "\0", 1);
        return STATUS_OK;
    case VALUE_TEXT:
        if (encode_text(store_postgresql_form(table, index), value->text, array))
            return STATUS_OK;
        return sql_hold(change, table->mapping->schema->columns[index].name,
                        "PostgreSQL has no such time", err);
    case VALUE_ABSENT:
    case VALUE_NULL:
    case VALUE_UNFIT:
        break;
    }
    array_append_null(array);
    return STATUS_OK;
}
