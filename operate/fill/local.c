/* Pushes the stream of a source into a loader and lets it write in between. */
#include "operate/fill/local.h"

#include "common/clock.h"
#include "common/uuid.h"
#include "consumer/store/registry.h"
#include "operate/fill/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP_LIMIT_US                                                                              \
    INT64_C(30000000) /* for what holds up a transaction; below a snapshot's 60 s */
#define STEP_AGAIN_US INT64_C(50000)

struct fill_run {
    const struct fill_options *options;
    struct fill_result *result;
    struct fill_loader *loader;
    char id[UUID_TEXT_SIZE];
    bool again;           /* clear what the copy has: the first attempt decides it for all */
    bool is_asked;        /* the attempt is written down, so it counts */
    bool is_rejected;     /* by the copy's database */
    bool is_loader_stuck; /* not the source: another attempt would not get further */
};

static void run_show(const struct fill_run *run, const char *waits_for)
{
    const struct fill_options *options = run->options;
    struct fill_progress progress = fill_loader_progress(run->loader);
    if (options->progress != NULL)
        options->progress(options->context, &progress, waits_for);
}

/** A step, or something else that can be done again. */
typedef enum status run_work(struct fill_run *run, void *subject, struct error *err);

/* Does it until it does not say RETRY, for a while. */
static enum status run_again(struct fill_run *run, run_work *work, void *subject, struct error *err)
{
    int64_t until_us = clock_monotonic_us() + STEP_LIMIT_US;
    enum status status = work(run, subject, err);
    while (status == STATUS_RETRY && !error_is_config(err) && !atomic_load(&command_stop) &&
           clock_monotonic_us() < until_us) {
        clock_sleep_us(STEP_AGAIN_US);
        error_clear(err);
        status = work(run, subject, err);
    }
    return status;
}

static enum status work_step(struct fill_run *run, void *subject, struct error *err)
{
    (void)subject;
    return fill_loader_step(run->loader, err);
}

static enum status work_ask(struct fill_run *run, void *subject, struct error *err)
{
    return fill_loader_ask(run->loader, subject, err);
}

static enum status work_give_up(struct fill_run *run, void *subject, struct error *err)
{
    return fill_loader_give_up(run->loader, run->id, NULL, subject, err);
}

static enum status work_void(struct fill_run *run, void *subject, struct error *err)
{
    return fill_loader_void(run->loader, subject, &run->result->voids, err);
}

/* Writes what there is to write. */
static enum status run_drain(struct fill_run *run, struct error *err)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK && fill_loader_is_busy(run->loader)) {
        status = run_again(run, work_step, NULL, err);
        run_show(run, NULL);
        if (status == STATUS_OK && atomic_load(&command_stop))
            status = error_set(err, STATUS_RETRY, "stopped by a signal");
    }
    run->is_rejected = status == STATUS_STOP;
    run->is_loader_stuck = status == STATUS_RETRY;
    return status;
}

static enum status run_note_stamp(struct fill_run *run, const struct fill_begin *begin,
                                  struct error *err)
{
    struct fill_result *result = run->result;
    size_t count = (size_t)begin->partition_count;
    fill_result_done(result);
    result->stamp = calloc(count + 1, sizeof *result->stamp);
    result->filled_to = calloc(count + 1, sizeof *result->filled_to);
    if (result->stamp == NULL || result->filled_to == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the partitions");
    result->partition_count = begin->partition_count;
    for (size_t i = 0; i < count; i++)
        result->stamp[i] = begin->positions[i].next_offset;
    return STATUS_OK;
}

static enum status sink_begin(void *context, const struct fill_begin *begin, struct error *err)
{
    struct fill_run *run = context;
    struct fill_asked asked = {
        .id = run->id, .source = begin->source, .again = run->again, .has_begun = true};
    enum status status = run_note_stamp(run, begin, err);
    if (status == STATUS_OK)
        status = run_again(run, work_ask, &asked, err);
    if (status != STATUS_OK)
        return status;
    run->is_asked = true;
    run->again = false;
    status = fill_loader_begin(run->loader, begin, err);
    return status == STATUS_OK ? run_drain(run, err) : status;
}

static enum status sink_row(void *context, const struct fill_row *row, struct error *err)
{
    struct fill_run *run = context;
    enum status status = fill_loader_row(run->loader, row, err);
    run->is_rejected = status == STATUS_STOP;
    return status == STATUS_OK ? run_drain(run, err) : status;
}

static enum status sink_key(void *context, const struct fill_key *key, struct error *err)
{
    struct fill_run *run = context;
    enum status status = fill_loader_key(run->loader, key, err);
    return status == STATUS_OK ? run_drain(run, err) : status;
}

static enum status sink_end(void *context, const struct fill_end *end, struct error *err)
{
    struct fill_run *run = context;
    enum status status = fill_loader_end(run->loader, end, err);
    for (int32_t i = 0; status == STATUS_OK && i < end->partition_count; i++)
        run->result->filled_to[i] = end->filled_to[i];
    return status == STATUS_OK ? run_drain(run, err) : status;
}

static enum status sink_wait(void *context, const char *for_what, struct error *err)
{
    run_show(context, for_what);
    return atomic_load(&command_stop) ? error_set(err, STATUS_RETRY, "stopped by a signal")
                                      : STATUS_OK;
}

static enum status run_attempt(struct fill_run *run, const struct entity_schema *const *types,
                               size_t type_count, struct error *err)
{
    const struct fill_sink sink = {.begin = sink_begin,
                                   .row = sink_row,
                                   .key = sink_key,
                                   .end = sink_end,
                                   .wait = sink_wait,
                                   .context = run};
    const struct fill_source_options options = {.service = run->options->source,
                                                .id = run->id,
                                                .topic = run->options->topic,
                                                .types = types,
                                                .type_count = type_count};
    uuid_v7(run->id);
    run->is_asked = false;
    run->is_rejected = false;
    run->is_loader_stuck = false;
    return fill_source_run(&options, &sink, err);
}

/* Writes down why the attempt came to nothing. @return OK: another one may follow. */
static enum status run_void(struct fill_run *run, enum status status, struct error *err)
{
    const struct fill_options *options = run->options;
    struct error why = *err;
    error_clear(err);
    enum status noted = run_again(run, work_void, why.text, err);
    if (noted != STATUS_OK) /* so also where another attempt has begun */
        return noted;
    if (options->voided != NULL)
        options->voided(options->context, run->result->voids, why.text);
    if (status != STATUS_STOP && run->result->voids < FILL_VOIDS_MAX)
        return STATUS_OK;
    noted = run_again(run, work_give_up, why.text, err);
    if (noted != STATUS_OK)
        return noted;
    if (status == STATUS_STOP)
        return error_set(
            err, STATUS_REJECT,
            "the copy does not take a row: %.300s; mend the row at the source, or what "
            "refuses it, then `keepstep fill %s` again",
            why.text, options->topic);
    return error_set(err, STATUS_REJECT,
                     "%lld attempts came to nothing, the last one because %.350s",
                     (long long)run->result->voids, why.text);
}

/* What the source could not go on with, another attempt may be able to. */
static bool run_is_void(const struct fill_run *run, enum status status, const struct error *err)
{
    return status == STATUS_ABORT || run->is_rejected ||
           (status == STATUS_RETRY && !error_is_config(err) && !run->is_loader_stuck &&
            !atomic_load(&command_stop));
}

static enum status run_attempts(struct fill_run *run, const struct entity_schema *const *types,
                                size_t type_count, struct error *err)
{
    enum status status;
    do {
        error_clear(err);
        status = run_attempt(run, types, type_count, err);
        if (!run->is_asked || !run_is_void(run, status, err))
            return status;
        status = run_void(run, status, err);
    } while (status == STATUS_OK && !atomic_load(&command_stop));
    return status == STATUS_OK ? error_set(err, STATUS_RETRY, "stopped by a signal") : status;
}

enum status fill_run(const struct fill_options *options, struct fill_result *ret_result,
                     struct error *err)
{
    const struct service *copy = options->copy;
    const struct fill_loader_options loader = {.ops = store_find(copy->config->database),
                                               .config = copy->config,
                                               .mappings = copy->mappings,
                                               .mapping_count = copy->config->apply_count,
                                               .topic = options->topic};
    struct fill_run run = {.options = options, .result = ret_result, .again = options->again};
    size_t type_count = 0;
    *ret_result = (struct fill_result){0};
    if (loader.ops == NULL)
        return service_refuse_scheme(err);
    const struct entity_schema **types = calloc(loader.mapping_count + 1, sizeof *types);
    if (types == NULL)
        return error_set(err, STATUS_FATAL, "no memory for the entity types");
    for (size_t i = 0; i < loader.mapping_count; i++) {
        if (strcmp(copy->mappings[i].entry->topic, options->topic) == 0)
            types[type_count++] = copy->mappings[i].schema;
    }
    enum status status = fill_loader_new(&loader, &run.loader, err);
    if (status == STATUS_OK)
        status = run_attempts(&run, types, type_count, err);
    if (run.loader != NULL)
        ret_result->progress = fill_loader_progress(run.loader);
    fill_loader_free(run.loader);
    free(types);
    return status;
}

void fill_result_done(struct fill_result *result)
{
    free(result->stamp);
    free(result->filled_to);
    result->stamp = NULL;
    result->filled_to = NULL;
}
