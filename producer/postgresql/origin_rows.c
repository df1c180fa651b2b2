/* Rows into the PostgreSQL outbox: those from before `init`, and those of `publish`. */
#include "producer/postgresql/capture.h"
#include "common/postgresql_name.h"
#include "producer/postgresql/array.h"
#include "producer/postgresql/origin_internal.h"
#include "producer_postgresql_sql.h"

#include <stdio.h>

enum status origin_postgresql_progress(struct origin *origin, const char *entity_type,
                                       struct origin_progress *ret_progress, struct error *err)
{
    struct slice type = slice_of(entity_type);
    PGresult *result = NULL;
    enum status status = postgresql_session_query(origin_postgresql_of(origin)->connection,
                                                  SQL_READ_PROGRESS, (struct slice_list){&type, 1},
                                                  &result, err);
    if (status != STATUS_OK)
        return status;
    *ret_progress = (struct origin_progress){0};
    if (PQntuples(result) > 0)
        *ret_progress = (struct origin_progress){
            .rows = postgresql_session_integer(result, 0, 0),
            .done = postgresql_session_integer(result, 0, 1) != 0,
            .published = postgresql_session_integer(result, 0, 2) != 0};
    PQclear(result);
    return status;
}

enum status origin_postgresql_captured(struct origin *origin, const char *entity_type,
                                       struct arena *arena, struct origin_captured *ret_captured,
                                       struct error *err)
{
    struct slice type = slice_of(entity_type);
    PGresult *result = NULL;
    *ret_captured = (struct origin_captured){0};
    enum status status = postgresql_session_query(origin_postgresql_of(origin)->connection,
                                                  SQL_READ_CAPTURED, (struct slice_list){&type, 1},
                                                  &result, err);
    if (status == STATUS_OK && PQntuples(result) > 0) {
        *ret_captured = (struct origin_captured){
            .mapped = arena_copy(arena, postgresql_session_text(result, 0, 0)),
            .news = arena_copy(arena, postgresql_session_text(result, 0, 1)),
            .partition_key = arena_copy(arena, postgresql_session_text(result, 0, 2))};
        if (ret_captured->mapped.data == NULL || ret_captured->news.data == NULL ||
            ret_captured->partition_key.data == NULL)
            status = error_set(err, STATUS_RETRY, "no memory");
    }
    PQclear(result);
    return status;
}

enum status origin_postgresql_write_captured(struct origin *origin, const char *entity_type,
                                             const struct origin_captured *captured,
                                             struct error *err)
{
    const struct slice parameters[] = {slice_of(entity_type), captured->mapped, captured->news,
                                       captured->partition_key};
    return postgresql_session_query(origin_postgresql_of(origin)->connection, SQL_WRITE_CAPTURED,
                                    (struct slice_list){parameters, 4}, NULL, err);
}

enum status origin_postgresql_republish(struct origin *origin, const char *entity_type,
                                        struct error *err)
{
    struct slice type = slice_of(entity_type);
    return postgresql_session_query(origin_postgresql_of(origin)->connection, SQL_REPUBLISH,
                                    (struct slice_list){&type, 1}, NULL, err);
}

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
static enum status origin_postgresql_read(PGconn *connection, const struct config_entry *entry,
                                          const struct entity_schema *schema, size_t limit,
                                          struct origin_progress *progress, struct error *err)
{
    struct slice type = slice_of(entry->entity_type);
    struct capture_postgresql capture;
    struct buffer name;
    struct buffer sql;
    char number[32];
    int64_t noted[2] = {0};
    int64_t rows[2] = {0}; /* published, and whether any were found */
    int64_t more[2] = {0};
    buffer_init(&name, CAPTURE_SQL_MAX);
    buffer_init(&sql, CAPTURE_SQL_MAX);
    postgresql_name_append_table(&name, entry->table);
    capture_init(&capture.base, &capture_postgresql_dialect, entry, schema);
    capture.name = buffer_text(&name);
    enum status status = origin_postgresql_numbers(connection, SQL_HAS_PLACE, &type, noted, err);
    const struct capture_rows chunk = {.resumed = noted[0] != 0, .limit = limit};
    capture_postgresql_chunk(&sql, &capture, &chunk);
    if (status == STATUS_OK && sql.failed)
        status = error_set(err, STATUS_FATAL, "entity type %s: its statement grows too large",
                           entry->entity_type);
    if (status == STATUS_OK)
        status = origin_postgresql_numbers(connection, buffer_text(&sql), NULL, rows, err);
    buffer_reset(&sql);
    capture_postgresql_rest(&sql, &capture);
    if (status == STATUS_OK && rows[1] != 0)
        status = origin_postgresql_numbers(connection, buffer_text(&sql), NULL, more, err);
    progress->rows += rows[0];
    progress->done = more[0] == 0;
    (void)snprintf(number, sizeof number, "%lld", (long long)rows[0]);
    const struct slice written[] = {type, slice_of(number),
                                    slice_of(progress->done ? "true" : "false")};
    if (status == STATUS_OK)
        status = postgresql_session_query(connection, SQL_WRITE_PROGRESS,
                                          (struct slice_list){written, 3}, NULL, err);
    buffer_done(&name);
    buffer_done(&sql);
    return status;
}

enum status origin_postgresql_chunk(struct origin *origin, const struct config_entry *entry,
                                    const struct entity_schema *schema, size_t limit,
                                    struct origin_progress *ret_progress, struct error *err)
{
    PGconn *connection = origin_postgresql_of(origin)->connection;
    struct slice type = slice_of(entry->entity_type);
    struct origin_progress progress = {0};
    enum status status = postgresql_session_execute(connection, SQL_BEGIN_CHUNK, err);
    if (status == STATUS_OK)
        status = postgresql_session_query(connection, SQL_HOLD_PROGRESS,
                                          (struct slice_list){&type, 1}, NULL, err);
    if (status == STATUS_OK)
        status = origin_postgresql_progress(origin, entry->entity_type, &progress, err);
    if (status == STATUS_OK && !progress.done)
        status = origin_postgresql_read(connection, entry, schema, limit, &progress, err);
    status = origin_postgresql_end(connection, status, err);
    if (status == STATUS_OK)
        *ret_progress = progress;
    return status;
}

enum status origin_postgresql_write(struct origin *origin, const struct origin_event *events,
                                    size_t count, struct error *err)
{
    enum { COLUMNS = 6 };
    struct buffer arrays[COLUMNS];
    struct slice parameters[COLUMNS];
    bool failed = false;
    for (size_t c = 0; c < COLUMNS; c++)
        buffer_init(&arrays[c], POSTGRESQL_ARRAY_SIZE_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct slice texts[COLUMNS] = {events[i].entity_type, events[i].entity_key,
                                             events[i].type,        events[i].payload,
                                             events[i].traceparent, events[i].partition_key};
        for (size_t c = 0; c < COLUMNS; c++)
            postgresql_array_text(&arrays[c], texts[c]);
    }
    for (size_t c = 0; c < COLUMNS; c++) {
        parameters[c] = postgresql_array_end(&arrays[c]);
        failed = failed || arrays[c].failed;
    }
    enum status status = failed ? error_set(err, STATUS_RETRY, "no memory")
                                : postgresql_session_query(
                                      origin_postgresql_of(origin)->connection, SQL_WRITE_EVENTS,
                                      (struct slice_list){parameters, COLUMNS}, NULL, err);
    if (status == STATUS_FATAL)
        error_prefix(err, "run `keepstep init` first");
    for (size_t c = 0; c < COLUMNS; c++)
        buffer_done(&arrays[c]);
    return status;
}
