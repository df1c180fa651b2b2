/* A server that is killed while the relay publishes comes back without its last commits, or with
 * all of them. In either case nothing is published under two numbers, and the copy ends equal. */
#include "tests/support/item_pair.h"
#include "tests/support/mariadb.h"
#include "tests/support/postgresql.h"
#include "tests/support/roles.h"
#include "tests/support/witness.h"

#include "common/clock.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define ROWS_EACH   15000 /* that wait when the relay goes on */
#define NUMBERED    3000  /* of them when the server is killed */
#define ROUNDS_MAX  6
#define LOST_WANTED 2
#define WAIT_MS     60000
#define LOST        "the database has numbered up to "

#define DDL "CREATE TABLE items (id BIGINT PRIMARY KEY, name VARCHAR(100) NOT NULL, amount INT)"

/* How a server is told that a commit need not wait for the disk, and that it must. */
struct server {
    enum database_kind kind;
    const char *careless;
    const char *careful;
    const char *rows; /* a number from %d to %d in each row */
    void (*crash)(void);
};

/* Options of the start are those of the relay's life. The log buffer is written once in two
 * seconds, so that a kill loses more than one commit. */
static void crash_mariadb(void)
{
    static const char *const options[] = {"--innodb-flush-log-at-trx-commit=0",
                                          "--innodb-flush-log-at-timeout=2"};
    mariadb_stop();
    mariadb_start_with(options);
}

static void crash_postgresql(void)
{
    postgresql_stop();
    postgresql_start();
}

static const struct server mariadb = {
    .kind = DATABASE_MARIADB,
    .careless = "SET GLOBAL innodb_flush_log_at_trx_commit = 0;"
                "SET GLOBAL innodb_flush_log_at_timeout = 2",
    .careful = "SET GLOBAL innodb_flush_log_at_trx_commit = 1",
    .rows = "INSERT INTO items SELECT seq, 'x', seq FROM seq_%d_to_%d",
    .crash = crash_mariadb};

static const struct server postgresql = {
    .kind = DATABASE_POSTGRESQL,
    .careless = "ALTER DATABASE shop SET synchronous_commit = off",
    .careful = "ALTER DATABASE shop SET synchronous_commit = on",
    .rows = "INSERT INTO items SELECT seq, 'x', seq FROM generate_series(%d, %d) AS seq",
    .crash = crash_postgresql};

static int numbered(const struct item_pair *pair)
{
    return atoi(database_text(pair->url, "SELECT count(*) FROM outbox WHERE sequence IS NOT NULL"));
}

/* The service's rows are durable, because they are written while each commit waits for the disk and
 * the relay stands still. Only what the relay commits may be lost. */
static void write_rows(const struct item_pair *pair, const struct server *server, int round)
{
    char sql[128];
    process_signal(pair->shop.process, SIGSTOP);
    (void)database_text(pair->url, server->careful);
    (void)snprintf(sql, sizeof sql, server->rows, round * ROWS_EACH + 1, (round + 1) * ROWS_EACH);
    (void)database_text(pair->url, sql);
    (void)database_text(pair->url, server->careless);
    process_signal(pair->shop.process, SIGCONT);
}

static void crash_while_it_publishes(const struct item_pair *pair, const struct server *server,
                                     int round)
{
    int64_t until = clock_monotonic_us() + WAIT_MS * INT64_C(1000);
    while (numbered(pair) < round * ROWS_EACH + NUMBERED && clock_monotonic_us() < until)
        clock_sleep_us(5000);
    server->crash();
}

/* @return how often the relay saw that the database had gone back. */
static int seen_lost(const struct item_pair *pair)
{
    const char *log = process_errors(pair->shop.process);
    int count = 0;
    while ((log = strstr(log, LOST)) != NULL) {
        unsigned long long there = 0;
        unsigned long long own = 0;
        if (sscanf(log, LOST "%llu, this relay up to %llu", &there, &own) != 2 || there >= own)
            test_fail("%.200s", log);
        count++;
        log++;
    }
    return count;
}

static void assert_all_arrived_once(struct item_pair *pair)
{
    item_pair_assert_equal(pair, WAIT_MS);
    assert_true(process_running(pair->shop.process));
    assert_true(process_running(pair->billing.process));
    assert_string_equal(sqlite_text(pair->billing.database,
                                    "SELECT id, count(*) FROM witness GROUP BY id "
                                    "HAVING count(*) > 1 LIMIT 5"),
                        "");
    assert_string_equal(sqlite_text(pair->billing.database, "SELECT count(*) FROM keepstep_parked"),
                        "0\n");
    print_message("%d records stand twice in the log\n",
                  witness_assert_log(kafka_start(), &pair->shop));
}

static struct item_pair make(const struct server *server)
{
    struct item_pair pair = item_pair_make(server->kind, DDL,
                                           "INSERT INTO items VALUES (0, 'x', 0)");
    witness_begin(&pair.billing);
    item_pair_start(&pair);
    item_pair_assert_equal(&pair, WAIT_MS);
    return pair;
}

static void claims_that_a_mariadb_lost_are_found_in_the_log_again(void **state)
{
    (void)state;
    struct item_pair pair = make(&mariadb);
    int lost = 0;
    for (int round = 0; round < ROUNDS_MAX && lost < LOST_WANTED; round++) {
        write_rows(&pair, &mariadb, round);
        crash_while_it_publishes(&pair, &mariadb, round);
        assert_all_arrived_once(&pair);
        int seen = seen_lost(&pair);
        print_message("round %d: the numbers went back %d times so far\n", round, seen);
        lost = seen;
    }
    item_pair_stop(&pair);
    if (lost == 0)
        test_skip("%d crashes have lost no commit", ROUNDS_MAX);
}

/* The relay's session waits for the disk, whatever its database or its role has as its default. */
static void no_default_of_a_postgresql_lets_it_lose_a_claim(void **state)
{
    static const char setting[] = "SHOW synchronous_commit";
    (void)state;
    struct item_pair pair = make(&postgresql);
    postgresql_execute(pair.url, "ALTER SYSTEM SET synchronous_commit = off");
    postgresql_execute(pair.url,
                       test_format("ALTER ROLE %s SET synchronous_commit = off", pair.shop.login));
    for (int round = 0; round < LOST_WANTED; round++) {
        write_rows(&pair, &postgresql, round);
        assert_string_equal(database_text(roles_url(pair.url, pair.shop.login), setting), "off\n");
        crash_while_it_publishes(&pair, &postgresql, round);
        assert_all_arrived_once(&pair);
    }
    assert_int_equal(seen_lost(&pair), 0);
    item_pair_stop(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(claims_that_a_mariadb_lost_are_found_in_the_log_again, 400),
        TEST_WITH_LIMIT(no_default_of_a_postgresql_lets_it_lose_a_claim, 300),
    };
    return TEST_RUN(tests);
}
