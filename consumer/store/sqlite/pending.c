/* How the SQLite store reads own changes that were not read back (rule 18). It remembers waiting
 * rows. There is one writer at a time, so new rows stand behind all rows that were read, and only
 * these need to be read the next time. */
#include "consumer/store/pending.h"
#include "consumer/store/sqlite/internal.h"

#include "common/digest.h"

#include <stdlib.h>

#define MEMORY_FIRST 1024
#define MEMORY_MAX   ((size_t)1 << 20) /* rows; if more wait, all are read each time */

/** The last waiting row of an entity. */
struct waiting {
    uint64_t digest;
    int64_t position; /* 0: a free place */
};

/** The waiting rows of one entity type, as far as they were read. */
struct pending_memory {
    struct pending_memory *next;
    const struct entity_schema *schema;
    char incarnation[STORE_TOKEN_SIZE]; /* of the outbox; another one is read from its first row */
    int64_t position;                   /* all rows up to this one were read */
    struct waiting *rows;
    size_t size;
    size_t count;
    size_t count_read; /* by the last reading from the first row on */
};

void store_sqlite_pending_done(struct store_sqlite *self)
{
    while (self->pending != NULL) {
        struct pending_memory *memory = self->pending;
        self->pending = memory->next;
        free(memory->rows);
        free(memory);
    }
}

static struct waiting *memory_place(const struct pending_memory *memory, uint64_t digest)
{
    size_t at = (size_t)digest % memory->size;
    while (memory->rows[at].position != 0 && memory->rows[at].digest != digest)
        at = (at + 1) % memory->size;
    return &memory->rows[at];
}

static void memory_clear(struct pending_memory *memory)
{
    free(memory->rows);
    memory->rows = NULL;
    memory->size = memory->count = memory->count_read = 0;
    memory->position = 0;
}

/* Make room for one more. At most half of the places are taken. */
static bool memory_grow(struct pending_memory *memory)
{
    struct pending_memory larger = {.size = memory->size == 0 ? MEMORY_FIRST : 2 * memory->size};
    if (2 * memory->count < memory->size)
        return true;
    larger.rows = calloc(larger.size, sizeof *larger.rows);
    if (larger.rows == NULL)
        return false;
    for (size_t i = 0; i < memory->size; i++) {
        if (memory->rows[i].position != 0)
            *memory_place(&larger, memory->rows[i].digest) = memory->rows[i];
    }
    free(memory->rows);
    memory->rows = larger.rows;
    memory->size = larger.size;
    return true;
}

static bool memory_note(struct pending_memory *memory, struct slice key, int64_t position)
{
    if (!memory_grow(memory))
        return false;
    struct waiting *place = memory_place(memory, digest_64(key));
    memory->count += place->position == 0;
    *place = (struct waiting){.digest = digest_64(key), .position = position};
    memory->position = position;
    return true;
}

static struct pending_memory *memory_of(struct store_sqlite *self,
                                        const struct entity_schema *schema)
{
    struct pending_memory *memory = self->pending;
    while (memory != NULL && memory->schema != schema)
        memory = memory->next;
    if (memory != NULL)
        return memory;
    memory = calloc(1, sizeof *memory);
    if (memory == NULL)
        return NULL;
    memory->schema = schema;
    memory->next = self->pending;
    self->pending = memory;
    return memory;
}

struct memory_reading {
    struct pending_memory *memory;
    struct arena scratch;
};

static enum status read_waiting(void *context, struct store_row *row, struct error *err)
{
    struct memory_reading *reading = context;
    struct slice key = row->bytes(row, 0);
    enum status status = pending_canonical(reading->memory->schema, &reading->scratch, &key, err);
    if (status == STATUS_OK && !memory_note(reading->memory, key, row->integer(row, 1)))
        status = error_set(err, STATUS_RETRY, "no memory for own changes that wait");
    arena_reset(&reading->scratch);
    return status;
}

/* Read the new rows. @return OK; RETRY. */
static enum status memory_read(struct store_sql *self, struct pending_memory *memory,
                               struct error *err)
{
    struct memory_reading reading = {.memory = memory};
    int64_t last = 0;
    bool first = memory->position == 0;
    arena_init(&reading.scratch, (size_t)1024 * 1024);
    enum status status = store_sql_number(self, SQL_CALL_PLAIN(PENDING_LAST), 0, &last, err);
    if (status == STATUS_OK)
        status = store_sql_query(self,
                                 SQL_CALL(PENDING_WAITING_NEW,
                                          parameter_text(memory->schema->entity_type),
                                          parameter_integer(memory->position)),
                                 read_waiting, &reading, err);
    arena_done(&reading.scratch);
    if (status == STATUS_OK && last > memory->position)
        memory->position = last; /* other types have the rows in between */
    if (first)
        memory->count_read = memory->count;
    return status;
}

enum { ROW_WAITS = 1, ROW_HAS_NUMBER = 0, ROW_GONE = -1 };

/* Ask whether the entity's last waiting row still waits. If it is gone, it may have been dropped
 * while earlier rows of the entity still wait. */
static enum status memory_ask(struct store_sql *self, const struct pending_memory *memory,
                              struct own_change *own, bool *ret_gone, struct error *err)
{
    int64_t state = ROW_HAS_NUMBER;
    if (memory->size == 0)
        return STATUS_OK;
    const struct waiting *place = memory_place(memory, digest_64(own->entity_key));
    if (place->position == 0)
        return STATUS_OK;
    enum status status = store_sql_number(
        self, SQL_CALL(PENDING_POSITION, parameter_integer(place->position)), ROW_GONE, &state,
        err);
    if (status == STATUS_OK && state == ROW_WAITS)
        own->sequence = OWN_UNNUMBERED;
    *ret_gone = *ret_gone || (status == STATUS_OK && state == ROW_GONE);
    return status;
}

static enum status memory_read_pending(struct store_sql *self, struct pending_memory *memory,
                                       struct pending_read *pending, struct error *err)
{
    bool gone = true;
    enum status status = STATUS_OK;
    for (int round = 0; round < 2 && gone && status == STATUS_OK; round++) {
        gone = false;
        if (round > 0 || memory->count > 2 * memory->count_read + MEMORY_FIRST)
            memory_clear(memory); /* most of its rows do not wait any more */
        status = memory_read(self, memory, err);
        for (size_t i = 0; i < pending->entity_count && status == STATUS_OK; i++) {
            if (slice_is(pending->entities[i].entity_type, memory->schema->entity_type))
                status = memory_ask(self, memory, &pending->entities[i], &gone, err);
        }
    }
    return status;
}

/* Use the memory, if possible. It is not used for rows of our own open transaction: if that is
 * rolled back, other rows get their positions. @return OK with whether the waiting rows are known.
 */
static enum status read_remembered(struct pending_pass *pass, bool *ret_known, struct error *err)
{
    struct store_sqlite *self = store_sqlite_of(pass->store);
    struct pending_memory *memory = memory_of(self, pass->range->schema);
    bool own_writes = self->has_written && !sqlite3_get_autocommit(self->database);
    struct store_meta meta;
    *ret_known = false;
    if (own_writes || memory == NULL)
        return STATUS_OK;
    enum status status = store_sql_meta(pass->store, &meta, err);
    if (status != STATUS_OK)
        return status;
    if (strcmp(meta.incarnation, memory->incarnation) != 0)
        memory_clear(memory);
    memcpy(memory->incarnation, meta.incarnation, sizeof memory->incarnation);
    if (memory->count >= MEMORY_MAX) {
        memory_clear(memory);
        return STATUS_OK;
    }
    *ret_known = true;
    return memory_read_pending(&self->sql, memory, pass->pending, err);
}

static enum status pending_read_rows(struct pending_pass *pass, struct error *err)
{
    bool known = false;
    enum status status = pass->numbered ? STATUS_OK : read_remembered(pass, &known, err);
    return status != STATUS_OK || known ? status : store_sql_pending_rows(pass, err);
}

enum status store_sqlite_read_pending(struct store *store, struct pending_read *pending,
                                      struct error *err)
{
    store_pending_begin(pending);
    if (!store_sql_of(store)->has_outbox)
        return STATUS_OK;
    return store_read_pending(
        store, pending, pending->entities == NULL ? store_sql_pending_rows : pending_read_rows,
        err);
}
