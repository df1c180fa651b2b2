/* Prepared statements of one number, and what the statements of a connection cost the server. */
#include "bench.h"
#include "database_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PARAMETERS_MAX 4
#define STATEMENT      "bench" /* its name in PostgreSQL */
#define WAL_FRAME      24      /* bytes of SQLite's log beside each page */

struct database_statement {
    struct database *database;
    sqlite3_stmt *sqlite;
    MYSQL_STMT *mariadb;
    unsigned long parameters;
};

/* Each `?` becomes `$1`. */
static void prepare_postgresql(PGconn *session, const char *sql)
{
    char *text = bench_allocate(2 * strlen(sql) + 1);
    size_t length = 0;
    for (; *sql != '\0'; sql++) {
        text[length++] = *sql == '?' ? '$' : *sql;
        if (*sql == '?')
            text[length++] = '1';
    }
    text[length] = '\0';
    PGresult *result = PQprepare(session, STATEMENT, text, 0, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        bench_fail("%s: %s", text, PQerrorMessage(session));
    PQclear(result);
    free(text);
}

static void prepare_mariadb(struct database_statement *statement, const char *sql)
{
    MYSQL *session = statement->database->mariadb;
    statement->mariadb = mysql_stmt_init(session);
    if (statement->mariadb == NULL || mysql_stmt_prepare(statement->mariadb, sql, strlen(sql)) != 0)
        bench_fail("%s: %s", sql, mysql_error(session));
    statement->parameters = mysql_stmt_param_count(statement->mariadb);
    if (statement->parameters > PARAMETERS_MAX)
        bench_fail("%s: too many parameters", sql);
}

struct database_statement *database_prepare(struct database *database, const char *sql)
{
    struct database_statement *statement = bench_allocate(sizeof *statement);
    *statement = (struct database_statement){.database = database};
    if (database->sqlite != NULL)
        statement->sqlite = bench_prepare(database->sqlite, sql);
    else if (database->mariadb != NULL)
        prepare_mariadb(statement, sql);
    else
        prepare_postgresql(database->postgresql, sql);
    return statement;
}

static void run_sqlite(sqlite3_stmt *statement, int64_t number)
{
    for (int i = sqlite3_bind_parameter_count(statement); i > 0; i--)
        (void)sqlite3_bind_int64(statement, i, number);
    if (sqlite3_step(statement) != SQLITE_DONE)
        bench_fail("%s: %s", sqlite3_sql(statement), sqlite3_errmsg(sqlite3_db_handle(statement)));
    (void)sqlite3_reset(statement);
}

static void run_postgresql(const struct database_statement *statement, int64_t number)
{
    char text[24];
    const char *values[] = {text};
    PGconn *session = statement->database->postgresql;
    (void)snprintf(text, sizeof text, "%" PRId64, number);
    PGresult *result = PQexecPrepared(session, STATEMENT, 1, values, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        bench_fail("%s", PQerrorMessage(session));
    PQclear(result);
}

static void run_mariadb(const struct database_statement *statement, int64_t number)
{
    MYSQL_BIND values[PARAMETERS_MAX] = {0};
    for (unsigned long i = 0; i < statement->parameters; i++)
        values[i] = (MYSQL_BIND){.buffer_type = MYSQL_TYPE_LONGLONG, .buffer = &number};
    if (mysql_stmt_bind_param(statement->mariadb, values) != 0 ||
        mysql_stmt_execute(statement->mariadb) != 0)
        bench_fail("%s", mysql_stmt_error(statement->mariadb));
}

void database_run(struct database_statement *statement, int64_t number)
{
    if (statement->sqlite != NULL)
        run_sqlite(statement->sqlite, number);
    else if (statement->mariadb != NULL)
        run_mariadb(statement, number);
    else
        run_postgresql(statement, number);
}

void database_statement_free(struct database_statement *statement)
{
    (void)sqlite3_finalize(statement->sqlite);
    if (statement->mariadb != NULL)
        (void)mysql_stmt_close(statement->mariadb);
    if (statement->database->postgresql != NULL)
        database_execute(statement->database, "DEALLOCATE ALL");
    free(statement);
}

void database_wait_not(struct database *database)
{
    database_execute(database, database->sqlite != NULL ? "PRAGMA synchronous = OFF"
                               : database->mariadb != NULL
                                   ? "SET GLOBAL innodb_flush_log_at_trx_commit = 2"
                                   : "SET synchronous_commit = off");
}

int database_process(struct database *database)
{
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    if (database->postgresql != NULL)
        return PQbackendPID(database->postgresql);
    if (database->mariadb == NULL)
        return (int)getpid();
    if (getsockopt(mysql_get_socket(database->mariadb), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        bench_fail("the server's process is not known");
    return (int)peer.pid;
}

int64_t database_log_bytes(struct database *database)
{
    int pages = 0;
    int highest = 0;
    if (database->postgresql != NULL)
        return database_number(database, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint");
    if (database->mariadb != NULL)
        return database_number(database,
                               "SELECT variable_value FROM information_schema."
                               "global_status WHERE variable_name = 'Innodb_lsn_current'");
    (void)sqlite3_db_status(database->sqlite, SQLITE_DBSTATUS_CACHE_WRITE, &pages, &highest, 0);
    return pages * (database_number(database, "PRAGMA page_size") + WAL_FRAME);
}
