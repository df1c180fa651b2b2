/* Looks at joint transactions, and asks for them, for requests over HTTP. */
#include "operate/page/joint_job.h"

#include "common/arena.h"
#include "common/clock.h"
#include "common/utf8.h"
#include "consumer/joint/joint.h"
#include "operate/joint_view.h"
#include "schemas/joint_record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOB_ARENA_BYTES ((size_t)4 * 1024 * 1024)
#define JOB_LOOK_US     INT64_C(50000)
#define US_OF_A_MS      1000

struct joint_job {
    const struct config *config;
    char proposer[JOINT_NAME_SIZE];
    char id[JOINT_NAME_SIZE];
    bool proposes;
    bool is_proposed;
    bool waits;
    int64_t until_us;   /* monotonic: then the answer is what is known by then */
    struct arena arena; /* of the proposal */
    struct joint_wish wish;
    char text[JOINT_JOB_TEXT];
};

static bool job_read_wait(struct joint_job *job, const char *text)
{
    char *end = NULL;
    errno = 0;
    long long wait_ms = text == NULL ? 0 : strtoll(text, &end, 10);
    if (text != NULL &&
        (errno != 0 || end == text || *end != '\0' || wait_ms < 0 || wait_ms > JOINT_JOB_WAIT_MS))
        return false;
    job->waits = wait_ms > 0;
    job->until_us = clock_monotonic_us() + wait_ms * US_OF_A_MS;
    return true;
}

/* @return OK; REJECT with the reason. */
static enum status job_read_proposal(struct joint_job *job, struct slice body, struct error *err)
{
    struct joint_proposal proposal;
    enum status status = joint_proposal_read(body, &job->arena, &proposal, err);
    job->wish = (struct joint_wish){.id = slice_of(job->id),
                                    .timeout_ms = proposal.timeout_ms,
                                    .changes = proposal.changes_text};
    return status;
}

/* @return whether the job is complete; else the request has its answer. */
static bool job_read(struct joint_job *job, struct http_request *request)
{
    struct error err = ERROR_INIT;
    const char *proposer = http_parameter(request, "proposer");
    const char *wait = http_parameter(request, "timeout_ms");
    (void)snprintf(job->id, sizeof job->id, "%s", http_part(request));
    int length = snprintf(job->proposer, sizeof job->proposer, "%s",
                          proposer != NULL ? proposer : job->config->service);
    if (!config_is_joint(job->config)) {
        http_refuse(request, HTTP_NOT_FOUND, "this service takes no part in joint transactions",
                    "its configuration needs an entry of publish: with joint:");
    } else if (job->proposes && (proposer != NULL || wait != NULL)) {
        http_refuse(request, HTTP_BAD_REQUEST, "a service asks in its own name, and waits by GET",
                    "write POST /joint/ID alone");
    } else if ((size_t)length >= sizeof job->proposer) {
        http_refuse(request, HTTP_BAD_REQUEST, "proposer= has more than 255 bytes",
                    "name a service");
    } else if (!job_read_wait(job, wait)) {
        http_refuse(request, HTTP_BAD_REQUEST, "timeout_ms is not a number within its limits",
                    "write timeout_ms=N, with N from 0 to 15000");
    } else if (job->proposes && job_read_proposal(job, http_body(request), &err) != STATUS_OK) {
        http_refuse(request, HTTP_BAD_REQUEST, err.text,
                    "send {\"changes\":[...]}: docs/PROTOCOL.md, section 14");
    } else {
        return true;
    }
    return false;
}

struct joint_job *joint_job_read(const struct config *config, struct http_request *request,
                                 bool proposes)
{
    struct joint_job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        http_refuse(request, HTTP_UNAVAILABLE, "there is no memory for it", "ask again later");
        return NULL;
    }
    job->config = config;
    job->proposes = proposes;
    arena_init(&job->arena, JOB_ARENA_BYTES);
    if (job_read(job, request))
        return job;
    joint_job_free(job);
    return NULL;
}

void joint_job_free(struct joint_job *job)
{
    if (job == NULL)
        return;
    arena_done(&job->arena);
    free(job);
}

bool joint_job_waits(const struct joint_job *job)
{
    return job->waits;
}

bool joint_job_reads(const struct joint_job *job)
{
    return !job->proposes;
}

bool joint_job_is_proposed(const struct joint_job *job)
{
    return job->is_proposed;
}

const char *joint_job_id(const struct joint_job *job)
{
    return job->id;
}

struct job_seen {
    const struct joint_job *job;
    struct buffer *body;
    bool found;
    bool is_decided;
};

static enum status job_see_row(void *context, const struct joint_row *row, struct error *err)
{
    struct job_seen *seen = context;
    bool committed = false;
    seen->found = true;
    seen->is_decided = joint_view_is_decided(row, &committed);
    return joint_view_whole(row, seen->job->config->service, true, seen->body, err);
}

static enum status job_look(struct joint_job *job, struct store *store, struct buffer *body,
                            struct joint_job_answer *answer, struct error *err)
{
    struct job_seen seen = {.job = job, .body = body};
    const struct joint_name name = {.proposer = slice_of(job->proposer), .id = slice_of(job->id)};
    enum status status = store->ops->joint->find(store, name, job_see_row, &seen, err);
    int64_t now_us = clock_monotonic_us();
    answer->is_ready = !seen.found || seen.is_decided || now_us >= job->until_us;
    answer->due_us = now_us + JOB_LOOK_US;
    if (status == STATUS_OK && !seen.found) {
        answer->code = HTTP_NOT_FOUND;
        answer->error = "this service knows no joint transaction of this name";
        answer->next = "one of another service needs proposer=SERVICE; one that was asked for "
                       "elsewhere is not known before its proposal is read";
    }
    return status;
}

static enum status job_see_name(void *context, const struct joint_row *row, struct error *err)
{
    (void)row, (void)err;
    *(bool *)context = true;
    return STATUS_OK;
}

/* What the database refuses it says in its own words, which name no host and no login. */
static enum status job_propose(struct joint_job *job, struct store *store,
                               struct joint_job_answer *answer, struct error *err)
{
    struct error why = ERROR_INIT;
    enum status status = store->ops->joint->propose(store, &job->wish, &why);
    if (status == STATUS_REJECT) {
        const struct joint_name name = {slice_of(job->proposer), slice_of(job->id)};
        bool was_used = false;
        utf8_format(job->text, sizeof job->text, "%s", why.text);
        answer->is_ready = true;
        answer->error = job->text;
        status = store->ops->joint->find(store, name, job_see_name, &was_used, err);
        answer->code = was_used ? HTTP_CONFLICT : HTTP_BAD_REQUEST;
        if (was_used) /* each database has words of its own for it */
            answer->error = "this id was used before";
        answer->next = was_used ? "GET /joint/ID says what became of the one that has this id"
                                : "docs/PROTOCOL.md, section 14, says what a proposal holds";
        return status;
    }
    if (status != STATUS_OK)
        *err = why;
    job->is_proposed = status == STATUS_OK;
    return status;
}

enum status joint_job_do(struct joint_job *job, struct store *store, struct buffer *body,
                         struct joint_job_answer *ret_answer, struct error *err)
{
    enum status status = STATUS_OK;
    *ret_answer = (struct joint_job_answer){.is_ready = false,
                                            .code = job->proposes ? HTTP_ACCEPTED : HTTP_OK};
    if (store->ops->joint == NULL)
        return error_set(err, STATUS_FATAL, "this database has no joint transactions");
    if (job->proposes && !job->is_proposed)
        status = job_propose(job, store, ret_answer, err);
    return status == STATUS_OK && !ret_answer->is_ready
               ? job_look(job, store, body, ret_answer, err)
               : status;
}
