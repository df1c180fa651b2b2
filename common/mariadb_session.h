/* MariaDB sessions of both sides: opening by URL, and what its errors mean. */
#ifndef COMMON_MARIADB_SESSION_H
#define COMMON_MARIADB_SESSION_H

#include "common/server_session.h"
#include "common/slice.h"
#include "common/status.h"

#include <errmsg.h>
#include <mysql.h>
#include <mysqld_error.h>
#include <stdint.h>

/** Open a session whose settings do not depend on the server's defaults: utf8mb4 with a binary
 * collation, UTC, strict sql_mode, autocommit=0, READ COMMITTED, found rows, lock, statement and
 * idle timeouts, TCP keepalive, no automatic reconnect. Options in the URL's query are the client
 * library's own (TLS, option file with its group [keepstep], socket); a password may stand in the
 * option file, in MYSQL_PWD or in the URL. No password in `err`.
 * @return OK; RETRY (cannot be reached now, connection_lost set; a server without TLS or with
 * a certificate that is refused too: it is mended there, and the text says how); FATAL (not MariaDB
 * 10.11 or later, refused credentials, an unknown option, a file of the URL that cannot be read;
 * exit code 78). */
enum status mariadb_session_open(const struct server_session_options *options, MYSQL **ret_session,
                                 struct error *err) MUST_CHECK;

/** NULL is a no-op. */
void mariadb_session_close(MYSQL *session);

/** What an error number means: one table, tested. Duplicate and foreign keys are REJECT (waiting);
 * values that do not fit and what a row's triggers raise are REJECT (held); what passes by itself
 * is RETRY; the rest is FATAL. Deadlock and lock timeout void the whole transaction: RETRY.
 * @param sqlstate  of a class that the server never uses: the service's own, so REJECT (held)
 * unless the table has the number. A number above the server's is judged the same way. */
struct verdict mariadb_session_verdict(unsigned int number, const char *sqlstate);

/** Set `err` from the session's or the statement's last error; the text names `what`. */
enum status mariadb_session_error(MYSQL *session, const char *what, struct error *err);
enum status mariadb_session_statement_error(MYSQL_STMT *statement, const char *what,
                                            struct error *err);

/** Run one statement without parameters; rows are thrown away. */
enum status mariadb_session_execute(MYSQL *session, const char *sql, struct error *err) MUST_CHECK;

/** Roll back what is open; legal in any state, cannot fail. */
void mariadb_session_rollback(MYSQL *session);

#endif
