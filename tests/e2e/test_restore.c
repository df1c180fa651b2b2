/* Databases come back from a backup, and `keepstep init` makes them usable (rules 8 and 13). */
#include "tests/support/sidecar.h"

#include "common/clock.h"

#define PUBLISH_ITEMS "publish:\n  item: {table: items, partitions: 2}\n"
#define APPLY_ITEMS   "apply:\n  item: {table: items, partitions: 2}\n"

static void write_items(const struct sidecar *shop, int first_id, int count)
{
    for (int i = 0; i < count; i++)
        (void)sqlite_format(shop->database,
                            "INSERT INTO items VALUES(%d,'x',0);"
                            "UPDATE items SET amount=amount+1 WHERE id<=%d;",
                            first_id + i, first_id + i);
}

static void assert_init(const struct sidecar *sidecar, const char *first, const char *second)
{
    struct process_result result = sidecar_run(sidecar, "init", first, second);
    if (result.exit_code != 0)
        test_fail("init ended with %d: %s", result.exit_code, result.errors);
}

/* Without an agent nobody reads the log, so the relay must not publish. */
static void assert_relay_waits(struct kafka *kafka, const struct sidecar *shop)
{
    const char *const argv[] = {KEEPSTEP_BINARY, "relay", "-c", shop->config, NULL};
    const char *const environment[] = {NULL};
    int64_t records = sidecar_records(kafka, "item");
    struct process *relay = process_start("relay-alone", argv, environment);
    if (!process_wait_for(relay, "a new incarnation", 20000))
        test_fail("%s", process_errors(relay));
    clock_sleep_us(INT64_C(2) * 1000 * 1000);
    assert_int_equal(process_stop(relay, 20000), 0);
    assert_int_equal(sidecar_records(kafka, "item"), records);
}

/* The agent's entry was removed from the configuration. So nobody will ever read the log. */
static void assert_relay_without_agent_ends(const struct sidecar *shop)
{
    struct sidecar alone = *shop;
    alone.name = "shop-alone";
    alone.config = test_path("shop-alone.yaml");
    const char *config = test_read_file(shop->config);
    const char *apply = strstr(config, APPLY_ITEMS);
    assert_non_null(apply);
    test_write_file(alone.config, test_format("%.*s", (int)(apply - config), config));
    sidecar_start(&alone, NULL);
    assert_int_equal(process_wait(alone.process, 30000), 78);
    assert_non_null(strstr(process_errors(alone.process), "apply: does not name it any more"));
}

static void a_copy_restored_from_a_backup_goes_on_after_init_restored(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);
    const char *copy_id = "SELECT value FROM keepstep_meta WHERE key='copy_id'";

    sidecar_init(&shop, NULL);
    sidecar_init(&billing, NULL);
    sidecar_start(&shop, NULL);
    sidecar_start(&billing, NULL);
    write_items(&shop, 1, 5);
    sidecar_assert_equal(&shop, &billing, "items", 20000);
    const char *backup = sidecar_back_up(&billing);
    sidecar_stop(&billing);
    sidecar_start(&billing, NULL); /* raises the epoch above the backup's */
    write_items(&shop, 11, 5);
    (void)sqlite_text(shop.database, "DELETE FROM items WHERE id=3");
    sidecar_assert_equal(&shop, &billing, "items", 20000);
    sidecar_stop(&billing);

    sidecar_restore(&billing, backup);
    sidecar_start(&billing, NULL);
    assert_int_equal(process_wait(billing.process, 30000), 78);
    assert_non_null(strstr(process_errors(billing.process), "init --restored"));
    const char *before = sqlite_text(billing.database, copy_id);
    sidecar_init(&billing, "--restored");
    assert_string_not_equal(before, sqlite_text(billing.database, copy_id));

    /* A second INSERT of a row would fail, and the trigger counts each write. */
    (void)sqlite_text(billing.database, "CREATE TABLE seen(id, amount);"
                                        "CREATE TRIGGER seen_i AFTER INSERT ON items BEGIN "
                                        "INSERT INTO seen VALUES(NEW.id, NEW.amount); END;");
    write_items(&shop, 21, 2);
    sidecar_start(&billing, NULL);
    sidecar_assert_equal(&shop, &billing, "items", 30000);
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM keepstep_parked"), 0);
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM seen WHERE id<=10"), 0);
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM seen"), 7);
    sidecar_stop(&billing);
    sidecar_stop(&shop);
}

static void a_restored_service_that_applies_its_type_goes_forward(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS APPLY_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    sidecar_init(&shop, NULL);
    sidecar_init(&billing, NULL);
    sidecar_start(&shop, NULL);
    sidecar_start(&billing, NULL);
    write_items(&shop, 1, 3);
    sidecar_assert_equal(&shop, &billing, "items", 20000);
    sidecar_stop(&shop);
    (void)sqlite_text(shop.database, "UPDATE items SET name='in the backup'");
    const char *backup = sidecar_back_up(&shop); /* its outbox will be in the log too (A3) */
    sidecar_start(&shop, NULL);
    (void)sqlite_text(shop.database, "UPDATE items SET name='after the backup' WHERE id<3;"
                                     "DELETE FROM items WHERE id=3;");
    write_items(&shop, 11, 2);
    sidecar_assert_equal(&shop, &billing, "items", 20000);
    sidecar_stop(&shop);

    sidecar_restore(&shop, backup);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES(500,'after the restore',0)");
    sidecar_start(&shop, NULL);
    assert_int_equal(process_wait(shop.process, 30000), 78);
    assert_init(&shop, "--restored", "--new-incarnation");
    assert_int_equal(sqlite_number(shop.database, "SELECT count(*) FROM outbox"), 1);
    int64_t records = sidecar_records(kafka, "item");
    assert_relay_waits(kafka, &shop);
    assert_relay_without_agent_ends(&shop);
    assert_int_equal(sidecar_records(kafka, "item"), records);
    sidecar_start(&shop, NULL);

    const char *rows = "SELECT id, name FROM items ORDER BY id";
    const char *expected = "1|after the backup\n2|after the backup\n11|x\n12|x\n"
                           "500|after the restore\n";
    const struct sidecar *both[] = {&shop, &billing};
    for (size_t i = 0; i < 2; i++) {
        if (!sqlite_wait_for(both[i]->database, rows, expected, 30000))
            test_fail("%s has %s: %s", both[i]->name, sqlite_text(both[i]->database, rows),
                      process_errors(both[i]->process));
    }
    assert_int_equal(sidecar_records(kafka, "item"), records + 1);
    write_items(&shop, 21, 2);
    sidecar_assert_equal(&shop, &billing, "items", 20000);
    sidecar_stop(&billing);
    sidecar_stop(&shop);
}

static void a_restored_service_that_only_publishes_is_told_what_to_do(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    sidecar_begin(&shop);
    sidecar_begin(&billing);
    write_items(&shop, 1, 3);
    sidecar_assert_equal(&shop, &billing, "items", 20000);
    const char *backup = sidecar_back_up(&shop);
    (void)sqlite_text(shop.database, "UPDATE items SET name='after the backup'");
    sidecar_assert_equal(&shop, &billing, "items", 20000);
    sidecar_stop(&shop);

    sidecar_restore(&shop, backup);
    struct process_result result = sidecar_run(&shop, "init", "--new-incarnation", NULL);
    assert_int_equal(result.exit_code, 78);
    assert_non_null(strstr(result.errors, "apply:"));
    assert_non_null(strstr(result.errors, "--existing-rows"));
    sidecar_start(&shop, NULL); /* nothing has changed, so the relay still ends */
    assert_int_equal(process_wait(shop.process, 30000), 78);

    assert_init(&shop, "--new-incarnation", "--existing-rows");
    sidecar_start(&shop, NULL);
    sidecar_assert_equal(&shop, &billing, "items", 30000); /* as in the backup */
    sidecar_stop(&billing);
    sidecar_stop(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_copy_restored_from_a_backup_goes_on_after_init_restored, 150),
        TEST_WITH_LIMIT(a_restored_service_that_applies_its_type_goes_forward, 180),
        TEST_WITH_LIMIT(a_restored_service_that_only_publishes_is_told_what_to_do, 150),
    };
    return TEST_RUN(tests);
}
