/* Loads JSON documents. Adds two things that jansson lacks: it notices a lack of memory, and it
 * keeps an integer beyond 64 bits. */
#include "schemas/json.h"

#include "common/buffer.h"

#include <errno.h>
#include <stdlib.h>

#define JSON_INT64_DIGITS 18 /* so many always fit */

/* The only member of the object that represents a large integer. No column has such a name. */
#define JSON_LARGE "\x01integer"

static _Thread_local bool json_memory_short;

static void *json_allocate(size_t size)
{
    void *memory = malloc(size);
    json_memory_short = json_memory_short || memory == NULL;
    return memory;
}

/* Runs before any thread uses jansson. */
__attribute__((constructor)) static void json_use_allocator(void)
{
    json_set_alloc_funcs(json_allocate, free);
}

enum status json_check_memory(enum status status, struct error *err)
{
    if (!json_memory_short)
        return status;
    json_memory_short = false;
    if (err != NULL)
        error_clear(err);
    return error_set(err, STATUS_RETRY, "no memory to read JSON");
}

static const char *json_fault(const json_error_t *wrong)
{
    switch (json_error_code(wrong)) {
    case json_error_premature_end_of_input:
        return "JSON that ends too early";
    case json_error_invalid_utf8:
        return "not UTF-8";
    case json_error_null_byte_in_key:
        return "a NUL in a member's name, which Keepstep does not read,";
    case json_error_duplicate_key:
        return "a member's name that is twice in one object";
    case json_error_numeric_overflow:
        return "a number that is too large";
    case json_error_stack_overflow:
        return "JSON that is nested too deeply";
    case json_error_invalid_syntax:
        if (strncmp(wrong->text, "invalid Unicode", strlen("invalid Unicode")) == 0)
            return "half of a surrogate pair, which is not a character,";
        break;
    default:
        break;
    }
    return "not JSON";
}

/* @return the length of the number that begins here.
 * @param ret_large  whether it is an integer beyond 64 bits. */
static size_t json_number(const char *at, size_t length, bool *ret_large)
{
    size_t size = 0;
    while (size < length && at[size] != '\0' && strchr("-+.eE0123456789", at[size]) != NULL)
        size++;
    size_t digits = size > 0 && at[0] == '-' ? size - 1 : size;
    char text[2 * JSON_INT64_DIGITS];
    *ret_large = false;
    for (size_t i = size - digits; i < size; i++) {
        if (at[i] < '0' || at[i] > '9')
            return size;
    }
    if (digits <= JSON_INT64_DIGITS || at[size - digits] == '0')
        return size;
    *ret_large = size >= sizeof text;
    if (!*ret_large) {
        memcpy(text, at, size);
        text[size] = '\0';
        errno = 0;
        (void)strtoll(text, NULL, 10);
        *ret_large = errno == ERANGE;
    }
    return size;
}

static size_t json_string_end(const char *at, size_t length)
{
    size_t size = 1;
    while (size < length && at[size] != '"')
        size += at[size] == '\\' ? 2 : 1;
    return size < length ? size + 1 : length;
}

/* Copy the text, but write each large integer as an object that holds its digits. */
static void json_keep_large(struct slice text, struct buffer *kept)
{
    for (size_t i = 0; i < text.length;) {
        const char *at = text.data + i;
        size_t rest = text.length - i;
        size_t size = 1;
        bool large = false;
        if (*at == '"')
            size = json_string_end(at, rest);
        else if (*at == '-' || (*at >= '0' && *at <= '9'))
            size = json_number(at, rest, &large);
        buffer_append_text(kept, large ? "{\"\\u0001integer\":\"" : "");
        buffer_append(kept, at, size);
        buffer_append_text(kept, large ? "\"}" : "");
        i += size;
    }
}

json_t *json_load_value(struct slice text, struct error *err)
{
    static const size_t flags = JSON_LOAD_FLAGS | JSON_ALLOW_NUL;
    json_error_t wrong;
    struct buffer kept;
    json_t *json = json_loadb(text.data == NULL ? "" : text.data, text.length, flags, &wrong);
    if (json != NULL)
        return json;
    if (json_error_code(&wrong) != json_error_numeric_overflow) {
        (void)error_set(err, STATUS_REJECT, "value: %s at byte %d", json_fault(&wrong),
                        wrong.position);
        return NULL;
    }
    int large_at = wrong.position;
    buffer_init(&kept, text.length * 3);
    json_keep_large(text, &kept);
    json_memory_short = json_memory_short || kept.no_memory;
    json = json_loadb(buffer_text(&kept), kept.length, flags, &wrong);
    if (json == NULL)
        (void)error_set(err, STATUS_REJECT, "value: %s at byte %d or after it", json_fault(&wrong),
                        large_at);
    buffer_done(&kept);
    return json;
}

const char *json_large_integer(const json_t *json)
{
    return json_object_size(json) == 1 ? json_string_value(json_object_get(json, JSON_LARGE))
                                       : NULL;
}
