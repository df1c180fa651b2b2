/* A PostgreSQL server of the test program. It is started once, with the server's default
 * durability. It listens on a socket in a folder and on a random port of loopback, and ends with
 * the program. */
#ifndef TESTS_SUPPORT_POSTGRESQL_H
#define TESTS_SUPPORT_POSTGRESQL_H

#include "tests/support/test.h"

/** Start the server if it does not run yet. @return the URL of a superuser; NULL if there is no
 * server, and postgresql_skip_reason() says why. */
const char *postgresql_server_url(void);

/** @return why there is no server, NULL if there is one. */
const char *postgresql_skip_reason(void);

/** Create an empty database. One of that name is dropped. @return its URL as superuser. */
const char *postgresql_database(const char *name);

/** Run one statement; the test fails at an error. @return its rows, formatted as sqlite_text()
 * does, with values as PostgreSQL writes them. Valid until the program ends. */
const char *postgresql_text(const char *url, const char *sql);

/** Run one or more statements; the test fails at an error. */
void postgresql_execute(const char *url, const char *sql);

/** End all other sessions in that database. */
void postgresql_kill_backends(const char *url);

/** Stop the server at once, like a crash; start it again. */
void postgresql_stop(void);
void postgresql_start(void);

/** Freeze all processes of the server; let them go on. */
void postgresql_pause(void);
void postgresql_continue(void);

/** Start the server again as a standby without a primary; promote it. */
void postgresql_stand_by(void);
void postgresql_promote(const char *url);

/** End the running statements of all other sessions in that database. */
void postgresql_cancel_statements(const char *url);

/** @return the server's folder, which belongs to the user that the server runs as. */
const char *postgresql_directory(void);

#endif
