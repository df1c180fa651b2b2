/* PostgreSQL sessions of both sides: opening, transactions outside pipelines, errors. */
#ifndef COMMON_POSTGRESQL_SESSION_H
#define COMMON_POSTGRESQL_SESSION_H

#include "common/server_session.h"
#include "common/slice.h"
#include "common/status.h"

#include <libpq-fe.h>
#include <stdint.h>

/* SQLSTATEs that callers compare with. */
#define SQLSTATE_UNDEFINED_TABLE        "42P01"
#define SQLSTATE_UNDEFINED_COLUMN       "42703"
#define SQLSTATE_INSUFFICIENT_PRIVILEGE "42501"
#define SQLSTATE_DIVISION_BY_ZERO       "22012"
#define SQLSTATE_LOCK_NOT_AVAILABLE     "55P03"
#define SQLSTATE_DEADLOCK_DETECTED      "40P01"
#define SQLSTATE_FEATURE_NOT_SUPPORTED  "0A000"

/** Open a session whose settings do not depend on the defaults of the role or the database: UTF8,
 * UTC, ISO dates, extra_float_digits, standard strings, READ COMMITTED, timeouts for locks,
 * statements and idle sessions, TCP keepalive (rule 19). search_path stays as the role has it.
 * `err` never holds a password.
 * @return OK; RETRY with connection_lost (the server cannot be reached now; also a server without
 * TLS or with a refused certificate, because that is repaired there; the text says how); FATAL with
 * exit code 78 (not PostgreSQL 15 or later, refused credentials or options, our certificate files
 * cannot be read). */
enum status postgresql_session_open(const struct server_session_options *options,
                                    PGconn **ret_connection, struct error *err) MUST_CHECK;

/** NULL is a no-op. */
void postgresql_session_close(PGconn *connection);

/** As PQgetResult(), but cut the session if the server takes longer to answer than a statement may
 * take. A lasting session waits for ever. */
PGresult *postgresql_session_result(PGconn *connection);

/** @return the last result, as PQexec() returns it; NULL where `sent`, the result of PQsend…(), is
 * not 1. */
PGresult *postgresql_session_last_result(PGconn *connection, int sent);

/** @return the number that an error's native_code holds for a SQLSTATE. */
int postgresql_sqlstate_code(const char *sqlstate);

/** @return what a SQLSTATE means. Unique and foreign keys are REJECT (waiting). Errors of a row's
 * data, constraints and triggers are REJECT (held); so are the service's own SQLSTATEs. What passes
 * by itself is RETRY. The rest is FATAL.
 * @param raised  a function's RAISE chose the SQLSTATE: FATAL becomes REJECT, except in classes 57
 * and XX; so does 42501, a lack of rights. */
struct verdict postgresql_session_verdict(const char *sqlstate, bool raised);

/** Set `err` from a failed result, or from the connection where `result` is NULL. The text names
 * `what` and the SQLSTATE. */
enum status postgresql_session_error(PGconn *connection, const PGresult *result, const char *what,
                                     struct error *err);

/** Run statements without parameters, and drop their rows. */
enum status postgresql_session_execute(PGconn *connection, const char *sql,
                                       struct error *err) MUST_CHECK;

/** Run one statement with text parameters ($1…). A parameter whose data is NULL is NULL.
 * @param ret_result  the caller frees it with PQclear(); may be NULL. */
enum status postgresql_session_query(PGconn *connection, const char *sql,
                                     struct slice_list parameters, PGresult **ret_result,
                                     struct error *err) MUST_CHECK;

/** Roll back the open transaction. Allowed in any state; cannot fail. */
void postgresql_session_rollback(PGconn *connection);

/** @return the field, borrowed from the result; data NULL for NULL. */
struct slice postgresql_session_text(const PGresult *result, int row, int column);
int64_t postgresql_session_integer(const PGresult *result, int row, int column);

#endif
