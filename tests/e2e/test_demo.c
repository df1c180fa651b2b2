/* `keepstep demo` is what newcomers run first: it must end well, say so, and clean up. */
#include "tests/support/process.h"
#include "tests/support/sql.h"

#include <unistd.h>

#define DEMO_LIMIT_MS   90000
#define SETTLED_SECONDS 10 /* it waits for 15 at most */

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
    assert_int_equal(count_of(result.output, " parked 1 event (the poisoned one)"), 3);
    assert_int_equal(count_of(result.output, ", recognised 1 duplicate\n"), 2);
    assert_null(strstr(result.output, "NOT "));
    const char *time = strstr(result.output, "\n  all of it ");
    assert_non_null(time);
    double seconds = strtod(time + strlen("\n  all of it "), NULL);
    if (seconds < 0 || seconds > SETTLED_SECONDS)
        test_fail("it took %.1f s: %s", seconds, result.output);
    assert_null(strstr(result.output, " 0 rows"));
    assert_int_equal(access(test_path("demo/shop.db"), F_OK), 0);

    /* As the last line says. */
    const char *clean = test_format("demo --clean --directory %s\n", directory);
    size_t length = strlen(result.output);
    assert_true(length > strlen(clean));
    assert_string_equal(result.output + length - strlen(clean), clean);
    result = PROCESS_RUN("sh", "-c", test_format("'%s' %s", KEEPSTEP_BINARY, clean));
    assert_int_equal(result.exit_code, 0);
    assert_int_not_equal(access(directory, F_OK), 0);
}

/* A poisoned event that was not parked, or five that were, is no good end. */
static void the_demo_fails_where_more_was_parked_than_it_poisoned(void **state)
{
    (void)state;
    if (PROCESS_RUN("sqlite3", "--version").exit_code != 0)
        test_skip("no sqlite3 program");
    const char *directory = test_path("demo");
    const char *const demo[] = {KEEPSTEP_BINARY, "demo", "--directory", directory, NULL};
    struct process *process = process_start("demo", demo, NULL);
    if (!process_wait_for(process, "published a poisoned event", 60000))
        test_fail("%s%s", process_output(process), process_errors(process));
    const char *database = test_path("demo/shipping.db");
    if (!sqlite_wait_for(database, "SELECT count(*) FROM keepstep_parked", "1\n", 10000))
        test_fail("%s", process_output(process));
    (void)sqlite_text(database, "CREATE TEMP TABLE t AS SELECT * FROM keepstep_parked;"
                                "UPDATE t SET parked_id = parked_id + 100, \"offset\" = -1;"
                                "INSERT INTO keepstep_parked SELECT * FROM t");
    assert_int_equal(process_wait(process, DEMO_LIMIT_MS), 70);
    const char *output = process_output(process);
    assert_int_equal(count_of(output, " parked 1 event (the poisoned one)"), 2);
    assert_non_null(strstr(output, " parked 2 events, NOT ONE, the poisoned one"));
    assert_non_null(strstr(output, "NOT ALL OF IT"));
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
        TEST_WITH_LIMIT(the_demo_fails_where_more_was_parked_than_it_poisoned, 180),
        TEST(clean_leaves_a_foreign_folder_alone),
    };
    return TEST_RUN(tests);
}
