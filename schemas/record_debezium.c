/* Debezium's values, as Kafka Connect's JSON converter writes them, turned into our columns' forms.
 */
#include "common/buffer.h"
#include "common/clock.h"
#include "schemas/record_foreign.h"

#include <inttypes.h>
#include <stdio.h>

#define DECIMAL_BYTES_MAX  128
#define DECIMAL_DIGITS_MAX 320
#define US_PER_DAY         (INT64_C(86400) * 1000 * 1000)
#define US_MIN             (INT64_C(-62135596800) * 1000 * 1000) /* year 1 */
#define US_END             (INT64_C(253402300800) * 1000 * 1000) /* year 10000 */

static const char unavailable[] = "__debezium_unavailable_value";
static const char connect_decimal[] = "org.apache.kafka.connect.data.Decimal";
static const char variable_decimal[] = "io.debezium.data.VariableScaleDecimal";

/* Numbers that stand for a time, by the name of their Connect type. */
static const struct debezium_time {
    const char *name;
    int64_t us;     /* of one unit */
    int64_t us_div; /* units of one microsecond, where the unit is shorter */
} debezium_times[] = {
    {"io.debezium.time.Date", US_PER_DAY, 1},
    {"org.apache.kafka.connect.data.Date", US_PER_DAY, 1},
    {"io.debezium.time.Time", 1000, 1},
    {"org.apache.kafka.connect.data.Time", 1000, 1},
    {"io.debezium.time.MicroTime", 1, 1},
    {"io.debezium.time.NanoTime", 1, 1000},
    {"io.debezium.time.Timestamp", 1000, 1},
    {"org.apache.kafka.connect.data.Timestamp", 1000, 1},
    {"io.debezium.time.MicroTimestamp", 1, 1},
    {"io.debezium.time.NanoTimestamp", 1, 1000},
};

const json_t *debezium_payload(const json_t *json)
{
    const json_t *payload = json_object_get(json, "payload");
    bool described = json_is_object(json_object_get(json, "schema")) && json_object_size(json) == 2;
    return described && payload != NULL ? payload : json;
}

static const json_t *debezium_field(const json_t *fields, const char *name)
{
    size_t index;
    json_t *field;
    json_array_foreach((json_t *)(uintptr_t)fields, index, field)
    {
        const char *named = json_string_value(json_object_get(field, "field"));
        if (named != NULL && strcmp(named, name) == 0)
            return field;
    }
    return NULL;
}

const json_t *debezium_fields(const json_t *json, const char *member)
{
    const json_t *fields = json_object_get(json_object_get(json, "schema"), "fields");
    if (member == NULL || fields == NULL)
        return fields;
    return json_object_get(debezium_field(fields, member), "fields");
}

static enum status debezium_refuse(const struct column *column, const char *what, struct error *err)
{
    return error_set(err, STATUS_REJECT, "column \"%s\": %s (type %s)", column->name, what,
                     column_type_name(column->type));
}

static int debezium_base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c == '\0' ? NULL : strchr(digits, c);
    return at == NULL ? -1 : (int)(at - digits);
}

/* Appends the bytes; false where the text is not base64 with its padding. */
static bool debezium_base64(const json_t *json, struct buffer *bytes)
{
    const char *text = json_string_value(json);
    size_t length = json_string_length(json);
    if (length % 4 != 0)
        return false;
    for (size_t i = 0; i < length; i += 4) {
        bool last = i + 4 == length;
        size_t padding = last && text[i + 3] == '=' ? (text[i + 2] == '=' ? 2 : 1) : 0;
        unsigned int group = 0;
        for (size_t j = 0; j < 4; j++) {
            int digit = j >= 4 - padding ? 0 : debezium_base64_digit(text[i + j]);
            if (digit < 0)
                return false;
            group = group << 6 | (unsigned int)digit;
        }
        const char out[] = {(char)(group >> 16), (char)(group >> 8), (char)group};
        buffer_append(bytes, out, 3 - padding);
    }
    return !bytes->failed;
}

/* Writes the magnitude of a two's complement number, most significant byte first, in digits from
 * the least significant one. */
static size_t debezium_digits(unsigned char *number, size_t length, bool negative,
                              char digits[static DECIMAL_DIGITS_MAX])
{
    unsigned int carry = 1;
    size_t count = 0;
    for (size_t i = length; negative && i-- > 0;) {
        unsigned int byte = (unsigned int)(unsigned char)~number[i] + carry;
        number[i] = (unsigned char)byte;
        carry = byte >> 8;
    }
    for (bool any = true; any && count < DECIMAL_DIGITS_MAX;) {
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

/* An unscaled big-endian number in base64, with its scale, as a decimal. */
static enum status debezium_unscaled(const struct column *column, const json_t *base64,
                                     int64_t scale, json_t **ret_json, struct error *err)
{
    char digits[DECIMAL_DIGITS_MAX];
    struct buffer bytes;
    struct buffer text;
    enum status status = STATUS_OK;
    buffer_init(&bytes, DECIMAL_BYTES_MAX);
    buffer_init(&text, (size_t)DECIMAL_DIGITS_MAX * 4);
    if (!json_is_string(base64) || !debezium_base64(base64, &bytes) || bytes.length == 0 ||
        scale < 0 || scale > DECIMAL_DIGITS_MAX) {
        status = debezium_refuse(column, "not a decimal's bytes in base64", err);
        goto out;
    }
    unsigned char *number = (unsigned char *)bytes.data;
    bool negative = (number[0] & 0x80) != 0;
    size_t count = debezium_digits(number, bytes.length, negative, digits);
    buffer_append_text(&text, negative ? "-" : "");
    if (count <= (size_t)scale)
        buffer_append_text(&text, "0");
    for (size_t place = count > (size_t)scale ? count : (size_t)scale; place-- > 0;) {
        if (place + 1 == (size_t)scale)
            buffer_append_text(&text, ".");
        buffer_append(&text, place < count ? &digits[place] : "0", 1);
    }
    *ret_json = text.failed ? NULL : json_stringn(buffer_text(&text), text.length);
    if (*ret_json == NULL)
        status = error_set(err, STATUS_RETRY, "no memory");
out:
    buffer_done(&bytes);
    buffer_done(&text);
    return status;
}

static enum status debezium_decimal(const struct column *column, const json_t *field,
                                    const json_t *value, json_t **ret_json, struct error *err)
{
    const char *name = json_string_value(json_object_get(field, "name"));
    const char *scale = json_string_value(
        json_object_get(json_object_get(field, "parameters"), "scale"));
    if (name != NULL && strcmp(name, connect_decimal) == 0 && scale != NULL)
        return debezium_unscaled(column, value, strtoll(scale, NULL, 10), ret_json, err);
    if (json_is_object(value) && (name == NULL || strcmp(name, variable_decimal) == 0))
        return debezium_unscaled(column, json_object_get(value, "value"),
                                 json_integer_value(json_object_get(value, "scale")), ret_json,
                                 err);
    if (json_is_integer(value)) {
        *ret_json = json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return *ret_json != NULL ? STATUS_OK : error_set(err, STATUS_RETRY, "no memory");
    }
    if (json_is_real(value))
        return debezium_refuse(column,
                               "a binary fraction has lost digits; set the connector's "
                               "decimal.handling.mode to precise or string",
                               err);
    return STATUS_OK;
}

static enum status debezium_bytes(const struct column *column, const json_t *value,
                                  json_t **ret_json, struct error *err)
{
    struct buffer bytes;
    struct buffer hex;
    buffer_init(&bytes, json_string_length(value) + 1);
    buffer_init(&hex, 2 * json_string_length(value) + 2);
    enum status status = STATUS_OK;
    if (!json_is_string(value) || !debezium_base64(value, &bytes))
        status = debezium_refuse(column, "not base64", err);
    for (size_t i = 0; status == STATUS_OK && i < bytes.length; i++)
        buffer_append_format(&hex, "%02X", (unsigned char)bytes.data[i]);
    if (status == STATUS_OK)
        *ret_json = json_stringn(hex.length == 0 ? "" : buffer_text(&hex), hex.length);
    if (status == STATUS_OK && *ret_json == NULL)
        status = error_set(err, STATUS_RETRY, "no memory");
    buffer_done(&bytes);
    buffer_done(&hex);
    return status;
}

/* Cuts the column's part out of a time in UTC. */
static enum status debezium_time_text(const struct column *column, int64_t us, json_t **ret_json,
                                      struct error *err)
{
    char text[CLOCK_TEXT_SIZE];
    if (us < US_MIN || us >= US_END)
        return debezium_refuse(column, "a time outside the years 1 to 9999", err);
    clock_format_utc(us, text);
    size_t length = strlen(text);
    if (column->type == COLUMN_DATE)
        *ret_json = json_stringn(text, strcspn(text, "T"));
    else if (column->type == COLUMN_TIME)
        *ret_json = json_stringn(text + 11, length - 12);
    else if (column->type == COLUMN_TIMESTAMP)
        *ret_json = json_stringn(text, length - 1);
    else
        *ret_json = json_stringn(text, length);
    return *ret_json != NULL ? STATUS_OK : error_set(err, STATUS_RETRY, "no memory");
}

static enum status debezium_time_number(const struct column *column, const json_t *field,
                                        int64_t number, json_t **ret_json, struct error *err)
{
    const char *name = json_string_value(json_object_get(field, "name"));
    const struct debezium_time *time = NULL;
    int64_t us = 0;
    for (size_t i = 0; i < sizeof debezium_times / sizeof *debezium_times; i++) {
        if (name != NULL && strcmp(name, debezium_times[i].name) == 0)
            time = &debezium_times[i];
    }
    if (time == NULL && column->type == COLUMN_DATE)
        time = &debezium_times[0];
    if (time == NULL)
        return debezium_refuse(column,
                               "a number without its unit; let the converter write schemas "
                               "(schemas.enable) or times as ISO strings",
                               err);
    if (number % time->us_div != 0 || __builtin_mul_overflow(number / time->us_div, time->us, &us))
        return debezium_refuse(column, "a time that microseconds cannot hold", err);
    return debezium_time_text(column, us, ret_json, err);
}

/* Iso strings carry a Z also where the type has no zone. */
static enum status debezium_time_string(const struct column *column, const json_t *value,
                                        json_t **ret_json, struct error *err)
{
    size_t length = json_string_length(value);
    const char *text = json_string_value(value);
    if (column->type == COLUMN_DATE_TIME || length == 0 || text[length - 1] != 'Z')
        return STATUS_OK;
    *ret_json = json_stringn(text, length - 1);
    return *ret_json != NULL ? STATUS_OK : error_set(err, STATUS_RETRY, "no memory");
}

/* Leaves *ret_json NULL where the value is already in the column's form, or is for the reader of
 * our own forms to refuse. */
static enum status debezium_value(const struct column *column, const json_t *field,
                                  const json_t *value, json_t **ret_json, struct error *err)
{
    switch (column->type) {
    case COLUMN_DECIMAL:
        return debezium_decimal(column, field, value, ret_json, err);
    case COLUMN_BYTES:
        return debezium_bytes(column, value, ret_json, err);
    case COLUMN_BOOLEAN:
        if (json_is_integer(value) && (json_integer_value(value) | 1) == 1)
            *ret_json = json_boolean(json_integer_value(value) == 1);
        return STATUS_OK;
    case COLUMN_DATE:
    case COLUMN_TIME:
    case COLUMN_TIMESTAMP:
    case COLUMN_DATE_TIME:
        if (json_is_integer(value))
            return debezium_time_number(column, field, json_integer_value(value), ret_json, err);
        return json_is_string(value) ? debezium_time_string(column, value, ret_json, err)
                                     : STATUS_OK;
    case COLUMN_INTEGER:
    case COLUMN_DOUBLE:
    case COLUMN_TEXT:
    case COLUMN_JSON:
    case COLUMN_UUID:
        break;
    }
    return STATUS_OK;
}

enum status debezium_row(const struct entity_schema *schema, const json_t *fields, json_t *row,
                         struct error *err)
{
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(row, next, name, value)
    {
        int index = entity_schema_find(schema, slice_of(name));
        const char *text = json_string_value(value);
        json_t *turned = NULL;
        if (text != NULL && strcmp(text, unavailable) == 0) {
            (void)json_object_del(row, name);
            continue;
        }
        if (index < 0 || json_is_null(value))
            continue;
        enum status status = debezium_value(&schema->columns[index], debezium_field(fields, name),
                                            value, &turned, err);
        if (status != STATUS_OK)
            return status;
        if (turned != NULL && json_object_set_new(row, name, turned) != 0)
            return error_set(err, STATUS_RETRY, "no memory");
    }
    return STATUS_OK;
}
