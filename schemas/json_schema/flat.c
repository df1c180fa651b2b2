/* The fast path: a table for a schema that is one object of properties with simple types. */
#include "schemas/json_schema/internal.h"

#include "common/buffer.h"

#include <stdlib.h>

/** What a property must be. */
struct flat_property {
    struct slice name;
    struct slice member; /* its name as a member's: "id": with quotes and colon */
    const struct json_node *node;
    const json_t *enumeration; /* strings and nulls; NULL: any value */
    unsigned types;
    bool is_required;
};

struct json_flat {
    struct flat_property *properties; /* in the order of the schema */
    struct flat_property **by_name;   /* sorted by name */
    size_t count;
    size_t required_count;
    bool refuses_others;
};

/** @return whether an enum holds nothing but strings and null. */
static bool is_flat_enumeration(const json_t *values)
{
    for (size_t i = 0; i < json_array_size(values); i++) {
        const json_t *value = json_array_get(values, i);
        if (!json_is_string(value) && !json_is_null(value))
            return false;
    }
    return true;
}

static bool has_combinations(const struct json_node *node)
{
    return node->reference != NULL || node->never || node->constant != NULL ||
           node->all_of.count > 0 || node->any_of.count > 0 || node->one_of.count > 0 ||
           node->negated != NULL || node->condition != NULL;
}

static bool has_array_keywords(const struct json_node *node)
{
    return node->items_all != NULL || node->items_each.nodes != NULL || node->contains != NULL ||
           node->max_items.is_set || node->min_items.is_set || node->unique_items;
}

static bool has_object_keywords(const struct json_node *node)
{
    return node->required != NULL || node->properties.count > 0 ||
           node->additional_properties != NULL || node->max_properties.is_set ||
           node->min_properties.is_set || node->pattern_properties.count > 0 ||
           node->property_names != NULL || node->dependencies.count > 0;
}

static bool is_flat_property(const struct json_node *node)
{
    return !has_combinations(node) && !has_array_keywords(node) && !has_object_keywords(node) &&
           node->pattern == NULL && node->multiple_of == NULL && node->exclusive_maximum == NULL &&
           node->exclusive_minimum == NULL && is_flat_enumeration(node->enumeration);
}

static bool is_flat_required(const struct json_node *node)
{
    for (size_t i = 0; i < json_array_size(node->required); i++) {
        const char *name = json_string_value(json_array_get(node->required, i));
        if (json_object_get(node->properties_source, name) == NULL)
            return false;
    }
    return true;
}

static bool is_flat(const struct json_node *node)
{
    bool is_object = node->types == JSON_TYPE_OBJECT && !has_combinations(node) &&
                     node->enumeration == NULL && !node->max_properties.is_set &&
                     !node->min_properties.is_set && node->pattern_properties.count == 0 &&
                     node->property_names == NULL && node->dependencies.count == 0 &&
                     (node->additional_properties == NULL || node->additional_properties->never);
    if (!is_object || !is_flat_required(node))
        return false;
    for (size_t i = 0; i < node->properties.count; i++) {
        if (!is_flat_property(node->properties.entries[i].node))
            return false;
    }
    return true;
}

static int compare_names(const void *a, const void *b)
{
    const struct flat_property *const *left = a;
    const struct flat_property *const *right = b;
    return slice_compare((*left)->name, (*right)->name);
}

static bool is_named(const json_t *names, const char *name)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        if (strcmp(json_string_value(json_array_get(names, i)), name) == 0)
            return true;
    }
    return false;
}

/** @return the name in JSON with its colon, in the arena; data NULL without memory. */
static struct slice flat_member(struct arena *arena, const char *name)
{
    struct buffer member;
    buffer_init(&member, arena->size_max);
    buffer_append_json(&member, slice_of(name));
    buffer_append_text(&member, ":");
    struct slice kept = {0};
    if (!member.failed)
        kept = arena_copy(arena, buffer_slice(&member));
    buffer_done(&member);
    return kept;
}

static bool flat_fill(struct json_flat *flat, const struct json_node *root, struct arena *arena)
{
    bool filled = true;
    flat->count = root->properties.count;
    flat->refuses_others = root->additional_properties != NULL;
    for (size_t i = 0; i < flat->count; i++) {
        const struct json_node_entry *entry = &root->properties.entries[i];
        bool is_required = is_named(root->required, entry->name);
        flat->properties[i] = (struct flat_property){.name = slice_of(entry->name),
                                                     .member = flat_member(arena, entry->name),
                                                     .node = entry->node,
                                                     .enumeration = entry->node->enumeration,
                                                     .types = entry->node->types,
                                                     .is_required = is_required};
        flat->by_name[i] = &flat->properties[i];
        flat->required_count += is_required;
        filled = filled && flat->properties[i].member.data != NULL;
    }
    if (flat->count > 0)
        qsort(flat->by_name, flat->count, sizeof(struct flat_property *), compare_names);
    return filled;
}

enum status json_flat_compile(struct json_schema *schema, struct error *err)
{
    const struct json_node *root = schema->root;
    if (!is_flat(root))
        return STATUS_OK;
    size_t count = root->properties.count + 1;
    struct json_flat *flat = arena_alloc(&schema->arena, sizeof *flat);
    if (flat != NULL) {
        flat->properties = arena_alloc(&schema->arena, count * sizeof *flat->properties);
        flat->by_name = arena_alloc(&schema->arena, count * sizeof(struct flat_property *));
    }
    if (flat == NULL || flat->properties == NULL || flat->by_name == NULL ||
        !flat_fill(flat, root, &schema->arena))
        return error_set(err, STATUS_FATAL, "no memory for the schema");
    schema->flat = flat;
    return STATUS_OK;
}

/** @param text  data NULL for null. */
static bool check_enumeration(const json_t *values, struct slice text)
{
    for (size_t i = 0; i < json_array_size(values); i++) {
        const json_t *allowed = json_array_get(values, i);
        if (json_is_null(allowed) ? text.data == NULL
                                  : text.data != NULL && slice_equal(json_text(allowed), text))
            return true;
    }
    return false;
}

static bool check_string(const struct json_node *node, struct slice text)
{
    if (node->format != NULL && !node->format(text))
        return false;
    /* a text has at most as many code points as bytes, so most need no counting */
    bool may_be_long = node->max_length.is_set && text.length > node->max_length.value;
    if (!may_be_long && !node->min_length.is_set)
        return true;
    size_t length = json_text_length(text);
    return (!node->max_length.is_set || length <= node->max_length.value) &&
           (!node->min_length.is_set || length >= node->min_length.value);
}

/** @param types  the JSON types of the value. */
static bool check_types(const struct flat_property *property, unsigned types)
{
    return property->types == 0 || (property->types & types) != 0;
}

static bool check_text(const struct flat_property *property, struct slice text)
{
    return check_types(property, JSON_TYPE_STRING) &&
           (property->enumeration == NULL || check_enumeration(property->enumeration, text)) &&
           check_string(property->node, text);
}

static bool check_null(const struct flat_property *property)
{
    return check_types(property, JSON_TYPE_NULL) &&
           (property->enumeration == NULL ||
            check_enumeration(property->enumeration, (struct slice){0}));
}

static bool check_property(const struct flat_property *property, const json_t *value)
{
    const struct json_node *node = property->node;
    if (json_is_string(value))
        return check_text(property, json_text(value));
    if (json_is_null(value))
        return check_null(property);
    if (!check_types(property, json_value_types(value)) || property->enumeration != NULL)
        return false;
    return !json_is_number(value) ||
           ((node->maximum == NULL || json_number_compare(value, node->maximum) <= 0) &&
            (node->minimum == NULL || json_number_compare(value, node->minimum) >= 0));
}

size_t json_flat_find(const struct json_flat *flat, size_t guess, struct slice name)
{
    if (guess < flat->count && slice_equal(flat->properties[guess].name, name))
        return guess;
    struct flat_property key = {.name = name};
    const struct flat_property *pointer = &key;
    struct flat_property **found = NULL;
    if (flat->count > 0)
        found = bsearch(&pointer, flat->by_name, flat->count, sizeof pointer, compare_names);
    return found == NULL ? SIZE_MAX : (size_t)(*found - flat->properties);
}

bool json_flat_check(const struct json_flat *flat, const json_t *instance)
{
    if (!json_is_object(instance))
        return false;
    size_t required_count = 0;
    size_t guess = 0;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)instance, name, value)
    {
        size_t index = json_flat_find(flat, guess, slice_of(name));
        if (index == SIZE_MAX) {
            if (flat->refuses_others)
                return false;
            continue;
        }
        guess = index + 1;
        if (!check_property(&flat->properties[index], value))
            return false;
        required_count += flat->properties[index].is_required;
    }
    return required_count == flat->required_count;
}

const struct json_flat *json_schema_flat(const struct json_schema *schema)
{
    return schema->flat;
}

struct slice json_flat_member(const struct json_flat *flat, size_t index)
{
    return flat->properties[index].member;
}

bool json_flat_is_required(const struct json_flat *flat, size_t index)
{
    return flat->properties[index].is_required;
}

bool json_flat_allows_null(const struct json_flat *flat, size_t index)
{
    return check_null(&flat->properties[index]);
}

bool json_flat_allows_boolean(const struct json_flat *flat, size_t index)
{
    const struct flat_property *property = &flat->properties[index];
    return check_types(property, JSON_TYPE_BOOLEAN) && property->enumeration == NULL;
}

bool json_flat_allows_integer(const struct json_flat *flat, size_t index, int64_t integer)
{
    const struct flat_property *property = &flat->properties[index];
    const json_t *maximum = property->node->maximum;
    const json_t *minimum = property->node->minimum;
    return check_types(property, JSON_TYPE_INTEGER | JSON_TYPE_NUMBER) &&
           property->enumeration == NULL &&
           (maximum == NULL ||
            (json_is_integer(maximum) && integer <= json_integer_value(maximum))) &&
           (minimum == NULL ||
            (json_is_integer(minimum) && integer >= json_integer_value(minimum)));
}

bool json_flat_allows_real(const struct json_flat *flat, size_t index, double real)
{
    const struct flat_property *property = &flat->properties[index];
    const json_t *maximum = property->node->maximum;
    const json_t *minimum = property->node->minimum;
    return check_types(property, JSON_TYPE_NUMBER) && property->enumeration == NULL &&
           (maximum == NULL || (json_is_real(maximum) && real <= json_real_value(maximum))) &&
           (minimum == NULL || (json_is_real(minimum) && real >= json_real_value(minimum)));
}

bool json_flat_allows_text(const struct json_flat *flat, size_t index, struct slice text)
{
    return check_text(&flat->properties[index], text);
}

bool json_flat_allows(const struct json_flat *flat, size_t index, const json_t *value)
{
    return check_property(&flat->properties[index], value);
}
