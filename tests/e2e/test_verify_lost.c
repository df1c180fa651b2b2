/* `keepstep verify` finds what no record tells of, and names what still waits for a person. */
#include "tests/support/verify.h"

#include <sysexits.h>

#define PUBLISH "publish:\n  item: {table: items, partitions: 1}\n"
#define APPLY   "apply:\n  item: {table: items, partitions: 1}\n"

struct pair {
    struct kafka *kafka;
    struct sidecar shop;
    struct sidecar billing;
    const struct sidecar *all[3];
};

static void pair_begin(struct pair *pair)
{
    *pair = (struct pair){.kafka = kafka_start()};
    pair->shop = sidecar_make(pair->kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH);
    pair->billing = sidecar_make(pair->kafka, "billing", NULL, APPLY);
    pair->all[0] = &pair->shop;
    pair->all[1] = &pair->billing;
    sidecar_begin(&pair->shop);
    sidecar_begin(&pair->billing);
    (void)sqlite_text(pair->shop.database,
                      "INSERT INTO items VALUES (1,'a',1),(2,'b',2),(3,'c',3)");
    sidecar_assert_equal(&pair->shop, &pair->billing, "items", 20000);
}

static void pair_end(struct pair *pair)
{
    sidecar_stop(&pair->shop);
    sidecar_stop(&pair->billing);
}

/* The exit code, what is said of the peer, and what was not compared. */
static void expect(const struct pair *pair, int code, const char *copy, const char *left)
{
    struct process_result result = VERIFY(pair->all, "--json");
    const char *said = verify_copy(&result, "item", "billing");
    if (result.exit_code != code || strcmp(said, copy) != 0 ||
        strcmp(verify_left(&result, "item"), left) != 0)
        test_fail("exit code %d, \"%s\", left \"%s\": %s", result.exit_code, said,
                  verify_left(&result, "item"), result.errors);
}

/* While the relay is stopped, makes an event that it cannot publish. */
static void spoil(struct pair *pair, const char *sql)
{
    sidecar_stop(&pair->shop);
    (void)sqlite_text(pair->shop.database, sql);
    (void)sqlite_text(pair->shop.database,
                      "UPDATE outbox SET payload = 'spoilt' WHERE sequence IS NULL");
    sidecar_start(&pair->shop, NULL);
    sidecar_expect(&pair->shop, "SELECT count(*) FROM outbox WHERE set_aside IS NOT NULL", "1\n");
}

static void a_row_set_aside_is_open_and_once_dropped_it_is_missed(void **state)
{
    (void)state;
    struct pair pair;
    pair_begin(&pair);
    spoil(&pair, "INSERT INTO items VALUES (4,'d',4)");
    expect(&pair, EX_TEMPFAIL, "equal", "{\"id\":4} waiting at shop");
    const char *position = sqlite_text(pair.shop.database,
                                       "SELECT position FROM outbox WHERE set_aside IS NOT NULL");
    struct process_result result = sidecar_run(
        &pair.shop, "outbox", "drop", test_format("%.*s", (int)strcspn(position, "\n"), position));
    assert_int_equal(result.exit_code, 0);
    expect(&pair, EX_DATAERR, "different: {\"id\":4} missing", "");
    pair_end(&pair);
}

/* A numbered row has grown too large before it was sent. Its number goes out as a void. */
static void a_change_that_went_out_as_a_void_is_found(void **state)
{
    (void)state;
    struct pair pair;
    pair_begin(&pair);
    sidecar_stop(&pair.shop);
    (void)sqlite_text(pair.shop.database, "UPDATE items SET name = 'z' WHERE id = 3");
    sidecar_start(&pair.shop, "relay_after_claim");
    (void)process_wait(pair.shop.process, 30000);
    (void)sqlite_text(pair.shop.database,
                      "UPDATE outbox SET payload = hex(zeroblob(4000000)) WHERE sequence = 4");
    sidecar_start(&pair.shop, NULL);
    sidecar_expect_published(&pair.shop);
    sidecar_expect(&pair.billing, "SELECT max(last) FROM keepstep_sequence", "4\n");
    expect(&pair, EX_DATAERR, "different: {\"id\":3} differs", "");
    pair_end(&pair);
}

static void changes_behind_disabled_triggers_are_found(void **state)
{
    (void)state;
    struct pair pair;
    pair_begin(&pair);
    const char *triggers = sqlite_text(pair.shop.database,
                                       "SELECT group_concat(sql, ';') || ';' FROM sqlite_schema "
                                       "WHERE type = 'trigger' AND tbl_name = 'items'");
    const char *drops = sqlite_text(pair.shop.database,
                                    "SELECT group_concat('DROP TRIGGER \"' || name || '\"', ';') "
                                    "FROM sqlite_schema "
                                    "WHERE type = 'trigger' AND tbl_name = 'items'");
    (void)sqlite_text(pair.shop.database,
                      test_format("BEGIN; %s; UPDATE items SET name = 'z' WHERE id = 1;"
                                  "DELETE FROM items WHERE id = 2;"
                                  "INSERT INTO items VALUES (5,'e',5); %s COMMIT",
                                  drops, triggers));
    expect(&pair, EX_DATAERR, "different: {\"id\":1} differs, {\"id\":2} extra, {\"id\":5} missing",
           "");
    pair_end(&pair);
}

/* The head is parked; what came later of its entity is parked behind it. */
static void a_parked_entity_with_records_behind_it_is_open(void **state)
{
    (void)state;
    struct pair pair;
    pair_begin(&pair);
    (void)sqlite_text(pair.billing.database,
                      "CREATE TRIGGER refuse BEFORE UPDATE ON items WHEN NEW.id = 3 "
                      "BEGIN SELECT RAISE(ABORT, 'refused'); END");
    (void)sqlite_text(pair.shop.database, "UPDATE items SET amount = 30 WHERE id = 3;"
                                          "UPDATE items SET amount = 31 WHERE id = 3;"
                                          "UPDATE items SET amount = 20 WHERE id = 2");
    sidecar_expect(&pair.billing, "SELECT count(*) FROM keepstep_parked", "2\n");
    sidecar_expect(&pair.billing, "SELECT amount FROM items WHERE id = 2", "20\n");
    sidecar_expect_published(&pair.shop);
    expect(&pair, EX_TEMPFAIL, "equal", "{\"id\":3} parked at billing");
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_row_set_aside_is_open_and_once_dropped_it_is_missed, 150),
        TEST_WITH_LIMIT(a_change_that_went_out_as_a_void_is_found, 150),
        TEST_WITH_LIMIT(changes_behind_disabled_triggers_are_found, 150),
        TEST_WITH_LIMIT(a_parked_entity_with_records_behind_it_is_open, 150),
    };
    return TEST_RUN(tests);
}
