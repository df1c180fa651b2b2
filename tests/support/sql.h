/* SQL on an SQLite file, for what a test prepares and reads. */
#ifndef TESTS_SUPPORT_SQL_H
#define TESTS_SUPPORT_SQL_H

#include "tests/support/test.h"

/** Run one or more statements; the test fails at the first error. The function event_id(origin,
 * position, created_at) derives the id of a row of the outbox. @return the rows of all of them: "|"
 * between columns, "\n" after each row, NULL as "NULL", a blob as x'…'. Valid until the program
 * ends. */
const char *sqlite_text(const char *path, const char *sql);

/** Like sqlite_text(), with the SQL formatted like printf. */
const char *sqlite_format(const char *path, const char *format, ...) PRINTF_LIKE(2, 3);

/** @return the whole number in the first column of the first row. The test fails if there is
 * none. */
int64_t sqlite_number(const char *path, const char *sql);

/** Wait until sqlite_text() of `sql` is `expected`. An error, such as a missing table, counts as
 * "not yet". @return false after the limit. */
bool sqlite_wait_for(const char *path, const char *sql, const char *expected, int64_t limit_ms);

#endif
