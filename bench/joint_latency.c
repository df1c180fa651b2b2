/* Measures joint transactions from the begin of their INSERT until the proposer's row says that
 * they are committed.
 *   joint_latency URL NUMBER RATE COUNT SERVICES ROWS
 * URL is the proposer's database, NUMBER an SQL expression that makes a number of its column `id`.
 * Each transaction adds 1 to the amount of one row of `accounts` at each of the first SERVICES of
 * shop, bank and web: one of ROWS rows, in turns, so that with 1 all want the same. RATE of them
 * are proposed a second, each in a transaction of its own; 0 is as many as one connection can. The
 * main thread polls the table every half millisecond. The first tenth is not counted. */
#include "bench.h"
#include "database.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLL_US      500
#define WAIT_SECONDS 120
#define SERVICES_MAX 3
#define CHANGE_SIZE  160
#define TIMEOUT_MS   60000
#define SQL_SIZE     256
#define ID           "%012" PRId64 /* so that ids have the order of their numbers */

static const char *const services[SERVICES_MAX] = {"shop", "bank", "web"};

struct joint {
    const char *url;
    const char *number;
    int64_t rate;
    int64_t count;
    int64_t services;
    int64_t rows;
    int64_t base;                 /* an id is this much higher than the number */
    int64_t *begun_us;            /* by number, from 1 */
    _Atomic int64_t *proposed_us; /* by number: when its INSERT was over; 0: not yet */
    int64_t *taken_us;            /* by number; 0: not decided yet */
    int64_t *insert_us;
    int64_t ended_us;
};

static bool is_postgresql(const struct joint *joint)
{
    return strncmp(joint->url, "postgresql:", sizeof "postgresql:" - 1) == 0;
}

static void propose(const struct joint *joint, struct database *database, int64_t number)
{
    char sql[SERVICES_MAX * CHANGE_SIZE + 160];
    char changes[SERVICES_MAX * CHANGE_SIZE] = "";
    for (int64_t i = 0; i < joint->services; i++) {
        size_t used = strlen(changes);
        (void)snprintf(changes + used, sizeof changes - used,
                       "%s{\"service\":\"%s\",\"type\":\"account_%s\",\"key\":{\"id\":%" PRId64
                       "},\"op\":\"u\",\"add\":{\"amount\":1}}",
                       i == 0 ? "" : ",", services[i], services[i], 1 + number % joint->rows);
    }
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO keepstep_joint (id, timeout_ms, changes) VALUES ('" ID
                   "', %d, '[%s]')",
                   joint->base + number, TIMEOUT_MS, changes);
    database_execute(database, sql);
}

static void *propose_all(void *context)
{
    struct joint *joint = context;
    struct database *database = database_open(joint->url);
    int64_t started = bench_now_us();
    for (int64_t i = 1; i <= joint->count; i++) {
        if (joint->rate > 0)
            bench_sleep_us(started + (i - 1) * 1000000 / joint->rate - bench_now_us());
        joint->begun_us[i] = bench_now_us();
        propose(joint, database, i);
        joint->insert_us[i] = bench_now_us() - joint->begun_us[i];
        atomic_store(&joint->proposed_us[i], bench_now_us());
    }
    database_close(database);
    return NULL;
}

#define WATCH                                                                                      \
    "SELECT %s FROM keepstep_joint WHERE state IN ('committed', 'aborted') AND proposer = '%s' "   \
    "AND id >= "

/* PostgreSQL would plan it anew each time, which costs more than the look. */
static void watch_prepare(const struct joint *joint, struct database *database)
{
    char sql[SQL_SIZE];
    (void)snprintf(sql, sizeof sql, "PREPARE watch(text) AS " WATCH "$1", joint->number,
                   services[0]);
    if (is_postgresql(joint))
        database_execute(database, sql);
}

static void watch_write(const struct joint *joint, int64_t first, char sql[static SQL_SIZE])
{
    if (is_postgresql(joint))
        (void)snprintf(sql, SQL_SIZE, "EXECUTE watch('" ID "')", joint->base + first);
    else
        (void)snprintf(sql, SQL_SIZE, WATCH "'" ID "'", joint->number, services[0],
                       joint->base + first);
}

static void watch_all(struct joint *joint)
{
    struct database *database = database_open(joint->url);
    watch_prepare(joint, database);
    int64_t *numbers = bench_allocate((size_t)joint->count * sizeof *numbers);
    char sql[SQL_SIZE];
    int64_t left = joint->count;
    int64_t deadline = bench_now_us() + WAIT_SECONDS * INT64_C(1000000);
    int64_t first = 1; /* of those that are left */
    while (left > 0) {
        while (joint->taken_us[first] != 0)
            first++;
        watch_write(joint, first, sql);
        size_t count = database_numbers(database, sql, numbers, (size_t)joint->count);
        int64_t now = bench_now_us();
        for (size_t i = 0; i < count; i++) {
            int64_t number = numbers[i] - joint->base;
            if (number < 1 || number > joint->count || joint->taken_us[number] != 0 ||
                atomic_load(&joint->proposed_us[number]) == 0)
                continue;
            joint->taken_us[number] = now - joint->begun_us[number];
            joint->ended_us = now;
            left--;
        }
        if (now > deadline)
            bench_fail("%" PRId64 " of %" PRId64 " are not decided", left, joint->count);
        bench_sleep_us(POLL_US);
    }
    free(numbers);
    database_close(database);
}

/* @return what an aggregate of the proposer's transactions is. */
static int64_t ask(const struct joint *joint, const char *what, const char *where)
{
    char sql[SQL_SIZE];
    struct database *database = database_open(joint->url);
    (void)snprintf(sql, sizeof sql, "SELECT %s FROM keepstep_joint%s", what, where);
    int64_t number = database_number(database, sql);
    database_close(database);
    return number;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    if (argc != 7)
        bench_fail("joint_latency URL NUMBER RATE COUNT SERVICES ROWS");
    struct joint joint = {.url = argv[1],
                          .number = argv[2],
                          .rate = strtoll(argv[3], NULL, 10),
                          .count = strtoll(argv[4], NULL, 10),
                          .services = strtoll(argv[5], NULL, 10),
                          .rows = strtoll(argv[6], NULL, 10)};
    if (joint.rate < 0 || joint.count < 10 || joint.services < 1 || joint.services > SERVICES_MAX ||
        joint.rows < 1)
        bench_fail("a rate of at least 0, a count of at least 10, 1 to %d services, and a row",
                   SERVICES_MAX);
    char where[SQL_SIZE];
    (void)snprintf(where, sizeof where, "max(%s)", joint.number);
    joint.base = ask(&joint, where, "");
    size_t size = (size_t)joint.count + 1;
    joint.begun_us = bench_zeroed(size * sizeof *joint.begun_us);
    joint.proposed_us = bench_zeroed(size * sizeof *joint.proposed_us);
    joint.taken_us = bench_zeroed(size * sizeof *joint.taken_us);
    joint.insert_us = bench_zeroed(size * sizeof *joint.insert_us);
    if (pthread_create(&thread, NULL, propose_all, &joint) != 0)
        bench_fail("no thread");
    watch_all(&joint);
    (void)pthread_join(thread, NULL);

    (void)snprintf(where, sizeof where, " WHERE state = 'aborted' AND %s > %" PRId64, joint.number,
                   joint.base);
    int64_t aborted = ask(&joint, "count(*)", where);
    int64_t warm = joint.count / 10;
    int64_t counted = joint.count - warm;
    double seconds = (double)(joint.ended_us - joint.begun_us[1]) / 1e6;
    int64_t *taken = bench_sorted(joint.taken_us + 1 + warm, counted);
    int64_t *inserts = bench_sorted(joint.insert_us + 1 + warm, counted);
    printf("{\"transactions\": %" PRId64 ", \"aborted\": %" PRId64
           ", \"transactions_per_second\": %.1f, \"p50_ms\": %.2f, \"p90_ms\": %.2f, "
           "\"p99_ms\": %.2f, \"max_ms\": %.2f, \"insert_p50_ms\": %.2f}\n",
           joint.count, aborted, (double)joint.count / seconds,
           bench_quantile_ms(taken, counted, 0.5), bench_quantile_ms(taken, counted, 0.9),
           bench_quantile_ms(taken, counted, 0.99), bench_quantile_ms(taken, counted, 1.0),
           bench_quantile_ms(inserts, counted, 0.5));
    return 0;
}
