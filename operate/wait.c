/* `keepstep wait`: wait until what a token names has arrived (rules 46 and 47). */
#include "common/utf8.h"
#include "operate/wait/wait.h"
#include "common/clock.h"
#include "consumer/store/registry.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#define WAIT_PAUSE_US    INT64_C(50000)
#define WAIT_TIMEOUT_S   30
#define WAIT_TIMEOUT_MAX 86400
#define WAIT_OUTPUT_MAX  ((size_t)8 * 1024)

enum { WAIT_FLAG_AT, WAIT_FLAG_QUORUM, WAIT_FLAG_ALL, WAIT_FLAG_TIMEOUT, WAIT_FLAG_PRINT_SQL };

static const struct command_flag wait_flags[] = {
    [WAIT_FLAG_AT] = {"at", "SERVICE", "wait until this service has applied it"},
    [WAIT_FLAG_QUORUM] = {"quorum", NULL, "wait until more than half of the members hold it"},
    [WAIT_FLAG_ALL] = {"all", NULL, "wait until all members hold it"},
    [WAIT_FLAG_TIMEOUT] = {"timeout", "SECONDS", "give up after this time (30)"},
    [WAIT_FLAG_PRINT_SQL] = {"print-sql", NULL,
                             "only print how this database is asked whether a token is applied"},
};

struct wait_command {
    const char *token;
    enum wait_scope scope;
    const char *at;
    double timeout_s;
    bool print_sql;
    bool json;
};

static bool wait_read_timeout(const char *text, double *ret_timeout_s)
{
    char *end = NULL;
    *ret_timeout_s = text == NULL ? WAIT_TIMEOUT_S : strtod(text, &end);
    return text == NULL || (end != text && *end == '\0' && *ret_timeout_s >= 0 &&
                            *ret_timeout_s <= WAIT_TIMEOUT_MAX);
}

/* @return false where the flags and arguments say nothing that can be done. */
static bool wait_read(const struct command_line *line, struct wait_command *ret_wait)
{
    const char *at = line->flags[WAIT_FLAG_AT];
    bool quorum = line->flags[WAIT_FLAG_QUORUM] != NULL;
    bool all = line->flags[WAIT_FLAG_ALL] != NULL;
    *ret_wait = (struct wait_command){.print_sql = line->flags[WAIT_FLAG_PRINT_SQL] != NULL,
                                      .json = line->json,
                                      .at = at,
                                      .scope = quorum ? WAIT_QUORUM
                                               : all  ? WAIT_ALL
                                                      : WAIT_SERVICE};
    if (!wait_read_timeout(line->flags[WAIT_FLAG_TIMEOUT], &ret_wait->timeout_s))
        return false;
    if (ret_wait->print_sql)
        return line->argument_count == 0;
    if (line->argument_count != 1 || (at != NULL) + quorum + all != 1)
        return false;
    ret_wait->token = line->arguments[0];
    return true;
}

/* Look until it is fulfilled, or the time is over. What cannot be reached is tried again.
 * @return OK, also where it is not fulfilled; FATAL. */
static enum status wait_until(struct wait_view *view, struct wait_goal *goal, double timeout_s,
                              struct wait_state *ret_state, struct error *err)
{
    int64_t until = clock_monotonic_us() + (int64_t)(timeout_s * 1e6);
    for (;;) {
        enum status status = wait_look(view, goal, ret_state, err);
        if (status == STATUS_RETRY && !error_is_config(err)) {
            utf8_format(ret_state->reason, sizeof ret_state->reason, "%s", err->text);
            error_clear(err);
        } else if (status != STATUS_OK || ret_state->fulfilled) {
            return status;
        }
        int64_t left = until - clock_monotonic_us();
        if (left <= 0 || atomic_load(&command_stop))
            return STATUS_OK;
        clock_sleep_us(left < WAIT_PAUSE_US ? left : WAIT_PAUSE_US);
    }
}

static void wait_print(const struct wait_command *wait, const struct wait_state *state,
                       const char *control_topic)
{
    struct buffer out;
    buffer_init(&out, WAIT_OUTPUT_MAX);
    if (wait->json) {
        wait_append_state(&out, state);
    } else {
        buffer_append_format(&out, "%s%s%s\n", state->fulfilled ? "fulfilled" : "not known yet",
                             state->reason[0] == '\0' ? "" : ": ", state->reason);
        if (state->control_offset >= 0)
            buffer_append_format(&out, "As of record %" PRId64 " of %s\n", state->control_offset,
                                 control_topic);
    }
    command_print(&out, wait->json);
    buffer_done(&out);
}

static enum status wait_do(const struct service *service, const struct wait_command *wait,
                           int *ret_code, struct error *err)
{
    struct wait_view *view = NULL;
    struct wait_goal goal;
    struct wait_state state = {0};
    enum status status = wait_goal_init(&goal, wait->token, wait->scope, wait->at, err);
    if (status == STATUS_REJECT)
        err->exit_code = EX_DATAERR;
    if (status == STATUS_OK)
        status = wait_view_open(service, &command_stop, &view, err);
    if (status == STATUS_OK)
        status = wait_until(view, &goal, wait->timeout_s, &state, err);
    if (status == STATUS_OK) {
        wait_print(wait, &state, service->config->control_topic);
        *ret_code = state.fulfilled ? EX_OK : EX_TEMPFAIL;
    }
    wait_view_close(view);
    wait_goal_done(&goal);
    return status;
}

static enum status wait_print_sql(const struct service *service, struct error *err)
{
    const struct store_ops *ops = store_find(service->config->database);
    if (ops == NULL)
        return service_refuse_scheme(err);
    command_print_sql("Its parameter is the token. 1: applied; 0: not yet; -1: this copy has never "
                      "seen the token's origin",
                      ops->applied_sql);
    return STATUS_OK;
}

static int wait_run(const struct command *command, int argc, char **argv)
{
    struct command_line line;
    struct wait_command wait;
    int code = command_parse(command, argc, argv, &line);
    if (code >= 0)
        return code;
    if (!wait_read(&line, &wait)) {
        fputs("keepstep wait: usage: keepstep wait TOKEN --at SERVICE | --quorum | --all "
              "[--timeout SECONDS], or --print-sql\n",
              stderr);
        return EX_USAGE;
    }
    struct error err = ERROR_INIT;
    struct service service;
    code = EX_OK;
    command_catch_signals();
    enum status status = service_open(&line, &service, &err);
    if (status == STATUS_OK)
        status = wait.print_sql ? wait_print_sql(&service, &err)
                                : wait_do(&service, &wait, &code, &err);
    if (status != STATUS_OK)
        code = command_fail(&err);
    service_close(&service);
    return code;
}

const struct command command_wait = {
    .name = "wait",
    .arguments = "[TOKEN]",
    .summary =
        "Wait until a transaction's events are applied at a service, by a majority, or by all.",
    .examples = "  keepstep wait shop/0193583c-…/order:0=1042 --at billing -c billing.yaml\n"
                "  keepstep wait shop/0193583c-…/order:0=1042 --quorum --timeout 5 -c shop.yaml\n",
    COMMAND_FLAGS(wait_flags),
    .run = wait_run,
};
