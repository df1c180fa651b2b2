/* The changes of a PostgreSQL service reach an SQLite copy through a real Kafka. */
#include "tests/support/postgresql.h"
#include "tests/support/sidecar.h"

#define PUBLISH_ITEMS "publish:\n  item: {table: items, partitions: 2}\n"
#define APPLY_ITEMS   "apply:\n  item: {table: items, partitions: 2}\n"

struct pair {
    struct sidecar shop;
    struct sidecar billing;
    const char *url; /* the shop's database, as its owner */
};

static struct pair pair_make(const char *before)
{
    if (postgresql_server_url() == NULL)
        test_skip("%s", postgresql_skip_reason());
    struct kafka *kafka = kafka_start();
    struct pair pair = {.url = postgresql_database("shop")};
    pair.shop = sidecar_make_on(kafka, "shop", pair.url, PUBLISH_ITEMS);
    pair.billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);
    postgresql_execute(pair.url, "CREATE TABLE items (id bigint PRIMARY KEY, name text NOT NULL, "
                                 "amount integer)");
    postgresql_execute(pair.url, before);
    sidecar_init(&pair.shop, NULL);
    sidecar_init(&pair.billing, NULL);
    return pair;
}

static void pair_start(struct pair *pair)
{
    sidecar_start(&pair->shop, NULL);
    sidecar_start(&pair->billing, NULL);
}

static void pair_assert_equal(const struct pair *pair, int64_t limit_ms)
{
    static const char rows[] = "SELECT id, name, amount FROM items ORDER BY id";
    const char *expected = postgresql_text(pair->url, rows);
    if (!sqlite_wait_for(pair->billing.database, rows, expected, limit_ms))
        test_fail("billing has %.2000s\nshop says %s\nbilling says %s",
                  sqlite_text(pair->billing.database, rows), process_errors(pair->shop.process),
                  process_errors(pair->billing.process));
}

static void pair_stop(struct pair *pair)
{
    sidecar_stop(&pair->shop);
    sidecar_stop(&pair->billing);
}

static void every_kind_of_change_arrives(void **state)
{
    (void)state;
    struct pair pair = pair_make("INSERT INTO items SELECT i, 'before ' || i, i "
                                 "FROM generate_series(1, 2500) AS i");
    pair_start(&pair);
    pair_assert_equal(&pair, 30000);
    postgresql_execute(
        pair.url,
        "INSERT INTO items VALUES (9001, 'a', 1), (9002, 'b', 2), (9003, 'ü \"c\"', NULL)");
    postgresql_execute(pair.url, "UPDATE items SET amount = amount + 1 WHERE id <= 100");
    postgresql_execute(pair.url, "UPDATE items SET id = 9004 WHERE id = 9001");
    postgresql_execute(pair.url, "DELETE FROM items WHERE id BETWEEN 101 AND 200");
    postgresql_execute(pair.url, "INSERT INTO items VALUES (9002, 'conflict', 0) "
                                 "ON CONFLICT (id) DO UPDATE SET name = excluded.name");
    postgresql_execute(pair.url, "COPY items FROM PROGRAM 'seq 10000 10999 | "
                                 "sed \"s/.*/&\\tcopied\\t&/\"'");
    postgresql_execute(pair.url, "BEGIN; DELETE FROM items; ROLLBACK");
    pair_assert_equal(&pair, 30000);
    postgresql_execute(pair.url, "TRUNCATE items; INSERT INTO items VALUES (1, 'after', 1)");
    pair_assert_equal(&pair, 30000);
    assert_string_equal(sqlite_text(pair.billing.database, "SELECT * FROM items"), "1|after|1\n");
    pair_stop(&pair);
}

static void a_crash_of_the_server_and_a_killed_relay_cost_nothing(void **state)
{
    (void)state;
    struct pair pair = pair_make("INSERT INTO items VALUES (0, 'before', 0)");
    pair_start(&pair);
    for (int round = 1; round <= 4; round++) {
        postgresql_execute(pair.url,
                           test_format("INSERT INTO items SELECT %d + i, 'load', i FROM "
                                       "generate_series(1, 500) AS i; UPDATE items SET amount = "
                                       "amount + 1 WHERE id %% 7 = %d",
                                       round * 1000, round));
        if (round % 2 == 0) {
            process_kill(pair.shop.process);
            sidecar_start(&pair.shop, NULL);
        } else {
            postgresql_stop();
            postgresql_start();
        }
    }
    pair_assert_equal(&pair, 60000);
    assert_true(process_running(pair.shop.process));
    pair_stop(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(every_kind_of_change_arrives, 120),
        TEST_WITH_LIMIT(a_crash_of_the_server_and_a_killed_relay_cost_nothing, 120),
    };
    return TEST_RUN(tests);
}
