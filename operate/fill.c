/* `keepstep fill`: gives a new copy the rows of another copy, or of the publisher. */
#include "common/clock.h"
#include "operate/compare/role.h"
#include "operate/fill/report.h"
#include "operate/fill/request.h"
#include "operate/running.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define FILL_OUTPUT_MAX  ((size_t)16 * 1024 * 1024)
#define FILL_PROGRESS_US 500000

enum fill_flag { FILL_FROM_CONFIG, FILL_FROM, FILL_AGAIN, FILL_TAKE_BACK };

static const struct command_flag fill_flags[] = {
    [FILL_FROM_CONFIG] = {"from-config", "FILE", "configuration of the service whose rows it gets"},
    [FILL_FROM] = {"from", "SERVICE", "ask the running agent to take this service's rows"},
    [FILL_AGAIN] = {"again", NULL, "clear the copy first, whatever it has"},
    [FILL_TAKE_BACK] = {"cancel", NULL, "take back what the running agent was asked for"},
};

struct filling {
    const struct command_line *line;
    struct service services[2]; /* the source, the copy */
    const char *topic;
    bool shows; /* progress, on a terminal */
    bool waits; /* that was said */
    int64_t shown_us;
};

static void filling_show(void *context, const struct fill_progress *progress, const char *waits_for)
{
    struct filling *filling = context;
    int64_t now_us = clock_monotonic_us();
    if (!filling->shows && waits_for != NULL && !filling->waits)
        command_say("%s: all rows are loaded; waiting for %s", filling->topic, waits_for);
    filling->waits = filling->waits || waits_for != NULL;
    if (!filling->shows || now_us - filling->shown_us < FILL_PROGRESS_US)
        return;
    filling->shown_us = now_us;
    if (progress->stage == FILL_CLEARING)
        fprintf(stderr, "\r\033[K%s: %llu rows cleared", filling->topic,
                (unsigned long long)progress->cleared);
    else
        fprintf(stderr, "\r\033[K%s: %llu rows loaded%s%s", filling->topic,
                (unsigned long long)progress->rows, waits_for == NULL ? "" : "; waiting for ",
                waits_for == NULL ? "" : waits_for);
    (void)fflush(stderr);
}

static void filling_voided(void *context, int64_t voids, const char *reason)
{
    const struct filling *filling = context;
    command_say("%s%s: attempt %lld came to nothing: %s", filling->shows ? "\r\033[K" : "",
                filling->topic, (long long)voids, reason);
}

/* The argument names a type or a topic; a topic is filled whole. */
static enum status filling_find(struct filling *filling, struct error *err)
{
    const struct config *config = filling->services[1].config;
    const char *name = filling->line->arguments[0];
    for (size_t i = 0; i < config->apply_count && filling->topic == NULL; i++) {
        if (strcmp(config->apply[i].entity_type, name) == 0 ||
            strcmp(config->apply[i].topic, name) == 0)
            filling->topic = config->apply[i].topic;
    }
    if (filling->topic == NULL)
        return error_set(error_config(err), STATUS_FATAL, "%s applies no type and no topic %.80s",
                         config->service, name);
    return STATUS_OK;
}

static enum status filling_open(struct filling *filling, struct error *err)
{
    const struct command_line *line = filling->line;
    enum status status = service_open(line, &filling->services[1], err);
    if (status == STATUS_OK && line->flags[FILL_FROM_CONFIG] == NULL)
        return filling_find(filling, err);
    if (status == STATUS_OK)
        status = service_open_file(line->flags[FILL_FROM_CONFIG], &filling->services[0], err);
    if (status == STATUS_OK)
        status = role_check_services(filling->services[0].config, filling->services[1].config, err);
    if (status == STATUS_OK)
        status = filling_find(filling, err);
    if (status == STATUS_OK && running_here(filling->services[1].config, RUNNING_AGENT)) {
        err->exit_code = EX_TEMPFAIL;
        status = error_set(
            err, STATUS_FATAL,
            "the agent of %s is running: stop it, fill the copy, then start it again",
            filling->services[1].config->service);
    }
    return status;
}

static void filling_close(struct filling *filling)
{
    for (int i = 0; i < 2; i++) {
        if (filling->services[i].config != NULL)
            service_close(&filling->services[i]);
    }
}

/* Prints what was appended to `out`, and frees it. */
static enum status filling_print(struct buffer *out, bool is_json, struct error *err)
{
    enum status status = STATUS_OK;
    if (out->failed)
        status = error_set(err, STATUS_FATAL, "no memory for the output");
    else
        command_print(out, is_json);
    buffer_done(out);
    return status;
}

/* What became of a request to the running agent. */
static enum status filling_print_asked(const struct filling *filling, const struct fill_state *fill,
                                       struct error *err)
{
    const char *service = filling->services[1].config->service;
    struct buffer out;
    buffer_init(&out, FILL_OUTPUT_MAX);
    (filling->line->json ? fill_asked_json : fill_asked_text)(service, fill, &out);
    return filling_print(&out, filling->line->json, err);
}

static enum status filling_run(struct filling *filling, struct error *err)
{
    const struct fill_options options = {.source = &filling->services[0],
                                         .copy = &filling->services[1],
                                         .topic = filling->topic,
                                         .again = filling->line->flags[FILL_AGAIN] != NULL,
                                         .progress = filling_show,
                                         .voided = filling_voided,
                                         .context = filling};
    struct fill_result result;
    int64_t begun_us = clock_wall_us();
    int64_t begun_monotonic_us = clock_monotonic_us();
    filling->shows = isatty(STDERR_FILENO) == 1;
    enum status status = fill_run(&options, &result, err);
    const struct fill_report report = {.options = &options,
                                       .result = &result,
                                       .begun_us = begun_us,
                                       .took_us = clock_monotonic_us() - begun_monotonic_us};
    if (filling->shows)
        fprintf(stderr, "\r\033[K");
    if (status == STATUS_OK) {
        struct buffer out;
        buffer_init(&out, FILL_OUTPUT_MAX);
        (filling->line->json ? fill_report_json : fill_report_text)(&report, &out);
        status = filling_print(&out, filling->line->json, err);
    } else if (status == STATUS_STOP && err->exit_code == 0) /* it cannot be a source, now */
        err->exit_code = EX_TEMPFAIL;
    fill_result_done(&result);
    return status;
}

static enum status filling_ask(const struct filling *filling, struct error *err)
{
    const struct service *copy = &filling->services[1];
    const struct fill_request request = {.copy = copy,
                                         .topic = filling->topic,
                                         .source = filling->line->flags[FILL_FROM],
                                         .again = filling->line->flags[FILL_AGAIN] != NULL};
    struct fill_state fill;
    if (!running_here(copy->config, RUNNING_AGENT))
        command_say("no agent of %s seems to run on this machine: the fill begins when one runs",
                    copy->config->service);
    enum status status = fill_request_make(&request, err);
    if (status == STATUS_OK)
        status = fill_request_follow(&request, &fill, err);
    if (status != STATUS_OK)
        return status;
    return filling_print_asked(filling, &fill, err);
}

static enum status filling_cancel(const struct filling *filling, struct error *err)
{
    const struct service *copy = &filling->services[1];
    const struct fill_request request = {.copy = copy, .topic = filling->topic};
    struct fill_state fill = {.stage = FILL_CANCELLED};
    (void)snprintf(fill.topic, sizeof fill.topic, "%s", filling->topic);
    enum status status = fill_request_cancel(&request, err);
    return status == STATUS_OK ? filling_print_asked(filling, &fill, err) : status;
}

/* Each asks for something else. */
static bool flags_exclude_each_other(const struct command_line *line)
{
    bool cancels = line->flags[FILL_TAKE_BACK] != NULL;
    bool has_source = line->flags[FILL_FROM_CONFIG] != NULL || line->flags[FILL_FROM] != NULL;
    return (line->flags[FILL_FROM_CONFIG] != NULL && line->flags[FILL_FROM] != NULL) ||
           (cancels && (has_source || line->flags[FILL_AGAIN] != NULL));
}

static enum status filling_do(struct filling *filling, struct error *err)
{
    const struct command_line *line = filling->line;
    if (line->flags[FILL_TAKE_BACK] != NULL)
        return filling_cancel(filling, err);
    return line->flags[FILL_FROM_CONFIG] != NULL ? filling_run(filling, err)
                                                 : filling_ask(filling, err);
}

static int fill_command(const struct command *command, int argc, char **argv)
{
    struct command_line line;
    struct error err = ERROR_INIT;
    int code = command_parse(command, argc, argv, &line);
    if (code >= 0)
        return code;
    if (line.argument_count != 1 || flags_exclude_each_other(&line)) {
        fprintf(stderr, "keepstep fill: wants one TYPE or TOPIC, and --from-config FILE or --from "
                        "SERVICE or --cancel, only one of them; see keepstep fill --help\n");
        return EX_USAGE;
    }
    struct filling filling = {.line = &line};
    command_catch_signals();
    enum status status = filling_open(&filling, &err);
    if (status == STATUS_OK)
        status = filling_do(&filling, &err);
    code = status == STATUS_OK ? EX_OK : command_fail(&err);
    filling_close(&filling);
    return code;
}

const struct command command_fill = {
    .name = "fill",
    .arguments = "TYPE|TOPIC",
    .summary = "Fill a new copy with the rows of another one, or of the publisher.",
    .examples = "  keepstep fill order -c billing.yaml --from-config shop.yaml\n"
                "  keepstep fill order -c billing.yaml --cancel\n"
                "  keepstep fill order -c billing.yaml --from-config shipping.yaml --again\n"
                "  keepstep fill order -c billing.yaml --from shipping --again\n",
    COMMAND_FLAGS(fill_flags),
    .run = fill_command,
};
