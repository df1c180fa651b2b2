/* Wrappers around the allocator, which count down to a failure. */
#include "tests/support/failing_malloc.h"

#include <errno.h>

#define ALLOCATIONS_MAX 100000

static _Thread_local long countdown = -1; /* -1: no failure */
static _Thread_local bool has_failed;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t length);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t length);

static bool failing_malloc_due(void)
{
    if (countdown < 0 || countdown-- > 0)
        return false;
    has_failed = true;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return failing_malloc_due() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return failing_malloc_due() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return failing_malloc_due() ? NULL : __real_realloc(memory, size);
}

char *__wrap_strdup(const char *text)
{
    return failing_malloc_due() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t length)
{
    return failing_malloc_due() ? NULL : __real_strndup(text, length);
}

void failing_malloc_at(long allocation)
{
    has_failed = false;
    countdown = allocation;
}

bool failing_malloc_off(void)
{
    countdown = -1;
    return has_failed;
}

long failing_malloc_each(bool (*attempt)(void *context), void *context, bool all_or_nothing)
{
    for (long allocation = 0; allocation < ALLOCATIONS_MAX; allocation++) {
        failing_malloc_at(allocation);
        bool done = attempt(context);
        if (!failing_malloc_off()) {
            assert_true(done);
            return allocation;
        }
        if (all_or_nothing && done)
            test_fail("allocation %ld failed and nobody noticed", allocation);
    }
    test_fail("more than %d allocations", ALLOCATIONS_MAX);
}
