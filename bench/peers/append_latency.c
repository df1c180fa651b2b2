/* Measures the time from a record's append to a topic until its row is visible in a database, at a
 * steady rate.
 *   append_latency BOOTSTRAP TOPIC FORM URL SECONDS RATE...
 * records.h has the forms. One thread appends inserts of orders, which get the ids 1, 2 and so on.
 * The main thread asks the database for new ones every half millisecond. A record's clock starts
 * just before the producer takes it. The very first record is not counted, because it waits for the
 * reader's start. Nor are the first five seconds at each rate, because Java compiles meanwhile. A
 * line is printed for each rate. */
#include "../bench.h"
#include "../database.h"
#include "records.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define POLL_US      500
#define WARM_SECONDS 5
#define WAIT_SECONDS 90

struct trial {
    struct records *records;
    struct database *database;
    int64_t rate; /* records per second */
    int64_t first;
    int64_t count;
    _Atomic int64_t *appended_at_us; /* from the first one on */
    int64_t *taken_us;               /* 0: not seen yet */
    double append_seconds;
};

static void *append_all(void *context)
{
    struct trial *trial = context;
    struct order_change change = {.op = ORDER_CREATE};
    int64_t started = bench_now_us();
    for (int64_t i = 0; i < trial->count; i++) {
        change.version = trial->first + i;
        order_fill(&change.order, trial->first + i, 0);
        records_serve(trial->records);
        bench_sleep_us(started + i * 1000000 / trial->rate - bench_now_us());
        atomic_store(&trial->appended_at_us[i], bench_now_us());
        records_send(trial->records, &change);
    }
    trial->append_seconds = (double)(bench_now_us() - started) / 1e6;
    return NULL;
}

/* Partitions are not ordered among each other. So each look asks for all rows from the first
 * missing one on. */
static void watch_all(struct trial *trial)
{
    char sql[96];
    int64_t *ids = bench_allocate((size_t)trial->count * sizeof *ids);
    int64_t deadline = bench_now_us() + (trial->count / trial->rate + WAIT_SECONDS) * 1000000;
    int64_t unseen = 0;
    while (unseen < trial->count) {
        (void)snprintf(sql, sizeof sql, "SELECT id FROM orders WHERE id >= %" PRId64,
                       trial->first + unseen);
        size_t count = database_numbers(trial->database, sql, ids, (size_t)trial->count);
        int64_t now = bench_now_us();
        for (size_t i = 0; i < count; i++) {
            int64_t index = ids[i] - trial->first;
            if (trial->taken_us[index] == 0)
                trial->taken_us[index] = now - atomic_load(&trial->appended_at_us[index]);
        }
        while (unseen < trial->count && trial->taken_us[unseen] != 0)
            unseen++;
        if (now > deadline)
            bench_fail("order %" PRId64 " has not come", trial->first + unseen);
        bench_sleep_us(POLL_US);
    }
    free(ids);
}

/* Append `count` records at the trial's rate. The caller frees what was measured. */
static void run(struct trial *trial, int64_t count)
{
    pthread_t appender;
    trial->count = count;
    trial->appended_at_us = bench_zeroed((size_t)trial->count * sizeof *trial->appended_at_us);
    trial->taken_us = bench_zeroed((size_t)trial->count * sizeof *trial->taken_us);
    if (pthread_create(&appender, NULL, append_all, trial) != 0)
        bench_fail("no thread");
    watch_all(trial);
    (void)pthread_join(appender, NULL);
    trial->first += count;
}

static void release(struct trial *trial)
{
    free(trial->taken_us);
    free((void *)trial->appended_at_us);
}

static void measure(struct trial *trial, int64_t seconds)
{
    int64_t warm = trial->rate * WARM_SECONDS;
    run(trial, warm + trial->rate * seconds);
    int64_t counted = trial->count - warm;
    int64_t *taken = bench_sorted(trial->taken_us + warm, counted);
    printf("{\"events\": %" PRId64 ", \"events_per_second\": %.0f, \"p50_ms\": %.2f, "
           "\"p90_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f}\n",
           counted, (double)trial->count / trial->append_seconds,
           bench_quantile_ms(taken, counted, 0.5), bench_quantile_ms(taken, counted, 0.9),
           bench_quantile_ms(taken, counted, 0.99), bench_quantile_ms(taken, counted, 1.0));
    (void)fflush(stdout);
    release(trial);
}

int main(int argc, char **argv)
{
    if (argc < 7)
        bench_fail("append_latency BOOTSTRAP TOPIC FORM URL SECONDS RATE...");
    struct trial trial = {.records = records_open(argv[1], argv[2], argv[3], "0"),
                          .database = database_open(argv[4]),
                          .rate = 1,
                          .first = 1};
    run(&trial, 1);
    release(&trial);
    for (int i = 6; i < argc; i++) {
        trial.rate = strtoll(argv[i], NULL, 10);
        if (trial.rate <= 0)
            bench_fail("%s: is not a rate", argv[i]);
        measure(&trial, strtoll(argv[5], NULL, 10));
    }
    records_close(trial.records);
    database_close(trial.database);
    return 0;
}
