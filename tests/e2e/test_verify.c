/* `keepstep verify` over three real databases: nothing is found under writes, and each planted
 * difference is found. */
#include "tests/support/load.h"
#include "tests/support/readme.h"
#include "tests/support/trio.h"
#include "tests/support/verify.h"

#include <sysexits.h>

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
        writers[i] = trio_write(&trio, i);
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
        assert_true(load_client_end(writers[i], 60000) < 2 * TRIO_STATEMENTS);
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

#define PLANTED "different: {\"id\":1} differs, {\"id\":2} missing, {\"id\":99} extra"
#define LACKED  "different: {\"id\":1} differs, {\"id\":2} extra, {\"id\":99} missing"

static void each_planted_difference_is_found_in_each_database(void **state)
{
    (void)state;
    struct trio trio;
    trio_begin(&trio);
    trio_insert(&trio);
    for (int id = 1; id <= 3; id++)
        (void)database_text(trio.services[id % (int)VERIFY_KINDS].url,
                            test_format("INSERT INTO stocks VALUES (%d, 'n', '1.50', 0.1)", id));
    trio_settle(&trio);
    trio_plant(&trio, DATABASE_SQLITE, "orders");
    trio_plant(&trio, DATABASE_MARIADB, "visits");
    trio_plant(&trio, DATABASE_POSTGRESQL, "stocks");
    trio_plant(&trio, DATABASE_MARIADB, "products"); /* at its publisher */
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
    const char *shown = readme_block("order at lite, from post");
    const char *said = readme_type(shown, test_directory());
    /* A command to type names files in full. */
    readme_expect(shown, test_replace(said, test_format("%s/", test_directory()), ""));
    result = VERIFY(trio.all, "order", "--json");
    assert_int_equal(result.exit_code, EX_OK); /* it is repaired */
    expect(&result, "order", DATABASE_SQLITE, "equal");
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
