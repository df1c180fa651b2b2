/* Reads YAML by libyaml's events into a JSON tree. The only door to libyaml. */
#include "schemas/config/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define CONFIG_YAML_DEPTH_MAX 16
#define CONFIG_POINTER_SIZE   1024

struct config_yaml {
    yaml_parser_t parser;
    struct config_marks *marks;
    struct error *err;
};

void config_marks_done(struct config_marks *marks)
{
    for (size_t i = 0; i < marks->count; i++)
        free(marks->items[i].pointer);
    free(marks->items);
    *marks = (struct config_marks){0};
}

const struct config_mark *config_marks_find(const struct config_marks *marks, const char *pointer)
{
    const struct config_mark *best = NULL;
    size_t best_length = 0;
    for (size_t i = 0; i < marks->count; i++) {
        size_t length = strlen(marks->items[i].pointer);
        if (strncmp(pointer, marks->items[i].pointer, length) != 0 ||
            (pointer[length] != '\0' && pointer[length] != '/'))
            continue;
        if (best == NULL || length > best_length) {
            best = &marks->items[i];
            best_length = length;
        }
    }
    return best;
}

static bool config_marks_add(struct config_marks *marks, const char *pointer, yaml_mark_t mark)
{
    if (marks->count == marks->size) {
        size_t size = marks->size == 0 ? 32 : marks->size * 2;
        struct config_mark *items = realloc(marks->items, size * sizeof *items);
        if (items == NULL)
            return false;
        marks->items = items;
        marks->size = size;
    }
    char *copy = strdup(pointer);
    if (copy == NULL)
        return false;
    marks->items[marks->count++] = (struct config_mark){
        .pointer = copy, .line = mark.line + 1, .column = mark.column + 1};
    return true;
}

static json_t *config_yaml_fail(struct config_yaml *yaml, yaml_mark_t mark, const char *what)
{
    (void)error_set(yaml->err, STATUS_FATAL, "%zu:%zu: %s", mark.line + 1, mark.column + 1, what);
    return NULL;
}

static bool config_yaml_next(struct config_yaml *yaml, yaml_event_t *event)
{
    if (yaml_parser_parse(&yaml->parser, event) == 1)
        return true;
    const char *problem = yaml->parser.problem;
    (void)config_yaml_fail(yaml, yaml->parser.problem_mark, problem == NULL ? "not YAML" : problem);
    return false;
}

static bool config_yaml_is_any(const char *text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text, words[i]) == 0)
            return true;
    }
    return false;
}

/* Read a scalar of YAML 1.2's core schema: null, true and false, integers (also 0o and 0x), floats.
 * Everything else is text. */
static json_t *config_yaml_plain(const char *text)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    static const char *const trues[] = {"true", "True", "TRUE"};
    static const char *const falses[] = {"false", "False", "FALSE"};
    if (config_yaml_is_any(text, nulls, sizeof nulls / sizeof *nulls))
        return json_null();
    if (config_yaml_is_any(text, trues, sizeof trues / sizeof *trues))
        return json_true();
    if (config_yaml_is_any(text, falses, sizeof falses / sizeof *falses))
        return json_false();
    const char *digits = text + (*text == '-' || *text == '+');
    char *end = NULL;
    errno = 0;
    if (*digits != '\0' && digits[strspn(digits, "0123456789")] == '\0') {
        long long number = strtoll(text, &end, 10);
        return errno == 0 ? json_integer(number) : json_string(text);
    }
    int base = strncmp(text, "0x", 2) == 0 ? 16 : 8;
    if ((base == 16 || strncmp(text, "0o", 2) == 0) && text[2] != '\0' && text[2] != '-' &&
        text[2] != '+' && text[2] != ' ') {
        long long number = strtoll(text + 2, &end, base);
        return errno == 0 && *end == '\0' ? json_integer(number) : json_string(text);
    }
    if ((digits[0] >= '0' && digits[0] <= '9') || (digits[0] == '.' && digits[1] >= '0')) {
        double number = strtod(text, &end);
        if (errno == 0 && *end == '\0' && strpbrk(text, "xXpPnN") == NULL)
            return json_real(number);
    }
    return json_string(text);
}

static json_t *config_yaml_scalar(struct config_yaml *yaml, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    if (strlen(text) != event->data.scalar.length)
        return config_yaml_fail(yaml, event->start_mark, "a NUL in a value");
    json_t *json = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? config_yaml_plain(text)
                                                                       : json_string(text);
    return json != NULL ? json : config_yaml_fail(yaml, event->start_mark, "not UTF-8");
}

static json_t *config_yaml_node(struct config_yaml *yaml, yaml_event_t *event, const char *pointer,
                                int depth);

/* Append a member's name to its parent's pointer, and note its place. */
static bool config_yaml_point(struct config_yaml *yaml, const char *pointer, const char *name,
                              yaml_mark_t mark, char ret_child[static CONFIG_POINTER_SIZE])
{
    size_t used = (size_t)snprintf(ret_child, CONFIG_POINTER_SIZE, "%s/", pointer);
    for (; *name != '\0' && used + 3 < CONFIG_POINTER_SIZE; name++) {
        if (*name == '~' || *name == '/') {
            ret_child[used++] = '~';
            ret_child[used++] = *name == '~' ? '0' : '1';
        } else {
            ret_child[used++] = *name;
        }
    }
    if (used + 3 >= CONFIG_POINTER_SIZE) {
        (void)config_yaml_fail(yaml, mark, "name too long");
        return false;
    }
    ret_child[used] = '\0';
    if (!config_marks_add(yaml->marks, ret_child, mark)) {
        (void)config_yaml_fail(yaml, mark, "out of memory");
        return false;
    }
    return true;
}

static json_t *config_yaml_sequence(struct config_yaml *yaml, const char *pointer, int depth)
{
    json_t *array = json_array();
    yaml_event_t event;
    while (array != NULL && config_yaml_next(yaml, &event)) {
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return array;
        }
        char name[24];
        char child[CONFIG_POINTER_SIZE];
        (void)snprintf(name, sizeof name, "%zu", json_array_size(array));
        json_t *item = config_yaml_point(yaml, pointer, name, event.start_mark, child)
                           ? config_yaml_node(yaml, &event, child, depth + 1)
                           : NULL;
        yaml_event_delete(&event);
        if (item == NULL || json_array_append_new(array, item) != 0)
            break;
    }
    json_decref(array);
    return NULL;
}

/* Read one member. @return false after an error; *ret_end is true at the mapping's end. */
static bool config_yaml_member(struct config_yaml *yaml, json_t *object, const char *pointer,
                               int depth, bool *ret_end)
{
    yaml_event_t key;
    yaml_event_t event;
    bool ok = false;
    if (!config_yaml_next(yaml, &key))
        return false;
    *ret_end = key.type == YAML_MAPPING_END_EVENT;
    if (*ret_end) {
        yaml_event_delete(&key);
        return true;
    }
    const char *name = key.type == YAML_SCALAR_EVENT ? (const char *)key.data.scalar.value : NULL;
    if (name == NULL || strlen(name) != key.data.scalar.length || key.data.scalar.anchor != NULL) {
        (void)config_yaml_fail(yaml, key.start_mark, "a key must be plain text");
    } else if (json_object_get(object, name) != NULL) {
        (void)config_yaml_fail(yaml, key.start_mark, "this key is there twice");
    } else if (config_yaml_next(yaml, &event)) {
        char child[CONFIG_POINTER_SIZE];
        json_t *value = config_yaml_point(yaml, pointer, name, key.start_mark, child)
                            ? config_yaml_node(yaml, &event, child, depth + 1)
                            : NULL;
        yaml_event_delete(&event);
        ok = value != NULL && json_object_set_new(object, name, value) == 0;
        if (value != NULL && !ok)
            (void)config_yaml_fail(yaml, key.start_mark, "a key is not UTF-8");
    }
    yaml_event_delete(&key);
    return ok;
}

static json_t *config_yaml_node(struct config_yaml *yaml, yaml_event_t *event, const char *pointer,
                                int depth)
{
    if (depth > CONFIG_YAML_DEPTH_MAX)
        return config_yaml_fail(yaml, event->start_mark, "nested too deeply");
    if (event->type == YAML_ALIAS_EVENT ||
        (event->type == YAML_SCALAR_EVENT && event->data.scalar.anchor != NULL) ||
        (event->type == YAML_MAPPING_START_EVENT && event->data.mapping_start.anchor != NULL) ||
        (event->type == YAML_SEQUENCE_START_EVENT && event->data.sequence_start.anchor != NULL))
        return config_yaml_fail(yaml, event->start_mark,
                                "anchors and aliases are not allowed; write the value out");
    if ((event->type == YAML_SCALAR_EVENT && event->data.scalar.tag != NULL) ||
        (event->type == YAML_MAPPING_START_EVENT && event->data.mapping_start.tag != NULL) ||
        (event->type == YAML_SEQUENCE_START_EVENT && event->data.sequence_start.tag != NULL))
        return config_yaml_fail(yaml, event->start_mark, "tags are not allowed");
    if (event->type == YAML_SCALAR_EVENT)
        return config_yaml_scalar(yaml, event);
    if (event->type == YAML_SEQUENCE_START_EVENT)
        return config_yaml_sequence(yaml, pointer, depth);
    bool end = false;
    json_t *object = json_object();
    while (object != NULL && !end) {
        if (!config_yaml_member(yaml, object, pointer, depth, &end)) {
            json_decref(object);
            object = NULL;
        }
    }
    return object;
}

/* Read stream start, document start, one node, document end, stream end. */
static json_t *config_yaml_document(struct config_yaml *yaml)
{
    yaml_event_t event;
    json_t *tree = NULL;
    bool end = false;
    while (!end && config_yaml_next(yaml, &event)) {
        yaml_mark_t mark = event.start_mark;
        switch ((int)event.type) {
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_START_EVENT:
        case YAML_DOCUMENT_END_EVENT:
            break;
        case YAML_STREAM_END_EVENT:
            end = true;
            break;
        default:
            end = tree != NULL;
            if (end)
                (void)config_yaml_fail(yaml, mark, "a second document");
            else
                tree = config_yaml_node(yaml, &event, "", 0);
            end = end || tree == NULL;
        }
        yaml_event_delete(&event);
    }
    return tree;
}

enum status config_yaml_parse(const char *text, size_t length, json_t **ret_tree,
                              struct config_marks *marks, struct error *err)
{
    struct error own = ERROR_INIT;
    struct config_yaml yaml = {.marks = marks, .err = &own};
    if (yaml_parser_initialize(&yaml.parser) != 1)
        return error_set(err, STATUS_FATAL, "out of memory");
    yaml_parser_set_encoding(&yaml.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&yaml.parser, (const unsigned char *)text, length);
    json_t *tree = config_yaml_document(&yaml);
    yaml_parser_delete(&yaml.parser);
    if (own.status != STATUS_OK || tree == NULL) {
        json_decref(tree);
        return error_set(err, STATUS_FATAL, "%s",
                         own.status != STATUS_OK ? own.text : "1:1: the file is empty");
    }
    *ret_tree = tree;
    return STATUS_OK;
}
