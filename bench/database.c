/* The three client libraries behind four functions. */
#include "bench.h"
#include "database_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static MYSQL *open_mariadb(const char *url)
{
    char name[64];
    char socket[108];
    MYSQL *session = mysql_init(NULL);
    if (sscanf(url, "mysql://root@/%63[^?]?socket=%107s", name, socket) != 2)
        bench_fail("%s: is not mysql://root@/NAME?socket=PATH", url);
    if (mysql_real_connect(session, NULL, "root", NULL, name, 0, socket, 0) == NULL)
        bench_fail("%s: %s", url, mysql_error(session));
    return session;
}

struct database *database_open(const char *url)
{
    struct database *database = bench_allocate(sizeof *database);
    *database = (struct database){0};
    if (strncmp(url, "sqlite:", 7) == 0) {
        database->sqlite = bench_open(url + 7, SQLITE_OPEN_READWRITE);
        bench_execute(database->sqlite, "PRAGMA synchronous=NORMAL");
    } else if (strncmp(url, "mysql:", 6) == 0) {
        database->mariadb = open_mariadb(url);
    } else {
        database->postgresql = PQconnectdb(url);
        if (PQstatus(database->postgresql) != CONNECTION_OK)
            bench_fail("%s: %s", url, PQerrorMessage(database->postgresql));
    }
    return database;
}

void database_close(struct database *database)
{
    (void)sqlite3_close(database->sqlite);
    PQfinish(database->postgresql);
    if (database->mariadb != NULL)
        mysql_close(database->mariadb);
    free(database);
}

void database_execute(struct database *database, const char *sql)
{
    if (database->sqlite != NULL) {
        bench_execute(database->sqlite, sql);
    } else if (database->mariadb != NULL) {
        if (mysql_query(database->mariadb, sql) != 0)
            bench_fail("%s: %s", sql, mysql_error(database->mariadb));
    } else {
        PGresult *result = PQexec(database->postgresql, sql);
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            bench_fail("%s: %s", sql, PQerrorMessage(database->postgresql));
        PQclear(result);
    }
}

static size_t numbers_sqlite(sqlite3 *sqlite, const char *sql, int64_t *numbers, size_t size)
{
    sqlite3_stmt *statement = NULL;
    size_t count = 0;
    if (sqlite3_prepare_v2(sqlite, sql, -1, &statement, NULL) == SQLITE_OK)
        while (count < size && sqlite3_step(statement) == SQLITE_ROW)
            numbers[count++] = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return count;
}

static size_t numbers_postgresql(PGconn *session, const char *sql, int64_t *numbers, size_t size)
{
    PGresult *result = PQexec(session, sql);
    size_t count = (size_t)PQntuples(result);
    count = count < size ? count : size;
    for (size_t i = 0; i < count; i++)
        numbers[i] = strtoll(PQgetvalue(result, (int)i, 0), NULL, 10);
    PQclear(result);
    return count;
}

static size_t numbers_mariadb(MYSQL *session, const char *sql, int64_t *numbers, size_t size)
{
    MYSQL_RES *result = NULL;
    MYSQL_ROW row = NULL;
    size_t count = 0;
    if (mysql_query(session, sql) != 0 || (result = mysql_store_result(session)) == NULL)
        return 0;
    while (count < size && (row = mysql_fetch_row(result)) != NULL)
        numbers[count++] = row[0] == NULL ? 0 : strtoll(row[0], NULL, 10);
    mysql_free_result(result);
    return count;
}

size_t database_numbers(struct database *database, const char *sql, int64_t *numbers, size_t size)
{
    if (database->sqlite != NULL)
        return numbers_sqlite(database->sqlite, sql, numbers, size);
    if (database->mariadb != NULL)
        return numbers_mariadb(database->mariadb, sql, numbers, size);
    return numbers_postgresql(database->postgresql, sql, numbers, size);
}

int64_t database_number(struct database *database, const char *sql)
{
    int64_t number = 0;
    (void)database_numbers(database, sql, &number, 1);
    return number;
}
