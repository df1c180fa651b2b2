/* Rows into the SQLite outbox: those that were there before `init`, and those of `publish`. */
#include "producer/sqlite/capture.h"
#include "producer/sqlite/origin_internal.h"
#include "producer_sqlite_sql.h"

#define SQL_SIZE_MAX ((size_t)4 * 1024 * 1024)

enum status origin_sqlite_progress(struct origin *origin, const char *entity_type,
                                   struct origin_progress *ret_progress, struct error *err)
{
    sqlite3 *db = origin_sqlite_of(origin)->db;
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_session_prepare(db, SQL_READ_PROGRESS, &statement, err);
    if (status != STATUS_OK)
        return status;
    sqlite_session_bind(statement, 1, slice_of(entity_type));
    *ret_progress = (struct origin_progress){0};
    if (sqlite3_step(statement) == SQLITE_ROW)
        *ret_progress = (struct origin_progress){.rows = sqlite3_column_int64(statement, 0),
                                                 .done = sqlite3_column_int(statement, 1) != 0,
                                                 .published = sqlite3_column_int(statement, 2) !=
                                                              0};
    (void)sqlite3_finalize(statement);
    return status;
}

enum status origin_sqlite_captured(struct origin *origin, const char *entity_type,
                                   struct arena *arena, struct origin_captured *ret_captured,
                                   struct error *err)
{
    sqlite3 *db = origin_sqlite_of(origin)->db;
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_session_prepare(db, SQL_READ_CAPTURED, &statement, err);
    if (status != STATUS_OK)
        return status;
    sqlite_session_bind(statement, 1, slice_of(entity_type));
    *ret_captured = (struct origin_captured){0};
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *ret_captured = (struct origin_captured){
            .mapped = arena_copy(arena, sqlite_session_text(statement, 0)),
            .news = arena_copy(arena, sqlite_session_text(statement, 1)),
            .partition_key = arena_copy(arena, sqlite_session_text(statement, 2))};
        if (ret_captured->mapped.data == NULL || ret_captured->news.data == NULL ||
            ret_captured->partition_key.data == NULL)
            status = error_set(err, STATUS_RETRY, "no memory");
    } else if (code != SQLITE_DONE) {
        status = sqlite_session_error(db, "keepstep_captured", err);
    }
    (void)sqlite3_finalize(statement);
    return status;
}

enum status origin_sqlite_write_captured(struct origin *origin, const char *entity_type,
                                         const struct origin_captured *captured, struct error *err)
{
    sqlite3 *db = origin_sqlite_of(origin)->db;
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_session_prepare(db, SQL_WRITE_CAPTURED, &statement, err);
    if (status != STATUS_OK)
        return status;
    sqlite_session_bind(statement, 1, slice_of(entity_type));
    sqlite_session_bind(statement, 2, captured->mapped);
    sqlite_session_bind(statement, 3, captured->news);
    sqlite_session_bind(statement, 4, captured->partition_key);
    status = sqlite_session_run(db, statement, NULL, err);
    (void)sqlite3_finalize(statement);
    return status;
}

enum status origin_sqlite_republish(struct origin *origin, const char *entity_type,
                                    struct error *err)
{
    static const char *const steps[] = {SQL_REPUBLISH_KEYS, SQL_REPUBLISH_PROGRESS,
                                        SQL_REPUBLISH_NEWS};
    sqlite3 *db = origin_sqlite_of(origin)->db;
    enum status status = sqlite_session_execute(db, "BEGIN IMMEDIATE", err);
    for (size_t i = 0; status == STATUS_OK && i < sizeof steps / sizeof *steps; i++)
        status = origin_sqlite_run(db, steps[i], slice_of(entity_type), (struct slice){0}, NULL,
                                   err);
    if (status == STATUS_OK)
        status = sqlite_session_execute(db, "COMMIT", err);
    sqlite_session_rollback(db);
    return status;
}

/* Writes one row's `r` event, and its key as the place to go on from. */
static enum status origin_sqlite_emit(sqlite3 *db, const char *entity_type, sqlite3_stmt *row,
                                      sqlite3_stmt *const inserts[2], struct error *err)
{
    int columns = sqlite3_column_count(row);
    sqlite_session_bind(inserts[0], 1, slice_of(entity_type));
    for (int column = 0; column < 3; column++)
        (void)sqlite3_bind_value(inserts[0], column + 2, sqlite3_column_value(row, column));
    enum status status = sqlite_session_run(db, inserts[0], NULL, err);
    for (int i = 3; status == STATUS_OK && i < columns; i++) {
        sqlite_session_bind(inserts[1], 1, slice_of(entity_type));
        (void)sqlite3_bind_int64(inserts[1], 2, i - 3);
        (void)sqlite3_bind_value(inserts[1], 3, sqlite3_column_value(row, i));
        status = sqlite_session_run(db, inserts[1], NULL, err);
    }
    return status;
}

static enum status origin_sqlite_chunk_rows(sqlite3 *db, const char *entity_type, const char *sql,
                                            int64_t *ret_rows, struct error *err)
{
    sqlite3_stmt *rows = NULL;
    sqlite3_stmt *inserts[2] = {0};
    enum status status = sqlite_session_prepare(db, sql, &rows, err);
    if (status == STATUS_OK)
        status = sqlite_session_prepare(db, SQL_WRITE_EXISTING, &inserts[0], err);
    if (status == STATUS_OK)
        status = sqlite_session_prepare(db, SQL_WRITE_PLACE, &inserts[1], err);
    int code = SQLITE_DONE;
    *ret_rows = 0;
    while (status == STATUS_OK && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        status = origin_sqlite_emit(db, entity_type, rows, inserts, err);
        ++*ret_rows;
    }
    if (status == STATUS_OK && code != SQLITE_DONE)
        status = sqlite_session_error(db, entity_type, err);
    (void)sqlite3_finalize(rows);
    (void)sqlite3_finalize(inserts[0]);
    (void)sqlite3_finalize(inserts[1]);
    return status;
}

static enum status origin_sqlite_write_progress(sqlite3 *db, const char *entity_type, int64_t rows,
                                                bool done, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_session_prepare(db, SQL_WRITE_PROGRESS, &statement, err);
    if (status != STATUS_OK)
        return status;
    sqlite_session_bind(statement, 1, slice_of(entity_type));
    (void)sqlite3_bind_int64(statement, 2, rows);
    (void)sqlite3_bind_int(statement, 3, done);
    status = sqlite_session_run(db, statement, NULL, err);
    (void)sqlite3_finalize(statement);
    return status;
}

/* BEGIN IMMEDIATE is the lock on all rows. */
enum status origin_sqlite_chunk(struct origin *origin, const struct config_entry *entry,
                                const struct entity_schema *schema, size_t limit,
                                struct origin_progress *ret_progress, struct error *err)
{
    sqlite3 *db = origin_sqlite_of(origin)->db;
    struct origin_progress progress = {0};
    int64_t rows = 0;
    struct buffer sql;
    struct capture capture;
    buffer_init(&sql, SQL_SIZE_MAX);
    capture_init(&capture, &capture_sqlite_dialect, entry, schema);
    enum status status = sqlite_session_execute(db, "BEGIN IMMEDIATE", err);
    if (status == STATUS_OK)
        status = origin_sqlite_progress(origin, entry->entity_type, &progress, err);
    if (status == STATUS_OK && !progress.done) {
        const struct capture_rows chunk = {.resumed = progress.rows > 0, .limit = limit};
        capture_sqlite_existing(&sql, &capture, &chunk);
        status = origin_sqlite_chunk_rows(db, entry->entity_type, buffer_text(&sql), &rows, err);
        progress.rows += rows;
        progress.done = rows < (int64_t)limit;
        if (status == STATUS_OK)
            status = origin_sqlite_write_progress(db, entry->entity_type, rows, progress.done, err);
    }
    if (status == STATUS_OK)
        status = sqlite_session_execute(db, "COMMIT", err);
    if (status == STATUS_OK)
        *ret_progress = progress;
    sqlite_session_rollback(db);
    buffer_done(&sql);
    return status;
}

enum status origin_sqlite_write(struct origin *origin, const struct origin_event *events,
                                size_t count, struct error *err)
{
    sqlite3 *db = origin_sqlite_of(origin)->db;
    sqlite3_stmt *insert = NULL;
    enum status status = sqlite_session_prepare(db, SQL_WRITE_EVENT, &insert, err);
    if (status == STATUS_FATAL)
        error_prefix(err, "run `keepstep init` first");
    if (status == STATUS_OK)
        status = sqlite_session_execute(db, "BEGIN IMMEDIATE", err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        const struct slice texts[] = {events[i].entity_type, events[i].entity_key,
                                      events[i].type,        events[i].payload,
                                      events[i].traceparent, events[i].partition_key};
        for (int t = 0; t < (int)(sizeof texts / sizeof *texts); t++)
            sqlite_session_bind(insert, t + 1, texts[t]);
        status = sqlite_session_run(db, insert, NULL, err);
    }
    if (status == STATUS_OK)
        status = sqlite_session_execute(db, "COMMIT", err);
    (void)sqlite3_finalize(insert);
    sqlite_session_rollback(db);
    return status;
}
