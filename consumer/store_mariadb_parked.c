/* The MariaDB store's parked records and superseded images: the raw record whole. */
#include "consumer/store_mariadb_internal.h"

static enum status out_of_memory(struct error *err)
{
    return error_set(err, STATUS_RETRY, "no memory for parked records");
}

/* Headers in one blob; none are NULL. */
static enum status record_headers(const struct record *record, struct arena *arena,
                                  struct slice *ret_blob, struct error *err)
{
    *ret_blob = (struct slice){0};
    if (record->header_count == 0)
        return STATUS_OK;
    *ret_blob = headers_pack(record->headers, record->header_count, arena);
    return ret_blob->data == NULL ? out_of_memory(err) : STATUS_OK;
}

static enum status park_one(struct store_mariadb *self, struct parked_record *parked,
                            struct arena *arena, struct error *err)
{
    const struct record *record = &parked->record;
    struct slice headers;
    enum status status = record_headers(record, arena, &headers, err);
    struct slice reason = parked->reason.data == NULL ? slice_of("") : parked->reason;
    struct slice type = parked->entity_type.data == NULL ? slice_of("") : parked->entity_type;
    struct slice key = parked->entity_key.data == NULL ? slice_of("") : parked->entity_key;
    if (status == STATUS_OK)
        status = store_mariadb_run(
            self, STATEMENT_PARKED_ADD,
            PARAMETERS(parameter_text(record->topic), parameter_integer(record->partition),
                       parameter_integer(record->offset), parameter_blob(record->key),
                       parameter_blob(record->value), parameter_blob(headers),
                       parameter_integer(parked->state), parameter_blob(reason),
                       parameter_integer(parked->code), parameter_integer(parked->attempts),
                       parameter_integer(parked->parked_at_us),
                       parameter_integer(parked->next_attempt_us)),
            NULL, err);
    if (status != STATUS_OK)
        return status;
    parked->parked_id = (int64_t)mysql_stmt_insert_id(
        self->statements[STATEMENT_PARKED_ADD].handle);
    return store_mariadb_run(self, STATEMENT_BLOCKED_ADD,
                             PARAMETERS(parameter_blob(type), parameter_blob(key),
                                        parameter_blob(type), parameter_blob(key),
                                        parameter_integer(parked->parked_id)),
                             NULL, err);
}

#define HEADERS_SIZE_MAX ((size_t)64 * 1024 * 1024)

enum status store_mariadb_park(struct store *store, struct parked_record *records, size_t count,
                               struct error *err)
{
    struct arena arena;
    enum status status = STATUS_OK;
    arena_init(&arena, HEADERS_SIZE_MAX);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        status = park_one(store_mariadb_of(store), &records[i], &arena, err);
        arena_reset(&arena);
    }
    arena_done(&arena);
    return status;
}

/* Six columns from `first` on: topic, partition, offset, key, value, headers. */
static enum status record_fill(struct statement *statement, size_t first, struct arena *arena,
                               struct record *record, struct error *err)
{
    struct slice topic;
    struct slice headers;
    struct header *unpacked = NULL;

    record->partition = (int)store_mariadb_integer(statement, first + 1);
    record->offset = store_mariadb_integer(statement, first + 2);
    if (!store_mariadb_keep(statement, first, arena, &topic) ||
        !store_mariadb_keep(statement, first + 3, arena, &record->key) ||
        !store_mariadb_keep(statement, first + 4, arena, &record->value) ||
        !store_mariadb_keep(statement, first + 5, arena, &headers))
        return out_of_memory(err);
    record->topic = topic.data;
    if (headers.data == NULL)
        return STATUS_OK;
    enum status status = headers_unpack(headers, arena, &unpacked, &record->header_count, err);
    record->headers = unpacked;
    return status;
}

static enum status parked_fill(struct statement *statement, struct arena *arena,
                               struct parked_record *parked, struct error *err)
{
    *parked = (struct parked_record){.parked_id = store_mariadb_integer(statement, 0)};
    parked->state = (enum parked_state)store_mariadb_integer(statement, 9);
    parked->code = (int)store_mariadb_integer(statement, 11);
    parked->attempts = (int)store_mariadb_integer(statement, 12);
    parked->parked_at_us = store_mariadb_integer(statement, 13);
    parked->next_attempt_us = store_mariadb_integer(statement, 14);
    if (!store_mariadb_keep(statement, 7, arena, &parked->entity_type) ||
        !store_mariadb_keep(statement, 8, arena, &parked->entity_key) ||
        !store_mariadb_keep(statement, 10, arena, &parked->reason))
        return out_of_memory(err);
    return record_fill(statement, 1, arena, &parked->record, err);
}

/* A place for one more record. */
static struct parked_record *parked_grow(struct arena *arena, struct parked_record **records,
                                         size_t count, size_t *size)
{
    if (count == *size) {
        size_t larger = *size == 0 ? 16 : *size * 2;
        struct parked_record *grown = arena_alloc(arena, larger * sizeof *grown);
        if (grown == NULL)
            return NULL;
        if (count > 0)
            memcpy(grown, *records, count * sizeof *grown);
        *records = grown;
        *size = larger;
    }
    return &(*records)[count];
}

enum status store_mariadb_read_parked(struct store *store, const struct parked_filter *filter,
                                      struct arena *arena, struct parked_record **ret_records,
                                      size_t *ret_count, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    struct statement *statement = NULL;
    struct parked_record *records = NULL;
    size_t count = 0;
    size_t size = 0;
    bool row = false;
    bool heads = filter->heads_only || filter->due_us > 0;
    int64_t limit = filter->limit == 0 ? INT64_MAX : (int64_t)filter->limit;
    struct parameter topic = parameter_text(filter->topic == NULL ? "" : filter->topic);
    struct parameter partition = parameter_integer(filter->partition);
    struct parameter type = parameter_bytes(filter->entity_type == NULL ? "" : filter->entity_type);
    struct parameter key = parameter_bytes(filter->entity_key == NULL ? "" : filter->entity_key);
    struct parameter id = parameter_integer(filter->parked_id);
    struct parameter due = parameter_integer(filter->due_us);
    enum status status = store_mariadb_start(
        self, STATEMENT_PARKED_READ,
        PARAMETERS(topic, topic, partition, partition,
                   parameter_integer(filter->entity_type != NULL), type,
                   parameter_integer(filter->entity_key != NULL), key, id, id, due, due,
                   parameter_integer(heads), parameter_integer(limit)),
        &statement, &row, err);

    while (status == STATUS_OK && row) {
        struct parked_record *parked = parked_grow(arena, &records, count, &size);
        status = parked == NULL ? out_of_memory(err) : parked_fill(statement, arena, parked, err);
        if (status == STATUS_OK) {
            count++;
            status = store_mariadb_next(statement, &row, err);
        }
    }
    store_mariadb_end(statement);
    store_mariadb_release(self);
    *ret_records = records;
    *ret_count = count;
    return status;
}

/* The next of the entity waits, where it stood behind this one. */
static enum status parked_promote(struct store_mariadb *self, struct parameter id,
                                  struct error *err)
{
    int64_t next = 0;
    enum status status = store_mariadb_number(self, STATEMENT_PARKED_NEXT, PARAMETERS(id, id), 0,
                                              &next, err);
    if (status != STATUS_OK || next == 0)
        return status;
    return store_mariadb_run(self, STATEMENT_PARKED_PROMOTE, PARAMETERS(parameter_integer(next)),
                             NULL, err);
}

enum status store_mariadb_edit_parked(struct store *store, const struct parked_record *record,
                                      enum parked_edit edit, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    struct parameter id = parameter_integer(record->parked_id);
    bool skip = edit == PARKED_SET_SKIPPED;
    int64_t changes = 0;
    enum status status = STATUS_OK;

    if (skip || edit == PARKED_SET_WAITING)
        status = store_mariadb_run(self, STATEMENT_PARKED_REVISE, PARAMETERS(id), NULL, err);
    if (status == STATUS_OK && (edit == PARKED_DELETE || skip))
        status = parked_promote(self, id, err);
    if (status == STATUS_OK && edit == PARKED_DELETE)
        status = store_mariadb_run(self, STATEMENT_BLOCKED_DELETE, PARAMETERS(id), NULL, err);
    if (status != STATUS_OK)
        return status;
    if (edit == PARKED_DELETE)
        status = store_mariadb_run(self, STATEMENT_PARKED_DELETE, PARAMETERS(id), &changes, err);
    else if (edit == PARKED_ATTEMPT)
        status = store_mariadb_run(
            self, STATEMENT_PARKED_ATTEMPT,
            PARAMETERS(parameter_integer(record->state),
                       parameter_blob(record->reason.data == NULL ? slice_of("") : record->reason),
                       parameter_integer(record->code), parameter_integer(record->attempts),
                       parameter_integer(record->next_attempt_us), id),
            &changes, err);
    else
        status = store_mariadb_run(
            self, STATEMENT_PARKED_STATE,
            PARAMETERS(parameter_integer(skip ? PARKED_SKIPPED : PARKED_WAITING),
                       parameter_integer(skip ? record->next_attempt_us : 0), id),
            &changes, err);
    if (status == STATUS_OK && changes == 0)
        status = error_set_native(err, STATUS_ABORT, 1, "parked record %lld is not there any more",
                                  (long long)record->parked_id);
    return status;
}

static enum status superseded_keep(struct store_mariadb *self, const struct superseded_image *image,
                                   struct error *err)
{
    const struct record *record = &image->record;
    struct arena arena;
    struct slice headers;
    arena_init(&arena, HEADERS_SIZE_MAX);
    enum status status = record_headers(record, &arena, &headers, err);
    if (status == STATUS_OK)
        status = store_mariadb_run(
            self, STATEMENT_SUPERSEDED_KEEP,
            PARAMETERS(parameter_blob(image->entity_type), parameter_blob(image->entity_key),
                       parameter_blob(image->entity_type), parameter_blob(image->entity_key),
                       parameter_text(record->topic), parameter_integer(record->partition),
                       parameter_integer(record->offset), parameter_blob(record->key),
                       parameter_blob(record->value), parameter_blob(headers)),
            NULL, err);
    arena_done(&arena);
    return status;
}

enum status store_mariadb_superseded(struct store *store, enum superseded_edit edit,
                                     const struct superseded_image *image, struct arena *arena,
                                     struct superseded_image *ret_image, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    struct parameter type = parameter_blob(image->entity_type);
    struct parameter key = parameter_blob(image->entity_key);
    struct statement *statement = NULL;
    bool row = false;

    if (edit == SUPERSEDED_KEEP)
        return superseded_keep(self, image, err);
    if (edit == SUPERSEDED_DROP)
        return store_mariadb_run(self, STATEMENT_SUPERSEDED_DROP, PARAMETERS(type, key), NULL, err);
    *ret_image = (struct superseded_image){0};
    enum status status;
    if (edit == SUPERSEDED_NEXT)
        status = store_mariadb_start(self, STATEMENT_SUPERSEDED_NEXT,
                                     PARAMETERS(parameter_text(image->record.topic),
                                                parameter_integer(image->record.partition),
                                                parameter_integer(image->record.offset)),
                                     &statement, &row, err);
    else
        status = store_mariadb_start(self, STATEMENT_SUPERSEDED_READ, PARAMETERS(type, key),
                                     &statement, &row, err);
    if (status == STATUS_OK && row &&
        (!store_mariadb_keep(statement, 6, arena, &ret_image->entity_type) ||
         !store_mariadb_keep(statement, 7, arena, &ret_image->entity_key)))
        status = out_of_memory(err);
    if (status == STATUS_OK && row)
        status = record_fill(statement, 0, arena, &ret_image->record, err);
    store_mariadb_end(statement);
    store_mariadb_release(self);
    return status;
}
