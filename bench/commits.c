/* Commits small transactions at a steady rate, and says how long their COMMITs took.
 *   commits URL EVENTS_PER_SECOND SECONDS FIRST LAST SQL
 * Each transaction runs SQL once; its `?` is a number from FIRST to LAST, in a random order that is
 * the same in each run. SIGTERM ends it earlier. The time counts from BEGIN to COMMIT's answer. */
#include "bench.h"
#include "database.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

/* The next number of a linear congruential generator (Knuth's MMIX). */
static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

int main(int argc, char **argv)
{
    int64_t rate = argc == 7 ? strtoll(argv[2], NULL, 10) : 0;
    int64_t limit = argc == 7 ? rate * strtoll(argv[3], NULL, 10) : 0;
    if (rate <= 0 || limit <= 0)
        bench_fail("commits URL EVENTS_PER_SECOND SECONDS FIRST LAST SQL");
    uint64_t first = strtoull(argv[4], NULL, 10);
    uint64_t range = strtoull(argv[5], NULL, 10) - first + 1;
    uint64_t state = 1;
    int64_t count = 0;
    int64_t *taken_us = bench_allocate((size_t)limit * sizeof *taken_us);
    (void)signal(SIGTERM, stop);
    struct database *database = database_open(argv[1]);
    struct database_statement *statement = database_prepare(database, argv[6]);
    int64_t started = bench_now_us();
    while (count < limit && !stopped) {
        bench_sleep_us(started + count * 1000000 / rate - bench_now_us());
        int64_t begun = bench_now_us();
        database_run(statement, (int64_t)(first + next_random(&state) % range));
        taken_us[count++] = bench_now_us() - begun;
    }
    double seconds = (double)(bench_now_us() - started) / 1e6;
    database_statement_free(statement);
    database_close(database);
    (void)bench_sorted(taken_us, count);
    printf("{\"commits\": %" PRId64 ", \"seconds\": %.1f, \"commits_per_second\": %.0f, "
           "\"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f}\n",
           count, seconds, (double)count / seconds, bench_quantile_ms(taken_us, count, 0.5),
           bench_quantile_ms(taken_us, count, 0.99), bench_quantile_ms(taken_us, count, 1.0));
    free(taken_us);
    return 0;
}
