/* The roles that `keepstep init --print-sql` prints, and logins of the test's servers with these
 * roles only. */
#ifndef TESTS_SUPPORT_ROLES_H
#define TESTS_SUPPORT_ROLES_H

#include "tests/support/process.h"

#include <stdbool.h>

/** Run SQL in the database's own client (psql, mariadb, sqlite3) as the login of the URL. A
 * server's client ends at the first error. */
struct process_result roles_run(const char *url, const char *sql);

/** Run all that `keepstep init --print-sql` prints for a configuration. `url` is the
 * configuration's, an administrator's. psql and sqlite3 are not told to end at an error: the
 * printed statements do that. */
struct process_result roles_print_and_run(const char *config, const char *url);

/** @return whether the database of a server has an outbox. */
bool roles_has_outbox(const char *url);

/** Run what it prints: all of it, or only roles and grants if the outbox exists. Then all tables
 * that are granted must be there. */
void roles_grant(const char *config, const char *url);

/** @return an administrator's `url` with `user` in it. */
const char *roles_url(const char *url, const char *user);

/** Make sure that a login exists that has only this role; "" for none. A login keeps its first
 * role. @return its URL. */
const char *roles_login(const char *url, const char *user, const char *role);

#endif
