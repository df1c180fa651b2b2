/* A thread that does one job, each time that it is told to. */
#ifndef COMMON_WORKER_H
#define COMMON_WORKER_H

#include "common/status.h"

#include <stdbool.h>

struct worker;

/** The job. It runs in the worker's thread; what it touches is its own until it returns. */
typedef void worker_job(void *context);

/** Start the thread, which rests. @param context  outlives the worker.
 * @return OK; FATAL (no memory; no thread: the text says what to allow). */
enum status worker_new(worker_job *job, void *context, struct worker **ret_worker,
                       struct error *err) MUST_CHECK;

/** Wait for the job and end the thread. NULL is a no-op. */
void worker_free(struct worker *worker);

/** Do the job once. Only while it rests. @thread that of worker_wait(). */
void worker_begin(struct worker *worker);

/** Wait until the job is done; all that it wrote can be read then. Returns at once where it rests.
 */
void worker_wait(struct worker *worker);

/** @return whether the job is being done. */
bool worker_is_busy(struct worker *worker);

#endif
