/* Allocations of the code under test fail on demand. Link with --wrap=malloc and the like. */
#ifndef TESTS_SUPPORT_FAILING_MALLOC_H
#define TESTS_SUPPORT_FAILING_MALLOC_H

#include "tests/support/test.h"

/** Let one allocation of this thread fail: 0 is the next one, 1 the one after it. */
void failing_malloc_at(long allocation);

/** Let all allocations succeed again. @return whether one has failed since failing_malloc_at(). */
bool failing_malloc_off(void);

/** Call `attempt` repeatedly; each time a later allocation fails. End when no allocation is left to
 * fail: then `attempt` must return true. With `all_or_nothing` it must return false until then. It
 * may not leak (the address sanitizer checks that). @return how many allocations failed. */
long failing_malloc_each(bool (*attempt)(void *context), void *context, bool all_or_nothing);

#endif
