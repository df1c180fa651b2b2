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

/** A prepared statement that takes one number. A connection has one at a time. */
struct database_statement;

/** Prepare a statement without rows; each `?` in it is the number. Exits on an error. */
struct database_statement *database_prepare(struct database *database, const char *sql);
void database_run(struct database_statement *statement, int64_t number);
void database_statement_free(struct database_statement *statement);

/** Let no commit wait for the disk from now on: in MariaDB no commit of the server. */
void database_wait_not(struct database *database);

/** @return the process that runs this connection's statements. */
int database_process(struct database *database);

/** @return bytes that were written to the database's log so far, by whomever; in SQLite by this
 * connection. */
int64_t database_log_bytes(struct database *database);

/** Read the first column of at most `size` rows. @return how many; also 0 if there is no such
 * table. */
size_t database_numbers(struct database *database, const char *sql, int64_t *numbers, size_t size);

/** @return the first of these numbers, 0 if there is none. */
int64_t database_number(struct database *database, const char *sql);

#endif
