/* SQL on an SQLite file, for what a test prepares and looks at. */
#ifndef TESTS_SUPPORT_SQL_H
#define TESTS_SUPPORT_SQL_H

#include "tests/support/test.h"

/** Run one or more statements; the test fails at the first error.
 * @return the rows of all of them, columns parted by "|", each row ended by "\n", NULL as "NULL",
 * a blob as x'…'; lives until the program ends. */
const char *sqlite_text(const char *path, const char *sql);

/** As sqlite_text(), the SQL formatted like printf. */
const char *sqlite_format(const char *path, const char *format, ...) PRINTF_LIKE(2, 3);

/** @return the whole number in the first column of the first row; the test fails without one. */
int64_t sqlite_number(const char *path, const char *sql);

/** Wait until sqlite_text() of `sql` is `expected`; @return false past the limit. Errors such as a
 * table that does not exist yet count as "not yet". */
bool sqlite_wait_for(const char *path, const char *sql, const char *expected, int64_t limit_ms);

#endif
