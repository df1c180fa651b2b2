/* The changes of a PostgreSQL service reach an SQLite copy through a real Kafka. */
#include "tests/support/item_pair.h"
#include "tests/support/postgresql.h"
#include "tests/support/sql.h"

#define DDL "CREATE TABLE items (id bigint PRIMARY KEY, name text NOT NULL, amount integer)"

static void every_kind_of_change_arrives(void **state)
{
    (void)state;
    struct item_pair pair = item_pair_make(DATABASE_POSTGRESQL, DDL,
                                           "INSERT INTO items SELECT i, 'before ' || i, i "
                                           "FROM generate_series(1, 2500) AS i");
    item_pair_start(&pair);
    item_pair_assert_equal(&pair, 30000);
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
    item_pair_assert_equal(&pair, 30000);
    postgresql_execute(pair.url, "TRUNCATE items; INSERT INTO items VALUES (1, 'after', 1)");
    item_pair_assert_equal(&pair, 30000);
    assert_string_equal(sqlite_text(pair.billing.database, "SELECT * FROM items"), "1|after|1\n");
    item_pair_stop(&pair);
}

static void a_crash_of_the_server_and_a_killed_relay_cost_nothing(void **state)
{
    (void)state;
    struct item_pair pair = item_pair_make(DATABASE_POSTGRESQL, DDL,
                                           "INSERT INTO items VALUES (0, 'before', 0)");
    item_pair_start(&pair);
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
    item_pair_assert_equal(&pair, 60000);
    assert_true(process_running(pair.shop.process));
    item_pair_stop(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(every_kind_of_change_arrives, 120),
        TEST_WITH_LIMIT(a_crash_of_the_server_and_a_killed_relay_cost_nothing, 120),
    };
    return TEST_RUN(tests);
}
