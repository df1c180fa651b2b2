/* Does what an administrator does with the printed SQL: runs it, and makes logins for its roles. */
#include "tests/support/roles.h"

#include "tests/support/database.h"
#include "tests/support/mariadb.h"

#include <string.h>

static bool roles_of_postgresql(const char *url)
{
    return strncmp(url, "postgresql:", strlen("postgresql:")) == 0;
}

/* Run one line of SQL, or the file of a path. */
static struct process_result roles_client(const char *url, const char *sql, const char *file)
{
    if (roles_of_postgresql(url))
        return PROCESS_RUN("psql", "-X", "-q", "-At", "-d", url, file != NULL ? "-f" : "-c",
                           file != NULL ? file : sql);
    if (strncmp(url, "sqlite:", strlen("sqlite:")) == 0)
        return PROCESS_RUN("sqlite3", url + strlen("sqlite:"),
                           file != NULL ? test_format(".read %s", file) : sql);
    const char *user = strstr(url, "://") + 3;
    return PROCESS_RUN("mariadb", "--no-defaults", "--protocol=tcp", "--host=localhost",
                       "--default-character-set=utf8mb4", "--batch", "--skip-column-names",
                       "--abort-source-on-error", test_format("--port=%d", mariadb_port()),
                       test_format("--user=%.*s", (int)strcspn(user, "@"), user), "--execute",
                       file != NULL ? test_format("source %s", file) : sql, strrchr(url, '/') + 1);
}

struct process_result roles_run(const char *url, const char *sql)
{
    return roles_client(url, sql, NULL);
}

/* @param what  "--print-sql" or "--print-roles". */
static const char *roles_print(const char *config, const char *what)
{
    struct process_result printed = PROCESS_RUN(KEEPSTEP_BINARY, "init", what, "-c", config);
    if (printed.exit_code != 0)
        test_fail("keepstep init %s ended with %d: %s", what, printed.exit_code, printed.errors);
    return printed.output;
}

struct process_result roles_print_and_run(const char *config, const char *url)
{
    const char *file = test_format("%s.sql", config);
    test_write_file(file, roles_print(config, "--print-sql"));
    return roles_client(url, NULL, file);
}

bool roles_has_outbox(const char *url)
{
    const char *outbox = database_text(url, roles_of_postgresql(url)
                                                ? "SELECT 1 WHERE to_regclass('outbox') IS NOT NULL"
                                                : "SHOW TABLES LIKE 'outbox'");
    return outbox[0] != '\0';
}

/* With an existing outbox all but the roles is left to `init`, which some tests are about. */
void roles_grant(const char *config, const char *url)
{
    const char *file = test_format("%s.sql", config);
    test_write_file(file,
                    roles_print(config, roles_has_outbox(url) ? "--print-roles" : "--print-sql"));
    struct process_result run = roles_client(url, NULL, file);
    if (run.exit_code != 0)
        test_fail("what init prints, in %s: %s", file, run.errors);
}

const char *roles_url(const char *url, const char *user)
{
    return test_format("%.*s%s%s", (int)(strstr(url, "://") + 3 - url), url, user,
                       strchr(url, '@'));
}

const char *roles_login(const char *url, const char *user, const char *role)
{
    if (roles_of_postgresql(url)) {
        (void)database_text(url, test_format("DO $$ BEGIN CREATE ROLE %s LOGIN; "
                                             "EXCEPTION WHEN duplicate_object THEN NULL; END $$",
                                             user));
        if (role[0] != '\0')
            (void)database_text(url, test_format("GRANT %s TO %s", role, user));
    } else {
        (void)database_text(url, test_format("CREATE USER IF NOT EXISTS %s@localhost", user));
        if (role[0] != '\0')
            (void)database_text(url, test_format("GRANT %s TO %s@localhost; "
                                                 "SET DEFAULT ROLE %s FOR %s@localhost",
                                                 role, user, role, user));
    }
    return roles_url(url, user);
}
