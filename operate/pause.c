/* `keepstep pause` and `keepstep resume`: let entity types stand still at a service, and go on. */
#include "common/buffer.h"
#include "common/clock.h"
#include "common/utf8.h"
#include "operate/command.h"
#include "operate/service.h"
#include "operate/status_paused.h"
#include "producer/registry.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define PAUSE_WAIT_US    (INT64_C(10) * 1000 * 1000) /* for a database that is busy */
#define PAUSE_AGAIN_US   (INT64_C(50) * 1000)
#define PAUSE_OUTPUT_MAX ((size_t)16 * 1024 * 1024)
#define PAUSE_HOST_SIZE  65

struct pause_request {
    const struct command_line *line;
    const struct config *config;
    bool pause;
    const char *reason;        /* "": none */
    struct paused_types types; /* the whole topics of those that were named */
};

/* Whoever typed it, also where that was by sudo. */
static void pause_who(char ret_by[static PAUSED_BY_SIZE])
{
    char host[PAUSE_HOST_SIZE] = "";
    const char *sudo = getenv("SUDO_USER");
    const struct passwd *user = getpwuid(getuid());
    (void)gethostname(host, sizeof host - 1);
    if (sudo == NULL && user == NULL)
        (void)snprintf(ret_by, PAUSED_BY_SIZE, "%u@%s", (unsigned)getuid(), host);
    else
        (void)snprintf(ret_by, PAUSED_BY_SIZE, "%.60s@%s", sudo != NULL ? sudo : user->pw_name,
                       host);
}

static bool pause_is_named(const struct command_line *line, const char *entity_type)
{
    bool named = line->argument_count == 0;
    for (int i = 0; i < line->argument_count; i++)
        named = named || strcmp(line->arguments[i], entity_type) == 0;
    return named;
}

static const struct config_entry *pause_entry(const struct config *config, size_t index)
{
    if (index < config->publish_count)
        return &config->publish[index];
    index -= config->publish_count;
    return index < config->apply_count ? &config->apply[index] : NULL;
}

static bool pause_has_topic(const struct pause_request *request, const char *topic)
{
    const struct config_entry *entry;
    for (size_t i = 0; (entry = pause_entry(request->config, i)) != NULL; i++) {
        if (strcmp(entry->topic, topic) == 0 && pause_is_named(request->line, entry->entity_type))
            return true;
    }
    return false;
}

/* Types that share a topic stand still together: an agent reads a topic, not a type. No agent here
 * reads the topic of whole transactions: there a type is paused alone (rule 54). */
static bool pause_has_entry(const struct pause_request *request, size_t index)
{
    const struct config *config = request->config;
    const struct config_entry *entry = pause_entry(config, index);
    if (index < config->publish_count && config->transactions == TRANSACTIONS_WHOLE)
        return pause_is_named(request->line, entry->entity_type);
    return pause_has_topic(request, entry->topic);
}

static enum status pause_add_types(struct pause_request *request, struct error *err)
{
    struct paused_type type = {.at_us = clock_wall_us()};
    const struct config_entry *entry;
    enum status status = STATUS_OK;
    pause_who(type.by);
    utf8_format(type.reason, sizeof type.reason, "%s", request->reason);
    for (size_t i = 0; status == STATUS_OK && (entry = pause_entry(request->config, i)) != NULL;
         i++) {
        if (paused_find(&request->types, entry->entity_type) != NULL ||
            !pause_has_entry(request, i))
            continue;
        (void)snprintf(type.entity_type, sizeof type.entity_type, "%s", entry->entity_type);
        status = paused_types_add(&request->types, &type, err);
    }
    return status;
}

/* @return the first argument that is no entity type of the configuration; NULL: all are. */
static const char *pause_unknown(const struct pause_request *request)
{
    const struct config_entry *entry;
    for (int i = 0; i < request->line->argument_count; i++) {
        const char *name = request->line->arguments[i];
        bool known = false;
        for (size_t j = 0; (entry = pause_entry(request->config, j)) != NULL; j++)
            known = known || strcmp(entry->entity_type, name) == 0;
        if (!known)
            return name;
    }
    return NULL;
}

/* The service and its sidecar may hold the database for a moment. */
static enum status pause_write(struct origin *origin, const struct pause_request *request,
                               struct error *err)
{
    int64_t until = clock_monotonic_us() + PAUSE_WAIT_US;
    enum status status = origin->ops->pause(origin, &request->types, request->pause, err);
    while (status == STATUS_RETRY && !err->connection_lost && !error_is_config(err) &&
           clock_monotonic_us() < until) {
        error_clear(err);
        clock_sleep_us(PAUSE_AGAIN_US);
        status = origin->ops->pause(origin, &request->types, request->pause, err);
    }
    return status;
}

/* @return what happens to a type from now on. */
static const char *pause_effect(const struct config *config, const char *type, bool pause)
{
    size_t length = strlen(type);
    bool applied = config_find(config->apply, config->apply_count, type, length) != NULL;
    bool published = config_find(config->publish, config->publish_count, type, length) != NULL;
    if (!pause)
        return applied && published ? "it is applied and published again"
               : applied            ? "it is applied again, from where it was"
                                    : "its rows of the outbox are published again";
    return applied && published ? "nothing of it is applied, and its rows wait in the outbox"
           : applied            ? "nothing of it is applied; the topic's retention goes on"
                                : "its rows wait in the outbox, which grows";
}

static void pause_say(const struct pause_request *request, const struct paused_types *before)
{
    for (size_t i = 0; i < request->types.count; i++) {
        const char *type = request->types.types[i].entity_type;
        const struct paused_type *was = paused_find(before, type);
        char since[PAUSED_TEXT_SIZE] = "";
        const char *together = pause_is_named(request->line, type) ? "" : " (it shares the topic)";
        if (was != NULL)
            paused_describe(was, since);
        if (request->pause && was != NULL)
            printf("%s was paused before%s, %s\n", type, together, since);
        else if (!request->pause && was == NULL)
            printf("%s was not paused%s\n", type, together);
        else
            printf("%s is %s%s: %s\n", type, request->pause ? "paused" : "resumed", together,
                   pause_effect(request->config, type, request->pause));
    }
}

/* Earlier versions paused all types of a topic together, also where a type is paused alone now. */
static void pause_say_left(const struct pause_request *request, const struct paused_types *before)
{
    for (size_t i = 0; i < request->config->publish_count; i++) {
        const struct config_entry *entry = &request->config->publish[i];
        const struct paused_type *was = paused_find(before, entry->entity_type);
        char since[PAUSED_TEXT_SIZE] = "";
        if (request->pause || was == NULL || !pause_has_topic(request, entry->topic) ||
            paused_find(&request->types, entry->entity_type) != NULL)
            continue;
        paused_describe(was, since);
        command_say("keepstep: %s, of the same topic, stays paused, %s: `keepstep resume %s` lets "
                    "it go on",
                    entry->entity_type, since, entry->entity_type);
    }
}

/* Of whole transactions nothing tells what depends on which row without an entity in common. */
static void pause_say_dependent(const struct pause_request *request,
                                const struct paused_types *before)
{
    const struct config *config = request->config;
    bool pauses = false;
    bool others = false;
    for (size_t i = 0; i < config->publish_count; i++) {
        const char *type = config->publish[i].entity_type;
        bool named = paused_find(&request->types, type) != NULL;
        pauses = pauses || named;
        others = others || (!named && paused_find(before, type) == NULL);
    }
    if (request->pause && config->transactions == TRANSACTIONS_WHOLE && pauses && others)
        command_say("keepstep: what refers to rows that wait goes first, and a peer with a foreign "
                    "key parks it, up to its limits.parked_entities: pause the types that refer to "
                    "them too, or all of them (`keepstep pause`)");
}

/* The types as they are now, each with the topics that it has in the configuration. */
static enum status pause_print_json(const struct pause_request *request,
                                    const struct paused_types *now, struct error *err)
{
    struct buffer json;
    const struct config_entry *entry;
    buffer_init(&json, PAUSE_OUTPUT_MAX);
    buffer_append_text(&json, "[");
    for (size_t i = 0; (entry = pause_entry(request->config, i)) != NULL; i++) {
        const struct paused_type *paused = paused_find(now, entry->entity_type);
        bool again = i >= request->config->publish_count &&
                     config_find(request->config->publish, request->config->publish_count,
                                 entry->entity_type, strlen(entry->entity_type)) != NULL;
        if (paused != NULL && !again)
            paused_append_json(paused, entry, &json);
    }
    buffer_append_text(&json, "]\n");
    bool failed = json.failed;
    if (!failed)
        fputs(buffer_text(&json), stdout);
    buffer_done(&json);
    return failed ? error_set(err, STATUS_FATAL, "the list grows too large") : STATUS_OK;
}

static enum status pause_do(struct pause_request *request, struct error *err)
{
    const struct origin_ops *ops = origin_find(request->config->database);
    struct paused_types before = {0};
    struct paused_types now = {0};
    struct origin *origin = NULL;
    if (ops == NULL)
        return service_refuse_scheme(err);
    enum status status = pause_add_types(request, err);
    if (status == STATUS_OK)
        status = ops->open(request->config, ORIGIN_WRITE, &origin, err);
    if (status == STATUS_OK)
        status = ops->list_paused(origin, &before, err);
    if (status == STATUS_OK)
        status = pause_write(origin, request, err);
    if (status == STATUS_OK && request->line->json)
        status = ops->list_paused(origin, &now, err);
    if (status == STATUS_OK && request->line->json)
        status = pause_print_json(request, &now, err);
    else if (status == STATUS_OK)
        pause_say(request, &before);
    if (status == STATUS_OK) {
        pause_say_left(request, &before);
        pause_say_dependent(request, &before);
    }
    paused_types_done(&before);
    paused_types_done(&now);
    ops->close(origin);
    return status;
}

static enum status pause_refuse(const char *reason, struct error *err)
{
    err->exit_code = EX_USAGE;
    if (strlen(reason) >= PAUSED_REASON_SIZE)
        return error_set(err, STATUS_FATAL, "--reason: more than %d bytes", PAUSED_REASON_SIZE - 1);
    if (!utf8_is_valid(slice_of(reason)))
        return error_set(err, STATUS_FATAL, "--reason: is not UTF-8");
    err->exit_code = EX_OK;
    return STATUS_OK;
}

static enum status pause_or_resume(const struct service *service, const struct command_line *line,
                                   bool pause, struct error *err)
{
    const char *reason = pause && line->flags[0] != NULL ? line->flags[0] : "";
    struct pause_request request = {
        .line = line, .config = service->config, .pause = pause, .reason = reason};
    const char *unknown = pause_unknown(&request);
    if (unknown != NULL) {
        err->exit_code = EX_USAGE;
        return error_set(err, STATUS_FATAL, "%s neither publishes nor applies %.*s",
                         service->config->service, command_word_length(unknown), unknown);
    }
    enum status status = pause_refuse(reason, err);
    if (status == STATUS_OK)
        status = pause_do(&request, err);
    paused_types_done(&request.types);
    return status;
}

static enum status pause_service(const struct service *service, const struct command_line *line,
                                 struct error *err)
{
    return pause_or_resume(service, line, true, err);
}

static enum status resume_service(const struct service *service, const struct command_line *line,
                                  struct error *err)
{
    return pause_or_resume(service, line, false, err);
}

static int pause_run(const struct command *command, int argc, char **argv)
{
    return service_command(command, argc, argv, pause_service);
}

static int resume_run(const struct command *command, int argc, char **argv)
{
    return service_command(command, argc, argv, resume_service);
}

static const struct command_flag pause_flags[] = {
    {"reason", "TEXT", "why; `keepstep status` shows it to others"},
};

const struct command command_pause = {
    .name = "pause",
    .arguments = "[TYPE...]",
    .summary =
        "Let entity types stand still here: not applied, not published. All where none is named.",
    .examples = "  keepstep pause order -c billing.yaml --reason \"table is being rebuilt\"\n"
                "  keepstep pause -c billing.yaml\n",
    COMMAND_FLAGS(pause_flags),
    .run = pause_run,
};

const struct command command_resume = {
    .name = "resume",
    .arguments = "[TYPE...]",
    .summary = "Let paused entity types go on from where they were. All where none is named.",
    .examples = "  keepstep resume order -c billing.yaml\n",
    .run = resume_run,
};
