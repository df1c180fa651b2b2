/* The hand-over between who tells a worker to begin and the worker's thread. */
#include "common/worker.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum worker_state {
    WORKER_RESTING,
    WORKER_WORKING,
    WORKER_ENDING, /* the thread is to return */
};

struct worker {
    pthread_t thread;
    pthread_mutex_t lock; /* of the state */
    pthread_cond_t changed;
    enum worker_state state;
    worker_job *job;
    void *context;
};

/** The one setter. The caller holds the lock. */
static void worker_set_state(struct worker *worker, enum worker_state state)
{
    worker->state = state;
    (void)pthread_cond_signal(&worker->changed); /* only one thread waits at a time */
}

static void *worker_run(void *context)
{
    struct worker *worker = context;
    (void)pthread_mutex_lock(&worker->lock);
    while (worker->state != WORKER_ENDING) {
        if (worker->state == WORKER_RESTING) {
            (void)pthread_cond_wait(&worker->changed, &worker->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&worker->lock);
        worker->job(worker->context);
        (void)pthread_mutex_lock(&worker->lock);
        worker_set_state(worker, WORKER_RESTING);
    }
    (void)pthread_mutex_unlock(&worker->lock);
    return NULL;
}

static void worker_destroy(struct worker *worker)
{
    (void)pthread_cond_destroy(&worker->changed);
    (void)pthread_mutex_destroy(&worker->lock);
    free(worker);
}

enum status worker_new(worker_job *job, void *context, struct worker **ret_worker,
                       struct error *err)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL)
        return error_set(err, STATUS_FATAL, "no memory for a thread");
    worker->job = job;
    worker->context = context;
    (void)pthread_mutex_init(&worker->lock, NULL);
    (void)pthread_cond_init(&worker->changed, NULL);
    int code = pthread_create(&worker->thread, NULL, worker_run, worker);
    if (code != 0) {
        worker_destroy(worker);
        err->exit_code = EX_OSERR;
        return error_set_native(err, STATUS_FATAL, code,
                                "no thread to work beside this one: %s; allow this process more "
                                "threads (ulimit -u, TasksMax= of the unit, pids of the container)",
                                strerror(code));
    }
    *ret_worker = worker;
    return STATUS_OK;
}

void worker_free(struct worker *worker)
{
    if (worker == NULL)
        return;
    worker_wait(worker);
    (void)pthread_mutex_lock(&worker->lock);
    worker_set_state(worker, WORKER_ENDING);
    (void)pthread_mutex_unlock(&worker->lock);
    (void)pthread_join(worker->thread, NULL);
    worker_destroy(worker);
}

void worker_begin(struct worker *worker)
{
    (void)pthread_mutex_lock(&worker->lock);
    worker_set_state(worker, WORKER_WORKING);
    (void)pthread_mutex_unlock(&worker->lock);
}

void worker_wait(struct worker *worker)
{
    (void)pthread_mutex_lock(&worker->lock);
    while (worker->state == WORKER_WORKING)
        (void)pthread_cond_wait(&worker->changed, &worker->lock);
    (void)pthread_mutex_unlock(&worker->lock);
}

bool worker_is_busy(struct worker *worker)
{
    (void)pthread_mutex_lock(&worker->lock);
    bool is_busy = worker->state == WORKER_WORKING;
    (void)pthread_mutex_unlock(&worker->lock);
    return is_busy;
}
