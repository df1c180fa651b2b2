/* Reads and writes the members of records that programs exchange. */
#include "schemas/record_fields.h"

#include "common/clock.h"

json_t *fields_load(struct fields *fields, struct slice value, size_t bytes_max, int version)
{
    json_error_t wrong;
    json_t *json = NULL;
    if (value.data == NULL || value.length > bytes_max) {
        fields->status = error_set(fields->err, STATUS_REJECT,
                                   "it is empty, or larger than %zu bytes", bytes_max);
        return NULL;
    }
    json = json_loadb(value.data, value.length, JSON_LOAD_FLAGS, &wrong);
    if (!json_is_object(json))
        fields->status = error_set(fields->err, STATUS_REJECT, "it is no JSON object");
    else if (json_integer_value(json_object_get(json, "v")) != version)
        fields->status = error_set(fields->err, STATUS_REJECT,
                                   "its version is not %d: another version of Keepstep wrote it",
                                   version);
    fields->status = json_check_memory(fields->status, fields->err);
    if (fields->status == STATUS_OK)
        return json;
    json_decref(json);
    return NULL;
}

void fields_refuse(struct fields *fields, const char *name)
{
    if (fields->status == STATUS_OK)
        fields->status = error_set(fields->err, STATUS_REJECT,
                                   "\"%s\" is missing, too large or of another form", name);
}

void *fields_allocate(struct fields *fields, size_t count, size_t size)
{
    void *memory = arena_alloc(fields->arena, (count + 1) * size);
    if (memory == NULL)
        fields->status = error_set(fields->err, STATUS_RETRY, "no memory for a record");
    return memory == NULL ? NULL : memset(memory, 0, (count + 1) * size);
}

const char *fields_copy(struct fields *fields, const char *text, const char *name)
{
    if (text == NULL || strlen(text) > FIELDS_TEXT_MAX) {
        fields_refuse(fields, name);
        return "";
    }
    struct slice copy = arena_copy(fields->arena, slice_of(text));
    if (copy.data == NULL)
        fields->status = error_set(fields->err, STATUS_RETRY, "no memory for a record");
    return copy.data == NULL ? "" : copy.data;
}

const char *fields_text(struct fields *fields, const json_t *json, const char *name)
{
    return fields_copy(fields, json_string_value(json_object_get(json, name)), name);
}

const char *fields_name(struct fields *fields, const json_t *json, const char *name)
{
    const char *text = fields_text(fields, json, name);
    if (*text == '\0' || strchr(text, '/') != NULL)
        fields_refuse(fields, name);
    return text;
}

int64_t fields_integer(struct fields *fields, const json_t *json, int64_t least, const char *name)
{
    if (json_is_integer(json) && json_integer_value(json) >= least)
        return json_integer_value(json);
    fields_refuse(fields, name);
    return least;
}

int64_t fields_count(struct fields *fields, const json_t *json, const char *name, int64_t limit)
{
    int64_t count = fields_integer(fields, json_object_get(json, name), 0, name);
    if (count > limit)
        fields_refuse(fields, name);
    return count;
}

bool fields_bool(struct fields *fields, const json_t *json, const char *name)
{
    const json_t *value = json_object_get(json, name);
    if (!json_is_boolean(value))
        fields_refuse(fields, name);
    return json_is_true(value);
}

int64_t fields_time(struct fields *fields, const json_t *json, const char *name)
{
    int64_t time_us = 0;
    const char *text = json_string_value(json_object_get(json, name));
    if (text == NULL || !clock_parse_rfc3339(text, strlen(text), &time_us))
        fields_refuse(fields, name);
    return time_us;
}

json_t *fields_object(struct fields *fields, const json_t *json, const char *name, size_t limit)
{
    json_t *object = json_object_get(json, name);
    if (json_is_object(object) && json_object_size(object) <= limit)
        return object;
    fields_refuse(fields, name);
    return NULL;
}

json_t *fields_array(struct fields *fields, const json_t *json, const char *name, size_t limit)
{
    json_t *array = json_object_get(json, name);
    if (json_is_array(array) && json_array_size(array) <= limit)
        return array;
    fields_refuse(fields, name);
    return NULL;
}

void fields_append_text(struct buffer *out, const char *name, const char *text)
{
    buffer_append_format(out, ",\"%s\":", name);
    buffer_append_json(out, slice_of(text));
}

void fields_append_reason(struct buffer *out, const char *name, const char *reason)
{
    char text[FIELDS_TEXT_MAX + 1];
    size_t length = strnlen(reason, FIELDS_TEXT_MAX);
    for (size_t i = 0; i < length; i++)
        text[i] = (unsigned char)reason[i] < 0x80 ? reason[i] : '?';
    text[length] = '\0';
    fields_append_text(out, name, text);
}

void fields_append_time(struct buffer *out, const char *name, int64_t time_us)
{
    char text[CLOCK_TEXT_SIZE];
    clock_format_utc(time_us, text);
    fields_append_text(out, name, text);
}
