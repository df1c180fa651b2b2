/* `keepstep joint`: shows joint transactions as this service knows them, and waits for one; what an
 * operator does to them is in joint_edit.c. */
#include "common/clock.h"
#include "consumer/joint/joint.h"
#include "operate/command.h"
#include "operate/joint_edit.h"
#include "operate/joint_view.h"
#include "operate/member.h"
#include "operate/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define JOINT_OUTPUT_MAX ((size_t)64 * 1024 * 1024)
#define JOINT_LOOK_US    (INT64_C(50) * 1000)
#define JOINT_WAIT_S     30
#define JOINT_WAIT_MAX_S 86400
#define US_OF_A_SECOND   (INT64_C(1000) * 1000)
#define EXIT_ABORTED     1

struct joint_seen {
    const struct joint_request *request;
    struct buffer out;
    bool found;
    bool is_decided;
    bool is_committed;
    bool is_elsewhere;
};

static enum status joint_list_row(void *context, const struct joint_row *row, struct error *err)
{
    struct joint_seen *seen = context;
    return joint_view_line(row, seen->request->config->service, seen->request->json, &seen->out,
                           err);
}

static enum status joint_show_row(void *context, const struct joint_row *row, struct error *err)
{
    struct joint_seen *seen = context;
    seen->found = true;
    return joint_view_whole(row, seen->request->config->service, seen->request->json, &seen->out,
                            err);
}

static enum status joint_print(const struct joint_request *request, bool list, struct error *err)
{
    struct joint_seen seen = {.request = request};
    const struct joint_ops *ops = request->store->ops->joint;
    buffer_init(&seen.out, JOINT_OUTPUT_MAX);
    if (list && !request->json)
        joint_view_header(&seen.out);
    enum status status = list
                             ? ops->load(request->store, joint_list_row, &seen, err)
                             : ops->find(request->store, request->name, joint_show_row, &seen, err);
    if (status == STATUS_OK && !list && !seen.found)
        status = joint_edit_no_row(request, err);
    if (status == STATUS_OK)
        command_print(&seen.out, request->json);
    buffer_done(&seen.out);
    return status;
}

static enum status joint_look_row(void *context, const struct joint_row *row, struct error *err)
{
    struct joint_seen *seen = context;
    (void)err;
    seen->found = true;
    seen->is_decided = joint_view_is_decided(row, &seen->is_committed);
    seen->is_elsewhere = row->state == JOINT_STATE_ELSEWHERE;
    buffer_reset(&seen->out);
    if (seen->is_decided)
        buffer_append(&seen->out, row->reason.data, row->reason.length);
    else if (seen->is_elsewhere)
        buffer_append_format(&seen->out, "it asks nothing of this service: ask at %.*s",
                             SLICE_ARGS(row->name.proposer));
    else
        buffer_append_format(&seen->out, "here it is %s", joint_state_name(row->state));
    return STATUS_OK;
}

/* What became of it, and why: of what is committed there is nothing to say. */
static void joint_say_outcome(struct joint_seen *seen)
{
    const struct joint_request *request = seen->request;
    const char *outcome = !seen->is_decided    ? "unknown"
                          : seen->is_committed ? "committed"
                                               : "aborted";
    struct buffer line;
    buffer_init(&line, JOINT_OUTPUT_MAX);
    if (!seen->found)
        buffer_append_format(&seen->out,
                             "this database has no joint transaction of %.*s with that id",
                             SLICE_ARGS(request->name.proposer));
    struct slice why = seen->is_committed ? slice_of("") : buffer_slice(&seen->out);
    if (request->json) {
        member_begin(&line, NULL, "{");
        member_text(&line, "joint_id", request->name.id);
        member_text(&line, "proposer", request->name.proposer);
        member_text(&line, "outcome", slice_of(outcome));
        member_text(&line, "reason", why);
        buffer_append_text(&line, "}\n");
    } else {
        buffer_append_format(&line, "%s%s%.*s\n", outcome, why.length == 0 ? "" : ": ",
                             SLICE_ARGS(why));
    }
    command_print(&line, request->json);
    buffer_done(&line);
}

/* @param ret_code  0: committed; 1: aborted; 75: not known yet. */
static enum status joint_wait(const struct joint_request *request, int *ret_code, struct error *err)
{
    struct joint_seen seen = {.request = request};
    int64_t until = clock_monotonic_us() + request->wait_us;
    buffer_init(&seen.out, JOINT_OUTPUT_MAX);
    enum status status;
    for (;;) {
        status = request->store->ops->joint->find(request->store, request->name, joint_look_row,
                                                  &seen, err);
        if (status == STATUS_RETRY && !err->connection_lost && !error_is_config(err))
            error_clear(err);
        else if (status != STATUS_OK || seen.is_decided || seen.is_elsewhere)
            break;
        if (clock_monotonic_us() >= until || atomic_load(&command_stop))
            break;
        clock_sleep_us(JOINT_LOOK_US);
    }
    *ret_code = !seen.is_decided ? EX_TEMPFAIL : seen.is_committed ? EX_OK : EXIT_ABORTED;
    if (status == STATUS_RETRY && err->status == STATUS_OK)
        status = STATUS_OK;
    if (status == STATUS_OK)
        joint_say_outcome(&seen);
    buffer_done(&seen.out);
    return status;
}

static enum status joint_open_database(const struct service *service, bool read_only,
                                       struct store **ret_store, struct error *err)
{
    if (!config_is_joint(service->config))
        return error_set(error_config(err), STATUS_FATAL,
                         "this service takes no part in joint transactions: no entry of publish: "
                         "has joint:");
    enum status status = service_open_store(service, read_only, ret_store, err);
    if (status == STATUS_OK && (*ret_store)->ops->joint == NULL)
        status = service_refuse_scheme(err);
    return status;
}

enum { JOINT_PROPOSER, JOINT_TIMEOUT, JOINT_DIVERGE };

static const struct command_flag joint_flags[] = {
    [JOINT_PROPOSER] = {"proposer", "SERVICE", "who has proposed it; this service by default"},
    [JOINT_TIMEOUT] = {"timeout", "SECONDS", "how long to wait; 30 by default"},
    [JOINT_DIVERGE] = {"diverge", NULL,
                       "of release: this service may then differ from the others, for good"},
};

static bool joint_read_timeout(const char *text, int64_t *ret_wait_us)
{
    char *end = NULL;
    *ret_wait_us = JOINT_WAIT_S * US_OF_A_SECOND;
    if (text == NULL)
        return true;
    errno = 0;
    long long seconds = strtoll(text, &end, 10);
    *ret_wait_us = seconds * US_OF_A_SECOND;
    return errno == 0 && end != text && *end == '\0' && seconds >= 0 && seconds <= JOINT_WAIT_MAX_S;
}

/** What can be asked for, and what takes a name. */
static const struct joint_verb {
    const char *name;
    joint_edit *edit; /* NULL: it only reads */
    bool is_named;
} joint_verbs[] = {
    {"list", NULL, false},
    {"show", NULL, true},
    {"wait", NULL, true},
    {"withdraw", joint_edit_withdraw, true},
    {"retry", joint_edit_retry, true},
    {"release", joint_edit_release, true},
    {"adopt", joint_edit_adopt, false},
};

/* @return NULL: it is none, or has not the arguments that it wants. */
static const struct joint_verb *joint_find_verb(const char *name, int arguments)
{
    for (size_t i = 0; i < sizeof joint_verbs / sizeof *joint_verbs; i++) {
        const struct joint_verb *verb = &joint_verbs[i];
        if (strcmp(verb->name, name) == 0)
            return arguments == (verb->is_named ? 2 : 1) || (arguments == 0 && !verb->is_named)
                       ? verb
                       : NULL;
    }
    return NULL;
}

static enum status joint_do(const struct joint_request *request, const struct joint_verb *verb,
                            int *ret_code, struct error *err)
{
    if (verb->edit != NULL)
        return joint_edit_do(request, verb->edit, err);
    if (strcmp(verb->name, "wait") == 0)
        return joint_wait(request, ret_code, err);
    return joint_print(request, !verb->is_named, err);
}

static int joint_run(const struct command *command, int argc, char **argv)
{
    struct command_line line;
    struct error err = ERROR_INIT;
    struct service service;
    int code = command_parse(command, argc, argv, &line);
    if (code >= 0)
        return code;
    const struct joint_verb *verb = joint_find_verb(
        line.argument_count > 0 ? line.arguments[0] : "list", line.argument_count);
    struct joint_request request = {.json = line.json,
                                    .diverges = line.flags[JOINT_DIVERGE] != NULL};
    if (line.argument_count > 1 && strlen(line.arguments[1]) > JOINT_NAME_MAX) {
        fprintf(stderr, "keepstep joint: an ID has 1 to %d bytes\n", JOINT_NAME_MAX);
        return EX_USAGE;
    }
    if (verb == NULL || !joint_read_timeout(line.flags[JOINT_TIMEOUT], &request.wait_us)) {
        fprintf(stderr,
                "keepstep joint: wants list or adopt, or show, wait, withdraw, retry or release "
                "and an ID; --timeout is 0 to %d seconds\n",
                JOINT_WAIT_MAX_S);
        return EX_USAGE;
    }
    code = verb->edit != NULL ? command_refuse_json(command, &line, verb->name) : -1;
    if (code >= 0)
        return code;
    code = EX_OK;
    enum status status = service_open(&line, &service, &err);
    if (status == STATUS_OK)
        status = joint_open_database(&service, verb->edit == NULL, &request.store, &err);
    if (status == STATUS_OK) {
        const char *proposer = line.flags[JOINT_PROPOSER];
        request.config = service.config;
        request.name = (struct joint_name){
            .proposer = slice_of(proposer != NULL ? proposer : service.config->service),
            .id = slice_of(line.argument_count > 1 ? line.arguments[1] : "")};
        status = joint_do(&request, verb, &code, &err);
    }
    if (status != STATUS_OK)
        code = command_fail(&err);
    if (request.store != NULL)
        request.store->ops->close(request.store);
    service_close(&service);
    return code;
}

const struct command command_joint = {
    .name = "joint",
    .arguments = "list | show ID | wait ID | withdraw ID | retry ID | release ID | adopt",
    .summary = "Show joint transactions that are not settled; wait for one, or act on it.",
    .examples =
        "  keepstep joint list -c warehouse.yaml\n"
        "  keepstep joint show order-42 --proposer shop\n"
        "  keepstep joint wait order-42 --timeout 5   exit code 0: committed, 1: aborted, "
        "75: not known yet\n"
        "  keepstep joint withdraw order-43\n"
        "  keepstep joint retry order-31              it is held: try it again now\n"
        "  keepstep joint release order-31 --diverge  the joint topic is lost: end it here\n"
        "  keepstep joint adopt                       take this database as it is, after it "
        "was\n"
        "                                             uninstalled and installed anew\n",
    COMMAND_FLAGS(joint_flags),
    .run = joint_run,
};
