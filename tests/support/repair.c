/* `keepstep repair` and its JSON. */
#include "tests/support/repair.h"

#include "common/buffer.h"
#include "schemas/json.h"

#define TEXT_MAX        ((size_t)4 * 1024 * 1024)
#define REPAIR_LIMIT_MS 60000

struct process_result repair_command_run(const struct sidecar *copy, const struct sidecar *source,
                                         const char *entity_type, const char *const words[])
{
    const char *argv[REPAIR_WORDS_MAX] = {KEEPSTEP_BINARY, "repair", entity_type,   "-c",
                                          copy->config,    "--from", source->config};
    size_t count = 7;
    for (size_t i = 0; words[i] != NULL; i++) {
        assert_true(count + 1 < REPAIR_WORDS_MAX);
        argv[count++] = words[i];
    }
    return process_run(argv, NULL, REPAIR_LIMIT_MS);
}

struct process_result repair_words(const struct sidecar *copy, const struct sidecar *source,
                                   const char *const words[])
{
    const char *more[REPAIR_WORDS_MAX] = {"--json"};
    for (size_t i = 1; words[i] != NULL && i + 1 < REPAIR_WORDS_MAX; i++)
        more[i] = words[i];
    return repair_command_run(copy, source, words[0], more);
}

struct process *repair_start(const struct sidecar *copy, const struct sidecar *source,
                             const char *entity_type, const char *failpoint)
{
    static int starts;
    const char *const argv[] = {KEEPSTEP_BINARY, "repair", entity_type,    "-c",
                                copy->config,    "--from", source->config, NULL};
    const char *const environment[] = {
        failpoint == NULL ? NULL : test_format("KEEPSTEP_FAILPOINT=%s", failpoint), NULL};
    return process_start(test_format("repair-%d", ++starts), argv, environment);
}

const char *repair_entities(const struct process_result *result)
{
    json_error_t error;
    json_t *line = json_loads(result->output, 0, &error);
    struct buffer text;
    size_t index;
    json_t *entity;
    if (line == NULL)
        test_fail("%s in: %s%s", error.text, result->output, result->errors);
    buffer_init(&text, TEXT_MAX);
    json_array_foreach(json_object_get(line, "entities"), index, entity)
    {
        const char *reason = json_string_value(json_object_get(entity, "reason"));
        buffer_append_format(&text, "%s%s %s", index == 0 ? "" : ", ",
                             json_string_value(json_object_get(entity, "entity_key")),
                             json_string_value(json_object_get(entity, "outcome")));
        if (reason != NULL)
            buffer_append_format(&text, ": %s", reason);
    }
    const char *kept = test_format("%s", buffer_text(&text));
    buffer_done(&text);
    json_decref(line);
    return kept;
}
