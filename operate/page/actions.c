/* A job is worked at by the clerk alone, without the lock. Whoever answers its request first takes
 * the request out of it. */
#include "operate/page/actions.h"

#include "common/clock.h"
#include "common/condition.h"
#include "common/log.h"
#include "operate/member.h"
#include "operate/page/joint_job.h"
#include "operate/parked_edit.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACTIONS_BODY_MAX ((size_t)64 * 1024 * 1024)
#define ACTIONS_IDLE_US  200000
#define ACTIONS_KEEP_US  INT64_C(10000000) /* then a session that nobody needs is closed */
#define ACTIONS_WHO_SIZE 65

enum job_kind { JOB_LIST, JOB_SHOW, JOB_RETRY, JOB_SKIP, JOB_JOINT };

struct job {
    bool is_used;
    bool is_worked_at;
    struct http_request *request; /* NULL: it is answered */
    enum job_kind kind;
    int64_t parked_id; /* list: only those behind it */
    size_t limit;      /* of a list */
    struct joint_job *joint;
    bool waits; /* for the decision of a joint transaction */
    char peer[HTTP_PEER_SIZE];
    char who[ACTIONS_WHO_SIZE];
    int64_t due_us; /* monotonic, when to work at it next */
    int64_t until_us;
    /* Of a retry, once the record was set to be tried: */
    bool is_watched;
    struct parked_record head; /* its id and attempts alone */
    int64_t watch_until_us;
};

/* What the clerk has found for a job. */
struct answer {
    bool is_ready; /* false: look again at job->due_us */
    enum http_code code;
    struct buffer body; /* of HTTP_OK */
    const char *error;
    const char *next;
};

struct actions {
    const struct service *service;
    struct page_token *token;
    struct fleet *fleet; /* says what other copies do */
    pthread_mutex_t lock;
    pthread_cond_t added;
    bool is_open;
    struct job jobs[ACTIONS_MAX];
};

/* The clerk's own: one session that only reads, one that writes. */
struct clerk {
    struct actions *actions;
    const atomic_bool *stop;
    struct store *stores[2]; /* by whether it only reads; NULL: it is not open */
    int64_t used_us;
};

enum status actions_new(const struct service *service, struct page_token *token,
                        struct fleet *fleet, struct actions **ret_actions, struct error *err)
{
    struct actions *actions = calloc(1, sizeof *actions);
    if (actions == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    actions->service = service;
    actions->token = token;
    actions->fleet = fleet;
    (void)pthread_mutex_init(&actions->lock, NULL);
    condition_init(&actions->added);
    *ret_actions = actions;
    return STATUS_OK;
}

void actions_free(struct actions *actions)
{
    if (actions == NULL)
        return;
    (void)pthread_cond_destroy(&actions->added);
    (void)pthread_mutex_destroy(&actions->lock);
    free(actions);
}

static void answer_refuse(struct answer *answer, enum http_code code, const char *error,
                          const char *next)
{
    answer->is_ready = true;
    answer->code = code;
    answer->error = error;
    answer->next = next;
}

static void answer_action(struct answer *answer, int64_t id, const char *outcome,
                          struct slice reason)
{
    answer->is_ready = true;
    member_begin(&answer->body, NULL, "{");
    member_number(&answer->body, "parked_id", id);
    member_text(&answer->body, "outcome", slice_of(outcome));
    member_text(&answer->body, "reason", reason);
    buffer_append_text(&answer->body, "}\n");
}

static void clerk_close(struct clerk *clerk)
{
    for (size_t i = 0; i < 2; i++) {
        if (clerk->stores[i] != NULL)
            clerk->stores[i]->ops->close(clerk->stores[i]);
        clerk->stores[i] = NULL;
    }
}

static enum status clerk_open(struct clerk *clerk, bool read_only, struct store **ret_store,
                              struct error *err)
{
    enum status status = STATUS_OK;
    clerk->used_us = clock_monotonic_us();
    if (clerk->stores[read_only] == NULL)
        status = service_open_store(clerk->actions->service, read_only, &clerk->stores[read_only],
                                    err);
    if (status != STATUS_OK)
        clerk->stores[read_only] = NULL;
    *ret_store = clerk->stores[read_only];
    return status;
}

/* With what is known of the record at other copies. */
static void append_record(const struct clerk *clerk, const struct store_meta *meta,
                          const struct parked_record *parked, bool whole, struct buffer *out)
{
    struct refusal refusal;
    bool is_known = fleet_refusal(clerk->actions->fleet, parked,
                                  clerk->actions->service->config->service, meta->copy_id,
                                  &refusal);
    parked_append_json(parked, whole, is_known ? &refusal : NULL, out);
}

static enum status do_list(const struct clerk *clerk, struct store *store, const struct job *job,
                           struct answer *answer, struct error *err)
{
    const struct parked_filter filter = {.partition = -1,
                                         .by_id = true,
                                         .without_value = true,
                                         .after_id = job->parked_id,
                                         .limit = job->limit + 1};
    struct store_meta meta;
    struct parked_list list;
    parked_list_init(&list);
    enum status status = store->ops->meta(store, &meta, err);
    if (status == STATUS_OK)
        status = parked_read(store, &filter, &list, err);
    size_t count = list.read.count < job->limit ? list.read.count : job->limit;
    bool has_more = status == STATUS_OK && list.read.count > job->limit;
    int64_t more_after = has_more ? list.read.records[count - 1].parked_id : -1;
    list.read.count = count;
    if (status == STATUS_OK)
        status = parked_fold(store, &list, err);
    member_begin(&answer->body, NULL, "{");
    member_begin(&answer->body, "records", "[");
    for (size_t i = 0; status == STATUS_OK && i < list.read.count; i++)
        append_record(clerk, &meta, &list.read.records[i], false, &answer->body);
    buffer_append_text(&answer->body, "]");
    member_known_number(&answer->body, "more_after", more_after);
    buffer_append_text(&answer->body, "}\n");
    answer->is_ready = true;
    parked_list_done(&list);
    return status;
}

/* Read the record that a job names. Where there is none the answer says so. */
static enum status find_record(struct store *store, const struct job *job, struct parked_list *list,
                               struct answer *answer, struct error *err)
{
    const struct parked_filter filter = {
        .partition = -1, .parked_id = job->parked_id, .without_value = job->kind != JOB_SHOW};
    enum status status = parked_read(store, &filter, list, err);
    if (status == STATUS_OK && list->read.count > 0)
        status = parked_note_set(store, &list->read.records[0], err);
    if (status == STATUS_OK && list->read.count == 0)
        answer_refuse(answer, HTTP_NOT_FOUND, "nothing is parked under this id",
                      "it was applied meanwhile, or never parked: see GET /api/parked");
    return status;
}

static enum status do_show(const struct clerk *clerk, struct store *store, const struct job *job,
                           struct answer *answer, struct error *err)
{
    struct store_meta meta;
    struct parked_list list;
    parked_list_init(&list);
    enum status status = store->ops->meta(store, &meta, err);
    if (status == STATUS_OK)
        status = find_record(store, job, &list, answer, err);
    if (status == STATUS_OK && !answer->is_ready) {
        append_record(clerk, &meta, &list.read.records[0], true, &answer->body);
        buffer_append_text(&answer->body, "\n");
        answer->is_ready = true;
    }
    parked_list_done(&list);
    return status;
}

/* The log has who has changed what, and when. */
static void log_change(const struct job *job, const struct parked_record *parked, const char *what)
{
    log_info("page", "parked record %lld of type %.*s %s: asked for at the page by \"%s\" from %s",
             (long long)parked->parked_id, SLICE_ARGS(parked->entity_type), what, job->who,
             job->peer);
}

static enum status do_skip(struct store *store, const struct job *job, const atomic_bool *stop,
                           struct answer *answer, struct error *err)
{
    struct parked_list list;
    parked_list_init(&list);
    enum status status = find_record(store, job, &list, answer, err);
    if (status != STATUS_OK || answer->is_ready) {
        /* There is nothing to skip. */
    } else if (list.read.records[0].state == PARKED_SKIPPED) {
        answer_refuse(answer, HTTP_CONFLICT, "this record is skipped already", NULL);
    } else {
        status = parked_edit_all(store, &list, PARKED_SET_SKIPPED, stop, err);
        if (status == STATUS_OK) {
            log_change(job, &list.read.records[0], "is skipped");
            answer_action(answer, list.read.records[0].parked_id, "skipped", (struct slice){0});
        }
    }
    parked_list_done(&list);
    return status;
}

/* Set the record that has to go first to be tried. Then it is watched. */
static enum status begin_retry(struct store *store, struct job *job, const atomic_bool *stop,
                               struct answer *answer, struct error *err)
{
    const struct parked_request request = {
        .verb = "retry", .filter = {.partition = -1, .parked_id = job->parked_id}};
    struct parked_list list;
    parked_list_init(&list);
    enum status status = find_record(store, job, &list, answer, err);
    if (status == STATUS_OK && !answer->is_ready)
        status = parked_find_heads(store, &request, &list, NULL, err);
    if (status == STATUS_OK && !answer->is_ready && list.read.count == 0)
        answer_refuse(answer, HTTP_CONFLICT, "this record is skipped: it cannot be tried again",
                      "repair the row from another copy: `keepstep verify`, `keepstep repair`");
    if (status == STATUS_OK && !answer->is_ready)
        status = parked_edit_all(store, &list, PARKED_SET_WAITING, stop, err);
    if (status == STATUS_OK && !answer->is_ready) {
        log_change(job, &list.read.records[0], "is to be tried again");
        job->is_watched = true;
        job->head = (struct parked_record){.parked_id = list.read.records[0].parked_id,
                                           .attempts = list.read.records[0].attempts};
        job->watch_until_us = clock_monotonic_us() + PARKED_WAIT_US;
    }
    parked_list_done(&list);
    return status;
}

static enum status watch_retry(const struct clerk *clerk, struct store *store, struct job *job,
                               struct answer *answer, struct error *err)
{
    enum parked_outcome outcome = PARKED_UNTRIED;
    char paused[PARKED_PAUSE_SIZE] = "";
    struct parked_list now;
    parked_list_init(&now);
    enum status status = parked_find_outcome(store, &job->head, &now, &outcome, err);
    if (status == STATUS_OK && outcome == PARKED_UNTRIED && now.read.count > 0)
        status = parked_find_pause(store, clerk->actions->service->config,
                                   now.read.records[0].record.topic, paused, err);
    if (status == STATUS_OK && outcome == PARKED_APPLIED)
        answer_action(answer, job->head.parked_id, "applied", (struct slice){0});
    else if (status == STATUS_OK && outcome == PARKED_FAILED)
        answer_action(answer, job->head.parked_id, "parked_again", now.read.records[0].reason);
    else if (status == STATUS_OK && paused[0] != '\0')
        answer_action(answer, job->head.parked_id, "not_tried", slice_of(paused));
    else if (status == STATUS_OK && clock_monotonic_us() >= job->watch_until_us)
        answer_action(answer, job->head.parked_id, "not_tried",
                      slice_of("no agent has tried it within 10 s: does one run?"));
    parked_list_done(&now);
    job->due_us = clock_monotonic_us() + PARKED_LOOK_US;
    return status;
}

static enum status do_joint(struct store *store, struct job *job, struct answer *answer,
                            struct error *err)
{
    struct joint_job_answer found;
    bool was_proposed = joint_job_is_proposed(job->joint);
    enum status status = joint_job_do(job->joint, store, &answer->body, &found, err);
    if (!was_proposed && joint_job_is_proposed(job->joint))
        log_info("page", "joint transaction %s: asked for by \"%s\" from %s",
                 joint_job_id(job->joint), job->who, job->peer);
    if (status != STATUS_OK)
        return status;
    answer->is_ready = found.is_ready;
    answer->code = found.code;
    answer->error = found.error;
    answer->next = found.next;
    job->due_us = found.due_us;
    return STATUS_OK;
}

/* What a client library says can name hosts and logins: only the log has it. */
static void answer_failure(struct clerk *clerk, const struct error *err, struct answer *answer)
{
    log_warning("page", "a request cannot be answered: %s", err->text);
    answer_refuse(answer, HTTP_UNAVAILABLE,
                  "the database does not answer; the sidecar's log says more", "ask again later");
    clerk_close(clerk);
}

static void work_at(struct clerk *clerk, struct job *job, struct answer *answer)
{
    bool read_only = job->kind == JOB_LIST || job->kind == JOB_SHOW ||
                     (job->kind == JOB_JOINT && joint_job_reads(job->joint));
    struct store *store = NULL;
    struct error err = ERROR_INIT;
    enum status status = clerk_open(clerk, read_only, &store, &err);
    if (status == STATUS_OK && job->kind == JOB_LIST)
        status = do_list(clerk, store, job, answer, &err);
    else if (status == STATUS_OK && job->kind == JOB_SHOW)
        status = do_show(clerk, store, job, answer, &err);
    else if (status == STATUS_OK && job->kind == JOB_SKIP)
        status = do_skip(store, job, clerk->stop, answer, &err);
    else if (status == STATUS_OK && job->kind == JOB_JOINT)
        status = do_joint(store, job, answer, &err);
    else if (status == STATUS_OK && !job->is_watched)
        status = begin_retry(store, job, clerk->stop, answer, &err);
    if (status == STATUS_OK && job->is_watched)
        status = watch_retry(clerk, store, job, answer, &err);
    if (status != STATUS_OK)
        answer_failure(clerk, &err, answer);
}

/* @lock held by the caller. */
static void job_answer(struct job *job, const struct answer *answer)
{
    if (job->request != NULL && answer->error != NULL)
        http_refuse(job->request, answer->code, answer->error, answer->next);
    else if (job->request != NULL)
        http_give_json(job->request, answer->code, &answer->body);
    job->request = NULL;
    if (job->is_worked_at)
        return;
    joint_job_free(job->joint);
    *job = (struct job){.is_used = false};
}

/* @return the job that is due, for longest; NULL: none is. @lock held by the caller. */
static struct job *job_due(struct actions *actions)
{
    int64_t now_us = clock_monotonic_us();
    struct job *due = NULL;
    for (size_t i = 0; i < ACTIONS_MAX; i++) {
        struct job *job = &actions->jobs[i];
        if (job->is_used && job->due_us <= now_us && (due == NULL || job->due_us < due->due_us))
            due = job;
    }
    return due;
}

/* @lock held by the caller; it is free meanwhile. */
static void do_job(struct clerk *clerk, struct job *job)
{
    struct actions *actions = clerk->actions;
    struct answer answer = {.code = HTTP_OK};
    buffer_init(&answer.body, ACTIONS_BODY_MAX);
    job->is_worked_at = true;
    (void)pthread_mutex_unlock(&actions->lock);
    work_at(clerk, job, &answer);
    (void)pthread_mutex_lock(&actions->lock);
    job->is_worked_at = false;
    if (answer.is_ready || job->request == NULL)
        job_answer(job, &answer);
    buffer_done(&answer.body);
}

/* @lock held by the caller; it is free meanwhile. */
static void clerk_rest(struct clerk *clerk)
{
    struct actions *actions = clerk->actions;
    if (clock_monotonic_us() - clerk->used_us > ACTIONS_KEEP_US) {
        (void)pthread_mutex_unlock(&actions->lock);
        clerk_close(clerk);
        (void)pthread_mutex_lock(&actions->lock);
    }
    condition_wait(&actions->added, &actions->lock, ACTIONS_IDLE_US);
}

/* @lock held by the caller. @param until_us  those whose time is over by then. */
static void end_jobs(struct actions *actions, int64_t until_us, const char *error)
{
    for (size_t i = 0; i < ACTIONS_MAX; i++) {
        struct answer answer = {.code = HTTP_OK};
        struct job *job = &actions->jobs[i];
        if (!job->is_used || job->request == NULL || job->until_us > until_us)
            continue;
        answer_refuse(&answer, HTTP_UNAVAILABLE, error, "ask again later");
        job_answer(job, &answer);
    }
}

void actions_run(struct actions *actions, const atomic_bool *stop)
{
    struct clerk clerk = {.actions = actions, .stop = stop};
    (void)pthread_mutex_lock(&actions->lock);
    actions->is_open = true;
    while (!atomic_load(stop)) {
        struct job *job = job_due(actions);
        if (job != NULL)
            do_job(&clerk, job);
        else
            clerk_rest(&clerk);
    }
    actions->is_open = false;
    end_jobs(actions, INT64_MAX, "the sidecar stops");
    (void)pthread_mutex_unlock(&actions->lock);
    clerk_close(&clerk);
}

void actions_expire(struct actions *actions)
{
    (void)pthread_mutex_lock(&actions->lock);
    end_jobs(actions, clock_monotonic_us(), "the database has not answered in time");
    (void)pthread_mutex_unlock(&actions->lock);
}

/* Those who wait need no token, so they leave places to others. @lock held by the caller. */
static bool has_place(const struct actions *actions, const struct job *made)
{
    size_t waiting = 0;
    for (size_t i = 0; i < ACTIONS_MAX; i++)
        waiting += actions->jobs[i].waits;
    return !made->waits || waiting < ACTIONS_WAITING_MAX;
}

/* Give a request to the clerk. */
static void add_job(struct actions *actions, struct http_request *request, struct job made)
{
    size_t free_at = 0;
    made.is_used = true;
    made.request = request;
    made.due_us = clock_monotonic_us();
    made.until_us = made.due_us + ACTIONS_ANSWER_US;
    (void)pthread_mutex_lock(&actions->lock);
    while (free_at < ACTIONS_MAX && actions->jobs[free_at].is_used)
        free_at++;
    if (!actions->is_open || free_at == ACTIONS_MAX || !has_place(actions, &made)) {
        http_refuse(request, HTTP_UNAVAILABLE,
                    actions->is_open ? "too many ask at a time" : "the sidecar starts or stops",
                    "ask again later");
        joint_job_free(made.joint);
    } else {
        actions->jobs[free_at] = made;
        (void)pthread_cond_broadcast(&actions->added);
    }
    (void)pthread_mutex_unlock(&actions->lock);
}

/* @return whether the text is a number within the limits; NULL is the least one. */
static bool read_number(const char *text, int64_t least, int64_t most, int64_t *ret_number)
{
    *ret_number = least;
    if (text == NULL)
        return true;
    errno = 0;
    *ret_number = strtoll(text, NULL, 10);
    return errno == 0 && text[0] != '\0' && text[strspn(text, "0123456789")] == '\0' &&
           *ret_number >= least && *ret_number <= most;
}

void actions_list(void *context, struct http_request *request)
{
    struct actions *actions = context;
    const char *limit_text = http_parameter(request, "limit");
    int64_t after = 0;
    int64_t limit = 0;
    if (!read_number(http_parameter(request, "after"), 0, INT64_MAX, &after) ||
        !read_number(limit_text, 1, ACTIONS_LIST_MAX, &limit)) {
        http_refuse(request, HTTP_BAD_REQUEST, "after or limit is not a number within its limits",
                    "write /api/parked?after=ID&limit=N, with N from 1 to 500");
    } else if (actions->service->config->apply_count == 0) {
        struct buffer body;
        buffer_init(&body, ACTIONS_BODY_MAX);
        buffer_append_text(&body, "{\"records\":[],\"more_after\":null}\n");
        http_give_json(request, HTTP_OK, &body);
        buffer_done(&body);
    } else {
        add_job(actions, request,
                (struct job){.kind = JOB_LIST,
                             .parked_id = after,
                             .limit = limit_text == NULL ? ACTIONS_LIST : (size_t)limit});
    }
}

/* Who asks, for the log: what the header says, without what a log line must not have. */
static void note_who(const struct http_request *request, struct job *job)
{
    const char *who = http_header(request, "Keepstep-Who");
    http_peer(request, job->peer);
    for (size_t i = 0; who != NULL && who[i] != '\0' && i + 1 < sizeof job->who; i++)
        job->who[i] = (char)(who[i] < ' ' || who[i] >= 127 || who[i] == '"' ? '?' : who[i]);
}

/* Let the clerk do something with the record that the path names. */
static void add_record_job(struct actions *actions, struct http_request *request,
                           enum job_kind kind)
{
    struct job job = {.kind = kind};
    if (!read_number(http_part(request), 1, INT64_MAX, &job.parked_id) ||
        actions->service->config->apply_count == 0) {
        http_refuse(request, HTTP_NOT_FOUND, "nothing is parked under this id",
                    "see GET /api/parked");
        return;
    }
    note_who(request, &job);
    add_job(actions, request, job);
}

void actions_show(void *context, struct http_request *request)
{
    add_record_job(context, request, JOB_SHOW);
}

/* Only who has the token may change something. @return whether he has it; else the request has its
 * answer. */
static bool may_change(struct actions *actions, struct http_request *request)
{
    char peer[HTTP_PEER_SIZE];
    http_peer(request, peer);
    switch (page_token_judge(actions->token, http_header(request, "Authorization"), peer,
                             clock_monotonic_us())) {
    case TOKEN_OFF:
        http_refuse(request, HTTP_FORBIDDEN, "this sidecar has no token, so nothing can be changed",
                    PAGE_TOKEN_ADVICE);
        return false;
    case TOKEN_MISSING:
        http_refuse(request, HTTP_UNAUTHORIZED, "a token is needed to change anything",
                    "send the header \"Authorization: Bearer TOKEN\" with what the file of "
                    "listen_token_file: holds");
        return false;
    case TOKEN_WRONG:
        log_warning("page", "a wrong token came from %s", peer);
        http_refuse(request, HTTP_FORBIDDEN, "this is not the token",
                    "send what the file of listen_token_file: holds");
        return false;
    case TOKEN_TOO_MANY:
        http_refuse(request, HTTP_TOO_MANY, "too many wrong tokens came from this address",
                    "wait a minute");
        return false;
    case TOKEN_RIGHT:
        return true;
    }
    return false;
}

void actions_retry(void *context, struct http_request *request)
{
    if (may_change(context, request))
        add_record_job(context, request, JOB_RETRY);
}

void actions_skip(void *context, struct http_request *request)
{
    if (may_change(context, request))
        add_record_job(context, request, JOB_SKIP);
}

static void add_joint_job(struct actions *actions, struct http_request *request, bool proposes)
{
    struct job job = {.kind = JOB_JOINT,
                      .joint = joint_job_read(actions->service->config, request, proposes)};
    if (job.joint == NULL)
        return;
    job.waits = joint_job_waits(job.joint);
    note_who(request, &job);
    add_job(actions, request, job);
}

void actions_joint_show(void *context, struct http_request *request)
{
    add_joint_job(context, request, false);
}

void actions_joint_propose(void *context, struct http_request *request)
{
    if (may_change(context, request))
        add_joint_job(context, request, true);
}
