/* `keepstep fill` and its JSON. */
#include "tests/support/fill.h"

#include "schemas/json.h"

#define FILL_LIMIT_MS 60000

struct process_result fill_words(const struct sidecar *copy, const struct sidecar *source,
                                 const char *const words[])
{
    const char *argv[FILL_WORDS_MAX] = {KEEPSTEP_BINARY, "fill",          "--json",      "-c",
                                        copy->config,    "--from-config", source->config};
    size_t count = 7;
    for (size_t i = 0; words[i] != NULL; i++) {
        assert_true(count + 1 < FILL_WORDS_MAX);
        argv[count++] = words[i];
    }
    return process_run(argv, NULL, FILL_LIMIT_MS);
}

struct process_result fill_must(const struct sidecar *copy, const struct sidecar *source,
                                const char *const words[])
{
    struct process_result result = fill_words(copy, source, words);
    if (result.exit_code != 0)
        test_fail("fill %s at %s from %s ended with %d: %s%s", words[0], copy->name, source->name,
                  result.exit_code, result.output, result.errors);
    return result;
}

struct process *fill_start(const struct sidecar *copy, const struct sidecar *source,
                           const char *entity_type, const char *failpoint)
{
    static int starts;
    const char *const argv[] = {KEEPSTEP_BINARY,
                                "fill",
                                entity_type,
                                "-c",
                                copy->config,
                                "--from-config",
                                source->config,
                                "--set=limits.batch_events=10",
                                NULL};
    const char *const environment[] = {
        failpoint == NULL ? NULL : test_format("KEEPSTEP_FAILPOINT=%s", failpoint), NULL};
    return process_start(test_format("fill-%d", ++starts), argv, environment);
}

void fill_wait_stopped(struct process *fill)
{
    if (!process_wait_stopped(fill, FILL_LIMIT_MS))
        test_fail("the failpoint was not reached: %s%s", process_output(fill),
                  process_errors(fill));
}

void fill_wait_end(struct process *fill)
{
    int code = process_wait(fill, FILL_LIMIT_MS);
    if (code != 0)
        test_fail("fill ended with %d: %s%s", code, process_output(fill), process_errors(fill));
}

int64_t fill_number(const struct process_result *result, const char *member)
{
    json_error_t error;
    json_t *line = json_loads(result->output, 0, &error);
    if (line == NULL)
        test_fail("%s in: %s%s", error.text, result->output, result->errors);
    int64_t number = json_integer_value(json_object_get(line, member));
    json_decref(line);
    return number;
}
