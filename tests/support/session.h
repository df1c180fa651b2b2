/* One lasting session with a database of any kind. Its errors are results, not failures of the
 * test. */
#ifndef TESTS_SUPPORT_SESSION_H
#define TESTS_SUPPORT_SESSION_H

#include "common/buffer.h"
#include "tests/support/database.h"

#define SESSION_COLUMN_END "\x1f"
#define SESSION_ROW_END    "\x1e"

struct session;

/** Open a session for the URL of database_make(). The test fails if it does not open. */
struct session *session_open(const char *url);

/** NULL does nothing. */
void session_close(struct session *session);

/** Run one statement and commit. Its rows are appended to `rows` unless that is NULL:
 * SESSION_COLUMN_END after each column, SESSION_ROW_END after each row, NULL as "NULL". @return
 * NULL, or the database's error, valid until the program ends. */
const char *session_try(struct session *session, const char *sql, struct buffer *rows);

/** Like session_try(), but the test fails at an error. */
void session_run(struct session *session, const char *sql, struct buffer *rows);

/** Change all settings of the session, as far from the defaults as they go. */
void session_estrange(struct session *session);

#endif
