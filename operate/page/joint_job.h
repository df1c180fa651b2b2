/* What a request for a joint transaction wants: to look at one, or to ask for one. */
#ifndef OPERATE_PAGE_JOINT_JOB_H
#define OPERATE_PAGE_JOINT_JOB_H

#include "common/buffer.h"
#include "consumer/store/store.h"
#include "operate/http.h"
#include "schemas/config/config.h"

#define JOINT_JOB_WAIT_MS 15000 /* that a look may wait for the decision */
#define JOINT_JOB_TEXT    1024

struct joint_job;

/** What was found. */
struct joint_job_answer {
    bool is_ready; /* false: look again at due_us */
    int64_t due_us;
    enum http_code code;
    const char *error; /* NULL: `body` has the answer; else it lasts as long as the job */
    const char *next;
};

/** Read what a request wants. @return NULL: the request has its answer, a refusal. */
struct joint_job *joint_job_read(const struct config *config, struct http_request *request,
                                 bool proposes);

/** NULL is a no-op. */
void joint_job_free(struct joint_job *job);

/** @return whether a store that only reads is enough. */
bool joint_job_reads(const struct joint_job *job);
/** @return whether it looks again and again, until a transaction is decided or its time is over. */
bool joint_job_waits(const struct joint_job *job);
/** @return whether it has asked for the transaction by now. */
bool joint_job_is_proposed(const struct joint_job *job);
const char *joint_job_id(const struct joint_job *job);

/** Look, and before that ask for the transaction once, where that is wanted. @return OK; RETRY;
 * FATAL.
 */
enum status joint_job_do(struct joint_job *job, struct store *store, struct buffer *body,
                         struct joint_job_answer *ret_answer, struct error *err) MUST_CHECK;

#endif
