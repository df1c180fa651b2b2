/* pgbench's TPC-B load on a PostgreSQL service is copied into MariaDB and SQLite. */
#include "tests/support/database.h"
#include "tests/support/load.h"
#include "tests/support/postgresql.h"

#include <unistd.h>

#define SECONDS 20

/* A table of pgbench and its column of balances. */
static const struct tracked {
    const char *entity_type;
    const char *columns;
    const char *key;
    const char *sum;
} tracked[] = {
    {"branches", "bid, bbalance, filler", "bid", "bbalance"},
    {"tellers", "tid, bid, tbalance, filler", "tid", "tbalance"},
    {"accounts", "aid, bid, abalance, filler", "aid", "abalance"},
    {"history", "id, tid, bid, aid, delta", "id", "delta"},
};

#define TABLES (sizeof tracked / sizeof tracked[0])

struct bench {
    struct kafka *kafka;
    const char *url;
    struct sidecar bank;
    struct sidecar copies[2];
};

/* pgbench's CHAR columns are padded, which no other database stores alike. Its history has no
 * key. */
static void bench_tables(const struct bench *bench)
{
    struct process_result result = PROCESS_RUN("pgbench", "-i", "-q", "-s", "1", bench->url);
    if (result.exit_code != 0)
        test_fail("pgbench -i: %s", result.errors);
    for (size_t i = 0; i + 1 < TABLES; i++)
        postgresql_execute(bench->url, test_format("ALTER TABLE pgbench_%s ALTER filler TYPE text",
                                                   tracked[i].entity_type));
    postgresql_execute(bench->url, "ALTER TABLE pgbench_history ALTER filler TYPE text, "
                                   "ADD id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY");
}

static const char *bench_entries(const char *direction)
{
    const char *text = test_format("%s:\n", direction);
    for (size_t i = 0; i < TABLES; i++)
        text = test_format("%s  %s: {table: pgbench_%s, partitions: 2}\n", text,
                           tracked[i].entity_type, tracked[i].entity_type);
    return text;
}

static void bench_begin(struct bench *bench)
{
    load_need("pgbench");
    *bench = (struct bench){.kafka = kafka_start(),
                            .url = database_make(DATABASE_POSTGRESQL, "bank")};
    bench_tables(bench);
    bench->bank = sidecar_make_on(bench->kafka, "bank", bench->url, bench_entries("publish"));
    for (size_t i = 0; i < TABLES; i++)
        load_write_schema(tracked[i].entity_type, bench->url,
                          test_format("pgbench_%s", tracked[i].entity_type));
    static const char *const names[] = {"report", "ledger"};
    static const enum database_kind kinds[] = {DATABASE_MARIADB, DATABASE_SQLITE};
    for (size_t i = 0; i < 2; i++)
        bench->copies[i] = sidecar_make_on(
            bench->kafka, names[i], database_make(kinds[i], names[i]), bench_entries("apply"));
    sidecar_begin(&bench->bank);
    for (size_t i = 0; i < 2; i++)
        sidecar_begin(&bench->copies[i]);
}

static void bench_assert_equal(const struct bench *bench, const struct tracked *table)
{
    const char *rows = test_format("SELECT %s FROM pgbench_%s ORDER BY %s", table->columns,
                                   table->entity_type, table->key);
    const char *sum = test_format("SELECT count(*), sum(%s) FROM pgbench_%s", table->sum,
                                  table->entity_type);
    const char *expected = database_text(bench->url, rows);
    for (size_t i = 0; i < 2; i++) {
        const char *url = bench->copies[i].url;
        assert_string_equal(database_text(url, sum), database_text(bench->url, sum));
        load_assert_rows(test_format("%s of %s", table->entity_type, bench->copies[i].name),
                         expected, database_text(url, rows));
    }
}

/* @return how many transactions pgbench committed. */
static int bench_run(struct bench *bench)
{
    const char *seconds = test_format("%d", load_number("TEST_LOAD_SECONDS", SECONDS));
    const char *const pgbench[] = {"pgbench", "-n", "-c", "2",        "-T", seconds,
                                   "-r",      "-P", "5",  bench->url, NULL};
    struct sidecar *const disturbed[] = {&bench->copies[0], &bench->bank, &bench->copies[1]};
    unsigned seed = 7;
    struct process *load = process_start("pgbench", pgbench, NULL);
    while (process_running(load)) {
        (void)usleep(300000 + (unsigned)load_random(&seed, 1500000));
        load_kill(disturbed[load_random(&seed, 3)]);
    }
    const char *processed = strstr(process_output(load), "actually processed: ");
    if (process_wait(load, 1000) != 0 || processed == NULL)
        test_fail("pgbench: %s", process_errors(load));
    return atoi(processed + strlen("actually processed: "));
}

static void tpc_b_reaches_both_copies_while_everything_is_killed(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    int transactions = bench_run(&bench);
    const struct sidecar *const publishers[] = {&bench.bank, NULL};
    const struct sidecar *const appliers[] = {&bench.copies[0], &bench.copies[1], NULL};
    for (size_t i = 0; i < TABLES; i++) {
        load_settle(bench.kafka, tracked[i].entity_type, publishers, appliers, 90000);
        bench_assert_equal(&bench, &tracked[i]);
    }
    const char *history = database_text(bench.copies[1].url,
                                        "SELECT count(*) FROM pgbench_history");
    assert_int_equal(atoi(history), transactions);
    for (size_t i = 0; i < 2; i++)
        sidecar_stop(&bench.copies[i]);
    sidecar_stop(&bench.bank);
}

int main(void)
{
    unsigned int limit = 600 + (unsigned int)load_number("TEST_LOAD_SECONDS", SECONDS);
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(tpc_b_reaches_both_copies_while_everything_is_killed, limit),
    };
    return TEST_RUN(tests);
}
