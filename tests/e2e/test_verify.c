/* `keepstep verify` over three real databases: nothing is found under writes, and each planted
 * difference is found. */
#include "tests/support/load.h"
#include "tests/support/repair.h"
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
    struct process_result text = VERIFY(trio.all, "order", "--rows");
    assert_int_equal(text.exit_code, EX_DATAERR);
    print_message("%s", text.output);
    static const char *const words[] = {"order     3 rows at post (publishes it)",
                                        "  maria      equal\n",
                                        "DIFFERENT: 1 differs, 1 is missing, 1 too many\n",
                                        "    {\"id\":1}   differs\n",
                                        "      post       {\"id\":1,\"name\":\"n\",\"price\":\"1.",
                                        "    {\"id\":2}   missing at lite\n",
                                        "    {\"id\":99}   only at lite\n",
                                        "Next      keepstep repair order -c "};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strstr(text.output, words[i]) == NULL)
            test_fail("%s is not in: %s", words[i], text.output);
    }
    text = repair_command_run(&trio.services[DATABASE_SQLITE], &trio.services[DATABASE_POSTGRESQL],
                              "order", (const char *const[]){NULL});
    assert_int_equal(text.exit_code, EX_OK);
    assert_string_equal(text.output, "order at lite, from post\n  {\"id\":1}   repaired\n"
                                     "  {\"id\":2}   created\n  {\"id\":99}   deleted\n");
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
