/* A MariaDB server of the test program's own: started once, on the socket of a folder and a random
 * port of loopback, with the server's default durability, stopped at the program's end. */
#ifndef TESTS_SUPPORT_MARIADB_H
#define TESTS_SUPPORT_MARIADB_H

#include "tests/support/test.h"

/** Start the server where it does not run yet.
 * @return the URL of a superuser, or NULL: mariadb_skip_reason() says why. */
const char *mariadb_server_url(void);

/** @return why there is no server; NULL where there is one. */
const char *mariadb_skip_reason(void);

/** Create an empty database, dropping one of that name and what was granted on its tables.
 * @return its URL as superuser. */
const char *mariadb_database(const char *name);

/** Run one or more statements, committed; the test fails at an error. @return the rows of all as
 * sqlite_text() writes them, values as MariaDB writes them; lives until the program ends. */
const char *mariadb_text(const char *url, const char *sql);

/** As mariadb_text() without rows. */
void mariadb_execute(const char *url, const char *sql);

/** End the sessions of all others in that database, and wait until they are gone. */
void mariadb_kill_backends(const char *url);

/** End the running statements of all others in that database. */
void mariadb_cancel_statements(const char *url);

/** Stop the server at once, as a crash does; start it again. */
void mariadb_stop(void);
void mariadb_start(void);

/** The same with two more options of the server, "--name=value". */
void mariadb_start_with(const char *const options[2]);

/** Make the server stand still; let it go on. */
void mariadb_pause(void);
void mariadb_continue(void);

/** @return the server's folder, owned by the user it runs as. */
const char *mariadb_directory(void);

/** @return the server's port on loopback. */
int mariadb_port(void);

#endif
