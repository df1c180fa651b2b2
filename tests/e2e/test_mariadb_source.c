/* The changes of a MariaDB service reach an SQLite copy through a real Kafka. */
#include "tests/support/item_pair.h"
#include "tests/support/mariadb.h"

#define DDL                                                                                        \
    "CREATE TABLE items (id BIGINT PRIMARY KEY, name VARCHAR(100) NOT NULL UNIQUE, amount INT) "   \
    "CHARACTER SET utf8mb4;"

static void every_kind_of_change_arrives(void **state)
{
    (void)state;
    struct item_pair pair = item_pair_make(
        DATABASE_MARIADB, DDL,
        "INSERT INTO items SELECT seq, CONCAT('before ', seq), seq "
        "FROM seq_1_to_2500");
    item_pair_start(&pair);
    item_pair_assert_equal(&pair, 30000);
    mariadb_execute(pair.url,
                    "INSERT INTO items VALUES (9001, 'a', 1), (9002, 'b', 2), (9003, 'ü \"c\"', "
                    "NULL); UPDATE items SET amount = amount + 1 WHERE id <= 100;"
                    "UPDATE items SET id = 9004 WHERE id = 9001;"
                    "DELETE FROM items WHERE id BETWEEN 101 AND 200;"
                    "INSERT INTO items VALUES (9002, 'x', 0) ON DUPLICATE KEY UPDATE name = 'y';"
                    "REPLACE INTO items VALUES (9002, 'before 1', 7);"
                    "REPLACE INTO items VALUES (300, 'replaced', 8);"
                    "START TRANSACTION; DELETE FROM items; ROLLBACK");
    item_pair_assert_equal(&pair, 30000);
    mariadb_execute(pair.url, "UPDATE items SET id = id + 100000 ORDER BY id;"
                              "DELETE FROM items WHERE id % 2 = 0");
    item_pair_assert_equal(&pair, 30000);
    assert_string_equal(mariadb_text(pair.url, "SELECT COUNT(*) FROM outbox WHERE set_aside IS NOT "
                                               "NULL OR sequence IS NULL"),
                        "0\n");
    item_pair_stop(&pair);
}

static void a_crash_of_the_server_and_a_killed_relay_cost_nothing(void **state)
{
    (void)state;
    struct item_pair pair = item_pair_make(DATABASE_MARIADB, DDL,
                                           "INSERT INTO items VALUES (0, 'before', 0)");
    item_pair_start(&pair);
    for (int round = 1; round <= 4; round++) {
        mariadb_execute(pair.url, test_format("INSERT INTO items SELECT %d + seq, CONCAT('load %d "
                                              "', seq), seq FROM seq_1_to_500; UPDATE items SET "
                                              "amount = amount + 1 WHERE id %% 7 = %d",
                                              round * 1000, round, round));
        if (round % 2 == 0) {
            process_kill(pair.shop.process);
            sidecar_start(&pair.shop, NULL);
        } else {
            mariadb_stop();
            mariadb_start();
        }
    }
    item_pair_assert_equal(&pair, 60000);
    assert_true(process_running(pair.shop.process));
    item_pair_stop(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(every_kind_of_change_arrives, 180),
        TEST_WITH_LIMIT(a_crash_of_the_server_and_a_killed_relay_cost_nothing, 240),
    };
    return TEST_RUN(tests);
}
