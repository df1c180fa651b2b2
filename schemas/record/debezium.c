/* Turns Debezium's rows, as Kafka Connect's JSON converter writes them, into our columns' forms. */
#include "schemas/record/debezium.h"

const json_t *debezium_payload(const json_t *json)
{
    const json_t *payload = json_object_get(json, "payload");
    bool described = json_is_object(json_object_get(json, "schema")) && json_object_size(json) == 2;
    return described && payload != NULL ? payload : json;
}

static const json_t *debezium_find(const json_t *fields, const char *name)
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
    return json_object_get(debezium_find(fields, member), "fields");
}

bool debezium_is(const struct debezium_field *field, const char *name)
{
    return field->name != NULL && strcmp(field->name, name) == 0;
}

bool debezium_has_bytes(const struct debezium_field *field)
{
    return field->type != NULL && strcmp(field->type, "bytes") == 0;
}

enum status debezium_refuse(const struct column *column, const char *what, struct error *err)
{
    return error_set(err, STATUS_REJECT, "column \"%s\": %s (type %s)", column->name, what,
                     column_type_name(column->type));
}

enum status debezium_text(struct slice text, json_t **ret_json, struct error *err)
{
    *ret_json = json_stringn(text.length == 0 ? "" : text.data, text.length);
    return *ret_json != NULL ? STATUS_OK : error_set(err, STATUS_RETRY, "no memory");
}

static enum status debezium_boolean(const json_t *value, json_t **ret_json)
{
    if (json_is_integer(value) && (json_integer_value(value) | 1) == 1)
        *ret_json = json_boolean(json_integer_value(value) == 1);
    return STATUS_OK;
}

enum status debezium_value(const struct column *column, const struct debezium_field *field,
                           const json_t *value, json_t **ret_json, struct error *err)
{
    switch (column->type) {
    case COLUMN_DECIMAL:
    case COLUMN_INTEGER:
        return debezium_number(column, field, value, ret_json, err);
    case COLUMN_BYTES:
        return debezium_bytes(column, field, value, ret_json, err);
    case COLUMN_BOOLEAN:
        return debezium_boolean(value, ret_json);
    case COLUMN_DATE:
    case COLUMN_TIME:
    case COLUMN_TIMESTAMP:
    case COLUMN_DATE_TIME:
        return debezium_time(column, field, value, ret_json, err);
    case COLUMN_DOUBLE:
    case COLUMN_TEXT:
    case COLUMN_JSON:
    case COLUMN_UUID:
        break;
    }
    /* Otherwise the base64 would be taken as the text. */
    if (debezium_has_bytes(field))
        return debezium_refuse(column, "the field holds bytes", err);
    return STATUS_OK;
}

bool debezium_keeps_texts(const struct column *column, const struct debezium_field *field)
{
    switch (column->type) {
    case COLUMN_DATE_TIME:
        return true;
    case COLUMN_TEXT:
    case COLUMN_JSON:
    case COLUMN_UUID:
        return !debezium_has_bytes(field);
    case COLUMN_DECIMAL:
        return !debezium_has_bytes(field) && !debezium_is(field, debezium_decimal_name);
    case COLUMN_INTEGER:
    case COLUMN_DOUBLE:
    case COLUMN_BOOLEAN:
    case COLUMN_BYTES:
    case COLUMN_DATE:
    case COLUMN_TIME:
    case COLUMN_TIMESTAMP:
        break;
    }
    return false;
}

bool debezium_keeps_numbers(const struct column *column, const struct debezium_field *field)
{
    return (column->type == COLUMN_INTEGER && !debezium_is(field, debezium_bits_name)) ||
           (column->type == COLUMN_DOUBLE && !debezium_has_bytes(field));
}

struct debezium_field debezium_field_of(const struct record_form *form, const json_t *fields,
                                        const char *name)
{
    const json_t *described = debezium_find(fields, name);
    return (struct debezium_field){.type = json_string_value(json_object_get(described, "type")),
                                   .name = json_string_value(json_object_get(described, "name")),
                                   .parameters = json_object_get(described, "parameters"),
                                   .binary = form->binary};
}

enum status debezium_row(const struct record_form *form, const json_t *fields, json_t *row,
                         struct error *err)
{
    const struct entity_schema *schema = form->schema;
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(row, next, name, value)
    {
        int index = entity_schema_find(schema, slice_of(name));
        json_t *turned = NULL;
        if (debezium_is_unavailable(value)) {
            (void)json_object_del(row, name);
            continue;
        }
        if (index < 0 || json_is_null(value))
            continue;
        const struct debezium_field field = debezium_field_of(form, fields, name);
        enum status status = debezium_value(&schema->columns[index], &field, value, &turned, err);
        if (status != STATUS_OK)
            return status;
        if (turned != NULL && json_object_set_new(row, name, turned) != 0)
            return error_set(err, STATUS_RETRY, "no memory");
    }
    return STATUS_OK;
}
