/* The PostgreSQL store's parked records and superseded images: the raw record whole. */
#include "consumer/store_postgresql_internal.h"

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

static struct slice or_empty(struct slice text)
{
    return text.data == NULL ? slice_of("") : text;
}

static enum status park_send(struct store_postgresql *self, const struct parked_record *parked,
                             struct arena *arena, struct error *err)
{
    const struct record *record = &parked->record;
    struct slice headers;
    enum status status = record_headers(record, arena, &headers, err);
    if (status != STATUS_OK)
        return status;
    return store_postgresql_send(
        self, STATEMENT_PARKED_ADD,
        PARAMETERS(parameter_text(record->topic), parameter_integer(record->partition),
                   parameter_integer(record->offset), parameter_bytes(record->key),
                   parameter_bytes(record->value), parameter_bytes(headers),
                   parameter_integer(parked->state), parameter_slice(or_empty(parked->reason)),
                   parameter_integer(parked->code), parameter_integer(parked->attempts),
                   parameter_integer(parked->parked_at_us),
                   parameter_integer(parked->next_attempt_us),
                   parameter_slice(or_empty(parked->entity_type)),
                   parameter_slice(or_empty(parked->entity_key))),
        err);
}

#define HEADERS_SIZE_MAX ((size_t)64 * 1024 * 1024)
#define PARK_MAX         16 /* at a time: libpq keeps what it has not sent */

enum status store_postgresql_park(struct store *store, struct parked_record *records, size_t count,
                                  struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(store);
    struct arena arena;
    enum status status = store_postgresql_sync(self, NULL, err);
    arena_init(&arena, HEADERS_SIZE_MAX);
    for (size_t done = 0; status == STATUS_OK && done < count;) {
        size_t part = count - done > PARK_MAX ? PARK_MAX : count - done;
        for (size_t i = 0; status == STATUS_OK && i < part; i++) {
            status = park_send(self, &records[done + i], &arena, err);
            arena_reset(&arena);
        }
        if (status == STATUS_OK)
            status = store_postgresql_sync(self, NULL, err);
        for (size_t i = 0; status == STATUS_OK && i < part; i++)
            records[done + i].parked_id = store_postgresql_integer(self->queue[i].result, 0, 0);
        done += part;
    }
    arena_done(&arena);
    return status;
}

/* Six columns from `first` on: topic, partition, offset, key, value, headers. */
static enum status record_fill(const PGresult *result, int row, int first, struct arena *arena,
                               struct record *record, struct error *err)
{
    struct slice topic;
    struct slice headers;
    struct header *unpacked = NULL;

    record->partition = (int32_t)store_postgresql_integer(result, row, first + 1);
    record->offset = store_postgresql_integer(result, row, first + 2);
    if (!store_postgresql_keep(result, row, first, arena, &topic) ||
        !store_postgresql_keep(result, row, first + 3, arena, &record->key) ||
        !store_postgresql_keep(result, row, first + 4, arena, &record->value) ||
        !store_postgresql_keep(result, row, first + 5, arena, &headers))
        return out_of_memory(err);
    record->topic = topic.data;
    if (headers.data == NULL)
        return STATUS_OK;
    enum status status = headers_unpack(headers, arena, &unpacked, &record->header_count, err);
    record->headers = unpacked;
    return status;
}

static enum status parked_fill(const PGresult *result, int row, struct arena *arena,
                               struct parked_record *parked, struct error *err)
{
    *parked = (struct parked_record){.parked_id = store_postgresql_integer(result, row, 0)};
    parked->state = (enum parked_state)store_postgresql_integer(result, row, 9);
    parked->code = (int)store_postgresql_integer(result, row, 11);
    parked->attempts = (int)store_postgresql_integer(result, row, 12);
    parked->parked_at_us = store_postgresql_integer(result, row, 13);
    parked->next_attempt_us = store_postgresql_integer(result, row, 14);
    if (!store_postgresql_keep(result, row, 7, arena, &parked->entity_type) ||
        !store_postgresql_keep(result, row, 8, arena, &parked->entity_key) ||
        !store_postgresql_keep(result, row, 10, arena, &parked->reason))
        return out_of_memory(err);
    return record_fill(result, row, 1, arena, &parked->record, err);
}

enum status store_postgresql_read_parked(struct store *store, const struct parked_filter *filter,
                                         struct arena *arena, struct parked_record **ret_records,
                                         size_t *ret_count, struct error *err)
{
    const PGresult *result = NULL;
    bool heads = filter->heads_only || filter->due_us > 0;
    int64_t limit = filter->limit == 0 ? INT64_MAX : (int64_t)filter->limit;

    *ret_records = NULL;
    *ret_count = 0;
    enum status status = store_postgresql_run(
        store_postgresql_of(store), STATEMENT_PARKED_READ,
        PARAMETERS(parameter_text(filter->topic), parameter_integer(filter->partition),
                   parameter_text(filter->entity_type), parameter_text(filter->entity_key),
                   parameter_integer(filter->parked_id), parameter_integer(heads),
                   parameter_integer(filter->due_us), parameter_integer(limit)),
        &result, err);
    if (status != STATUS_OK)
        return status;
    size_t count = (size_t)PQntuples(result);
    struct parked_record *records = arena_alloc(arena, (count + 1) * sizeof *records);
    if (records == NULL)
        return out_of_memory(err);
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = parked_fill(result, (int)i, arena, &records[i], err);
    *ret_records = records;
    *ret_count = count;
    return status;
}

enum status store_postgresql_edit_parked(struct store *store, const struct parked_record *record,
                                         enum parked_edit edit, struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(store);
    struct parameter id = parameter_integer(record->parked_id);
    bool skip = edit == PARKED_SET_SKIPPED;
    const PGresult *result = NULL;
    enum status status = STATUS_OK;

    if (skip || edit == PARKED_SET_WAITING)
        status = store_postgresql_send(self, STATEMENT_PARKED_REVISE, PARAMETERS(id), err);
    if (status == STATUS_OK && (edit == PARKED_DELETE || skip))
        status = store_postgresql_send(self, STATEMENT_PARKED_PROMOTE, PARAMETERS(id), err);
    if (status == STATUS_OK && edit == PARKED_DELETE)
        status = store_postgresql_send(self, STATEMENT_BLOCKED_DELETE, PARAMETERS(id), err);
    if (status != STATUS_OK)
        return status;
    if (edit == PARKED_DELETE)
        status = store_postgresql_run(self, STATEMENT_PARKED_DELETE, PARAMETERS(id), &result, err);
    else if (edit == PARKED_ATTEMPT)
        status = store_postgresql_run(self, STATEMENT_PARKED_ATTEMPT,
                                      PARAMETERS(id, parameter_integer(record->state),
                                                 parameter_slice(or_empty(record->reason)),
                                                 parameter_integer(record->code),
                                                 parameter_integer(record->attempts),
                                                 parameter_integer(record->next_attempt_us)),
                                      &result, err);
    else
        status = store_postgresql_run(
            self, STATEMENT_PARKED_STATE,
            PARAMETERS(id, parameter_integer(skip ? PARKED_SKIPPED : PARKED_WAITING),
                       parameter_integer(skip ? record->next_attempt_us : 0)),
            &result, err);
    if (status == STATUS_OK && strcmp(PQcmdTuples((PGresult *)result), "0") == 0)
        status = error_set_native(err, STATUS_ABORT, 1, "parked record %lld is not there any more",
                                  (long long)record->parked_id);
    return status;
}

static enum status superseded_keep(struct store_postgresql *self,
                                   const struct superseded_image *image, struct error *err)
{
    const struct record *record = &image->record;
    struct arena arena;
    struct slice headers;
    arena_init(&arena, HEADERS_SIZE_MAX);
    enum status status = record_headers(record, &arena, &headers, err);
    if (status == STATUS_OK)
        status = store_postgresql_send(
            self, STATEMENT_SUPERSEDED_KEEP,
            PARAMETERS(parameter_slice(image->entity_type), parameter_slice(image->entity_key),
                       parameter_text(record->topic), parameter_integer(record->partition),
                       parameter_integer(record->offset), parameter_bytes(record->key),
                       parameter_bytes(record->value), parameter_bytes(headers)),
            err);
    arena_done(&arena);
    return status;
}

enum status store_postgresql_superseded(struct store *store, enum superseded_edit edit,
                                        const struct superseded_image *image, struct arena *arena,
                                        struct superseded_image *ret_image, struct error *err)
{
    struct store_postgresql *self = store_postgresql_of(store);
    struct parameter type = parameter_slice(image->entity_type);
    struct parameter key = parameter_slice(image->entity_key);
    const PGresult *result = NULL;

    if (edit == SUPERSEDED_KEEP)
        return superseded_keep(self, image, err);
    if (edit == SUPERSEDED_DROP)
        return store_postgresql_send(self, STATEMENT_SUPERSEDED_DROP, PARAMETERS(type, key), err);
    *ret_image = (struct superseded_image){0};
    enum status status;
    if (edit == SUPERSEDED_NEXT)
        status = store_postgresql_run(self, STATEMENT_SUPERSEDED_NEXT,
                                      PARAMETERS(parameter_text(image->record.topic),
                                                 parameter_integer(image->record.partition),
                                                 parameter_integer(image->record.offset)),
                                      &result, err);
    else
        status = store_postgresql_run(self, STATEMENT_SUPERSEDED_READ, PARAMETERS(type, key),
                                      &result, err);
    bool row = status == STATUS_OK && PQntuples(result) > 0;
    if (row && (!store_postgresql_keep(result, 0, 6, arena, &ret_image->entity_type) ||
                !store_postgresql_keep(result, 0, 7, arena, &ret_image->entity_key)))
        status = out_of_memory(err);
    if (row && status == STATUS_OK)
        status = record_fill(result, 0, 0, arena, &ret_image->record, err);
    return status;
}
