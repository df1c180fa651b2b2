/* Reads Debezium's decimals and integers: unscaled bytes with a scale, bits, and plain numbers. */
#include "schemas/record/debezium.h"

#include "common/base64.h"

#include <errno.h>
#include <stdlib.h>

#define NUMBER_BYTES_MAX  512
#define NUMBER_DIGITS_MAX 1300 /* 512 bytes have 1,233 */

const char debezium_decimal_name[] = "org.apache.kafka.connect.data.Decimal";
static const char variable_decimal[] = "io.debezium.data.VariableScaleDecimal";
const char debezium_bits_name[] = "io.debezium.data.Bits";

/* Write the magnitude of a two's complement number (most significant byte first) as digits, the
 * least significant one first. @return how many digits; one for zero. */
static size_t debezium_digits(unsigned char *number, size_t length, bool negative,
                              char digits[static NUMBER_DIGITS_MAX])
{
    unsigned int carry = 1;
    size_t count = 0;
    for (size_t i = length; negative && i-- > 0;) {
        unsigned int byte = (unsigned int)(unsigned char)~number[i] + carry;
        number[i] = (unsigned char)byte;
        carry = byte >> 8;
    }
    for (bool any = true; any && count < NUMBER_DIGITS_MAX;) {
        unsigned int rest = 0;
        any = false;
        for (size_t i = 0; i < length; i++) {
            unsigned int part = rest << 8 | number[i];
            number[i] = (unsigned char)(part / 10);
            rest = part % 10;
            any = any || number[i] != 0;
        }
        digits[count++] = (char)('0' + rest);
    }
    return count;
}

/* Write digits that begin with the least significant one. A negative scale appends zeros. */
static void debezium_write_decimal(const char *digits, size_t count, int64_t scale,
                                   struct buffer *text)
{
    bool zero = count == 1 && digits[0] == '0';
    size_t behind = scale > 0 ? (size_t)scale : 0;
    if (count <= behind)
        buffer_append_text(text, "0");
    for (size_t place = count > behind ? count : behind; place-- > 0;) {
        if (place + 1 == behind)
            buffer_append_text(text, ".");
        buffer_append(text, place < count ? &digits[place] : "0", 1);
    }
    for (int64_t i = scale; i < 0 && !zero; i++)
        buffer_append_text(text, "0");
}

/* Write an unscaled big-endian number in base64, and its scale, as a decimal's text. */
static enum status debezium_unscaled(const struct column *column, const json_t *base64,
                                     int64_t scale, struct buffer *text, struct error *err)
{
    char digits[NUMBER_DIGITS_MAX];
    struct buffer bytes;
    enum status status = STATUS_OK;
    struct slice written = {.data = json_string_value(base64),
                            .length = json_string_length(base64)};
    buffer_init(&bytes, NUMBER_BYTES_MAX);
    if (written.length > NUMBER_BYTES_MAX / 3 * 4 || scale < -NUMBER_DIGITS_MAX ||
        scale > NUMBER_DIGITS_MAX) {
        status = debezium_refuse(column, "a decimal of more digits than Keepstep reads", err);
        goto out;
    }
    if (!base64_read(written, &bytes) || bytes.length == 0) {
        status = debezium_refuse(column, "not a decimal's bytes in base64", err);
        goto out;
    }
    unsigned char *number = (unsigned char *)bytes.data;
    bool negative = (number[0] & 0x80) != 0;
    size_t count = debezium_digits(number, bytes.length, negative, digits);
    buffer_append_text(text, negative ? "-" : "");
    debezium_write_decimal(digits, count, scale, text);
    if (text->failed)
        status = error_set(err, STATUS_RETRY, "no memory");
out:
    buffer_done(&bytes);
    return status;
}

/* Kafka Connect writes the scale as a string. */
static bool debezium_scale(const struct debezium_field *field, int64_t *ret_scale)
{
    const char *text = json_string_value(json_object_get(field->parameters, "scale"));
    char *end = NULL;
    errno = 0;
    *ret_scale = text == NULL ? 0 : strtoll(text, &end, 10);
    return text != NULL && *text != '\0' && *end == '\0' && errno == 0;
}

static enum status debezium_to_column(const struct column *column, const struct buffer *text,
                                      json_t **ret_json, struct error *err)
{
    char *end = NULL;
    if (column->type == COLUMN_DECIMAL)
        return debezium_text(buffer_slice(text), ret_json, err);
    errno = 0;
    long long integer = strtoll(buffer_text(text), &end, 10);
    if (errno != 0 || *end != '\0')
        return debezium_refuse(column, "a decimal that is not an integer of 64 bits", err);
    *ret_json = json_integer(integer);
    return *ret_json != NULL ? STATUS_OK : error_set(err, STATUS_RETRY, "no memory");
}

static enum status debezium_decimal(const struct column *column, const json_t *base64,
                                    int64_t scale, json_t **ret_json, struct error *err)
{
    struct buffer text;
    buffer_init(&text, (size_t)NUMBER_DIGITS_MAX * 3);
    enum status status = debezium_unscaled(column, base64, scale, &text, err);
    if (status == STATUS_OK)
        status = debezium_to_column(column, &text, ret_json, err);
    buffer_done(&text);
    return status;
}

/* The least significant byte comes first. */
static enum status debezium_read_bits(const struct column *column, const json_t *value,
                                      json_t **ret_json, struct error *err)
{
    struct buffer bytes;
    uint64_t number = 0;
    enum status status = STATUS_OK;
    struct slice written = {.data = json_string_value(value), .length = json_string_length(value)};
    buffer_init(&bytes, sizeof number);
    bool fits = base64_read(written, &bytes) && bytes.length > 0;
    for (size_t i = 0; fits && i < bytes.length; i++)
        number |= (uint64_t)(unsigned char)bytes.data[i] << (8 * i);
    if (!fits || number > INT64_MAX)
        status = debezium_refuse(column, "bits that a 64-bit integer cannot hold", err);
    else if ((*ret_json = json_integer((json_int_t)number)) == NULL)
        status = error_set(err, STATUS_RETRY, "no memory");
    buffer_done(&bytes);
    return status;
}

enum status debezium_number(const struct column *column, const struct debezium_field *field,
                            const json_t *value, json_t **ret_json, struct error *err)
{
    int64_t scale = 0;
    const char *large = json_large_integer(value);
    bool exact = column->type == COLUMN_DECIMAL;
    if (large != NULL)
        return exact ? debezium_text(slice_of(large), ret_json, err) : STATUS_OK;
    if (json_is_object(value) && (field->name == NULL || debezium_is(field, variable_decimal)))
        return debezium_decimal(column, json_object_get(value, "value"),
                                json_integer_value(json_object_get(value, "scale")), ret_json, err);
    if (debezium_is(field, debezium_bits_name) && !exact)
        return debezium_read_bits(column, value, ret_json, err);
    if (json_is_string(value) && debezium_is(field, debezium_decimal_name)) {
        if (!debezium_scale(field, &scale))
            return debezium_refuse(column, "a decimal without its scale", err);
        return debezium_decimal(column, value, scale, ret_json, err);
    }
    if (debezium_has_bytes(field) && json_is_string(value))
        return debezium_refuse(column, "the field holds bytes that are no number", err);
    if (exact && json_is_integer(value)) {
        *ret_json = json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return *ret_json != NULL ? STATUS_OK : error_set(err, STATUS_RETRY, "no memory");
    }
    if (exact && json_is_real(value))
        return debezium_refuse(column,
                               "a number with a fraction loses digits in JSON; set the "
                               "connector's decimal.handling.mode to precise or string, and "
                               "the converter's decimal.format to BASE64",
                               err);
    return STATUS_OK;
}
