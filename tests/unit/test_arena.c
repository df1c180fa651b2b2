/* An arena gives all its memory back at once: alignment, maximum, reuse, failed allocations. */
#include "common/arena.h"

#include <stdalign.h>

#include "tests/support/failing_malloc.h"
#include "tests/support/test.h"

#define LARGE ((size_t)200 * 1024)

static void memory_is_zeroed_and_aligned(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, LARGE);
    for (size_t size = 1; size < 100; size++) {
        unsigned char *memory = arena_alloc(&arena, size);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(memory[i], 0);
        memset(memory, 0xff, size);
    }
    arena_done(&arena);
}

static void memory_is_zeroed_again_after_a_reset(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, LARGE);
    unsigned char *memory = arena_alloc(&arena, 1000);
    assert_non_null(memory);
    memset(memory, 0xff, 1000);
    arena_reset(&arena);
    assert_int_equal(arena.used, 0);
    unsigned char *again = arena_alloc(&arena, 1000);
    assert_ptr_equal(again, memory);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(again[i], 0);
    arena_done(&arena);
}

static void the_maximum_is_kept_to(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 64);
    assert_null(arena_alloc(&arena, 65));
    assert_non_null(arena_alloc(&arena, 64));
    assert_null(arena_alloc(&arena, 1));
    arena_reset(&arena);
    assert_non_null(arena_alloc(&arena, 1));
    arena_done(&arena);
}

static void a_size_that_overflows_is_refused(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX - 64));
    arena_done(&arena);
}

static void a_request_larger_than_a_block_is_served(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 2 * LARGE);
    char *small = arena_alloc(&arena, 10);
    char *large = arena_alloc(&arena, LARGE);
    char *after = arena_alloc(&arena, 10);
    assert_non_null(small);
    assert_non_null(large);
    assert_non_null(after);
    memset(large, 1, LARGE);
    assert_int_equal(small[0], 0);
    assert_int_equal(after[0], 0);
    arena_reset(&arena);
    assert_ptr_equal(arena_alloc(&arena, LARGE), large); /* the blocks are used again */
    arena_done(&arena);
}

static void a_copy_ends_with_a_nul(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 64);
    struct slice copy = arena_copy(&arena, (struct slice){.data = "a\0bc", .length = 3});
    assert_int_equal(copy.length, 3);
    assert_memory_equal(copy.data, "a\0b\0", 4);
    copy = arena_copy(&arena, (struct slice){0});
    assert_string_equal(copy.data, "");
    assert_int_equal(copy.length, 0);
    arena_done(&arena);
}

static void a_copy_past_the_maximum_is_not_there(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 4);
    assert_null(arena_copy(&arena, slice_of("12345")).data);
    arena_done(&arena);
}

static bool fill(void *context)
{
    struct arena arena;
    bool done = true;
    arena_init(&arena, 4 * LARGE);
    for (int i = 0; i < 3 && done; i++)
        done = arena_alloc(&arena, LARGE) != NULL && arena_copy(&arena, slice_of("x")).data;
    *(bool *)context = done;
    arena_done(&arena);
    return done;
}

static void each_failing_allocation_is_reported(void **state)
{
    (void)state;
    bool done = false;
    assert_true(failing_malloc_each(fill, &done, true) >= 3);
    assert_true(done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(memory_is_zeroed_and_aligned),
        TEST(memory_is_zeroed_again_after_a_reset),
        TEST(the_maximum_is_kept_to),
        TEST(a_size_that_overflows_is_refused),
        TEST(a_request_larger_than_a_block_is_served),
        TEST(a_copy_ends_with_a_nul),
        TEST(a_copy_past_the_maximum_is_not_there),
        TEST(each_failing_allocation_is_reported),
    };
    return TEST_RUN(tests);
}
