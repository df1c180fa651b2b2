/* JSON members, one after the other. */
#include "operate/member.h"

#include "common/base64.h"
#include "common/clock.h"
#include "common/utf8.h"

#include <inttypes.h>

static void member_name(struct buffer *out, const char *name)
{
    char last = out->length == 0 ? '{' : out->data[out->length - 1];
    if (last != '{' && last != '[' && last != '\n')
        buffer_append_text(out, ",");
    if (name != NULL)
        buffer_append_format(out, "\"%s\":", name);
}

void member_begin(struct buffer *out, const char *name, const char *bracket)
{
    member_name(out, name);
    buffer_append_text(out, bracket);
}

void member_text(struct buffer *out, const char *name, struct slice value)
{
    member_name(out, name);
    if (value.data == NULL)
        buffer_append_text(out, "null");
    else
        buffer_append_json(out, value);
}

void member_word(struct buffer *out, const char *name, const char *word)
{
    member_text(out, name, slice_of(word));
    for (size_t i = out->length; word != NULL && i > 0 && out->data[i - 1] != ':'; i--) {
        if (out->data[i - 1] == ' ')
            out->data[i - 1] = '_';
    }
}

void member_json(struct buffer *out, const char *name, struct slice json, const char *none)
{
    member_begin(out, name, "");
    if (json.length == 0)
        buffer_append_text(out, none);
    else
        buffer_append(out, json.data, json.length);
}

void member_bytes(struct buffer *out, const char *name, struct slice bytes)
{
    if (bytes.data == NULL || utf8_is_valid(bytes)) {
        member_text(out, name, bytes);
        return;
    }
    member_name(out, NULL);
    buffer_append_format(out, "\"%s_base64\":\"", name);
    base64_append(out, bytes);
    buffer_append_text(out, "\"");
}

void member_number(struct buffer *out, const char *name, int64_t number)
{
    member_name(out, name);
    buffer_append_format(out, "%" PRId64, number);
}

void member_known_number(struct buffer *out, const char *name, int64_t number)
{
    if (number < 0)
        member_text(out, name, (struct slice){0});
    else
        member_number(out, name, number);
}

void member_seconds(struct buffer *out, const char *name, double seconds)
{
    if (seconds < 0) {
        member_text(out, name, (struct slice){0});
        return;
    }
    member_name(out, name);
    buffer_append_format(out, "%.3f", seconds);
}

void member_time(struct buffer *out, const char *name, int64_t time_us)
{
    char text[CLOCK_TEXT_SIZE];
    clock_format_utc(time_us, text);
    member_text(out, name, time_us == 0 ? (struct slice){0} : slice_of(text));
}

void member_bool(struct buffer *out, const char *name, bool value)
{
    member_name(out, name);
    buffer_append_text(out, value ? "true" : "false");
}
