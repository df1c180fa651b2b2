/* SQL on a service's database of any kind, by its URL. */
#ifndef TESTS_SUPPORT_DATABASE_H
#define TESTS_SUPPORT_DATABASE_H

#include "tests/support/test.h"

enum database_kind { DATABASE_SQLITE, DATABASE_POSTGRESQL, DATABASE_MARIADB };

/** Make an empty database for the running test; skips the test with the reason where there is no
 * such server. @return its URL. */
const char *database_make(enum database_kind kind, const char *name);

/** Run one or more statements; the test fails at the first error. @return the rows, columns parted
 * by "|", each row ended by "\n", NULL as "NULL". */
const char *database_text(const char *url, const char *sql);

/** Make the program's server of a kind stand still with all its processes, as a host that hangs:
 * connections are taken, nothing is answered. It goes on by database_continue(), or is ended with
 * the program. */
void database_pause(enum database_kind kind);
void database_continue(enum database_kind kind);

/** Wait until database_text() of `sql` is `expected`; @return false past the limit. The tables must
 * be there. */
bool database_wait_for(const char *url, const char *sql, const char *expected, int64_t limit_ms);

#endif
