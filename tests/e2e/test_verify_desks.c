/* `keepstep verify` that asks the sidecars of the other services for their rows, over three real
 * databases. labels: early */
#include "common/clock.h"
#include "tests/support/load.h"
#include "tests/support/repair.h"
#include "tests/support/trio.h"
#include "tests/support/verify.h"

#include <sysexits.h>

#define RUNS_MIN 4
#define RUNS_MAX 40 /* if nothing was compared in the others */
#define WAIT_MS  120000

static void expect(const struct process_result *result, const char *entity_type, size_t kind,
                   const char *expected)
{
    const char *found = verify_copy(result, entity_type, verify_dialects[kind].service);
    if (strstr(found, expected) != found)
        test_fail("%s at %s: \"%s\" instead of \"%s\"; %s", entity_type,
                  verify_dialects[kind].service, found, expected, result->errors);
}

/* One service asks all others. */
static struct process_result ask(const struct trio *trio, size_t asker, const char *word)
{
    const struct sidecar *services[] = {&trio->services[asker], NULL};
    return VERIFY(services, "--json", word);
}

/* The members must have reported before they can be asked. */
static void wait_for_members(const struct trio *trio)
{
    for (int i = 0; i < 600; i++) {
        struct process_result result = sidecar_run(&trio->services[0], "copies", NULL, NULL);
        size_t found = 0;
        for (size_t kind = 0; kind < VERIFY_KINDS; kind++)
            found += strstr(result.output, verify_dialects[kind].service) != NULL;
        if (found == VERIFY_KINDS && strstr(result.output, "starting") == NULL)
            return;
        clock_sleep_us(200000);
    }
    test_fail("the services do not report");
}

static struct process *start(const struct trio *trio, size_t asker, const char *failpoint)
{
    static int starts;
    const char *const argv[] = {KEEPSTEP_BINARY, "verify", "-c", trio->services[asker].config,
                                "--json",        NULL};
    const char *const environment[] = {
        failpoint == NULL ? NULL : test_format("KEEPSTEP_FAILPOINT=%s", failpoint), NULL};
    return process_start(test_format("verify-%d", ++starts), argv, environment);
}

struct runs {
    int all;
    int calm;     /* that nobody was killed in */
    int compared; /* in those */
};

/* Some rows are changed by hand, and mended behind it. Of those who answer one may be killed: what
 * it has said counts for nothing then. */
static void run_among_plants(struct trio *trio, struct plants *plants, struct runs *runs)
{
    size_t asker = (size_t)runs->all % VERIFY_KINDS;
    bool kills = runs->all % 2 == 0;
    plants_make(plants);
    struct process *verify = start(trio, asker, NULL);
    clock_sleep_us(load_random(&plants->seed, 600) * INT64_C(1000));
    if (kills)
        load_kill(
            &trio->services[(asker + 1 + (size_t)load_random(&plants->seed, 2)) % VERIFY_KINDS]);
    int code = process_wait(verify, WAIT_MS);
    if (code != EX_OK && code != EX_DATAERR && code != EX_TEMPFAIL)
        test_fail("exit code %d: %s%s", code, process_output(verify), process_errors(verify));
    plants_judge(plants, process_output(verify), 0, NULL, NULL);
    plants_undo(plants);
    runs->all++;
    runs->calm += !kills;
    runs->compared += !kills && strstr(process_output(verify), "\"equal\"") != NULL;
}

static void end_writer(struct process *writer)
{
    assert_true(load_client_end(writer, WAIT_MS) < 2 * TRIO_STATEMENTS);
}

/* @return the writer at a service, or another one where it has ended. */
static struct process *go_on(const struct trio *trio, size_t kind, struct process *writer)
{
    if (process_running(writer))
        return writer;
    end_writer(writer);
    return trio_write(trio, kind);
}

static void rows_are_compared_over_desks_under_writes_and_at_rest(void **state)
{
    (void)state;
    struct trio trio;
    struct process *writers[VERIFY_KINDS];
    struct runs runs = {0};
    trio_begin(&trio);
    wait_for_members(&trio);
    struct plants plants = trio_prepare_plants(&trio);
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        writers[i] = trio_write(&trio, i);
    int64_t until_us = clock_monotonic_us() +
                       load_number("TEST_LOAD_SECONDS", 0) * INT64_C(1000000);
    while (runs.all < RUNS_MIN || clock_monotonic_us() < until_us ||
           (runs.all < RUNS_MAX && (runs.compared == 0 || plants.found == 0))) {
        run_among_plants(&trio, &plants, &runs);
        for (size_t i = 0; i < VERIFY_KINDS; i++)
            writers[i] = go_on(&trio, i, writers[i]);
    }
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        end_writer(writers[i]);
    trio_settle(&trio);
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        struct process_result result = ask(&trio, i, NULL);
        if (result.exit_code != EX_OK || verify_count(&result, "equal") != 8)
            test_fail("exit code %d: %s%s", result.exit_code, result.output, result.errors);
    }
    print_message("note: %d runs under writes; %d of %d without a kill found copies equal; of %d "
                  "rows changed by hand: %d times found, %d times left out, 0 missed\n",
                  runs.all, runs.compared, runs.calm, plants.planted, plants.found, plants.left);
    assert_true(runs.compared > 0);
    assert_true(plants.found > 0);
    assert_int_equal(plants.false_alarms, 0);
    trio_end(&trio);
}

#define PLANTED "different: {\"id\":1} differs, {\"id\":2} missing, {\"id\":99} extra"

/* A reference that nobody knows would be taken for none. A type that is named twice is compared
 * once. */
static void names_of_nobody_are_refused(const struct trio *trio)
{
    static const struct {
        const char *words[3];
        int code;
        const char *error;
    } cases[] = {
        {{"order", "--from", "nobody"}, EX_CONFIG, "--from nobody: no service of that name has"},
        {{"order", "--from", ""}, EX_CONFIG, "--from : no service of that name has rows of order"},
        {{"--from", "nobody", NULL}, EX_CONFIG, "has rows of any of these types"},
        {{"order", "--of", ""}, EX_USAGE, "--of wants names of services"},
        {{"order", "order", NULL}, EX_OK, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct process_result result = PROCESS_RUN(
            KEEPSTEP_BINARY, "verify", "-c", trio->services[DATABASE_POSTGRESQL].config,
            cases[i].words[0], cases[i].words[1], cases[i].words[2]);
        if (result.exit_code != cases[i].code || strstr(result.errors, cases[i].error) == NULL)
            test_fail("case %zu: exit code %d, \"%s\"", i, result.exit_code, result.errors);
        if (cases[i].code != EX_OK) /* nothing was compared with another one before */
            assert_string_equal(result.output, "");
        const char *said = strstr(result.output, "order ");
        if (cases[i].code == EX_OK && (said == NULL || strstr(said + 1, "\norder ") != NULL))
            test_fail("%s", result.output);
    }
}

/* The source's rows come from its sidecar; where the copy is, its database is opened. */
static void repair_from_a_name(const struct trio *trio)
{
    const struct sidecar *lite = &trio->services[DATABASE_SQLITE];
    const struct sidecar post = {.config = "post"}; /* no file has that name */
    const struct sidecar nobody = {.config = "nobody"};
    struct process_result result = repair_command_run(lite, &post, "order",
                                                      (const char *const[]){"--dry-run", NULL});
    assert_int_equal(result.exit_code, EX_DATAERR);
    result = repair_command_run(lite, &post, "order", (const char *const[]){NULL});
    if (result.exit_code != EX_OK)
        test_fail("exit code %d: %s%s", result.exit_code, result.output, result.errors);
    assert_string_equal(result.output, "order at lite, from post\n  {\"id\":1}   repaired\n"
                                       "  {\"id\":2}   created\n  {\"id\":99}   deleted\n");
    result = repair_command_run(lite, &nobody, "order", (const char *const[]){NULL});
    assert_int_equal(result.exit_code, EX_CONFIG);
    result = repair_command_run(&trio->services[DATABASE_POSTGRESQL], &post, "order",
                                (const char *const[]){"--at", "lite", NULL});
    assert_int_equal(result.exit_code, EX_CONFIG);
    if (strstr(result.errors, "run keepstep repair order --from post there, with the configuration "
                              "of lite") == NULL)
        test_fail("%s", result.errors);
}

/* A second database under the name of "lite". */
static struct sidecar begin_twin(const struct trio *trio)
{
    struct sidecar twin = sidecar_make(
        trio->kafka, "twin", test_format("CREATE TABLE orders (%s)", verify_dialects[0].columns),
        "apply:\n  order: {table: orders, partitions: 2}\n");
    test_write_file(twin.config,
                    test_format("service: lite%s", strchr(test_read_file(twin.config), '\n')));
    sidecar_begin(&twin);
    sidecar_expect(&twin, "SELECT count(*) FROM orders", "3\n");
    return twin;
}

/* Each is asked, and told apart by its id. */
static void two_copies_of_one_name_are_both_compared(const struct trio *trio)
{
    struct sidecar twin = begin_twin(trio);
    const struct sidecar *post = &trio->services[DATABASE_POSTGRESQL];
    const struct sidecar *const asker[] = {post, NULL};
    struct process_result result = {0};
    for (int i = 0; i < 600; i++) {
        result = VERIFY(asker, "--json", "order", "--of", "lite");
        if (strstr(result.output, "\"equal\"") != NULL)
            break;
        clock_sleep_us(200000); /* it has not reported yet */
    }
    if (verify_count(&result, "equal") != 1 || verify_count(&result, "different") != 1)
        test_fail("%s%s", result.output, result.errors);
    const char *id = database_text(twin.url, "SELECT value FROM keepstep_meta WHERE key = "
                                             "'copy_id'");
    result = VERIFY(asker, "order", "--of", "lite");
    const char *line = test_format("  lite/%.36s equal\n", id);
    if (strstr(result.output, line) == NULL || strstr(result.output, " DIFFERENT: ") == NULL)
        test_fail("no \"%s\" in %s", line, result.output);
    sidecar_stop(&twin);
}

/* A comparison would pass over it, and say that all are equal. */
static void a_service_without_rows_of_the_type_cannot_be_named(const struct trio *trio)
{
    static const char ware[] =
        "{\"v\":1,\"service\":\"ware\",\"copy\":\"-\",\"instance\":\"1\",\"version\":\"\","
        "\"at\":\"2026-11-27T22:40:00.123456Z\",\"publishes\":{},\"outbox\":{\"waiting\":-1,"
        "\"set_aside\":-1},\"applies\":{},\"positions\":{}}";
    const struct sidecar *const asker[] = {&trio->services[DATABASE_POSTGRESQL], NULL};
    (void)kafka_produce(trio->kafka, sidecar_topic("keepstep"), 0, "member/ware/-/1", ware, NULL);
    struct process_result result = VERIFY(asker, "order", "--of", "maria,ware");
    assert_int_equal(result.exit_code, EX_CONFIG);
    if (strstr(result.errors, "--of ware: it has no rows of order") == NULL)
        test_fail("%s", result.errors);
    result = VERIFY(asker, "--of", "maria,ware");
    assert_int_equal(result.exit_code, EX_CONFIG);
    if (strstr(result.errors, "--of ware: it has no rows of any of these types") == NULL)
        test_fail("%s", result.errors);
}

static void planted_differences_are_found_over_desks(void **state)
{
    (void)state;
    struct trio trio;
    trio_begin(&trio);
    trio_insert(&trio);
    trio_settle(&trio);
    wait_for_members(&trio);
    trio_plant(&trio, DATABASE_SQLITE, "orders");
    trio_plant(&trio, DATABASE_MARIADB, "visits");
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        struct process_result result = ask(&trio, i, i == 0 ? "--rows" : NULL);
        assert_int_equal(result.exit_code, EX_DATAERR);
        expect(&result, "order", DATABASE_SQLITE, PLANTED);
        expect(&result, "order", DATABASE_MARIADB, "equal");
        expect(&result, "visit", DATABASE_MARIADB, PLANTED);
        expect(&result, "visit", DATABASE_POSTGRESQL, "equal");
    }
    struct process_result text = sidecar_run(&trio.services[DATABASE_POSTGRESQL], "verify", "order",
                                             "--rows");
    print_message("%s", text.output);
    a_service_without_rows_of_the_type_cannot_be_named(&trio);
    repair_from_a_name(&trio);
    names_of_nobody_are_refused(&trio);
    sidecar_stop(&trio.services[DATABASE_MARIADB]);
    struct process_result silent = ask(&trio, DATABASE_POSTGRESQL, NULL);
    expect(&silent, "order", DATABASE_MARIADB, "not compared: no answer from maria (last heard ");
    expect(&silent, "order", DATABASE_SQLITE, "equal");
    trio_plant(&trio, DATABASE_SQLITE, "orders");
    two_copies_of_one_name_are_both_compared(&trio);
    trio_end(&trio);
}

#define ASKERS 4

static void four_verifies_at_once_all_end(const struct trio *trio)
{
    struct process *askers[ASKERS];
    for (size_t i = 0; i < ASKERS; i++)
        askers[i] = start(trio, i % VERIFY_KINDS, NULL);
    for (size_t i = 0; i < ASKERS; i++) {
        if (process_wait(askers[i], WAIT_MS) != EX_OK)
            test_fail("%s%s", process_output(askers[i]), process_errors(askers[i]));
    }
}

/* At their desks the snapshots end by the limit that the asker has named. */
static void an_asker_that_dies_leaves_nothing_held(void **state)
{
    static const char *const points[] = {"verify_asked:1", "verify_asked:2", "verify_answered:1",
                                         "verify_asked:3", "verify_answered:3"};
    static const char idle[] =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND state LIKE 'idle in transaction%'";
    (void)state;
    struct trio trio;
    trio_begin(&trio);
    wait_for_members(&trio);
    four_verifies_at_once_all_end(&trio);
    const struct sidecar *lite = &trio.services[DATABASE_SQLITE];
    const char *config = test_read_file(lite->config);
    test_write_file(lite->config, test_format("%slimits:\n  scan_time_s: 5\n", config));
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        assert_int_equal(process_wait(start(&trio, DATABASE_SQLITE, points[i]), WAIT_MS), 137);
    assert_true(database_wait_for(trio.services[DATABASE_POSTGRESQL].url, idle, "0\n", WAIT_MS));
    assert_true(database_wait_for(trio.services[DATABASE_MARIADB].url,
                                  "SELECT count(*) FROM information_schema.innodb_trx", "0\n",
                                  WAIT_MS));
    test_write_file(lite->config, config);
    struct process_result result = ask(&trio, DATABASE_SQLITE, NULL);
    if (result.exit_code != EX_OK)
        test_fail("%s%s", result.output, result.errors);
    trio_end(&trio);
}

int main(void)
{
    unsigned int limit = 900 + (unsigned int)load_number("TEST_LOAD_SECONDS", 0);
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(rows_are_compared_over_desks_under_writes_and_at_rest, limit),
        TEST_WITH_LIMIT(an_asker_that_dies_leaves_nothing_held, 900),
        TEST_WITH_LIMIT(planted_differences_are_found_over_desks, 600),
    };
    return TEST_RUN(tests);
}
