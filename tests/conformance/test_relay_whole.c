/* A relay that publishes whole transactions, beside sessions that write them at the same time: of
 * each transaction the numbers have no gap, and an entity's are in the order of its rows.
 * labels: threads */
#include "tests/support/database.h"
#include "tests/support/outbox_case.h"
#include "tests/support/relay_shop.h"
#include "tests/support/session.h"

#include "common/clock.h"

#include <stdio.h>

#define WAIT_US      (INT64_C(120) * 1000 * 1000)
#define WRITERS      6
#define ENTITIES     12
#define LONG_ROWS    3000 /* of one transaction: more than a load has at first */
#define PART_ROWS    500  /* so it is published in parts */
#define TRANSACTIONS 150  /* of each writer, at least */

/* Writes transactions of one to six rows of a few entities; its session keeps what it began open
 * for a while. */
struct writer {
    int number;
    int64_t rows;
    unsigned seed;
    pthread_t thread;
};

static bool is_sqlite(void)
{
    return strcmp(outbox_case_product->name, "sqlite") == 0;
}

static unsigned next_random(struct writer *writer, unsigned below)
{
    writer->seed = writer->seed * 1103515245U + 12345U;
    return (writer->seed >> 16) % below;
}

static void write_row(struct session *session, const struct writer *writer, int transaction,
                      int entity)
{
    char sql[512];
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order',"
                   " '{\"id\":%d}', 'order.updated', '{\"op\":\"u\",\"before\":null,\"after\":{"
                   "\"id\":%d,\"name\":\"%d-%d\"}}')",
                   entity, entity, writer->number, transaction);
    session_run(session, sql, NULL);
}

/* Entities rise within a transaction, and a row of `locks` stands for each, as the row of the
 * service's own table would: so no two transactions wait for each other. */
static void write_transaction(struct session *session, struct writer *writer, int transaction)
{
    char lock[64];
    while (session_try(session, is_sqlite() ? "BEGIN IMMEDIATE" : "START TRANSACTION", NULL) !=
           NULL)
        clock_sleep_us(2000); /* SQLite's lock has no queue */
    if (is_sqlite())
        session_run(session, "UPDATE keepstep_transaction SET id = id + 1", NULL);
    for (int entity = (int)next_random(writer, 3); entity < ENTITIES;
         entity += 1 + (int)next_random(writer, 6)) {
        (void)snprintf(lock, sizeof lock, "UPDATE locks SET n = n + 1 WHERE id = %d", entity);
        session_run(session, lock, NULL);
        write_row(session, writer, transaction, entity);
        writer->rows++;
        clock_sleep_us(is_sqlite() ? 100 : 1000 * next_random(writer, 4));
    }
    session_run(session, "COMMIT", NULL);
}

static void *write_all(void *context)
{
    struct writer *writer = context;
    struct session *session = session_open(outbox_case_url);
    for (int i = 0; i < TRANSACTIONS; i++)
        write_transaction(session, writer, i);
    session_close(session);
    return NULL;
}

static void make(struct relay_shop *shop)
{
    *shop = (struct relay_shop){.whole = true};
    outbox_case_whole = true;
    outbox_case_make();
    (void)outbox_case_ask("CREATE TABLE locks (id INT PRIMARY KEY, n INT NOT NULL)");
    for (int i = 0; i < ENTITIES; i++)
        (void)outbox_case_ask(test_format("INSERT INTO locks VALUES (%d, 0)", i));
    if (is_sqlite())
        shop->path = outbox_case_path(outbox_case_url);
    relay_shop_prepare(shop, outbox_case_url, 1);
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

/* The tests' MariaDB has no binary log, so nothing tells its transactions apart: sets are larger.
 */
static bool tells_apart(void)
{
    return strcmp(outbox_case_product->name, "mariadb") != 0;
}

/* A transaction's rows have the same payload from their name on. They lie in one set, which is not
 * larger where transactions are told apart. */
static void expect_whole(bool exact)
{
    const char *begin = strcmp(outbox_case_product->name, "postgresql") == 0
                            ? "strpos(payload, 'name')"
                            : "instr(payload, 'name')";
    assert_string_equal(
        outbox_case_ask(test_format(
            "SELECT count(*) FROM (SELECT name FROM (SELECT substr(payload, %s) AS name, sequence, "
            "coalesce(changeset_end, sequence) AS ends FROM outbox) AS t GROUP BY name HAVING "
            "min(ends) <> max(ends) OR max(sequence) > max(ends)%s) AS g",
            begin,
            exact
                ? " OR max(sequence) - min(sequence) + 1 <> count(*) OR max(sequence) <> max(ends)"
                : "")),
        "0\n");
    assert_string_equal(
        outbox_case_ask("SELECT count(*) FROM (SELECT sequence, lag(sequence) OVER (PARTITION BY "
                        "aggregateid ORDER BY position) AS earlier FROM outbox) AS t "
                        "WHERE sequence < earlier OR sequence IS NULL"),
        "0\n");
}

static void transactions_of_several_sessions_stay_whole_and_in_order(void)
{
    struct relay_shop shop;
    struct writer writers[WRITERS] = {{0}};
    struct writer large = {.number = 99};
    int64_t rows = LONG_ROWS;
    int count = is_sqlite() ? 2 : WRITERS;
    make(&shop);
    if (tells_apart())
        shop.config.limits.changeset_events = PART_ROWS;
    struct session *session = session_open(outbox_case_url);
    for (int i = 0; i < count; i++) {
        writers[i] = (struct writer){.number = i, .seed = (unsigned)i + 1};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_all, &writers[i]), 0);
    }
    while (session_try(session, is_sqlite() ? "BEGIN IMMEDIATE" : "START TRANSACTION", NULL) !=
           NULL)
        clock_sleep_us(2000);
    if (is_sqlite())
        session_run(session, "UPDATE keepstep_transaction SET id = id + 1", NULL);
    for (int i = 0; i < LONG_ROWS; i++)
        write_row(session, &large, 0, 1000 + i);
    session_run(session, "COMMIT", NULL);
    relay_shop_start(&shop); /* with a backlog, and writers beside it */
    for (int i = 0; i < count; i++) {
        (void)pthread_join(writers[i].thread, NULL);
        rows += writers[i].rows;
    }
    session_close(session);
    expect_acknowledged(&shop, rows);
    relay_shop_stop(&shop);
    expect_whole(tells_apart());
    assert_int_equal(atomic_load(&shop.metrics.sets_merged), 0);
    assert_int_equal(atomic_load(&shop.metrics.sets_split), 0);
    if (tells_apart()) {
        assert_int_equal(atomic_load(&shop.metrics.sets_largest), LONG_ROWS);
        assert_int_equal(atomic_load(&shop.metrics.sets_published), count * TRANSACTIONS + 1);
    }
    relay_shop_done(&shop);
}

/* Transactions of five rows; a load of 2,000 rows seldom ends where one ends. */
static void a_backlog_of_whole_transactions_is_loaded_ahead(void)
{
    enum { BACKLOG = 5001 };
    struct relay_shop shop;
    struct writer writer = {0};
    make(&shop);
    struct session *session = session_open(outbox_case_url);
    session_run(session, is_sqlite() ? "BEGIN IMMEDIATE" : "START TRANSACTION", NULL);
    for (int i = 0; i < 3 * BACKLOG; i++)
        write_row(session, &writer, i / 3, 1000 + i);
    session_run(session, "COMMIT", NULL);
    session_close(session);
    (void)outbox_case_ask(
        test_format("UPDATE outbox SET changeset = %s",
                    strcmp(outbox_case_product->name, "mariadb") == 0
                        ? "concat('t', substr(payload, instr(payload, '\"0-') + 3, 6))"
                    : is_sqlite() ? "'t' || substr(payload, instr(payload, '\"0-') + 3, 6)"
                                  : "'t' || substr(payload, strpos(payload, '\"0-') + 3, 6)"));
    relay_shop_start(&shop);
    expect_acknowledged(&shop, 3 * BACKLOG);
    relay_shop_stop(&shop);
    expect_whole(true);
    assert_int_equal(atomic_load(&shop.metrics.sets_published), BACKLOG);
    assert_int_equal(atomic_load(&shop.metrics.published), 3 * BACKLOG);
    relay_shop_done(&shop);
}

static const char *identity_of(const char *transaction)
{
    bool is_mariadb = strcmp(outbox_case_product->name, "mariadb") == 0;
    return test_format(is_mariadb ? "concat('t', %s)" : "'t' || (%s)", transaction);
}

/* Of each five rows four are of the large transaction; the others are of transactions of three. */
static void a_transaction_is_published_in_parts_behind_what_ends_before_it(void)
{
    struct relay_shop shop;
    struct writer writer = {0};
    make(&shop);
    shop.config.limits.changeset_events = PART_ROWS;
    struct session *session = session_open(outbox_case_url);
    session_run(session, is_sqlite() ? "BEGIN IMMEDIATE" : "START TRANSACTION", NULL);
    for (int i = 0; i < LONG_ROWS; i++)
        write_row(session, &writer, i % 5 > 0 ? 0 : 1 + i / 15, 1000 + i);
    session_run(session, "COMMIT", NULL);
    session_close(session);
    const char *at = strcmp(outbox_case_product->name, "postgresql") == 0 ? "strpos" : "instr";
    (void)outbox_case_ask(
        test_format("UPDATE outbox SET changeset = %s",
                    identity_of(test_format("substr(payload, %s(payload, '\"0-') + 3)", at))));
    relay_shop_start(&shop);
    expect_acknowledged(&shop, LONG_ROWS);
    relay_shop_stop(&shop);
    expect_whole(true);
    assert_int_equal(atomic_load(&shop.metrics.sets_published), 1 + LONG_ROWS / 15);
    assert_int_equal(atomic_load(&shop.metrics.sets_largest), LONG_ROWS / 5 * 4);
    assert_string_equal(outbox_case_ask(test_format("SELECT min(sequence) FROM outbox WHERE "
                                                    "changeset LIKE 't0%%'")),
                        test_format("%d\n", 1 + LONG_ROWS / 5));
    relay_shop_done(&shop);
}

CASE(transactions_of_several_sessions_stay_whole_and_in_order)
CASE(a_transaction_is_published_in_parts_behind_what_ends_before_it)
CASE(a_backlog_of_whole_transactions_is_loaded_ahead)

#define LIMITED(function) TEST_WITH_LIMIT(function, 180)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIMITED(transactions_of_several_sessions_stay_whole_and_in_order_sqlite),
        LIMITED(transactions_of_several_sessions_stay_whole_and_in_order_postgresql),
        LIMITED(transactions_of_several_sessions_stay_whole_and_in_order_mariadb),
        LIMITED(a_transaction_is_published_in_parts_behind_what_ends_before_it_sqlite),
        LIMITED(a_transaction_is_published_in_parts_behind_what_ends_before_it_postgresql),
        LIMITED(a_transaction_is_published_in_parts_behind_what_ends_before_it_mariadb),
        LIMITED(a_backlog_of_whole_transactions_is_loaded_ahead_sqlite),
        LIMITED(a_backlog_of_whole_transactions_is_loaded_ahead_postgresql),
        LIMITED(a_backlog_of_whole_transactions_is_loaded_ahead_mariadb),
    };
    return TEST_RUN(tests);
}
