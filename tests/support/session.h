/* One lasting session with a database of any kind, whose errors are read and not failures. */
#ifndef TESTS_SUPPORT_SESSION_H
#define TESTS_SUPPORT_SESSION_H

#include "common/buffer.h"
#include "tests/support/database.h"

#define SESSION_COLUMN_END "\x1f"
#define SESSION_ROW_END    "\x1e"

struct session;

/** Open what database_make() gave; the test fails where it does not open. */
struct session *session_open(const char *url);

/** NULL is a no-op. */
void session_close(struct session *session);

/** Run one statement, committed. Its rows are appended to `rows` (NULL: thrown away), each column
 * ended by SESSION_COLUMN_END, each row by SESSION_ROW_END, NULL as "NULL".
 * @return NULL, or what the database said; lives until the program ends. */
const char *session_try(struct session *session, const char *sql, struct buffer *rows);

/** As session_try(); the test fails at an error. */
void session_run(struct session *session, const char *sql, struct buffer *rows);

/** Set the session as far from the defaults as its settings go. */
void session_estrange(struct session *session);

#endif
