/* `keepstep verify` over three real databases: nothing is found under writes, and each planted
 * difference is found. */
#include "tests/support/database.h"
#include "tests/support/load.h"
#include "tests/support/verify.h"
#include "tests/support/verify_tables.h"

#include <sysexits.h>

#define STATEMENTS 300
#define KEYS       40
#define SCRIPT_MAX ((size_t)4 * 1024 * 1024)

struct trio {
    struct kafka *kafka;
    struct sidecar services[VERIFY_KINDS];
    const struct sidecar *all[VERIFY_KINDS + 1];
};

static const char *entry(const char *entity_type)
{
    return test_format("  %s: {table: %ss, partitions: 2}\n", entity_type, entity_type);
}

static const char *entries(size_t kind)
{
    const char *text = test_format("publish:\n%s%sapply:\n%s",
                                   entry(verify_dialects[kind].entity_type), entry("stock"),
                                   entry("stock"));
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        if (i != kind)
            text = test_format("%s%s", text, entry(verify_dialects[i].entity_type));
    }
    return text;
}

static void trio_begin(struct trio *trio)
{
    load_need("psql");
    load_need("mariadb");
    load_need("sqlite3");
    *trio = (struct trio){.kafka = kafka_start()};
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        const char *url = database_make((enum database_kind)i, verify_dialects[i].service);
        trio->services[i] = sidecar_make_on(trio->kafka, verify_dialects[i].service, url,
                                            entries(i));
        trio->all[i] = &trio->services[i];
        verify_write_schema(verify_dialects[i].entity_type);
        (void)database_text(url,
                            test_format("CREATE TABLE %ss (%s); CREATE TABLE stocks (%s)",
                                        verify_dialects[i].entity_type, verify_dialects[i].columns,
                                        verify_dialects[i].columns));
    }
    verify_write_schema("stock");
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        sidecar_begin(&trio->services[i]);
}

static struct process *start_writer(const struct trio *trio, size_t kind)
{
    struct buffer script;
    unsigned seed = 7 + (unsigned)kind;
    buffer_init(&script, SCRIPT_MAX);
    for (int i = 0; i < STATEMENTS; i++) {
        verify_append_statement(&script, test_format("%ss", verify_dialects[kind].entity_type),
                                KEYS, &seed);
        verify_append_statement(&script, "stocks", KEYS, &seed);
        buffer_append_text(&script, verify_dialects[kind].pause);
    }
    struct process *writer = load_client(test_format("%s-writer", verify_dialects[kind].service),
                                         trio->services[kind].url, &script);
    buffer_done(&script);
    return writer;
}

static void trio_settle(const struct trio *trio)
{
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        const struct sidecar *const publisher[] = {trio->all[i], NULL};
        const struct sidecar *const others[] = {trio->all[(i + 1) % VERIFY_KINDS],
                                                trio->all[(i + 2) % VERIFY_KINDS], NULL};
        load_settle(trio->kafka, verify_dialects[i].entity_type, publisher, others, 60000);
    }
    load_settle(trio->kafka, "stock", trio->all, trio->all, 60000);
}

static void trio_end(struct trio *trio)
{
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        sidecar_stop(&trio->services[i]);
}

static void expect(const struct process_result *result, const char *entity_type, size_t kind,
                   const char *expected)
{
    const char *found = verify_copy(result, entity_type, verify_dialects[kind].service);
    if (strcmp(found, expected) != 0)
        test_fail("%s at %s: \"%s\" instead of \"%s\"; %s", entity_type,
                  verify_dialects[kind].service, found, expected, result->errors);
}

static void copies_are_equal_under_writes_and_at_rest(void **state)
{
    (void)state;
    struct trio trio;
    struct process *writers[VERIFY_KINDS];
    trio_begin(&trio);
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        writers[i] = start_writer(&trio, i);
    int runs = 0;
    for (bool writing = true; writing || runs < 3; runs++) {
        struct process_result result = VERIFY(trio.all, "--json");
        if (result.exit_code == EX_DATAERR || verify_count(&result, "different") > 0)
            test_fail("a false alarm: %s", result.output);
        writing = false;
        for (size_t i = 0; i < VERIFY_KINDS; i++)
            writing = process_running(writers[i]) || writing;
    }
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        assert_true(load_client_end(writers[i], 60000) < 2 * STATEMENTS);
    trio_settle(&trio);
    struct process_result result = VERIFY(trio.all, "--json");
    if (result.exit_code != EX_OK || verify_count(&result, "equal") != 8)
        test_fail("exit code %d: %s%s", result.exit_code, result.output, result.errors);
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        assert_int_equal(
            verify_number(&result, verify_dialects[i].entity_type, "rows"),
            strtol(database_text(trio.services[i].url, test_format("SELECT count(*) FROM %ss",
                                                                   verify_dialects[i].entity_type)),
                   NULL, 10));
    print_message("%d runs under writes\n", runs);
    trio_end(&trio);
}

/* Change, delete and add a row of a copy, by hand. */
static void plant(const struct trio *trio, enum database_kind kind, const char *table)
{
    const char *text = test_format("UPDATE %s SET price = 7.5 WHERE id = 1; "
                                   "DELETE FROM %s WHERE id = 2; "
                                   "INSERT INTO %s VALUES (99, 'planted', NULL, 0.5)",
                                   table, table, table);
    verify_write_silently(kind, trio->services[kind].url, table, text);
}

#define PLANTED "different: {\"id\":1} differs, {\"id\":2} missing, {\"id\":99} extra"
#define LACKED  "different: {\"id\":1} differs, {\"id\":2} extra, {\"id\":99} missing"

static void each_planted_difference_is_found_in_each_database(void **state)
{
    (void)state;
    struct trio trio;
    trio_begin(&trio);
    for (size_t i = 0; i < VERIFY_KINDS; i++) {
        for (int id = 1; id <= 3; id++)
            (void)database_text(trio.services[i].url,
                                test_format("INSERT INTO %ss VALUES (%d, 'n', '1.50', 0.1)",
                                            verify_dialects[i].entity_type, id));
    }
    for (int id = 1; id <= 3; id++)
        (void)database_text(trio.services[id % (int)VERIFY_KINDS].url,
                            test_format("INSERT INTO stocks VALUES (%d, 'n', '1.50', 0.1)", id));
    trio_settle(&trio);
    plant(&trio, DATABASE_SQLITE, "orders");
    plant(&trio, DATABASE_MARIADB, "visits");
    plant(&trio, DATABASE_POSTGRESQL, "stocks");
    plant(&trio, DATABASE_MARIADB, "products"); /* at its publisher */
    struct process_result result = VERIFY(trio.all, "--json");
    assert_int_equal(result.exit_code, EX_DATAERR);
    expect(&result, "order", DATABASE_SQLITE, PLANTED);
    expect(&result, "order", DATABASE_MARIADB, "equal");
    expect(&result, "visit", DATABASE_MARIADB, PLANTED);
    expect(&result, "visit", DATABASE_POSTGRESQL, "equal");
    expect(&result, "stock", DATABASE_POSTGRESQL, PLANTED);
    expect(&result, "stock", DATABASE_MARIADB, "equal");
    expect(&result, "product", DATABASE_SQLITE, LACKED);
    expect(&result, "product", DATABASE_POSTGRESQL, LACKED);
    struct process_result text = VERIFY(trio.all, "order", "--rows");
    assert_int_equal(text.exit_code, EX_DATAERR);
    print_message("%s", text.output);
    static const char *const words[] = {"order     3 rows at post (publishes it)",
                                        "  maria      equal\n",
                                        "DIFFERENT: 1 differs, 1 is missing, 1 too many\n",
                                        "    {\"id\":1}   differs\n",
                                        "      post       {\"id\":1,\"name\":\"n\",\"price\":\"1.",
                                        "    {\"id\":2}   missing at lite\n",
                                        "    {\"id\":99}   only at lite\n"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strstr(text.output, words[i]) == NULL)
            test_fail("%s is not in: %s", words[i], text.output);
    }
    trio_end(&trio);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(copies_are_equal_under_writes_and_at_rest, 300),
        TEST_WITH_LIMIT(each_planted_difference_is_found_in_each_database, 180),
    };
    return TEST_RUN(tests);
}
