/* Chooses the SQL helpers of a database by its URL. */
#include "tests/support/database.h"

#include "tests/support/mariadb.h"
#include "tests/support/postgresql.h"
#include "tests/support/process.h"
#include "tests/support/sql.h"

#include <string.h>

#define SQLITE_SCHEME "sqlite:"

const char *database_make(enum database_kind kind, const char *name)
{
    if (kind == DATABASE_POSTGRESQL) {
        if (postgresql_server_url() == NULL)
            test_skip("%s", postgresql_skip_reason());
        return postgresql_database(name);
    }
    if (kind == DATABASE_MARIADB) {
        if (mariadb_server_url() == NULL)
            test_skip("%s", mariadb_skip_reason());
        return mariadb_database(name);
    }
    const char *path = test_path("%s.db", name);
    (void)sqlite_text(path, "PRAGMA journal_mode = WAL");
    return test_format(SQLITE_SCHEME "%s", path);
}

const char *database_text(const char *url, const char *sql)
{
    if (strncmp(url, "postgresql:", strlen("postgresql:")) == 0)
        return postgresql_text(url, sql);
    if (strncmp(url, "mysql:", strlen("mysql:")) == 0)
        return mariadb_text(url, sql);
    return sqlite_text(url + strlen(SQLITE_SCHEME), sql);
}

void database_pause(enum database_kind kind)
{
    if (kind == DATABASE_POSTGRESQL)
        postgresql_pause();
    else
        mariadb_pause();
}

void database_continue(enum database_kind kind)
{
    if (kind == DATABASE_POSTGRESQL)
        postgresql_continue();
    else
        mariadb_continue();
}

void database_stop(enum database_kind kind)
{
    if (kind == DATABASE_POSTGRESQL)
        postgresql_stop();
    else
        mariadb_stop();
}

void database_start(enum database_kind kind)
{
    if (kind == DATABASE_POSTGRESQL)
        postgresql_start();
    else
        mariadb_start();
}

struct database_wait {
    const char *url;
    const char *sql;
    const char *expected;
};

static bool database_is(void *context)
{
    const struct database_wait *wait = context;
    return strcmp(database_text(wait->url, wait->sql), wait->expected) == 0;
}

bool database_wait_for(const char *url, const char *sql, const char *expected, int64_t limit_ms)
{
    struct database_wait wait = {.url = url, .sql = sql, .expected = expected};
    return test_wait(database_is, &wait, limit_ms);
}

static const char *name_of(const char *url)
{
    return strrchr(url, '/') + 1;
}

static const char *mariadb_program(const char *program, const char *url)
{
    const char *port = strrchr(url, ':') + 1;
    return test_format("%s --no-defaults --protocol=tcp --host=localhost --user=root --port=%.*s "
                       "--default-character-set=utf8mb4",
                       program, (int)strcspn(port, "/"), port);
}

void database_copy(enum database_kind kind, const char *from, const char *to)
{
    const char *const scripts[] = {
        [DATABASE_SQLITE] = test_format("rm -f '%s'; sqlite3 '%s' \".timeout 20000\" \".backup "
                                        "'%s'\"",
                                        to + strlen("sqlite:"), from + strlen("sqlite:"),
                                        to + strlen("sqlite:")),
        [DATABASE_POSTGRESQL] = test_format("pg_dump -d '%s' | psql -X -q -v ON_ERROR_STOP=1 "
                                            "-d '%s' > /dev/null",
                                            from, to),
        [DATABASE_MARIADB] = test_format("%s --single-transaction --routines %s | %s %s",
                                         mariadb_program("mariadb-dump", from), name_of(from),
                                         mariadb_program("mariadb", to), name_of(to))};
    struct process_result result = PROCESS_RUN("sh", "-c", scripts[kind]);
    if (result.exit_code != 0 || strstr(result.errors, "rror") != NULL)
        test_fail("%s: %d: %s", scripts[kind], result.exit_code, result.errors);
}
