/* The MariaDB store's own check of every value: databases round and cut in silence (rule 28). */
#include "consumer/store/mariadb/internal.h"

#include "common/buffer.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ROW_OVERHEAD  4096 /* of a packet: its head, types, lengths */
#define NUMBER_SIZE   128
#define TIMESTAMP_MIN "1970-01-01T00:00:01.000000"
#define TIMESTAMP_MAX "2038-01-19T03:14:07.999999"
#define TIMESTAMP_END "2106-02-07T06:28:15.999999"

static enum status held(struct error *err, const struct change *change, const char *column,
                        const char *reason)
{
    bool first = err != NULL && err->status == STATUS_OK;
    enum status status = error_set(err, STATUS_REJECT, "%.*s %.*s: column \"%s\": %s",
                                   SLICE_ARGS(change->entity_type), SLICE_ARGS(change->entity_key),
                                   column, reason);
    if (first)
        err->reject = REJECT_HELD;
    return status;
}

/* Zeros at the end say nothing of the number, except where two keys differ by them. */
static struct slice decimal_trim(struct slice text)
{
    if (text.data == NULL || memchr(text.data, '.', text.length) == NULL)
        return text;
    while (text.data[text.length - 1] == '0')
        text.length--;
    if (text.data[text.length - 1] == '.')
        text.length--;
    return text;
}

struct slice store_mariadb_text(const struct column *column, struct slice text)
{
    if (text.data == NULL)
        text.data = ""; /* a null pointer would bind NULL */
    if (column->type == COLUMN_DATE_TIME && text.length > 0)
        text.length--; /* the Z: the session is in UTC */
    return column->type == COLUMN_DECIMAL && !column->is_key ? decimal_trim(text) : text;
}

static const char *judge_whole_number(const struct column_limits *limits, struct slice decimal)
{
    char text[NUMBER_SIZE];
    char *end = NULL;
    if (decimal.length >= sizeof text || memchr(decimal.data, '.', decimal.length) != NULL)
        return "is no whole number that the column holds";
    memcpy(text, decimal.data, decimal.length);
    text[decimal.length] = '\0';
    errno = 0;
    bool negative = text[0] == '-';
    long long low = negative ? strtoll(text, &end, 10) : 0;
    unsigned long long high = negative ? 0 : strtoull(text, &end, 10);
    return errno == ERANGE || low < limits->min || high > limits->max
               ? "is out of the column's range"
               : NULL;
}

/* A zero alone before the point is no digit. */
static const char *judge_decimal(const struct column *column, const struct column_limits *limits,
                                 struct slice text)
{
    struct slice decimal = decimal_trim(text);
    uint32_t before = 0;
    uint32_t behind = 0;
    bool point = false;
    if (limits->is_integer && !column->is_key)
        return judge_whole_number(limits, decimal);
    if (column->is_key)
        decimal = text;
    for (size_t i = 0; i < decimal.length; i++) {
        char c = decimal.data[i];
        point = point || c == '.';
        before += !point && c != '-' && !(before == 0 && c == '0');
        behind += point && c != '.';
    }
    if (column->is_key && (behind != limits->digits_behind || slice_is(decimal, "-0")))
        return "is a key, and not written with exactly as many digits as the column has: another "
               "spelling would be the same row";
    if (limits->is_integer)
        return judge_whole_number(limits, decimal);
    return before > limits->digits_before || behind > limits->digits_behind
               ? "has more digits than the column holds"
               : NULL;
}

static const char *judge_length(const struct column_limits *limits, struct slice text)
{
    uint64_t length = text.length;
    if (limits->length_max == 0 || length <= limits->length_max)
        return NULL;
    for (size_t i = 0; !limits->counts_bytes && i < text.length; i++)
        length -= ((unsigned char)text.data[i] & 0xc0) == 0x80;
    return length > limits->length_max ? "is longer than the column holds" : NULL;
}

static const char *judge_timestamp(const struct store_mariadb *self,
                                   const struct column_limits *limits, struct slice text)
{
    const char *last = self->timestamps_64 ? TIMESTAMP_END : TIMESTAMP_MAX;
    if (!limits->is_timestamp)
        return NULL;
    return slice_compare(text, slice_of(TIMESTAMP_MIN)) < 0 ||
                   slice_compare(text, slice_of(last)) > 0
               ? "is out of the range of TIMESTAMP: declare the column DATETIME(6)"
               : NULL;
}

static const char *judge_text(const struct store_mariadb *self, const struct column *column,
                              const struct column_limits *limits, struct slice text)
{
    switch (column->type) {
    case COLUMN_DECIMAL:
        return judge_decimal(column, limits, text);
    case COLUMN_DATE_TIME:
        return judge_timestamp(self, limits, store_mariadb_text(column, text));
    case COLUMN_TEXT:
    case COLUMN_BYTES:
    case COLUMN_JSON:
        return judge_length(limits, text);
    case COLUMN_INTEGER:
    case COLUMN_DOUBLE:
    case COLUMN_BOOLEAN:
    case COLUMN_DATE:
    case COLUMN_TIME:
    case COLUMN_TIMESTAMP:
    case COLUMN_UUID:
        break;
    }
    return NULL;
}

/* NULL where the value fits. */
static const char *judge_value(const struct store_mariadb *self, const struct column *column,
                               const struct column_limits *limits, const struct value *value)
{
    switch (value->kind) {
    case VALUE_ABSENT:
        return column->is_key ? "is of the key and has no value" : NULL;
    case VALUE_NULL:
        return column->is_key || !limits->nullable ? "takes no NULL" : NULL;
    case VALUE_INTEGER:
        return limits->is_integer &&
                       (value->integer < limits->min ||
                        (value->integer > 0 && (uint64_t)value->integer > limits->max))
                   ? "is out of the column's range"
                   : NULL;
    case VALUE_DOUBLE:
        if (!isfinite(value->number))
            return "is no finite number";
        if (value->number == 0 && signbit(value->number))
            return "is a zero below zero, which MariaDB writes as 0";
        return limits->is_float && (double)(float)value->number < value->number
                   ? "is no number that a FLOAT keeps: declare the column DOUBLE"
               : limits->is_float && (double)(float)value->number > value->number
                   ? "is no number that a FLOAT keeps: declare the column DOUBLE"
                   : NULL;
    case VALUE_BOOLEAN:
        return NULL;
    case VALUE_TEXT:
        break;
    }
    return judge_text(self, column, limits, value->text);
}

enum status store_mariadb_judge(const struct store_mariadb *self, const struct mapped_table *table,
                                const struct change *change, struct error *err)
{
    const struct entity_schema *schema = table->mapping->schema;
    size_t size = ROW_OVERHEAD;
    for (size_t i = 0; i < schema->column_count; i++) {
        const struct column *column = &schema->columns[i];
        const struct value *value = &change->values[i];
        if (change->op == CHANGE_DELETE && !column->is_key)
            continue;
        const char *reason = judge_value(self, column, &table->limits[i], value);
        if (reason != NULL)
            return held(err, change, column->name, reason);
        size += ROW_OVERHEAD / ENTITY_COLUMNS_MAX;
        if (value->kind == VALUE_TEXT)
            size += value->text.length;
        if (size > self->packet_size)
            return held(err, change, column->name,
                        "makes the row larger than the server's max_allowed_packet");
    }
    return STATUS_OK;
}

void store_mariadb_key_part(struct buffer *key, struct slice part)
{
    buffer_append_format(key, "%zu:", part.length);
    buffer_append(key, part.data, part.length);
}

void store_mariadb_key(const struct mapped_table *table, const struct change *change,
                       struct buffer *key)
{
    const struct entity_schema *schema = table->mapping->schema;
    for (size_t i = 0; i < schema->key_count; i++) {
        size_t index = schema->key_columns[i];
        const struct value *value = &change->values[index];
        char number[NUMBER_SIZE];
        struct slice part = value->kind == VALUE_TEXT
                                ? store_mariadb_text(&schema->columns[index], value->text)
                                : (struct slice){.data = number};
        if (value->kind == VALUE_INTEGER)
            part.length = (size_t)snprintf(number, sizeof number, "%" PRId64, value->integer);
        else if (value->kind == VALUE_BOOLEAN)
            part = slice_of(value->boolean ? "1" : "0");
        size_t start = key->length;
        store_mariadb_key_part(key, part);
        bool has_time = schema->columns[index].type == COLUMN_DATE_TIME ||
                        schema->columns[index].type == COLUMN_TIMESTAMP;
        char *letter = has_time && !key->failed
                           ? memchr(key->data + start, 'T', key->length - start)
                           : NULL;
        if (letter != NULL)
            *letter = ' ';
    }
}
