/* One connection to SQLite, PostgreSQL or MariaDB, for what the benchmarks ask of all of them. */
#ifndef BENCH_DATABASE_H
#define BENCH_DATABASE_H

#include <stddef.h>
#include <stdint.h>

struct database;

/** Connect to sqlite:PATH, postgresql:… as libpq takes it, or mysql://root@/NAME?socket=PATH. Exits
 * on an error. Each connection may be used by one thread. */
struct database *database_open(const char *url);
void database_close(struct database *database);

/** Run one statement without rows; exits on an error. */
void database_execute(struct database *database, const char *sql);

/** Read the first column of at most `size` rows. @return how many; also 0 if there is no such
 * table. */
size_t database_numbers(struct database *database, const char *sql, int64_t *numbers, size_t size);

/** @return the first of these numbers, 0 if there is none. */
int64_t database_number(struct database *database, const char *sql);

#endif
