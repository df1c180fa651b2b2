/* The C11 threads that librdkafka uses, made from POSIX threads: the thread sanitizer knows only
 * those. glibc makes both in the same way. Without this file a thread of librdkafka crashes the
 * sanitizer. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>
#include <time.h>

#define EXPORTED __attribute__((visibility("default")))

_Static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t), "a C11 mutex is a POSIX one");
_Static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t), "a C11 condition is a POSIX one");
_Static_assert(sizeof(thrd_t) == sizeof(pthread_t), "a C11 thread is a POSIX one");

struct thread_start {
    thrd_start_t function;
    void *argument;
};

static int thread_result(int code)
{
    switch (code) {
    case 0:
        return thrd_success;
    case ENOMEM:
        return thrd_nomem;
    case ETIMEDOUT:
        return thrd_timedout;
    case EBUSY:
        return thrd_busy;
    default:
        return thrd_error;
    }
}

static void *thread_main(void *context)
{
    struct thread_start start = *(struct thread_start *)context;
    free(context);
    return (void *)(intptr_t)start.function(start.argument);
}

EXPORTED int thrd_create(thrd_t *ret_thread, thrd_start_t function, void *argument)
{
    struct thread_start *start = malloc(sizeof *start);
    if (start == NULL)
        return thrd_nomem;
    *start = (struct thread_start){.function = function, .argument = argument};
    int code = pthread_create(ret_thread, NULL, thread_main, start);
    if (code != 0)
        free(start);
    return thread_result(code);
}

EXPORTED int thrd_join(thrd_t thread, int *ret_value)
{
    void *value = NULL;
    int code = pthread_join(thread, &value);
    if (code == 0 && ret_value != NULL)
        *ret_value = (int)(intptr_t)value;
    return thread_result(code);
}

EXPORTED int thrd_detach(thrd_t thread)
{
    return thread_result(pthread_detach(thread));
}

EXPORTED int mtx_init(mtx_t *mutex, int type)
{
    pthread_mutexattr_t attributes;
    (void)pthread_mutexattr_init(&attributes);
    if ((type & mtx_recursive) != 0)
        (void)pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    int code = pthread_mutex_init((pthread_mutex_t *)mutex, &attributes);
    (void)pthread_mutexattr_destroy(&attributes);
    return thread_result(code);
}

EXPORTED void mtx_destroy(mtx_t *mutex)
{
    (void)pthread_mutex_destroy((pthread_mutex_t *)mutex);
}

EXPORTED int mtx_lock(mtx_t *mutex)
{
    return thread_result(pthread_mutex_lock((pthread_mutex_t *)mutex));
}

EXPORTED int mtx_trylock(mtx_t *mutex)
{
    return thread_result(pthread_mutex_trylock((pthread_mutex_t *)mutex));
}

EXPORTED int mtx_unlock(mtx_t *mutex)
{
    return thread_result(pthread_mutex_unlock((pthread_mutex_t *)mutex));
}

EXPORTED int cnd_init(cnd_t *condition)
{
    return thread_result(pthread_cond_init((pthread_cond_t *)condition, NULL));
}

EXPORTED void cnd_destroy(cnd_t *condition)
{
    (void)pthread_cond_destroy((pthread_cond_t *)condition);
}

EXPORTED int cnd_signal(cnd_t *condition)
{
    return thread_result(pthread_cond_signal((pthread_cond_t *)condition));
}

EXPORTED int cnd_broadcast(cnd_t *condition)
{
    return thread_result(pthread_cond_broadcast((pthread_cond_t *)condition));
}

EXPORTED int cnd_wait(cnd_t *condition, mtx_t *mutex)
{
    return thread_result(pthread_cond_wait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex));
}

EXPORTED int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *end)
{
    return thread_result(
        pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, end));
}
