/* Two threads look, so that a broker that does not answer keeps nobody from a look at the own
 * database. A third one, that of waiters_run(), ends what has waited long enough: it never waits
 * for a database or a broker itself. */
#include "operate/wait/waiters.h"

#include "common/clock.h"
#include "common/condition.h"
#include "common/log.h"
#include "common/utf8.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define WAITERS_LOOK_US  50000
#define WAITERS_CLOCK_US 10000
#define WAITERS_IDLE_US  200000
#define WAITERS_KEEP_US  INT64_C(10000000) /* then a view that nobody needs is closed */
#define WAITERS_BODY_MAX ((size_t)8 * 1024)

enum lane { LANE_HERE, LANE_ELSEWHERE, LANE_COUNT };

struct waiter {
    bool is_used;
    bool is_looked_at;            /* by a lane's thread, without the lock */
    bool was_told;                /* the log has why a look failed */
    struct http_request *request; /* NULL: it is answered */
    char *token;
    char *at;
    struct wait_goal goal;
    struct wait_state state; /* of the last look */
    int64_t until_us;
    enum lane lane;
};

struct waiters {
    const struct service *service;
    waiters_look *look;
    pthread_mutex_t lock;
    pthread_cond_t added;
    bool is_open;
    struct waiter waiters[WAITERS_MAX];
};

struct lane_thread {
    struct waiters *waiters;
    enum lane lane;
    const atomic_bool *stop;
    struct wait_view *view; /* NULL: nobody needs it */
    int64_t used_us;
    pthread_t thread;
    bool started;
};

enum status waiters_new(const struct service *service, waiters_look *look,
                        struct waiters **ret_waiters, struct error *err)
{
    struct waiters *waiters = calloc(1, sizeof *waiters);
    if (waiters == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    waiters->service = service;
    waiters->look = look;
    (void)pthread_mutex_init(&waiters->lock, NULL);
    condition_init(&waiters->added);
    *ret_waiters = waiters;
    return STATUS_OK;
}

void waiters_free(struct waiters *waiters)
{
    if (waiters == NULL)
        return;
    (void)pthread_cond_destroy(&waiters->added);
    (void)pthread_mutex_destroy(&waiters->lock);
    free(waiters);
}

static void give_state(struct http_request *request, const struct wait_state *state)
{
    struct buffer body;
    buffer_init(&body, WAITERS_BODY_MAX);
    wait_append_state(&body, state);
    http_give_json(request, HTTP_OK, &body);
    buffer_done(&body);
}

/* @lock held by the caller. */
static void waiter_release(struct waiter *waiter)
{
    waiter->request = NULL;
    if (waiter->is_looked_at)
        return;
    wait_goal_done(&waiter->goal);
    free(waiter->token);
    free(waiter->at);
    *waiter = (struct waiter){0};
}

/* What a client library says can name hosts and logins: only the log has it. */
static void waiter_log(struct waiter *waiter, const struct error *err)
{
    if (!waiter->was_told)
        log_warning("wait", "a request at /wait cannot be answered yet: %s", err->text);
    waiter->was_told = true;
}

/* Take what a look saw. @lock held by the caller. */
static void waiter_settle(struct waiter *waiter, enum status status, const struct wait_state *state,
                          const struct error *err)
{
    bool is_wrong = err->exit_code == EX_USAGE || err->exit_code == EX_DATAERR;
    if (status == STATUS_OK && !state->fulfilled) {
        waiter->state = *state;
    } else if (status == STATUS_OK) {
        give_state(waiter->request, state);
        waiter_release(waiter);
    } else if (status == STATUS_RETRY) {
        waiter_log(waiter, err);
        utf8_format(waiter->state.reason, sizeof waiter->state.reason,
                    "the database or the broker does not answer; the sidecar's log says more");
    } else {
        waiter_log(waiter, err);
        http_refuse(waiter->request, is_wrong ? HTTP_BAD_REQUEST : HTTP_UNAVAILABLE,
                    is_wrong ? err->text : "nothing can be asked here; the sidecar's log says why",
                    NULL);
        waiter_release(waiter);
    }
}

static void look_at(struct lane_thread *thread, struct waiter *waiter)
{
    struct waiters *waiters = thread->waiters;
    struct wait_state state;
    struct error err = ERROR_INIT;
    enum status status = STATUS_OK;
    waiter->is_looked_at = true;
    (void)pthread_mutex_unlock(&waiters->lock);
    thread->used_us = clock_monotonic_us();
    if (thread->view == NULL)
        status = wait_view_open(waiters->service, thread->stop, &thread->view, &err);
    if (status == STATUS_OK)
        status = waiters->look(thread->view, &waiter->goal, &state, &err);
    (void)pthread_mutex_lock(&waiters->lock);
    waiter->is_looked_at = false;
    if (waiter->request == NULL)
        waiter_release(waiter);
    else
        waiter_settle(waiter, status, &state, &err);
}

/* @lock held by the caller. @param lane  LANE_COUNT: any. */
static bool somebody_waits(const struct waiters *waiters, enum lane lane)
{
    for (size_t i = 0; i < WAITERS_MAX; i++) {
        const struct waiter *waiter = &waiters->waiters[i];
        if (waiter->request != NULL && (lane == LANE_COUNT || waiter->lane == lane))
            return true;
    }
    return false;
}

/* @lock held by the caller; it is free meanwhile. */
static void pause_or_added(struct waiters *waiters, enum lane lane, int64_t pause_us)
{
    condition_wait(&waiters->added, &waiters->lock,
                   somebody_waits(waiters, lane) ? pause_us : WAITERS_IDLE_US);
}

static void *lane_run(void *context)
{
    struct lane_thread *thread = context;
    struct waiters *waiters = thread->waiters;
    (void)pthread_mutex_lock(&waiters->lock);
    while (!atomic_load(thread->stop)) {
        for (size_t i = 0; i < WAITERS_MAX; i++) {
            struct waiter *waiter = &waiters->waiters[i];
            if (waiter->request != NULL && waiter->lane == thread->lane)
                look_at(thread, waiter);
        }
        pause_or_added(waiters, thread->lane, WAITERS_LOOK_US);
        if (thread->view != NULL && clock_monotonic_us() - thread->used_us > WAITERS_KEEP_US) {
            (void)pthread_mutex_unlock(&waiters->lock);
            wait_view_close(thread->view);
            thread->view = NULL;
            (void)pthread_mutex_lock(&waiters->lock);
        }
    }
    (void)pthread_mutex_unlock(&waiters->lock);
    wait_view_close(thread->view);
    return NULL;
}

/* @lock held by the caller. */
static void end_waiters(struct waiters *waiters, bool stops)
{
    int64_t now_us = clock_monotonic_us();
    for (size_t i = 0; i < WAITERS_MAX; i++) {
        struct waiter *waiter = &waiters->waiters[i];
        if (waiter->request == NULL || (!stops && now_us < waiter->until_us))
            continue;
        if (stops)
            http_refuse(waiter->request, HTTP_UNAVAILABLE, "the sidecar stops", NULL);
        else
            give_state(waiter->request, &waiter->state);
        waiter_release(waiter);
    }
}

void waiters_run(struct waiters *waiters, const atomic_bool *stop)
{
    struct lane_thread lanes[LANE_COUNT] = {0};
    bool all_started = true;
    for (int i = 0; i < LANE_COUNT; i++) {
        lanes[i] = (struct lane_thread){.waiters = waiters, .lane = (enum lane)i, .stop = stop};
        lanes[i].started = pthread_create(&lanes[i].thread, NULL, lane_run, &lanes[i]) == 0;
        all_started &= lanes[i].started;
    }
    if (!all_started)
        log_warning("wait", "could not start a thread: /wait is not answered");
    (void)pthread_mutex_lock(&waiters->lock);
    waiters->is_open = all_started;
    while (!atomic_load(stop)) {
        end_waiters(waiters, false);
        pause_or_added(waiters, LANE_COUNT, WAITERS_CLOCK_US);
    }
    waiters->is_open = false;
    end_waiters(waiters, true);
    (void)pthread_cond_broadcast(&waiters->added);
    (void)pthread_mutex_unlock(&waiters->lock);
    for (size_t i = 0; i < LANE_COUNT; i++) {
        if (lanes[i].started)
            (void)pthread_join(lanes[i].thread, NULL);
    }
}

static bool read_timeout(const char *text, int64_t *ret_ms)
{
    *ret_ms = text == NULL ? WAITERS_TIMEOUT_MS : strtol(text, NULL, 10);
    return text == NULL || (strlen(text) <= 5 && strspn(text, "0123456789") == strlen(text) &&
                            *ret_ms > 0 && *ret_ms <= WAITERS_LIMIT_MS);
}

static enum wait_scope read_scope(const struct waiters *waiters, const char *at)
{
    const char *here = waiters->service->config->service;
    return strcmp(at, "quorum") == 0                          ? WAIT_QUORUM
           : strcmp(at, "all") == 0                           ? WAIT_ALL
           : strcmp(at, "self") == 0 || strcmp(at, here) == 0 ? WAIT_HERE
                                                              : WAIT_SERVICE;
}

/* @return OK; otherwise the waiter is for nothing but waiter_release(). */
static enum status waiter_init(struct waiter *waiter, const struct waiters *waiters,
                               struct http_request *request, struct error *err)
{
    const char *token = http_parameter(request, "token");
    const char *at = http_parameter(request, "at");
    int64_t timeout_ms = 0;
    *waiter = (struct waiter){
        .is_used = true,
        .state = {.reason = "nothing was seen in this time", .control_offset = -1}};
    if (token == NULL || at == NULL || at[0] == '\0' ||
        !read_timeout(http_parameter(request, "timeout_ms"), &timeout_ms))
        return error_set(err, STATUS_REJECT,
                         "write /wait?token=TOKEN&at=self|SERVICE|quorum|all&timeout_ms=N, with N "
                         "from 1 to %d, or without it",
                         WAITERS_LIMIT_MS);
    enum wait_scope scope = read_scope(waiters, at);
    waiter->until_us = clock_monotonic_us() + timeout_ms * 1000;
    waiter->lane = scope == WAIT_HERE ? LANE_HERE : LANE_ELSEWHERE;
    waiter->token = strdup(token);
    waiter->at = strdup(at);
    if (waiter->token == NULL || waiter->at == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    enum status status = wait_goal_init(&waiter->goal, waiter->token, scope, waiter->at, err);
    if (status == STATUS_OK && waiter->lane == LANE_ELSEWHERE &&
        waiters->service->config->control_topic[0] == '\0')
        return error_set(err, STATUS_FATAL,
                         "control_topic: is empty, so that only at=self can be answered");
    return status;
}

void waiters_page(void *context, struct http_request *request)
{
    struct waiters *waiters = context;
    struct error err = ERROR_INIT;
    struct waiter made;
    enum status status = waiter_init(&made, waiters, request, &err);
    if (status != STATUS_OK) {
        http_refuse(request, status == STATUS_REJECT ? HTTP_BAD_REQUEST : HTTP_UNAVAILABLE,
                    err.text, NULL);
        waiter_release(&made);
        return;
    }
    made.request = request;
    (void)pthread_mutex_lock(&waiters->lock);
    size_t free_at = 0;
    while (free_at < WAITERS_MAX && waiters->waiters[free_at].is_used)
        free_at++;
    if (!waiters->is_open || free_at == WAITERS_MAX) {
        http_refuse(request, HTTP_UNAVAILABLE,
                    waiters->is_open ? "too many wait: ask again later"
                                     : "the sidecar starts or stops",
                    NULL);
        waiter_release(&made);
    } else {
        waiters->waiters[free_at] = made;
        (void)pthread_cond_broadcast(&waiters->added);
    }
    (void)pthread_mutex_unlock(&waiters->lock);
}
