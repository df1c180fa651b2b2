/* Opens SQLite databases, runs statements, and translates SQLite's result codes. */
#include "common/sqlite_session.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

/* An extended code precedes its primary code. A code that is not listed is FATAL. */
static const struct verdict sqlite_verdicts[] = {
    {SQLITE_CONSTRAINT_UNIQUE, VERDICT_WAITING},
    {SQLITE_CONSTRAINT_PRIMARYKEY, VERDICT_WAITING},
    {SQLITE_CONSTRAINT_ROWID, VERDICT_WAITING},
    {SQLITE_CONSTRAINT_FOREIGNKEY, VERDICT_WAITING},
    {SQLITE_CONSTRAINT, VERDICT_HELD}, /* CHECK, NOT NULL, a trigger's RAISE, … */
    {SQLITE_MISMATCH, VERDICT_HELD},
    {SQLITE_TOOBIG, VERDICT_HELD},
    {SQLITE_BUSY, VERDICT_RETRY},
    {SQLITE_LOCKED, VERDICT_RETRY},
    {SQLITE_IOERR, VERDICT_RETRY},
    {SQLITE_FULL, VERDICT_RETRY},
    {SQLITE_READONLY, VERDICT_RETRY},
    {SQLITE_CANTOPEN, VERDICT_RETRY},
    {SQLITE_PERM, VERDICT_RETRY},
    {SQLITE_NOMEM, VERDICT_RETRY},
    {SQLITE_PROTOCOL, VERDICT_RETRY},
    {SQLITE_INTERRUPT, VERDICT_RETRY},
    {SQLITE_SCHEMA, VERDICT_RETRY},
    {SQLITE_NOLFS, VERDICT_RETRY},
};

struct verdict sqlite_session_verdict(int code)
{
    struct verdict verdict = {code, VERDICT_FATAL};
    for (size_t i = 0; i < sizeof sqlite_verdicts / sizeof sqlite_verdicts[0]; i++) {
        int known = sqlite_verdicts[i].native_code;
        if (known == code || known == (code & 0xff)) {
            verdict = sqlite_verdicts[i];
            break;
        }
    }
    verdict.native_code = code;
    return verdict;
}

/* What a trigger of Keepstep's refuses for a while is no verdict on the change. */
static bool sqlite_session_is_for_a_while(int code, const char *text)
{
    return code == SQLITE_CONSTRAINT_TRIGGER &&
           strncmp(text, ERROR_TRY_AGAIN, strlen(ERROR_TRY_AGAIN)) == 0;
}

static bool sqlite_session_refuses(const char *path, int mode)
{
    return access(path, mode) != 0 && (errno == EACCES || errno == EROFS);
}

/* @return whether the file or its folder refuses this user. A file that was moved away is another
 * matter. */
static bool sqlite_session_lacks_right(const char *path, int code)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    (void)snprintf(folder, sizeof folder, "%.*s", slash == NULL ? 1 : (int)(slash - path) + 1,
                   slash == NULL ? "." : path);
    switch (code & 0xff) {
    case SQLITE_READONLY:
        return code != SQLITE_READONLY_DBMOVED;
    case SQLITE_PERM:
        return true;
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
        return sqlite_session_refuses(path, F_OK) || sqlite_session_refuses(path, R_OK | W_OK) ||
               sqlite_session_refuses(folder, W_OK | X_OK);
    default:
        return false;
    }
}

/* @param path  of the file; NULL: it is not known. */
static enum status sqlite_session_fail(sqlite3 *database, const char *path, int code,
                                       const char *what, struct error *err)
{
    const char *text = database != NULL && sqlite3_extended_errcode(database) == code
                           ? sqlite3_errmsg(database)
                           : sqlite3_errstr(code);
    if ((code & 0xff) == SQLITE_NOTADB)
        return error_set_native(error_config(err), STATUS_FATAL, code,
                                "it is no SQLite database: check `database:` in the configuration");
    struct verdict verdict = sqlite_session_verdict(code);
    if (sqlite_session_is_for_a_while(code, text))
        verdict = (struct verdict){code, VERDICT_RETRY};
    if (path != NULL && *path != '\0' && sqlite_session_lacks_right(path, code))
        return error_set_verdict(error_config(err), verdict, what,
                                 "%s; user %ld must be able to write the file %s and its folder: "
                                 "`ls -ld` shows who can; give it that, or run this as another "
                                 "user",
                                 text, (long)geteuid(), path);
    return error_set_verdict(err, verdict, what, "%s", text);
}

enum status sqlite_session_code_error(sqlite3 *database, int code, const char *what,
                                      struct error *err)
{
    const char *path = database == NULL ? NULL : sqlite3_db_filename(database, "main");
    return sqlite_session_fail(database, path, code, what, err);
}

enum status sqlite_session_error(sqlite3 *database, const char *what, struct error *err)
{
    return sqlite_session_code_error(database, sqlite3_extended_errcode(database), what, err);
}

/* In UTF-16, hex() and comparisons of bytes give other results. */
static enum status sqlite_session_check_encoding(sqlite3 *database, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_session_prepare(database, "PRAGMA encoding", &statement, err);
    if (status != STATUS_OK)
        return status;
    if (sqlite3_step(statement) != SQLITE_ROW)
        status = sqlite_session_error(database, "read the encoding", err);
    else if (!slice_is(sqlite_session_text(statement, 0), "UTF-8"))
        status = error_set(error_config(err), STATUS_FATAL,
                           "the database is encoded in %s, and Keepstep needs UTF-8: "
                           "make a copy with `sqlite3 OLD .dump | sqlite3 NEW`",
                           (const char *)sqlite3_column_text(statement, 0));
    (void)sqlite3_finalize(statement);
    return status;
}

/* Nobody asks how much memory SQLite uses, and counting it takes a lock that all threads share. */
static void sqlite_session_configure(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

enum status sqlite_session_open(const char *path, int flags, sqlite3 **ret_database,
                                struct error *err)
{
    static pthread_once_t configured = PTHREAD_ONCE_INIT;
    sqlite3 *database = NULL;
    (void)pthread_once(&configured, sqlite_session_configure);
    int code = sqlite3_open_v2(path, &database, flags | SQLITE_OPEN_NOMUTEX, NULL);
    enum status status;

    bool makes = (flags & SQLITE_OPEN_CREATE) != 0;
    if (code != SQLITE_OK && !makes && access(path, F_OK) != 0 && errno == ENOENT) {
        status = error_set(err, STATUS_RETRY,
                           "there is no database: run `keepstep init`, or check `database:` in "
                           "the configuration");
        goto out;
    }
    if (code != SQLITE_OK) {
        status = sqlite_session_fail(database, path, code, "open", err);
        goto out;
    }
    (void)sqlite3_extended_result_codes(database, 1);
    (void)sqlite3_busy_timeout(database, SQLITE_SESSION_BUSY_TIMEOUT_MS);
    /* With FULL, a deleted rollback journal may reappear after a loss of power. */
    status = sqlite_session_execute(database, "PRAGMA synchronous = EXTRA", err);
    if (status == STATUS_OK)
        status = sqlite_session_check_encoding(database, err);
out:
    if (status == STATUS_OK) {
        *ret_database = database;
    } else {
        error_prefix(err, "%s", path);
        (void)sqlite3_close_v2(database);
    }
    return status;
}

enum status sqlite_session_execute(sqlite3 *database, const char *sql, struct error *err)
{
    if (sqlite3_exec(database, sql, NULL, NULL, NULL) != SQLITE_OK)
        return sqlite_session_error(database, sql, err);
    return STATUS_OK;
}

enum status sqlite_session_prepare(sqlite3 *database, const char *sql, sqlite3_stmt **ret_statement,
                                   struct error *err)
{
    if (sqlite3_prepare_v3(database, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_statement, NULL) !=
        SQLITE_OK)
        return sqlite_session_error(database, sql, err);
    return STATUS_OK;
}

enum status sqlite_session_run(sqlite3 *database, sqlite3_stmt *statement, int *ret_changes,
                               struct error *err)
{
    enum status status = STATUS_OK;
    int code = sqlite3_step(statement);
    if (code != SQLITE_DONE && code != SQLITE_ROW)
        status = sqlite_session_error(database, sqlite3_sql(statement), err);
    else if (ret_changes != NULL)
        *ret_changes = sqlite3_changes(database);
    (void)sqlite3_reset(statement);
    return status;
}

void sqlite_session_rollback(sqlite3 *database)
{
    if (sqlite3_get_autocommit(database) == 0)
        (void)sqlite3_exec(database, "ROLLBACK", NULL, NULL, NULL);
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
    if (sqlite3_column_type(statement, column) == SQLITE_NULL)
        return (struct slice){0};
    const char *data = (const char *)sqlite3_column_text(statement, column);
    size_t length = (size_t)sqlite3_column_bytes(statement, column);
    return (struct slice){.data = data == NULL ? "" : data, .length = length};
}
