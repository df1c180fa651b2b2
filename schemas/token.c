/* Reads tokens. */
#include "schemas/token.h"

#include <string.h>

#define NAME_MAX_BYTES 249 /* of a topic, and of a service: Kafka's limit */
#define UUID_BYTES     36
#define DIGITS_MAX     18

static bool is_name(struct slice name)
{
    if (name.length == 0 || name.length > NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < name.length; i++) {
        char c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-'))
            return false;
    }
    return true;
}

static bool is_incarnation(struct slice text)
{
    static const char digits[] = "0123456789abcdef-";
    size_t i = 0;
    while (i < text.length && memchr(digits, text.data[i], sizeof digits - 1) != NULL)
        i++;
    return i == text.length && i == UUID_BYTES;
}

/* Takes what stands in front of the next `mark`, or all of it. */
static struct slice take(struct slice *rest, char mark)
{
    const char *end = memchr(rest->data, mark, rest->length);
    struct slice taken = {rest->data, end == NULL ? rest->length : (size_t)(end - rest->data)};
    size_t passed = end == NULL ? rest->length : taken.length + 1;
    *rest = (struct slice){rest->data + passed, rest->length - passed};
    return taken;
}

/* @return false where it is no number of at most DIGITS_MAX digits. */
static bool read_number(struct slice text, uint64_t *ret_number)
{
    *ret_number = 0;
    if (text.length == 0 || text.length > DIGITS_MAX || (text.length > 1 && text.data[0] == '0'))
        return false;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        *ret_number = *ret_number * 10 + (uint64_t)(text.data[i] - '0');
    }
    return true;
}

static bool read_place(struct slice text, const char *topic, struct token_place *ret_place)
{
    uint64_t partition = 0;
    struct slice first = take(&text, '=');
    ret_place->topic = topic;
    if (!read_number(first, &partition) || partition > INT32_MAX ||
        !read_number(text, &ret_place->sequence) || ret_place->sequence == 0)
        return false;
    ret_place->partition = (int32_t)partition;
    return true;
}

static const char *keep(struct slice text, struct arena *arena)
{
    char *kept = arena_alloc(arena, text.length + 1);
    if (kept == NULL)
        return NULL;
    memcpy(kept, text.data, text.length);
    kept[text.length] = '\0';
    return kept;
}

/* @return OK; REJECT; RETRY. */
static enum status read_topic(struct slice text, struct arena *arena, struct token_place *places,
                              size_t *count)
{
    struct slice name = take(&text, ':');
    const char *topic;
    if (!is_name(name) || text.length == 0 || text.data[text.length - 1] == ',')
        return STATUS_REJECT;
    topic = keep(name, arena);
    if (topic == NULL)
        return STATUS_RETRY;
    while (text.length > 0) {
        if (!read_place(take(&text, ','), topic, &places[(*count)++]))
            return STATUS_REJECT;
    }
    return STATUS_OK;
}

static enum status read_places(struct slice text, struct arena *arena, struct token *token)
{
    size_t room = 0;
    for (size_t i = 0; i < text.length; i++)
        room += text.data[i] == '=';
    struct token_place *places = arena_alloc(arena, (room + 1) * sizeof *places);
    enum status status = places == NULL ? STATUS_RETRY : STATUS_OK;
    while (status == STATUS_OK && text.length > 0) {
        struct slice topic = take(&text, '/');
        size_t commas = 1; /* each place needs a sign of its own, or there is no room */
        size_t signs = 0;
        for (size_t i = 0; i < topic.length; i++) {
            commas += topic.data[i] == ',';
            signs += topic.data[i] == '=';
        }
        status = commas != signs ? STATUS_REJECT : read_topic(topic, arena, places, &token->count);
    }
    token->places = places;
    return status == STATUS_OK && token->count == 0 ? STATUS_REJECT : status;
}

enum status token_read(struct slice text, struct arena *arena, struct token *ret_token,
                       struct error *err)
{
    struct slice rest = text;
    enum status status = STATUS_REJECT;
    *ret_token = (struct token){0};
    if (text.length > 0 && text.length <= TOKEN_BYTES_MAX && text.data[text.length - 1] != '/') {
        struct slice source = take(&rest, '/');
        struct slice incarnation = take(&rest, '/');
        if (is_name(source) && is_incarnation(incarnation)) {
            ret_token->source = keep(source, arena);
            ret_token->incarnation = keep(incarnation, arena);
            status = read_places(rest, arena, ret_token);
            if (ret_token->source == NULL || ret_token->incarnation == NULL)
                status = STATUS_RETRY;
        }
    }
    if (status == STATUS_RETRY)
        return error_set(err, status, "out of memory");
    return status == STATUS_OK
               ? status
               : error_set(err, status,
                           "this is no token: SERVICE/INCARNATION/TOPIC:PARTITION=SEQUENCE is one");
}
