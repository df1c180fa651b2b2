/* Several services write the same entities. All copies end equal, and no change is published again
 * by a service that applied it. labels: threads */
#include "tests/support/load.h"
#include "tests/support/sidecar.h"

#include <stdio.h>

#define BOTH_WAYS                                                                                  \
    "publish:\n  item: {table: items, partitions: 2}\n"                                            \
    "apply:\n  item: {table: items, partitions: 2}\n"

static void three_services_writing_the_same_keys_end_equal(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar services[3];
    const struct sidecar *const all[] = {&services[0], &services[1], &services[2], NULL};
    const char *const names[] = {"one", "two", "three"};

    for (int i = 0; i < 3; i++) {
        services[i] = sidecar_make(kafka, names[i], SIDECAR_ITEM_DDL, BOTH_WAYS);
        sidecar_init(&services[i], NULL);
        sidecar_start(&services[i], NULL);
    }
    unsigned random = 4711;
    for (int round = 0; round < 120; round++) {
        random = random * 1664525u + 1013904223u;
        const struct sidecar *writer = &services[(random >> 8) % 3];
        int id = (int)((random >> 12) % 6);
        if ((random >> 20) % 6 == 0)
            (void)sqlite_format(writer->database, "DELETE FROM items WHERE id=%d", id);
        else
            (void)sqlite_format(writer->database,
                                "INSERT INTO items VALUES(%d,'%s',%d) ON CONFLICT(id) DO UPDATE "
                                "SET name=excluded.name, amount=excluded.amount",
                                id, writer->name, round);
    }
    (void)sqlite_text(services[0].database, "INSERT INTO items VALUES(99,'last',1)");
    for (int i = 1; i < 3; i++) {
        if (!sqlite_wait_for(services[i].database, "SELECT name FROM items WHERE id=99", "last\n",
                             60000))
            test_fail("%s: %s", services[i].name, process_errors(services[i].process));
    }
    load_settle(kafka, "item", all, all, 60000); /* they may be equal for a moment before */
    sidecar_assert_equal(&services[0], &services[1], "items", 0);
    sidecar_assert_equal(&services[0], &services[2], "items", 0);
    int64_t records = sidecar_records(kafka, "item");
    int64_t written = 0;
    for (int i = 0; i < 3; i++)
        written += sqlite_number(services[i].database, "SELECT count(*) FROM outbox");
    assert_int_equal(records, written);
    for (int i = 0; i < 3; i++)
        sidecar_stop(&services[i]);
}

static void a_counter_that_the_service_also_applies_loses_no_increment(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar writer = sidecar_make(kafka, "writer", SIDECAR_ITEM_DDL, BOTH_WAYS);
    struct sidecar reader = sidecar_make(kafka, "reader", SIDECAR_ITEM_DDL, BOTH_WAYS);

    sidecar_begin(&writer);
    sidecar_begin(&reader);
    (void)sqlite_text(writer.database, "INSERT INTO items VALUES(1,'counter',0)");
    for (int i = 1; i <= 150; i++) {
        int64_t before = sqlite_number(writer.database, "SELECT amount FROM items WHERE id=1");
        assert_int_equal(before, i - 1); /* an older own value never replaces it */
        (void)sqlite_text(writer.database, "UPDATE items SET amount=amount+1 WHERE id=1");
        if (i == 50 || i == 100) {
            process_kill(writer.process);
            sidecar_start(&writer, NULL);
        }
    }
    if (!sqlite_wait_for(reader.database, "SELECT amount FROM items WHERE id=1", "150\n", 60000))
        test_fail("reader: %s", process_errors(reader.process));
    assert_int_equal(sqlite_number(writer.database, "SELECT amount FROM items WHERE id=1"), 150);
    sidecar_stop(&writer);
    sidecar_stop(&reader);
}

/* An agent's own writes are not captured. Changes that they cause in other tables of the service
 * are. */
static void a_cascade_and_a_trigger_that_an_agent_sets_off_are_published(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL,
                                       "publish:\n  item: {table: items, partitions: 1}\n"
                                       "apply:\n  item: {table: items, partitions: 1}\n"
                                       "  extra: {table: extras, partitions: 1}\n");
    struct sidecar stock = sidecar_make(
        kafka, "stock",
        SIDECAR_ITEM_DDL "CREATE TABLE extras(id INTEGER PRIMARY KEY, name TEXT NOT NULL, "
                         "amount INTEGER REFERENCES items ON DELETE CASCADE);"
                         "CREATE TRIGGER follow AFTER INSERT ON items BEGIN "
                         "INSERT INTO extras VALUES(new.id, 'by trigger', new.id); END;",
        "publish:\n  item: {table: items, partitions: 1}\n"
        "  extra: {table: extras, partitions: 1}\n"
        "apply:\n  item: {table: items, partitions: 1}\n");

    sidecar_begin(&shop);
    sidecar_begin(&stock);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES(1,'a',1),(2,'b',2)");
    sidecar_expect(&shop, "SELECT * FROM extras ORDER BY id", "1|by trigger|1\n2|by trigger|2\n");
    (void)sqlite_text(shop.database, "DELETE FROM items WHERE id=1");
    sidecar_expect(&shop, "SELECT * FROM extras", "2|by trigger|2\n");
    sidecar_assert_equal(&shop, &stock, "items", 20000);
    assert_string_equal(sqlite_text(stock.database, "SELECT type FROM outbox ORDER BY position"),
                        "extra.created\nextra.created\nextra.deleted\n");
    sidecar_stop(&stock);
    sidecar_stop(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(three_services_writing_the_same_keys_end_equal, 180),
        TEST_WITH_LIMIT(a_counter_that_the_service_also_applies_loses_no_increment, 180),
        TEST_WITH_LIMIT(a_cascade_and_a_trigger_that_an_agent_sets_off_are_published, 120),
    };
    return TEST_RUN(tests);
}
