/* The roles that `keepstep init --print-sql` prints, and logins of the test's servers that hold
 * nothing else. */
#ifndef TESTS_SUPPORT_ROLES_H
#define TESTS_SUPPORT_ROLES_H

#include "tests/support/process.h"

/** Run SQL by the database's own client (psql, mariadb, sqlite3) as the login of the URL; that of a
 * server ends at the first error. */
struct process_result roles_run(const char *url, const char *sql);

/** Run all that `keepstep init --print-sql` prints for a configuration, whose URL, the same, is an
 * administrator's. Neither psql nor sqlite3 is told to end at an error, the printed statements do
 * it. */
struct process_result roles_print_and_run(const char *config, const char *url);

/** Run what it prints: all of it, or where the outbox is there already the roles and grants. */
void roles_grant(const char *config, const char *url);

/** @return the URL of `user` on the database of an administrator's `url`. */
const char *roles_url(const char *url, const char *user);

/** Let a login be there that has this role alone; "" for none. A login's role stays what it was
 * first. @return its URL. */
const char *roles_login(const char *url, const char *user, const char *role);

#endif
