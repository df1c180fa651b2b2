/* `keepstep joint`: shows joint transactions as this service knows them, waits for one, withdraws
 * one. */
#include "common/clock.h"
#include "consumer/joint/joint.h"
#include "operate/command.h"
#include "operate/joint_view.h"
#include "operate/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define JOINT_OUTPUT_MAX  ((size_t)64 * 1024 * 1024)
#define JOINT_LOOK_US     (INT64_C(50) * 1000)
#define JOINT_PATIENCE_US (INT64_C(10) * 1000 * 1000) /* for a database that is busy */
#define JOINT_WAIT_S      30
#define JOINT_WAIT_MAX_S  86400
#define US_OF_A_SECOND    (INT64_C(1000) * 1000)
#define JOINT_ROW_BYTES   ((size_t)1024 * 1024)
#define EXIT_ABORTED      1

/** What was asked for. */
struct joint_request {
    const struct config *config;
    struct store *store;
    struct joint_name name; /* of all verbs but list */
    bool json;
    int64_t wait_us;
};

struct joint_seen {
    const struct joint_request *request;
    struct buffer out;
    bool found;
    bool is_decided;
    bool is_committed;
};

/** A row that is to be changed. */
struct joint_kept {
    struct joint_row row;
    struct arena arena;
    bool found;
};

static enum status joint_no_row(const struct joint_request *request, struct error *err)
{
    err->exit_code = EX_DATAERR;
    return error_set(err, STATUS_FATAL,
                     "this service knows of no joint transaction %.*s of %.*s; --proposer names "
                     "another service",
                     SLICE_ARGS(request->name.id), SLICE_ARGS(request->name.proposer));
}

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
        status = joint_no_row(request, err);
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
    buffer_reset(&seen->out);
    buffer_append(&seen->out, row->reason.data, row->reason.length);
    return STATUS_OK;
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
        if (status == STATUS_RETRY && !err->connection_lost)
            error_clear(err);
        else if (status != STATUS_OK || seen.is_decided)
            break;
        if (clock_monotonic_us() >= until || atomic_load(&command_stop))
            break;
        clock_sleep_us(JOINT_LOOK_US);
    }
    *ret_code = !seen.is_decided ? EX_TEMPFAIL : seen.is_committed ? EX_OK : EXIT_ABORTED;
    if (status == STATUS_RETRY && err->status == STATUS_OK)
        status = STATUS_OK;
    if (status == STATUS_OK)
        printf("%s%s%s\n",
               !seen.is_decided    ? "unknown"
               : seen.is_committed ? "committed"
                                   : "aborted",
               seen.is_decided && !seen.is_committed ? ": " : "",
               seen.is_decided && !seen.is_committed ? buffer_text(&seen.out) : "");
    buffer_done(&seen.out);
    return status;
}

/* Keep the row: what it is to become is written once it was read. */
static enum status joint_keep_row(void *context, const struct joint_row *row, struct error *err)
{
    struct joint_kept *kept = context;
    struct slice *const texts[] = {&kept->row.name.proposer, &kept->row.name.id, &kept->row.reason,
                                   &kept->row.votes, &kept->row.proposal_id};
    kept->row = *row;
    kept->row.changes = (struct slice){0};
    kept->found = true;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        *texts[i] = arena_copy(&kept->arena, texts[i]->data == NULL ? slice_of("") : *texts[i]);
        if (texts[i]->data == NULL)
            return error_set(err, STATUS_RETRY, "no memory for a joint transaction");
    }
    return STATUS_OK;
}

static enum status joint_write_withdrawal(const struct joint_request *request,
                                          struct joint_kept *kept, struct error *err)
{
    struct joint_row *row = &kept->row;
    struct store *store = request->store;
    struct buffer value;
    bool is_committed = false;
    const struct joint_answer answer = {.proposal = row->proposal_id,
                                        .reason = slice_of("an operator has withdrawn it")};
    if (joint_view_is_decided(row, &is_committed) || row->withdrawn || row->proposal_offset < 0 ||
        row->state == JOINT_STATE_ELSEWHERE) {
        err->exit_code = EX_DATAERR;
        return error_set(err, STATUS_FATAL, "it cannot be withdrawn here: it is %s%s",
                         joint_state_name(row->state), row->withdrawn ? " and withdrawn" : "");
    }
    buffer_init(&value, JOINT_BYTES_MAX);
    joint_withdrawal_append(&answer, &value);
    const struct joint_saying saying = {
        .name = row->name, .kind = JOINT_WITHDRAWAL, .value = buffer_slice(&value)};
    row->withdrawn = true;
    enum status status = store->ops->joint->mark(store, row, err);
    if (status == STATUS_OK)
        status = store->ops->joint->say(store, &saying, err);
    buffer_done(&value);
    return status;
}

/* Behind the fence, whose revision rises: so the sidecar reads again what it knows of it. */
static enum status joint_withdraw_once(const struct joint_request *request, struct error *err)
{
    struct store *store = request->store;
    struct joint_kept kept = {0};
    struct partition_state state = {0};
    arena_init(&kept.arena, JOINT_ROW_BYTES);
    enum status status = store->ops->read(store, request->config->joint_topic, 0, &state, err);
    const struct fence fence = {.topic = request->config->joint_topic,
                                .old_offset = state.next_offset,
                                .new_offset = state.next_offset,
                                .epoch = state.epoch,
                                .revision = state.revision,
                                .revise = true,
                                .anchor_offset = -1};
    if (status == STATUS_OK && !state.exists)
        status = joint_no_row(request, err);
    if (status == STATUS_OK)
        status = store->ops->begin(store, &fence, 1, err);
    if (status == STATUS_OK)
        status = store->ops->joint->find(store, request->name, joint_keep_row, &kept, err);
    if (status == STATUS_OK)
        status = kept.found ? joint_write_withdrawal(request, &kept, err)
                            : joint_no_row(request, err);
    if (status == STATUS_OK)
        status = store->ops->commit(store, true, err);
    if (status != STATUS_OK)
        store->ops->rollback(store);
    partition_state_done(&state);
    arena_done(&kept.arena);
    return status;
}

static enum status joint_withdraw(const struct joint_request *request, struct error *err)
{
    int64_t until = clock_monotonic_us() + JOINT_PATIENCE_US;
    enum status status = joint_withdraw_once(request, err);
    while ((status == STATUS_RETRY || status == STATUS_ABORT) && !err->connection_lost &&
           clock_monotonic_us() < until) {
        error_clear(err);
        clock_sleep_us(JOINT_LOOK_US);
        status = joint_withdraw_once(request, err);
    }
    if (status == STATUS_OK)
        fprintf(stderr, "a withdrawal is in the outbox; the log decides whether it came in time: "
                        "see `keepstep joint wait`\n");
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

enum { JOINT_PROPOSER, JOINT_TIMEOUT };

static const struct command_flag joint_flags[] = {
    [JOINT_PROPOSER] = {"proposer", "SERVICE", "who has proposed it; this service by default"},
    [JOINT_TIMEOUT] = {"timeout", "SECONDS", "how long to wait; 30 by default"},
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

static bool joint_is_verb(const char *verb, int arguments)
{
    static const char *const verbs[] = {"show", "wait", "withdraw"};
    if (strcmp(verb, "list") == 0)
        return arguments <= 1;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verb, verbs[i]) == 0)
            return arguments == 2;
    }
    return false;
}

static enum status joint_do(const struct joint_request *request, const char *verb, int *ret_code,
                            struct error *err)
{
    if (strcmp(verb, "wait") == 0)
        return joint_wait(request, ret_code, err);
    if (strcmp(verb, "withdraw") == 0)
        return joint_withdraw(request, err);
    return joint_print(request, strcmp(verb, "list") == 0, err);
}

static int joint_run(const struct command *command, int argc, char **argv)
{
    struct command_line line;
    struct error err = ERROR_INIT;
    struct service service;
    int code = command_parse(command, argc, argv, &line);
    if (code >= 0)
        return code;
    const char *verb = line.argument_count > 0 ? line.arguments[0] : "list";
    struct joint_request request = {.json = line.json};
    if (!joint_is_verb(verb, line.argument_count) ||
        !joint_read_timeout(line.flags[JOINT_TIMEOUT], &request.wait_us)) {
        fprintf(stderr,
                "keepstep joint: wants list, or show, wait or withdraw and an ID; "
                "--timeout is 0 to %d seconds\n",
                JOINT_WAIT_MAX_S);
        return EX_USAGE;
    }
    code = EX_OK;
    enum status status = service_open(&line, &service, &err);
    if (status == STATUS_OK)
        status = joint_open_database(&service, strcmp(verb, "withdraw") != 0, &request.store, &err);
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
    .arguments = "list | show ID | wait ID | withdraw ID",
    .summary = "Show joint transactions that are not settled; wait for one, or withdraw it.",
    .examples = "  keepstep joint list -c warehouse.yaml\n"
                "  keepstep joint show order-42 --proposer shop\n"
                "  keepstep joint wait order-42 --timeout 5   exit code 0: committed, 1: aborted, "
                "75: not known yet\n"
                "  keepstep joint withdraw order-43\n",
    COMMAND_FLAGS(joint_flags),
    .run = joint_run,
};
