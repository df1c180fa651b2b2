/* Counts threads from their start to their end. */
#include "tests/support/threads.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

/* What the linker makes of --wrap. A test that counts allocations does not count this one. */
int __real_pthread_create(pthread_t *ret_thread, const pthread_attr_t *attributes,
                          void *(*function)(void *), void *argument);
int __wrap_pthread_create(pthread_t *ret_thread, const pthread_attr_t *attributes,
                          void *(*function)(void *), void *argument);
void *__real_malloc(size_t size);

struct thread_start {
    void *(*function)(void *);
    void *argument;
};

static atomic_size_t running;

size_t threads_running(void)
{
    return atomic_load(&running);
}

int64_t threads_used_us(void)
{
    struct timespec used = {0};
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

static void thread_ended(void *unused)
{
    (void)unused;
    atomic_fetch_sub(&running, 1);
}

static void *thread_main(void *context)
{
    struct thread_start start = *(struct thread_start *)context;
    void *result = NULL;
    free(context);
    pthread_cleanup_push(thread_ended, NULL);
    result = start.function(start.argument);
    pthread_cleanup_pop(1);
    return result;
}

int __wrap_pthread_create(pthread_t *ret_thread, const pthread_attr_t *attributes,
                          void *(*function)(void *), void *argument)
{
    struct thread_start *start = __real_malloc(sizeof *start);
    if (start == NULL)
        return EAGAIN;
    *start = (struct thread_start){.function = function, .argument = argument};
    atomic_fetch_add(&running, 1);
    int code = __real_pthread_create(ret_thread, attributes, thread_main, start);
    if (code != 0) {
        atomic_fetch_sub(&running, 1);
        free(start);
    }
    return code;
}
