/* The MariaDB store's parked records and superseded images: the raw record whole. */
#include "consumer/store/mariadb/internal.h"

static enum status park_one(struct store_mariadb *self, struct parked_record *parked,
                            struct arena *arena, struct error *err)
{
    const struct record *record = &parked->record;
    struct slice headers;
    enum status status = store_record_headers(record, arena, &headers, err);
    struct slice reason = store_or_empty(parked->reason);
    struct slice type = store_or_empty(parked->entity_type);
    struct slice key = store_or_empty(parked->entity_key);
    if (status == STATUS_OK)
        status = store_mariadb_run(
            self, STATEMENT_PARKED_ADD,
            PARAMETERS(mariadb_string(record->topic), mariadb_integer(record->partition),
                       mariadb_integer(record->offset), mariadb_bytes(record->key),
                       mariadb_bytes(record->value), mariadb_bytes(headers),
                       mariadb_integer(parked->state), mariadb_bytes(reason),
                       mariadb_integer(parked->code), mariadb_integer(parked->attempts),
                       mariadb_integer(parked->parked_at_us),
                       mariadb_integer(parked->next_attempt_us)),
            NULL, err);
    if (status != STATUS_OK)
        return status;
    parked->parked_id = (int64_t)mysql_insert_id(self->session);
    return store_mariadb_run(self, STATEMENT_BLOCKED_ADD,
                             PARAMETERS(mariadb_bytes(type), mariadb_bytes(key),
                                        mariadb_bytes(type), mariadb_bytes(key),
                                        mariadb_integer(parked->parked_id)),
                             NULL, err);
}

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

/* Of many records, or of one entity in one partition. */
static enum status parked_start(struct store_mariadb *self, const struct parked_filter *filter,
                                struct mariadb_statement **ret_statement, bool *ret_row,
                                struct error *err)
{
    struct mariadb_parameter topic = mariadb_text(
        slice_of(filter->topic == NULL ? "" : filter->topic));
    struct mariadb_parameter partition = mariadb_integer(filter->partition);
    struct mariadb_parameter type = mariadb_bytes(
        slice_of(filter->entity_type == NULL ? "" : filter->entity_type));
    struct mariadb_parameter key = mariadb_bytes(store_or_empty(filter->entity_key));
    struct mariadb_parameter id = mariadb_integer(filter->parked_id);
    struct mariadb_parameter from = mariadb_integer(filter->from_offset);
    struct mariadb_parameter due = mariadb_integer(filter->due_us);
    struct mariadb_parameter without = mariadb_integer(filter->without_value);
    struct mariadb_parameter blocking = mariadb_integer(filter->blocking);
    struct mariadb_parameter limit = mariadb_integer(filter->limit == 0 ? INT64_MAX
                                                                        : (int64_t)filter->limit);
    if (parked_filter_is_entity(filter))
        return store_mariadb_start(self, STATEMENT_PARKED_READ_ENTITY,
                                   PARAMETERS(without, type, key, topic, partition, id, id, from,
                                              due, due, blocking, limit),
                                   ret_statement, ret_row, err);
    return store_mariadb_start(self, STATEMENT_PARKED_READ,
                               PARAMETERS(without, topic, topic, partition, partition,
                                          mariadb_integer(filter->entity_type != NULL), type,
                                          mariadb_integer(filter->entity_key.data != NULL), key, id,
                                          id, from, due, due, blocking, limit),
                               ret_statement, ret_row, err);
}

enum status store_mariadb_read_parked(struct store *store, const struct parked_filter *filter,
                                      struct arena *arena, struct parked_record **ret_records,
                                      size_t *ret_count, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    struct mariadb_statement *statement = NULL;
    struct parked_list list = {0};
    bool row = false;
    enum status status = parked_start(self, filter, &statement, &row, err);
    while (status == STATUS_OK && row) {
        struct store_row current = store_mariadb_row(statement);
        status = store_row_add_parked(&current, arena, &list, err);
        if (status == STATUS_OK)
            status = mariadb_statement_next(statement, &row, err);
    }
    mariadb_statement_end(statement);
    store_mariadb_release(self);
    *ret_records = list.records;
    *ret_count = list.count;
    return status;
}

enum status store_mariadb_edit_parked(struct store *store, const struct parked_record *record,
                                      enum parked_edit edit, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    struct mariadb_parameter id = mariadb_integer(record->parked_id);
    bool skip = edit == PARKED_SET_SKIPPED;
    uint64_t changes = 0;
    enum status status = STATUS_OK;

    if (skip || edit == PARKED_SET_WAITING)
        status = store_mariadb_run(self, STATEMENT_PARKED_REVISE, PARAMETERS(id, id), NULL, err);
    if (status == STATUS_OK && edit == PARKED_DELETE)
        status = store_mariadb_run(self, STATEMENT_BLOCKED_DELETE, PARAMETERS(id), NULL, err);
    if (status != STATUS_OK)
        return status;
    if (edit == PARKED_DELETE)
        status = store_mariadb_run(self, STATEMENT_PARKED_DELETE, PARAMETERS(id), &changes, err);
    else if (edit == PARKED_ATTEMPT)
        status = store_mariadb_run(self, STATEMENT_PARKED_ATTEMPT,
                                   PARAMETERS(mariadb_integer(record->state),
                                              mariadb_bytes(store_or_empty(record->reason)),
                                              mariadb_integer(record->code),
                                              mariadb_integer(record->attempts),
                                              mariadb_integer(record->next_attempt_us), id),
                                   &changes, err);
    else
        status = store_mariadb_run(
            self, STATEMENT_PARKED_STATE,
            PARAMETERS(mariadb_integer(skip ? PARKED_SKIPPED : PARKED_WAITING),
                       mariadb_integer(skip ? record->next_attempt_us : 0), id),
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
    enum status status = store_record_headers(record, &arena, &headers, err);
    if (status == STATUS_OK)
        status = store_mariadb_run(
            self, STATEMENT_SUPERSEDED_KEEP,
            PARAMETERS(mariadb_bytes(image->entity_type), mariadb_bytes(image->entity_key),
                       mariadb_bytes(image->entity_type), mariadb_bytes(image->entity_key),
                       mariadb_string(record->topic), mariadb_integer(record->partition),
                       mariadb_integer(record->offset), mariadb_bytes(record->key),
                       mariadb_bytes(record->value), mariadb_bytes(headers)),
            NULL, err);
    arena_done(&arena);
    return status;
}

enum status store_mariadb_superseded(struct store *store, enum superseded_edit edit,
                                     const struct superseded_image *image, struct arena *arena,
                                     struct superseded_image *ret_image, struct error *err)
{
    struct store_mariadb *self = store_mariadb_of(store);
    struct mariadb_parameter type = mariadb_bytes(image->entity_type);
    struct mariadb_parameter key = mariadb_bytes(image->entity_key);
    struct mariadb_statement *statement = NULL;
    bool row = false;

    if (edit == SUPERSEDED_KEEP)
        return superseded_keep(self, image, err);
    if (edit == SUPERSEDED_DROP)
        return store_mariadb_run(self, STATEMENT_SUPERSEDED_DROP, PARAMETERS(type, key), NULL, err);
    *ret_image = (struct superseded_image){0};
    enum status status;
    if (edit == SUPERSEDED_NEXT)
        status = store_mariadb_start(self, STATEMENT_SUPERSEDED_NEXT,
                                     PARAMETERS(mariadb_string(image->record.topic),
                                                mariadb_integer(image->record.partition),
                                                mariadb_integer(image->record.offset)),
                                     &statement, &row, err);
    else
        status = store_mariadb_start(self, STATEMENT_SUPERSEDED_READ, PARAMETERS(type, key),
                                     &statement, &row, err);
    if (status == STATUS_OK && row) {
        struct store_row current = store_mariadb_row(statement);
        status = store_row_superseded(&current, arena, ret_image, err);
    }
    mariadb_statement_end(statement);
    store_mariadb_release(self);
    return status;
}
