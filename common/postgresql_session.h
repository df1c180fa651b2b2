/* PostgreSQL sessions of both sides: opening, transactions outside pipelines, and what its errors
 * mean. */
#ifndef COMMON_POSTGRESQL_SESSION_H
#define COMMON_POSTGRESQL_SESSION_H

#include "common/server_session.h"
#include "common/slice.h"
#include "common/status.h"

#include <libpq-fe.h>
#include <stdint.h>

/* SQLSTATEs that somebody asks for. */
#define SQLSTATE_UNDEFINED_TABLE        "42P01"
#define SQLSTATE_INSUFFICIENT_PRIVILEGE "42501"
#define SQLSTATE_DIVISION_BY_ZERO       "22012"

/** Open a session whose settings do not depend on the role's or the database's defaults: UTF8, UTC,
 * ISO dates, extra_float_digits, standard strings, READ COMMITTED, search_path as the role has it,
 * lock, statement and idle timeouts, TCP keepalive (rule 19). No password in `err`.
 * @return OK; RETRY (cannot be reached now, connection_lost set; a server without TLS or with
 * a certificate that is refused too: it is mended there, and the text says how); FATAL (not
 * PostgreSQL 15 or later, refused credentials or options, certificate files of ours that cannot be
 * read, with exit code 78). */
enum status postgresql_session_open(const struct server_session_options *options,
                                    PGconn **ret_connection, struct error *err) MUST_CHECK;

/** NULL is a no-op. */
void postgresql_session_close(PGconn *connection);

/** PQgetResult() that cuts the session where the server does not answer for longer than a statement
 * may take. A lasting session waits for ever. */
PGresult *postgresql_session_result(PGconn *connection);

/** @return the last result, as PQexec() returns it; NULL where `sent`, the result of PQsend…(), is
 * not 1. */
PGresult *postgresql_session_last_result(PGconn *connection, int sent);

/** @return the number by which an error's native_code holds a SQLSTATE. */
int postgresql_sqlstate_code(const char *sqlstate);

/** What a SQLSTATE means: one table, tested. Unique and foreign keys are REJECT (waiting); what a
 * row's data, constraints and triggers say is REJECT (held), and so are the service's own
 * SQLSTATEs; what passes by itself is RETRY; the rest is FATAL.
 * @param raised  a function's RAISE has chosen it: FATAL becomes REJECT, but for classes 57 and XX.
 */
struct verdict postgresql_session_verdict(const char *sqlstate, bool raised);

/** Set `err` from a failed result, or from the connection where `result` is NULL; the text names
 * `what` and holds the SQLSTATE. */
enum status postgresql_session_error(PGconn *connection, const PGresult *result, const char *what,
                                     struct error *err);

/** Run statements without parameters and without rows that matter. */
enum status postgresql_session_execute(PGconn *connection, const char *sql,
                                       struct error *err) MUST_CHECK;

/** Run one statement with text parameters ($1…); a parameter whose data is NULL is NULL.
 * @param ret_result  the caller frees with PQclear(); NULL: not wanted. */
enum status postgresql_session_query(PGconn *connection, const char *sql,
                                     struct slice_list parameters, PGresult **ret_result,
                                     struct error *err) MUST_CHECK;

/** Roll back what is open; legal in any state, cannot fail. */
void postgresql_session_rollback(PGconn *connection);

/** @return the field, borrowed from the result; data NULL for NULL. */
struct slice postgresql_session_text(const PGresult *result, int row, int column);
int64_t postgresql_session_integer(const PGresult *result, int row, int column);

#endif
