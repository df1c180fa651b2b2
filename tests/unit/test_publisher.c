/* libkeepstep writes a change in the service's own transaction. */
#include "producer/library/keepstep.h"

#include "tests/support/library_shop.h"

static void a_change_is_there_if_and_only_if_the_transaction_commits(void **state)
{
    (void)state;
    sqlite3 *database = library_shop_open("{}");
    const struct keepstep_change change = {.entity_type = "item",
                                           .key = "{\"id\":1}",
                                           .operation = KEEPSTEP_CREATE,
                                           .after = "{\"id\":1,\"name\":\"pen\"}"};
    char id[KEEPSTEP_ID_SIZE];
    char error[256];

    (void)sqlite3_exec(database, "BEGIN", NULL, NULL, NULL);
    assert_int_equal(keepstep_publish(database, &change, id, error, sizeof error), SQLITE_OK);
    (void)sqlite3_exec(database, "ROLLBACK", NULL, NULL, NULL);
    assert_int_equal(sqlite_number(LIBRARY_SHOP, "SELECT count(*) FROM outbox"), 0);

    (void)sqlite3_exec(database, "BEGIN", NULL, NULL, NULL);
    assert_int_equal(keepstep_publish(database, &change, id, error, sizeof error), SQLITE_OK);
    (void)sqlite3_exec(database, "COMMIT", NULL, NULL, NULL);
    assert_string_equal(sqlite_text(LIBRARY_SHOP,
                                    "SELECT aggregatetype, type, json_extract(payload,'$.op'),"
                                    "json_extract(payload,'$.after.name') FROM outbox"),
                        "item|item.created|c|pen\n");
    assert_int_equal(strlen(id), KEEPSTEP_ID_SIZE - 1);
    (void)sqlite3_close(database);
}

static void a_change_outside_a_transaction_or_without_a_key_is_refused_with_a_reason(void **state)
{
    (void)state;
    sqlite3 *database = library_shop_open("{}");
    struct keepstep_change change = {
        .entity_type = "item", .key = NULL, .operation = KEEPSTEP_DELETE};
    char error[256] = "";

    (void)sqlite3_exec(database, "BEGIN", NULL, NULL, NULL);
    assert_int_not_equal(keepstep_publish(database, &change, NULL, error, sizeof error), SQLITE_OK);
    assert_true(strlen(error) > 0);
    (void)sqlite3_exec(database, "ROLLBACK", NULL, NULL, NULL);
    change.key = "{\"id\":1}";
    assert_int_not_equal(keepstep_publish(database, &change, NULL, error, sizeof error), SQLITE_OK);
    assert_int_equal(sqlite_number(LIBRARY_SHOP, "SELECT count(*) FROM outbox"), 0);
    (void)sqlite3_close(database);
}

static void what_is_no_json_object_is_refused_before_it_stands_in_the_outbox(void **state)
{
    (void)state;
    sqlite3 *database = library_shop_open("{}");
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
    assert_int_equal(sqlite_number(LIBRARY_SHOP, "SELECT count(*) FROM outbox"), 0);
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
