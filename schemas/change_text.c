/* Compares the two images of a change and writes what differs. */
#include "schemas/change_text.h"

#include "schemas/json.h"

#include <stdlib.h>

#define VALUE_BYTES_MAX 60
#define TEXT_BYTES_MAX  4000

/* A cut value ends before a character, not in one. */
static void append_value(const json_t *value, struct buffer *out)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    if (text == NULL)
        return;
    size_t length = strlen(text);
    size_t shown = length <= VALUE_BYTES_MAX ? length : VALUE_BYTES_MAX;
    while (shown < length && shown > 0 && ((unsigned char)text[shown] & 0xc0) == 0x80)
        shown--;
    buffer_append(out, text, shown);
    buffer_append_text(out, shown < length ? "..." : "");
    free(text);
}

static void append_change(const char *name, const json_t *before, const json_t *after,
                          struct buffer *out)
{
    buffer_append_text(out, name);
    buffer_append_text(out, ": ");
    if (before != NULL) {
        append_value(before, out);
        buffer_append_text(out, " -> ");
    }
    append_value(after, out);
}

void change_text_append(struct slice value, struct buffer *out)
{
    json_error_t wrong;
    const char *name;
    json_t *member;
    size_t start = out->length;
    if (value.data == NULL)
        return;
    json_t *json = json_loadb(value.data, value.length, JSON_LOAD_FLAGS | JSON_ALLOW_NUL, &wrong);
    json_t *event = json_object_get(json, "payload");
    event = json_is_object(event) ? event : json;
    bool has_images = json_object_get(event, "after") != NULL ||
                      json_object_get(event, "before") != NULL;
    json_t *before = has_images ? json_object_get(event, "before") : NULL;
    json_t *after = has_images ? json_object_get(event, "after") : event;
    if (!json_is_object(after)) { /* a delete */
        after = before;
        before = NULL;
    }
    json_object_foreach(after, name, member)
    {
        const json_t *old = json_object_get(before, name);
        if (old != NULL && json_equal(old, member))
            continue;
        buffer_append_text(out, out->length == start ? "" : ", ");
        if (out->length - start > TEXT_BYTES_MAX) {
            buffer_append_text(out, "...");
            break;
        }
        append_change(name, old, member, out);
    }
    json_decref(json);
}
