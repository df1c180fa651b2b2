/* A relay beside a backlog: records of joint transactions are claimed before data, whatever holds
 * the data up, and keep their own order (rule 71). labels: threads */
#include "tests/support/outbox_case.h"
#include "tests/support/relay_shop.h"

#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define LIMIT_S 300
#define WAIT_US INT64_C(120000000)
#define BROKER  1
#define BACKLOG 30000 /* more than may be in flight; TEST_BACKLOG_ROWS asks for another number */
#define DATA    10000 /* before the records, and behind them */
#define PAUSED  3000  /* more than a load has at first */
#define RECORDS 300   /* more than one claim takes */

static bool is_of(const char *product)
{
    return strcmp(outbox_case_product->name, product) == 0;
}

static int backlog(void)
{
    const char *wanted = getenv("TEST_BACKLOG_ROWS");
    return wanted == NULL ? BACKLOG : (int)strtol(wanted, NULL, 10);
}

static void make(struct relay_shop *shop, bool whole)
{
    *shop = (struct relay_shop){.whole = whole, .joint = true};
    outbox_case_whole = whole;
    outbox_case_joint = true;
    outbox_case_make();
    if (is_of("sqlite"))
        shop->path = outbox_case_path(outbox_case_url);
    relay_shop_prepare(shop, outbox_case_url, 1);
}

/* Each is alone: what matters here is how many there are. */
static void write_orders(int from, int count)
{
    const char *numbers = is_of("postgresql")
                              ? "SELECT n::text AS n FROM generate_series(%d, %d) AS g (n)"
                              : "WITH RECURSIVE g (n) AS (SELECT %d UNION ALL SELECT n + 1 FROM g "
                                "WHERE n < %d) SELECT n FROM g";
    char rows[512];
    (void)snprintf(rows, sizeof rows, numbers, from, from + count - 1);
    const char *sql =
        is_of("mariadb") ? "SET max_recursive_iterations = 1000000000; INSERT INTO outbox "
                           "(aggregatetype, aggregateid, type, payload, changeset) SELECT 'order', "
                           "concat('{\"id\":', n, '}'), 'order.created', "
                           "concat('{\"op\":\"c\",\"before\":null,\"after\":{\"id\":', n, "
                           "',\"name\":\"a\"}}'), '' FROM (%s) AS t"
                         : "INSERT INTO outbox (aggregatetype, aggregateid, type, payload, "
                           "changeset) SELECT 'order', '{\"id\":' || n || '}', 'order.created', "
                           "'{\"op\":\"c\",\"before\":null,\"after\":{\"id\":' || n || "
                           "',\"name\":\"a\"}}', '' FROM (%s) AS t ORDER BY n";
    (void)outbox_case_ask(test_format(sql, rows));
}

static void expect(const char *sql, const char *rows)
{
    int64_t until = clock_monotonic_us() + WAIT_US;
    while (strcmp(outbox_case_ask(sql), rows) != 0 && clock_monotonic_us() < until)
        clock_sleep_us(20000);
    assert_string_equal(outbox_case_ask(sql), rows);
}

static int64_t waiting_orders(void)
{
    return strtoll(outbox_case_ask("SELECT count(*) FROM outbox WHERE aggregatetype = 'order' AND "
                                   "sequence IS NULL AND set_aside IS NULL"),
                   NULL, 10);
}

#define NUMBERED                                                                                   \
    "SELECT count(*), coalesce(max(sequence), 0) FROM outbox WHERE aggregatetype = "               \
    "'keepstep.joint' AND sequence IS NOT NULL"

static void expect_joint_in_order(void)
{
    assert_string_equal(
        outbox_case_ask("SELECT count(*) FROM (SELECT sequence, lag(sequence) OVER (ORDER BY "
                        "position) AS earlier FROM outbox WHERE aggregatetype = 'keepstep.joint') "
                        "AS t WHERE sequence <> earlier + 1"),
        "0\n");
}

/* Nothing is delivered, so that data stands still once enough is in flight. */
static void behind_a_backlog(bool whole)
{
    struct relay_shop shop;
    int rows = backlog();
    make(&shop, whole);
    relay_shop_start(&shop);
    write_orders(1, 1);
    expect("SELECT count(*) FROM outbox WHERE sequence = 1", "1\n");
    (void)rd_kafka_mock_broker_set_down(shop.cluster, BROKER);
    write_orders(2, rows);
    outbox_case_propose(1);
    int64_t written_at_us = clock_monotonic_us();
    expect(NUMBERED, "1|1\n");
    assert_true(waiting_orders() > 0);
    if (getenv("TEST_BACKLOG_ROWS") != NULL)
        printf("%s, %s: %d rows, %.1f ms\n", outbox_case_product->name, whole ? "whole" : "single",
               rows, (double)(clock_monotonic_us() - written_at_us) / 1000);
    (void)rd_kafka_mock_broker_set_up(shop.cluster, BROKER);
    relay_shop_stop(&shop);
    relay_shop_done(&shop);
}

static void behind_rows_that_are_paused(bool whole)
{
    struct relay_shop shop;
    make(&shop, whole);
    (void)outbox_case_ask("INSERT INTO keepstep_paused VALUES ('order', 5, 'anna@host', 'why')");
    write_orders(1, PAUSED);
    for (int i = 1; i <= 2; i++)
        outbox_case_propose(i);
    relay_shop_start(&shop);
    expect(NUMBERED, "2|2\n");
    outbox_case_propose(3); /* once the relay has seen that nothing else goes on */
    expect(NUMBERED, "3|3\n");
    assert_int_equal(waiting_orders(), PAUSED);
    relay_shop_stop(&shop);
    expect_joint_in_order();
    relay_shop_done(&shop);
}

/* Of a joint transaction that has a record set aside the later ones wait, like those of an entity
 * (rule 54: where sets are whole they are set aside behind it); nothing else does. */
static void behind_rows_that_are_set_aside(bool whole)
{
    struct relay_shop shop;
    make(&shop, whole);
    for (int i = 1; i <= 100; i++)
        (void)outbox_case_ask(test_format("INSERT INTO outbox (aggregatetype, aggregateid, type, "
                                          "payload, changeset) VALUES ('order', '{\"id\":%d}', "
                                          "'order.created', 'no event', '')",
                                          i));
    outbox_case_propose(1);
    (void)outbox_case_ask("UPDATE outbox SET payload = 'no proposal' WHERE aggregatetype = "
                          "'keepstep.joint'");
    outbox_case_propose(2);
    outbox_case_propose(1);
    relay_shop_start(&shop);
    expect("SELECT count(*) FROM outbox WHERE set_aside NOT LIKE 'behind%'", "101\n");
    outbox_case_propose(3);
    expect(NUMBERED, "2|2\n");
    assert_string_equal(outbox_case_ask("SELECT count(*) FROM outbox WHERE sequence IS NULL AND "
                                        "coalesce(set_aside, 'behind') LIKE 'behind%'"),
                        "1\n");
    (void)outbox_case_ask("DELETE FROM outbox WHERE set_aside NOT LIKE 'behind%'");
    (void)outbox_case_ask("UPDATE outbox SET set_aside = NULL WHERE set_aside LIKE 'behind%'");
    expect(NUMBERED, "3|3\n");
    relay_shop_stop(&shop);
    relay_shop_done(&shop);
}

/* Data is loaded ahead meanwhile, and such a load may see records that have numbers by now. */
static void beside_data(bool whole)
{
    struct relay_shop shop;
    make(&shop, whole);
    write_orders(1, DATA);
    for (int i = 1; i <= RECORDS; i++)
        outbox_case_propose(i);
    write_orders(DATA + 1, DATA);
    relay_shop_start(&shop);
    for (int i = 1; i <= 20; i++)
        outbox_case_propose(RECORDS + i);
    expect("SELECT count(*) FROM outbox WHERE sequence IS NULL", "0\n");
    expect(NUMBERED, test_format("%d|%d\n", RECORDS + 20, RECORDS + 20));
    assert_string_equal(outbox_case_ask("SELECT count(*), max(sequence) FROM outbox WHERE "
                                        "aggregatetype = 'order'"),
                        test_format("%d|%d\n", 2 * DATA, 2 * DATA));
    expect_joint_in_order();
    relay_shop_stop(&shop);
    relay_shop_done(&shop);
}

#define MATRIX(function)                                                                           \
    static void function##_of_single_changes(void)                                                 \
    {                                                                                              \
        function(false);                                                                           \
    }                                                                                              \
    static void function##_of_whole_transactions(void)                                             \
    {                                                                                              \
        function(true);                                                                            \
    }                                                                                              \
    CASE(function##_of_single_changes)                                                             \
    CASE(function##_of_whole_transactions)

#define IN_EACH(function)                                                                          \
    TEST_WITH_LIMIT(function##_sqlite, LIMIT_S), TEST_WITH_LIMIT(function##_postgresql, LIMIT_S),  \
        TEST_WITH_LIMIT(function##_mariadb, LIMIT_S)
#define MATRIX_ALL(function)                                                                       \
    IN_EACH(function##_of_single_changes), IN_EACH(function##_of_whole_transactions)

MATRIX(behind_a_backlog)
MATRIX(behind_rows_that_are_paused)
MATRIX(behind_rows_that_are_set_aside)
MATRIX(beside_data)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MATRIX_ALL(behind_a_backlog),
        MATRIX_ALL(behind_rows_that_are_paused),
        MATRIX_ALL(behind_rows_that_are_set_aside),
        MATRIX_ALL(beside_data),
    };
    return TEST_RUN(tests);
}
