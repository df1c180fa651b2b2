/* A server that is killed while the relay publishes comes back without its last commits, or with
 * all of them. In either case nothing is published under two numbers, and the copy ends equal. A
 * copy that loses its last commits has told nobody that they were durable. */
#include "tests/support/fill.h"
#include "tests/support/item_pair.h"
#include "tests/support/load.h"
#include "tests/support/mariadb.h"
#include "tests/support/postgresql.h"
#include "tests/support/roles.h"
#include "tests/support/verify.h"
#include "tests/support/witness.h"

#include "common/clock.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define ROWS_EACH   15000 /* that wait when the relay goes on */
#define NUMBERED    3000  /* of them when the server is killed */
#define ROUNDS_MAX  6
#define LOST_WANTED 2
#define TOLD_ROWS   3000
#define TOLD_ROUNDS 4
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

/* A copy in PostgreSQL, whose agent does not wait for the disk at each commit, and its service. */
struct told {
    struct sidecar shop;
    struct sidecar billing;
    int lost; /* crashes behind which the copy was at a lower position than before */
};

static const char *token_of(const struct told *told, int64_t sequence)
{
    const char *incarnation = sqlite_text(told->shop.database,
                                          "SELECT incarnation FROM keepstep_relay");
    return test_format("shop/%.36s/%s:0=%" PRId64, incarnation, sidecar_topic("item"), sequence);
}

static int64_t number_at(const struct told *told, const char *sql)
{
    return strtoll(database_text(told->billing.url, sql), NULL, 10);
}

/* @return the durable position of billing that all services know; -1: none yet. */
static int64_t durable_told(const struct told *told)
{
    const char *output = sidecar_run(&told->shop, "copies", "item", "--json").output;
    const char *found = strstr(output, "\"durable_offset\":");
    return found == NULL ? -1 : strtoll(found + strlen("\"durable_offset\":"), NULL, 10);
}

static bool is_anything_told(void *context)
{
    return durable_told(context) > 0;
}

/* What was told, by a position or to somebody who waits for a quorum, is there behind the crash. */
static void crash_behind_what_was_told(struct told *told)
{
    int64_t sequence = sqlite_number(told->shop.database,
                                     "SELECT acknowledged_sequence FROM keepstep_relay_partition");
    const char *const argv[] = {
        KEEPSTEP_BINARY, "wait", token_of(told, sequence), "--quorum", "--timeout",
        "100",           "-c",   told->shop.config,        NULL}; /* the log is written each 10 s */
    struct process_result waited = process_run(argv, NULL, 2 * WAIT_MS);
    if (waited.exit_code != 0)
        test_fail("%s%s", waited.output, waited.errors);
    int64_t durable = durable_told(told);
    clock_sleep_us(300000); /* some commits more */
    int64_t before = number_at(told, "SELECT next_offset FROM keepstep_position");
    postgresql_stop();
    process_kill(told->billing.process);
    postgresql_start();
    int64_t after = number_at(told, "SELECT next_offset FROM keepstep_position");
    print_message("waited for %" PRId64 ", durable at %" PRId64 ", applied at %" PRId64 ", %" PRId64
                  " behind the crash\n",
                  sequence, durable, before, after);
    assert_true(after >= durable);
    assert_true(number_at(told, "SELECT last FROM keepstep_sequence") >= sequence);
    assert_true(durable_told(told) <= after);
    told->lost += after < before;
    sidecar_start(&told->billing, NULL);
}

static void what_was_told_to_be_durable_is_never_lost(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct told told = {0};
    struct buffer script;
    const char *url = database_make(DATABASE_POSTGRESQL, "billing");
    load_need("sqlite3");
    (void)database_text(url, DDL);
    postgresql_execute(url, "ALTER SYSTEM SET wal_writer_delay = '10s'");
    postgresql_execute(url, "SELECT pg_reload_conf()");
    told.shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL,
                             "publish:\n  item: {table: items, partitions: 1}\n");
    told.billing = sidecar_make_on(kafka, "billing", url, "apply:\n  item: {table: items}\n");
    sidecar_begin(&told.shop);
    sidecar_begin(&told.billing);
    buffer_init(&script, (size_t)1024 * 1024);
    for (int i = 1; i <= TOLD_ROWS; i++)
        buffer_append_format(&script,
                             "INSERT INTO items VALUES (%d, 'x', %d);\n.shell sleep 0.01\n", i, i);
    struct process *writer = load_client("writer", told.shop.url, &script);
    buffer_done(&script);
    assert_true(test_wait(is_anything_told, &told, WAIT_MS));
    int rounds = 0;
    for (; rounds < TOLD_ROUNDS && process_running(writer); rounds++)
        crash_behind_what_was_told(&told);
    assert_true(rounds > 0);
    assert_int_equal(load_client_end(writer, 2 * WAIT_MS), 0);
    const struct sidecar *const publishers[] = {&told.shop, NULL};
    const struct sidecar *const appliers[] = {&told.billing, NULL};
    const struct sidecar *const both[] = {&told.shop, &told.billing, NULL};
    load_settle(kafka, "item", publishers, appliers, WAIT_MS);
    struct process_result result = VERIFY(both, "item");
    if (result.exit_code != 0)
        test_fail("%s%s", result.output, result.errors);
    postgresql_execute(url, "ALTER SYSTEM RESET wal_writer_delay");
    sidecar_stop(&told.billing);
    sidecar_stop(&told.shop);
    print_message("%d of %d crashes have lost commits\n", told.lost, rounds);
    if (told.lost == 0)
        test_skip("%d crashes have lost no commit", rounds);
}

/* The chunks of a fill need not be on the disk, its end must be (interleaving 15). */
static void a_fill_whose_database_loses_its_last_commits_ends_equal(void **state)
{
    static const char *const points[] = {"fill_after_install:1:stop", "fill_after_rows:3:stop",
                                         "fill_before_end:1:stop", "fill_after_end:1:stop"};
    (void)state;
    struct kafka *kafka = kafka_start();
    const char *url = database_make(DATABASE_POSTGRESQL, "billing");
    (void)database_text(url, DDL);
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL,
                                       "publish:\n  item: {table: items, partitions: 1}\n");
    struct sidecar billing = sidecar_make_on(kafka, "billing", url,
                                             "apply:\n  item: {table: items, fill: never}\n");
    sidecar_begin(&shop);
    sidecar_init(&billing, NULL);
    (void)sqlite_text(shop.database, "WITH n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE "
                                     "i < 100) INSERT INTO items SELECT i, 'x', i FROM n");
    sidecar_expect(&shop, "SELECT acknowledged_sequence FROM keepstep_relay_partition", "100\n");
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        struct process *fill = fill_start(&billing, &shop, "item", points[i]);
        fill_wait_stopped(fill);
        postgresql_stop();
        process_kill(fill);
        postgresql_start();
    }
    /* The last one had told its end. */
    assert_string_equal(database_text(url, "SELECT stage FROM keepstep_fill"), "replaying\n");
    sidecar_start(&billing, NULL);
    (void)sqlite_text(shop.database, "DELETE FROM items WHERE id = 7");
    const struct sidecar *const publishers[] = {&shop, NULL};
    const struct sidecar *const appliers[] = {&billing, NULL};
    const struct sidecar *const both[] = {&shop, &billing, NULL};
    load_settle(kafka, "item", publishers, appliers, WAIT_MS);
    struct process_result result = VERIFY(both, "item");
    if (result.exit_code != 0)
        test_fail("%s%s", result.output, result.errors);
    sidecar_stop(&billing);
    sidecar_stop(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(claims_that_a_mariadb_lost_are_found_in_the_log_again, 400),
        TEST_WITH_LIMIT(no_default_of_a_postgresql_lets_it_lose_a_claim, 300),
        TEST_WITH_LIMIT(what_was_told_to_be_durable_is_never_lost, 300),
        TEST_WITH_LIMIT(a_fill_whose_database_loses_its_last_commits_ends_equal, 180),
    };
    return TEST_RUN(tests);
}
