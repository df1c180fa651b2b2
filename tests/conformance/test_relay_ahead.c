/* A relay with a backlog loads ahead, in a second session. Whatever happens meanwhile, each row
 * gets one number, and an entity's numbers are in the order of its rows. labels: threads */
#include "tests/support/database.h"
#include "tests/support/outbox_case.h"
#include "tests/support/relay_shop.h"
#include "tests/support/session.h"

#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define WAIT_US (INT64_C(120) * 1000 * 1000)
#define BACKLOG 7000 /* several batches of the relay */
#define ROUNDS  20
#define LATE    16 /* writers that commit late */

#define INSERT "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) "

static void make(struct relay_shop *shop)
{
    *shop = (struct relay_shop){.status = STATUS_OK};
    outbox_case_make();
    if (strncmp(outbox_case_url, "sqlite:", 7) == 0)
        shop->path = strchr(outbox_case_url, ':') + 1;
    relay_shop_prepare(shop, outbox_case_url, 3);
}

/* Write rows of the entities `from` to `to`, each its own, in one transaction. */
static void write_many(int from, int to)
{
    static const char row[] = "'order', '{\"id\":' || %s || '}', 'order.created', "
                              "'{\"op\":\"c\",\"before\":null,\"after\":{\"id\":' || %s || '}}'";
    static const char maria_row[] =
        "'order', CONCAT('{\"id\":', %s, '}'), 'order.created', "
        "CONCAT('{\"op\":\"c\",\"before\":null,\"after\":{\"id\":', %s, '}}')";
    const char *product = outbox_case_product->name;
    if (strcmp(product, "mariadb") == 0)
        (void)outbox_case_ask(test_format("%s SELECT %s FROM seq_%d_to_%d", INSERT,
                                          test_format(maria_row, "seq", "seq"), from, to));
    else if (strcmp(product, "postgresql") == 0)
        (void)outbox_case_ask(test_format("%s SELECT %s FROM generate_series(%d, %d) AS i", INSERT,
                                          test_format(row, "i", "i"), from, to));
    else
        (void)outbox_case_ask(test_format("%s WITH RECURSIVE n(i) AS (SELECT %d UNION ALL "
                                          "SELECT i + 1 FROM n WHERE i < %d) SELECT %s FROM n",
                                          INSERT, from, to, test_format(row, "i", "i")));
}

static void expect_acknowledged(const struct relay_shop *shop, int64_t count)
{
    int64_t until = clock_monotonic_us() + WAIT_US;
    while (atomic_load(&shop->metrics.acknowledged) < count && clock_monotonic_us() < until)
        clock_sleep_us(20000);
    if (atomic_load(&shop->metrics.acknowledged) != count)
        test_fail("acknowledged %lld of %lld: %s",
                  (long long)atomic_load(&shop->metrics.acknowledged), (long long)count,
                  shop->err.text);
}

/* Each row has a number, each partition's numbers have no gap, and an entity's rise with its
 * positions. */
static void expect_order(void)
{
    assert_string_equal(outbox_case_ask("SELECT count(*) FROM outbox WHERE sequence IS NULL"),
                        "0\n");
    assert_string_equal(
        outbox_case_ask("SELECT count(*) FROM (SELECT kafka_partition, count(*) AS n, "
                        "count(DISTINCT sequence) AS d, max(sequence) AS m FROM outbox "
                        "GROUP BY kafka_partition) AS t WHERE n <> d OR n <> m"),
        "0\n");
    assert_string_equal(
        outbox_case_ask("SELECT count(*) FROM (SELECT sequence, lag(sequence) OVER (PARTITION BY "
                        "aggregateid ORDER BY position) AS earlier FROM outbox) AS t "
                        "WHERE sequence < earlier"),
        "0\n");
}

struct late_writer {
    int id; /* of its entity */
    int64_t written;
    atomic_bool stop;
    pthread_t thread;
};

/* Takes a position, commits it late, and at once writes the same entity again. */
static void *write_late(void *context)
{
    struct late_writer *writer = context;
    bool sqlite = strcmp(outbox_case_product->name, "sqlite") == 0;
    struct session *session = session_open(outbox_case_url);
    char insert[512];
    /* There the statement that writes the backlog holds the positions until it ends. */
    if (strcmp(outbox_case_product->name, "mariadb") == 0)
        session_run(session, "SET innodb_lock_wait_timeout = 120", NULL);
    (void)snprintf(insert, sizeof insert,
                   INSERT "VALUES ('order', '{\"id\":%d}', 'order.updated', "
                          "'{\"op\":\"u\",\"before\":null,\"after\":{\"id\":%d}}')",
                   writer->id, writer->id);
    for (int i = 0; !atomic_load(&writer->stop); i++, writer->written += 2) {
        while (session_try(session, sqlite ? "BEGIN IMMEDIATE" : "START TRANSACTION", NULL) != NULL)
            clock_sleep_us(10000); /* SQLite's lock has no queue */
        session_run(session, insert, NULL);
        clock_sleep_us(sqlite ? 500 : 1000 * (5 + (i * 37 + writer->id * 11) % 120));
        if (sqlite)
            session_run(session, insert, NULL);
        session_run(session, "COMMIT", NULL);
        if (!sqlite)
            session_run(session, insert, NULL);
        clock_sleep_us(sqlite ? 20000 : 1000);
    }
    session_close(session);
    return NULL;
}

/* The backlog is never far behind the writers, so that late positions lie among the rows that are
 * being claimed. */
static void an_entity_keeps_its_order_beside_writers_that_commit_late(void)
{
    struct relay_shop shop;
    struct late_writer writers[LATE] = {0};
    int64_t rows = 0;
    int late = strcmp(outbox_case_product->name, "sqlite") == 0 ? 1 : LATE;
    make(&shop);
    for (int i = 0; i < late; i++) {
        writers[i].id = i + 1;
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_late, &writers[i]), 0);
    }
    relay_shop_start(&shop);
    for (int i = 0; i < ROUNDS; i++, rows += BACKLOG) {
        int first = 1000 + i * BACKLOG;
        write_many(first, first + BACKLOG - 1);
        int64_t until = clock_monotonic_us() + WAIT_US;
        while (atomic_load(&shop.metrics.acknowledged) < rows && clock_monotonic_us() < until)
            clock_sleep_us(5000);
    }
    for (int i = 0; i < late; i++) {
        atomic_store(&writers[i].stop, true);
        (void)pthread_join(writers[i].thread, NULL);
        rows += writers[i].written;
    }
    expect_acknowledged(&shop, rows);
    relay_shop_stop(&shop);
    expect_order();
    assert_int_equal(atomic_load(&shop.metrics.published), rows);
    relay_shop_done(&shop);
}

/* Rows that cannot be published lie among the others, and are released while others come. */
static void rows_set_aside_in_a_backlog_hold_up_their_entities_alone(void)
{
    struct relay_shop shop;
    make(&shop);
    write_many(1, BACKLOG);
    (void)outbox_case_ask("UPDATE outbox SET payload = 'x' WHERE position % 500 = 7");
    write_many(1, BACKLOG); /* the same entities again */
    relay_shop_start(&shop);
    expect_acknowledged(&shop, 2 * (BACKLOG - BACKLOG / 500));
    assert_string_equal(outbox_case_ask("SELECT count(*) FROM outbox WHERE set_aside IS NOT NULL"),
                        test_format("%d\n", BACKLOG / 500));
    write_many(BACKLOG + 1, 3 * BACKLOG);
    (void)outbox_case_ask("UPDATE outbox SET payload = '{\"op\":\"d\",\"before\":null,"
                          "\"after\":null}', type = 'order.deleted', set_aside = NULL "
                          "WHERE set_aside IS NOT NULL");
    write_many(3 * BACKLOG + 1, 4 * BACKLOG);
    expect_acknowledged(&shop, 5 * BACKLOG);
    relay_shop_stop(&shop);
    expect_order();
    relay_shop_done(&shop);
}

/* @return how many sessions the relay has, and the number of the newest of them. The observer stays
 * open, because a session that was just closed may still be listed. */
static int relay_sessions(struct session *observer, long *ret_newest)
{
    bool postgresql = strcmp(outbox_case_product->name, "postgresql") == 0;
    struct buffer rows;
    char *end = NULL;
    buffer_init(&rows, 1024);
    session_run(
        observer,
        postgresql ? "SELECT count(*), coalesce((array_agg(pid ORDER BY backend_start DESC))[1], 0)"
                     " FROM pg_stat_activity WHERE application_name LIKE 'keepstep%'"
                   : "SELECT count(*), coalesce(max(id), 0) FROM information_schema.processlist "
                     "WHERE db = database() AND id <> connection_id()",
        &rows);
    int count = (int)strtol(buffer_text(&rows), &end, 10);
    *ret_newest = strtol(end + strlen(SESSION_COLUMN_END), NULL, 10);
    buffer_done(&rows);
    return count;
}

/* The relay goes on without it, and compares the database's numbers with its own. */
static void a_lost_second_session_costs_neither_a_row_nor_the_order(void)
{
    struct relay_shop shop;
    long newest = 0;
    int ended = 0;
    bool postgresql = strcmp(outbox_case_product->name, "postgresql") == 0;
    make(&shop);
    write_many(1, 5 * BACKLOG);
    struct session *observer = session_open(outbox_case_url);
    relay_shop_start(&shop);
    while (atomic_load(&shop.metrics.acknowledged) < 5 * BACKLOG) {
        if (ended >= 1 || relay_sessions(observer, &newest) < 2) {
            if (ended == 0 && atomic_load(&shop.metrics.acknowledged) > 4 * BACKLOG)
                test_fail("there was no second session");
            clock_sleep_us(1000);
            continue;
        }
        const char *kill_it = test_format(
            postgresql ? "SELECT pg_terminate_backend(%ld)" : "KILL CONNECTION %ld", newest);
        ended += session_try(observer, kill_it, NULL) == NULL ? 1 : 0; /* it may have ended */
    }
    expect_acknowledged(&shop, 5 * BACKLOG);
    relay_shop_stop(&shop);
    session_close(observer);
    expect_order();
    assert_int_equal(atomic_load(&shop.metrics.published), 5 * BACKLOG);
    assert_int_equal(atomic_load(&shop.metrics.rebuilt), 0);
    relay_shop_done(&shop);
}

static void lost_sessions_again_and_again_cost_neither_a_row_nor_the_order(void)
{
    struct relay_shop shop;
    make(&shop);
    write_many(1, 4 * BACKLOG);
    relay_shop_start(&shop);
    for (int i = 0; i < 8; i++) {
        clock_sleep_us(150000);
        outbox_case_product->kill(outbox_case_url);
    }
    expect_acknowledged(&shop, 4 * BACKLOG);
    relay_shop_stop(&shop);
    expect_order();
    relay_shop_done(&shop);
}

/* The loader's session is opened for a backlog only, and not kept. */
static void an_idle_relay_has_one_session(void)
{
    struct relay_shop shop;
    long newest = 0;
    int64_t until = clock_monotonic_us() + WAIT_US;
    make(&shop);
    struct session *observer = session_open(outbox_case_url);
    write_many(1, 10);
    relay_shop_start(&shop);
    expect_acknowledged(&shop, 10);
    assert_int_equal(relay_sessions(observer, &newest), 1);
    write_many(11, 3 * BACKLOG);
    expect_acknowledged(&shop, 3 * BACKLOG);
    assert_int_equal(relay_sessions(observer, &newest), 2);
    while (relay_sessions(observer, &newest) > 1 && clock_monotonic_us() < until)
        clock_sleep_us(100000);
    assert_int_equal(relay_sessions(observer, &newest), 1);
    relay_shop_stop(&shop);
    session_close(observer);
    relay_shop_done(&shop);
}

CASE(an_entity_keeps_its_order_beside_writers_that_commit_late)
CASE(rows_set_aside_in_a_backlog_hold_up_their_entities_alone)
CASE_OF_SERVERS(a_lost_second_session_costs_neither_a_row_nor_the_order)
CASE_OF_SERVERS(lost_sessions_again_and_again_cost_neither_a_row_nor_the_order)
CASE_OF_SERVERS(an_idle_relay_has_one_session)

#define LIMITED(function) TEST_WITH_LIMIT(function, 180)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIMITED(an_entity_keeps_its_order_beside_writers_that_commit_late_sqlite),
        LIMITED(an_entity_keeps_its_order_beside_writers_that_commit_late_postgresql),
        LIMITED(an_entity_keeps_its_order_beside_writers_that_commit_late_mariadb),
        LIMITED(rows_set_aside_in_a_backlog_hold_up_their_entities_alone_sqlite),
        LIMITED(rows_set_aside_in_a_backlog_hold_up_their_entities_alone_postgresql),
        LIMITED(rows_set_aside_in_a_backlog_hold_up_their_entities_alone_mariadb),
        LIMITED(a_lost_second_session_costs_neither_a_row_nor_the_order_postgresql),
        LIMITED(a_lost_second_session_costs_neither_a_row_nor_the_order_mariadb),
        LIMITED(lost_sessions_again_and_again_cost_neither_a_row_nor_the_order_postgresql),
        LIMITED(lost_sessions_again_and_again_cost_neither_a_row_nor_the_order_mariadb),
        LIMITED(an_idle_relay_has_one_session_postgresql),
        LIMITED(an_idle_relay_has_one_session_mariadb),
    };
    return TEST_RUN(tests);
}
