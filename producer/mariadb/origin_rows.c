/* Rows into the MariaDB outbox: those that were there before `init`, and those of `publish`. */
#include "producer/mariadb/origin_internal.h"
#include "producer_mariadb_sql.h"

#include <stdlib.h>

#define SQL_SIZE_MAX    ((size_t)4 * 1024 * 1024)
#define CHUNK_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define CHUNK_BYTES     ((size_t)8 * 1024 * 1024) /* a chunk that has read so much ends */
#define DIVISOR         10
#define EVENT_COLUMNS   6
#define KEY_FROM        3 /* the key's columns stand behind key, payload and partition key */

enum status origin_mariadb_progress(struct origin *origin, const char *entity_type,
                                    struct origin_progress *ret_progress, struct error *err)
{
    struct mariadb_statement *statement = NULL;
    const struct mariadb_parameter values[] = {mariadb_string(entity_type),
                                               mariadb_string(entity_type)};
    bool row = false;
    *ret_progress = (struct origin_progress){0};
    enum status status = mariadb_statement_new(origin_mariadb_of(origin)->session, "outbox",
                                               SQL_READ_PROGRESS, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_query(statement, values, 2, &row, err);
    if (status == STATUS_OK && row)
        *ret_progress = (struct origin_progress){
            .rows = mariadb_statement_integer(statement, 0),
            .done = mariadb_statement_integer(statement, 1) != 0,
            .published = mariadb_statement_integer(statement, 2) != 0};
    mariadb_statement_free(statement);
    return status;
}

/* The rows of one chunk, in the arena. */
struct chunk {
    MYSQL *session;
    const struct capture_mariadb *table;
    struct arena arena;
    struct mariadb_parameter *events; /* EVENT_COLUMNS a row, as SQL_WRITE_EVENT has them */
    struct slice *place;              /* key of the last row */
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
    struct mariadb_statement *statement = NULL;
    struct mariadb_parameter type = mariadb_string(chunk->table->base.entry->entity_type);
    size_t keys = chunk->table->base.schema->key_count;
    size_t found = 0;
    bool row = true;
    struct slice *place = arena_alloc(&chunk->arena, keys * sizeof *place);
    struct mariadb_parameter *values = arena_alloc(&chunk->arena,
                                                   (keys * (keys + 1) / 2 + 1) * sizeof *values);
    if (place == NULL || values == NULL)
        return chunk_no_memory(err);
    enum status status = mariadb_statement_new(chunk->session, "outbox", SQL_READ_PLACE, &statement,
                                               err);
    if (status == STATUS_OK)
        status = mariadb_statement_run(statement, &type, 1, NULL, err);
    while (status == STATUS_OK && row) {
        status = mariadb_statement_next(statement, &row, err);
        if (status != STATUS_OK || !row)
            break;
        if (found == keys || !mariadb_statement_text(statement, 0, &chunk->arena, &place[found]))
            status = error_set(err, STATUS_FATAL, "keepstep_existing_key was changed by hand");
        found++;
    }
    mariadb_statement_free(statement);
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
    struct mariadb_parameter *event = &chunk->events[chunk->count * EVENT_COLUMNS];
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
    event[0] = mariadb_text(type);
    event[1] = mariadb_text(texts[0]);
    event[2] = mariadb_text(read);
    event[3] = mariadb_text(texts[1]);
    event[4] = (struct mariadb_parameter){.kind = MARIADB_NULL};
    event[5] = mariadb_text(texts[2]);
    chunk->count++;
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
    capture_mariadb_existing(&text, chunk->table,
                             &(struct capture_rows){.resumed = resumed, .waits = limit == 1});
    chunk->events = arena_alloc(&chunk->arena, limit * EVENT_COLUMNS * sizeof *chunk->events);
    chunk->place = arena_alloc(&chunk->arena,
                               chunk->table->base.schema->key_count * sizeof *chunk->place);
    enum status status = chunk_parameters(chunk, limit, &values, &count, err);
    if (status == STATUS_OK &&
        (text.failed || read.data == NULL || chunk->events == NULL || chunk->place == NULL))
        status = chunk_no_memory(err);
    if (status == STATUS_OK)
        status = mariadb_statement_new(chunk->session, "outbox", buffer_text(&text), &rows, err);
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

static enum status chunk_rows(MYSQL *session, const char *sql,
                              const struct mariadb_parameter *values, size_t columns, size_t count,
                              struct error *err)
{
    struct mariadb_statement *statement = NULL;
    enum status status = mariadb_statement_new(session, "outbox", sql, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_run_rows(
            statement, (struct mariadb_rows){values, columns, count}, NULL, err);
    mariadb_statement_free(statement);
    return status;
}

static enum status chunk_write(struct chunk *chunk, bool done, struct error *err)
{
    size_t keys = chunk->count > 0 ? chunk->table->base.schema->key_count : 0;
    struct mariadb_parameter type = mariadb_string(chunk->table->base.entry->entity_type);
    const struct mariadb_parameter progress[] = {mariadb_integer((int64_t)chunk->count),
                                                 mariadb_integer(done), type};
    struct mariadb_parameter *places = arena_alloc(&chunk->arena, (keys + 1) * 3 * sizeof *places);
    if (places == NULL)
        return chunk_no_memory(err);
    for (size_t i = 0; i < keys; i++) {
        places[i * 3] = type;
        places[i * 3 + 1] = mariadb_integer((int64_t)i);
        places[i * 3 + 2] = (struct mariadb_parameter){.kind = MARIADB_BYTES,
                                                       .text = chunk->place[i]};
    }
    enum status status = chunk_rows(chunk->session, SQL_WRITE_EVENT, chunk->events, EVENT_COLUMNS,
                                    chunk->count, err);
    if (status == STATUS_OK)
        status = chunk_rows(chunk->session, SQL_WRITE_PLACE, places, 3, keys, err);
    if (status == STATUS_OK)
        status = mariadb_statement_once(chunk->session, SQL_WRITE_PROGRESS, progress, 3, err);
    return status;
}

static enum status origin_mariadb_chunk_once(struct origin *origin,
                                             const struct capture_mariadb *table, size_t limit,
                                             struct origin_progress *ret_progress,
                                             struct error *err)
{
    struct chunk chunk = {.session = origin_mariadb_of(origin)->session, .table = table};
    struct mariadb_parameter type = mariadb_string(table->base.entry->entity_type);
    struct origin_progress progress = {0};
    arena_init(&chunk.arena, CHUNK_BYTES_MAX);
    enum status status = origin_mariadb_begin(origin, err);
    if (status == STATUS_OK)
        status = mariadb_statement_once(chunk.session, SQL_HOLD_PROGRESS, &type, 1, err);
    if (status == STATUS_OK)
        status = origin_mariadb_progress(origin, table->base.entry->entity_type, &progress, err);
    if (status == STATUS_OK && !progress.done) {
        status = chunk_read(&chunk, progress.rows > 0, limit, err);
        progress.rows += (int64_t)chunk.count;
        progress.done = chunk.count < limit && !chunk_full(&chunk);
        if (status == STATUS_OK)
            status = chunk_write(&chunk, progress.done, err);
    }
    if (status == STATUS_OK)
        status = origin_mariadb_commit(origin, err);
    if (status == STATUS_OK)
        *ret_progress = progress;
    origin_mariadb_rollback(origin);
    arena_done(&chunk.arena);
    return status;
}

/* Whoever waits while it holds a thousand rows is in a deadlock soon, and the service might be the
 * one that is rolled back. So it waits for no row but one alone, while it holds none. */
enum status origin_mariadb_chunk(struct origin *origin, const struct config_entry *entry,
                                 const struct entity_schema *schema, size_t limit,
                                 struct origin_progress *ret_progress, struct error *err)
{
    struct origin_mariadb *self = origin_mariadb_of(origin);
    enum status status = STATUS_OK;
    if (self->table.base.entry != entry)
        status = capture_mariadb_check(
            self->session, &(struct check){.entry = entry, .schema = schema}, &self->table, err);
    if (status != STATUS_OK)
        self->table.base.entry = NULL;
    for (size_t rows = limit; status == STATUS_OK; rows = rows > DIVISOR ? rows / DIVISOR : 1) {
        struct error held = ERROR_INIT;
        status = origin_mariadb_chunk_once(origin, &self->table, rows, ret_progress, &held);
        if (status == STATUS_OK)
            break;
        if (held.native_code == ER_LOCK_WAIT_TIMEOUT && rows > 1)
            status = STATUS_OK;
        else if (err != NULL && err->status == STATUS_OK)
            *err = held;
    }
    return status;
}

enum status origin_mariadb_captured(struct origin *origin, const char *entity_type,
                                    struct arena *arena, struct origin_captured *ret_captured,
                                    struct error *err)
{
    struct mariadb_statement *statement = NULL;
    struct mariadb_parameter type = mariadb_string(entity_type);
    bool row = false;
    *ret_captured = (struct origin_captured){0};
    enum status status = mariadb_statement_new(origin_mariadb_of(origin)->session, "outbox",
                                               SQL_READ_CAPTURED, &statement, err);
    if (status == STATUS_OK)
        status = mariadb_statement_query(statement, &type, 1, &row, err);
    if (status == STATUS_OK && row &&
        !(mariadb_statement_text(statement, 0, arena, &ret_captured->mapped) &&
          mariadb_statement_text(statement, 1, arena, &ret_captured->news) &&
          mariadb_statement_text(statement, 2, arena, &ret_captured->partition_key)))
        status = error_set(err, STATUS_RETRY, "no memory");
    mariadb_statement_free(statement);
    return status;
}

enum status origin_mariadb_write_captured(struct origin *origin, const char *entity_type,
                                          const struct origin_captured *captured, struct error *err)
{
    const struct mariadb_parameter values[] = {
        mariadb_string(entity_type), mariadb_text(captured->mapped), mariadb_text(captured->news),
        mariadb_text(captured->partition_key)};
    return mariadb_statement_once(origin_mariadb_of(origin)->session, SQL_WRITE_CAPTURED, values, 4,
                                  err);
}

enum status origin_mariadb_republish(struct origin *origin, const char *entity_type,
                                     struct error *err)
{
    static const char *const steps[] = {SQL_REPUBLISH_KEYS, SQL_REPUBLISH_PROGRESS,
                                        SQL_REPUBLISH_NEWS};
    struct mariadb_parameter type = mariadb_string(entity_type);
    enum status status = origin_mariadb_begin(origin, err);
    for (size_t i = 0; status == STATUS_OK && i < sizeof steps / sizeof *steps; i++)
        status = mariadb_statement_once(origin_mariadb_of(origin)->session, steps[i], &type, 1,
                                        err);
    if (status == STATUS_OK)
        status = origin_mariadb_commit(origin, err);
    origin_mariadb_rollback(origin);
    return status;
}

enum status origin_mariadb_write(struct origin *origin, const struct origin_event *events,
                                 size_t count, struct error *err)
{
    MYSQL *session = origin_mariadb_of(origin)->session;
    struct mariadb_parameter *values = calloc(count + 1, EVENT_COLUMNS * sizeof *values);
    if (values == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    for (size_t i = 0; i < count; i++) {
        const struct slice texts[EVENT_COLUMNS] = {events[i].entity_type, events[i].entity_key,
                                                   events[i].type,        events[i].payload,
                                                   events[i].traceparent, events[i].partition_key};
        for (size_t t = 0; t < EVENT_COLUMNS; t++)
            values[i * EVENT_COLUMNS + t] = mariadb_text(texts[t]);
    }
    enum status status = origin_mariadb_begin(origin, err);
    if (status == STATUS_OK)
        status = chunk_rows(session, SQL_WRITE_EVENT, values, EVENT_COLUMNS, count, err);
    if (status == STATUS_OK)
        status = origin_mariadb_commit(origin, err);
    origin_mariadb_rollback(origin);
    free(values);
    return status;
}
