/* Measures the time from an event's commit until it is applied, at a steady rate.
 *   latency SERVICE_URL PEER_URL EVENTS_PER_SECOND SECONDS WRITERS [STAMPS]
 * Each writer is a thread with its own connection. It commits rows of "ticks" into the service's
 * database, each in its own transaction, with ids above those that are there. The main thread polls
 * the peer's table every half millisecond. An event's clock starts just before its COMMIT. The
 * first two seconds are not counted. The time of the COMMITs alone is printed too: nothing can be
 * faster than that. With STAMPS, the name of a file, the COMMITs' times are written to it. The
 * peer's table is then polled ten times a second only, so that polling disturbs nothing. */
#include "bench.h"
#include "database.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define POLL_US        500
#define POLL_RARELY_US 100000
#define WARM_SECONDS   2
#define WAIT_SECONDS   60
#define WRITERS_MAX    16

struct latency {
    const char *service;
    const char *peer;
    int64_t rate;
    int64_t count;
    int64_t warm;                /* events that are not counted */
    _Atomic int64_t *written_us; /* by id, from 1 */
    int64_t *taken_us;           /* by id, 0: not seen yet */
    int64_t *commit_us;          /* by id; read after the writers' end */
    int64_t writers;
    int64_t base;    /* the id in the table is this much higher */
    int64_t poll_us; /* rest between two polls of the peer's table */
    double between_polls_ms;
};

struct writer {
    pthread_t thread;
    struct latency *latency;
    int64_t first;
    double seconds;
};

/* Write every WRITERS-th event, starting at this writer's first. */
static void *write_all(void *context)
{
    struct writer *writer = context;
    struct latency *latency = writer->latency;
    struct database *database = database_open(latency->service);
    char sql[96];
    int64_t started = bench_now_us();
    for (int64_t id = writer->first; id <= latency->count; id += latency->writers) {
        bench_sleep_us(started + (id - 1) * 1000000 / latency->rate - bench_now_us());
        (void)snprintf(sql, sizeof sql, "INSERT INTO ticks VALUES(%" PRId64 ", %" PRId64 ")",
                       latency->base + id, bench_now_us());
        database_execute(database, "BEGIN");
        database_execute(database, sql);
        atomic_store(&latency->written_us[id], bench_now_us());
        database_execute(database, "COMMIT");
        latency->commit_us[id] = bench_now_us() - atomic_load(&latency->written_us[id]);
    }
    writer->seconds = (double)(bench_now_us() - started) / 1e6;
    database_close(database);
    return NULL;
}

/* Partitions are not ordered among each other. So each poll asks for all events from the first
 * missing one on. */
static void watch_all(struct latency *latency)
{
    struct database *database = database_open(latency->peer);
    int64_t *ids = bench_allocate((size_t)latency->count * sizeof *ids);
    char sql[64];
    int64_t started = bench_now_us();
    int64_t deadline = started + (latency->count / latency->rate * 3 + WAIT_SECONDS) * 1000000;
    int64_t first_unseen = 1;
    int64_t polls = 0;
    while (first_unseen <= latency->count) {
        (void)snprintf(sql, sizeof sql, "SELECT id FROM ticks WHERE id>=%" PRId64,
                       latency->base + first_unseen);
        size_t count = database_numbers(database, sql, ids, (size_t)latency->count);
        int64_t now = bench_now_us();
        for (size_t i = 0; i < count; i++) {
            int64_t id = ids[i] - latency->base;
            if (id <= latency->count && latency->taken_us[id] == 0)
                latency->taken_us[id] = now - atomic_load(&latency->written_us[id]);
        }
        while (first_unseen <= latency->count && latency->taken_us[first_unseen] != 0)
            first_unseen++;
        if (now > deadline)
            bench_fail("event %" PRId64 " of %" PRId64 " has not come", first_unseen,
                       latency->count);
        bench_sleep_us(latency->poll_us);
        polls++;
    }
    latency->between_polls_ms = (double)(bench_now_us() - started) / 1e3 / (double)polls;
    free(ids);
    database_close(database);
}

/* The stamps of all events for a report by stages: id, COMMIT's begin and end, microseconds since
 * 1970. */
static void write_stamps(const struct latency *latency, const char *path)
{
    int64_t wall_us = bench_wall_us() - bench_now_us();
    FILE *file = fopen(path, "w");
    if (file == NULL)
        bench_fail("%s cannot be written", path);
    for (int64_t i = latency->warm + 1; i <= latency->count; i++) {
        int64_t begun = wall_us + atomic_load(&latency->written_us[i]);
        (void)fprintf(file, "%" PRId64 " %" PRId64 " %" PRId64 "\n", latency->base + i, begun,
                      begun + latency->commit_us[i]);
    }
    if (fclose(file) != 0)
        bench_fail("%s cannot be written", path);
}

/* @return the seconds that the slowest writer took. */
static double run(struct latency *latency)
{
    struct writer writers[WRITERS_MAX];
    double seconds = 0;
    for (int64_t i = 0; i < latency->writers; i++) {
        writers[i] = (struct writer){.latency = latency, .first = i + 1};
        if (pthread_create(&writers[i].thread, NULL, write_all, &writers[i]) != 0)
            bench_fail("no thread");
    }
    watch_all(latency);
    for (int64_t i = 0; i < latency->writers; i++) {
        (void)pthread_join(writers[i].thread, NULL);
        seconds = writers[i].seconds > seconds ? writers[i].seconds : seconds;
    }
    return seconds;
}

static int64_t last_tick(const char *url)
{
    struct database *database = database_open(url);
    int64_t last = database_number(database, "SELECT max(id) FROM ticks");
    database_close(database);
    return last > 0 ? last : 0;
}

int main(int argc, char **argv)
{
    if (argc != 6 && argc != 7)
        bench_fail("latency SERVICE_URL PEER_URL EVENTS_PER_SECOND SECONDS WRITERS [STAMPS]");
    struct latency latency = {.service = argv[1],
                              .peer = argv[2],
                              .rate = strtoll(argv[3], NULL, 10),
                              .writers = strtoll(argv[5], NULL, 10),
                              .poll_us = argc == 7 ? POLL_RARELY_US : POLL_US};
    if (latency.rate <= 0 || latency.writers <= 0 || latency.writers > WRITERS_MAX)
        bench_fail("a rate above 0 and 1 to %d writers are needed", WRITERS_MAX);
    latency.warm = latency.rate * WARM_SECONDS;
    latency.count = latency.warm + latency.rate * strtoll(argv[4], NULL, 10);
    latency.base = last_tick(latency.service);
    size_t size = (size_t)latency.count + 1;
    latency.written_us = bench_zeroed(size * sizeof *latency.written_us);
    latency.taken_us = bench_zeroed(size * sizeof *latency.taken_us);
    latency.commit_us = bench_zeroed(size * sizeof *latency.commit_us);
    double seconds = run(&latency);
    if (argc == 7)
        write_stamps(&latency, argv[6]);

    int64_t counted = latency.count - latency.warm;
    int64_t *taken = bench_sorted(latency.taken_us + 1 + latency.warm, counted);
    int64_t *commits = bench_sorted(latency.commit_us + 1 + latency.warm, counted);
    printf("{\"events\": %" PRId64 ", \"events_per_second\": %.0f, \"p50_ms\": %.2f, "
           "\"p90_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f, \"commit_p50_ms\": %.2f, "
           "\"commit_p99_ms\": %.2f, \"commit_max_ms\": %.2f, \"between_polls_ms\": %.2f}\n",
           counted, (double)latency.count / seconds, bench_quantile_ms(taken, counted, 0.5),
           bench_quantile_ms(taken, counted, 0.9), bench_quantile_ms(taken, counted, 0.99),
           bench_quantile_ms(taken, counted, 1.0), bench_quantile_ms(commits, counted, 0.5),
           bench_quantile_ms(commits, counted, 0.99), bench_quantile_ms(commits, counted, 1.0),
           latency.between_polls_ms);
    return 0;
}
