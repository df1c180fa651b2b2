/* PostgreSQL sessions of both sides: opening, transactions outside pipelines, and what its errors
 * mean. */
#ifndef COMMON_POSTGRESQL_SESSION_H
#define COMMON_POSTGRESQL_SESSION_H

#include "common/slice.h"
#include "common/status.h"

#include <libpq-fe.h>
#include <stdint.h>

struct postgresql_session_options {
    const char *url;         /* postgresql://…, passed to libpq: its options, service files and
                                ~/.pgpass hold */
    const char *application; /* application_name, "keepstep agent" */
    bool wait_for_disk;      /* false: synchronous_commit=off (rule 7) */
    bool read_only;
    bool lasting; /* statements may take as long as they take: their limit is lifted */
};

/** Open a session that no setting of the role or the database can bend: UTF8, UTC, ISO dates,
 * extra_float_digits, standard strings, READ COMMITTED, search_path as the role has it, lock,
 * statement and idle timeouts, TCP keepalive (rule 19). No password in `err`.
 * @return OK; RETRY (cannot be reached now, connection_lost set; a server without TLS or with
 * a certificate that is refused too: it is mended there, and the text says how); FATAL (not
 * PostgreSQL 15 or later, refused credentials or options, certificate files of ours that cannot be
 * read, with exit code 78). */
enum status postgresql_session_open(const struct postgresql_session_options *options,
                                    PGconn **ret_connection, struct error *err) MUST_CHECK;

/** NULL is a no-op. */
void postgresql_session_close(PGconn *connection);

/** PQgetResult() that cuts the session where the server leaves a statement without an answer for
 * longer than a statement may take; without end where the session is a lasting one. */
PGresult *postgresql_session_result(PGconn *connection);

/** The last result of what was `sent` (1: it was), as PQexec() gives it; NULL where it was not. */
PGresult *postgresql_session_last_result(PGconn *connection, int sent);

/** The status of a SQLSTATE: one table, tested. "23505" and "23503" are REJECT (waiting), what a
 * row's data, constraints and triggers say REJECT (held), a service's own SQLSTATEs too; what
 * passes by itself RETRY, the rest FATAL.
 * @param raised      by a function's RAISE: then what else were FATAL is REJECT, unless it is of
 * class 57 or XX.
 * @param ret_reject  set where it is REJECT.
 * @param ret_lost    set where the session is gone. */
enum status postgresql_session_classify(const char *sqlstate, bool raised,
                                        enum reject_kind *ret_reject, bool *ret_lost);

/** Set `err` from a failed result, or from the connection where `result` is NULL; the text names
 * `what` and holds the SQLSTATE, native_code the five characters in base 36. */
enum status postgresql_session_error(PGconn *connection, const PGresult *result, const char *what,
                                     struct error *err);

/** Run statements without parameters and without rows that matter. */
enum status postgresql_session_execute(PGconn *connection, const char *sql,
                                       struct error *err) MUST_CHECK;

/** Run one statement with text parameters ($1…); a parameter whose data is NULL is NULL.
 * @param ret_result  the caller frees with PQclear(); NULL: not wanted. */
enum status postgresql_session_query(PGconn *connection, const char *sql,
                                     const struct slice *parameters, size_t count,
                                     PGresult **ret_result, struct error *err) MUST_CHECK;

/** Roll back what is open; legal in any state, cannot fail. */
void postgresql_session_rollback(PGconn *connection);

/** @return the field, borrowed from the result; data NULL for NULL. */
struct slice postgresql_session_text(const PGresult *result, int row, int column);
int64_t postgresql_session_integer(const PGresult *result, int row, int column);

#endif
