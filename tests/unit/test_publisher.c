/* libkeepstep writes a change in the service's own transaction. */
#include "producer/library/keepstep.h"

#include "tests/support/process.h"
#include "tests/support/sql.h"

#include <sqlite3.h>

static sqlite3 *open_service(void)
{
    sqlite3 *database = NULL;
    test_write_file(test_path("item.schema.json"),
                    "{\"type\":\"object\",\"x-keepstep-key\":[\"id\"],\"properties\":"
                    "{\"id\":{\"type\":\"integer\"},\"name\":{\"type\":\"string\"}}}");
    test_write_file(test_path("shop.yaml"),
                    "service: shop\ndatabase: sqlite:shop.db\nschemas: .\nlisten: \"\"\n"
                    "kafka: {bootstrap.servers: \"127.0.0.1:1\"}\npublish:\n  item: {}\n");
    struct process_result result = PROCESS_RUN(KEEPSTEP_BINARY, "init", "-c",
                                               test_path("shop.yaml"));
    if (result.exit_code != 0)
        test_fail("init: %s", result.errors);
    assert_int_equal(sqlite3_open(test_path("shop.db"), &database), SQLITE_OK);
    return database;
}

static void a_change_is_there_if_and_only_if_the_transaction_commits(void **state)
{
    (void)state;
    sqlite3 *database = open_service();
    const struct keepstep_change change = {.entity_type = "item",
                                           .key = "{\"id\":1}",
                                           .operation = KEEPSTEP_CREATE,
                                           .after = "{\"id\":1,\"name\":\"pen\"}"};
    char id[KEEPSTEP_ID_SIZE];
    char error[256];

    (void)sqlite3_exec(database, "BEGIN", NULL, NULL, NULL);
    assert_int_equal(keepstep_publish(database, &change, id, error, sizeof error), SQLITE_OK);
    (void)sqlite3_exec(database, "ROLLBACK", NULL, NULL, NULL);
    assert_int_equal(sqlite_number(test_path("shop.db"), "SELECT count(*) FROM outbox"), 0);

    (void)sqlite3_exec(database, "BEGIN", NULL, NULL, NULL);
    assert_int_equal(keepstep_publish(database, &change, id, error, sizeof error), SQLITE_OK);
    (void)sqlite3_exec(database, "COMMIT", NULL, NULL, NULL);
    assert_string_equal(sqlite_text(test_path("shop.db"),
                                    "SELECT aggregatetype, type, json_extract(payload,'$.op'),"
                                    "json_extract(payload,'$.after.name') FROM outbox"),
                        "item|item.created|c|pen\n");
    assert_int_equal(strlen(id), KEEPSTEP_ID_SIZE - 1);
    (void)sqlite3_close(database);
}

static void a_change_outside_a_transaction_or_without_a_key_is_refused_with_a_reason(void **state)
{
    (void)state;
    sqlite3 *database = open_service();
    struct keepstep_change change = {
        .entity_type = "item", .key = NULL, .operation = KEEPSTEP_DELETE};
    char error[256] = "";

    (void)sqlite3_exec(database, "BEGIN", NULL, NULL, NULL);
    assert_int_not_equal(keepstep_publish(database, &change, NULL, error, sizeof error), SQLITE_OK);
    assert_true(strlen(error) > 0);
    (void)sqlite3_exec(database, "ROLLBACK", NULL, NULL, NULL);
    change.key = "{\"id\":1}";
    assert_int_not_equal(keepstep_publish(database, &change, NULL, error, sizeof error), SQLITE_OK);
    assert_int_equal(sqlite_number(test_path("shop.db"), "SELECT count(*) FROM outbox"), 0);
    (void)sqlite3_close(database);
}

static void what_is_no_json_object_is_refused_before_it_stands_in_the_outbox(void **state)
{
    (void)state;
    sqlite3 *database = open_service();
    static const char *const wrong[] = {"{\"id\":1",   "",       "pen",         "[1]", "\"x\"", "1",
                                        "{\"id\":1}}", "{id:1}", "{\"id\":1,}", "null"};
    char error[256];
    (void)sqlite3_exec(database, "BEGIN", NULL, NULL, NULL);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const struct keepstep_change changes[] = {
            {.entity_type = "item", .key = "1", .after = wrong[i]},
            {.entity_type = "item", .key = "1", .after = "{\"id\":1}", .before = wrong[i]}};
        for (size_t j = 0; j < 2; j++) {
            if (keepstep_publish(database, &changes[j], NULL, error, sizeof error) !=
                    SQLITE_MISMATCH ||
                strstr(error, j == 0 ? "`after` is no JSON object" : "`before`") == NULL)
                test_fail("%s: %s", wrong[i], error);
        }
    }
    const struct keepstep_change key = {
        .entity_type = "item", .key = "{\"id\":1", .after = "{\"id\":1}"};
    assert_int_equal(keepstep_publish(database, &key, NULL, error, sizeof error), SQLITE_MISMATCH);
    (void)sqlite3_exec(database, "COMMIT", NULL, NULL, NULL);
    assert_int_equal(sqlite_number(test_path("shop.db"), "SELECT count(*) FROM outbox"), 0);
    (void)sqlite3_close(database);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_change_is_there_if_and_only_if_the_transaction_commits),
        TEST(a_change_outside_a_transaction_or_without_a_key_is_refused_with_a_reason),
        TEST(what_is_no_json_object_is_refused_before_it_stands_in_the_outbox),
    };
    return TEST_RUN(tests);
}
