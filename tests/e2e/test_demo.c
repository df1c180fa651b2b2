/* `keepstep demo` is what newcomers run first: it must end well, say so, and clean up. */
#include "tests/support/process.h"

#include <unistd.h>

#define DEMO_LIMIT_MS 90000

static int count_of(const char *text, const char *word)
{
    int count = 0;
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word))
        count++;
    return count;
}

static void the_demo_ends_with_equal_tables(void **state)
{
    (void)state;
    if (PROCESS_RUN("sqlite3", "--version").exit_code != 0)
        test_skip("no sqlite3 program");
    const char *directory = test_path("demo");
    const char *const demo[] = {KEEPSTEP_BINARY, "demo", "--directory", directory, NULL};

    struct process_result result = process_run(demo, NULL, DEMO_LIMIT_MS);
    if (result.exit_code != 0)
        test_fail("the demo ended with %d: %s\n%s", result.exit_code, result.errors, result.output);
    assert_int_equal(count_of(result.output, " databases: equal\n"), 4);
    assert_null(strstr(result.output, "NOT EQUAL"));
    assert_null(strstr(result.output, " 0 rows"));
    assert_int_equal(access(test_path("demo/shop.db"), F_OK), 0);

    result = PROCESS_RUN(KEEPSTEP_BINARY, "demo", "--clean", "--directory", directory);
    assert_int_equal(result.exit_code, 0);
    assert_int_not_equal(access(directory, F_OK), 0);
}

static void clean_leaves_a_foreign_folder_alone(void **state)
{
    (void)state;
    const char *file = test_path("precious.txt");
    test_write_file(file, "mine");
    struct process_result result = PROCESS_RUN(KEEPSTEP_BINARY, "demo", "--clean", "--directory",
                                               test_directory());
    assert_int_not_equal(result.exit_code, 0);
    assert_non_null(strstr(result.errors, "was not made by keepstep demo"));
    assert_string_equal(test_read_file(file), "mine");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(the_demo_ends_with_equal_tables, 120),
        TEST(clean_leaves_a_foreign_folder_alone),
    };
    return TEST_RUN(tests);
}
