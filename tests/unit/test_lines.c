/* Reading lines from a pipe: every line ending, every content, and the maximum length. */
#include "tests/support/test.h"

#include "common/lines.h"

static FILE *file_of(const char *bytes, size_t length)
{
    FILE *file = fopen(test_path("lines"), "w+");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    rewind(file);
    return file;
}

static void lines_end_by_lf_crlf_or_the_input_and_may_hold_anything(void **state)
{
    static const char bytes[] = "one\n\r\n\0two\r\nlast";
    static const struct slice expected[] = {{"one", 3}, {"", 0}, {"\0two", 4}, {"last", 4}};
    struct error err = ERROR_INIT;
    struct lines lines;
    bool more = false;
    (void)state;
    FILE *in = file_of(bytes, sizeof bytes - 1);
    lines_init(&lines, in);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(lines_next(&lines, &more, &err), STATUS_OK);
        assert_true(more);
        assert_int_equal(lines.number, i + 1);
        assert_int_equal(lines.text.length, expected[i].length);
        if (expected[i].length > 0)
            assert_memory_equal(lines.text.data, expected[i].data, expected[i].length);
    }
    assert_int_equal(lines_next(&lines, &more, &err), STATUS_OK);
    assert_false(more);
    lines_done(&lines);
    (void)fclose(in);
}

static void a_line_longer_than_the_maximum_is_refused_with_its_number(void **state)
{
    struct error err = ERROR_INIT;
    struct lines lines;
    bool more = false;
    (void)state;
    char *bytes = malloc(2 * LINES_LENGTH_MAX + 3);
    assert_non_null(bytes);
    memset(bytes, 'x', 2 * LINES_LENGTH_MAX + 3);
    bytes[LINES_LENGTH_MAX - 1] = '\n';
    FILE *in = file_of(bytes, 2 * LINES_LENGTH_MAX + 3);
    lines_init(&lines, in);
    assert_int_equal(lines_next(&lines, &more, &err), STATUS_OK);
    assert_int_equal(lines.text.length, LINES_LENGTH_MAX - 1);
    assert_int_equal(lines_next(&lines, &more, &err), STATUS_REJECT);
    assert_string_equal(err.text, "line 2: longer than the limit of 16777216 bytes");
    assert_true(lines.text.size <= 2 * LINES_LENGTH_MAX);
    lines_done(&lines);
    (void)fclose(in);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines_end_by_lf_crlf_or_the_input_and_may_hold_anything),
        TEST(a_line_longer_than_the_maximum_is_refused_with_its_number),
    };
    return TEST_RUN(tests);
}
