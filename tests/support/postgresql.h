/* A PostgreSQL server of the test program's own: started once, on the socket of a folder and a
 * random port of loopback, with the server's default durability, stopped at the program's end. */
#ifndef TESTS_SUPPORT_POSTGRESQL_H
#define TESTS_SUPPORT_POSTGRESQL_H

#include "tests/support/test.h"

/** Start the server where it does not run yet.
 * @return the URL of a superuser, or NULL: postgresql_skip_reason() says why. */
const char *postgresql_server_url(void);

/** @return why there is no server; NULL where there is one. */
const char *postgresql_skip_reason(void);

/** Create an empty database, dropping one of that name. @return its URL as superuser. */
const char *postgresql_database(const char *name);

/** Run one statement; the test fails at an error. @return its rows as sqlite_text() writes them,
 * values as PostgreSQL writes them; lives until the program ends. */
const char *postgresql_text(const char *url, const char *sql);

/** Run one or more statements; the test fails at an error. */
void postgresql_execute(const char *url, const char *sql);

/** End the sessions of all others in that database. */
void postgresql_kill_backends(const char *url);

/** Stop the server at once, as a crash does; start it again. */
void postgresql_stop(void);
void postgresql_start(void);

/** Make all processes of the server stand still; let them go on. */
void postgresql_pause(void);
void postgresql_continue(void);

/** Start the server again as a standby that nobody feeds; promote it. */
void postgresql_stand_by(void);
void postgresql_promote(const char *url);

/** End the running statements of all others in that database. */
void postgresql_cancel_statements(const char *url);

/** @return the server's folder, owned by the user it runs as. */
const char *postgresql_directory(void);

#endif
