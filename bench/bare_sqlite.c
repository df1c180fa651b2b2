/* The upper bound for an agent on SQLite: the same rows, one prepared upsert each, and nothing
 * else.
 *   bare_sqlite SOURCE.db TABLE TARGET.db EVENTS_PER_TRANSACTION
 * It reads the rows into memory before the clock starts, and writes them in the order of their
 * keys. */
#include "bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 32
#define SQL_SIZE    4096

struct rows {
    sqlite3_value **values; /* one row after the other */
    size_t count;
    int columns;
    char names[COLUMNS_MAX][64];
};

static void rows_load(struct rows *rows, const char *path, const char *table)
{
    char sql[SQL_SIZE];
    sqlite3 *database = bench_open(path, SQLITE_OPEN_READONLY);
    (void)snprintf(sql, sizeof sql, "SELECT * FROM \"%s\" ORDER BY 1", table);
    sqlite3_stmt *statement = bench_prepare(database, sql);
    size_t capacity = 0;
    rows->columns = sqlite3_column_count(statement);
    if (rows->columns > COLUMNS_MAX)
        bench_fail("%s has too many columns", table);
    for (int i = 0; i < rows->columns; i++)
        (void)snprintf(rows->names[i], sizeof rows->names[i], "%s",
                       sqlite3_column_name(statement, i));
    while (sqlite3_step(statement) == SQLITE_ROW) {
        if (rows->count == capacity) {
            capacity = capacity == 0 ? 4096 : capacity * 2;
            rows->values = realloc(rows->values,
                                   capacity * (size_t)rows->columns * sizeof(sqlite3_value *));
            if (rows->values == NULL)
                bench_fail("out of memory");
        }
        for (int i = 0; i < rows->columns; i++)
            rows->values[rows->count * (size_t)rows->columns + (size_t)i] = sqlite3_value_dup(
                sqlite3_column_value(statement, i));
        rows->count++;
    }
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(database);
}

static void append(char sql[static SQL_SIZE], const char *format, const char *word)
{
    size_t length = strlen(sql);
    (void)snprintf(sql + length, SQL_SIZE - length, format, word);
}

/* The first column is the key. */
static sqlite3_stmt *prepare_upsert(sqlite3 *database, const struct rows *rows)
{
    char create[SQL_SIZE] = "CREATE TABLE copy(";
    char upsert[SQL_SIZE] = "INSERT INTO copy VALUES(";
    for (int i = 0; i < rows->columns; i++) {
        append(create, i == 0 ? "\"%s\" INTEGER PRIMARY KEY" : ", \"%s\"", rows->names[i]);
        append(upsert, "%s", i == 0 ? "?" : ",?");
    }
    append(create, "%s", ")");
    append(upsert, ") ON CONFLICT(\"%s\") DO UPDATE SET ", rows->names[0]);
    for (int i = 1; i < rows->columns; i++) {
        append(upsert, i == 1 ? "\"%s\"=" : ", \"%s\"=", rows->names[i]);
        append(upsert, "excluded.\"%s\"", rows->names[i]);
    }
    bench_execute(database, create);
    return bench_prepare(database, upsert);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        bench_fail("bare_sqlite SOURCE.db TABLE TARGET.db EVENTS_PER_TRANSACTION");
    struct rows rows = {0};
    size_t transaction = strtoul(argv[4], NULL, 10);
    rows_load(&rows, argv[1], argv[2]);
    sqlite3 *database = bench_open(argv[3], SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    bench_pragmas(database);
    sqlite3_stmt *upsert = prepare_upsert(database, &rows);

    int64_t started = bench_now_us();
    for (size_t row = 0; row < rows.count; row++) {
        if (row % transaction == 0)
            bench_execute(database, row == 0 ? "BEGIN IMMEDIATE" : "COMMIT; BEGIN IMMEDIATE");
        for (int i = 0; i < rows.columns; i++)
            (void)sqlite3_bind_value(upsert, i + 1,
                                     rows.values[row * (size_t)rows.columns + (size_t)i]);
        if (sqlite3_step(upsert) != SQLITE_DONE)
            bench_fail("%s", sqlite3_errmsg(database));
        (void)sqlite3_reset(upsert);
    }
    if (rows.count > 0)
        bench_execute(database, "COMMIT");
    double seconds = (double)(bench_now_us() - started) / 1e6;
    (void)sqlite3_finalize(upsert);
    (void)sqlite3_close(database);
    printf("{\"events\": %zu, \"seconds\": %.3f, \"events_per_second\": %.0f}\n", rows.count,
           seconds, (double)rows.count / seconds);
    return 0;
}
