/* The SQLite store's session: opening, statements, parameters, and the table of error codes. */
#include "consumer/store/sqlite/internal.h"

#include "common/uuid.h"
#include "consumer_sqlite_sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SCHEMA_VERSION     1
#define BUSY_BESIDE_OUTBOX 100 /* the agent yields first */
#define INIT_HINT          "run `keepstep init`"

static const char *const statement_texts[STATEMENT_COUNT] = {
#define STATEMENT_TEXT(name) [STATEMENT_##name] = SQL_##name,
    STORE_SQLITE_STATEMENTS(STATEMENT_TEXT)
#undef STATEMENT_TEXT
};

enum status store_sqlite_fail(struct store_sqlite *self, int code, const char *doing,
                              struct error *err)
{
    /* A trigger's RAISE(ROLLBACK) ends the transaction: what was written before is gone too. */
    enum reject_kind reject;
    if (sqlite_session_classify(code, &reject) == STATUS_REJECT &&
        sqlite3_get_autocommit(self->database))
        return error_set_native(err, STATUS_FATAL, code,
                                "%s: %s; a trigger ended the whole transaction, let it use "
                                "RAISE(ABORT) instead of RAISE(ROLLBACK)",
                                doing, sqlite3_errmsg(self->database));
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
    if (parameter->kind == PARAMETER_BLOB)
        return sqlite3_bind_blob64(statement, index, bytes.data, bytes.length, SQLITE_STATIC);
    return sqlite3_bind_text64(statement, index, bytes.data, bytes.length, SQLITE_STATIC,
                               SQLITE_UTF8);
}

enum status store_sqlite_next(struct store_sqlite *self, sqlite3_stmt *statement, bool *ret_row,
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

enum status store_sqlite_start(struct store_sqlite *self, enum statement_id id,
                               const struct parameter *parameters, size_t count,
                               sqlite3_stmt **ret_statement, bool *ret_row, struct error *err)
{
    sqlite3_stmt **statement = &self->statements[id];
    int code = SQLITE_OK;
    if (*statement == NULL)
        code = sqlite3_prepare_v3(self->database, statement_texts[id], -1,
                                  SQLITE_PREPARE_PERSISTENT, statement, NULL);
    if (code == SQLITE_OK && *statement != NULL)
        (void)sqlite3_reset(*statement);
    for (size_t i = 0; code == SQLITE_OK && i < count; i++)
        code = parameter_bind(*statement, (int)i + 1, &parameters[i]);
    if (code != SQLITE_OK)
        return store_sqlite_fail(self, code, statement_texts[id], err);
    *ret_statement = *statement;
    return store_sqlite_next(self, *statement, ret_row, err);
}

enum status store_sqlite_run(struct store_sqlite *self, enum statement_id id,
                             const struct parameter *parameters, size_t count, int64_t *ret_changes,
                             struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum status status = store_sqlite_start(self, id, parameters, count, &statement, &row, err);
    while (status == STATUS_OK && row)
        status = store_sqlite_next(self, statement, &row, err);
    if (status != STATUS_OK)
        return status;
    if (ret_changes != NULL)
        *ret_changes = sqlite3_changes64(self->database);
    (void)sqlite3_reset(statement);
    return STATUS_OK;
}

enum status store_sqlite_number(struct store_sqlite *self, enum statement_id id,
                                const struct parameter *parameters, size_t count, int64_t absent,
                                int64_t *ret_number, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum status status = store_sqlite_start(self, id, parameters, count, &statement, &row, err);
    if (status != STATUS_OK)
        return status;
    *ret_number = row ? sqlite3_column_int64(statement, 0) : absent;
    (void)sqlite3_reset(statement);
    return STATUS_OK;
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

void store_sqlite_copy(sqlite3_stmt *statement, int column, char *ret_text, size_t size)
{
    struct slice text = sqlite_session_text(statement, column);
    (void)snprintf(ret_text, size, "%.*s", SLICE_ARGS(text));
}

bool store_sqlite_keep(sqlite3_stmt *statement, int column, struct arena *arena,
                       struct slice *ret_bytes)
{
    struct slice bytes = sqlite_session_text(statement, column);
    *ret_bytes = bytes.data == NULL ? bytes : arena_copy(arena, bytes);
    return bytes.data == NULL || ret_bytes->data != NULL;
}

static int64_t row_integer(const struct store_row *row, int column)
{
    return sqlite3_column_int64(row->result, column);
}

static bool row_keep(const struct store_row *row, int column, struct arena *arena,
                     struct slice *ret_bytes)
{
    return store_sqlite_keep(row->result, column, arena, ret_bytes);
}

static void row_copy(const struct store_row *row, int column, char *ret_text, size_t size)
{
    store_sqlite_copy(row->result, column, ret_text, size);
}

struct store_row store_sqlite_row(sqlite3_stmt *statement)
{
    return (struct store_row){
        .integer = row_integer, .keep = row_keep, .copy = row_copy, .result = statement};
}

static enum status store_sqlite_install(struct store_sqlite *self, bool new_copy, struct error *err)
{
    char uuid[UUID_TEXT_SIZE];

    uuid_v7(uuid);
    enum status status = store_sqlite_execute(self, "PRAGMA journal_mode = WAL", err);
    if (status == STATUS_OK)
        status = store_sqlite_begin(self, err);
    if (status == STATUS_OK)
        status = store_sqlite_execute(self, SQL_INSTALL, err);
    if (status == STATUS_OK)
        status = store_sqlite_run(self, new_copy ? STATEMENT_META_SET : STATEMENT_META_ADD,
                                  PARAMETERS(parameter_text("copy_id"), parameter_text(uuid)), NULL,
                                  err);
    if (status == STATUS_OK)
        status = store_sqlite_execute(self, "COMMIT", err);
    return status;
}

static enum status store_sqlite_check_version(struct store_sqlite *self, struct error *err)
{
    int64_t version = 0;
    int64_t outbox_columns = 0;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum status status = store_sqlite_start(self, STATEMENT_CATALOGUE_TABLE,
                                            PARAMETERS(parameter_text("keepstep_meta")), &statement,
                                            &row, err);
    if (status != STATUS_OK)
        return status;
    (void)sqlite3_reset(statement);
    if (row)
        status = store_sqlite_number(self, STATEMENT_META_READ,
                                     PARAMETERS(parameter_text("schema_version")), 0, &version,
                                     err);
    if (status != STATUS_OK)
        return status;
    if (version > SCHEMA_VERSION)
        return error_set(err, STATUS_FATAL,
                         "the database has schema version %lld, this program knows %d: use the "
                         "newer program, whose `keepstep init` made it",
                         (long long)version, SCHEMA_VERSION);
    if (version < SCHEMA_VERSION)
        return error_set(error_config(err), STATUS_FATAL,
                         "the database has no Keepstep tables: " INIT_HINT);
    status = store_sqlite_number(self, STATEMENT_CATALOGUE_OUTBOX, NULL, 0, 0, &outbox_columns,
                                 err);
    self->has_outbox = outbox_columns == 4;
    return status;
}

static enum status store_sqlite_configure(struct store_sqlite *self,
                                          const struct store_options *options, struct error *err)
{
    sqlite3_stmt *statement = NULL;

    enum status status = STATUS_OK;
    if (options->install)
        status = store_sqlite_install(self, options->new_copy, err);
    if (status == STATUS_OK)
        status = store_sqlite_check_version(self, err);
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
    self->busy_ms = self->has_outbox ? BUSY_BESIDE_OUTBOX : SQLITE_SESSION_BUSY_TIMEOUT_MS;
    (void)sqlite3_busy_timeout(self->database, self->busy_ms);
    status = store_sqlite_synchronous(self, false, err);
    if (status == STATUS_OK)
        status = store_sqlite_execute(self,
                                      "PRAGMA foreign_keys = ON; PRAGMA cache_size = -16384;"
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
    self->base.ops = &store_sqlite_ops;
    self->read_only = options->read_only;
    enum status status = sqlite_session_open(options->path, flags, &self->database, err);
    if (status == STATUS_OK) {
        status = store_sqlite_configure(self, options, err);
        if (status != STATUS_OK)
            error_prefix(err, "%s", options->path);
    }
    if (status != STATUS_OK) {
        store_sqlite_close(&self->base);
        return status;
    }
    *ret_store = &self->base;
    return STATUS_OK;
}

void store_sqlite_rollback(struct store *store)
{
    struct store_sqlite *self = store_sqlite_of(store);
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        (void)sqlite3_reset(self->statements[i]);
    sqlite_session_rollback(self->database);
    if (self->is_wal)
        (void)sqlite3_exec(self->database, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
}

void store_sqlite_close(struct store *store)
{
    if (store == NULL)
        return;
    struct store_sqlite *self = store_sqlite_of(store);
    if (self->database != NULL)
        store_sqlite_rollback(store);
    for (size_t i = 0; i < self->table_count; i++)
        mapped_table_free(self->tables[i]);
    free(self->tables);
    store_sqlite_pending_done(self);
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        (void)sqlite3_finalize(self->statements[i]);
    (void)sqlite3_close(self->database);
    free(self);
}
