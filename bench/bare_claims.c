/* The upper bound for a relay beside its database. It reads the rows of an outbox and numbers them,
 * 2,000 per transaction, with one SELECT and one UPDATE, and does nothing else.
 *   bare_claims URL EVENTS
 * Give it a copy of the outbox: it changes the rows. */
#include "bench.h"
#include "database.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PART 2000

int main(int argc, char **argv)
{
    char sql[256];
    int64_t positions[PART];
    if (argc != 3)
        bench_fail("bare_claims URL EVENTS");
    struct database *database = database_open(argv[1]);
    if (strncmp(argv[1], "sqlite:", 7) == 0)
        database_execute(database, "PRAGMA synchronous = FULL"); /* a relay's commits wait too */
    int64_t count = strtoll(argv[2], NULL, 10);
    int64_t last = database_number(database, "SELECT max(position) FROM outbox");
    int64_t from = database_number(database, "SELECT min(position) FROM outbox");
    int64_t started = bench_now_us();
    for (; from <= last; from += PART) {
        (void)snprintf(sql, sizeof sql,
                       "SELECT position, id, aggregatetype, aggregateid, type, payload, created_at "
                       "FROM outbox WHERE position BETWEEN %" PRId64 " AND %" PRId64,
                       from, from + PART - 1);
        (void)database_numbers(database, sql, positions, PART);
        (void)snprintf(sql, sizeof sql,
                       "UPDATE outbox SET kafka_partition = position %% 6, sequence = position "
                       "WHERE position BETWEEN %" PRId64 " AND %" PRId64,
                       from, from + PART - 1);
        database_execute(database, "BEGIN");
        database_execute(database, sql);
        database_execute(database, "COMMIT");
    }
    double seconds = (double)(bench_now_us() - started) / 1e6;
    if (database_number(database, "SELECT count(*) FROM outbox WHERE sequence > 0") != count)
        bench_fail("the outbox has not %" PRId64 " rows", count);
    database_close(database);
    printf("{\"events\": %" PRId64 ", \"events_per_second\": %.0f}\n", count,
           (double)count / seconds);
    return 0;
}
