/* Lasting sessions with the three databases. */
#include "tests/support/session.h"

#include "common/mariadb_session.h"
#include "common/postgresql_session.h"

#include <sqlite3.h>
#include <stdio.h>

#define SQLITE_SCHEME "sqlite:"
#define SHOWN_LENGTH  200

struct session {
    enum database_kind kind;
    sqlite3 *sqlite;
    PGconn *postgresql;
    MYSQL *mariadb;
};

struct session *session_open(const char *url)
{
    struct session *session = calloc(1, sizeof *session);
    struct error err = ERROR_INIT;
    if (strncmp(url, SQLITE_SCHEME, strlen(SQLITE_SCHEME)) == 0) {
        if (sqlite3_open(url + strlen(SQLITE_SCHEME), &session->sqlite) != SQLITE_OK)
            test_fail("%s", sqlite3_errmsg(session->sqlite));
        (void)sqlite3_busy_timeout(session->sqlite, 10000);
    } else if (strncmp(url, "mysql:", strlen("mysql:")) == 0) {
        const struct server_session_options options = {.url = url, .application = "test"};
        session->kind = DATABASE_MARIADB;
        if (mariadb_session_open(&options, &session->mariadb, &err) != STATUS_OK)
            test_fail("%s", err.text);
        session_run(session, "SET autocommit = 1", NULL);
    } else {
        session->kind = DATABASE_POSTGRESQL;
        session->postgresql = PQconnectdb(url);
        if (PQstatus(session->postgresql) != CONNECTION_OK)
            test_fail("%s", PQerrorMessage(session->postgresql));
        session_run(session, "SET client_min_messages = error", NULL);
        session_run(session, "SET TimeZone = 'UTC'", NULL);
    }
    return session;
}

void session_close(struct session *session)
{
    if (session == NULL)
        return;
    (void)sqlite3_close(session->sqlite);
    PQfinish(session->postgresql);
    mariadb_session_close(session->mariadb);
    free(session);
}

static void append(struct buffer *rows, const void *data, size_t length)
{
    if (rows == NULL)
        return;
    if (data == NULL)
        buffer_append_text(rows, "NULL");
    else
        buffer_append(rows, data, length);
    buffer_append_text(rows, SESSION_COLUMN_END);
}

static void append_end(struct buffer *rows)
{
    if (rows != NULL)
        buffer_append_text(rows, SESSION_ROW_END);
}

static const char *try_sqlite(sqlite3 *database, const char *sql, struct buffer *rows)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(database, sql, -1, &statement, NULL);
    while (code == SQLITE_OK || code == SQLITE_ROW) {
        code = sqlite3_step(statement);
        if (code != SQLITE_ROW)
            break;
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            const void *text = sqlite3_column_text(statement, i);
            append(rows, text, (size_t)sqlite3_column_bytes(statement, i));
        }
        append_end(rows);
    }
    const char *error = code == SQLITE_DONE ? NULL : test_format("%s", sqlite3_errmsg(database));
    (void)sqlite3_finalize(statement);
    return error;
}

static const char *try_postgresql(PGconn *connection, const char *sql, struct buffer *rows)
{
    PGresult *result = PQexec(connection, sql);
    ExecStatusType kind = PQresultStatus(result);
    const char *error = NULL;
    if (kind != PGRES_COMMAND_OK && kind != PGRES_TUPLES_OK)
        error = test_format("%s", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
    for (int row = 0; error == NULL && row < PQntuples(result); row++) {
        for (int i = 0; i < PQnfields(result); i++) {
            struct slice text = postgresql_session_text(result, row, i);
            append(rows, text.data, text.length);
        }
        append_end(rows);
    }
    PQclear(result);
    return error;
}

static const char *try_mariadb(MYSQL *session, const char *sql, struct buffer *rows)
{
    MYSQL_ROW row;
    if (mysql_real_query(session, sql, strlen(sql)) != 0)
        return test_format("%s", mysql_error(session));
    MYSQL_RES *result = mysql_store_result(session);
    if (mysql_errno(session) != 0) /* of a row, behind the description of its columns */
        return test_format("%s", mysql_error(session));
    while (result != NULL && (row = mysql_fetch_row(result)) != NULL) {
        const unsigned long *lengths = mysql_fetch_lengths(result);
        for (unsigned int i = 0; i < mysql_num_fields(result); i++)
            append(rows, row[i], lengths[i]);
        append_end(rows);
    }
    mysql_free_result(result);
    return NULL;
}

const char *session_try(struct session *session, const char *sql, struct buffer *rows)
{
    if (session->kind == DATABASE_SQLITE)
        return try_sqlite(session->sqlite, sql, rows);
    return session->kind == DATABASE_POSTGRESQL ? try_postgresql(session->postgresql, sql, rows)
                                                : try_mariadb(session->mariadb, sql, rows);
}

void session_run(struct session *session, const char *sql, struct buffer *rows)
{
    const char *error = session_try(session, sql, rows);
    if (error != NULL)
        test_fail("%s: %.*s", error, SHOWN_LENGTH, sql);
    if (rows != NULL && rows->failed)
        test_fail("too many rows: %.*s", SHOWN_LENGTH, sql);
}

void session_estrange(struct session *session)
{
    static const char *const sqlite[] = {"PRAGMA case_sensitive_like = ON",
                                         "PRAGMA recursive_triggers = ON", NULL};
    static const char *const postgresql[] = {"SET DateStyle = 'German, DMY'",
                                             "SET TimeZone = 'Asia/Kathmandu'",
                                             "SET extra_float_digits = -15",
                                             "SET bytea_output = 'escape'",
                                             "SET IntervalStyle = 'iso_8601'",
                                             "SET client_encoding = LATIN1",
                                             "SET standard_conforming_strings = off",
                                             "SET escape_string_warning = off",
                                             "SET xmlbinary = 'hex'",
                                             NULL};
    static const char *const mariadb[] = {
        "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,PIPES_AS_CONCAT,"
        "TIME_ROUND_FRACTIONAL'",
        "SET time_zone = '-05:30'",
        "SET NAMES latin1 COLLATE latin1_german2_ci",
        "SET lc_time_names = 'de_DE'",
        "SET div_precision_increment = 1",
        NULL};
    const char *const *settings = session->kind == DATABASE_SQLITE       ? sqlite
                                  : session->kind == DATABASE_POSTGRESQL ? postgresql
                                                                         : mariadb;
    for (; *settings != NULL; settings++)
        session_run(session, *settings, NULL);
}
