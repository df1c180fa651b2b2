/* Starts and stops a MariaDB server, installed by its own program. */
#include "tests/support/mariadb.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "tests/support/process.h"

#include <mysql.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROWS_MAX  ((size_t)64 * 1024 * 1024)
#define START_MS  30000
#define PROGRAM   "/usr/sbin/mariadbd"
#define INSTALL   "/usr/bin/mariadb-install-db"
#define USER_NAME "mysql"

static const char *directory; /* the server's; short, as a socket's path has 107 characters */
static const char *reason;
static const char *server_url;
static int port;
static pid_t server;
static pid_t owner;

static const char *user_option(void)
{
    return geteuid() == 0 ? "--user=" USER_NAME : "--skip-symbolic-links";
}

static MYSQL *try_connect(const char *database)
{
    MYSQL *session = mysql_init(NULL);
    const char *path = test_format("%s/socket", directory);
    if (session != NULL && mysql_real_connect(session, NULL, "root", NULL, database, 0, path,
                                              CLIENT_MULTI_STATEMENTS) == NULL) {
        mysql_close(session);
        session = NULL;
    }
    return session;
}

static bool answers(void *context)
{
    (void)context;
    MYSQL *session = try_connect(NULL);
    if (session != NULL)
        mysql_close(session);
    return session != NULL;
}

static void start(const char *const options[])
{
    const char *log = test_format("%s/server.log", directory);
    const char *const argv[] = {PROGRAM,
                                "--no-defaults",
                                user_option(),
                                test_format("--datadir=%s/data", directory),
                                test_format("--socket=%s/socket", directory),
                                test_format("--pid-file=%s/pid", directory),
                                test_format("--port=%d", port),
                                "--bind-address=127.0.0.1",
                                test_format("--tmpdir=%s", directory),
                                test_format("--innodb-log-file-size=%d", 64 * 1024 * 1024),
                                options == NULL ? NULL : options[0],
                                options == NULL ? NULL : options[1],
                                NULL};
    pid_t parent = getpid();
    server = fork();
    if (server < 0)
        test_fail("fork");
    if (server == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || freopen(log, "a", stdout) == NULL ||
            freopen(log, "a", stderr) == NULL)
            _exit(127);
        (void)execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    if (!test_wait(answers, NULL, START_MS))
        test_fail("MariaDB does not start: see %s", log);
}

static void end_server(void)
{
    if (getpid() != owner)
        return;
    if (server > 0) {
        (void)kill(server, SIGKILL);
        (void)waitpid(server, NULL, 0);
    }
    (void)!system(test_format("rm -rf %s", directory));
}

static void create_server(void)
{
    unsigned int left = alarm(0); /* it is not the test's time */
    char path[] = "/tmp/keepstep-mariadb-XXXXXX";
    if (mkdtemp(path) == NULL)
        test_fail("mkdtemp %s", path);
    directory = test_format("%s", path);
    owner = getpid();
    (void)atexit(end_server);
    struct passwd *user = geteuid() == 0 ? getpwnam(USER_NAME) : NULL;
    if (user != NULL && chown(directory, user->pw_uid, user->pw_gid) != 0)
        test_fail("chown %s", directory);
    port = process_free_port();
    /* A starting server deletes the temporary tables of all servers that use the same TMPDIR. */
    if (system(test_format("TMPDIR=%s " INSTALL " --no-defaults %s --datadir=%s/data "
                           "--auth-root-authentication-method=normal --skip-test-db "
                           ">%s/install.log 2>&1",
                           directory, user_option(), directory, directory)) != 0)
        test_fail("mariadb-install-db failed: see %s/install.log", directory);
    start(NULL);
    server_url = test_format("mysql://root@localhost:%d/mysql", port);
    (void)alarm(left);
}

const char *mariadb_skip_reason(void)
{
    if (reason == NULL && server_url == NULL) {
        if (access(PROGRAM, X_OK) != 0 || access(INSTALL, X_OK) != 0)
            reason = "MariaDB's server is not installed (apt install mariadb-server)";
        else if (geteuid() == 0 && getpwnam(USER_NAME) == NULL)
            reason = "there is no user " USER_NAME " to run the server as";
        else
            create_server();
    }
    return reason;
}

const char *mariadb_server_url(void)
{
    return mariadb_skip_reason() == NULL ? server_url : NULL;
}

const char *mariadb_directory(void)
{
    return directory;
}

int mariadb_port(void)
{
    return port;
}

const char *mariadb_database(const char *name)
{
    const char *url = mariadb_server_url();
    if (url == NULL)
        test_skip("%s", reason);
    /* Dropping a database does not drop the grants on it. */
    mariadb_execute(url, test_format("DROP DATABASE IF EXISTS `%s`; CREATE DATABASE `%s`;"
                                     "DELETE FROM mysql.tables_priv WHERE db = '%s';"
                                     "DELETE FROM mysql.columns_priv WHERE db = '%s';"
                                     "FLUSH PRIVILEGES",
                                     name, name, name, name));
    return test_format("mysql://root@localhost:%d/%s", port, name);
}

static void append_rows(MYSQL_RES *result, struct buffer *rows)
{
    MYSQL_ROW row;
    while ((row = mysql_fetch_row(result)) != NULL) {
        const unsigned long *lengths = mysql_fetch_lengths(result);
        for (unsigned int i = 0; i < mysql_num_fields(result); i++) {
            buffer_append_text(rows, i == 0 ? "" : "|");
            if (row[i] == NULL)
                buffer_append_text(rows, "NULL");
            else
                buffer_append(rows, row[i], lengths[i]);
        }
        buffer_append_text(rows, "\n");
    }
}

/* Connect. The database's name is in the URL between the third slash and the question mark. */
static MYSQL *connect_to(const char *url)
{
    const char *database = strchr(url + strlen("mysql://"), '/') + 1;
    MYSQL *session = try_connect(test_format("%.*s", (int)strcspn(database, "?"), database));
    if (session == NULL)
        test_fail("MariaDB does not answer: see %s/server.log", directory);
    if (mysql_set_character_set(session, "utf8mb4") != 0 ||
        mysql_query(session, "SET time_zone = '+00:00'") != 0)
        test_fail("%s", mysql_error(session));
    return session;
}

const char *mariadb_text(const char *url, const char *sql)
{
    struct buffer rows;
    MYSQL *session = connect_to(url);
    int next = 0;
    buffer_init(&rows, ROWS_MAX);
    if (mysql_real_query(session, sql, strlen(sql)) != 0)
        next = 1;
    while (next == 0) {
        MYSQL_RES *result = mysql_store_result(session);
        if (result != NULL)
            append_rows(result, &rows);
        mysql_free_result(result);
        next = mysql_next_result(session);
    }
    if (next > 0)
        test_fail("%s\n%s", mysql_error(session), sql);
    mysql_close(session);
    const char *kept = test_format("%s", buffer_text(&rows));
    buffer_done(&rows);
    return kept;
}

void mariadb_execute(const char *url, const char *sql)
{
    (void)mariadb_text(url, sql);
}

static const char others_sql[] = "SELECT id FROM information_schema.processlist "
                                 "WHERE db = database() AND id <> connection_id()";

/* Sessions of a database, one id a line. */
struct sessions {
    const char *url;
    const char *ids;
};

static bool has_line(const char *lines, const char *line)
{
    size_t length = strcspn(line, "\n") + 1;
    for (; *lines != '\0'; lines = strchr(lines, '\n') + 1) {
        if (strncmp(lines, line, length) == 0)
            return true;
    }
    return false;
}

/* Others may have begun meanwhile. */
static bool have_ended(void *context)
{
    const struct sessions *sessions = context;
    const char *living = mariadb_text(sessions->url, others_sql);
    for (const char *id = sessions->ids; *id != '\0'; id = strchr(id, '\n') + 1) {
        if (has_line(living, id))
            return false;
    }
    return true;
}

/* @return the ids. */
static const char *kill_others(const char *url, const char *what)
{
    const char *ids = mariadb_text(url, others_sql);
    MYSQL *session = connect_to(url);
    for (const char *id = ids; *id != '\0'; id = strchr(id, '\n') + 1) /* it may have ended */
        (void)mysql_query(session, test_format("KILL %s %.*s", what, (int)strcspn(id, "\n"), id));
    mysql_close(session);
    return ids;
}

void mariadb_cancel_statements(const char *url)
{
    (void)kill_others(url, "QUERY");
}

void mariadb_kill_backends(const char *url)
{
    struct sessions sessions = {url, kill_others(url, "CONNECTION")};
    if (!test_wait(have_ended, &sessions, START_MS))
        test_fail("sessions do not end");
}

void mariadb_stop(void)
{
    if (kill(server, SIGKILL) != 0 || waitpid(server, NULL, 0) != server)
        test_fail("MariaDB does not stop");
    server = 0;
}

void mariadb_start(void)
{
    start(NULL);
}

void mariadb_start_with(const char *const options[2])
{
    start(options);
}

void mariadb_pause(void)
{
    if (kill(server, SIGSTOP) != 0)
        test_fail("MariaDB does not pause");
}

void mariadb_continue(void)
{
    if (kill(server, SIGCONT) != 0)
        test_fail("MariaDB does not go on");
}
