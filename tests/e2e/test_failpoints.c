/* SIGKILL at every step of relay and agent, then a restart: nothing is lost, nothing is applied
 * twice. */
#include "common/failpoint.h"
#include "tests/support/load.h"
#include "tests/support/model.h"
#include "tests/support/witness.h"

#include <signal.h>

#define PARTITIONS    2
#define PUBLISH_ITEMS "publish:\n  item: {table: items, partitions: 2}\n"
#define APPLY_ITEMS   "apply:\n  item: {table: items, partitions: 2}\n"

/* Behind them come those of large change sets, verify, repair and fill, which the tests of these
 * reach. */
#define POINTS FAILPOINT_AGENT_LARGE_READ

static bool fired[POINTS];

/* While the next rows are loaded ahead. */
static bool reached_by_a_backlog(enum failpoint_point point)
{
    return point == FAILPOINT_RELAY_LOAD_ORDERED || point == FAILPOINT_RELAY_BEFORE_LOAD ||
           point == FAILPOINT_RELAY_AFTER_LOAD || point == FAILPOINT_RELAY_LOAD_TAKEN;
}

/* While the agent has a backlog its batches are full, and the next one is read ahead. */
static bool reached_by_an_agents_backlog(enum failpoint_point point)
{
    return point == FAILPOINT_AGENT_BEFORE_HAND_OVER || point == FAILPOINT_AGENT_AFTER_HAND_OVER ||
           point == FAILPOINT_AGENT_READER_AFTER_FILL ||
           point == FAILPOINT_AGENT_BEFORE_TAKE_BACK || point == FAILPOINT_AGENT_AFTER_TAKE_BACK;
}

/* The others need a parked record, a stopped partition, a purge, or a backlog. They have tests of
 * their own. */
static bool reached_by_the_main_path(enum failpoint_point point)
{
    return !reached_by_a_backlog(point) && point != FAILPOINT_AGENT_PARKED_BEFORE_COMMIT &&
           point != FAILPOINT_AGENT_PARKED_AFTER_COMMIT && point != FAILPOINT_AGENT_STOP_RECORDED &&
           point != FAILPOINT_RELAY_AFTER_PURGE;
}

static void expect_killed(struct sidecar *victim, enum failpoint_point point)
{
    int code = process_wait(victim->process, 30000);
    if (code != 128 + SIGKILL)
        test_fail("failpoint %s did not fire (%d): %s", failpoint_names[point], code,
                  process_errors(victim->process));
    fired[point] = true;
}

/* The second time that a point is reached lies in the middle of the load, or is an assignment's
 * second partition. */
static void a_kill_at_any_point_of_the_main_path_loses_and_repeats_nothing(void **state)
{
    enum { STATEMENTS = 300, MOST = 20000 }; /* a load lasts until the process was killed */
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    /* So few that a backlog fills several batches. */
    struct sidecar billing = sidecar_make(kafka, "billing", NULL,
                                          APPLY_ITEMS "limits: {batch_events: 4}\n");
    load_need("sqlite3");

    sidecar_init(&shop, NULL);
    sidecar_init(&billing, NULL);
    witness_begin(&shop);
    witness_begin(&billing);
    for (int point = 0; point < POINTS; point++) {
        const char *name = failpoint_names[point];
        if (!reached_by_the_main_path((enum failpoint_point)point))
            continue;
        struct sidecar *victim = strncmp(name, "relay", 5) == 0 ? &shop : &billing;
        struct sidecar *other = victim == &shop ? &billing : &shop;
        sidecar_start(other, NULL);
        bool backlog = reached_by_an_agents_backlog((enum failpoint_point)point);
        if (!backlog)
            sidecar_start(victim, test_format("%s:2", name));
        struct process *load = witness_load(&shop, name, point * MOST, backlog ? STATEMENTS : MOST);
        if (backlog) {
            witness_load_end(load);
            sidecar_expect(&shop, "SELECT count(*) FROM outbox WHERE sequence IS NULL", "0\n");
            sidecar_start(victim, test_format("%s:2", name));
        }
        expect_killed(victim, (enum failpoint_point)point);
        sidecar_start(victim, NULL);
        if (!backlog)
            witness_load_stop(load, name);
        witness_assert_copy(kafka, &shop, &billing);
        sidecar_stop(victim);
        sidecar_stop(other);
    }
    print_message("%d records published twice\n", witness_assert_log(kafka, &shop));
    load_assert_rows("the copy", model_items(kafka, PARTITIONS),
                     sqlite_text(billing.database, model_items_sql()));
}

static void a_kill_while_rows_are_loaded_ahead_loses_and_repeats_nothing(void **state)
{
    enum { ROWS = 7000 }; /* several batches of the relay */
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    sidecar_init(&shop, NULL);
    sidecar_init(&billing, NULL);
    witness_begin(&shop);
    witness_begin(&billing);
    sidecar_start(&billing, NULL);
    int version = 0;
    for (int point = 0; point < POINTS; point++) {
        if (!reached_by_a_backlog((enum failpoint_point)point))
            continue;
        (void)sqlite_text(
            shop.database,
            test_format("WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
                        "i < %d) INSERT INTO items SELECT i %% 60, 'x', i + %d FROM n "
                        "WHERE true ON CONFLICT (id) DO UPDATE SET "
                        "amount = excluded.amount",
                        ROWS, version));
        version += ROWS;
        sidecar_start(&shop, failpoint_names[point]);
        expect_killed(&shop, (enum failpoint_point)point);
        sidecar_start(&shop, NULL);
        witness_assert_copy(kafka, &shop, &billing);
        sidecar_stop(&shop);
    }
    print_message("%d records published twice\n", witness_assert_log(kafka, &shop));
    sidecar_stop(&billing);
}

/* Make an agent on a log of one partition. The test writes that log. */
static struct sidecar make_billing(struct kafka *kafka)
{
    struct sidecar billing = sidecar_make(kafka, "billing", NULL,
                                          "apply:\n  item: {table: items, partitions: 1}\n"
                                          "limits: {batch_bytes: 1024}\n");
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    sidecar_begin(&billing);
    return billing;
}

/* Three events are parked. @param left how many of them are still parked at the kill. */
static void kill_while_parked_events_are_retried(enum failpoint_point point, int64_t left)
{
    static const char large[] = "{\"id\":7,\"amount\":%d%1100s}";
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka);

    sidecar_produce(kafka, "k-1", "item.updated", 7, test_format(large, 5, "")); /* no such row */
    sidecar_produce(kafka, "k-2", "item.updated", 7, test_format(large, 6, ""));
    sidecar_produce(kafka, "k-3", "item.updated", 7, test_format(large, 7, ""));
    sidecar_expect(&billing, "SELECT count(*) FROM keepstep_parked", "3\n");
    sidecar_stop(&billing);
    (void)sqlite_text(billing.database,
                      "INSERT INTO items VALUES(7,'mended',0); CREATE TABLE seen(amount);"
                      "CREATE TRIGGER seen AFTER UPDATE ON items "
                      "BEGIN INSERT INTO seen VALUES(new.amount); END;");
    sidecar_start(&billing, failpoint_names[point]);
    (void)sidecar_run(&billing, "parked", "retry", "--all"); /* it dies before it answers */
    expect_killed(&billing, point);
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM keepstep_parked"), left);
    sidecar_start(&billing, NULL);
    sidecar_expect(&billing, "SELECT count(*) FROM keepstep_parked", "0\n");
    sidecar_expect(&billing, "SELECT amount FROM seen ORDER BY rowid", "5\n6\n7\n");
    sidecar_stop(&billing);
}

static void a_kill_while_parked_events_are_retried_repeats_nothing(void **state)
{
    (void)state;
    kill_while_parked_events_are_retried(FAILPOINT_AGENT_PARKED_BEFORE_COMMIT, 3);
}

static void a_kill_between_two_pieces_of_what_is_parked_repeats_nothing(void **state)
{
    (void)state;
    kill_while_parked_events_are_retried(FAILPOINT_AGENT_PARKED_AFTER_COMMIT, 2);
}

static void a_kill_after_a_stop_was_recorded_leaves_it_recorded(void **state)
{
    const enum failpoint_point point = FAILPOINT_AGENT_STOP_RECORDED;
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka);

    sidecar_produce(kafka, "r-1", "item.created", 1, "{\"id\":1,\"name\":\"one\",\"amount\":1}");
    sidecar_expect(&billing, "SELECT id FROM items", "1\n");
    sidecar_stop(&billing);
    kafka_delete_topic(kafka, sidecar_topic("item"));
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    sidecar_produce(kafka, "n-1", "item.created", 2, "{\"id\":2,\"name\":\"two\",\"amount\":2}");
    sidecar_produce(kafka, "n-2", "item.created", 3, "{\"id\":3,\"name\":\"three\",\"amount\":3}");
    sidecar_start(&billing, failpoint_names[point]);
    expect_killed(&billing, point);
    sidecar_expect(&billing, "SELECT next_offset, stopped <> '' FROM keepstep_position", "1|1\n");
    sidecar_start(&billing, NULL);
    assert_true(process_wait_for(billing.process, "stands still", 30000));
    sidecar_expect(&billing, "SELECT id FROM items", "1\n");
    process_kill(billing.process);
}

static void a_kill_after_a_purge_leaves_nothing_to_be_sent_again(void **state)
{
    const enum failpoint_point point = FAILPOINT_RELAY_AFTER_PURGE;
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);
    sidecar_begin(&shop);
    sidecar_begin(&billing);
    (void)sqlite_text(shop.database, "WITH n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE "
                                     "i<50) INSERT INTO items SELECT i,'x',i FROM n");
    sidecar_assert_equal(&shop, &billing, "items", 30000);
    sidecar_expect(&shop, "SELECT sum(acknowledged_sequence) FROM keepstep_relay_partition",
                   "50\n");
    process_kill(shop.process);
    test_write_file(shop.config, test_format("%slimits: {outbox_retention_s: 0}\n",
                                             test_read_file(shop.config)));
    sidecar_start(&shop, failpoint_names[point]);
    expect_killed(&shop, point);
    assert_true(sqlite_number(shop.database, "SELECT count(*) FROM outbox") < 50);

    (void)sqlite_text(shop.database, "UPDATE items SET amount=-1 WHERE id<=5");
    sidecar_start(&shop, NULL);
    sidecar_assert_equal(&shop, &billing, "items", 30000);
    assert_int_equal(sidecar_records(kafka, "item"), 55);
    sidecar_stop(&shop);
    sidecar_stop(&billing);
}

static void every_failpoint_has_fired(void **state)
{
    (void)state;
    for (int point = 0; point < POINTS; point++) {
        if (!fired[point])
            test_fail("no test here has reached %s", failpoint_names[point]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_kill_at_any_point_of_the_main_path_loses_and_repeats_nothing, 400),
        TEST_WITH_LIMIT(a_kill_while_rows_are_loaded_ahead_loses_and_repeats_nothing, 180),
        TEST_WITH_LIMIT(a_kill_while_parked_events_are_retried_repeats_nothing, 120),
        TEST_WITH_LIMIT(a_kill_between_two_pieces_of_what_is_parked_repeats_nothing, 120),
        TEST_WITH_LIMIT(a_kill_after_a_stop_was_recorded_leaves_it_recorded, 120),
        TEST_WITH_LIMIT(a_kill_after_a_purge_leaves_nothing_to_be_sent_again, 120),
        TEST(every_failpoint_has_fired),
    };
    return TEST_RUN(tests);
}
