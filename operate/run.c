/* `keepstep run`, `keepstep agent` and `keepstep relay`: the loops of a service's sidecar. */
#include "common/clock.h"
#include "common/connections.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/utf8.h"
#include "common/wakeup.h"
#include "consumer/agent/agent.h"
#include "consumer/agent/fill_wish.h"
#include "consumer/joint/agent.h"
#include "operate/command.h"
#include "operate/desk/answers.h"
#include "operate/desk/desk.h"
#include "operate/joint_config.h"
#include "operate/metrics.h"
#include "operate/offsets.h"
#include "operate/page/page.h"
#include "operate/running.h"
#include "operate/service.h"
#include "operate/verify/loop.h"
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

/* What all loops of the process share. */
struct run_shared {
    const struct service *service;
    unsigned parts; /* of enum running_part */
    bool votes;     /* in joint transactions */
    struct metrics_sources *sources;
    struct run_told told;
    atomic_ullong report_wishes;
    struct bell outbox; /* rung by who has committed rows of it in this process. Nobody closes it */
    struct fill_wishes fill_wishes;
    struct fleet fleet;
    struct page *page; /* NULL: HTTP is switched off */
};

/* One loop in its own thread, with its own database connection. */
struct run_loop {
    const struct run_step *step;
    struct run_shared *shared;
    pthread_t thread;
    bool started;
    enum status status;
    struct error err;
};

struct run_step {
    const char *name; /* as the log has it */
    bool (*is_wanted)(const struct run_shared *shared);
    void (*run)(struct run_loop *loop);
    bool ends_process; /* when it ends, for whatever reason: half a sidecar helps nobody. The other
                        * loops end with the process, never before: what they do helps others */
};

/* Where there is no desk, nobody would hear the wishes. */
static struct fill_wishes *run_fill_wishes(const struct run_loop *loop)
{
    bool has_agent = (loop->shared->parts & RUNNING_AGENT) != 0;
    return loop->shared->sources->members == NULL || !has_agent ? NULL : &loop->shared->fill_wishes;
}

static void run_relay(struct run_loop *loop)
{
    struct joint_config joint;
    loop->status = joint_config_make(loop->shared->service, &joint, &loop->err);
    const struct relay_options options = {
        .config = &joint.config,
        .schemas = joint.schemas,
        .metrics = loop->shared->sources->relay,
        .bell = &loop->shared->outbox,
    };
    struct relay *relay = NULL;
    if (loop->status == STATUS_OK)
        loop->status = relay_new(&options, &relay, &loop->err);
    if (loop->status == STATUS_OK)
        loop->status = relay_run(relay, &command_stop, &loop->err);
    relay_free(relay);
    joint_config_done(&joint);
}

static void run_agent(struct run_loop *loop)
{
    const struct agent_options options = {
        .config = loop->shared->service->config,
        .mappings = loop->shared->service->mappings,
        .mapping_count = loop->shared->service->config->apply_count,
        .wishes = run_fill_wishes(loop),
        .metrics = loop->shared->sources->agent,
    };
    struct agent *agent = NULL;
    loop->status = agent_new(&options, &agent, &loop->err);
    if (loop->status == STATUS_OK)
        loop->status = agent_run(agent, &command_stop, &loop->err);
    agent_free(agent);
}

static void run_joint(struct run_loop *loop)
{
    struct joint_config joint;
    loop->status = joint_config_make(loop->shared->service, &joint, &loop->err);
    const struct joint_options options = {.config = &joint.config,
                                          .types = joint.types,
                                          .metrics = loop->shared->sources->joint,
                                          .outbox = &loop->shared->outbox};
    if (loop->status == STATUS_OK)
        loop->status = joint_agent_run(&options, &command_stop, &loop->err);
    joint_config_done(&joint);
}

static struct desk_options run_desk_options(struct run_loop *loop)
{
    return (struct desk_options){.service = loop->shared->service,
                                 .sources = loop->shared->sources,
                                 .fleet = &loop->shared->fleet,
                                 .fill_wishes = run_fill_wishes(loop),
                                 .report_wishes = &loop->shared->report_wishes};
}

static void run_desk(struct run_loop *loop)
{
    const struct desk_options options = run_desk_options(loop);
    desk_run(&options, &command_stop);
}

static void run_answers(struct run_loop *loop)
{
    const struct desk_options options = run_desk_options(loop);
    answers_run(&options, &command_stop);
}

static void run_verify(struct run_loop *loop)
{
    const struct verify_loop_options options = {.service = loop->shared->service,
                                                .sources = loop->shared->sources};
    verify_loop_run(&options, &command_stop);
}

static void run_waiters(struct run_loop *loop)
{
    page_run_waiters(loop->shared->page, &command_stop);
}

static void run_actions(struct run_loop *loop)
{
    page_run_actions(loop->shared->page, &command_stop);
}

static void run_history(struct run_loop *loop)
{
    page_run(loop->shared->page, &command_stop);
}

static bool run_wants_agent(const struct run_shared *shared)
{
    return (shared->parts & RUNNING_AGENT) != 0;
}

static bool run_wants_relay(const struct run_shared *shared)
{
    return (shared->parts & RUNNING_RELAY) != 0;
}

static bool run_wants_joint(const struct run_shared *shared)
{
    return shared->votes;
}

static bool run_wants_desk(const struct run_shared *shared)
{
    return shared->sources->members != NULL;
}

static bool run_wants_answers(const struct run_shared *shared)
{
    return shared->sources->desk != NULL;
}

static bool run_wants_verify(const struct run_shared *shared)
{
    return shared->sources->members != NULL && shared->service->config->verify_every_s > 0;
}

static bool run_wants_page(const struct run_shared *shared)
{
    return shared->page != NULL;
}

/* They are waited for in this order. */
static const struct run_step run_steps[] = {
    {"agent", run_wants_agent, run_agent, true},
    {"joint", run_wants_joint, run_joint, true},
    {"relay", run_wants_relay, run_relay, true},
    {"desk", run_wants_desk, run_desk, false},
    {"desk", run_wants_answers, run_answers, false},
    {"verify", run_wants_verify, run_verify, false},
    {"wait", run_wants_page, run_waiters, false},
    {"page", run_wants_page, run_actions, false},
    {"page", run_wants_page, run_history, false},
};
#define RUN_STEPS (sizeof run_steps / sizeof *run_steps)

static void *run_thread(void *context)
{
    struct run_loop *loop = context;
    loop->step->run(loop);
    if (loop->step->ends_process)
        atomic_store(&command_stop, true);
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
    utf8_format(line, sizeof line, "STATUS=%s", text);
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
        run_tell(&loop->shared->told);
        int64_t until = clock_wall_us() + RUN_LOOK_US;
        struct timespec limit = {.tv_sec = until / 1000000, .tv_nsec = until % 1000000 * 1000};
        if (pthread_timedjoin_np(loop->thread, NULL, &limit) != ETIMEDOUT)
            break;
        if (stopped_at == 0 && atomic_load(&command_stop))
            stopped_at = clock_monotonic_us();
        if (stopped_at != 0 && clock_monotonic_us() - stopped_at >= RUN_STATEMENT_US)
            connections_cut();
    }
    run_tell(&loop->shared->told);
}

static int run_finish(struct run_loop *loop)
{
    if (!loop->started)
        return EX_OK;
    run_join(loop);
    if (loop->status == STATUS_OK)
        return EX_OK;
    log_error(loop->step->name, "%s", loop->err.text);
    run_tell_status(&loop->shared->told, loop->err.text);
    return error_exit_code(&loop->err);
}

/* @return the exit code of the first loop that failed. */
static int run_loops(struct run_shared *shared)
{
    struct run_loop loops[RUN_STEPS] = {0};
    bool all_started = true;
    int code = EX_OK;
    for (size_t i = 0; i < RUN_STEPS; i++) {
        struct run_loop *loop = &loops[i];
        bool is_wanted = run_steps[i].is_wanted(shared);
        loop->step = &run_steps[i];
        loop->shared = shared;
        loop->started = is_wanted && pthread_create(&loop->thread, NULL, run_thread, loop) == 0;
        all_started &= loop->started == is_wanted;
    }
    if (!all_started) {
        log_error("run", "could not start a thread");
        atomic_store(&command_stop, true);
    }
    for (size_t i = 0; i < RUN_STEPS; i++) {
        int ended = run_finish(&loops[i]);
        code = code == EX_OK ? ended : code;
    }
    return code != EX_OK || all_started ? code : EX_OSERR;
}

static int run_service(const struct service *service, unsigned parts, bool votes)
{
    static struct agent_metrics agent_metrics;
    static struct relay_metrics relay_metrics;
    static struct members_page members_page = MEMBERS_PAGE_INIT;
    static struct desk_metrics desk_metrics;
    static struct joint_metrics joint_metrics;
    struct error err = ERROR_INIT;
    struct metrics_sources sources = {
        .config = service->config,
        .agent = (parts & RUNNING_AGENT) != 0 ? &agent_metrics : NULL,
        .relay = (parts & RUNNING_RELAY) != 0 ? &relay_metrics : NULL,
        .joint = votes ? &joint_metrics : NULL,
    };
    static struct run_shared shared = {.fill_wishes = FILL_WISHES_INIT, .fleet = FLEET_INIT};
    if (desk_is_wanted(service->config, &sources)) {
        sources.members = &members_page;
        sources.desk = service->config->limits.snapshots > 0 ? &desk_metrics : NULL;
    }
    shared.service = service;
    shared.parts = parts;
    shared.votes = votes;
    shared.sources = &sources;
    shared.told.sources = &sources;
    if (wakeup_open(&shared.outbox.descriptor, &err) != STATUS_OK ||
        page_open(service, &sources, &shared.fleet, &shared.page, &err) != STATUS_OK)
        return command_fail(&err);
    running_hold(service->config, parts);
    log_info("run", "keepstep %s for service %s starts: publishes %zu, applies %zu entity types",
             KEEPSTEP_VERSION, service->config->service, service->config->publish_count,
             service->config->apply_count);
    int code = run_loops(&shared);
    page_close(shared.page);
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

/* What `keepstep agent` does too: it writes the service's tables. */
static bool run_votes(const struct command *command, const struct config *config)
{
    return command != &command_relay && config_is_joint(config);
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
    if (status == STATUS_OK)
        status = joint_config_check(&service, &err);
    if (status != STATUS_OK) {
        code = command_fail(&err);
    } else if (run_parts(command, service.config) == 0 && !run_votes(command, service.config)) {
        (void)error_set(error_config(&err), STATUS_FATAL,
                        "%s has nothing for `keepstep %s` to do: add publish: or apply:",
                        line.config_path, command->name);
        code = command_fail(&err);
    } else {
        code = run_service(&service, run_parts(command, service.config),
                           run_votes(command, service.config));
    }
    service_close(&service);
    return code;
}

const struct command command_run = {
    .name = "run",
    .arguments = "",
    .summary = "Publish and apply: the sidecar of one service.",
    .examples = "  keepstep run -c shop.yaml\n",
    .without_json = true,
    .run = run_run,
};

const struct command command_relay = {
    .name = "relay",
    .arguments = "",
    .summary = "Only publish: read the outbox, write to Kafka.",
    .examples = "  keepstep relay -c shop.yaml\n",
    .without_json = true,
    .run = run_run,
};

const struct command command_agent = {
    .name = "agent",
    .arguments = "",
    .summary = "Only apply: read Kafka, write the local copies.",
    .examples = "  keepstep agent -c billing.yaml\n",
    .without_json = true,
    .run = run_run,
};
