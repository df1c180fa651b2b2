/* Validates a value by a node and all nodes that it refers to. */
#include "common/utf8.h"
#include "schemas/json_schema/internal.h"

#include <stdarg.h>
#include <stdio.h>

#define VALIDATE_STEPS_MAX 50000000
#define VALIDATE_TEXT_SIZE 200

/** One call of json_schema_validate(). */
struct validation {
    struct error *err;
    uint64_t steps;
    size_t depth;
    bool quiet;   /* inside anyOf, not, …: a mismatch is not an error yet */
    bool gave_up; /* too deep or too long: the document is rejected */
};

static bool validate(struct validation *run, const struct json_node *node, const json_t *value,
                     const struct json_place *place);

static void report(struct validation *run, const struct json_place *place, const char *reason)
{
    char text[JSON_PLACE_TEXT_SIZE];
    json_place_write(place, text);
    (void)error_set(run->err, STATUS_REJECT, "%s: %s", text, reason);
}

PRINTF_LIKE(3, 4)
static bool mismatch(struct validation *run, const struct json_place *place, const char *format,
                     ...)
{
    char reason[VALIDATE_TEXT_SIZE];
    if (run->quiet)
        return false;
    va_list args;
    va_start(args, format);
    utf8_vformat(reason, sizeof reason, format, args);
    va_end(args);
    report(run, place, reason);
    return false;
}

static bool give_up(struct validation *run, const struct json_place *place, const char *reason)
{
    if (!run->gave_up)
        report(run, place, reason);
    run->gave_up = true;
    return false;
}

/** As validate(), but a mismatch sets no error. */
static bool is_match(struct validation *run, const struct json_node *node, const json_t *value,
                     const struct json_place *place)
{
    bool quiet = run->quiet;
    run->quiet = true;
    bool valid = validate(run, node, value, place);
    run->quiet = quiet;
    return valid;
}

static bool is_pattern_match(struct validation *run, const struct json_pattern *pattern,
                             struct slice text, const struct json_place *place)
{
    enum json_pattern_result result = json_pattern_match(pattern, text);
    if (result == JSON_PATTERN_GAVE_UP)
        return give_up(run, place, "a pattern takes too long to match");
    return result == JSON_PATTERN_YES;
}

static bool is_enumerated(struct validation *run, const json_t *values, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(values); i++) {
        if (json_value_equal(json_array_get(values, i), value, &run->steps))
            return true;
    }
    return false;
}

static bool check_value(struct validation *run, const struct json_node *node, const json_t *value,
                        const struct json_place *place)
{
    if (node->never)
        return mismatch(run, place, "not allowed here");
    if (node->types != 0 && (node->types & json_value_types(value)) == 0)
        return mismatch(run, place, "wrong type");
    if (node->enumeration != NULL && !is_enumerated(run, node->enumeration, value))
        return mismatch(run, place, "not one of the values of enum");
    if (node->constant != NULL && !json_value_equal(node->constant, value, &run->steps))
        return mismatch(run, place, "not the value of const");
    return true;
}

static bool check_string(struct validation *run, const struct json_node *node, const json_t *value,
                         const struct json_place *place)
{
    struct slice text = json_text(value);
    size_t length = 0;
    if (node->max_length.is_set || node->min_length.is_set)
        length = json_text_length(text);
    if (node->max_length.is_set && length > node->max_length.value)
        return mismatch(run, place, "longer than %zu characters", node->max_length.value);
    if (node->min_length.is_set && length < node->min_length.value)
        return mismatch(run, place, "shorter than %zu characters", node->min_length.value);
    if (node->pattern != NULL && !is_pattern_match(run, node->pattern, text, place))
        return mismatch(run, place, "does not match the pattern");
    if (node->format != NULL && !node->format(text))
        return mismatch(run, place, "not of the format %.40s", node->format_name);
    return true;
}

static bool check_number(struct validation *run, const struct json_node *node, const json_t *value,
                         const struct json_place *place)
{
    if (node->maximum != NULL && json_number_compare(value, node->maximum) > 0)
        return mismatch(run, place, "greater than %.17g", json_number_value(node->maximum));
    if (node->minimum != NULL && json_number_compare(value, node->minimum) < 0)
        return mismatch(run, place, "less than %.17g", json_number_value(node->minimum));
    if (node->exclusive_maximum != NULL && json_number_compare(value, node->exclusive_maximum) >= 0)
        return mismatch(run, place, "not less than %.17g",
                        json_number_value(node->exclusive_maximum));
    if (node->exclusive_minimum != NULL && json_number_compare(value, node->exclusive_minimum) <= 0)
        return mismatch(run, place, "not greater than %.17g",
                        json_number_value(node->exclusive_minimum));
    if (node->multiple_of != NULL && !json_number_is_multiple(value, node->multiple_of))
        return mismatch(run, place, "not a multiple of %.17g",
                        json_number_value(node->multiple_of));
    return true;
}

static bool check_unique(struct validation *run, const json_t *array,
                         const struct json_place *place)
{
    for (size_t i = 1; i < json_array_size(array); i++) {
        for (size_t j = 0; j < i; j++) {
            if (json_value_equal(json_array_get(array, i), json_array_get(array, j), &run->steps))
                return mismatch(run, place, "items %zu and %zu are equal", j, i);
        }
        if (run->steps > VALIDATE_STEPS_MAX)
            return give_up(run, place, "takes too many steps to check");
    }
    return true;
}

static bool check_contains(struct validation *run, const struct json_node *node,
                           const json_t *array, const struct json_place *place)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        struct json_place inner = {.parent = place, .index = i};
        if (is_match(run, node->contains, json_array_get(array, i), &inner))
            return true;
    }
    return mismatch(run, place, "no item matches `contains`");
}

static bool check_items(struct validation *run, const struct json_node *node, const json_t *array,
                        const struct json_place *place)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        struct json_place inner = {.parent = place, .index = i};
        const struct json_node *item = node->items_all;
        if (node->items_each.nodes != NULL)
            item = i < node->items_each.count ? node->items_each.nodes[i] : node->additional_items;
        if (item != NULL && !validate(run, item, json_array_get(array, i), &inner))
            return false;
    }
    return true;
}

static bool check_array(struct validation *run, const struct json_node *node, const json_t *array,
                        const struct json_place *place)
{
    size_t size = json_array_size(array);
    if (node->max_items.is_set && size > node->max_items.value)
        return mismatch(run, place, "more than %zu items", node->max_items.value);
    if (node->min_items.is_set && size < node->min_items.value)
        return mismatch(run, place, "fewer than %zu items", node->min_items.value);
    return (!node->unique_items || check_unique(run, array, place)) &&
           (node->contains == NULL || check_contains(run, node, array, place)) &&
           ((node->items_all == NULL && node->items_each.nodes == NULL) ||
            check_items(run, node, array, place));
}

static bool check_names(struct validation *run, const json_t *names, const json_t *object,
                        const struct json_place *place)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (json_object_get(object, name) == NULL)
            return mismatch(run, place, "lacks the property '%.64s'", name);
    }
    return true;
}

/** Validate one member of an object by properties, patternProperties and additionalProperties. */
static bool check_member(struct validation *run, const struct json_node *node, const char *name,
                         const json_t *value, const struct json_place *place)
{
    bool is_known = json_object_get(node->properties_source, name) != NULL;
    for (size_t i = 0; i < node->pattern_properties.count; i++) {
        const struct json_node_entry *entry = &node->pattern_properties.entries[i];
        if (!is_pattern_match(run, entry->pattern, slice_of(name), place))
            continue;
        is_known = true;
        if (!validate(run, entry->node, value, place))
            return false;
    }
    if (is_known || node->additional_properties == NULL)
        return true;
    if (node->additional_properties->never)
        return mismatch(run, place, "unknown property");
    return validate(run, node->additional_properties, value, place);
}

static bool check_members(struct validation *run, const struct json_node *node,
                          const json_t *object, const struct json_place *place)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        struct json_place inner = {.parent = place, .name = name};
        if (!check_member(run, node, name, value, &inner))
            return false;
    }
    return true;
}

static bool check_properties(struct validation *run, const struct json_node *node,
                             const json_t *object, const struct json_place *place)
{
    for (size_t i = 0; i < node->properties.count; i++) {
        const struct json_node_entry *entry = &node->properties.entries[i];
        const json_t *value = json_object_get(object, entry->name);
        struct json_place inner = {.parent = place, .name = entry->name};
        if (value != NULL && !validate(run, entry->node, value, &inner))
            return false;
    }
    if (node->additional_properties == NULL && node->pattern_properties.count == 0)
        return true;
    return check_members(run, node, object, place);
}

static bool check_property_names(struct validation *run, const struct json_node *node,
                                 const json_t *object, const struct json_place *place)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        struct json_place inner = {.parent = place, .name = name};
        json_t *text = json_string(name);
        if (text == NULL)
            return give_up(run, &inner, "no memory to check the name");
        bool valid = is_match(run, node, text, &inner);
        json_decref(text);
        if (!valid)
            return mismatch(run, &inner, "the name does not match `propertyNames`");
    }
    return true;
}

static bool check_dependencies(struct validation *run, const struct json_node *node,
                               const json_t *object, const struct json_place *place)
{
    for (size_t i = 0; i < node->dependencies.count; i++) {
        const struct json_node_entry *entry = &node->dependencies.entries[i];
        if (json_object_get(object, entry->name) == NULL)
            continue;
        if (entry->names != NULL && !check_names(run, entry->names, object, place))
            return false;
        if (entry->node != NULL && !validate(run, entry->node, object, place))
            return false;
    }
    return true;
}

static bool check_object(struct validation *run, const struct json_node *node, const json_t *object,
                         const struct json_place *place)
{
    size_t size = json_object_size(object);
    if (node->max_properties.is_set && size > node->max_properties.value)
        return mismatch(run, place, "more than %zu properties", node->max_properties.value);
    if (node->min_properties.is_set && size < node->min_properties.value)
        return mismatch(run, place, "fewer than %zu properties", node->min_properties.value);
    return (node->required == NULL || check_names(run, node->required, object, place)) &&
           check_properties(run, node, object, place) &&
           (node->property_names == NULL ||
            check_property_names(run, node->property_names, object, place)) &&
           check_dependencies(run, node, object, place);
}

static size_t count_matches(struct validation *run, const struct json_node_list *list,
                            size_t enough, const json_t *value, const struct json_place *place)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count && count < enough && !run->gave_up; i++)
        count += is_match(run, list->nodes[i], value, place);
    return count;
}

static bool check_combined(struct validation *run, const struct json_node *node,
                           const json_t *value, const struct json_place *place)
{
    for (size_t i = 0; i < node->all_of.count; i++) {
        if (!validate(run, node->all_of.nodes[i], value, place))
            return false;
    }
    if (node->any_of.count > 0 && count_matches(run, &node->any_of, 1, value, place) == 0)
        return mismatch(run, place, "matches no schema of anyOf");
    if (node->one_of.count > 0) {
        size_t count = count_matches(run, &node->one_of, 2, value, place);
        if (count != 1)
            return mismatch(run, place, "matches %s schema of oneOf",
                            count == 0 ? "no" : "more than one");
    }
    if (node->negated != NULL && is_match(run, node->negated, value, place))
        return mismatch(run, place, "matches the schema of not");
    if (node->condition == NULL || (node->consequence == NULL && node->alternative == NULL))
        return true;
    const struct json_node *next = is_match(run, node->condition, value, place) ? node->consequence
                                                                                : node->alternative;
    return next == NULL || validate(run, next, value, place);
}

static bool check_by_type(struct validation *run, const struct json_node *node, const json_t *value,
                          const struct json_place *place)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return check_string(run, node, value, place);
    case JSON_INTEGER:
    case JSON_REAL:
        return check_number(run, node, value, place);
    case JSON_ARRAY:
        return check_array(run, node, value, place);
    case JSON_OBJECT:
        return check_object(run, node, value, place);
    default:
        return true;
    }
}

static bool validate(struct validation *run, const struct json_node *node, const json_t *value,
                     const struct json_place *place)
{
    bool valid;
    if (run->gave_up)
        return false;
    if (++run->steps > VALIDATE_STEPS_MAX)
        return give_up(run, place, "takes too many steps to check");
    if (run->depth >= JSON_SCHEMA_DEPTH_MAX)
        return give_up(run, place, "nested too deeply");
    run->depth++;
    if (node->reference != NULL)
        valid = validate(run, node->target, value, place);
    else
        valid = check_value(run, node, value, place) && check_by_type(run, node, value, place) &&
                check_combined(run, node, value, place);
    run->depth--;
    return valid && !run->gave_up;
}

enum status json_schema_validate_full(const struct json_schema *schema, const json_t *instance,
                                      struct error *err)
{
    struct validation run = {.err = err};
    return validate(&run, schema->root, instance, NULL) ? STATUS_OK : STATUS_REJECT;
}
