/* SQL on a service's database of any kind, found by its URL. */
#ifndef TESTS_SUPPORT_DATABASE_H
#define TESTS_SUPPORT_DATABASE_H

#include "tests/support/test.h"

enum database_kind { DATABASE_SQLITE, DATABASE_POSTGRESQL, DATABASE_MARIADB };

/** Make an empty database for the running test. Skips the test with a reason if there is no such
 * server. @return its URL. */
const char *database_make(enum database_kind kind, const char *name);

/** Run one or more statements; the test fails at the first error. @return the rows: "|" between
 * columns, "\n" after each row, NULL as "NULL". */
const char *database_text(const char *url, const char *sql);

/** Copy a database as its own tools do, in one snapshot, to an empty one of the same kind. */
void database_copy(enum database_kind kind, const char *from, const char *to);

/** Stop all processes of the program's server of a kind with a signal, like a frozen host: it
 * accepts connections and answers nothing. database_continue() lets it go on. It ends with the
 * program. */
void database_pause(enum database_kind kind);
void database_continue(enum database_kind kind);

/** Stop the program's server of a kind at once, like a crash; start it again. */
void database_stop(enum database_kind kind);
void database_start(enum database_kind kind);

/** Wait until database_text() of `sql` is `expected`. The tables must exist. @return false after
 * the limit. */
bool database_wait_for(const char *url, const char *sql, const char *expected, int64_t limit_ms);

#endif
