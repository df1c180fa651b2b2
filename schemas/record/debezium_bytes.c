/* Reads Debezium's bytes. A field of type bytes is base64. A text has the form of the connector's
 * binary.handling.mode, which the record does not contain. */
#include "schemas/record/debezium.h"

#include "common/base64.h"

static const char placeholder[] = "__debezium_unavailable_value";
static const char placeholder_base64[] = "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==";
static const char placeholder_hex[] = "5f5f646562657a69756d5f756e617661696c61626c655f76616c7565";

bool debezium_is_placeholder(struct slice text)
{
    return slice_is(text, placeholder) || slice_is(text, placeholder_base64) ||
           (text.length == sizeof placeholder_hex - 1 &&
            strncasecmp(text.data, placeholder_hex, text.length) == 0);
}

bool debezium_is_unavailable(const json_t *value)
{
    /* Debezium marks a whole array or map (hstore) as unavailable by a single placeholder in it. */
    if (json_is_array(value) && json_array_size(value) == 1)
        return debezium_is_unavailable(json_array_get(value, 0));
    if (json_is_object(value) && json_object_size(value) == 1)
        return json_object_get(value, placeholder) != NULL;
    /* A NUL ends the text here. */
    return json_is_string(value) && debezium_is_placeholder(slice_of(json_string_value(value)));
}

static bool debezium_may_be_hex(struct slice text)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    return text.length > 0 && strspn(text.data, digits) == text.length;
}

/* Find out how a text holds bytes. A field of type bytes is base64. For other fields the
 * configuration says it. Without that, a text that cannot be hexadecimal is taken as base64, the
 * connector's default. */
static enum status debezium_binary(const struct column *column, const struct debezium_field *field,
                                   struct slice text, enum record_binary *ret_binary,
                                   struct error *err)
{
    *ret_binary = BINARY_BASE64;
    if (debezium_has_bytes(field))
        return STATUS_OK;
    if (field->binary != BINARY_UNSAID) {
        *ret_binary = field->binary;
        return STATUS_OK;
    }
    if (field->type != NULL || debezium_may_be_hex(text))
        return debezium_refuse(column,
                               "the record does not say whether its bytes are base64 or "
                               "hexadecimal; write `binary: base64` or `binary: hex` under apply:",
                               err);
    return STATUS_OK;
}

static enum status debezium_from_base64(const struct column *column, struct slice text,
                                        json_t **ret_json, struct error *err)
{
    struct buffer bytes;
    struct buffer hex;
    buffer_init(&bytes, text.length + 1);
    buffer_init(&hex, 2 * text.length + 2);
    enum status status = base64_read(text, &bytes) ? STATUS_OK
                                                   : debezium_refuse(column, "not base64", err);
    for (size_t i = 0; status == STATUS_OK && i < bytes.length; i++)
        buffer_append_format(&hex, "%02X", (unsigned char)bytes.data[i]);
    if (status == STATUS_OK && hex.failed)
        status = error_set(err, STATUS_RETRY, "no memory");
    if (status == STATUS_OK)
        status = debezium_text(buffer_slice(&hex), ret_json, err);
    buffer_done(&bytes);
    buffer_done(&hex);
    return status;
}

enum status debezium_bytes(const struct column *column, const struct debezium_field *field,
                           const json_t *value, json_t **ret_json, struct error *err)
{
    enum record_binary binary = BINARY_UNSAID;
    struct slice text = {.data = json_string_value(value), .length = json_string_length(value)};
    if (debezium_is(field, debezium_bits_name))
        return debezium_refuse(column, "bits; make the column an integer", err);
    if (debezium_is(field, debezium_decimal_name))
        return debezium_refuse(column, "a decimal", err);
    if (text.data == NULL)
        return debezium_refuse(column, "not a string", err);
    enum status status = debezium_binary(column, field, text, &binary, err);
    if (status != STATUS_OK || binary == BINARY_HEX)
        return status; /* our own form */
    return debezium_from_base64(column, text, ret_json, err);
}
