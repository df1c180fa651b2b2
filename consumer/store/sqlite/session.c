/* The SQLite store's session: opening, statements, parameters, rows. */
#include "consumer/store/sqlite/internal.h"

#include "common/sqlite_scan.h"
#include "common/utf8.h"
#include "consumer_sqlite_sql.h"
#include "schemas_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BUSY_BESIDE_OUTBOX 100 /* the agent yields first */
#define INIT_HINT          "run `keepstep init`"

static const char *const statement_texts[STATEMENT_COUNT] = {
#define STATEMENT_TEXT(name) [STATEMENT_##name] = SQL_##name,
    STORE_SQL_STATEMENTS(STATEMENT_TEXT) STORE_JOINT_STATEMENTS(STATEMENT_TEXT)
        STORE_SQLITE_STATEMENTS(STATEMENT_TEXT)
#undef STATEMENT_TEXT
};

enum status store_sqlite_fail(struct store_sqlite *self, int code, const char *doing,
                              struct error *err)
{
    /* A trigger's RAISE(ROLLBACK) ends the transaction: what was written before is gone too. */
    if (sqlite_session_verdict(code).status == STATUS_REJECT &&
        sqlite3_get_autocommit(self->database))
        return error_set_verdict(err, (struct verdict){code, VERDICT_FATAL}, doing,
                                 "%s; a trigger ended the whole transaction, let it use "
                                 "RAISE(ABORT) instead of RAISE(ROLLBACK)",
                                 sqlite3_errmsg(self->database));
    return sqlite_session_code_error(self->database, code, doing, err);
}

enum status store_sqlite_execute(struct store_sqlite *self, const char *sql, struct error *err)
{
    int code = sqlite3_exec(self->database, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? STATUS_OK : store_sqlite_fail(self, code, sql, err);
}

static int parameter_bind(sqlite3_stmt *statement, int index, const struct parameter *parameter)
{
    struct slice bytes = parameter->bytes;
    if (parameter->kind == PARAMETER_INTEGER)
        return sqlite3_bind_int64(statement, index, parameter->integer);
    if (bytes.data == NULL)
        return sqlite3_bind_null(statement, index);
    if (parameter->kind == PARAMETER_BYTES)
        return sqlite3_bind_blob64(statement, index, bytes.data, bytes.length, SQLITE_STATIC);
    return sqlite3_bind_text64(statement, index, bytes.data, bytes.length, SQLITE_STATIC,
                               SQLITE_UTF8);
}

static enum status statement_next(struct store_sqlite *self, sqlite3_stmt *statement, bool *ret_row,
                                  struct error *err)
{
    int code = sqlite3_step(statement);
    *ret_row = code == SQLITE_ROW;
    if (code == SQLITE_ROW || code == SQLITE_DONE)
        return STATUS_OK;
    enum status status = store_sqlite_fail(self, code, sqlite3_sql(statement), err);
    (void)sqlite3_reset(statement);
    return status;
}

/* Bind and step once. The parameters are borrowed until the caller calls sqlite3_reset(). */
static enum status statement_start(struct store_sqlite *self, const struct sql_call *call,
                                   sqlite3_stmt **ret_statement, bool *ret_row, struct error *err)
{
    sqlite3_stmt **statement = &self->statements[call->id];
    int code = SQLITE_OK;
    if (*statement == NULL)
        code = sqlite3_prepare_v3(self->database, statement_texts[call->id], -1,
                                  SQLITE_PREPARE_PERSISTENT, statement, NULL);
    if (code == SQLITE_OK && *statement != NULL)
        (void)sqlite3_reset(*statement);
    for (size_t i = 0; code == SQLITE_OK && i < call->count; i++)
        code = parameter_bind(*statement, (int)i + 1, &call->parameters[i]);
    if (code != SQLITE_OK)
        return store_sqlite_fail(self, code, statement_texts[call->id], err);
    *ret_statement = *statement;
    return statement_next(self, *statement, ret_row, err);
}

enum status store_sqlite_begin(struct store_sqlite *self, struct error *err)
{
    return store_sqlite_execute(self, "BEGIN IMMEDIATE", err);
}

enum status store_sqlite_synchronous(struct store_sqlite *self, bool full, struct error *err)
{
    bool wait = full || !self->is_wal;
    return store_sqlite_execute(
        self, wait ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", err);
}

static int64_t row_integer(const struct store_row *row, int column)
{
    return sqlite3_column_int64(row->result, column);
}

static struct slice row_bytes(const struct store_row *row, int column)
{
    return sqlite_session_text(row->result, column);
}

static bool row_keep(const struct store_row *row, int column, struct arena *arena,
                     struct slice *ret_bytes)
{
    struct slice bytes = sqlite_session_text(row->result, column);
    *ret_bytes = bytes.data == NULL ? bytes : arena_copy(arena, bytes);
    return bytes.data == NULL || ret_bytes->data != NULL;
}

static void row_copy(const struct store_row *row, int column, char *ret_text, size_t size)
{
    struct slice text = sqlite_session_text(row->result, column);
    (void)snprintf(ret_text, size, "%.*s", SLICE_ARGS(utf8_cut(text, size - 1)));
}

static enum status session_send(struct store_sql *sql, const struct sql_call *call,
                                struct error *err)
{
    struct store_sqlite *self = (struct store_sqlite *)sql;
    sqlite3_stmt *statement = NULL;
    bool more = false;
    enum status status = statement_start(self, call, &statement, &more, err);
    struct store_row row = {.integer = row_integer,
                            .bytes = row_bytes,
                            .keep = row_keep,
                            .copy = row_copy,
                            .result = statement};
    while (status == STATUS_OK && more && !row.is_last) {
        if (call->read != NULL)
            status = call->read(call->context, &row, err);
        if (status == STATUS_OK && !row.is_last)
            status = statement_next(self, statement, &more, err);
    }
    if (status == STATUS_OK && call->changes != NULL)
        *call->changes += sqlite3_changes64(self->database);
    (void)sqlite3_reset(statement);
    return status;
}

static enum status session_execute(struct store_sql *sql, const char *text, struct error *err)
{
    return store_sqlite_execute((struct store_sqlite *)sql, text, err);
}

/* A deferred foreign key refuses at once, as if it were immediate: COMMIT would be too late. */
static enum status session_change(struct store_sql *sql, const char *text, int64_t *ret_rows,
                                  struct error *err)
{
    struct store_sqlite *self = (struct store_sqlite *)sql;
    enum status status = store_sqlite_execute(self, text, err);
    *ret_rows = status == STATUS_OK ? sqlite3_changes64(self->database) : 0;
    if (status == STATUS_OK && self->has_deferred && !self->defers)
        status = store_sqlite_check_deferred(self, "a deferred foreign key", err);
    return status;
}

/* Every call has already run, and holds nothing outside a transaction. */
static enum status session_wait(struct store_sql *sql, struct error *err)
{
    (void)sql, (void)err;
    return STATUS_OK;
}

/* SQLite has no ADD COLUMN IF NOT EXISTS. */
static enum status session_upgrade(struct store_sql *sql, struct error *err)
{
    int64_t installed = 0;
    int64_t version = 0;
    enum status status = store_sql_number(sql, SQL_CALL_PLAIN(META_EXISTS), 0, &installed, err);
    if (status == STATUS_OK && installed != 0)
        status = store_sql_number(sql, SQL_CALL(META_READ, parameter_text("schema_version")), 0,
                                  &version, err);
    if (status == STATUS_OK && version == 1)
        status = store_sqlite_execute((struct store_sqlite *)sql, SQL_UPGRADE_2, err);
    if (status == STATUS_OK && (version == 1 || version == 2))
        status = store_sqlite_execute((struct store_sqlite *)sql, SQL_UPGRADE_3, err);
    return status;
}

static enum status session_install(struct store_sql *sql, struct error *err)
{
    enum status status = session_upgrade(sql, err);
    return status == STATUS_OK ? store_sqlite_execute((struct store_sqlite *)sql, SQL_INSTALL, err)
                               : status;
}

static enum status session_begin(struct store_sql *sql, enum sql_transaction kind,
                                 struct error *err)
{
    struct store_sqlite *self = (struct store_sqlite *)sql;
    enum status status = STATUS_OK;
    self->defers = false;
    self->has_pragma = false;
    self->has_written = false;
    if (kind == SQL_SNAPSHOT)
        return store_sqlite_execute(self, "BEGIN", err);
    if (kind == SQL_DURABLE)
        status = store_sqlite_synchronous(self, true, err);
    return status == STATUS_OK ? store_sqlite_begin(self, err) : status;
}

static void session_rollback(struct store_sql *sql)
{
    struct store_sqlite *self = (struct store_sqlite *)sql;
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        (void)sqlite3_reset(self->statements[i]);
    sqlite_session_rollback(self->database);
    if (self->is_wal)
        (void)sqlite3_exec(self->database, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
}

enum status store_sqlite_keep(struct store_sqlite *self, const char *sql,
                              sqlite3_stmt **ret_statement, struct error *err)
{
    for (size_t i = 0; i < KEPT_STATEMENTS; i++) {
        *ret_statement = self->kept[i];
        if (*ret_statement != NULL && strcmp(sqlite3_sql(*ret_statement), sql) == 0)
            return STATUS_OK;
    }
    sqlite3_stmt **place = &self->kept[self->kept_next];
    (void)sqlite3_finalize(*place);
    *place = NULL;
    self->kept_next = (self->kept_next + 1) % KEPT_STATEMENTS;
    enum status status = sqlite_session_prepare(self->database, sql, place, err);
    *ret_statement = *place;
    return status;
}

static enum status session_query(struct store_sql *sql, struct row_query *query, struct error *err)
{
    struct store_sqlite *self = (struct store_sqlite *)sql;
    sqlite3_stmt *statement = NULL;
    enum status status = store_sqlite_keep(self, query->sql, &statement, err);
    return status == STATUS_OK ? sqlite_scan_statement(statement, query, err) : status;
}

static const struct sql_session_ops sqlite_session = {
    .send = session_send,
    .send_rows = store_sql_send_each,
    .execute = session_execute,
    .change = session_change,
    .wait = session_wait,
    .install = session_install,
    .begin = session_begin,
    .commit = store_sqlite_commit,
    .rollback = session_rollback,
    .query = session_query,
};

static enum status store_sqlite_configure(struct store_sqlite *self,
                                          const struct store_options *options, struct error *err)
{
    sqlite3_stmt *statement = NULL;

    enum status status = STATUS_OK;
    if (options->install)
        status = store_sqlite_execute(self, "PRAGMA journal_mode = WAL", err);
    if (status == STATUS_OK)
        status = store_sql_ready(&self->sql, options, err);
    if (status != STATUS_OK)
        return status;
    int code = sqlite3_prepare_v2(self->database, "PRAGMA journal_mode", -1, &statement, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        self->is_wal = slice_is(sqlite_session_text(statement, 0), "wal");
        code = SQLITE_OK;
    }
    (void)sqlite3_finalize(statement);
    if (code != SQLITE_OK)
        return store_sqlite_fail(self, code, "read the journal mode", err);
    self->busy_ms = self->sql.has_outbox ? BUSY_BESIDE_OUTBOX : SQLITE_SESSION_BUSY_TIMEOUT_MS;
    (void)sqlite3_busy_timeout(self->database, self->busy_ms);
    status = store_sqlite_synchronous(self, false, err);
    if (status == STATUS_OK)
        status = store_sqlite_execute(self,
                                      "PRAGMA foreign_keys = ON; PRAGMA cache_size = -8192;"
                                      "PRAGMA wal_autocheckpoint = 4000;",
                                      err);
    return status;
}

enum status store_sqlite_open(const struct store_options *options, struct store **ret_store,
                              struct error *err)
{
    int flags = options->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    if (options->install)
        flags |= SQLITE_OPEN_CREATE;
    else if (access(options->path, F_OK) != 0)
        return error_set(error_config(err), STATUS_FATAL, "%s: there is no database: " INIT_HINT,
                         options->path);
    struct store_sqlite *self = calloc(1, sizeof *self);
    if (self == NULL)
        return error_set(err, STATUS_RETRY, "out of memory");
    self->sql = (struct store_sql){.base.ops = &store_sqlite_ops,
                                   .session = &sqlite_session,
                                   .read_only = options->read_only,
                                   .tables.dialect = &store_sqlite_dialect};
    enum status status = sqlite_session_open(options->path, flags, &self->database, err);
    if (status == STATUS_OK) {
        status = store_sqlite_configure(self, options, err);
        if (status != STATUS_OK)
            error_prefix(err, "%s", options->path);
    }
    if (status != STATUS_OK) {
        store_sqlite_close(&self->sql.base);
        return status;
    }
    *ret_store = &self->sql.base;
    return STATUS_OK;
}

void store_sqlite_close(struct store *store)
{
    if (store == NULL)
        return;
    struct store_sqlite *self = store_sqlite_of(store);
    if (self->database != NULL)
        store_sql_rollback(store);
    store_sqlite_pending_done(self);
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        (void)sqlite3_finalize(self->statements[i]);
    for (size_t i = 0; i < KEPT_STATEMENTS; i++)
        (void)sqlite3_finalize(self->kept[i]);
    store_sql_done(&self->sql);
    (void)sqlite3_close(self->database);
    free(self);
}
