/* The PostgreSQL store's parked records and superseded images: the raw record whole. */
#include "consumer/store/postgresql/internal.h"

static enum status park_send(struct store_postgresql *self, const struct parked_record *parked,
                             struct arena *arena, struct error *err)
{
    const struct record *record = &parked->record;
    struct slice headers;
    enum status status = store_record_headers(record, arena, &headers, err);
    if (status != STATUS_OK)
        return status;
    return store_postgresql_send(
        self, STATEMENT_PARKED_ADD,
        PARAMETERS(parameter_text(record->topic), parameter_integer(record->partition),
                   parameter_integer(record->offset), parameter_bytes(record->key),
                   parameter_bytes(record->value), parameter_bytes(headers),
                   parameter_integer(parked->state),
                   parameter_slice(store_or_empty(parked->reason)), parameter_integer(parked->code),
                   parameter_integer(parked->attempts), parameter_integer(parked->parked_at_us),
                   parameter_integer(parked->next_attempt_us),
                   parameter_slice(store_or_empty(parked->entity_type)),
                   parameter_slice(store_or_empty(parked->entity_key))),
        err);
}

#define PARK_MAX 16 /* at a time: libpq keeps what it has not sent */

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

enum status store_postgresql_read_parked(struct store *store, const struct parked_filter *filter,
                                         struct arena *arena, struct parked_record **ret_records,
                                         size_t *ret_count, struct error *err)
{
    const PGresult *result = NULL;
    struct parked_list list = {0};
    int64_t limit = filter->limit == 0 ? INT64_MAX : (int64_t)filter->limit;

    *ret_records = NULL;
    *ret_count = 0;
    enum status status = store_postgresql_run(
        store_postgresql_of(store),
        parked_filter_is_entity(filter) ? STATEMENT_PARKED_READ_ENTITY : STATEMENT_PARKED_READ,
        PARAMETERS(parameter_text(filter->topic), parameter_integer(filter->partition),
                   parameter_text(filter->entity_type), parameter_slice(filter->entity_key),
                   parameter_integer(filter->parked_id), parameter_integer(filter->from_offset),
                   parameter_integer(filter->due_us), parameter_integer(filter->without_value),
                   parameter_integer(filter->blocking), parameter_integer(limit)),
        &result, err);
    if (status != STATUS_OK)
        return status;
    for (int i = 0; i < PQntuples(result) && status == STATUS_OK; i++) {
        struct store_row row = store_postgresql_row(result, i);
        status = store_row_add_parked(&row, arena, &list, err);
    }
    *ret_records = list.records;
    *ret_count = list.count;
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
    if (status == STATUS_OK && edit == PARKED_DELETE)
        status = store_postgresql_send(self, STATEMENT_BLOCKED_DELETE, PARAMETERS(id), err);
    if (status != STATUS_OK)
        return status;
    if (edit == PARKED_DELETE)
        status = store_postgresql_run(self, STATEMENT_PARKED_DELETE, PARAMETERS(id), &result, err);
    else if (edit == PARKED_ATTEMPT)
        status = store_postgresql_run(self, STATEMENT_PARKED_ATTEMPT,
                                      PARAMETERS(id, parameter_integer(record->state),
                                                 parameter_slice(store_or_empty(record->reason)),
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
    enum status status = store_record_headers(record, &arena, &headers, err);
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
    if (status == STATUS_OK && PQntuples(result) > 0) {
        struct store_row row = store_postgresql_row(result, 0);
        status = store_row_superseded(&row, arena, ret_image, err);
    }
    return status;
}
