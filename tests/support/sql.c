/* SQL on an SQLite file, with the rows as text. */
#include "tests/support/sql.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "schemas/event_id.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>

#define SQL_BUSY_MS    10000
#define SQL_OUTPUT_MAX ((size_t)64 * 1024 * 1024)

static void sql_append_column(struct buffer *rows, sqlite3_stmt *statement, int column)
{
    if (column > 0)
        buffer_append_text(rows, "|");
    int type = sqlite3_column_type(statement, column);
    if (type == SQLITE_NULL) {
        buffer_append_text(rows, "NULL");
    } else if (type == SQLITE_BLOB) {
        const unsigned char *bytes = sqlite3_column_blob(statement, column);
        buffer_append_text(rows, "x'");
        for (int i = 0; i < sqlite3_column_bytes(statement, column); i++)
            buffer_append_format(rows, "%02x", bytes[i]);
        buffer_append_text(rows, "'");
    } else {
        const void *text = sqlite3_column_text(statement, column);
        buffer_append(rows, text, (size_t)sqlite3_column_bytes(statement, column));
    }
}

static int sql_run(sqlite3 *database, const char *sql, struct buffer *rows)
{
    while (*sql != '\0') {
        sqlite3_stmt *statement = NULL;
        int code = sqlite3_prepare_v2(database, sql, -1, &statement, &sql);
        if (code != SQLITE_OK)
            return code;
        if (statement == NULL)
            continue; /* white space or a comment */
        while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
            for (int column = 0; column < sqlite3_column_count(statement); column++)
                sql_append_column(rows, statement, column);
            buffer_append_text(rows, "\n");
        }
        (void)sqlite3_finalize(statement);
        if (code != SQLITE_DONE)
            return code;
    }
    return SQLITE_OK;
}

/* event_id(origin, position, created_at). */
static void sql_event_id(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    char id[EVENT_ID_SIZE];
    int64_t created_us = 0;
    const char *created_at = (const char *)sqlite3_value_text(values[2]);
    if (!clock_parse_rfc3339(created_at, strlen(created_at), &created_us))
        test_fail("created_at: %s", created_at);
    event_id_derive(slice_of((const char *)sqlite3_value_text(values[0])),
                    sqlite3_value_int64(values[1]), created_us, id);
    sqlite3_result_text(context, id, -1, SQLITE_TRANSIENT);
}

/* Run SQL. @return NULL on an error, whose text is then in `ret_error`. */
static const char *sql_try(const char *path, const char *sql, int flags, const char **ret_error)
{
    sqlite3 *database = NULL;
    struct buffer rows;
    buffer_init(&rows, SQL_OUTPUT_MAX);
    int code = sqlite3_open_v2(path, &database, flags, NULL);
    if (code == SQLITE_OK) {
        (void)sqlite3_busy_timeout(database, SQL_BUSY_MS);
        (void)sqlite3_create_function(database, "event_id", 3, SQLITE_UTF8, NULL, sql_event_id,
                                      NULL, NULL);
        code = sql_run(database, sql, &rows);
    }
    const char *text = NULL;
    if (code == SQLITE_OK && !rows.failed)
        text = test_format("%s", buffer_text(&rows));
    else
        *ret_error = test_format("%s: %s", path, sqlite3_errmsg(database));
    buffer_done(&rows);
    (void)sqlite3_close(database);
    return text;
}

const char *sqlite_text(const char *path, const char *sql)
{
    const char *problem = NULL;
    const char *text = sql_try(path, sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &problem);
    if (text == NULL)
        test_fail("%s\n%s", problem, sql);
    return text;
}

const char *sqlite_format(const char *path, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *sql = NULL;
    int length = vasprintf(&sql, format, args);
    va_end(args);
    if (length < 0)
        abort();
    const char *kept_sql = test_format("%s", sql);
    free(sql);
    return sqlite_text(path, kept_sql);
}

int64_t sqlite_number(const char *path, const char *sql)
{
    const char *text = sqlite_text(path, sql);
    char *end = NULL;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (end == text || errno != 0)
        test_fail("not a number: \"%s\" from %s", text, sql);
    return number;
}

struct sql_expectation {
    const char *path;
    const char *sql;
    const char *expected;
    const char *last;
};

static bool sql_expectation_met(void *context)
{
    struct sql_expectation *expectation = context;
    const char *problem = NULL;
    const char *text = sql_try(expectation->path, expectation->sql, SQLITE_OPEN_READWRITE,
                               &problem);
    expectation->last = text == NULL ? problem : text;
    return text != NULL && strcmp(text, expectation->expected) == 0;
}

bool sqlite_wait_for(const char *path, const char *sql, const char *expected, int64_t limit_ms)
{
    struct sql_expectation expectation = {.path = path, .sql = sql, .expected = expected};
    if (test_wait(sql_expectation_met, &expectation, limit_ms))
        return true;
    print_error("waited for \"%s\" from %s\nlast: %s\n", expected, sql, expectation.last);
    return false;
}
