/* MariaDB sessions of both sides: opening by URL, and what MariaDB's errors mean. */
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
 * collation, UTC, strict sql_mode, autocommit=0, READ COMMITTED, found rows, timeouts for locks,
 * statements and idle sessions, TCP keepalive, no automatic reconnect. The options in the URL's
 * query are the client library's: TLS, socket, and an option file with its group [keepstep]. A
 * password may be in the option file, in MYSQL_PWD or in the URL. `err` never holds a password.
 * @return OK; RETRY with connection_lost (the server cannot be reached now; also a server without
 * TLS or with a refused certificate, because that is repaired there; the text says how); FATAL with
 * exit code 78 (not MariaDB 10.11 or later, refused credentials, an unknown option, a file of the
 * URL that cannot be read). */
enum status mariadb_session_open(const struct server_session_options *options, MYSQL **ret_session,
                                 struct error *err) MUST_CHECK;

/** NULL is a no-op. */
void mariadb_session_close(MYSQL *session);

/** @return what an error number means. Duplicate and foreign keys are REJECT (waiting). Values that
 * do not fit, and errors that a row's triggers raise, are REJECT (held). What passes by itself is
 * RETRY; so are a deadlock and a lock timeout, which end the whole transaction. The rest is FATAL.
 * @param sqlstate  where the server never uses its class, the service chose it: REJECT (held),
 * unless the table lists the number. A number above the server's is treated in the same way. */
struct verdict mariadb_session_verdict(unsigned int number, const char *sqlstate);

/** Set `err` from the last error of the session or the statement; the text names `what`. */
enum status mariadb_session_error(MYSQL *session, const char *what, struct error *err);
enum status mariadb_session_statement_error(MYSQL_STMT *statement, const char *what,
                                            struct error *err);

/** @return whether this error number says that the login lacks a right. Such an error is RETRY,
 * because the right may be given while a sidecar waits; a command ends with it, and with exit
 * code 78. */
bool mariadb_session_lacks_right(unsigned int number);

/** Run one statement without parameters, and drop its rows. */
enum status mariadb_session_execute(MYSQL *session, const char *sql, struct error *err) MUST_CHECK;

/** Roll back the open transaction. Allowed in any state. Where the server does not do it the
 * connection is cut: then the server ends the transaction, and the next call fails. */
void mariadb_session_rollback(MYSQL *session);

#endif
