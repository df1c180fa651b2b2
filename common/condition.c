/* Conditions with a limit that a change of the wall clock does not move. */
#include "common/condition.h"

#include "common/clock.h"

void condition_init(pthread_cond_t *ret_condition)
{
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(ret_condition, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

void condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t duration_us)
{
    int64_t until = clock_monotonic_us() + duration_us;
    struct timespec limit = {.tv_sec = until / 1000000, .tv_nsec = until % 1000000 * 1000};
    (void)pthread_cond_timedwait(condition, lock, &limit);
}
