/* Reads an entity type's JSON Schema: columns from `properties`, the key from `x-keepstep-key`. */
#include "schemas/entity_schema.h"

#include "schemas/json_schema/json_schema.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const column_type_names[] = {
    [COLUMN_INTEGER] = "integer",     [COLUMN_DECIMAL] = "decimal",
    [COLUMN_DOUBLE] = "double",       [COLUMN_TEXT] = "text",
    [COLUMN_BYTES] = "bytes",         [COLUMN_BOOLEAN] = "boolean",
    [COLUMN_DATE_TIME] = "date-time", [COLUMN_JSON] = "json",
    [COLUMN_DATE] = "date",           [COLUMN_TIME] = "time",
    [COLUMN_TIMESTAMP] = "timestamp", [COLUMN_UUID] = "uuid",
};

const char *column_type_name(enum column_type type)
{
    return column_type_names[type];
}

bool column_type_parse(const char *name, enum column_type *ret_type)
{
    for (size_t i = 0; i < sizeof column_type_names / sizeof *column_type_names; i++) {
        if (strcmp(name, column_type_names[i]) == 0) {
            *ret_type = (enum column_type)i;
            return true;
        }
    }
    return false;
}

static bool entity_schema_lists(const json_t *names, const char *name)
{
    size_t index;
    json_t *item;
    if (json_is_string(names))
        return strcmp(json_string_value(names), name) == 0;
    json_array_foreach((json_t *)(uintptr_t)names, index, item)
    {
        if (json_is_string(item) && strcmp(json_string_value(item), name) == 0)
            return true;
    }
    return false;
}

/* Without x-keepstep-type the JSON type decides. A `string` is a text, or a time if its format says
 * so. */
static bool entity_schema_type(const json_t *property, enum column_type *ret_type)
{
    const json_t *named = json_object_get(property, "x-keepstep-type");
    const json_t *type = json_object_get(property, "type");
    const char *format = json_string_value(json_object_get(property, "format"));
    if (named != NULL)
        return json_is_string(named) && column_type_parse(json_string_value(named), ret_type);
    if (entity_schema_lists(type, "integer"))
        *ret_type = COLUMN_INTEGER;
    else if (entity_schema_lists(type, "number"))
        *ret_type = COLUMN_DOUBLE;
    else if (entity_schema_lists(type, "boolean"))
        *ret_type = COLUMN_BOOLEAN;
    else if (entity_schema_lists(type, "string"))
        *ret_type = format != NULL && strcmp(format, "date-time") == 0 ? COLUMN_DATE_TIME
                                                                       : COLUMN_TEXT;
    else
        return false;
    return true;
}

/* @return a number of the property; 0 where it has none. */
static uint32_t entity_schema_size(const json_t *property, const char *name)
{
    const json_t *size = json_object_get(property, name);
    bool fits = json_is_integer(size) && json_integer_value(size) >= 0 &&
                json_integer_value(size) <= INT32_MAX;
    return fits ? (uint32_t)json_integer_value(size) : 0;
}

static enum status entity_schema_column(const json_t *document, const char *name,
                                        const json_t *property, struct column *column,
                                        struct error *err)
{
    if (!entity_schema_type(property, &column->type))
        return error_set(
            err, STATUS_FATAL,
            "/properties/%s: its column type is not known; give \"x-keepstep-type\": "
            "integer, decimal, double, text, bytes, boolean, date-time, json, date, time, "
            "timestamp or uuid",
            name);
    column->name = strdup(name);
    if (column->name == NULL)
        return error_set(err, STATUS_FATAL, "out of memory");
    column->is_key = entity_schema_lists(json_object_get(document, "x-keepstep-key"), name);
    column->nullable = !column->is_key &&
                       (entity_schema_lists(json_object_get(property, "type"), "null") ||
                        !entity_schema_lists(json_object_get(document, "required"), name));
    column->length_max = entity_schema_size(property, "maxLength");
    column->precision = entity_schema_size(property, "x-keepstep-precision");
    column->scale = entity_schema_size(property, "x-keepstep-scale");
    if (column->scale > column->precision)
        return error_set(err, STATUS_FATAL,
                         "/properties/%s/x-keepstep-scale: larger than x-keepstep-precision", name);
    return STATUS_OK;
}

static enum status entity_schema_columns(struct entity_schema *schema, const json_t *document,
                                         struct error *err)
{
    json_t *properties = json_object_get(document, "properties");
    size_t count = json_object_size(properties);
    if (count == 0 || count > ENTITY_COLUMNS_MAX)
        return error_set(err, STATUS_FATAL, "/properties: needs 1 to %d columns",
                         ENTITY_COLUMNS_MAX);
    schema->columns = calloc(count, sizeof *schema->columns);
    schema->key_columns = calloc(count, sizeof *schema->key_columns);
    if (schema->columns == NULL || schema->key_columns == NULL)
        return error_set(err, STATUS_FATAL, "out of memory");
    const char *name;
    json_t *property;
    json_object_foreach(properties, name, property)
    {
        struct column *column = &schema->columns[schema->column_count++];
        enum status status = entity_schema_column(document, name, property, column, err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status entity_schema_key(struct entity_schema *schema, const json_t *document,
                                     struct error *err)
{
    json_t *key = json_object_get(document, "x-keepstep-key");
    size_t index;
    json_t *item;
    if (json_array_size(key) == 0)
        return error_set(err, STATUS_FATAL,
                         "/x-keepstep-key: missing; name the key columns, for example [\"id\"]");
    json_array_foreach(key, index, item)
    {
        int found = json_is_string(item)
                        ? entity_schema_find(schema, slice_of(json_string_value(item)))
                        : -1;
        if (found < 0)
            return error_set(err, STATUS_FATAL, "/x-keepstep-key/%zu: not a column", index);
        struct column *column = &schema->columns[found];
        if (column->type == COLUMN_DOUBLE || column->type == COLUMN_BOOLEAN ||
            column->type == COLUMN_JSON)
            return error_set(err, STATUS_FATAL, "/x-keepstep-key/%zu: a %s column cannot be a key",
                             index, column_type_name(column->type));
        size_t at = schema->key_count++;
        for (;
             at > 0 && strcmp(schema->columns[schema->key_columns[at - 1]].name, column->name) > 0;
             at--)
            schema->key_columns[at] = schema->key_columns[at - 1];
        if (at > 0 && schema->key_columns[at - 1] == (size_t)found)
            return error_set(err, STATUS_FATAL, "/x-keepstep-key/%zu: named twice", index);
        schema->key_columns[at] = (size_t)found;
    }
    return STATUS_OK;
}

static enum status entity_schema_rows(struct entity_schema *schema, const json_t *document,
                                      const char *folder, struct error *err)
{
    static const char *const whole[] = {"required", "minProperties", "dependencies", "allOf",
                                        "anyOf",    "oneOf",         "not",          "if",
                                        "then",     "else"};
    struct json_schema_options options = {.folder = folder, .strict = true, .assert_formats = true};
    enum status status = json_schema_new(document, &options, &schema->row, err);
    if (status != STATUS_OK)
        return status;
    json_t *sparse = json_copy((json_t *)(uintptr_t)document);
    if (sparse == NULL)
        return error_set(err, STATUS_FATAL, "out of memory");
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        (void)json_object_del(sparse, whole[i]);
    status = json_schema_new(sparse, &options, &schema->sparse_row, err);
    json_decref(sparse);
    return status;
}

static enum status entity_schema_read(struct entity_schema *schema, const json_t *document,
                                      const char *folder, struct error *err)
{
    enum status status = entity_schema_columns(schema, document, err);
    if (status == STATUS_OK)
        status = entity_schema_key(schema, document, err);
    if (status == STATUS_OK)
        status = entity_schema_rows(schema, document, folder, err);
    return status;
}

enum status entity_schema_new(const char *folder, const char *entity_type,
                              struct entity_schema **ret_schema, struct error *err)
{
    enum status status;
    char path[PATH_MAX];
    json_error_t wrong;
    json_t *document = NULL;
    struct entity_schema *schema = calloc(1, sizeof *schema);

    (void)snprintf(path, sizeof path, "%s/%s.schema.json", folder, entity_type);
    if (schema == NULL || (schema->entity_type = strdup(entity_type)) == NULL) {
        status = error_set(err, STATUS_FATAL, "out of memory");
        goto out;
    }
    document = json_load_file(path, JSON_LOAD_FLAGS, &wrong);
    if (document == NULL) {
        if (wrong.line < 0)
            status = error_set(err, STATUS_FATAL, "%s; write the schema of \"%s\" there",
                               wrong.text, entity_type);
        else
            status = error_set(err, STATUS_FATAL, "%s:%d:%d: %s", path, wrong.line, wrong.column,
                               wrong.text);
        status = json_check_memory(status, err);
        goto out;
    }
    status = json_check_memory(entity_schema_read(schema, document, folder, err), err);
    if (status != STATUS_OK) {
        error_prefix(err, "%s", path);
        goto out;
    }
    *ret_schema = schema;
    schema = NULL;
out:
    if (status != STATUS_OK)
        error_mark_config(err);
    json_decref(document);
    entity_schema_free(schema);
    return status;
}

void entity_schema_free(struct entity_schema *schema)
{
    if (schema == NULL)
        return;
    for (size_t i = 0; i < schema->column_count; i++)
        free(schema->columns[i].name);
    free(schema->columns);
    free(schema->key_columns);
    json_schema_free(schema->row);
    json_schema_free(schema->sparse_row);
    free(schema->entity_type);
    free(schema);
}

int entity_schema_find(const struct entity_schema *schema, struct slice name)
{
    for (size_t i = 0; i < schema->column_count; i++) {
        if (slice_is(name, schema->columns[i].name))
            return (int)i;
    }
    return -1;
}
