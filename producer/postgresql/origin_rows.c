/* The rows of a PostgreSQL table that were there before `init`, into the outbox. */
#include "producer/postgresql/capture.h"
#include "common/postgresql_name.h"
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

/* Rows that vanish while their locks are waited for do not count, so a short chunk says nothing:
 * whether there are more is asked by itself. */
enum status origin_postgresql_publish(struct origin_sql *origin, const struct origin_table *table,
                                      size_t limit, struct origin_progress *progress,
                                      struct error *err)
{
    PGconn *connection = ((struct origin_postgresql *)origin)->session.connection;
    const struct config_entry *entry = table->entry;
    struct slice type = slice_of(entry->entity_type);
    struct capture_postgresql capture;
    struct buffer name;
    struct buffer sql;
    int64_t noted[2] = {0};
    int64_t rows[2] = {0}; /* published, and whether any were found */
    int64_t more[2] = {0};
    buffer_init(&name, SQL_TEXT_MAX);
    buffer_init(&sql, SQL_TEXT_MAX);
    postgresql_name_append_table(&name, entry->table);
    capture_init(&capture.base, &capture_postgresql_dialect, entry, table->schema);
    capture.name = buffer_text(&name);
    enum status status = origin_postgresql_numbers(connection, SQL_HAS_PLACE, &type, noted, err);
    const struct capture_rows chunk = {.resumed = noted[0] != 0, .limit = limit};
    capture_write_rows(&sql, &capture.base, SQL_CAPTURE_CHUNK, &chunk);
    if (status == STATUS_OK && sql.failed)
        status = error_set(err, STATUS_FATAL, "entity type %s: its statement grows too large",
                           entry->entity_type);
    if (status == STATUS_OK)
        status = origin_postgresql_numbers(connection, buffer_text(&sql), NULL, rows, err);
    buffer_reset(&sql);
    capture_write_rows(&sql, &capture.base, SQL_CAPTURE_REST,
                       &(struct capture_rows){.resumed = true});
    if (status == STATUS_OK && rows[1] != 0)
        status = origin_postgresql_numbers(connection, buffer_text(&sql), NULL, more, err);
    progress->rows += rows[0];
    progress->done = more[0] == 0;
    buffer_done(&name);
    buffer_done(&sql);
    return status;
}
