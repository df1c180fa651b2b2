/* Growing byte buffers: appending, the maximum, and what a failed allocation leaves. */
#include "common/buffer.h"

#include "tests/support/failing_malloc.h"
#include "tests/support/test.h"

static void an_empty_buffer_is_empty_text(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 100);
    assert_string_equal(buffer_text(&buffer), "");
    assert_int_equal(buffer_slice(&buffer).length, 0);
    buffer_done(&buffer);
}

static void appends_stand_one_after_the_other(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 1000);
    buffer_append(&buffer, "ab\0c", 4);
    buffer_append_text(&buffer, "d");
    buffer_append_format(&buffer, "%d-%s", 42, "e");
    assert_false(buffer.failed);
    assert_int_equal(buffer.length, 9);
    assert_memory_equal(buffer.data, "ab\0cd42-e", 10);
    buffer_done(&buffer);
}

static void every_size_around_a_growth_is_kept(void **state)
{
    (void)state;
    static const char letters[1100];
    for (size_t length = 250; length < 1030; length++) {
        struct buffer buffer;
        buffer_init(&buffer, sizeof letters);
        buffer_append(&buffer, letters, length);
        buffer_append_text(&buffer, "x");
        assert_false(buffer.failed);
        assert_int_equal(buffer.length, length + 1);
        assert_string_equal(buffer.data + length, "x");
        buffer_done(&buffer);
    }
}

static void the_maximum_itself_fits(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 5);
    buffer_append_text(&buffer, "12345");
    assert_false(buffer.failed);
    assert_string_equal(buffer_text(&buffer), "12345");
    buffer_done(&buffer);
}

static void one_byte_past_the_maximum_fails(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 5);
    buffer_append_text(&buffer, "123456");
    assert_true(buffer.failed);
    assert_string_equal(buffer_text(&buffer), "");
    buffer_done(&buffer);
}

static void the_maximum_holds_also_where_memory_is_left(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 5);
    buffer_append_text(&buffer, "123");
    buffer_append_text(&buffer, "456");
    assert_true(buffer.failed);
    assert_string_equal(buffer_text(&buffer), "123");
    buffer_done(&buffer);
}

static void after_a_failure_nothing_is_appended_until_the_reset(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 300);
    buffer_append_text(&buffer, "kept");
    buffer_append_format(&buffer, "%400s", "");
    buffer_append_text(&buffer, "small");
    assert_true(buffer.failed);
    assert_string_equal(buffer_text(&buffer), "kept");
    buffer_reset(&buffer);
    buffer_append_text(&buffer, "new");
    assert_false(buffer.failed);
    assert_string_equal(buffer_text(&buffer), "new");
    buffer_done(&buffer);
}

static void a_json_string_has_the_shortest_escapes(void **state)
{
    (void)state;
    static const char text[] = "a\"b\\c\n\r\t\b\f\x01\x1f\x7f/\xc3\xa9\0z";
    struct buffer buffer;
    buffer_init(&buffer, 1000);
    buffer_append_json(&buffer, (struct slice){.data = text, .length = sizeof text - 1});
    assert_string_equal(buffer_text(&buffer), "\"a\\\"b\\\\c\\n\\r\\t\\b\\f\\u0001\\u001f\x7f/"
                                              "\xc3\xa9\\u0000z\"");
    buffer_done(&buffer);
}

static void an_empty_json_string_is_two_quotes(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 1000);
    buffer_append_json(&buffer, slice_of(""));
    buffer_append_json(&buffer, (struct slice){0});
    assert_string_equal(buffer_text(&buffer), "\"\"\"\"");
    buffer_done(&buffer);
}

static bool append_much(void *context)
{
    struct buffer buffer;
    buffer_init(&buffer, 10000);
    for (int i = 0; i < 100; i++) {
        buffer_append_json(&buffer, slice_of("line\n"));
        buffer_append_format(&buffer, "%d", i);
    }
    bool done = !buffer.failed;
    *(size_t *)context = buffer.length;
    buffer_done(&buffer);
    return done;
}

static void each_failing_allocation_is_reported(void **state)
{
    (void)state;
    size_t length = 0;
    assert_true(failing_malloc_each(append_much, &length, true) >= 2);
    assert_int_equal(length, 100 * 8 + 190);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_buffer_is_empty_text),
        TEST(appends_stand_one_after_the_other),
        TEST(every_size_around_a_growth_is_kept),
        TEST(the_maximum_itself_fits),
        TEST(one_byte_past_the_maximum_fails),
        TEST(the_maximum_holds_also_where_memory_is_left),
        TEST(after_a_failure_nothing_is_appended_until_the_reset),
        TEST(a_json_string_has_the_shortest_escapes),
        TEST(an_empty_json_string_is_two_quotes),
        TEST(each_failing_allocation_is_reported),
    };
    return TEST_RUN(tests);
}
