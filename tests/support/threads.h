/* Which threads of the code under test and of its tests still run. Link with
 * --wrap=pthread_create. Threads of shared libraries are not counted, but for those of librdkafka
 * with the thread sanitizer. */
#ifndef TESTS_SUPPORT_THREADS_H
#define TESTS_SUPPORT_THREADS_H

#include <stddef.h>
#include <stdint.h>

/** @return how many threads were started and have not ended. Any thread may ask. */
size_t threads_running(void);

/** @return how long the calling thread has used a processor. Unlike the time that passes, this does
 * not depend on what else runs. */
int64_t threads_used_us(void);

#endif
