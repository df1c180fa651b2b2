/* Measures what capture costs a service: the same one-row transactions, and statements of 1,000
 * rows, on a table without capture and on one with it.
 *   writer URL TRANSACTIONS ROUNDS
 * The tables are "orders" (captured) and "plains" (not), with equal columns; "thousand" has the
 * numbers 0 to 999. No commit waits for the
 * disk. Counted are the CPU time of what runs the statements (PostgreSQL: the session's process,
 * MariaDB: the server, SQLite: this program) and the bytes of the database's log. Each round does
 * everything on both tables, in turns; the least CPU time of all rounds counts. */
#include "bench.h"
#include "database.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ID  INT64_C(1000000000) /* above all rows that are there */
#define MANY_ROWS 1000
#define SETTLE_US 200000 /* for what a server does behind its answers */
#define SQL_SIZE  512
#define NOTE      "3fe1c07a95be4d0b862c11f0a3a0de57 left at the door where nobody answers, twice"
#define VALUES    ", 'customer 17', 'open', 12.50, '" NOTE "', '2026-11-23 09:42:00.123456'"
#define CHANGES   " SET state = 'paid', total = total + 1 WHERE "

enum { PLAIN, CAPTURED, TABLES };

static const char *const tables[TABLES] = {"plains", "orders"};

/* What stands behind INSERT INTO, UPDATE or DELETE FROM and the table's name. */
static const struct operation {
    const char *name;
    const char *verb;
    const char *rest;
    int64_t rows; /* a statement */
} operations[] = {
    {"insert", "INSERT INTO", " VALUES (?" VALUES ")", 1},
    {"update", "UPDATE", CHANGES "id = ?", 1},
    {"delete", "DELETE FROM", " WHERE id = ?", 1},
    {"insert_1000", "INSERT INTO", " SELECT ? + n" VALUES " FROM thousand", MANY_ROWS},
    {"update_1000", "UPDATE", CHANGES "id BETWEEN ? AND ? + 999", MANY_ROWS},
    {"delete_1000", "DELETE FROM", " WHERE id BETWEEN ? AND ? + 999", MANY_ROWS},
};

#define OPERATIONS (sizeof operations / sizeof *operations)

/* What a row of an operation costs. */
struct cost {
    double cpu_us;
    double log_bytes;
};

static struct cost measure(struct database *database, const struct operation *operation,
                           const char *table, int64_t rows)
{
    char sql[SQL_SIZE];
    int process = database_process(database);
    (void)snprintf(sql, sizeof sql, "%s %s%s", operation->verb, table, operation->rest);
    struct database_statement *statement = database_prepare(database, sql);
    int64_t log_bytes = database_log_bytes(database);
    int64_t started_us = bench_cpu_us(process);
    for (int64_t id = 0; id < rows; id += operation->rows)
        database_run(statement, FIRST_ID + id);
    bench_sleep_us(SETTLE_US);
    struct cost cost = {.cpu_us = (double)(bench_cpu_us(process) - started_us) / (double)rows,
                        .log_bytes = (double)(database_log_bytes(database) - log_bytes) /
                                     (double)rows};
    database_statement_free(statement);
    return cost;
}

/* Each field's name is unique, so that a script can find it. */
static void print(const char *name, const struct cost costs[TABLES])
{
    printf(",\n\"%s_plain_cpu_us\": %.2f, \"%s_captured_cpu_us\": %.2f, \"%s_cpu_ratio\": %.2f, "
           "\"%s_plain_log_bytes\": %.0f, \"%s_captured_log_bytes\": %.0f",
           name, costs[PLAIN].cpu_us, name, costs[CAPTURED].cpu_us, name,
           costs[CAPTURED].cpu_us / costs[PLAIN].cpu_us, name, costs[PLAIN].log_bytes, name,
           costs[CAPTURED].log_bytes);
}

int main(int argc, char **argv)
{
    struct cost least[OPERATIONS][TABLES] = {0};
    int64_t transactions = argc == 4 ? strtoll(argv[2], NULL, 10) : 0;
    int64_t rounds = argc == 4 ? strtoll(argv[3], NULL, 10) : 0;
    if (transactions < MANY_ROWS || rounds <= 0)
        bench_fail("writer URL TRANSACTIONS ROUNDS, at least %d transactions", MANY_ROWS);
    transactions -= transactions % MANY_ROWS;
    struct database *database = database_open(argv[1]);
    database_wait_not(database);
    for (int64_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < OPERATIONS * TABLES; i++) {
            size_t operation = i / TABLES;
            size_t table = i % TABLES;
            struct cost cost = measure(database, &operations[operation], tables[table],
                                       transactions);
            if (round == 0 || cost.cpu_us < least[operation][table].cpu_us)
                least[operation][table] = cost;
        }
    }
    printf("{\"transactions\": %" PRId64 ", \"rounds\": %" PRId64, transactions, rounds);
    for (size_t i = 0; i < OPERATIONS; i++)
        print(operations[i].name, least[i]);
    printf("}\n");
    database_close(database);
    return 0;
}
