/* SQLite sessions of both sides: opening, statements, and what SQLite's errors mean. */
#ifndef COMMON_SQLITE_SESSION_H
#define COMMON_SQLITE_SESSION_H

#include "common/slice.h"
#include "common/status.h"

#include <sqlite3.h>

#define SQLITE_SESSION_BUSY_TIMEOUT_MS 5000

/** Open with synchronous=EXTRA and a busy timeout of SQLITE_SESSION_BUSY_TIMEOUT_MS; for one thread
 * at a time. The database must be encoded in UTF-8.
 * @param flags  SQLITE_OPEN_READONLY, SQLITE_OPEN_READWRITE, SQLITE_OPEN_CREATE.
 * @return OK; RETRY (there is no database, or it cannot be opened now); FATAL (no database of
 * SQLite's or another encoding, with exit code 78). */
enum status sqlite_session_open(const char *path, int flags, sqlite3 **ret_database,
                                struct error *err) MUST_CHECK;

/** What a result code means, extended or primary: one table, tested. Unique and foreign keys are
 * REJECT (waiting), what a row's values, constraints and triggers say REJECT (held), what passes by
 * itself RETRY, the rest FATAL. */
struct verdict sqlite_session_verdict(int code);

/** Set `err` from the connection's last error; the text names `what`. */
enum status sqlite_session_error(sqlite3 *database, const char *what, struct error *err);

/** Set `err` from a result code, which need not be the connection's last. */
enum status sqlite_session_code_error(sqlite3 *database, int code, const char *what,
                                      struct error *err);

/** Run statements without parameters and without rows that matter. */
enum status sqlite_session_execute(sqlite3 *database, const char *sql,
                                   struct error *err) MUST_CHECK;

/** Prepare a statement that is kept and used again; the caller ends it with sqlite3_finalize(). */
enum status sqlite_session_prepare(sqlite3 *database, const char *sql, sqlite3_stmt **ret_statement,
                                   struct error *err) MUST_CHECK;

/** Step once and reset; for statements without rows. @param ret_changes may be NULL. */
enum status sqlite_session_run(sqlite3 *database, sqlite3_stmt *statement, int *ret_changes,
                               struct error *err) MUST_CHECK;

/** Roll back what is open; cannot fail. */
void sqlite_session_rollback(sqlite3 *database);

/** Bind borrowed text; NULL for data NULL. */
void sqlite_session_bind(sqlite3_stmt *statement, int index, struct slice text);

/** @return the column's bytes, zero-terminated and borrowed until the next step; data NULL for
 * NULL. */
struct slice sqlite_session_text(sqlite3_stmt *statement, int column);

#endif
