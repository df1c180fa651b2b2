/* SQLite sessions of both sides: opening, statements, and what SQLite's errors mean. */
#ifndef COMMON_SQLITE_SESSION_H
#define COMMON_SQLITE_SESSION_H

#include "common/slice.h"
#include "common/status.h"

#include <sqlite3.h>

#define SQLITE_SESSION_BUSY_TIMEOUT_MS 5000

/** Open with synchronous=EXTRA and a busy timeout of SQLITE_SESSION_BUSY_TIMEOUT_MS, for one thread
 * at a time. The database must be encoded in UTF-8.
 * @param flags  SQLITE_OPEN_READONLY, SQLITE_OPEN_READWRITE, SQLITE_OPEN_CREATE.
 * @return OK; RETRY (there is no database, or it cannot be opened now); FATAL with exit code 78
 * (the file is no SQLite database, or has another encoding). */
enum status sqlite_session_open(const char *path, int flags, sqlite3 **ret_database,
                                struct error *err) MUST_CHECK;

/** @return what an extended or primary result code means. Unique and foreign keys are REJECT
 * (waiting). Errors of a row's values, constraints and triggers are REJECT (held). What passes by
 * itself is RETRY. The rest is FATAL. */
struct verdict sqlite_session_verdict(int code);

/** Set `err` from the connection's last error; the text names `what`. What a trigger refuses with
 * ERROR_TRY_AGAIN is RETRY. */
enum status sqlite_session_error(sqlite3 *database, const char *what, struct error *err);

/** Set `err` from a result code that need not be the connection's last one. */
enum status sqlite_session_code_error(sqlite3 *database, int code, const char *what,
                                      struct error *err);

/** Run statements without parameters, and drop their rows. */
enum status sqlite_session_execute(sqlite3 *database, const char *sql,
                                   struct error *err) MUST_CHECK;

/** Prepare a statement for repeated use. The caller ends it with sqlite3_finalize(). */
enum status sqlite_session_prepare(sqlite3 *database, const char *sql, sqlite3_stmt **ret_statement,
                                   struct error *err) MUST_CHECK;

/** Run a statement without rows, and reset it. @param ret_changes  may be NULL. */
enum status sqlite_session_run(sqlite3 *database, sqlite3_stmt *statement, int *ret_changes,
                               struct error *err) MUST_CHECK;

/** Roll back the open transaction; cannot fail. */
void sqlite_session_rollback(sqlite3 *database);

/** Bind borrowed text; SQL's NULL where data is NULL. */
void sqlite_session_bind(sqlite3_stmt *statement, int index, struct slice text);

/** @return the column's bytes, NUL-terminated and borrowed until the next step; data is NULL where
 * the column is NULL. */
struct slice sqlite_session_text(sqlite3_stmt *statement, int column);

#endif
