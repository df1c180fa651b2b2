/* SQLite sessions of the producing side: opening, statements and what its errors mean. */
#ifndef PRODUCER_SQLITE_SESSION_H
#define PRODUCER_SQLITE_SESSION_H

#include "common/slice.h"
#include "common/status.h"

#include <sqlite3.h>

/** Open with synchronous=FULL and a busy timeout of five seconds.
 * @return OK; RETRY (cannot be opened now); FATAL. */
enum status sqlite_session_open(const char *path, int flags, sqlite3 **ret_db,
                                struct error *err) MUST_CHECK;

/** Set `err` from the connection's last error: busy, full, read-only and the like are RETRY. */
enum status sqlite_session_error(sqlite3 *db, const char *what, struct error *err);

enum status sqlite_session_execute(sqlite3 *db, const char *sql, struct error *err) MUST_CHECK;
enum status sqlite_session_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_statement,
                                   struct error *err) MUST_CHECK;

/** Step once and reset; for statements without rows. @param ret_changes may be NULL. */
enum status sqlite_session_run(sqlite3 *db, sqlite3_stmt *statement, int *ret_changes,
                               struct error *err) MUST_CHECK;

/** Roll back what is open; cannot fail. */
void sqlite_session_rollback(sqlite3 *db);

/** Bind borrowed text; NULL for data NULL. */
void sqlite_session_bind(sqlite3_stmt *statement, int index, struct slice text);

/** @return the column's text, borrowed until the next step. */
struct slice sqlite_session_text(sqlite3_stmt *statement, int column);

#endif
