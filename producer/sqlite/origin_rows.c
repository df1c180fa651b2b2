/* The rows of a SQLite table that were there before `init`, into the outbox. */
#include "producer/sqlite/capture.h"
#include "common/sqlite_scan.h"
#include "producer/sqlite/origin_internal.h"
#include "producer_sqlite_sql.h"

#define SQL_SIZE_MAX ((size_t)4 * 1024 * 1024)

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

static enum status origin_sqlite_publish_rows(sqlite3 *db, const char *entity_type, const char *sql,
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

static void origin_sqlite_write_rows(const struct origin_table *table, const char *text,
                                     const struct capture_rows *rows, struct buffer *sql)
{
    struct capture capture;
    capture_init(&capture, &capture_sqlite_dialect, table->entry, table->schema);
    capture_write_rows(sql, &capture, text, rows);
}

/* BEGIN IMMEDIATE is the lock on all rows. */
enum status origin_sqlite_publish(struct origin_sql *origin, const struct origin_table *table,
                                  size_t limit, struct origin_progress *progress, struct error *err)
{
    const struct origin_sqlite *self = (const struct origin_sqlite *)origin;
    const struct capture_rows chunk = {.resumed = progress->rows > 0, .limit = limit};
    struct buffer sql;
    int64_t rows = 0;
    buffer_init(&sql, SQL_SIZE_MAX);
    origin_sqlite_write_rows(table, SQL_CAPTURE_EXISTING, &chunk, &sql);
    enum status status = origin_sqlite_publish_rows(self->session.db, table->entry->entity_type,
                                                    buffer_text(&sql), &rows, err);
    progress->rows += rows;
    progress->done = rows < (int64_t)limit;
    buffer_done(&sql);
    return status;
}

static enum status origin_sqlite_write_key(struct origin_sql *origin,
                                           const struct origin_table *table, const char *text,
                                           struct buffer *sql, struct error *err)
{
    (void)origin;
    (void)err;
    origin_sqlite_write_rows(table, text, &(struct capture_rows){0}, sql);
    return STATUS_OK;
}

static enum status origin_sqlite_query(struct origin_sql *origin, struct row_query *query,
                                       struct error *err)
{
    return sqlite_scan_run(((struct origin_sqlite *)origin)->session.db, query, err);
}

static bool origin_sqlite_is_held(const struct error *err)
{
    return (err->native_code & 0xff) == SQLITE_BUSY;
}

/* Files have rights, tables have not. */
static bool origin_sqlite_lacks_right(const struct error *err)
{
    (void)err;
    return false;
}

const struct origin_key_database origin_sqlite_keys = {.row = SQL_CAPTURE_KEY_ROW,
                                                       .partition = SQL_CAPTURE_KEY_PARTITION,
                                                       .write = origin_sqlite_write_key,
                                                       .query = origin_sqlite_query,
                                                       .is_held = origin_sqlite_is_held,
                                                       .lacks_right = origin_sqlite_lacks_right};
