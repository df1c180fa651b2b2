/* Starts and stops a PostgreSQL server by its own initdb and pg_ctl. */
#include "tests/support/postgresql.h"

#include "common/buffer.h"
#include "common/postgresql_session.h"
#include "tests/support/process.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROWS_MAX ((size_t)64 * 1024 * 1024)
#define START_MS 30000

static const char *directory; /* the server's; short, as a socket's path has 107 characters */
static const char *programs;
static const char *reason;
static const char *server_url;
static int port;
static pid_t owner;
static pid_t watcher;
static int watched; /* the end of a pipe that closes when this process ends */

/* Run a command as the server's user: PostgreSQL refuses to run as root. */
static int run(const char *command)
{
    const char *line = test_format("cd / && ( %s ) >>%s/log 2>&1", command, directory);
    if (geteuid() == 0)
        line = test_format("setpriv --reuid=postgres --regid=postgres --clear-groups sh -c '%s'",
                           line);
    return system(line);
}

static bool find_programs(void)
{
    glob_t found;
    if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) == 0) {
        const char *last = found.gl_pathv[found.gl_pathc - 1];
        programs = test_format("%.*s", (int)(strrchr(last, '/') - last), last);
    }
    globfree(&found);
    return programs != NULL;
}

static void start(void)
{
    if (run(test_format("%s/pg_ctl -s -w -D %s/data -l %s/server.log start", programs, directory,
                        directory)) != 0)
        test_fail("PostgreSQL does not start: see %s/log and server.log", directory);
}

static bool stands_still(void *context)
{
    char state = '\0';
    FILE *file = fopen(context, "r");
    bool stopped = file != NULL && fscanf(file, "%*d %*s %c", &state) == 1 && state == 'T';
    if (file != NULL)
        (void)fclose(file);
    return stopped;
}

/* Signal all processes of the server. They are children of its first process, which starts no more
 * once it is stopped. Does nothing if the server does not run. */
static void signal_all(int signal_number)
{
    int first = 0;
    int child = 0;
    FILE *file = fopen(test_format("%s/data/postmaster.pid", directory), "r");
    if (file == NULL || fscanf(file, "%d", &first) != 1 || kill(first, signal_number) != 0)
        first = 0;
    if (file != NULL)
        (void)fclose(file);
    if (first == 0)
        return;
    if (signal_number == SIGSTOP &&
        !test_wait(stands_still, (char *)(uintptr_t)test_format("/proc/%d/stat", first), START_MS))
        test_fail("PostgreSQL does not pause");
    file = fopen(test_format("/proc/%d/task/%d/children", first, first), "r");
    if (file == NULL)
        test_fail("no list of PostgreSQL's processes");
    while (fscanf(file, "%d", &child) == 1)
        (void)kill(child, signal_number);
    (void)fclose(file);
}

/* Another process ends the server, even if the test crashes or takes too long: then its end of the
 * pipe closes. */
static void watch(const int ends[2])
{
    char nothing;
    (void)close(ends[1]);
    (void)setsid();
    (void)signal(SIGALRM, SIG_IGN);
    while (read(ends[0], &nothing, 1) < 0 && errno == EINTR)
        continue;
    signal_all(SIGCONT);
    (void)run(test_format("%s/pg_ctl -s -m immediate -D %s/data stop", programs, directory));
    (void)run(test_format("rm -rf %s", directory));
    _exit(0);
}

static void start_watch(void)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0 || (watcher = fork()) < 0)
        test_fail("no process to watch over the server");
    if (watcher == 0)
        watch(ends);
    (void)close(ends[0]);
    watched = ends[1];
}

static void end_server(void)
{
    if (getpid() != owner)
        return;
    (void)close(watched);
    (void)waitpid(watcher, NULL, 0);
}

static void give_to_server_user(void)
{
    struct passwd *user = geteuid() == 0 ? getpwnam("postgres") : NULL;
    if (user != NULL && chown(directory, user->pw_uid, user->pw_gid) != 0)
        test_fail("chown %s", directory);
}

static void create_server(void)
{
    unsigned int left = alarm(0); /* it is not the test's time */
    char path[] = "/tmp/keepstep-postgresql-XXXXXX";
    if (mkdtemp(path) == NULL)
        test_fail("mkdtemp %s", path);
    directory = test_format("%s", path);
    owner = getpid();
    (void)atexit(end_server);
    give_to_server_user();
    start_watch();
    port = process_free_port();
    if (run(test_format("%s/initdb -N -D %s/data -U postgres -A trust -E UTF8 --locale=C.UTF-8",
                        programs, directory)) != 0)
        test_fail("initdb failed: see %s/log", directory);
    if (run(test_format("printf \"listen_addresses = localhost\\nport = %d\\n"
                        "unix_socket_directories = \\047%s\\047\\nmax_connections = 50\\n"
                        "wal_level = logical\\n\" "
                        ">>%s/data/postgresql.conf",
                        port, directory, directory)) != 0)
        test_fail("configure PostgreSQL");
    start();
    server_url = test_format("postgresql://postgres@localhost:%d/postgres", port);
    (void)alarm(left);
}

const char *postgresql_skip_reason(void)
{
    if (reason == NULL && server_url == NULL) {
        if (!find_programs())
            reason = "PostgreSQL's server is not installed (apt install postgresql)";
        else if (geteuid() == 0 && getpwnam("postgres") == NULL)
            reason = "there is no user postgres to run the server as";
        else
            create_server();
    }
    return reason;
}

const char *postgresql_server_url(void)
{
    return postgresql_skip_reason() == NULL ? server_url : NULL;
}

const char *postgresql_directory(void)
{
    return directory;
}

const char *postgresql_database(const char *name)
{
    const char *server = postgresql_server_url();
    if (server == NULL)
        test_skip("%s", reason);
    postgresql_execute(server, test_format("DROP DATABASE IF EXISTS \"%s\" WITH (FORCE)", name));
    postgresql_execute(server, test_format("CREATE DATABASE \"%s\" TEMPLATE template0", name));
    return test_format("postgresql://postgres@localhost:%d/%s", port, name);
}

/* Run statements. @return the rows of the last one; NULL on an error, and the test then fails. */
static const char *execute(const char *url, const char *sql)
{
    struct buffer rows;
    PGconn *connection = PQconnectdb(url);
    if (PQstatus(connection) != CONNECTION_OK)
        test_fail("%s", PQerrorMessage(connection));
    PGresult *result = PQexec(connection, "SET TimeZone = 'UTC'; SET extra_float_digits = 1;"
                                          "SET client_min_messages = error");
    PQclear(result);
    result = PQexec(connection, sql);
    ExecStatusType kind = PQresultStatus(result);
    if (kind != PGRES_COMMAND_OK && kind != PGRES_TUPLES_OK && kind != PGRES_EMPTY_QUERY) {
        const char *text = test_format("%s", PQerrorMessage(connection));
        PQclear(result);
        PQfinish(connection);
        test_fail("%s\n%s", text, sql);
    }
    buffer_init(&rows, ROWS_MAX);
    for (int row = 0; row < PQntuples(result); row++) {
        for (int column = 0; column < PQnfields(result); column++) {
            struct slice text = postgresql_session_text(result, row, column);
            buffer_append_text(&rows, column == 0 ? "" : "|");
            if (text.data == NULL)
                text = slice_of("NULL");
            buffer_append(&rows, text.data, text.length);
        }
        buffer_append_text(&rows, "\n");
    }
    PQclear(result);
    PQfinish(connection);
    const char *kept = test_format("%s", buffer_text(&rows));
    buffer_done(&rows);
    return kept;
}

const char *postgresql_text(const char *url, const char *sql)
{
    return execute(url, sql);
}

void postgresql_execute(const char *url, const char *sql)
{
    (void)execute(url, sql);
}

void postgresql_kill_backends(const char *url)
{
    (void)execute(url, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                       "WHERE datname = current_database() AND pid <> pg_backend_pid()");
}

void postgresql_stop(void)
{
    if (run(test_format("%s/pg_ctl -s -w -m immediate -D %s/data stop", programs, directory)) != 0)
        test_fail("PostgreSQL does not stop: see %s/log", directory);
}

void postgresql_start(void)
{
    start();
}

void postgresql_stand_by(void)
{
    postgresql_stop();
    if (run(test_format("touch %s/data/standby.signal", directory)) != 0)
        test_fail("no standby: see %s/log", directory);
    start();
}

void postgresql_promote(const char *url)
{
    postgresql_execute(url, "SELECT pg_promote()");
}

void postgresql_cancel_statements(const char *url)
{
    postgresql_execute(url, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = "
                            "current_database() AND pid <> pg_backend_pid() AND state = 'active'");
}

void postgresql_pause(void)
{
    signal_all(SIGSTOP);
}

void postgresql_continue(void)
{
    signal_all(SIGCONT);
}
