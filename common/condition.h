/* A condition on which threads wait up to a time of the monotonic clock. */
#ifndef COMMON_CONDITION_H
#define COMMON_CONDITION_H

#include <pthread.h>
#include <stdint.h>

/** Make it. pthread_cond_destroy() ends it. */
void condition_init(pthread_cond_t *ret_condition);

/** Wait until it is signalled, for `duration_us` at most. @lock held by the caller; it is free
 * meanwhile. */
void condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t duration_us);

#endif
