/* Allocation that fails on demand in the code under test (linked with --wrap=malloc and so on). */
#ifndef TESTS_SUPPORT_FAILING_MALLOC_H
#define TESTS_SUPPORT_FAILING_MALLOC_H

#include "tests/support/test.h"

/** Let one allocation of this thread fail: the next one (0), the one after it (1), … */
void failing_malloc_at(long allocation);

/** Let all allocations succeed again. @return whether one has failed since failing_malloc_at(). */
bool failing_malloc_off(void);

/** Call `attempt` again and again, each time with a later allocation failing, until none is left to
 * fail: `attempt` must then return true. In between it must return false where `all_or_nothing`,
 * and leak nothing (the address sanitizer sees to that). @return how many allocations failed. */
long failing_malloc_each(bool (*attempt)(void *context), void *context, bool all_or_nothing);

#endif
