/* Resolves a URI reference against a base, by RFC 3986. */
#include "schemas/json_schema/internal.h"

#include "common/buffer.h"

#include <ctype.h>

#define URI_SIZE_MAX 4096

/** The parts of a URI. Data is NULL where one is absent. */
struct uri {
    struct slice scheme;
    struct slice authority;
    struct slice path;
    struct slice query;
    struct slice fragment;
};

static struct slice uri_take(const char **text, const char *stops)
{
    struct slice part = {.data = *text, .length = strcspn(*text, stops)};
    *text += part.length;
    return part;
}

static struct uri uri_parse(const char *text)
{
    struct uri uri = {0};
    size_t length = strspn(text,
                           "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    if (length > 0 && isalpha((unsigned char)text[0]) && text[length] == ':') {
        uri.scheme = (struct slice){.data = text, .length = length};
        text += length + 1;
    }
    if (text[0] == '/' && text[1] == '/') {
        text += 2;
        uri.authority = uri_take(&text, "/?#");
    }
    uri.path = uri_take(&text, "?#");
    if (*text == '?') {
        text++;
        uri.query = uri_take(&text, "#");
    }
    if (*text == '#')
        uri.fragment = slice_of(text + 1);
    return uri;
}

/** @return everything up to the last slash, with the slash. */
static struct slice uri_folder(struct slice path)
{
    while (path.length > 0 && path.data[path.length - 1] != '/')
        path.length--;
    return path;
}

/** Append `path` without its segments "." and "..". They lead no higher than the root. */
static void uri_append_path(struct buffer *buffer, struct slice path)
{
    size_t start = buffer->length;
    size_t at = 0;
    while (at < path.length) {
        size_t end = at;
        while (end < path.length && path.data[end] != '/')
            end++;
        struct slice segment = {.data = path.data + at, .length = end - at};
        bool is_up = slice_is(segment, "..");
        if (is_up && buffer->length > start + 1) {
            buffer->length--;
            while (buffer->length > start && buffer->data[buffer->length - 1] != '/')
                buffer->length--;
        }
        if (!is_up && !slice_is(segment, ".")) {
            buffer_append(buffer, segment.data, segment.length);
            if (end < path.length)
                buffer_append_text(buffer, "/");
        }
        at = end + 1;
    }
}

static void uri_append(struct buffer *buffer, const struct uri *uri, struct slice folder)
{
    if (uri->scheme.data != NULL)
        buffer_append_format(buffer, "%.*s:", SLICE_ARGS(uri->scheme));
    if (uri->authority.data != NULL)
        buffer_append_format(buffer, "//%.*s", SLICE_ARGS(uri->authority));
    struct buffer path;
    buffer_init(&path, URI_SIZE_MAX);
    buffer_append(&path, folder.data, folder.length);
    buffer_append(&path, uri->path.data, uri->path.length);
    buffer->failed = buffer->failed || path.failed;
    uri_append_path(buffer, buffer_slice(&path));
    buffer_done(&path);
    if (uri->query.data != NULL)
        buffer_append_format(buffer, "?%.*s", SLICE_ARGS(uri->query));
    if (uri->fragment.data != NULL)
        buffer_append_format(buffer, "#%.*s", SLICE_ARGS(uri->fragment));
}

const char *json_uri_resolve(struct arena *arena, const char *base, const char *reference)
{
    struct uri from = uri_parse(base);
    struct uri to = uri_parse(reference);
    struct slice folder = {0};
    if (to.scheme.data == NULL) {
        to.scheme = from.scheme;
        if (to.authority.data == NULL) {
            to.authority = from.authority;
            if (to.path.length == 0) {
                to.path = from.path;
                to.query = to.query.data == NULL ? from.query : to.query;
            } else if (to.path.data[0] != '/') {
                folder = from.authority.data != NULL && from.path.length == 0
                             ? slice_of("/")
                             : uri_folder(from.path);
            }
        }
    }
    struct buffer buffer;
    buffer_init(&buffer, URI_SIZE_MAX);
    uri_append(&buffer, &to, folder);
    struct slice copy = {0};
    if (!buffer.failed)
        copy = arena_copy(arena, slice_of(buffer_text(&buffer)));
    buffer_done(&buffer);
    return copy.data;
}
