/* The main path on a real Kafka: a change made by plain SQL arrives in the other services'
 * databases. labels: threads */
#include "common/clock.h"
#include "tests/support/sidecar.h"

#include <signal.h>
#include <unistd.h>

#define PUBLISH_ITEMS "publish:\n  item: {table: items, partitions: 2}\n"
#define APPLY_ITEMS   "apply:\n  item: {table: items, partitions: 2}\n"

static void rows_from_before_and_after_init_arrive(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    (void)sqlite_text(shop.database, "INSERT INTO items VALUES(1,'before',10),(2,'old',NULL)");
    sidecar_init(&shop, NULL);
    sidecar_init(&billing, NULL);
    sidecar_start(&shop, NULL);
    sidecar_start(&billing, NULL);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES(3,'after ü \"quoted\"',-5)");
    sidecar_assert_equal(&shop, &billing, "items", 20000);
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM items"), 3);
    sidecar_stop(&shop);
    sidecar_stop(&billing);
}

static void updates_deletes_and_key_changes_arrive(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    sidecar_begin(&shop);
    sidecar_begin(&billing);
    (void)sqlite_text(shop.database,
                      "INSERT INTO items VALUES(1,'a',1),(2,'b',2),(3,'c',3);"
                      "UPDATE items SET amount=20 WHERE id=2;"
                      "DELETE FROM items WHERE id=1; UPDATE items SET id=4 WHERE id=3;"
                      "BEGIN; INSERT INTO items VALUES(9,'rolled back',0); ROLLBACK;");
    if (!sqlite_wait_for(billing.database, "SELECT * FROM items ORDER BY id", "2|b|20\n4|c|3\n",
                         20000))
        test_fail("billing has %s: %s", sqlite_text(billing.database, "SELECT * FROM items"),
                  process_errors(billing.process));
    if (strstr(process_errors(shop.process), "CONFWARN") != NULL)
        test_fail("a warning that nobody can mend: %s", process_errors(shop.process));
    sidecar_stop(&shop);
    sidecar_stop(&billing);
}

static void a_restarted_pair_goes_on_where_it_stood(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    sidecar_init(&shop, NULL);
    sidecar_init(&billing, NULL);
    for (int round = 1; round <= 3; round++) {
        sidecar_start(&shop, NULL);
        sidecar_start(&billing, NULL);
        (void)sqlite_format(shop.database, "INSERT INTO items VALUES(%d,'round',%d)", round, round);
        sidecar_assert_equal(&shop, &billing, "items", 20000);
        sidecar_stop(&shop);
        sidecar_stop(&billing);
    }
    assert_int_equal(
        sqlite_number(billing.database, "SELECT sum(next_offset) FROM keepstep_position"), 3);
}

/* Each row takes about a millisecond to apply. So the agent is stopped while fetched records are
 * left. */
static void an_agent_that_is_stopped_amid_a_backlog_ends_well_and_goes_on(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL,
                                          APPLY_ITEMS "limits: {batch_events: 50}\n");

    sidecar_begin(&shop);
    (void)sqlite_text(shop.database,
                      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<5000) "
                      "INSERT INTO items SELECT i, 'backlog', i FROM n");
    assert_true(sqlite_wait_for(shop.database,
                                "SELECT sum(acknowledged_sequence) FROM keepstep_relay_partition",
                                "5000\n", 30000));
    sidecar_init(&billing, NULL);
    (void)sqlite_text(billing.database,
                      "CREATE TRIGGER slow AFTER INSERT ON items BEGIN "
                      "SELECT count(*) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
                      "SELECT i+1 FROM n WHERE i<5000) SELECT i FROM n); END");
    sidecar_start(&billing, NULL);
    assert_true(sqlite_wait_for(billing.database, "SELECT count(*)>0 FROM items", "1\n", 20000));
    sidecar_stop(&billing);
    assert_true(sqlite_number(billing.database, "SELECT count(*) FROM items") < 5000);
    (void)sqlite_text(billing.database, "DROP TRIGGER slow");
    sidecar_start(&billing, NULL);
    sidecar_assert_equal(&shop, &billing, "items", 30000);
    sidecar_stop(&billing);
    sidecar_stop(&shop);
}

/* Write `count` transactions. Some of them update the same rows. */
static void write_load(const struct sidecar *service, int count, int first_id)
{
    for (int i = 0; i < count; i++)
        (void)sqlite_format(service->database,
                            "BEGIN IMMEDIATE; INSERT INTO items VALUES(%d,'load',0);"
                            "UPDATE items SET amount=amount+1 WHERE id%%7=%d; COMMIT;",
                            first_id + i, i % 7);
}

static void a_killed_agent_and_a_killed_relay_lose_and_repeat_nothing(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    sidecar_init(&shop, NULL);
    sidecar_init(&billing, NULL);
    /* A trigger records each write. It proves that nothing was applied twice. */
    (void)sqlite_text(billing.database,
                      "CREATE TABLE seen(id, amount); CREATE TRIGGER seen_i AFTER INSERT ON items "
                      "BEGIN INSERT INTO seen VALUES(new.id,new.amount); END;"
                      "CREATE TRIGGER seen_u AFTER UPDATE ON items "
                      "BEGIN INSERT INTO seen VALUES(new.id,new.amount); END;");
    sidecar_start(&shop, NULL);
    sidecar_start(&billing, NULL);
    for (int round = 0; round < 6; round++) {
        write_load(&shop, 40, 1 + 40 * round);
        struct sidecar *victim = round % 2 == 0 ? &billing : &shop;
        process_kill(victim->process);
        sidecar_start(victim, NULL);
    }
    sidecar_assert_equal(&shop, &billing, "items", 30000);
    assert_int_equal(sqlite_number(billing.database,
                                   "SELECT count(*) FROM (SELECT id, amount FROM seen GROUP BY 1,2 "
                                   "HAVING count(*)>1)"),
                     0);
    sidecar_stop(&shop);
    sidecar_stop(&billing);
}

/* After the long outage comes a short one, when the coordinator has just taken the members back. */
static void a_broker_killed_for_longer_than_a_session_ends_no_agent(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    sidecar_begin(&shop);
    sidecar_begin(&billing);
    write_load(&shop, 10, 1);
    sidecar_assert_equal(&shop, &billing, "items", 60000);
    for (int away_s = 15; away_s >= 3; away_s -= 12) {
        kafka_kill(kafka);
        clock_sleep_us(away_s * INT64_C(1000000));
        kafka_start_again(kafka);
        write_load(&shop, 10, 100 + away_s);
        sidecar_assert_equal(&shop, &billing, "items", 60000);
    }
    sidecar_stop(&shop);
    sidecar_stop(&billing);
}

static void a_locked_database_is_waited_for(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    sidecar_begin(&shop);
    sidecar_begin(&billing);
    write_load(&shop, 5, 1);
    sidecar_assert_equal(&shop, &billing, "items", 20000);
    struct process *holder = process_start(
        "holder",
        (const char *const[]){"sh", "-c",
                              test_format("(echo 'BEGIN EXCLUSIVE; SELECT 1;'; sleep 3; echo "
                                          "'COMMIT;') | sqlite3 '%s'",
                                          billing.database),
                              NULL},
        NULL);
    assert_true(process_wait_for(holder, "1", 5000));
    write_load(&shop, 5, 101);
    sidecar_assert_equal(&shop, &billing, "items", 30000);
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM keepstep_parked"), 0);
    sidecar_stop(&shop);
    sidecar_stop(&billing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(rows_from_before_and_after_init_arrive, 90),
        TEST_WITH_LIMIT(updates_deletes_and_key_changes_arrive, 90),
        TEST_WITH_LIMIT(a_restarted_pair_goes_on_where_it_stood, 120),
        TEST_WITH_LIMIT(an_agent_that_is_stopped_amid_a_backlog_ends_well_and_goes_on, 120),
        TEST_WITH_LIMIT(a_killed_agent_and_a_killed_relay_lose_and_repeat_nothing, 180),
        TEST_WITH_LIMIT(a_broker_killed_for_longer_than_a_session_ends_no_agent, 240),
        TEST_WITH_LIMIT(a_locked_database_is_waited_for, 120),
    };
    return TEST_RUN(tests);
}
