/* A MariaDB server of the test program. It is started once, with the server's default durability.
 * It listens on a socket in a folder and on a random port of loopback, and ends with the
 * program. */
#ifndef TESTS_SUPPORT_MARIADB_H
#define TESTS_SUPPORT_MARIADB_H

#include "tests/support/test.h"

/** Start the server if it does not run yet. @return the URL of a superuser; NULL if there is no
 * server, and mariadb_skip_reason() says why. */
const char *mariadb_server_url(void);

/** @return why there is no server, NULL if there is one. */
const char *mariadb_skip_reason(void);

/** Create an empty database. One of that name is dropped, with the grants on its tables. @return
 * its URL as superuser. */
const char *mariadb_database(const char *name);

/** Run one or more statements and commit; the test fails at an error. @return the rows of all,
 * formatted as sqlite_text() does, with values as MariaDB writes them. Valid until the program
 * ends. */
const char *mariadb_text(const char *url, const char *sql);

/** As mariadb_text() without rows. */
void mariadb_execute(const char *url, const char *sql);

/** End all other sessions in that database, and wait until they are gone. */
void mariadb_kill_backends(const char *url);

/** End the running statements of all other sessions in that database. */
void mariadb_cancel_statements(const char *url);

/** Stop the server at once, like a crash; start it again. */
void mariadb_stop(void);
void mariadb_start(void);

/** Start it again with two more options, "--name=value". */
void mariadb_start_with(const char *const options[2]);

/** Freeze the server; let it go on. */
void mariadb_pause(void);
void mariadb_continue(void);

/** @return the server's folder, which belongs to the user that the server runs as. */
const char *mariadb_directory(void);

/** @return the server's port on loopback. */
int mariadb_port(void);

#endif
