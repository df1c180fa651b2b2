/* `keepstep repair` over three real databases: rows that were changed by hand get the log's value,
 * beside services that write and agents that run, and never an older one (rule 43).
 * labels: early */
#include "tests/support/load.h"
#include "tests/support/repair.h"
#include "tests/support/trio.h"
#include "tests/support/verify.h"

#include <signal.h>
#include <sysexits.h>

static const struct sidecar *at(const struct trio *trio, enum database_kind kind)
{
    return &trio->services[kind];
}

static void expect_code(const struct process_result *result, int code)
{
    if (result->exit_code != code)
        test_fail("exit code %d instead of %d: %s%s", result->exit_code, code, result->output,
                  result->errors);
}

static void expect(const struct process_result *result, const char *expected)
{
    const char *found = repair_entities(result);
    if (strcmp(found, expected) != 0)
        test_fail("\"%s\" instead of \"%s\": %s%s", found, expected, result->output,
                  result->errors);
}

static const char *row(const struct sidecar *service, const char *table, int id)
{
    return database_text(service->url, test_format("SELECT name FROM %s WHERE id = %d", table, id));
}

static void expect_row(const struct sidecar *service, const char *table, int id, const char *name)
{
    const char *sql = test_format("SELECT name FROM %s WHERE id = %d", table, id);
    if (!database_wait_for(service->url, sql, name, 20000))
        test_fail("%s %d at %s is \"%s\", not \"%s\"", table, id, service->name,
                  row(service, table, id), name);
}

/* Rows that nobody writes: what is planted there is there until it is repaired. */
static void write_cold_rows(const struct trio *trio)
{
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        const char *url = trio->services[i].url;
        for (int id = 101; id <= 103; id++)
            (void)database_text(url, test_format("INSERT INTO %ss VALUES (%d, 'cold', '1.50', 0.1)",
                                                 verify_dialects[i].entity_type, id));
        (void)database_text(
            url, test_format("INSERT INTO stocks VALUES (%d, 'cold', '1.50', 0.1)", 101 + (int)i));
    }
    trio_settle(trio);
}

static void plant(const struct trio *trio, enum database_kind kind, const char *table)
{
    const char *text = test_format("UPDATE %s SET price = 7.5 WHERE id = 101; "
                                   "DELETE FROM %s WHERE id = 102; "
                                   "INSERT INTO %s VALUES (199, 'planted', NULL, 0.5)",
                                   table, table, table);
    verify_write_silently(kind, trio->services[kind].url, table, text);
}

#define REPAIRED "{\"id\":101} repaired, {\"id\":102} created, {\"id\":199} deleted"

static const struct planted {
    enum database_kind copy;
    enum database_kind source;
    const char *entity_type;
} planted[] = {
    {DATABASE_SQLITE, DATABASE_POSTGRESQL, "order"},
    {DATABASE_MARIADB, DATABASE_SQLITE, "visit"},
    {DATABASE_POSTGRESQL, DATABASE_MARIADB, "product"},
    {DATABASE_POSTGRESQL, DATABASE_MARIADB, "stock"},
    {DATABASE_MARIADB, DATABASE_SQLITE, "stock"},
    {DATABASE_SQLITE, DATABASE_POSTGRESQL, "stock"},
};
#define PLANTED_COUNT (sizeof planted / sizeof *planted)

/* @return how many of the repairs had a writer beside them to their end. */
static int repair_planted(const struct trio *trio, struct process *const writers[])
{
    int beside = 0;
    for (size_t i = 0; i < PLANTED_COUNT; i++) {
        const struct planted *one = &planted[i];
        const char *table = test_format("%ss", one->entity_type);
        const struct sidecar *copy = at(trio, one->copy);
        plant(trio, one->copy, table);
        struct process_result dry = REPAIR(copy, at(trio, one->source), one->entity_type,
                                           "--dry-run");
        expect_code(&dry, EX_DATAERR);
        expect_row(copy, table, 199, "planted\n");
        expect_row(copy, table, 102, "");
        struct process_result result = REPAIR(copy, at(trio, one->source), one->entity_type);
        if (result.exit_code != EX_OK && result.exit_code != EX_TEMPFAIL)
            expect_code(&result, EX_OK);
        static const char *const words[] = {"{\"id\":101} repaired", "{\"id\":102} created",
                                            "{\"id\":199} deleted"};
        for (size_t k = 0; k < sizeof words / sizeof *words; k++) {
            if (strstr(repair_entities(&result), words[k]) == NULL)
                expect(&result, words[k]);
        }
        beside += process_running(writers[one->source]) || process_running(writers[one->copy]);
    }
    return beside;
}

static void rows_are_repaired_while_services_write_and_agents_run(void **state)
{
    (void)state;
    struct trio trio;
    struct process *writers[VERIFY_KINDS];
    trio_begin(&trio);
    write_cold_rows(&trio);
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        writers[i] = trio_write(&trio, i);
    int beside = repair_planted(&trio, writers);
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        assert_true(load_client_end(writers[i], 120000) < 2 * TRIO_STATEMENTS);
    trio_settle(&trio);
    struct process_result result = VERIFY(trio.all, "--json");
    if (result.exit_code != EX_OK || verify_count(&result, "equal") != 8)
        test_fail("exit code %d: %s%s", result.exit_code, result.output, result.errors);
    print_message("%d of %zu repairs beside a writer\n", beside, PLANTED_COUNT);
    assert_true(beside > 0);
    trio_end(&trio);
}

/* Both ways, at rest: the triggers of a publisher are silent, so nothing new is in an outbox or in
 * the log. A dry run writes nothing, and a second repair finds nothing. */
static void a_repair_publishes_nothing(void **state)
{
    (void)state;
    struct trio trio;
    trio_begin(&trio);
    write_cold_rows(&trio);
    int64_t records = sidecar_records(trio.kafka, "stock");
    for (size_t i = 3; i < PLANTED_COUNT; i++) {
        const struct planted *one = &planted[i];
        const struct sidecar *copy = at(&trio, one->copy);
        const struct sidecar *source = at(&trio, one->source);
        const char *outbox = database_text(copy->url, "SELECT max(position) FROM outbox");
        plant(&trio, one->copy, "stocks");
        struct process_result result = REPAIR(copy, source, "stock", "--dry-run");
        expect_code(&result, EX_DATAERR);
        expect(&result, REPAIRED);
        expect_row(copy, "stocks", 199, "planted\n");
        result = REPAIR(copy, source, "stock", "--key", "102");
        expect_code(&result, EX_OK);
        expect(&result, "{\"id\":102} created");
        expect_row(copy, "stocks", 199, "planted\n");
        result = REPAIR(copy, source, "stock");
        expect_code(&result, EX_OK);
        expect(&result, "{\"id\":101} repaired, {\"id\":199} deleted");
        result = REPAIR(copy, source, "stock");
        expect_code(&result, EX_OK);
        expect(&result, "");
        assert_string_equal(database_text(copy->url, "SELECT max(position) FROM outbox"), outbox);
    }
    trio_settle(&trio);
    assert_int_equal(sidecar_records(trio.kafka, "stock"), records);
    struct process_result result = VERIFY(trio.all, "--json");
    expect_code(&result, EX_OK);
    trio_end(&trio);
}

/* What happens at the source while a repair stands still at a point of its transaction. */
enum event { EVENT_UPDATE, EVENT_DELETE, EVENT_DELETE_AND_CREATE, EVENTS };

static const char *event_sql(enum event event, const char *table)
{
    static const char *const formats[EVENTS] = {
        [EVENT_UPDATE] = "UPDATE %s SET name = 'new' WHERE id = 101",
        [EVENT_DELETE] = "DELETE FROM %s WHERE id = 101",
        [EVENT_DELETE_AND_CREATE] = ("DELETE FROM %s WHERE id = 101; "
                                     "INSERT INTO %s VALUES (101, 'new', '1.50', 0.1)")};
    const char *text = "";
    for (const char *rest = formats[event]; *rest != '\0';) {
        size_t length = strcspn(rest, "%");
        text = test_format("%s%.*s%s", text, (int)length, rest, rest[length] == '%' ? table : "");
        rest += length + (rest[length] == '%' ? 2 : 0);
    }
    return text;
}

static void restore_row(const struct sidecar *source, const struct sidecar *copy, const char *table)
{
    if (*row(source, table, 101) == '\0')
        (void)database_text(source->url,
                            test_format("INSERT INTO %s VALUES (101, 'cold', '1.50', 0.1)", table));
    else
        (void)database_text(source->url,
                            test_format("UPDATE %s SET name = 'cold' WHERE id = 101", table));
    expect_row(copy, table, 101, "cold\n");
}

static struct process *repair_until(const struct sidecar *copy, const struct sidecar *source,
                                    const char *entity_type, const char *failpoint)
{
    struct process *process = repair_start(copy, source, entity_type, failpoint);
    if (!process_wait_stopped(process, 20000))
        test_fail("%s was not reached: %s%s", failpoint, process_output(process),
                  process_errors(process));
    return process;
}

static void change_while_stopped(const struct trio *trio, const struct planted *one,
                                 enum event event, const char *failpoint)
{
    const char *table = test_format("%ss", one->entity_type);
    const struct sidecar *copy = at(trio, one->copy);
    const struct sidecar *source = at(trio, one->source);
    const char *expected = event == EVENT_DELETE ? "" : "new\n";
    bool is_fenced = strcmp(failpoint, "repair_before_begin:stop") != 0;
    verify_write_silently(one->copy, copy->url, table,
                          test_format("UPDATE %s SET name = 'planted' WHERE id = 101", table));
    struct process *process = repair_until(copy, source, one->entity_type, failpoint);
    (void)database_text(source->url, event_sql(event, table));
    if (!is_fenced)
        expect_row(copy, table, 101, expected);
    process_signal(process, SIGCONT);
    int code = process_wait(process, 30000);
    if (code != EX_OK && code != EX_TEMPFAIL)
        test_fail("exit code %d: %s%s", code, process_output(process), process_errors(process));
    expect_row(copy, table, 101, expected);
    restore_row(source, copy, table);
}

static void an_entity_that_changes_meanwhile_gets_the_logs_value(void **state)
{
    (void)state;
    static const char *const failpoints[] = {"repair_before_begin:stop", "repair_after_begin:stop",
                                             "repair_before_write:stop"};
    struct trio trio;
    trio_begin(&trio);
    write_cold_rows(&trio);
    for (size_t i = 0; i < 3; i++) {
        for (int event = 0; event < EVENTS; event++) {
            for (size_t f = 0; f < sizeof failpoints / sizeof *failpoints; f++)
                change_while_stopped(&trio, &planted[i], (enum event)event, failpoints[f]);
        }
    }
    trio_settle(&trio);
    struct process_result result = VERIFY(trio.all, "--json");
    expect_code(&result, EX_OK);
    trio_end(&trio);
}

/* The copy's service writes the row after the first look. (SQLite lets nobody write then.) */
static void an_own_change_between_the_two_looks_stays(void **state)
{
    (void)state;
    struct trio trio;
    trio_begin(&trio);
    write_cold_rows(&trio);
    for (size_t i = 3; i < 5; i++) {
        const struct planted *one = &planted[i];
        const struct sidecar *copy = at(&trio, one->copy);
        const struct sidecar *source = at(&trio, one->source);
        verify_write_silently(one->copy, copy->url, "stocks",
                              "UPDATE stocks SET name = 'planted' WHERE id = 101");
        struct process *process = repair_until(copy, source, "stock", "repair_before_write:stop");
        (void)database_text(copy->url, "UPDATE stocks SET name = 'own' WHERE id = 101");
        process_signal(process, SIGCONT);
        int code = process_wait(process, 30000);
        if (code != EX_OK && code != EX_TEMPFAIL)
            test_fail("exit code %d: %s%s", code, process_output(process), process_errors(process));
        for (size_t k = 0; k < VERIFY_KINDS; k++)
            expect_row(trio.all[k], "stocks", 101, "own\n");
        (void)database_text(copy->url, "UPDATE stocks SET name = 'cold' WHERE id = 101");
        for (size_t k = 0; k < VERIFY_KINDS; k++)
            expect_row(trio.all[k], "stocks", 101, "cold\n");
    }
    trio_settle(&trio);
    struct process_result result = VERIFY(trio.all, "--json");
    expect_code(&result, EX_OK);
    trio_end(&trio);
}

/* The agent stands still within its transaction, with a change of the entity in its batch. */
static void a_repair_waits_for_a_batch_that_is_under_way(void **state)
{
    (void)state;
    struct trio trio;
    trio_begin(&trio);
    write_cold_rows(&trio);
    for (size_t i = 0; i < 3; i++) {
        const struct planted *one = &planted[i];
        const char *table = test_format("%ss", one->entity_type);
        struct sidecar *copy = &trio.services[one->copy];
        const struct sidecar *source = at(&trio, one->source);
        verify_write_silently(
            one->copy, copy->url, table,
            test_format("UPDATE %s SET name = 'planted' WHERE id IN (101, 103)", table));
        sidecar_stop(copy);
        sidecar_start(copy, "agent_after_apply:stop");
        (void)database_text(source->url, event_sql(EVENT_UPDATE, table));
        assert_true(process_wait_stopped(copy->process, 20000));
        struct process *process = repair_start(copy, source, one->entity_type, NULL);
        assert_int_equal(process_wait(process, 500), -1);
        expect_row(copy, table, 103, "planted\n");
        process_signal(copy->process, SIGCONT);
        int code = process_wait(process, 30000);
        if (code != EX_OK && code != EX_TEMPFAIL)
            test_fail("exit code %d: %s%s", code, process_output(process), process_errors(process));
        expect_row(copy, table, 101, "new\n");
        expect_row(copy, table, 103, "cold\n");
    }
    trio_settle(&trio);
    struct process_result result = VERIFY(trio.all, "--json");
    expect_code(&result, EX_OK);
    trio_end(&trio);
}

/* A row stands in another one's way: it is deleted first. A row that the database refuses is named,
 * and the others are repaired. A table whose rows others follow is not touched. */
static void a_row_that_the_database_refuses_is_named(void **state)
{
    (void)state;
    struct trio trio;
    trio_begin(&trio);
    write_cold_rows(&trio);
    const struct sidecar *copy = at(&trio, DATABASE_POSTGRESQL);
    const struct sidecar *source = at(&trio, DATABASE_SQLITE);
    (void)database_text(source->url, "UPDATE visits SET name = 'v' || id, price = id");
    for (int id = 101; id <= 103; id++) /* they are in two partitions */
        expect_row(copy, "visits", id, test_format("v%d\n", id));
    (void)database_text(copy->url, "DELETE FROM visits WHERE id = 102; "
                                   "INSERT INTO visits VALUES (199, 'v102', 1, 0.1); "
                                   "UPDATE visits SET price = 1 WHERE id = 103; "
                                   "CREATE UNIQUE INDEX visit_names ON visits (name); "
                                   "ALTER TABLE visits ADD CONSTRAINT cheap CHECK (price < 103) "
                                   "NOT VALID");
    struct process_result result = REPAIR(copy, source, "visit");
    expect_code(&result, EX_DATAERR);
    const char *found = repair_entities(&result);
    if (strstr(found, "{\"id\":102} created, {\"id\":103} refused") != found ||
        strstr(found, "cheap") == NULL || strstr(found, "{\"id\":199} deleted") == NULL)
        expect(&result, "102 created, 103 refused, 199 deleted");
    struct process_result text = repair_command_run(copy, source, "visit",
                                                    (const char *const[]){NULL});
    expect_code(&text, EX_DATAERR);
    print_message("%s", text.output);
    if (strstr(text.output, "visit at post, from lite\n  {\"id\":103}   REFUSED: ") == NULL)
        test_fail("%s", text.output);
    verify_write_silently(DATABASE_SQLITE, source->url, "visits",
                          "UPDATE visits SET name = x'00ff' WHERE id = 101");
    result = REPAIR(copy, source, "visit", "--key", "101");
    expect_code(&result, EX_DATAERR);
    expect(&result,
           "{\"id\":101} refused: column \"name\" of it at lite has no canonical form, so that "
           "no event carries it: correct the row there");
    expect_row(copy, "visits", 101, "v101\n");
    verify_write_silently(DATABASE_SQLITE, source->url, "visits",
                          "UPDATE visits SET name = 'v101' WHERE id = 101");
    (void)database_text(copy->url, "ALTER TABLE visits DROP CONSTRAINT cheap; CREATE TABLE notes "
                                   "(visit bigint REFERENCES visits ON DELETE CASCADE)");
    result = REPAIR(copy, source, "visit");
    expect_code(&result, EX_CONFIG);
    if (strstr(result.errors, "rows elsewhere change with its rows") == NULL)
        test_fail("%s", result.errors);
    (void)database_text(copy->url, "DROP TABLE notes");
    result = REPAIR(copy, source, "visit");
    expect_code(&result, EX_OK);
    expect(&result, "{\"id\":103} repaired");
    trio_end(&trio);
}

static void a_repair_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    struct trio trio;
    trio_begin(&trio);
    write_cold_rows(&trio);
    const struct sidecar *post = at(&trio, DATABASE_POSTGRESQL);
    const struct sidecar *lite = at(&trio, DATABASE_SQLITE);
    struct process_result result = REPAIR(post, lite, "order");
    expect_code(&result, EX_CONFIG);
    result = REPAIR(post, post, "stock");
    expect_code(&result, EX_CONFIG);
    result = REPAIR(lite, post, "order", "--key", "{\"nr\":1}");
    expect_code(&result, EX_USAGE);
    result = REPAIR(lite, post, "order", "--key", "4711");
    expect_code(&result, EX_OK);
    expect(&result, "");
    trio_end(&trio);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_repair_that_makes_no_sense_is_refused, 120),
        TEST_WITH_LIMIT(a_repair_publishes_nothing, 180),
        TEST_WITH_LIMIT(a_row_that_the_database_refuses_is_named, 120),
        TEST_WITH_LIMIT(an_own_change_between_the_two_looks_stays, 180),
        TEST_WITH_LIMIT(an_entity_that_changes_meanwhile_gets_the_logs_value, 400),
        TEST_WITH_LIMIT(a_repair_waits_for_a_batch_that_is_under_way, 180),
        TEST_WITH_LIMIT(rows_are_repaired_while_services_write_and_agents_run, 400),
    };
    return TEST_RUN(tests);
}
