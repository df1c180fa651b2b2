/* `keepstep run`, `keepstep agent` and `keepstep relay`: the loops of a service's sidecar. */
#include "common/clock.h"
#include "common/connections.h"
#include "common/log.h"
#include "common/notify.h"
#include "consumer/agent/agent.h"
#include "consumer/agent/fill_wish.h"
#include "operate/command.h"
#include "operate/desk/answers.h"
#include "operate/desk/desk.h"
#include "operate/http.h"
#include "operate/metrics.h"
#include "operate/offsets.h"
#include "operate/running.h"
#include "operate/service.h"
#include "operate/verify/loop.h"
#include "operate/wait/waiters.h"
#include "producer/relay/relay.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define RUN_LOOK_US      (200 * 1000)
#define RUN_STATEMENT_US (INT64_C(5) * 1000 * 1000)
#define RUN_STATUS_SIZE  600

/* What the service manager was told already. */
struct run_told {
    struct metrics_sources *sources;
    bool ready;
    bool stopping;
    bool failed;
    char status[RUN_STATUS_SIZE];
};

/* One loop in its own thread, with its own database connection. */
struct run_loop {
    const struct service *service;
    struct run_told *told;
    pthread_t thread;
    bool started;
    enum status status;
    struct error err;
    struct agent_metrics *agent_metrics;
    struct relay_metrics *relay_metrics;
    atomic_ullong *report_wishes;
    struct fill_wishes *fill_wishes; /* NULL: no desk would hear them */
    struct waiters *waiters;
};

static enum status run_relay(struct run_loop *loop)
{
    const struct relay_options options = {
        .config = loop->service->config,
        .schemas = (const struct entity_schema *const *)loop->service->published,
        .metrics = loop->relay_metrics,
    };
    struct relay *relay = NULL;
    enum status status = relay_new(&options, &relay, &loop->err);
    if (status == STATUS_OK)
        status = relay_run(relay, &command_stop, &loop->err);
    relay_free(relay);
    return status;
}

static enum status run_agent(struct run_loop *loop)
{
    const struct agent_options options = {
        .config = loop->service->config,
        .mappings = loop->service->mappings,
        .mapping_count = loop->service->config->apply_count,
        .wishes = loop->fill_wishes,
        .metrics = loop->agent_metrics,
    };
    struct agent *agent = NULL;
    enum status status = agent_new(&options, &agent, &loop->err);
    if (status == STATUS_OK)
        status = agent_run(agent, &command_stop, &loop->err);
    agent_free(agent);
    return status;
}

/* Whichever loop ends, for whatever reason, ends the process: half a sidecar helps nobody. */
static void *run_relay_thread(void *context)
{
    struct run_loop *loop = context;
    loop->status = run_relay(loop);
    atomic_store(&command_stop, true);
    return NULL;
}

static void *run_agent_thread(void *context)
{
    struct run_loop *loop = context;
    loop->status = run_agent(loop);
    atomic_store(&command_stop, true);
    return NULL;
}

static struct desk_options run_desk_options(const struct run_loop *loop)
{
    return (struct desk_options){.service = loop->service,
                                 .sources = loop->told->sources,
                                 .fill_wishes = loop->fill_wishes,
                                 .report_wishes = loop->report_wishes};
}

/* It ends with the process, never before: what it does helps other services, not this one. */
static void *run_desk_thread(void *context)
{
    const struct desk_options options = run_desk_options(context);
    desk_run(&options, &command_stop);
    return NULL;
}

/* The same holds for the answers. */
static void *run_answers_thread(void *context)
{
    const struct desk_options options = run_desk_options(context);
    answers_run(&options, &command_stop);
    return NULL;
}

/* And for what is compared. */
static void *run_verify_thread(void *context)
{
    const struct run_loop *loop = context;
    const struct verify_loop_options options = {.service = loop->service,
                                                .sources = loop->told->sources};
    verify_loop_run(&options, &command_stop);
    return NULL;
}

/* And for who waits. */
static void *run_waiters_thread(void *context)
{
    const struct run_loop *loop = context;
    waiters_run(loop->waiters, &command_stop);
    return NULL;
}

static void run_notify(struct run_told *told, const char *lines)
{
    if (notify_send(lines) || told->failed)
        return;
    log_warning("run", "the service manager at NOTIFY_SOCKET cannot be told: %s", strerror(errno));
    told->failed = true;
}

/* A sidecar is started once its database is checked. It need not have a broker yet. */
static bool run_is_started(const struct metrics_sources *sources)
{
    return (sources->agent == NULL || atomic_load(&sources->agent->database_checked)) &&
           (sources->relay == NULL || atomic_load(&sources->relay->holds_lease) ||
            atomic_load(&sources->relay->standby));
}

static void run_tell_status(struct run_told *told, const char *text)
{
    char line[RUN_STATUS_SIZE];
    (void)snprintf(line, sizeof line, "STATUS=%s", text);
    line[strcspn(line, "\n")] = '\0';
    if (strcmp(line, told->status) == 0)
        return;
    (void)snprintf(told->status, sizeof told->status, "%s", line);
    run_notify(told, line);
}

/* Tell the service manager what /readyz says, whenever that changes, and the start and the stop. */
static void run_tell(struct run_told *told)
{
    struct buffer reason;
    if (!notify_is_wanted())
        return;
    if (atomic_load(&command_stop)) {
        if (!told->stopping)
            run_notify(told, "STOPPING=1");
        told->stopping = true;
        return;
    }
    buffer_init(&reason, RUN_STATUS_SIZE);
    bool ready = metrics_ready(told->sources, &reason);
    bool started = told->ready || run_is_started(told->sources);
    run_tell_status(told, !started            ? "the database is not checked yet"
                          : reason.length > 0 ? buffer_text(&reason)
                          : ready             ? "ready"
                                              : "not ready");
    buffer_done(&reason);
    if (started && !told->ready)
        run_notify(told, "READY=1");
    told->ready = started;
}

/* Once it is to stop, a statement gets a while to be answered; then all sessions are cut. What a
 * transaction that is lost so has done is read at the next start, as after any lost connection. */
static void run_join(struct run_loop *loop)
{
    int64_t stopped_at = 0;
    for (;;) {
        run_tell(loop->told);
        int64_t until = clock_wall_us() + RUN_LOOK_US;
        struct timespec limit = {.tv_sec = until / 1000000, .tv_nsec = until % 1000000 * 1000};
        if (pthread_timedjoin_np(loop->thread, NULL, &limit) != ETIMEDOUT)
            break;
        if (stopped_at == 0 && atomic_load(&command_stop))
            stopped_at = clock_monotonic_us();
        if (stopped_at != 0 && clock_monotonic_us() - stopped_at >= RUN_STATEMENT_US)
            connections_cut();
    }
    run_tell(loop->told);
}

static int run_finish(struct run_loop *loop, const char *name)
{
    if (!loop->started)
        return EX_OK;
    run_join(loop);
    if (loop->status == STATUS_OK)
        return EX_OK;
    log_error(name, "%s", loop->err.text);
    run_tell_status(loop->told, loop->err.text);
    return error_exit_code(&loop->err);
}

/* @return false where a loop that is wanted could not start. */
static bool run_start(struct run_loop *loop, bool wanted, void *(*thread)(void *))
{
    loop->started = wanted && pthread_create(&loop->thread, NULL, thread, loop) == 0;
    return loop->started == wanted;
}

/* @param waiters  NULL: there is no page to wait at. */
static int run_loops(const struct service *service, unsigned parts, struct metrics_sources *sources,
                     struct waiters *waiters)
{
    atomic_ullong report_wishes = 0;
    struct fill_wishes fill_wishes = FILL_WISHES_INIT;
    struct run_told told = {.sources = sources};
    struct run_loop relay = {.service = service, .told = &told, .relay_metrics = sources->relay};
    struct run_loop agent = {.service = service,
                             .told = &told,
                             .agent_metrics = sources->agent,
                             .fill_wishes = sources->members == NULL ? NULL : &fill_wishes};
    struct run_loop desk = {.service = service,
                            .told = &told,
                            .fill_wishes = agent.fill_wishes,
                            .report_wishes = &report_wishes};
    struct run_loop answers = desk;
    struct run_loop verify = desk;
    struct run_loop waits = {.service = service, .told = &told, .waiters = waiters};
    bool verifies = sources->members != NULL && service->config->verify_every_s > 0;

    bool all_started = run_start(&relay, (parts & RUNNING_RELAY) != 0, run_relay_thread);
    all_started &= run_start(&agent, (parts & RUNNING_AGENT) != 0, run_agent_thread);
    all_started &= run_start(&desk, sources->members != NULL, run_desk_thread);
    all_started &= run_start(&answers, sources->desk != NULL, run_answers_thread);
    all_started &= run_start(&verify, verifies, run_verify_thread);
    all_started &= run_start(&waits, waiters != NULL, run_waiters_thread);
    if (!all_started) {
        log_error("run", "could not start a thread");
        atomic_store(&command_stop, true);
    }
    int agent_code = run_finish(&agent, "agent");
    int relay_code = run_finish(&relay, "relay");
    (void)run_finish(&desk, "desk");
    (void)run_finish(&answers, "desk");
    (void)run_finish(&verify, "verify");
    (void)run_finish(&waits, "wait");
    if (agent_code != EX_OK || relay_code != EX_OK)
        return agent_code != EX_OK ? agent_code : relay_code;
    return all_started ? EX_OK : EX_OSERR;
}

static int run_service(const struct service *service, unsigned parts)
{
    static struct agent_metrics agent_metrics;
    static struct relay_metrics relay_metrics;
    static struct members_page members_page = MEMBERS_PAGE_INIT;
    static struct desk_metrics desk_metrics;
    struct error err = ERROR_INIT;
    struct metrics_sources sources = {
        .config = service->config,
        .agent = (parts & RUNNING_AGENT) != 0 ? &agent_metrics : NULL,
        .relay = (parts & RUNNING_RELAY) != 0 ? &relay_metrics : NULL,
    };
    if (desk_is_wanted(service->config, &sources)) {
        sources.members = &members_page;
        sources.desk = service->config->limits.snapshots > 0 ? &desk_metrics : NULL;
    }
    struct http_pages pages = {.metrics = metrics_render,
                               .ready = metrics_ready,
                               .context = &sources,
                               .wait = waiters_page};
    struct waiters *waiters = NULL;
    struct http *http = NULL;
    enum status status = STATUS_OK;
    if (service->config->listen[0] != '\0')
        status = waiters_new(service, wait_look, &waiters, &err);
    pages.wait_context = waiters;
    if (waiters != NULL)
        status = http_open(service->config->listen, &pages, &http, &err);
    if (status != STATUS_OK) {
        waiters_free(waiters);
        return command_fail(&err);
    }
    running_hold(service->config, parts);
    log_info("run", "keepstep %s for service %s starts: publishes %zu, applies %zu entity types",
             KEEPSTEP_VERSION, service->config->service, service->config->publish_count,
             service->config->apply_count);
    int code = run_loops(service, parts, &sources, waiters);
    http_close(http);
    waiters_free(waiters);
    log_info("run", "stopped");
    return code;
}

static unsigned run_parts(const struct command *command, const struct config *config)
{
    unsigned parts = 0;
    if (command != &command_agent && config->publish_count > 0)
        parts |= RUNNING_RELAY;
    if (command != &command_relay && config->apply_count > 0)
        parts |= RUNNING_AGENT;
    return parts;
}

static int run_run(const struct command *command, int argc, char **argv)
{
    struct command_line line;
    int code = command_parse(command, argc, argv, &line);
    if (code >= 0)
        return code;
    command_catch_signals();
    struct error err = ERROR_INIT;
    struct service service;
    enum status status = service_open(&line, &service, &err);
    if (status == STATUS_OK)
        status = offsets_check_config(service.config, &err);
    if (status != STATUS_OK) {
        code = command_fail(&err);
    } else if (run_parts(command, service.config) == 0) {
        (void)error_set(error_config(&err), STATUS_FATAL,
                        "%s has nothing for `keepstep %s` to do: add publish: or apply:",
                        line.config_path, command->name);
        code = command_fail(&err);
    } else {
        code = run_service(&service, run_parts(command, service.config));
    }
    service_close(&service);
    return code;
}

const struct command command_run = {
    .name = "run",
    .arguments = "",
    .summary = "Publish and apply: the sidecar of one service.",
    .examples = "  keepstep run -c shop.yaml\n",
    .run = run_run,
};

const struct command command_relay = {
    .name = "relay",
    .arguments = "",
    .summary = "Only publish: read the outbox, write to Kafka.",
    .examples = "  keepstep relay -c shop.yaml\n",
    .run = run_run,
};

const struct command command_agent = {
    .name = "agent",
    .arguments = "",
    .summary = "Only apply: read Kafka, write the local copies.",
    .examples = "  keepstep agent -c billing.yaml\n",
    .run = run_run,
};
