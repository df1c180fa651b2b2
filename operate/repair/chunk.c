/* From some entities that differ to the transactions that repair them. */
#include "operate/repair/chunk.h"

#include <stdlib.h>

#define CHUNK_ARENA_MAX ((size_t)256 * 1024 * 1024)
#define WRITE_ROWS_MAX  16 /* in one transaction, which the agent and the service wait for */

struct chunk {
    struct repair_writer *writer;
    struct repair_row rows[REPAIR_CHUNK_MAX];
    struct slice keys[REPAIR_CHUNK_MAX]; /* parallel, sorted */
    size_t count;
    int64_t *stamp; /* of the source */
    int32_t partition_count;
    struct log_follower follower;
    struct arena arena;
};

static const struct repair_options *chunk_options(const struct chunk *chunk)
{
    return chunk->writer->repair->options;
}

/* What fails at the source, or in the log, may be otherwise later. */
static void chunk_leave(const struct chunk *chunk, const char *reason)
{
    for (size_t i = 0; i < chunk->count; i++)
        repair_set(chunk->writer->repair, chunk->rows[i].entity, REPAIR_PENDING, reason);
}

/* By a key that is none no row can be asked for. */
static enum status chunk_add(struct chunk *chunk, struct repair_entity *entity, struct error *err)
{
    struct error why = ERROR_INIT;
    struct slice canonical = {0};
    enum status status = canonical_key(chunk_options(chunk)->mapping->schema, entity->key,
                                       &chunk->arena, &canonical, &why);
    if (status == STATUS_RETRY)
        return error_set(err, status, "%s", why.text);
    if (status == STATUS_OK && slice_equal(canonical, entity->key)) {
        chunk->rows[chunk->count] = (struct repair_row){.entity = entity,
                                                        .follower_key = chunk->count};
        chunk->keys[chunk->count++] = entity->key;
    } else {
        repair_set(chunk->writer->repair, entity, REPAIR_REFUSED, "the key is no entity's key");
    }
    return STATUS_OK;
}

static int chunk_compare(const void *left, const void *right)
{
    return slice_compare(*(const struct slice *)left, *(const struct slice *)right);
}

static struct repair_row *chunk_find(struct chunk *chunk, struct slice key)
{
    const struct slice *found = bsearch(&key, chunk->keys, chunk->count, sizeof key, chunk_compare);
    return found == NULL ? NULL : &chunk->rows[found - chunk->keys];
}

static enum status chunk_visit(void *context, const struct answered_row *answered,
                               struct error *err)
{
    struct chunk *chunk = context;
    struct repair_row *row = chunk_find(chunk, answered->key);
    if (row == NULL)
        return STATUS_OK;
    row->row = arena_copy(&chunk->arena, answered->is_too_large ? slice_of("{}") : answered->json);
    row->is_unfit = answered->is_unfit;
    row->unfit = answered->unfit;
    row->is_too_large = answered->is_too_large;
    return row->row.data == NULL ? error_set(err, STATUS_RETRY, "no memory for the rows")
                                 : STATUS_OK;
}

static enum status chunk_take_stamp(struct chunk *chunk, const struct stamp *stamp,
                                    struct error *err)
{
    int64_t limit = chunk_options(chunk)->limits->open_entities;
    if (stamp->incomparable != NULL)
        return error_set(err, STATUS_RETRY, "%s", stamp->incomparable);
    if (stamp->open_count > (uint64_t)limit)
        return error_set(err, STATUS_RETRY, "too many changes wait there");
    chunk->partition_count = stamp->partition_count;
    chunk->stamp = calloc((size_t)stamp->partition_count + 1, sizeof *chunk->stamp);
    if (chunk->stamp == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the partitions");
    for (int32_t p = 0; p < stamp->partition_count; p++)
        chunk->stamp[p] = stamp->offsets[p];
    for (size_t i = 0; i < stamp->open_count; i++) {
        struct repair_row *row = chunk_find(chunk, stamp->open[i].key);
        if (row != NULL)
            row->is_open_at_source = true;
    }
    return STATUS_OK;
}

/* Reads stamp, open entities and rows of the source in one snapshot (rule 32). */
static enum status chunk_read_source(struct chunk *chunk, struct error *err)
{
    struct participant *source = chunk_options(chunk)->source;
    struct row_columns columns;
    struct stamp stamp = {0};
    enum status status = source->ops->stamp(source, &stamp, err);
    if (status == STATUS_OK)
        status = row_columns_find(source->schema, source->schema, &columns, err);
    if (status == STATUS_OK)
        status = chunk_take_stamp(chunk, &stamp, err);
    const struct question question = {
        .columns = &columns, .keys = chunk->keys, .key_count = chunk->count, .with_json = true};
    if (status == STATUS_OK)
        status = source->ops->list(source, &question, chunk_visit, chunk, err);
    source->ops->end(source);
    if (status != STATUS_OK)
        error_prefix(err, "%s", source->name);
    return status;
}

static enum status chunk_follow(struct chunk *chunk, struct error *err)
{
    chunk->follower = (struct log_follower){.log = chunk_options(chunk)->log,
                                            .stamp = chunk->stamp,
                                            .partition_count = chunk->partition_count,
                                            .keys = chunk->keys,
                                            .key_count = chunk->count};
    enum status status = log_follower_init(&chunk->follower, err);
    return status == STATUS_OK ? log_follower_read(&chunk->follower, chunk->writer->positions, err)
                               : status;
}

/* Writes the rows that are to be deleted, or the others. */
static enum status chunk_write(struct chunk *chunk, bool deletes, struct error *err)
{
    enum status status = STATUS_OK;
    struct repair_row rows[WRITE_ROWS_MAX];
    size_t count = 0;
    for (size_t i = 0; status == STATUS_OK && i <= chunk->count; i++) {
        bool is_last = i == chunk->count;
        if (!is_last && (chunk->rows[i].row.data == NULL) == deletes)
            rows[count++] = chunk->rows[i];
        if (count == 0 || (!is_last && count < WRITE_ROWS_MAX))
            continue;
        status = repair_write(chunk->writer, &chunk->follower, rows, count, err);
        count = 0;
    }
    return status;
}

static enum status chunk_run(struct chunk *chunk, struct error *err)
{
    struct error why = ERROR_INIT;
    enum status status = repair_writer_positions(chunk->writer, &why);
    if (status == STATUS_OK)
        status = chunk_read_source(chunk, &why);
    if (status == STATUS_OK && chunk->partition_count != chunk->writer->partition_count)
        status = error_set(&why, STATUS_RETRY, "source and copy know another number of partitions");
    if (status == STATUS_OK)
        status = chunk_follow(chunk, &why);
    if (error_is_config(&why)) {
        *err = why;
        return status;
    }
    if (status != STATUS_OK) {
        chunk_leave(chunk, why.text);
        return STATUS_OK;
    }
    status = chunk_write(chunk, true, err);
    return status == STATUS_OK ? chunk_write(chunk, false, err) : status;
}

enum status repair_chunk(struct repair_writer *writer, struct repair_entity *const *entities,
                         size_t count, struct error *err)
{
    struct chunk *chunk = calloc(1, sizeof *chunk);
    enum status status = STATUS_OK;
    if (chunk == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the rows");
    chunk->writer = writer;
    arena_init(&chunk->arena, CHUNK_ARENA_MAX);
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        status = chunk_add(chunk, entities[i], err);
    if (status == STATUS_OK && chunk->count > 0)
        status = chunk_run(chunk, err);
    log_follower_done(&chunk->follower);
    arena_done(&chunk->arena);
    free(chunk->stamp);
    free(chunk);
    return status;
}
