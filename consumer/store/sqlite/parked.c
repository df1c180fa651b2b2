/* The SQLite store's parked records and superseded images: the raw record whole. */
#include "consumer/store/sqlite/internal.h"

static enum status park_one(struct store_sqlite *self, struct parked_record *parked,
                            struct arena *arena, struct error *err)
{
    const struct record *record = &parked->record;
    struct slice headers;
    enum status status = store_record_headers(record, arena, &headers, err);
    struct slice reason = store_or_empty(parked->reason);
    struct slice type = store_or_empty(parked->entity_type);
    struct slice key = store_or_empty(parked->entity_key);
    if (status == STATUS_OK)
        status = store_sqlite_run(
            self, STATEMENT_PARKED_ADD,
            PARAMETERS(parameter_text(record->topic), parameter_integer(record->partition),
                       parameter_integer(record->offset), parameter_blob(record->key),
                       parameter_blob(record->value), parameter_blob(headers),
                       parameter_integer(parked->state), parameter_slice(reason),
                       parameter_integer(parked->code), parameter_integer(parked->attempts),
                       parameter_integer(parked->parked_at_us),
                       parameter_integer(parked->next_attempt_us)),
            NULL, err);
    if (status != STATUS_OK)
        return status;
    parked->parked_id = sqlite3_last_insert_rowid(self->database);
    return store_sqlite_run(self, STATEMENT_BLOCKED_ADD,
                            PARAMETERS(parameter_slice(type), parameter_slice(key),
                                       parameter_integer(parked->parked_id)),
                            NULL, err);
}

enum status store_sqlite_park(struct store *store, struct parked_record *records, size_t count,
                              struct error *err)
{
    struct arena arena;
    enum status status = STATUS_OK;
    arena_init(&arena, HEADERS_SIZE_MAX);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        status = park_one(store_sqlite_of(store), &records[i], &arena, err);
        arena_reset(&arena);
    }
    arena_done(&arena);
    return status;
}

enum status store_sqlite_read_parked(struct store *store, const struct parked_filter *filter,
                                     struct arena *arena, struct parked_record **ret_records,
                                     size_t *ret_count, struct error *err)
{
    struct store_sqlite *self = store_sqlite_of(store);
    sqlite3_stmt *statement = NULL;
    struct parked_list list = {0};
    bool row = false;
    int64_t limit = filter->limit == 0 ? -1 : (int64_t)filter->limit;
    bool entity = parked_filter_is_entity(filter);
    enum status status = store_sqlite_start(
        self, entity ? STATEMENT_PARKED_READ_ENTITY : STATEMENT_PARKED_READ,
        PARAMETERS(parameter_text(filter->topic), parameter_integer(filter->partition),
                   parameter_text(filter->entity_type), parameter_slice(filter->entity_key),
                   parameter_integer(filter->parked_id), parameter_integer(filter->from_offset),
                   parameter_integer(filter->due_us), parameter_integer(filter->without_value),
                   parameter_integer(filter->blocking), parameter_integer(limit)),
        &statement, &row, err);

    while (status == STATUS_OK && row) {
        struct store_row current = store_sqlite_row(statement);
        status = store_row_add_parked(&current, arena, &list, err);
        if (status == STATUS_OK)
            status = store_sqlite_next(self, statement, &row, err);
    }
    if (statement != NULL)
        (void)sqlite3_reset(statement);
    *ret_records = list.records;
    *ret_count = list.count;
    return status;
}

enum status store_sqlite_edit_parked(struct store *store, const struct parked_record *record,
                                     enum parked_edit edit, struct error *err)
{
    struct store_sqlite *self = store_sqlite_of(store);
    struct parameter id = parameter_integer(record->parked_id);
    bool skip = edit == PARKED_SET_SKIPPED;
    int64_t changes = 0;
    enum status status = STATUS_OK;

    if (skip || edit == PARKED_SET_WAITING)
        status = store_sqlite_run(self, STATEMENT_PARKED_REVISE, PARAMETERS(id), NULL, err);
    if (status == STATUS_OK && edit == PARKED_DELETE)
        status = store_sqlite_run(self, STATEMENT_BLOCKED_DELETE, PARAMETERS(id), NULL, err);
    if (status != STATUS_OK)
        return status;
    if (edit == PARKED_DELETE)
        status = store_sqlite_run(self, STATEMENT_PARKED_DELETE, PARAMETERS(id), &changes, err);
    else if (edit == PARKED_ATTEMPT)
        status = store_sqlite_run(self, STATEMENT_PARKED_ATTEMPT,
                                  PARAMETERS(id, parameter_integer(record->state),
                                             parameter_slice(store_or_empty(record->reason)),
                                             parameter_integer(record->code),
                                             parameter_integer(record->attempts),
                                             parameter_integer(record->next_attempt_us)),
                                  &changes, err);
    else
        status = store_sqlite_run(
            self, STATEMENT_PARKED_STATE,
            PARAMETERS(id, parameter_integer(skip ? PARKED_SKIPPED : PARKED_WAITING),
                       parameter_integer(skip ? record->next_attempt_us : 0)),
            &changes, err);
    if (status == STATUS_OK && changes == 0)
        status = error_set_native(err, STATUS_ABORT, 1, "parked record %lld is not there any more",
                                  (long long)record->parked_id);
    return status;
}

static enum status superseded_keep(struct store_sqlite *self, const struct superseded_image *image,
                                   struct error *err)
{
    const struct record *record = &image->record;
    struct arena arena;
    struct slice headers;
    arena_init(&arena, HEADERS_SIZE_MAX);
    enum status status = store_record_headers(record, &arena, &headers, err);
    if (status == STATUS_OK)
        status = store_sqlite_run(
            self, STATEMENT_SUPERSEDED_KEEP,
            PARAMETERS(parameter_slice(image->entity_type), parameter_slice(image->entity_key),
                       parameter_text(record->topic), parameter_integer(record->partition),
                       parameter_integer(record->offset), parameter_blob(record->key),
                       parameter_blob(record->value), parameter_blob(headers)),
            NULL, err);
    arena_done(&arena);
    return status;
}

enum status store_sqlite_superseded(struct store *store, enum superseded_edit edit,
                                    const struct superseded_image *image, struct arena *arena,
                                    struct superseded_image *ret_image, struct error *err)
{
    struct store_sqlite *self = store_sqlite_of(store);
    struct parameter type = parameter_slice(image->entity_type);
    struct parameter key = parameter_slice(image->entity_key);
    sqlite3_stmt *statement = NULL;
    bool row = false;

    if (edit == SUPERSEDED_KEEP)
        return superseded_keep(self, image, err);
    if (edit == SUPERSEDED_DROP)
        return store_sqlite_run(self, STATEMENT_SUPERSEDED_DROP, PARAMETERS(type, key), NULL, err);
    *ret_image = (struct superseded_image){0};
    enum status status;
    if (edit == SUPERSEDED_NEXT)
        status = store_sqlite_start(self, STATEMENT_SUPERSEDED_NEXT,
                                    PARAMETERS(parameter_text(image->record.topic),
                                               parameter_integer(image->record.partition),
                                               parameter_integer(image->record.offset)),
                                    &statement, &row, err);
    else
        status = store_sqlite_start(self, STATEMENT_SUPERSEDED_READ, PARAMETERS(type, key),
                                    &statement, &row, err);
    if (status == STATUS_OK && row) {
        struct store_row current = store_sqlite_row(statement);
        status = store_row_superseded(&current, arena, ret_image, err);
    }
    if (statement != NULL)
        (void)sqlite3_reset(statement);
    return status;
}
