/* Judges the values of changes, because databases round and cut without an error (rule 28). */
#include "consumer/store/sql/limits.h"

#include "common/utf8.h"

#include <math.h>
#include <stdio.h>

enum status sql_hold(const struct change *change, const char *column, const char *reason,
                     struct error *err)
{
    bool named = column != NULL;
    return error_set(err, STATUS_REJECT, "%.*s %.*s: %s%s%s%s", SLICE_ARGS(change->entity_type),
                     SLICE_ARGS(change->entity_key), named ? "column \"" : "", named ? column : "",
                     named ? "\": " : "", reason);
}

enum status sql_hold_no_row(const struct mapped_table *table, const struct change *change,
                            struct error *err)
{
    char reason[2 * STORE_NAME_SIZE];
    utf8_format(reason, sizeof reason, "lacks columns, and there is no row to keep them from in %s",
                table->name);
    enum status status = sql_hold(change, NULL, reason, err);
    if (err != NULL)
        err->reject = REJECT_NO_ROW;
    return status;
}

struct slice decimal_trim(struct slice text)
{
    if (text.length == 0 || memchr(text.data, '.', text.length) == NULL)
        return text;
    while (text.data[text.length - 1] == '0')
        text.length--;
    if (text.data[text.length - 1] == '.')
        text.length--;
    return text;
}

bool decimal_whole(struct slice text, bool *ret_negative, uint64_t *ret_magnitude)
{
    uint64_t magnitude = 0;
    *ret_negative = text.length > 0 && text.data[0] == '-';
    for (size_t i = *ret_negative; i < text.length; i++) {
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (text.data[i] < '0' || text.data[i] > '9' || magnitude > (UINT64_MAX - digit) / 10)
            return false;
        magnitude = magnitude * 10 + digit;
    }
    *ret_magnitude = magnitude;
    return text.length > (size_t)*ret_negative;
}

static bool is_in_range(const struct column_limits *limits, bool negative, uint64_t magnitude)
{
    return negative ? magnitude <= 0 - (uint64_t)limits->min : magnitude <= limits->max;
}

static const char *judge_whole(const struct column_limits *limits, struct slice decimal)
{
    bool negative = false;
    uint64_t magnitude = 0;
    return decimal_whole(decimal, &negative, &magnitude) && is_in_range(limits, negative, magnitude)
               ? NULL
               : "is no whole number within the column's range";
}

/* Zeros at the end are cut off first, except in keys: two keys may differ in these alone. A single
 * zero before the point does not count as a digit. */
static const char *judge_decimal(const struct column *column, const struct column_limits *limits,
                                 struct slice text)
{
    struct slice decimal = column->is_key ? text : decimal_trim(text);
    uint32_t before = 0;
    uint32_t behind = 0;
    bool point = false;
    for (size_t i = 0; i < decimal.length; i++) {
        char c = decimal.data[i];
        point = point || c == '.';
        before += !point && c != '-' && !(before == 0 && c == '0');
        behind += point && c != '.';
    }
    if (limits->is_exact && (behind != limits->digits_behind || slice_is(decimal, "-0")))
        return "is a key, and not written with exactly as many digits as the column has: another "
               "spelling would be the same row";
    if (limits->is_integer)
        return judge_whole(limits, decimal);
    if (limits->digits_before == 0 && limits->digits_behind == 0)
        return NULL;
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

static const char *judge_time(const struct column_limits *limits, struct slice text)
{
    if (limits->time_min == NULL || (slice_compare(text, slice_of(limits->time_min)) >= 0 &&
                                     slice_compare(text, slice_of(limits->time_max)) <= 0))
        return NULL;
    return "is out of the range of the column's type";
}

static const char *judge_double(const struct column_limits *limits, double number)
{
    if (!isfinite(number))
        return "is no finite number";
    if (limits->drops_sign && number == 0 && signbit(number))
        return "is a zero below zero, which the database writes as 0";
    bool rounds = (double)(float)number < number || (double)(float)number > number;
    return limits->is_float && rounds
               ? "is no number that 32 bits keep: declare the column as a double"
               : NULL;
}

static const char *judge_text(const struct column *column, const struct column_limits *limits,
                              struct slice text)
{
    switch (column->type) {
    case COLUMN_DECIMAL:
        return judge_decimal(column, limits, text);
    case COLUMN_DATE_TIME:
        return judge_time(limits, text);
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

/* @return NULL where the value fits. */
static const char *judge_value(const struct column *column, const struct column_limits *limits,
                               const struct value *value)
{
    switch (value->kind) {
    case VALUE_ABSENT:
    case VALUE_NULL:
        if (column->is_key)
            return "is of the key and has no value";
        return value->kind == VALUE_NULL && limits->takes_no_null ? "takes no NULL" : NULL;
    case VALUE_INTEGER:
        return !limits->is_integer || is_in_range(limits, value->integer < 0,
                                                  value->integer < 0 ? 0 - (uint64_t)value->integer
                                                                     : (uint64_t)value->integer)
                   ? NULL
                   : "is out of the column's range";
    case VALUE_DOUBLE:
        return judge_double(limits, value->number);
    case VALUE_BOOLEAN:
        return NULL;
    case VALUE_UNFIT:
        return "has no canonical form";
    case VALUE_TEXT:
        break;
    }
    return judge_text(column, limits, value->text);
}

enum status sql_judge(const struct mapped_table *table, const struct change *change,
                      struct error *err)
{
    const struct entity_schema *schema = table->mapping->schema;
    for (size_t i = 0; i < schema->column_count; i++) {
        const struct column *column = &schema->columns[i];
        const struct value *value = &change->values[i];
        if (change->op == CHANGE_DELETE && !column->is_key)
            continue;
        const char *reason = judge_value(column, &table->limits[i], value);
        if (reason == NULL && table->dialect->judge != NULL && value->kind == VALUE_TEXT)
            reason = table->dialect->judge(table, i, value->text);
        if (reason != NULL)
            return sql_hold(change, column->name, reason, err);
    }
    return STATUS_OK;
}
