/* The rows of a PostgreSQL table that were there before `init`, into the outbox. */
#include "producer/postgresql/capture.h"
#include "common/postgresql_name.h"
#include "common/postgresql_scan.h"
#include "producer/postgresql/origin_internal.h"
#include "producer_postgresql_sql.h"

static enum status origin_postgresql_numbers(PGconn *connection, const char *sql,
                                             const struct slice *type, int64_t ret_numbers[2],
                                             struct error *err)
{
    PGresult *result = NULL;
    enum status status = postgresql_session_query(
        connection, sql, (struct slice_list){type, type == NULL ? 0 : 1}, &result, err);
    for (int i = 0; status == STATUS_OK && i < PQnfields(result) && i < 2; i++)
        ret_numbers[i] = postgresql_session_integer(result, 0, i);
    PQclear(result);
    return status;
}

static void origin_postgresql_write_rows(const struct origin_table *table, const char *text,
                                         const struct capture_rows *rows, struct buffer *sql)
{
    struct capture_postgresql capture = {0};
    struct buffer name;
    buffer_init(&name, SQL_TEXT_MAX);
    postgresql_name_append_table(&name, table->entry->table);
    capture_init(&capture.base, &capture_postgresql_dialect, table->entry, table->schema);
    capture.name = buffer_text(&name);
    capture_write_rows(sql, &capture.base, text, rows);
    sql->failed = sql->failed || name.failed;
    buffer_done(&name);
}

/* Rows that vanish while their locks are waited for do not count, so a short chunk says nothing:
 * whether there are more is asked by itself. */
enum status origin_postgresql_publish(struct origin_sql *origin, const struct origin_table *table,
                                      size_t limit, struct origin_progress *progress,
                                      struct error *err)
{
    PGconn *connection = ((struct origin_postgresql *)origin)->session.connection;
    const struct config_entry *entry = table->entry;
    struct slice type = slice_of(entry->entity_type);
    struct buffer sql;
    int64_t noted[2] = {0};
    int64_t rows[2] = {0}; /* published, and whether any were found */
    int64_t more[2] = {0};
    buffer_init(&sql, SQL_TEXT_MAX);
    enum status status = origin_postgresql_numbers(connection, SQL_HAS_PLACE, &type, noted, err);
    const struct capture_rows chunk = {.resumed = noted[0] != 0, .limit = limit};
    origin_postgresql_write_rows(table, SQL_CAPTURE_CHUNK, &chunk, &sql);
    if (status == STATUS_OK && sql.failed)
        status = error_set(err, STATUS_FATAL, "entity type %s: its statement grows too large",
                           entry->entity_type);
    if (status == STATUS_OK)
        status = origin_postgresql_numbers(connection, buffer_text(&sql), NULL, rows, err);
    buffer_reset(&sql);
    origin_postgresql_write_rows(table, SQL_CAPTURE_REST, &(struct capture_rows){.resumed = true},
                                 &sql);
    if (status == STATUS_OK && rows[1] != 0)
        status = origin_postgresql_numbers(connection, buffer_text(&sql), NULL, more, err);
    progress->rows += rows[0];
    progress->done = more[0] == 0;
    buffer_done(&sql);
    return status;
}

static enum status origin_postgresql_write_key(struct origin_sql *origin,
                                               const struct origin_table *table, const char *text,
                                               struct buffer *sql, struct error *err)
{
    (void)origin;
    (void)err;
    origin_postgresql_write_rows(table, text, &(struct capture_rows){0}, sql);
    return STATUS_OK;
}

static enum status origin_postgresql_query(struct origin_sql *origin, struct row_query *query,
                                           struct error *err)
{
    struct buffer name;
    buffer_init(&name, SQL_TEXT_MAX);
    postgresql_name_append_table(&name, query->table);
    query->table = buffer_text(&name);
    enum status status = postgresql_scan_query(
        ((struct origin_postgresql *)origin)->session.connection, query, err);
    buffer_done(&name);
    return status;
}

/* Behind a transaction that has written the table, and not ended, this waits; and behind this each
 * writer waits. So it gives up soon (`limit_wait`). */
static enum status origin_postgresql_keep_out(struct origin_sql *origin,
                                              const struct origin_table *table, struct error *err)
{
    struct buffer sql;
    buffer_init(&sql, SQL_TEXT_MAX);
    origin_postgresql_write_rows(table, SQL_CAPTURE_KEEP_OUT, &(struct capture_rows){0}, &sql);
    enum status status = sql.failed ? error_set(err, STATUS_RETRY, "no memory")
                                    : postgresql_session_execute(
                                          ((struct origin_postgresql *)origin)->session.connection,
                                          buffer_text(&sql), err);
    buffer_done(&sql);
    return status;
}

static bool origin_postgresql_is_held(const struct error *err)
{
    return err->native_code == postgresql_sqlstate_code(SQLSTATE_LOCK_NOT_AVAILABLE) ||
           err->native_code == postgresql_sqlstate_code(SQLSTATE_DEADLOCK_DETECTED);
}

static bool origin_postgresql_lacks_right(const struct error *err)
{
    return err->native_code == postgresql_sqlstate_code(SQLSTATE_INSUFFICIENT_PRIVILEGE);
}

const struct origin_key_database origin_postgresql_keys = {
    .row = SQL_CAPTURE_KEY_ROW,
    .partition = SQL_CAPTURE_KEY_PARTITION,
    .write = origin_postgresql_write_key,
    .query = origin_postgresql_query,
    .keep_out = origin_postgresql_keep_out,
    .is_held = origin_postgresql_is_held,
    .lacks_right = origin_postgresql_lacks_right};
