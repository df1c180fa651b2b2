/* What the benchmark programs share. */
#include "bench.h"

#include <glob.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t bench_now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t bench_wall_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void bench_sleep_us(int64_t duration)
{
    struct timespec rest = {.tv_sec = duration / 1000000, .tv_nsec = duration % 1000000 * 1000};
    if (duration > 0)
        (void)nanosleep(&rest, NULL);
}

void bench_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fputs("bench: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(1);
}

void *bench_allocate(size_t size)
{
    void *memory = malloc(size == 0 ? 1 : size);
    if (memory == NULL)
        bench_fail("out of memory");
    return memory;
}

void *bench_zeroed(size_t size)
{
    return memset(bench_allocate(size), 0, size);
}

static int compare_numbers(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left;
    int64_t b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

int64_t *bench_sorted(int64_t *numbers, int64_t count)
{
    qsort(numbers, (size_t)count, sizeof *numbers, compare_numbers);
    return numbers;
}

double bench_quantile_ms(const int64_t *sorted_us, int64_t count, double quantile)
{
    int64_t index = (int64_t)(quantile * (double)count);
    return count == 0 ? 0 : (double)sorted_us[index < count ? index : count - 1] / 1e3;
}

sqlite3 *bench_open(const char *path, int flags)
{
    sqlite3 *database = NULL;
    if (sqlite3_open_v2(path, &database, flags, NULL) != SQLITE_OK)
        bench_fail("%s: %s", path, sqlite3_errmsg(database));
    (void)sqlite3_busy_timeout(database, 10000);
    return database;
}

void bench_execute(sqlite3 *database, const char *sql)
{
    if (sqlite3_exec(database, sql, NULL, NULL, NULL) != SQLITE_OK)
        bench_fail("%s: %s", sql, sqlite3_errmsg(database));
}

sqlite3_stmt *bench_prepare(sqlite3 *database, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) != SQLITE_OK)
        bench_fail("%s: %s", sql, sqlite3_errmsg(database));
    return statement;
}

void bench_pragmas(sqlite3 *database)
{
    bench_execute(database, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                            "PRAGMA wal_autocheckpoint=4000; PRAGMA cache_size=-16384;");
}

int64_t bench_memory_kib(int process, const char *field)
{
    char path[64];
    char line[256];
    int64_t kib = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", process);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, field, strlen(field)) == 0 && line[strlen(field)] == ':')
            kib = strtoll(line + strlen(field) + 1, NULL, 10);
    (void)fclose(file);
    return kib;
}

/* /proc/PROCESS/stat counts in ticks of 10 ms, schedstat in nanoseconds. */
int64_t bench_cpu_us(int process)
{
    char path[64];
    int64_t sum_ns = 0;
    glob_t tasks;
    (void)snprintf(path, sizeof path, "/proc/%d/task/*/schedstat", process);
    if (glob(path, 0, NULL, &tasks) != 0)
        bench_fail("the CPU time of process %d cannot be read", process);
    for (size_t i = 0; i < tasks.gl_pathc; i++) {
        int64_t thread_ns = 0;
        FILE *file = fopen(tasks.gl_pathv[i], "r");
        if (file == NULL)
            continue; /* the thread has ended */
        if (fscanf(file, "%" SCNd64, &thread_ns) == 1)
            sum_ns += thread_ns;
        (void)fclose(file);
    }
    globfree(&tasks);
    return sum_ns / 1000;
}
