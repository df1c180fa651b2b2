/* One event's way from commit to applied, at a steady rate.
 *
 *   latency SERVICE.db PEER.db EVENTS_PER_SECOND SECONDS
 *
 * A thread commits one row of "ticks" after the other, each a transaction, into the service's
 * database; the main thread polls the peer's table every half a millisecond. The clock of an event
 * starts just before its COMMIT. The first two seconds are not counted. */
#include "bench.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define POLL_US      500
#define WARM_SECONDS 2
#define WAIT_SECONDS 60

struct latency {
    const char *service;
    const char *peer;
    int64_t rate;
    int64_t count;
    int64_t warm;                /* events that are not counted */
    _Atomic int64_t *written_us; /* by id, from 1 */
    int64_t *taken_us;           /* by id, 0: not seen yet */
    double writer_seconds;
};

static void *write_all(void *context)
{
    struct latency *latency = context;
    sqlite3 *database = bench_open(latency->service, SQLITE_OPEN_READWRITE);
    bench_execute(database, "PRAGMA synchronous=NORMAL");
    sqlite3_stmt *begin = bench_prepare(database, "BEGIN IMMEDIATE");
    sqlite3_stmt *commit = bench_prepare(database, "COMMIT");
    sqlite3_stmt *insert = bench_prepare(database, "INSERT INTO ticks VALUES(?,?)");
    int64_t started = bench_now_us();
    for (int64_t id = 1; id <= latency->count; id++) {
        bench_sleep_us(started + (id - 1) * 1000000 / latency->rate - bench_now_us());
        (void)sqlite3_bind_int64(insert, 1, id);
        (void)sqlite3_bind_int64(insert, 2, bench_now_us());
        if (sqlite3_step(begin) != SQLITE_DONE || sqlite3_step(insert) != SQLITE_DONE)
            bench_fail("writer: %s", sqlite3_errmsg(database));
        atomic_store(&latency->written_us[id], bench_now_us());
        if (sqlite3_step(commit) != SQLITE_DONE)
            bench_fail("writer: %s", sqlite3_errmsg(database));
        (void)sqlite3_reset(begin);
        (void)sqlite3_reset(insert);
        (void)sqlite3_reset(commit);
    }
    latency->writer_seconds = (double)(bench_now_us() - started) / 1e6;
    (void)sqlite3_finalize(begin);
    (void)sqlite3_finalize(insert);
    (void)sqlite3_finalize(commit);
    (void)sqlite3_close(database);
    return NULL;
}

/* Partitions arrive in any order among each other: what is asked for begins at the first gap. */
static void watch_all(struct latency *latency)
{
    sqlite3 *database = bench_open(latency->peer, SQLITE_OPEN_READWRITE);
    sqlite3_stmt *select = bench_prepare(database, "SELECT id FROM ticks WHERE id>=?");
    int64_t deadline = bench_now_us() +
                       (latency->count / latency->rate * 3 + WAIT_SECONDS) * 1000000;
    int64_t first_unseen = 1;
    while (first_unseen <= latency->count) {
        (void)sqlite3_bind_int64(select, 1, first_unseen);
        int64_t now = 0;
        while (sqlite3_step(select) == SQLITE_ROW) {
            int64_t id = sqlite3_column_int64(select, 0);
            if (now == 0)
                now = bench_now_us();
            if (id <= latency->count && latency->taken_us[id] == 0)
                latency->taken_us[id] = now - atomic_load(&latency->written_us[id]);
        }
        (void)sqlite3_reset(select);
        while (first_unseen <= latency->count && latency->taken_us[first_unseen] != 0)
            first_unseen++;
        if (bench_now_us() > deadline)
            bench_fail("event %" PRId64 " of %" PRId64 " has not come", first_unseen,
                       latency->count);
        bench_sleep_us(POLL_US);
    }
    (void)sqlite3_finalize(select);
    (void)sqlite3_close(database);
}

static int compare(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

static double quantile_ms(const int64_t *sorted, int64_t count, double quantile)
{
    int64_t index = (int64_t)(quantile * (double)count);
    return (double)sorted[index < count ? index : count - 1] / 1e3;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        bench_fail("latency SERVICE.db PEER.db EVENTS_PER_SECOND SECONDS");
    struct latency latency = {
        .service = argv[1], .peer = argv[2], .rate = strtoll(argv[3], NULL, 10)};
    latency.warm = latency.rate * WARM_SECONDS;
    latency.count = latency.warm + latency.rate * strtoll(argv[4], NULL, 10);
    latency.written_us = calloc((size_t)latency.count + 1, sizeof *latency.written_us);
    latency.taken_us = calloc((size_t)latency.count + 1, sizeof *latency.taken_us);
    if (latency.rate <= 0 || latency.written_us == NULL || latency.taken_us == NULL)
        bench_fail("a rate above 0, and memory, is needed");

    pthread_t writer;
    if (pthread_create(&writer, NULL, write_all, &latency) != 0)
        bench_fail("no thread");
    watch_all(&latency);
    (void)pthread_join(writer, NULL);

    int64_t counted = latency.count - latency.warm;
    int64_t *taken = latency.taken_us + 1 + latency.warm;
    qsort(taken, (size_t)counted, sizeof *taken, compare);
    printf("{\"events\": %" PRId64 ", \"events_per_second\": %.0f, \"p50_ms\": %.2f, "
           "\"p90_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f}\n",
           counted, (double)latency.count / latency.writer_seconds,
           quantile_ms(taken, counted, 0.5), quantile_ms(taken, counted, 0.9),
           quantile_ms(taken, counted, 0.99), quantile_ms(taken, counted, 1.0));
    return 0;
}
