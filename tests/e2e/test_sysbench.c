/* sysbench's OLTP load on a MariaDB service is copied into PostgreSQL and SQLite. */
#include "tests/support/database.h"
#include "tests/support/load.h"
#include "tests/support/mariadb.h"

#include <unistd.h>

#define SECONDS 20
#define TABLES  2
#define ROWS    "SELECT id, k, c, pad FROM sbtest%d ORDER BY id"

struct bench {
    struct kafka *kafka;
    const char *url;
    struct sidecar shop;
    struct sidecar copies[2];
};

static struct process *bench_sysbench(const char *command)
{
    const char *const argv[] = {"sysbench",
                                "oltp_read_write",
                                "--db-driver=mysql",
                                "--mysql-host=127.0.0.1",
                                test_format("--mysql-port=%d", mariadb_port()),
                                "--mysql-user=root",
                                "--mysql-db=shop",
                                test_format("--tables=%d", TABLES),
                                "--table-size=5000",
                                "--threads=2",
                                test_format("--time=%d", load_number("TEST_LOAD_SECONDS", SECONDS)),
                                command,
                                NULL};
    return process_start(test_format("sysbench-%s", command), argv, NULL);
}

static const char *bench_entries(const char *direction)
{
    const char *text = test_format("%s:\n", direction);
    for (int i = 1; i <= TABLES; i++)
        text = test_format("%s  sbtest%d: {table: sbtest%d, partitions: 2}\n", text, i, i);
    return text;
}

static void bench_begin(struct bench *bench)
{
    load_need("sysbench");
    *bench = (struct bench){.kafka = kafka_start(), .url = database_make(DATABASE_MARIADB, "shop")};
    struct process *prepare = bench_sysbench("prepare");
    if (process_wait(prepare, 60000) != 0)
        test_fail("sysbench prepare: %s%s", process_output(prepare), process_errors(prepare));
    bench->shop = sidecar_make_on(bench->kafka, "shop", bench->url, bench_entries("publish"));
    for (int i = 1; i <= TABLES; i++) {
        const char *table = test_format("sbtest%d", i);
        load_write_schema(table, bench->url, table);
    }
    static const char *const names[] = {"report", "ledger"};
    static const enum database_kind kinds[] = {DATABASE_POSTGRESQL, DATABASE_SQLITE};
    for (size_t i = 0; i < 2; i++)
        bench->copies[i] = sidecar_make_on(
            bench->kafka, names[i], database_make(kinds[i], names[i]), bench_entries("apply"));
    sidecar_begin(&bench->shop);
    for (size_t i = 0; i < 2; i++)
        sidecar_begin(&bench->copies[i]);
}

static void bench_run(struct bench *bench)
{
    struct sidecar *const disturbed[] = {&bench->copies[0], &bench->shop, &bench->copies[1]};
    unsigned seed = 11;
    struct process *load = bench_sysbench("run");
    while (process_running(load)) {
        (void)usleep(300000 + (unsigned)load_random(&seed, 1500000));
        load_kill(disturbed[load_random(&seed, 3)]);
    }
    if (process_wait(load, 1000) != 0)
        test_fail("sysbench run: %s%s", process_output(load), process_errors(load));
}

static void oltp_reaches_both_copies_while_everything_is_killed(void **state)
{
    (void)state;
    struct bench bench;
    bench_begin(&bench);
    bench_run(&bench);
    const struct sidecar *const publishers[] = {&bench.shop, NULL};
    const struct sidecar *const appliers[] = {&bench.copies[0], &bench.copies[1], NULL};
    for (int i = 1; i <= TABLES; i++) {
        load_settle(bench.kafka, test_format("sbtest%d", i), publishers, appliers, 90000);
        const char *rows = database_text(bench.url, test_format(ROWS, i));
        assert_true(strlen(rows) > (size_t)4000 * 170);
        for (size_t j = 0; j < 2; j++)
            load_assert_rows(test_format("sbtest%d of %s", i, bench.copies[j].name), rows,
                             database_text(bench.copies[j].url, test_format(ROWS, i)));
    }
    int events = atoi(database_text(bench.url, "SELECT count(*) FROM outbox"));
    if (events <= TABLES * 5000 + 1000)
        test_fail("sysbench changed next to nothing: %d events", events);
    for (size_t i = 0; i < 2; i++)
        sidecar_stop(&bench.copies[i]);
    sidecar_stop(&bench.shop);
}

int main(void)
{
    unsigned int limit = 600 + (unsigned int)load_number("TEST_LOAD_SECONDS", SECONDS);
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(oltp_reaches_both_copies_while_everything_is_killed, limit),
    };
    return TEST_RUN(tests);
}
