/* What the benchmark programs share: clocks, ending on an error, quantiles, SQLite, /proc. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

/** @return microseconds of the monotonic clock. */
int64_t bench_now_us(void);
/** @return microseconds since 1970. */
int64_t bench_wall_us(void);
void bench_sleep_us(int64_t duration);

/** Print to stderr and exit with 1. */
void bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/** malloc() that never returns NULL. */
void *bench_allocate(size_t size);
/** The same, filled with zeros. */
void *bench_zeroed(size_t size);

/** Sort in place, the smallest first. @return `numbers`. */
int64_t *bench_sorted(int64_t *numbers, int64_t count);
/** @param sorted_us microseconds. @return milliseconds; 0 if there are none. */
double bench_quantile_ms(const int64_t *sorted_us, int64_t count, double quantile);

/** Open with a busy timeout; `flags` as for sqlite3_open_v2(). Exits on an error. */
sqlite3 *bench_open(const char *path, int flags);
void bench_execute(sqlite3 *database, const char *sql);
sqlite3_stmt *bench_prepare(sqlite3 *database, const char *sql);

/** Set up a connection as keepstep's agent does: WAL, NORMAL, checkpoints of 4000 pages, 16 MiB. */
void bench_pragmas(sqlite3 *database);

/** @return a field such as "VmRSS" of /proc/PROCESS/status in KiB, 0 if there is none. */
int64_t bench_memory_kib(int process, const char *field);

/** @return the CPU time of a process's living threads in microseconds. Exits if there is no such
 * process. */
int64_t bench_cpu_us(int process);

#endif
