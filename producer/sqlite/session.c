/* SQLite sessions of the producing side. */
#include "producer/sqlite/session.h"

#include <unistd.h>

#define BUSY_TIMEOUT_MS 5000

static enum status sqlite_session_status(int code)
{
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL:
    case SQLITE_READONLY:
    case SQLITE_IOERR:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
    case SQLITE_INTERRUPT:
    case SQLITE_NOMEM:
        return STATUS_RETRY;
    default:
        return STATUS_FATAL;
    }
}

enum status sqlite_session_error(sqlite3 *db, const char *what, struct error *err)
{
    int code = sqlite3_extended_errcode(db);
    if ((code & 0xff) == SQLITE_NOTADB)
        return error_set_native(error_config(err), STATUS_FATAL, code,
                                "%s is no SQLite database; see database in the configuration",
                                sqlite3_db_filename(db, "main"));
    return error_set_native(err, sqlite_session_status(code), code, "%s: %s", what,
                            sqlite3_errmsg(db));
}

/* In UTF-16 hex() and comparisons by bytes mean something else. */
static enum status sqlite_session_check_encoding(sqlite3 *db, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_session_prepare(db, "PRAGMA encoding", &statement, err);
    if (status != STATUS_OK)
        return status;
    int code = sqlite3_step(statement);
    if (code != SQLITE_ROW)
        status = sqlite_session_error(db, "encoding", err);
    else if (!slice_is(sqlite_session_text(statement, 0), "UTF-8"))
        status = error_set(error_config(err), STATUS_FATAL,
                           "the database is encoded in %s, and Keepstep works with UTF-8 alone: "
                           "make it anew with `sqlite3 OLD .dump | sqlite3 NEW`",
                           (const char *)sqlite3_column_text(statement, 0));
    (void)sqlite3_finalize(statement);
    return status;
}

enum status sqlite_session_open(const char *path, int flags, sqlite3 **ret_db, struct error *err)
{
    sqlite3 *db = NULL;
    enum status status = STATUS_OK;

    if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK) {
        status = access(path, F_OK) != 0
                     ? error_set(err, STATUS_RETRY,
                                 "%s: there is no database: run `keepstep init`, or see database "
                                 "in the configuration",
                                 path)
                     : error_set(err, STATUS_RETRY, "%s: %s", path,
                                 db == NULL ? "no memory" : sqlite3_errmsg(db));
        goto out;
    }
    (void)sqlite3_extended_result_codes(db, 1);
    (void)sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
    /* With FULL a rollback journal that was deleted may come back after a loss of power. */
    status = sqlite_session_execute(db, "PRAGMA synchronous = EXTRA", err);
    if (status == STATUS_OK)
        status = sqlite_session_check_encoding(db, err);
    if (status != STATUS_OK)
        goto out;
    *ret_db = db;
    db = NULL;
out:
    (void)sqlite3_close_v2(db);
    return status;
}

enum status sqlite_session_execute(sqlite3 *db, const char *sql, struct error *err)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return sqlite_session_error(db, "database", err);
    return STATUS_OK;
}

enum status sqlite_session_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret_statement,
                                   struct error *err)
{
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_statement, NULL) !=
        SQLITE_OK)
        return sqlite_session_error(db, "database", err);
    return STATUS_OK;
}

enum status sqlite_session_run(sqlite3 *db, sqlite3_stmt *statement, int *ret_changes,
                               struct error *err)
{
    enum status status = STATUS_OK;
    int code = sqlite3_step(statement);
    if (code != SQLITE_DONE && code != SQLITE_ROW)
        status = sqlite_session_error(db, "database", err);
    else if (ret_changes != NULL)
        *ret_changes = sqlite3_changes(db);
    (void)sqlite3_reset(statement);
    return status;
}

void sqlite_session_rollback(sqlite3 *db)
{
    if (sqlite3_get_autocommit(db) == 0)
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
}

void sqlite_session_bind(sqlite3_stmt *statement, int index, struct slice text)
{
    if (text.data == NULL)
        (void)sqlite3_bind_null(statement, index);
    else
        (void)sqlite3_bind_text64(statement, index, text.data, text.length, SQLITE_STATIC,
                                  SQLITE_UTF8);
}

struct slice sqlite_session_text(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    return (struct slice){.data = text, .length = (size_t)sqlite3_column_bytes(statement, column)};
}
