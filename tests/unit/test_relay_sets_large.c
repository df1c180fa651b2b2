/* Transactions that are larger than a load of the relay, or lie among many changes of others.
 * labels: threads */
#include "tests/support/relay_shop.h"

#define LIMIT_MS   100000
#define LIMIT_S    180
#define LOAD_ROWS  2000
#define LARGE_NAME "replace(hex(zeroblob(250000)), '0', 'y')" /* half a megabyte */

static void make_whole(struct relay_shop *shop)
{
    *shop = (struct relay_shop){.whole = true};
    relay_shop_make(shop);
}

/* Writes rows with these numbers for their keys; `changeset` and `name` may use the number `i`. */
static void write_rows(const struct relay_shop *shop, int from, int to, const char *changeset,
                       const char *name)
{
    (void)sqlite_format(
        shop->path,
        "WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
        "INSERT INTO outbox (aggregatetype, aggregateid, type, payload, changeset) "
        "SELECT 'order', '{ \"id\":' || i || '}', 'order.updated', "
        "'{\"op\":\"u\",\"before\":null,\"after\":{\"id\":' || i || ',\"name\":\"' || %s || "
        "'\"}}', %s "
        "FROM n",
        from, to, name, changeset);
}

static void expect(const struct relay_shop *shop, const char *sql, const char *rows)
{
    if (!sqlite_wait_for(shop->path, sql, rows, LIMIT_MS))
        test_fail("%s is %s: %s", sql, sqlite_text(shop->path, sql), shop->err.text);
}

static void expect_acknowledged(const struct relay_shop *shop, int count)
{
    expect(shop, "SELECT sum(acknowledged_sequence) FROM keepstep_relay_partition",
           test_format("%d\n", count));
}

/* The relay loads ahead what stands behind the first rows; that load, and the usual one, end at
 * their bytes before a set has ended. */
static void among_many_bytes(int large_rows)
{
    struct relay_shop shop;
    make_whole(&shop);
    shop.lease_us = INT64_C(400) * 1000 * 1000; /* the loader is waited for a twentieth of it */
    shop.config.limits.changeset_bytes = INT64_C(64) * 1024 * 1024;
    (void)sqlite_text(shop.path, "PRAGMA journal_mode = WAL");
    write_rows(&shop, 1, LOAD_ROWS, "''", "'x'");
    write_rows(&shop, 3001, 3001, "'a'", "'x'");
    write_rows(&shop, 4001, 4000 + large_rows, "'b'", LARGE_NAME);
    write_rows(&shop, 3002, 3002, "'a'", "'x'");
    relay_shop_start(&shop);
    expect_acknowledged(&shop, LOAD_ROWS + 2 + large_rows);
    relay_shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.sets_set_aside), 0);
    assert_string_equal(sqlite_text(shop.path, "SELECT changeset, count(*), "
                                               "count(DISTINCT changeset_end) FROM outbox "
                                               "WHERE changeset <> '' GROUP BY 1"),
                        test_format("a|2|1\nb|%d|1\n", large_rows));
    relay_shop_done(&shop);
}

static void a_set_among_more_bytes_than_are_loaded_ahead_is_published(void **state)
{
    (void)state;
    among_many_bytes(20);
}

static void a_set_among_more_bytes_than_a_load_has_at_first_is_published(void **state)
{
    (void)state;
    among_many_bytes(72);
}

static void a_transaction_of_more_rows_than_memory_holds_is_published_whole(void **state)
{
    enum { ROWS = 90000 };
    struct relay_shop shop;
    (void)state;
    make_whole(&shop);
    write_rows(&shop, 1, ROWS, "'a'", "printf('%0250d', i)"); /* memory ends before the rows do */
    write_rows(&shop, ROWS + 1, ROWS + 2, "'b'", "'x'");
    relay_shop_start(&shop);
    expect_acknowledged(&shop, ROWS + 2);
    relay_shop_stop(&shop);
    assert_string_equal(sqlite_text(shop.path, "SELECT changeset, count(*), min(sequence), "
                                               "max(sequence), min(changeset_end), "
                                               "max(changeset_end) FROM outbox GROUP BY 1"),
                        test_format("a|%d|1|%d|%d|%d\nb|2|%d|%d|%d|%d\n", ROWS, ROWS, ROWS, ROWS,
                                    ROWS + 1, ROWS + 2, ROWS + 2, ROWS + 2));
    assert_int_equal(atomic_load(&shop.metrics.sets_published), 2);
    assert_int_equal(atomic_load(&shop.metrics.sets_largest), ROWS);
    relay_shop_done(&shop);
}

/* Row 2,950 cannot be published; it was not loaded with the beginning of its transaction. Row 2,900
 * has a blank too many in its key. */
static void what_shares_an_entity_with_a_large_transaction_that_is_set_aside_waits(void **state)
{
    struct relay_shop shop;
    (void)state;
    make_whole(&shop);
    shop.config.limits.changeset_events = 500;
    write_rows(&shop, 1, 3000, "'a'", "'x'");
    (void)sqlite_text(shop.path, "UPDATE outbox SET payload = replace(payload, '\"x\"', '7') "
                                 "WHERE position = 2950");
    relay_shop_start(&shop);
    expect(&shop,
           "SELECT count(*), min(set_aside) FROM outbox WHERE set_aside IS NOT NULL AND "
           "sequence IS NULL",
           "3000|outbox row 2950 (order {\"id\":2950}): column \"name\": not a string (type "
           "text)\n");
    relay_shop_write(&shop, 2900, false, "{\"id\":2900,\"name\":\"y\"}");
    expect(&shop, "SELECT set_aside FROM outbox WHERE position = 3001", "behind outbox row 2900\n");
    relay_shop_stop(&shop);
    assert_int_equal(atomic_load(&shop.metrics.sets_set_aside), 2);
    (void)sqlite_text(shop.path, "UPDATE outbox SET set_aside = NULL, payload = replace(payload, "
                                 "':7}', ':\"x\"}')");
    relay_shop_start(&shop);
    expect_acknowledged(&shop, 3001);
    relay_shop_stop(&shop);
    assert_string_equal(sqlite_text(shop.path, "SELECT changeset, count(*), min(changeset_end), "
                                               "max(changeset_end) FROM outbox WHERE sequence <= "
                                               "3000 GROUP BY 1"),
                        "set-1|3000|3000|3000\n");
    relay_shop_done(&shop);
}

/* Each hundredth row is of a transaction that is known. Of the others nothing is known. */
static void only_what_nothing_tells_apart_is_cut(void **state)
{
    struct relay_shop shop;
    (void)state;
    make_whole(&shop);
    shop.config.limits.changeset_events = 500;
    write_rows(&shop, 1, 3000, "CASE WHEN i % 100 = 0 THEN 'a' ELSE '-' END", "'x'");
    relay_shop_start(&shop);
    expect_acknowledged(&shop, 3000);
    relay_shop_stop(&shop);
    assert_string_equal(sqlite_text(shop.path, "SELECT count(*), count(DISTINCT changeset_end), "
                                               "max(sequence) - min(sequence) FROM outbox WHERE "
                                               "changeset = 'a'"),
                        "30|1|29\n");
    relay_shop_done(&shop);
}

#define LIMITED(function) TEST_WITH_LIMIT(function, LIMIT_S)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIMITED(a_set_among_more_bytes_than_are_loaded_ahead_is_published),
        LIMITED(a_set_among_more_bytes_than_a_load_has_at_first_is_published),
        LIMITED(a_transaction_of_more_rows_than_memory_holds_is_published_whole),
        LIMITED(what_shares_an_entity_with_a_large_transaction_that_is_set_aside_waits),
        LIMITED(only_what_nothing_tells_apart_is_cut),
    };
    return TEST_RUN(tests);
}
