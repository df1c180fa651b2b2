/* The rows of a MariaDB table that were there before `init`, into the outbox. */
#include "producer/mariadb/origin_internal.h"
#include "common/mariadb_scan.h"
#include "producer_mariadb_sql.h"

#define SQL_SIZE_MAX    ((size_t)4 * 1024 * 1024)
#define CHUNK_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define CHUNK_BYTES     ((size_t)8 * 1024 * 1024) /* a chunk that has read so much ends */
#define DIVISOR         10
#define KEY_FROM        3 /* the key's columns stand behind key, payload and partition key */

/* The rows of one chunk, in the arena. */
struct chunk {
    struct sql_mariadb *session;
    const struct capture_mariadb *table;
    struct arena arena;
    struct sql_parameter (*events)[ORIGIN_EVENT_COLUMNS];
    struct slice *place; /* key of the last row */
    size_t count;
};

static struct mariadb_parameter chunk_key_value(const struct chunk *chunk, size_t place,
                                                struct slice text)
{
    const struct column *column =
        &chunk->table->base.schema->columns[chunk->table->base.key[place]];
    return (struct mariadb_parameter){
        .kind = column->type == COLUMN_BYTES ? MARIADB_BYTES : MARIADB_TEXT, .text = text};
}

static enum status chunk_no_memory(struct error *err)
{
    return error_set(err, STATUS_FATAL, "rows that are there do not fit into %zu bytes",
                     CHUNK_BYTES_MAX);
}

/* The parameters of the query: for each key column those before it and itself, then the limit. */
static enum status chunk_parameters(struct chunk *chunk, size_t limit,
                                    struct mariadb_parameter **ret_values, size_t *ret_count,
                                    struct error *err)
{
    struct sql_session *session = &chunk->session->base;
    const struct sql_parameter type = sql_string(chunk->table->base.entry->entity_type);
    size_t keys = chunk->table->base.schema->key_count;
    size_t found = 0;
    struct slice *place = arena_alloc(&chunk->arena, keys * sizeof *place);
    struct mariadb_parameter *values = arena_alloc(&chunk->arena,
                                                   (keys * (keys + 1) / 2 + 1) * sizeof *values);
    if (place == NULL || values == NULL)
        return chunk_no_memory(err);
    enum status status = sql_first(session, STATEMENT_READ_PLACE, &type, 1, err);
    while (status == STATUS_OK && session->has_row) {
        if (found == keys || !sql_column_text(session, 0, &chunk->arena, &place[found++]))
            status = error_set(err, STATUS_FATAL, "keepstep_existing_key was changed by hand");
        else
            status = session->ops->next(session, err);
    }
    session->ops->finish(session);
    *ret_count = 0;
    for (size_t i = 0; status == STATUS_OK && found == keys && i < keys; i++) {
        for (size_t j = 0; j <= i; j++)
            values[(*ret_count)++] = chunk_key_value(chunk, j, place[j]);
    }
    values[(*ret_count)++] = mariadb_integer((int64_t)limit);
    *ret_values = values;
    return status;
}

/* The server's CONCAT() is NULL where it would grow larger than a message. */
static enum status chunk_no_text(const struct chunk *chunk, struct slice key, struct error *err)
{
    return error_set(error_config(err), STATUS_FATAL,
                     "table %s: the row %.*s cannot be written as JSON, as a row cannot that is "
                     "larger than the server's max_allowed_packet: raise that",
                     chunk->table->base.entry->table, SLICE_ARGS(key));
}

static enum status chunk_row(struct chunk *chunk, struct mariadb_statement *rows, struct slice type,
                             struct slice read, struct error *err)
{
    struct slice texts[KEY_FROM];
    bool complete = true;
    for (unsigned int i = 0; i < KEY_FROM; i++)
        complete = complete && mariadb_statement_text(rows, i, &chunk->arena, &texts[i]);
    for (unsigned int i = 0; i < chunk->table->base.schema->key_count; i++)
        complete = complete &&
                   mariadb_statement_text(rows, KEY_FROM + i, &chunk->arena, &chunk->place[i]);
    if (!complete)
        return chunk_no_memory(err);
    if (texts[0].data == NULL || texts[1].data == NULL)
        return chunk_no_text(chunk, texts[0], err);
    const struct origin_event event = {.entity_type = type,
                                       .entity_key = texts[0],
                                       .type = read,
                                       .payload = texts[1],
                                       .partition_key = texts[2]};
    origin_sql_fill_event(&event, chunk->events[chunk->count++]);
    return STATUS_OK;
}

/* Rows that are left are locked until the commit, and read again by the next chunk. */
static bool chunk_full(const struct chunk *chunk)
{
    return chunk->count > 0 && chunk->arena.used > CHUNK_BYTES;
}

static enum status chunk_read(struct chunk *chunk, bool resumed, size_t limit, struct error *err)
{
    struct mariadb_statement *rows = NULL;
    struct mariadb_parameter *values = NULL;
    struct buffer text;
    struct slice type = slice_of(chunk->table->base.entry->entity_type);
    size_t count = 0;
    bool row = true;
    buffer_init(&text, SQL_SIZE_MAX);
    buffer_append_format(&text, "%.*s.read", SLICE_ARGS(type));
    struct slice read = arena_copy(&chunk->arena, buffer_slice(&text));
    buffer_reset(&text);
    capture_write_rows(&text, &chunk->table->base, SQL_CAPTURE_EXISTING,
                       &(struct capture_rows){.resumed = resumed, .waits = limit == 1});
    chunk->events = arena_alloc(&chunk->arena, limit * sizeof *chunk->events);
    chunk->place = arena_alloc(&chunk->arena,
                               chunk->table->base.schema->key_count * sizeof *chunk->place);
    enum status status = chunk_parameters(chunk, limit, &values, &count, err);
    if (status == STATUS_OK &&
        (text.failed || read.data == NULL || chunk->events == NULL || chunk->place == NULL))
        status = chunk_no_memory(err);
    if (status == STATUS_OK)
        status = mariadb_statement_new(chunk->session->handle, "outbox", buffer_text(&text), &rows,
                                       err);
    if (status == STATUS_OK)
        status = mariadb_statement_run(rows, resumed ? values : &values[count - 1],
                                       resumed ? count : 1, NULL, err);
    while (status == STATUS_OK && row && !chunk_full(chunk)) {
        status = mariadb_statement_next(rows, &row, err);
        if (status == STATUS_OK && row)
            status = chunk_row(chunk, rows, type, read, err);
    }
    mariadb_statement_free(rows);
    buffer_done(&text);
    return status;
}

static enum status chunk_write(struct chunk *chunk, struct error *err)
{
    struct sql_session *session = &chunk->session->base;
    size_t keys = chunk->count > 0 ? chunk->table->base.schema->key_count : 0;
    struct sql_parameter(*places)[3] = arena_alloc(&chunk->arena, (keys + 1) * sizeof *places);
    if (places == NULL)
        return chunk_no_memory(err);
    for (size_t i = 0; i < keys; i++) {
        places[i][0] = sql_string(chunk->table->base.entry->entity_type);
        places[i][1] = sql_integer((int64_t)i);
        places[i][2] = (struct sql_parameter){.kind = SQL_KIND_BYTES, .text = chunk->place[i]};
    }
    const struct sql_step events = {.statement = STATEMENT_WRITE_EVENTS,
                                    .parameters = chunk->events[0],
                                    .columns = ORIGIN_EVENT_COLUMNS,
                                    .rows = chunk->count};
    const struct sql_step place = {
        .statement = STATEMENT_WRITE_PLACE, .parameters = places[0], .columns = 3, .rows = keys};
    enum status status = session->ops->run_step(session, &events, err);
    return status == STATUS_OK ? session->ops->run_step(session, &place, err) : status;
}

enum status origin_mariadb_publish(struct origin_sql *origin, const struct origin_table *table,
                                   size_t limit, struct origin_progress *progress,
                                   struct error *err)
{
    struct origin_mariadb *self = (struct origin_mariadb *)origin;
    struct chunk chunk = {.session = &self->session, .table = &self->table};
    (void)table; /* the caller has read its catalogue */
    arena_init(&chunk.arena, CHUNK_BYTES_MAX);
    enum status status = chunk_read(&chunk, progress->rows > 0, limit, err);
    progress->rows += (int64_t)chunk.count;
    progress->done = chunk.count < limit && !chunk_full(&chunk);
    if (status == STATUS_OK)
        status = chunk_write(&chunk, err);
    arena_done(&chunk.arena);
    return status;
}

/* Reads what the catalogue says of a table, once. */
static enum status origin_mariadb_describe(struct origin_mariadb *self,
                                           const struct origin_table *table, struct error *err)
{
    if (self->table.base.entry == table->entry)
        return STATUS_OK;
    enum status status = capture_mariadb_check(
        self->session.handle, &(struct check){.entry = table->entry, .schema = table->schema},
        &self->table, err);
    if (status != STATUS_OK)
        self->table.base.entry = NULL;
    return status;
}

/* Whoever waits while it holds a thousand rows is in a deadlock soon, and the service might be the
 * one that is rolled back. So it waits for no row but one alone, while it holds none. */
enum status origin_mariadb_chunk(struct origin *origin, const struct origin_table *table,
                                 size_t limit, struct origin_progress *ret_progress,
                                 struct error *err)
{
    struct origin_mariadb *self = origin_mariadb_of(origin);
    enum status status = origin_mariadb_describe(self, table, err);
    for (size_t rows = limit; status == STATUS_OK; rows = rows > DIVISOR ? rows / DIVISOR : 1) {
        struct error held = ERROR_INIT;
        status = origin_sql_chunk(origin, table, rows, ret_progress, &held);
        if (status == STATUS_OK)
            break;
        if (held.native_code == ER_LOCK_WAIT_TIMEOUT && rows > 1)
            status = STATUS_OK;
        else if (err != NULL && err->status == STATUS_OK)
            *err = held;
    }
    return status;
}

static enum status origin_mariadb_write_key(struct origin_sql *origin,
                                            const struct origin_table *table, const char *text,
                                            struct buffer *sql, struct error *err)
{
    struct origin_mariadb *self = (struct origin_mariadb *)origin;
    enum status status = origin_mariadb_describe(self, table, err);
    if (status == STATUS_OK)
        capture_write_rows(sql, &self->table.base, text, &(struct capture_rows){0});
    return status;
}

static enum status origin_mariadb_query(struct origin_sql *origin, struct row_query *query,
                                        struct error *err)
{
    return mariadb_scan_run(((struct origin_mariadb *)origin)->session.handle, query, err);
}

static bool origin_mariadb_is_held(const struct error *err)
{
    return err->native_code == ER_LOCK_WAIT_TIMEOUT || err->native_code == ER_LOCK_DEADLOCK;
}

static bool origin_mariadb_lacks_right(const struct error *err)
{
    return mariadb_session_lacks_right((unsigned int)err->native_code);
}

const struct origin_key_database origin_mariadb_keys = {.row = SQL_CAPTURE_KEY_ROW,
                                                        .partition = SQL_CAPTURE_KEY_PARTITION,
                                                        .write = origin_mariadb_write_key,
                                                        .query = origin_mariadb_query,
                                                        .is_held = origin_mariadb_is_held,
                                                        .lacks_right = origin_mariadb_lacks_right};
