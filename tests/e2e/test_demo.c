/* `keepstep demo` is the first thing that newcomers run. It must succeed, say so, and clean up. */
#include "tests/support/http.h"
#include "tests/support/kafka.h"
#include "tests/support/process.h"
#include "tests/support/readme.h"
#include "tests/support/sql.h"

#include <stdio.h>
#include <unistd.h>

#define DEMO_LIMIT_MS   90000
#define JOINT_LIMIT_MS  200000
#define SETTLED_SECONDS 10 /* the demo waits at most 15 s */

static int count_of(const char *text, const char *word)
{
    int count = 0;
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word))
        count++;
    return count;
}

/* Run each command that the demo prints after `head`, unchanged. @return all their output. */
static const char *type_commands(const char *output, const char *head, int count)
{
    const char *all = "";
    const char *line = strstr(output, head);
    if (line == NULL)
        test_fail("nothing to type: %s", output);
    int typed = 0;
    while ((line = strchr(line, '\n')) != NULL && strncmp(++line, "  ", 2) == 0) {
        const char *command = test_format("%.*s", (int)strcspn(line, "\n"), line);
        if (strstr(command, "--clean") != NULL)
            continue;
        struct process_result result = PROCESS_RUN("sh", "-c", command);
        if (result.exit_code != 0)
            test_fail("%s\nended with %d: %s", command, result.exit_code, result.errors);
        all = test_format("%s%s", all, result.output);
        typed++;
    }
    assert_int_equal(typed, count);
    return all;
}

/* There it is the program that ./run builds, and the folder is the default.
 * @param first  the first line that it shows. */
static void expect_as_in_the_readme(const char *output, const char *first, const char *directory)
{
    const char *said = strstr(output, first);
    if (said == NULL)
        test_fail("no \"%s\": %s", first, output);
    said = test_replace(said, directory, "keepstep-demo");
    readme_expect(readme_block(first),
                  test_replace(said, KEEPSTEP_BINARY, "build/release/keepstep"));
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
    expect_as_in_the_readme(
        result.output,
        "The copies, row by row against the service that owns the table:", directory);
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

    const char *said = type_commands(result.output, " Try:\n", 3);
    assert_non_null(strstr(said, "|paid\n"));
    assert_non_null(strstr(said, "\nvalue     {"));

    /* The last line names this command. */
    const char *clean = test_format("demo --clean --directory %s\n", directory);
    size_t length = strlen(result.output);
    assert_true(length > strlen(clean));
    assert_string_equal(result.output + length - strlen(clean), clean);
    result = PROCESS_RUN("sh", "-c", test_format("'%s' %s", KEEPSTEP_BINARY, clean));
    assert_int_equal(result.exit_code, 0);
    assert_int_not_equal(access(directory, F_OK), 0);
}

/* Each service has a page of its own, at the address that is printed. */
static void expect_pages(const char *output)
{
    for (const char *const *service = (const char *const[]){"shop", "billing", "shipping", NULL};
         *service != NULL; service++) {
        const char *end = strstr(output, test_format("/  %s\n", *service));
        int port = 0;
        if (end != NULL) {
            while (end > output && end[-1] != '\n')
                end--;
        }
        if (end == NULL || sscanf(end, "  http://127.0.0.1:%d/", &port) != 1)
            test_fail("no page of %s: %s", *service, output);
        struct http_reply page = http_send_request(port, "GET", "/", "");
        struct http_reply about = http_send_request(port, "GET", "/api/state", "");
        if (strstr(page.body, "<title>Keepstep</title>") == NULL ||
            strstr(about.body, test_format("\"service\":\"%s\"", *service)) == NULL ||
            strstr(about.body, "\"actions\":true") == NULL)
            test_fail("%s: %s%s", *service, page.body, about.body);
    }
}

/* The demo runs on a Kafka and keeps its files. The printed commands need broker and sidecars,
 * which then still run. */
static void a_demo_that_is_kept_goes_on_until_it_is_stopped(void **state)
{
    (void)state;
    if (PROCESS_RUN("sqlite3", "--version").exit_code != 0)
        test_skip("no sqlite3 program");
    struct kafka *kafka = kafka_start();
    const char *directory = test_path("a demo");
    const char *const demo[] = {KEEPSTEP_BINARY,        "demo",        "--keep",  "--bootstrap",
                                kafka_bootstrap(kafka), "--directory", directory, NULL};
    struct process *process = process_start("demo", demo, NULL);
    if (!process_wait_for(process, "parked show 1 -c ", DEMO_LIMIT_MS))
        test_fail("%s%s", process_output(process), process_errors(process));
    const char *said = type_commands(process_output(process), " from here:\n", 6);
    if (strstr(said, "  agent      running\n") == NULL ||
        strstr(said, "\nBroker    reached\n") == NULL || strstr(said, "CONSUMER-ID") == NULL)
        test_fail("%s", said);
    expect_pages(process_output(process));
    if (!sqlite_wait_for(test_path("a demo/billing.db"),
                         "SELECT total FROM orders ORDER BY id DESC LIMIT 1", "9.90\n", 20000))
        test_fail("what was typed does not arrive");
    assert_int_equal(process_stop(process, 30000), 0);
    struct process_result status = PROCESS_RUN(KEEPSTEP_BINARY, "status", "-c",
                                               test_path("a demo/billing.yaml"));
    assert_null(strstr(status.output, "  agent      running"));
    const char *output = process_output(process);
    const char *clean = strstr(output, "is removed by:\n");
    assert_non_null(clean);
    assert_int_equal(PROCESS_RUN("sh", "-c", strchr(clean, '\n') + 1).exit_code, 0);
    assert_int_not_equal(access(directory, F_OK), 0);
}

/* The demo fails if the event that it poisons is not parked, or if others are parked too. The other
 * one is there seconds before the demo counts, and was skipped: no agent tries it. */
static void the_demo_fails_where_more_was_parked_than_it_poisoned(void **state)
{
    (void)state;
    if (PROCESS_RUN("sqlite3", "--version").exit_code != 0)
        test_skip("no sqlite3 program");
    const char *directory = test_path("demo");
    const char *const demo[] = {KEEPSTEP_BINARY, "demo", "--directory", directory, NULL};
    struct process *process = process_start("demo", demo, NULL);
    if (!process_wait_for(process, "billing's sidecar was killed", 60000))
        test_fail("%s%s", process_output(process), process_errors(process));
    (void)sqlite_text(
        test_path("demo/shipping.db"),
        "INSERT INTO keepstep_parked(topic, partition, \"offset\", state, reason, code,"
        " attempts, parked_at, next_attempt_at)"
        " VALUES('order', 0, -1, 3, 'planted', 0, 1, unixepoch() * 1000000,"
        " unixepoch() * 1000000)");
    assert_int_equal(process_wait(process, DEMO_LIMIT_MS), 70);
    const char *output = process_output(process);
    assert_int_equal(count_of(output, " parked 1 event (the poisoned one)"), 2);
    assert_non_null(strstr(output, " parked 2 events, NOT ONE, the poisoned one"));
    assert_non_null(strstr(output, "NOT ALL OF IT"));
}

static void the_demo_of_joint_transactions_ends_with_all_or_nothing(void **state)
{
    (void)state;
    if (PROCESS_RUN("sqlite3", "--version").exit_code != 0)
        test_skip("no sqlite3 program");
    const char *directory = test_path("demo");
    const char *const demo[] = {KEEPSTEP_BINARY, "demo", "--joint", "--directory", directory, NULL};
    struct process_result result = process_run(demo, NULL, JOINT_LIMIT_MS);
    if (result.exit_code != 0)
        test_fail("the demo ended with %d: %s\n%s", result.exit_code, result.errors, result.output);
    expect_as_in_the_readme(result.output,
                            "* Order 1 wants 3 lamps for 30.00. All three can make their part.",
                            directory);
    assert_non_null(strstr(result.output, "\nAll or nothing: "));
    assert_string_equal(
        sqlite_text(test_path("demo/shop.db"), "SELECT id, state FROM orders ORDER BY id"),
        "1|confirmed\n2|asked\n3|confirmed\n");
    assert_string_equal(sqlite_text(test_path("demo/warehouse.db"), "SELECT free FROM stock"),
                        "5\n");
    assert_string_equal(sqlite_text(test_path("demo/billing.db"),
                                    "SELECT credit_cents FROM accounts;"
                                    "SELECT id, cents FROM charges ORDER BY id"),
                        "5000\n1-1|3000\n3-1|2000\n");
    const char *said = type_commands(result.output, " Try:\n", 2);
    assert_non_null(strstr(said, "billing yes"));
    assert_non_null(strstr(said, "order-3|committed|"));
}

/* Somebody lays a bulb before the lamps, seconds before the demo looks how many of them are left.
 */
static void the_demo_of_joint_transactions_fails_where_a_row_is_not_as_it_should_be(void **state)
{
    (void)state;
    if (PROCESS_RUN("sqlite3", "--version").exit_code != 0)
        test_skip("no sqlite3 program");
    const char *directory = test_path("demo");
    const char *const demo[] = {KEEPSTEP_BINARY, "demo", "--joint", "--directory", directory, NULL};
    struct process *process = process_start("demo", demo, NULL);
    if (!process_wait_for(process, "Order 1 wants", JOINT_LIMIT_MS))
        test_fail("%s%s", process_output(process), process_errors(process));
    (void)sqlite_text(test_path("demo/warehouse.db"),
                      "INSERT INTO stock(rowid, id, free) VALUES(0, 'bulb', 1)");
    assert_int_equal(process_wait(process, JOINT_LIMIT_MS), 70);
    assert_non_null(strstr(process_output(process), "\nNOT ALL OR NOTHING: "));
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
        TEST_WITH_LIMIT(a_demo_that_is_kept_goes_on_until_it_is_stopped, 120),
        TEST_WITH_LIMIT(the_demo_of_joint_transactions_ends_with_all_or_nothing, 240),
        TEST_WITH_LIMIT(the_demo_of_joint_transactions_fails_where_a_row_is_not_as_it_should_be,
                        240),
        TEST(clean_leaves_a_foreign_folder_alone),
    };
    return TEST_RUN(tests);
}
