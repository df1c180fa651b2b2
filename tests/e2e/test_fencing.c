/* Two of a kind on one database, copies of databases, and processes that come back from the dead.
 */
#include "tests/support/sidecar.h"

#include <signal.h>
#include <unistd.h>

#define PUBLISH_ITEMS "publish:\n  item: {table: items, partitions: 2}\n"
#define APPLY_ITEMS   "apply:\n  item: {table: items, partitions: 2}\n"

/* A second sidecar on the same database under another instance name. */
static struct sidecar make_second(const struct sidecar *first)
{
    struct sidecar second = *first;
    second.name = test_format("%s-second", first->name);
    second.config = test_path("%s.yaml", second.name);
    test_write_file(second.config,
                    test_format("%sinstance: \"2\"\n", test_read_file(first->config)));
    return second;
}

static void write_items(const struct sidecar *shop, int first_id, int count)
{
    for (int i = 0; i < count; i++)
        (void)sqlite_format(shop->database,
                            "INSERT INTO items VALUES(%d,'x',0);"
                            "UPDATE items SET amount=amount+1 WHERE id<=%d;",
                            first_id + i, first_id + i);
}

static void a_zombie_agent_changes_no_row_after_its_takeover(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    sidecar_begin(&shop);
    sidecar_begin(&billing);
    write_items(&shop, 1, 5);
    sidecar_assert_equal(&shop, &billing, "items", 20000);

    struct sidecar second = make_second(&billing);
    process_signal(billing.process, SIGSTOP);
    sidecar_start(&second, NULL);
    write_items(&shop, 101, 5);
    sidecar_assert_equal(&shop, &second, "items", 60000); /* after the session timeout of 10 s */
    process_signal(billing.process, SIGCONT);
    write_items(&shop, 201, 10);
    sidecar_assert_equal(&shop, &second, "items", 60000);
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM keepstep_parked"), 0);
    process_kill(billing.process);
    process_kill(second.process);
    sidecar_stop(&shop);
}

static void the_same_instance_twice_ends_the_first_with_exit_code_78(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    sidecar_begin(&shop);
    sidecar_begin(&billing);
    write_items(&shop, 1, 2);
    sidecar_assert_equal(&shop, &billing, "items", 20000);
    struct process *first = billing.process;
    sidecar_start(&billing, NULL);
    assert_int_equal(process_wait(first, 30000), 78);
    write_items(&shop, 11, 2);
    sidecar_assert_equal(&shop, &billing, "items", 30000);
    sidecar_stop(&billing);
    sidecar_stop(&shop);
}

static void two_agents_of_one_group_share_the_partitions_through_rebalances(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    sidecar_init(&shop, NULL);
    sidecar_init(&billing, NULL);
    (void)sqlite_text(billing.database,
                      "CREATE TABLE seen(id); CREATE TRIGGER seen AFTER INSERT ON items "
                      "BEGIN INSERT INTO seen VALUES(new.id); END;");
    struct sidecar second = make_second(&billing);
    sidecar_start(&shop, NULL);
    sidecar_start(&billing, NULL);
    sidecar_start(&second, NULL);
    write_items(&shop, 1, 10);
    sidecar_assert_equal(&shop, &billing, "items", 60000);
    process_kill(second.process); /* its partition moves when its session has run out */
    write_items(&shop, 101, 10);
    sidecar_assert_equal(&shop, &billing, "items", 60000);
    sidecar_start(&second, NULL);
    write_items(&shop, 201, 10);
    sidecar_assert_equal(&shop, &billing, "items", 60000);
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM seen"), 30);
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM keepstep_parked"), 0);
    sidecar_stop(&second);
    sidecar_stop(&billing);
    sidecar_stop(&shop);
}

static void of_two_relays_on_one_outbox_one_publishes(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    sidecar_init(&shop, NULL);
    sidecar_init(&billing, NULL);
    sidecar_start(&shop, NULL);
    struct sidecar second = make_second(&shop);
    sidecar_start(&second, NULL);
    sidecar_start(&billing, NULL);
    write_items(&shop, 1, 20);
    sidecar_assert_equal(&shop, &billing, "items", 30000);
    struct sidecar *victim = &shop;
    process_kill(victim->process);
    write_items(&shop, 101, 20); /* the second takes over when the lease of 10 s has run out */
    sidecar_assert_equal(&shop, &billing, "items", 60000);
    int64_t records = sidecar_records(kafka, "item");
    assert_int_equal(records, sqlite_number(shop.database, "SELECT count(*) FROM outbox"));
    sidecar_stop(&second);
    sidecar_stop(&billing);
}

static void a_restored_service_database_is_noticed_before_it_publishes(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    sidecar_begin(&shop);
    sidecar_begin(&billing);
    write_items(&shop, 1, 2);
    sidecar_assert_equal(&shop, &billing, "items", 20000);
    const char *backup = test_path("backup.db");
    (void)sqlite_format(shop.database, "VACUUM INTO '%s'", backup);
    write_items(&shop, 11, 2);
    sidecar_assert_equal(&shop, &billing, "items", 20000);
    sidecar_stop(&shop);

    assert_int_equal(
        PROCESS_RUN("sh", "-c",
                    test_format("rm -f '%s'*; cp '%s' '%s'", shop.database, backup, shop.database))
            .exit_code,
        0);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES(500,'after the restore',0)");
    sidecar_start(&shop, NULL);
    assert_int_equal(process_wait(shop.process, 30000), 78);
    assert_non_null(strstr(process_errors(shop.process), "new-incarnation"));
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM items WHERE id=500"), 0);
    sidecar_stop(&billing);
}

static void a_cloned_copy_beside_the_running_one_stops_loudly(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    sidecar_begin(&shop);
    sidecar_begin(&billing);
    write_items(&shop, 1, 3);
    sidecar_assert_equal(&shop, &billing, "items", 20000);
    const char *backup = test_path("backup.db");
    (void)sqlite_format(billing.database, "VACUUM INTO '%s'", backup);
    sidecar_stop(&billing);
    sidecar_start(&billing, NULL); /* raises the epoch: the backup's is older */
    write_items(&shop, 11, 3);
    sidecar_assert_equal(&shop, &billing, "items", 20000);
    sidecar_stop(&billing);

    assert_int_equal(PROCESS_RUN("sh", "-c",
                                 test_format("rm -f '%s'*; cp '%s' '%s'", billing.database, backup,
                                             billing.database))
                         .exit_code,
                     0);
    sidecar_start(&billing, NULL);
    assert_int_equal(process_wait(billing.process, 30000), 78);
    assert_non_null(strstr(process_errors(billing.process), "init --"));
    sidecar_stop(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_zombie_agent_changes_no_row_after_its_takeover, 200),
        TEST_WITH_LIMIT(the_same_instance_twice_ends_the_first_with_exit_code_78, 120),
        TEST_WITH_LIMIT(two_agents_of_one_group_share_the_partitions_through_rebalances, 240),
        TEST_WITH_LIMIT(of_two_relays_on_one_outbox_one_publishes, 180),
        TEST_WITH_LIMIT(a_restored_service_database_is_noticed_before_it_publishes, 120),
        TEST_WITH_LIMIT(a_cloned_copy_beside_the_running_one_stops_loudly, 150),
    };
    return TEST_RUN(tests);
}
