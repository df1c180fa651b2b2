/* `keepstep topics`: compare the topics that a configuration needs with what the brokers have, and
 * make them so. */
#include "operate/command.h"
#include "operate/service.h"
#include "operate/topics/report.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define TOPICS_OUTPUT_MAX ((size_t)16 * 1024 * 1024)
#define TOPICS_TIMEOUT_MS 10000
#define TOPICS_REFUSED    1 /* exit codes, as --help says */
#define TOPICS_DIFFER     2

enum { TOPICS_ALL, TOPICS_DRY_RUN };

static const struct command_flag topics_flags[] = {
    [TOPICS_ALL] = {"all", NULL, "show settings that are as they should be, too"},
    [TOPICS_DRY_RUN] = {"dry-run", NULL, "with apply: only show what would be done, as plan does"},
};

struct topics {
    const struct command_line *line;
    struct plan plan;
    struct kafka_admin *admin;
    struct buffer out;
    bool is_refused; /* something differs still */
};

/* @return the first error; the other topics are tried nevertheless. */
static enum status topics_apply(struct topics *topics, struct error *err)
{
    for (size_t i = 0; i < topics->plan.count; i++) {
        struct error own = ERROR_INIT;
        struct plan_topic *topic = &topics->plan.topics[i];
        enum status status = plan_apply(topic, topics->admin, &own);
        if (status != STATUS_OK) {
            command_say("keepstep: %s", own.text);
            if (err->status == STATUS_OK)
                *err = own;
            continue;
        }
        if (!topics->line->json)
            report_applied_text(topic, &topics->out);
        topics->is_refused = topics->is_refused || plan_count(topic, PLAN_REFUSED) > 0;
    }
    return err->status;
}

/* With --json the last plan is printed: how the topics are now. */
static enum status topics_print(struct topics *topics, bool applies, struct error *err)
{
    enum status status = STATUS_OK;
    if (applies && topics->line->json)
        status = plan_compare_all(&topics->plan, topics->admin, err);
    if (status == STATUS_OK && topics->line->json)
        report_plan_json(&topics->plan, &topics->out);
    else if (status == STATUS_OK && !applies)
        report_plan_text(&topics->plan, topics->line->flags[TOPICS_ALL] != NULL, &topics->out);
    if (status == STATUS_OK && topics->out.failed)
        status = error_set(err, STATUS_FATAL, "the output grows too large");
    if (status == STATUS_OK)
        command_print(&topics->out, topics->line->json);
    return status;
}

static enum status topics_open(struct topics *topics, const struct config *config,
                               struct error *err)
{
    const struct kafka_admin_options options = {.settings = config->kafka,
                                                .setting_count = config->kafka_count,
                                                .timeout_ms = TOPICS_TIMEOUT_MS};
    enum status status = plan_make(config, &topics->plan, err);
    if (status == STATUS_OK)
        status = kafka_admin_open(&options, &topics->admin, err);
    return status == STATUS_OK ? plan_compare_all(&topics->plan, topics->admin, err) : status;
}

/* An error of a topic was said already. */
static int topics_do(struct topics *topics, const struct config *config, bool applies)
{
    struct error err = ERROR_INIT;
    struct error of_topics = ERROR_INIT;
    int code = EX_OK;
    buffer_init(&topics->out, TOPICS_OUTPUT_MAX);
    enum status status = topics_open(topics, config, &err);
    if (status == STATUS_OK && applies)
        (void)topics_apply(topics, &of_topics);
    if (status == STATUS_OK)
        status = topics_print(topics, applies, &err);
    if (status != STATUS_OK)
        code = command_fail(&err);
    else if (of_topics.status != STATUS_OK)
        code = error_exit_code(&of_topics);
    else if (applies)
        code = topics->is_refused ? TOPICS_REFUSED : EX_OK;
    else
        code = plan_differs(&topics->plan) ? TOPICS_DIFFER : EX_OK;
    buffer_done(&topics->out);
    kafka_admin_close(topics->admin);
    plan_done(&topics->plan);
    return code;
}

static int topics_run(const struct command *command, int argc, char **argv)
{
    struct command_line line;
    int code = command_parse(command, argc, argv, &line);
    if (code >= 0)
        return code;
    const char *verb = line.argument_count == 1 ? line.arguments[0] : "";
    if (strcmp(verb, "plan") != 0 && strcmp(verb, "apply") != 0) {
        fputs("keepstep topics: wants plan or apply; see keepstep topics --help\n", stderr);
        return EX_USAGE;
    }
    struct error err = ERROR_INIT;
    struct service service;
    struct topics topics = {.line = &line};
    bool applies = verb[0] == 'a' && line.flags[TOPICS_DRY_RUN] == NULL;
    if (service_open(&line, &service, &err) == STATUS_OK)
        code = topics_do(&topics, service.config, applies);
    else
        code = command_fail(&err);
    service_close(&service);
    return code;
}

const struct command command_topics = {
    .name = "topics",
    .arguments = "plan|apply",
    .summary =
        "Compare a configuration's topics with the brokers' (plan), or make them so (apply).",
    .examples =
        "  keepstep topics plan -c shop.yaml    # exit code 0: nothing differs, 2: something\n"
        "  keepstep topics plan --all --json -c shop.yaml\n"
        "  keepstep topics apply -c shop.yaml   # 0: all is so now, 1: it leaves a difference\n",
    COMMAND_FLAGS(topics_flags),
    .run = topics_run,
};
