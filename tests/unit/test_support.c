/* The tests' own support: programs, SQL, directories. */
#include "tests/support/process.h"
#include "tests/support/sql.h"
#include "tests/support/test.h"

#include "common/clock.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static void a_finished_program_leaves_its_exit_code_and_output(void **state)
{
    (void)state;
    struct process_result result = PROCESS_RUN("sh", "-c", "echo out; echo err >&2; exit 3");
    assert_int_equal(result.exit_code, 3);
    assert_string_equal(result.output, "out\n");
    assert_string_equal(result.errors, "err\n");
}

static void a_program_that_is_not_there_ends_with_127(void **state)
{
    (void)state;
    assert_int_equal(PROCESS_RUN("/nonexistent/program").exit_code, 127);
}

static void a_program_past_its_limit_is_killed(void **state)
{
    (void)state;
    const char *const argv[] = {"sleep", "100", NULL};
    assert_int_equal(process_run(argv, NULL, 50).exit_code, 124);
}

static void a_line_of_a_running_program_is_waited_for(void **state)
{
    (void)state;
    const char *const argv[] = {"sh", "-c", "echo \"port $PORT\"; exec sleep 100", NULL};
    const char *const environment[] = {"PORT=12", NULL};
    struct process *process = process_start("shell", argv, environment);
    assert_true(process_wait_for(process, "^port [0-9]+$", 10000));
    assert_false(process_wait_for(process, "^never$", 50));
    assert_true(process_running(process));
    assert_int_equal(process_stop(process, 5000), 128 + SIGTERM);
    assert_false(process_running(process));
    process_kill(process); /* a second kill does no harm */
}

static void rows_are_text(void **state)
{
    (void)state;
    const char *path = test_path("rows.db");
    const char *rows = sqlite_text(path, "CREATE TABLE t (a, b);"
                                         "INSERT INTO t VALUES (1, NULL), ('x', x'00ff');"
                                         "SELECT * FROM t; -- end");
    assert_string_equal(rows, "1|NULL\nx|x'00ff'\n");
    assert_int_equal(sqlite_number(path, "SELECT count(*) FROM t"), 2);
    assert_string_equal(sqlite_format(path, "SELECT %d + 1", 41), "42\n");
    assert_true(sqlite_wait_for(path, "SELECT count(*) FROM t", "2\n", 1000));
}

static void no_port_is_given_twice(void **state)
{
    int ports[200];
    (void)state;
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) {
        ports[i] = process_free_port();
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(ports[i], ports[j]);
    }
}

static void a_test_has_a_directory_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(access(test_directory(), W_OK), 0);
    assert_null(test_read_file(test_path("rows.db")));
    test_write_file(test_path("%s.txt", "a"), "text");
    assert_string_equal(test_read_file(test_path("a.txt")), "text");
}

#define INNER "TEST_SUPPORT_INNER" /* in the environment of this program: run the inner tests */

static void *count_up(void *context)
{
    atomic_int *count = context;
    for (;;) {
        atomic_fetch_add(count, 1);
        clock_sleep_us(1000);
    }
    return NULL;
}

static void an_inner_test_fails_while_its_thread_uses_its_stack(void **state)
{
    (void)state;
    atomic_int count = 0;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, count_up, &count), 0);
    while (atomic_load(&count) == 0)
        clock_sleep_us(1000);
    assert_string_equal("the first failure", "");
}

static void *end_at_once(void *context)
{
    return context;
}

static void an_inner_test_fails_when_its_thread_has_ended(void **state)
{
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, end_at_once, NULL), 0);
    (void)pthread_join(thread, NULL);
    assert_string_equal("a failure before", "");
}

static void an_inner_test_passes(void **state)
{
    (void)state;
}

static int run_inner(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_inner_test_fails_when_its_thread_has_ended),
        TEST(an_inner_test_passes),
        TEST(an_inner_test_fails_while_its_thread_uses_its_stack),
        TEST(an_inner_test_passes),
    };
    return TEST_RUN(tests);
}

static int times(const char *text, const char *words)
{
    int count = 0;
    for (; (text = strstr(text, words)) != NULL; text++)
        count++;
    return count;
}

static void a_failed_test_whose_threads_still_run_is_the_last_one(void **state)
{
    (void)state;
    const char *const argv[] = {"/proc/self/exe", NULL};
    const char *const environment[] = {INNER "=1", NULL};
    struct process_result result = process_run(argv, environment, 20000);
    const char *said = test_format("%s%s", result.output, result.errors);
    assert_int_equal(result.exit_code, EXIT_FAILURE);
    assert_int_equal(times(said, "a failure before"), 1);
    assert_int_equal(times(said, "the first failure"), 1);
    assert_int_equal(times(said, "[       OK ] an_inner_test_passes"), 1);
    assert_int_equal(times(said, "the program ends here: "
                                 "an_inner_test_fails_while_its_thread_uses_its_stack failed or "
                                 "was skipped, and threads of it still run (1)"),
                     1);
}

int main(void)
{
    if (getenv(INNER) != NULL)
        return run_inner();
    const struct CMUnitTest tests[] = {
        TEST(a_finished_program_leaves_its_exit_code_and_output),
        TEST(a_program_that_is_not_there_ends_with_127),
        TEST(a_program_past_its_limit_is_killed),
        TEST(a_line_of_a_running_program_is_waited_for),
        TEST(rows_are_text),
        TEST(no_port_is_given_twice),
        TEST(a_test_has_a_directory_of_its_own),
        TEST(a_failed_test_whose_threads_still_run_is_the_last_one),
    };
    return TEST_RUN(tests);
}
