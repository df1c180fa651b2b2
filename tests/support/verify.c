/* `keepstep verify` and its JSON. */
#include "tests/support/verify.h"

#include "common/buffer.h"
#include "schemas/json.h"

#define TEXT_MAX ((size_t)4 * 1024 * 1024)

struct process_result verify_run(const struct sidecar *const services[], const char *const words[],
                                 int64_t limit_ms)
{
    const char *argv[VERIFY_WORDS_MAX] = {KEEPSTEP_BINARY, "verify", "-c", services[0]->config};
    size_t count = 4;
    for (size_t i = 1; services[i] != NULL; i++) {
        assert_true(count + 2 < VERIFY_WORDS_MAX);
        argv[count++] = "--with";
        argv[count++] = services[i]->config;
    }
    for (size_t i = 0; words[i] != NULL; i++) {
        assert_true(count + 1 < VERIFY_WORDS_MAX);
        argv[count++] = words[i];
    }
    return process_run(argv, NULL, limit_ms);
}

/* @return the next line of the output, for json_decref(); NULL behind the last one. */
static json_t *next_line(const char **at)
{
    json_error_t error;
    size_t length = strcspn(*at, "\n");
    if (length == 0)
        return NULL;
    json_t *line = json_loadb(*at, length, 0, &error);
    if (line == NULL)
        test_fail("%s in: %.*s", error.text, (int)length, *at);
    *at += length + ((*at)[length] == '\n');
    return line;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "" : test_format("%s", text);
}

static json_t *line_of(const struct process_result *result, const char *entity_type)
{
    const char *at = result->output;
    json_t *line;
    while ((line = next_line(&at)) != NULL) {
        if (strcmp(text_of(line, "entity_type"), entity_type) == 0)
            return line;
        json_decref(line);
    }
    test_fail("nothing of %s in: %s%s", entity_type, result->output, result->errors);
}

static const char *finish(struct buffer *text)
{
    const char *kept = test_format("%s", buffer_text(text));
    buffer_done(text);
    return kept;
}

static const char *copy_text_of(const json_t *copy)
{
    const char *verdict = text_of(copy, "verdict");
    struct buffer text;
    buffer_init(&text, TEXT_MAX);
    if (strcmp(verdict, "not_compared") == 0)
        buffer_append_format(&text, "not compared: %s", text_of(copy, "reason"));
    else
        buffer_append_text(&text, verdict);
    size_t index;
    json_t *difference;
    json_array_foreach(json_object_get(copy, "differences"), index, difference)
    {
        buffer_append_format(&text, "%s%s %s", index == 0 ? ": " : ", ",
                             text_of(difference, "entity_key"), text_of(difference, "difference"));
    }
    return finish(&text);
}

const char *verify_copy(const struct process_result *result, const char *entity_type,
                        const char *service)
{
    json_t *line = line_of(result, entity_type);
    const char *text = NULL;
    size_t index;
    json_t *copy;
    json_array_foreach(json_object_get(line, "copies"), index, copy)
    {
        if (strcmp(text_of(copy, "service"), service) == 0)
            text = copy_text_of(copy);
    }
    json_decref(line);
    if (text == NULL)
        test_fail("nothing of %s at %s in: %s", entity_type, service, result->output);
    return text;
}

int verify_count(const struct process_result *result, const char *state)
{
    const char *at = result->output;
    int count = 0;
    json_t *line;
    while ((line = next_line(&at)) != NULL) {
        size_t index;
        json_t *copy;
        json_array_foreach(json_object_get(line, "copies"), index, copy)
        {
            count += strcmp(text_of(copy, "verdict"), state) == 0;
        }
        json_decref(line);
    }
    return count;
}

const char *verify_left(const struct process_result *result, const char *entity_type)
{
    json_t *line = line_of(result, entity_type);
    struct buffer text;
    size_t index;
    json_t *entity;
    buffer_init(&text, TEXT_MAX);
    json_array_foreach(json_object_get(line, "left_out_entities"), index, entity)
    {
        buffer_append_format(&text, "%s%s %s at %s", index == 0 ? "" : ", ",
                             text_of(entity, "entity_key"), text_of(entity, "reason"),
                             text_of(entity, "service"));
    }
    json_decref(line);
    return finish(&text);
}

int64_t verify_number(const struct process_result *result, const char *entity_type,
                      const char *member)
{
    json_t *line = line_of(result, entity_type);
    int64_t number = json_integer_value(json_object_get(line, member));
    json_decref(line);
    return number;
}
