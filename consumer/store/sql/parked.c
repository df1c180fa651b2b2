/* The SQL stores' parked records and superseded images. Each is kept as the whole Kafka record. */
#include "consumer/store/sql/session.h"

#define PARK_MAX                                                                                   \
    16 /* records sent at a time: the client library keeps in memory what it has not sent */

/* What finds a set: the first five parameters of each statement of sets. */
#define SET_PARAMETERS(parked, place)                                                              \
    parameter_text((parked)->record.topic), parameter_integer((parked)->record.partition),         \
        parameter_integer((int64_t)(parked)->changeset_end), parameter_raw((place).source),        \
        parameter_raw((place).incarnation)

static enum status read_parked_id(void *context, struct store_row *row, struct error *err)
{
    struct parked_record *parked = context;
    (void)err;
    parked->parked_id = row->integer(row, 0);
    return STATUS_OK;
}

static struct parameter changeset_end(const struct parked_record *parked)
{
    return parked->changeset_end == 0 ? parameter_slice((struct slice){0})
                                      : parameter_integer((int64_t)parked->changeset_end);
}

static enum status park_send(struct store_sql *self, struct parked_record *parked,
                             struct arena *arena, struct error *err)
{
    const struct record *record = &parked->record;
    struct parameter topic = parameter_text(record->topic);
    struct parameter partition = parameter_integer(record->partition);
    struct parameter offset = parameter_integer(record->offset);
    struct slice headers;
    struct record_sequence place = store_record_sequence(record);
    enum status status = store_record_headers(record, arena, &headers, err);
    if (status == STATUS_OK)
        status = store_sql_ask(
            self,
            SQL_CALL(PARKED_ADD, topic, partition, offset, parameter_bytes(record->key),
                     parameter_bytes(record->value), parameter_bytes(headers),
                     parameter_integer(parked->state),
                     parameter_raw(store_or_empty(parked->reason)), parameter_integer(parked->code),
                     parameter_integer(parked->attempts), parameter_integer(parked->parked_at_us),
                     parameter_integer(parked->next_attempt_us), parameter_raw(place.source),
                     parameter_raw(place.incarnation), parameter_integer(place.sequence),
                     changeset_end(parked)),
            read_parked_id, parked, err);
    if (status == STATUS_OK)
        status = store_sql_send(self,
                                SQL_CALL(BLOCKED_ADD, topic, partition, offset,
                                         parameter_raw(store_or_empty(parked->entity_type)),
                                         parameter_raw(store_or_empty(parked->entity_key))),
                                err);
    return status;
}

enum status store_sql_park(struct store *store, struct parked_record *records, size_t count,
                           struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    struct arena arena;
    enum status status = STATUS_OK;
    arena_init(&arena, HEADERS_SIZE_MAX);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        status = park_send(self, &records[i], &arena, err);
        arena_reset(&arena);
        if (status == STATUS_OK && (i + 1 == count || (i + 1) % PARK_MAX == 0))
            status = store_sql_wait(self, err);
    }
    arena_done(&arena);
    return status;
}

struct parked_reading {
    struct arena *arena;
    struct parked_records *parked;
};

static enum status read_parked(void *context, struct store_row *row, struct error *err)
{
    const struct parked_reading *reading = context;
    return store_row_add_parked(row, reading->arena, reading->parked, err);
}

enum status store_sql_read_parked(struct store *store, const struct parked_filter *filter,
                                  struct arena *arena, struct parked_records *ret_parked,
                                  struct error *err)
{
    struct parked_reading reading = {.arena = arena, .parked = ret_parked};
    int64_t limit = filter->limit == 0 ? INT64_MAX : (int64_t)filter->limit;
    struct sql_call call = SQL_CALL(
        PARKED_READ, parameter_text(filter->topic), parameter_integer(filter->partition),
        parameter_raw(slice_of(filter->entity_type)), parameter_raw(filter->entity_key),
        parameter_integer(filter->parked_id), parameter_integer(filter->from_offset),
        parameter_integer(filter->due_us), parameter_integer(filter->without_value),
        parameter_integer(filter->blocking), parameter_integer(limit));
    struct sql_call page = SQL_CALL(PARKED_READ_AFTER, parameter_integer(filter->after_id),
                                    parameter_integer(limit),
                                    parameter_integer(filter->without_value));
    if (parked_filter_is_entity(filter))
        call.id = STATEMENT_PARKED_READ_ENTITY;
    *ret_parked = (struct parked_records){0};
    if (filter->set_of != NULL) {
        struct record_sequence place = store_record_sequence(&filter->set_of->record);
        call = SQL_CALL(PARKED_READ_SET, SET_PARAMETERS(filter->set_of, place),
                        parameter_integer(filter->from_offset),
                        parameter_integer(filter->without_value), parameter_integer(limit));
        return store_sql_query(store_sql_of(store), call, read_parked, &reading, err);
    }
    return store_sql_query(store_sql_of(store), filter->by_id ? page : call, read_parked, &reading,
                           err);
}

static enum status attempt_send(struct store_sql *self, const struct parked_record *record,
                                int64_t *changes, struct error *err)
{
    struct sql_call call = SQL_CALL(
        PARKED_ATTEMPT, parameter_integer(record->parked_id), parameter_integer(record->state),
        parameter_raw(store_or_empty(record->reason)), parameter_integer(record->code),
        parameter_integer(record->attempts), parameter_integer(record->next_attempt_us));
    call.changes = changes;
    return store_sql_send(self, call, err);
}

static enum status delete_send(struct store_sql *self, const struct parked_record *record,
                               int64_t *changes, struct error *err)
{
    bool is_set = record->changeset_end != 0;
    struct parameter id = parameter_integer(record->parked_id);
    struct record_sequence place = store_record_sequence(&record->record);
    struct sql_call unblock_one = SQL_CALL(BLOCKED_DELETE, id);
    struct sql_call delete_one = SQL_CALL(PARKED_DELETE, id);
    struct sql_call unblock_set = SQL_CALL(BLOCKED_DELETE_SET, SET_PARAMETERS(record, place));
    struct sql_call delete_set = SQL_CALL(PARKED_DELETE_SET, SET_PARAMETERS(record, place));
    struct sql_call unblock = is_set ? unblock_set : unblock_one;
    struct sql_call call = is_set ? delete_set : delete_one;
    call.changes = changes;
    enum status status = store_sql_send(self, unblock, err);
    return status == STATUS_OK ? store_sql_send(self, call, err) : status;
}

/* An operator's command. */
static enum status state_send(struct store_sql *self, const struct parked_record *record,
                              bool skipped, int64_t *changes, struct error *err)
{
    struct parameter id = parameter_integer(record->parked_id);
    struct record_sequence place = store_record_sequence(&record->record);
    struct sql_call one = SQL_CALL(PARKED_STATE, id,
                                   parameter_integer(skipped ? PARKED_SKIPPED : PARKED_WAITING),
                                   parameter_integer(skipped ? record->next_attempt_us : 0));
    struct sql_call skip_set = SQL_CALL(PARKED_SKIP_SET, SET_PARAMETERS(record, place),
                                        parameter_integer(record->next_attempt_us));
    struct sql_call retry_set = SQL_CALL(PARKED_RETRY_SET, id);
    struct sql_call of_set = skipped ? skip_set : retry_set;
    struct sql_call call = record->changeset_end != 0 ? of_set : one;
    call.changes = changes;
    enum status status = store_sql_send(self, SQL_CALL(PARKED_REVISE, id), err);
    return status == STATUS_OK ? store_sql_send(self, call, err) : status;
}

enum status store_sql_edit_parked(struct store *store, const struct parked_record *record,
                                  enum parked_edit edit, struct error *err)
{
    struct store_sql *self = store_sql_of(store);
    int64_t changes = 0;
    enum status status;
    if (edit == PARKED_DELETE)
        status = delete_send(self, record, &changes, err);
    else if (edit == PARKED_ATTEMPT)
        status = attempt_send(self, record, &changes, err);
    else
        status = state_send(self, record, edit == PARKED_SET_SKIPPED, &changes, err);
    if (status == STATUS_OK)
        status = store_sql_wait(self, err);
    if (status == STATUS_OK && changes == 0)
        status = error_set_native(err, STATUS_ABORT, 1, "parked record %lld is not there any more",
                                  (long long)record->parked_id);
    return status;
}

enum status store_sql_keep_image(struct store *store, const struct superseded_image *image,
                                 struct error *err)
{
    const struct record *record = &image->record;
    struct arena arena;
    struct slice headers;
    arena_init(&arena, HEADERS_SIZE_MAX);
    enum status status = store_record_headers(record, &arena, &headers, err);
    if (status == STATUS_OK)
        status = store_sql_send(
            store_sql_of(store),
            SQL_CALL(SUPERSEDED_KEEP, parameter_raw(image->entity_type),
                     parameter_raw(image->entity_key), parameter_text(record->topic),
                     parameter_integer(record->partition), parameter_integer(record->offset),
                     parameter_bytes(record->key), parameter_bytes(record->value),
                     parameter_bytes(headers)),
            err);
    arena_done(&arena);
    return status;
}

struct image_reading {
    struct arena *arena;
    struct superseded_image *image;
};

static enum status read_image(void *context, struct store_row *row, struct error *err)
{
    const struct image_reading *reading = context;
    return store_row_image(row, reading->arena, reading->image, err);
}

enum status store_sql_read_image(struct store *store, const struct superseded_image *wanted,
                                 struct arena *arena, struct superseded_image *ret_image,
                                 struct error *err)
{
    struct image_reading reading = {.arena = arena, .image = ret_image};
    struct sql_call of_entity = SQL_CALL(SUPERSEDED_READ, parameter_raw(wanted->entity_type),
                                         parameter_raw(wanted->entity_key));
    struct sql_call next = SQL_CALL(SUPERSEDED_NEXT, parameter_text(wanted->record.topic),
                                    parameter_integer(wanted->record.partition),
                                    parameter_integer(wanted->record.offset));
    *ret_image = (struct superseded_image){0};
    return store_sql_query(store_sql_of(store), wanted->entity_type.data == NULL ? next : of_entity,
                           read_image, &reading, err);
}

enum status store_sql_drop_image(struct store *store, const struct superseded_image *image,
                                 struct error *err)
{
    return store_sql_send(store_sql_of(store),
                          SQL_CALL(SUPERSEDED_DROP, parameter_raw(image->entity_type),
                                   parameter_raw(image->entity_key)),
                          err);
}
