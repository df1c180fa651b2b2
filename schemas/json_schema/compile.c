/* Compiles a schema document to nodes: reads the keywords and refuses malformed ones. */
#include "schemas/json_schema/internal.h"

#include <stddef.h>
#include <stdio.h>

/** What a keyword is read into. */
struct keyword_target {
    struct json_schema *schema;
    struct json_node *node;
    const json_t *value;
    const struct json_place *place;
    size_t offset; /* of the member in struct json_node */
};

typedef enum status (*keyword_read)(const struct keyword_target *target, struct error *err);

static enum status refuse(const struct json_place *place, const char *reason, struct error *err)
{
    char text[JSON_PLACE_TEXT_SIZE];
    json_place_write(place, text);
    return error_set(err, STATUS_FATAL, "schema at %s: %s", text, reason);
}

static enum status refuse_memory(struct error *err)
{
    return error_set(err, STATUS_FATAL, "the schema is too large or there is no memory");
}

static void *member(const struct keyword_target *target)
{
    return (char *)target->node + target->offset;
}

static enum status read_nothing(const struct keyword_target *target, struct error *err)
{
    (void)target;
    (void)err;
    return STATUS_OK;
}

static enum status read_string(const struct keyword_target *target, struct error *err)
{
    return json_is_string(target->value) ? STATUS_OK
                                         : refuse(target->place, "must be a string", err);
}

static enum status read_any(const struct keyword_target *target, struct error *err)
{
    (void)err;
    *(const json_t **)member(target) = target->value;
    return STATUS_OK;
}

static enum status read_array(const struct keyword_target *target, struct error *err)
{
    if (!json_is_array(target->value))
        return refuse(target->place, "must be an array", err);
    return read_any(target, err);
}

static enum status read_number(const struct keyword_target *target, struct error *err)
{
    if (!json_is_number(target->value))
        return refuse(target->place, "must be a number", err);
    return read_any(target, err);
}

static enum status read_divisor(const struct keyword_target *target, struct error *err)
{
    if (!json_is_number(target->value) || json_number_value(target->value) <= 0)
        return refuse(target->place, "must be a number greater than zero", err);
    return read_any(target, err);
}

static enum status read_size(const struct keyword_target *target, struct error *err)
{
    struct json_size_limit *limit = member(target);
    double number = json_number_value(target->value);
    if ((json_value_types(target->value) & JSON_TYPE_INTEGER) == 0 || number < 0 || number > 0x1p53)
        return refuse(target->place, "must be an integer that is not negative", err);
    *limit = (struct json_size_limit){.is_set = true, .value = (size_t)number};
    return STATUS_OK;
}

static enum status read_boolean(const struct keyword_target *target, struct error *err)
{
    if (!json_is_boolean(target->value))
        return refuse(target->place, "must be true or false", err);
    *(bool *)member(target) = json_is_true(target->value);
    return STATUS_OK;
}

static enum status check_names(const json_t *array, const struct json_place *place,
                               struct error *err)
{
    if (!json_is_array(array))
        return refuse(place, "must be an array of strings", err);
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (!json_is_string(json_array_get(array, i)))
            return refuse(place, "must be an array of strings", err);
    }
    return STATUS_OK;
}

static enum status read_names(const struct keyword_target *target, struct error *err)
{
    enum status status = check_names(target->value, target->place, err);
    return status == STATUS_OK ? read_any(target, err) : status;
}

static unsigned type_bit(const json_t *name)
{
    static const struct {
        const char *name;
        unsigned types;
    } types[] = {
        {"null", JSON_TYPE_NULL},       {"boolean", JSON_TYPE_BOOLEAN},
        {"integer", JSON_TYPE_INTEGER}, {"number", JSON_TYPE_NUMBER},
        {"string", JSON_TYPE_STRING},   {"array", JSON_TYPE_ARRAY},
        {"object", JSON_TYPE_OBJECT},
    };
    for (size_t i = 0; json_is_string(name) && i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i].name, json_string_value(name)) == 0)
            return types[i].types;
    }
    return 0;
}

static enum status read_type(const struct keyword_target *target, struct error *err)
{
    if (!json_is_array(target->value)) {
        target->node->types = type_bit(target->value);
        return target->node->types != 0 ? STATUS_OK
                                        : refuse(target->place, "is not a JSON type", err);
    }
    for (size_t i = 0; i < json_array_size(target->value); i++) {
        unsigned bit = type_bit(json_array_get(target->value, i));
        if (bit == 0)
            return refuse(target->place, "holds something that is not a JSON type", err);
        target->node->types |= bit;
    }
    if (target->node->types == 0)
        return refuse(target->place, "must name a type", err);
    return STATUS_OK;
}

static enum status compile_pattern(struct json_schema *schema, struct slice text,
                                   const struct json_place *place, struct json_pattern **ret,
                                   struct error *err)
{
    struct error inner = ERROR_INIT;
    if (json_pattern_new(text, &schema->patterns, &inner) != STATUS_OK)
        return refuse(place, inner.text, err);
    *ret = schema->patterns;
    return STATUS_OK;
}

static enum status read_pattern(const struct keyword_target *target, struct error *err)
{
    if (!json_is_string(target->value))
        return refuse(target->place, "must be a string", err);
    return compile_pattern(target->schema, json_text(target->value), target->place,
                           &target->node->pattern, err);
}

static enum status read_format(const struct keyword_target *target, struct error *err)
{
    if (!json_is_string(target->value))
        return refuse(target->place, "must be a string", err);
    target->node->format_name = json_string_value(target->value);
    if (target->schema->options.assert_formats)
        target->node->format = json_format_find(target->node->format_name);
    return STATUS_OK;
}

static enum status read_schema(const struct keyword_target *target, struct error *err)
{
    struct json_source source = {target->value, target->node->base, target->place};
    return json_node_compile(target->schema, source, member(target), err);
}

static enum status read_schemas(const struct keyword_target *target, struct error *err)
{
    struct json_node_list *list = member(target);
    size_t count = json_array_size(target->value);
    if (!json_is_array(target->value) || (count == 0 && list != &target->node->items_each))
        return refuse(target->place, "must be an array of schemas, and not empty", err);
    list->nodes = arena_alloc(&target->schema->arena, (count + 1) * sizeof *list->nodes);
    if (list->nodes == NULL)
        return refuse_memory(err);
    list->count = count;
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        struct json_place place = {.parent = target->place, .index = i};
        struct json_source source = {json_array_get(target->value, i), target->node->base, &place};
        status = json_node_compile(target->schema, source, &list->nodes[i], err);
    }
    return status;
}

static enum status read_items(const struct keyword_target *target, struct error *err)
{
    struct keyword_target inner = *target;
    bool is_array = json_is_array(target->value);
    inner.offset = is_array ? offsetof(struct json_node, items_each)
                            : offsetof(struct json_node, items_all);
    return is_array ? read_schemas(&inner, err) : read_schema(&inner, err);
}

/** Read an object whose members are schemas or, in `dependencies`, arrays of names. */
static enum status read_map(const struct keyword_target *target, struct error *err)
{
    struct json_node_map *map = member(target);
    if (!json_is_object(target->value))
        return refuse(target->place, "must be an object", err);
    size_t count = json_object_size(target->value);
    map->entries = arena_alloc(&target->schema->arena, (count + 1) * sizeof *map->entries);
    if (map->entries == NULL)
        return refuse_memory(err);
    enum status status = STATUS_OK;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)target->value, name, value)
    {
        struct json_place place = {.parent = target->place, .name = name};
        struct json_node_entry *entry = &map->entries[map->count++];
        entry->name = name;
        if (map == &target->node->dependencies && json_is_array(value)) {
            entry->names = value;
            status = check_names(value, &place, err);
        } else {
            struct json_source source = {value, target->node->base, &place};
            status = json_node_compile(target->schema, source, &entry->node, err);
        }
        if (status == STATUS_OK && map == &target->node->pattern_properties)
            status = compile_pattern(target->schema, slice_of(name), &place, &entry->pattern, err);
        if (status != STATUS_OK)
            break;
    }
    return status;
}

static enum status read_properties(const struct keyword_target *target, struct error *err)
{
    target->node->properties_source = target->value;
    return read_map(target, err);
}

#define MEMBER(name) offsetof(struct json_node, name)

static const struct {
    const char *name;
    keyword_read read;
    size_t offset;
} keywords[] = {
    {"$comment", read_string, 0},
    {"$id", read_string, 0},
    {"$ref", read_string, 0},
    {"$schema", read_string, 0},
    {"additionalItems", read_schema, MEMBER(additional_items)},
    {"additionalProperties", read_schema, MEMBER(additional_properties)},
    {"allOf", read_schemas, MEMBER(all_of)},
    {"anyOf", read_schemas, MEMBER(any_of)},
    {"const", read_any, MEMBER(constant)},
    {"contains", read_schema, MEMBER(contains)},
    {"contentEncoding", read_string, 0},
    {"contentMediaType", read_string, 0},
    {"default", read_nothing, 0},
    {"definitions", read_map, MEMBER(definitions)},
    {"dependencies", read_map, MEMBER(dependencies)},
    {"description", read_string, 0},
    {"else", read_schema, MEMBER(alternative)},
    {"enum", read_array, MEMBER(enumeration)},
    {"examples", read_nothing, 0},
    {"exclusiveMaximum", read_number, MEMBER(exclusive_maximum)},
    {"exclusiveMinimum", read_number, MEMBER(exclusive_minimum)},
    {"format", read_format, 0},
    {"if", read_schema, MEMBER(condition)},
    {"items", read_items, 0},
    {"maxItems", read_size, MEMBER(max_items)},
    {"maxLength", read_size, MEMBER(max_length)},
    {"maxProperties", read_size, MEMBER(max_properties)},
    {"maximum", read_number, MEMBER(maximum)},
    {"minItems", read_size, MEMBER(min_items)},
    {"minLength", read_size, MEMBER(min_length)},
    {"minProperties", read_size, MEMBER(min_properties)},
    {"minimum", read_number, MEMBER(minimum)},
    {"multipleOf", read_divisor, MEMBER(multiple_of)},
    {"not", read_schema, MEMBER(negated)},
    {"oneOf", read_schemas, MEMBER(one_of)},
    {"pattern", read_pattern, 0},
    {"patternProperties", read_map, MEMBER(pattern_properties)},
    {"properties", read_properties, MEMBER(properties)},
    {"propertyNames", read_schema, MEMBER(property_names)},
    {"readOnly", read_nothing, 0},
    {"required", read_names, MEMBER(required)},
    {"then", read_schema, MEMBER(consequence)},
    {"title", read_string, 0},
    {"type", read_type, 0},
    {"uniqueItems", read_boolean, MEMBER(unique_items)},
    {"writeOnly", read_nothing, 0},
};

static enum status keyword_compile(struct json_schema *schema, struct json_node *node,
                                   const char *name, const struct json_place *place,
                                   struct error *err)
{
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        if (strcmp(keywords[i].name, name) != 0)
            continue;
        /* $ref hides all other keywords, but references to the definitions must still work */
        if (node->reference != NULL && keywords[i].read != read_string &&
            keywords[i].offset != MEMBER(definitions))
            return STATUS_OK;
        struct keyword_target target = {.schema = schema,
                                        .node = node,
                                        .value = json_object_get(node->source, name),
                                        .place = place,
                                        .offset = keywords[i].offset};
        return keywords[i].read(&target, err);
    }
    if (schema->options.strict && strncmp(name, "x-", 2) != 0)
        return refuse(place, "unknown keyword (only those that start with \"x-\" are free)", err);
    return STATUS_OK;
}

/** Set the base of a node from `$id`, and register the node under it. */
static enum status identity_compile(struct json_schema *schema, struct json_node *node,
                                    struct error *err)
{
    const char *id = json_string_value(json_object_get(node->source, "$id"));
    node->reference = json_string_value(json_object_get(node->source, "$ref"));
    if (id == NULL || node->reference != NULL)
        return STATUS_OK;
    const char *uri = json_uri_resolve(&schema->arena, node->base, id);
    if (uri == NULL)
        return refuse_memory(err);
    const char *fragment = strchr(uri, '#');
    if (fragment != NULL && fragment[1] != '\0')
        return json_resource_add(schema, uri, node->base, node->source, err);
    size_t length = fragment == NULL ? strlen(uri) : (size_t)(fragment - uri);
    struct slice copy = arena_copy(&schema->arena, (struct slice){uri, length});
    if (copy.data == NULL)
        return refuse_memory(err);
    node->base = copy.data;
    return json_resource_add(schema, node->base, node->base, node->source, err);
}

static struct json_node **bucket_of(const struct json_schema *schema, const json_t *source)
{
    size_t index = ((uintptr_t)source >> 4) % JSON_SCHEMA_BUCKETS;
    return (struct json_node **)(uintptr_t)&schema->buckets[index];
}

struct json_node *json_node_find(const struct json_schema *schema, const json_t *source)
{
    struct json_node *node = *bucket_of(schema, source);
    while (node != NULL && node->source != source)
        node = node->bucket_next;
    return node;
}

static struct json_node *node_add(struct json_schema *schema, const json_t *source,
                                  const char *base)
{
    struct json_node *node = arena_alloc(&schema->arena, sizeof *node);
    if (node == NULL)
        return NULL;
    struct json_node **bucket = bucket_of(schema, source);
    node->source = source;
    node->base = base;
    node->bucket_next = *bucket;
    *bucket = node;
    node->next = schema->nodes;
    schema->nodes = node;
    return node;
}

static bool is_too_deep(const struct json_place *place)
{
    size_t depth = 0;
    for (; place != NULL; place = place->parent)
        depth++;
    return depth > JSON_SCHEMA_DEPTH_MAX;
}

enum status json_node_compile(struct json_schema *schema, struct json_source source,
                              struct json_node **ret, struct error *err)
{
    json_t *value = (json_t *)(uintptr_t)source.value;
    if (json_is_boolean(value)) {
        *ret = json_is_true(value) ? &schema->always : &schema->never;
        return STATUS_OK;
    }
    if (!json_is_object(value))
        return refuse(source.place, "must be a schema: an object, true or false", err);
    *ret = json_node_find(schema, value);
    if (*ret != NULL)
        return STATUS_OK;
    if (is_too_deep(source.place))
        return refuse(source.place, "nested too deeply", err);
    struct json_node *node = node_add(schema, value, source.base);
    if (node == NULL)
        return refuse_memory(err);
    *ret = node;
    enum status status = identity_compile(schema, node, err);
    for (void *at = json_object_iter(value); status == STATUS_OK && at != NULL;
         at = json_object_iter_next(value, at)) {
        struct json_place inner = {.parent = source.place, .name = json_object_iter_key(at)};
        status = keyword_compile(schema, node, inner.name, &inner, err);
    }
    return status;
}
