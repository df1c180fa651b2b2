/* Reads foreign records: gets key, operation and row, in our columns' forms, out of each format. */
#include "schemas/record/foreign.h"

#include "common/clock.h"
#include "schemas/record/description.h"
#include "schemas/record/format.h"

static const char *const record_format_names[] = {
    [FORMAT_KEEPSTEP] = "keepstep",
    [FORMAT_DEBEZIUM] = "debezium",
    [FORMAT_CLOUDEVENTS] = "cloudevents",
    [FORMAT_JSON] = "json",
};

const char *record_format_name(enum record_format format)
{
    return record_format_names[format];
}

bool record_format_parse(const char *name, enum record_format *ret_format)
{
    for (size_t i = 0; i < sizeof record_format_names / sizeof *record_format_names; i++) {
        if (strcmp(name, record_format_names[i]) == 0) {
            *ret_format = (enum record_format)i;
            return true;
        }
    }
    return false;
}

/* What a foreign record says. The row is borrowed from the value. */
struct foreign {
    const json_t *fields; /* Kafka Connect's description of Debezium's row */
    json_t *row;          /* NULL: deleted */
    enum change_op op;
};

static enum status foreign_copy_text(const json_t *object, const char *name, struct arena *arena,
                                     struct slice *ret_text, struct error *err)
{
    const json_t *text = json_object_get(object, name);
    if (!json_is_string(text))
        return error_set(err, STATUS_REJECT, "value: \"%s\" is not a string", name);
    *ret_text = arena_copy(
        arena, (struct slice){.data = json_string_value(text), .length = json_string_length(text)});
    return ret_text->data != NULL ? STATUS_OK : error_set(err, STATUS_RETRY, "batch arena full");
}

static enum status foreign_read_debezium(const json_t *json, struct foreign *foreign,
                                         struct error *err)
{
    const json_t *payload = debezium_payload(json);
    const char *op = json_string_value(json_object_get(payload, "op"));
    if (op == NULL)
        return error_set(err, STATUS_REJECT,
                         "value: no \"op\"; format debezium needs Debezium's envelope; an "
                         "unwrapped row is format json");
    if (strcmp(op, "t") == 0)
        return error_set(err, STATUS_STOP,
                         "the source table was truncated, which names no row: empty the local "
                         "table by hand, then let the partition go on");
    if (strcmp(op, "d") == 0)
        return STATUS_OK;
    if (strcmp(op, "c") == 0)
        foreign->op = CHANGE_CREATE;
    else if (strcmp(op, "u") == 0)
        foreign->op = CHANGE_UPDATE;
    else if (strcmp(op, "r") == 0)
        foreign->op = CHANGE_READ;
    else
        return error_set(err, STATUS_REJECT, "value: \"op\" is not one of c, u, d, r, t");
    foreign->fields = debezium_fields(json, "after");
    foreign->row = json_object_get(payload, "after");
    if (!json_is_object(foreign->row))
        return error_set(err, STATUS_REJECT, "value: \"after\" is not an object");
    return STATUS_OK;
}

static bool foreign_ends_in(const char *type, const char *end)
{
    const char *dot = strrchr(type, '.');
    return dot != NULL && strcmp(dot + 1, end) == 0;
}

/* `data` is the row. The type's last word is the operation, as in binary mode. */
static enum status foreign_read_cloudevent(const json_t *json, struct change *change,
                                           struct arena *arena, struct foreign *foreign,
                                           struct error *err)
{
    const char *version = json_string_value(json_object_get(json, "specversion"));
    const char *type = json_string_value(json_object_get(json, "type"));
    const json_t *time = json_object_get(json, "time");
    if (version == NULL || strcmp(version, "1.0") != 0)
        return error_set(err, STATUS_REJECT, "value: \"specversion\" is not \"1.0\"");
    enum status status = foreign_copy_text(json, "id", arena, &change->id, err);
    if (status == STATUS_OK)
        status = foreign_copy_text(json, "source", arena, &change->source, err);
    if (status != STATUS_OK)
        return status;
    if (time != NULL &&
        !(json_is_string(time) &&
          clock_parse_rfc3339(json_string_value(time), json_string_length(time), &change->time_us)))
        return error_set(err, STATUS_REJECT, "value: \"time\" is not an RFC 3339 time");
    if (type == NULL)
        return error_set(err, STATUS_REJECT, "value: \"type\" is not a string");
    if (foreign_ends_in(type, "deleted"))
        return STATUS_OK;
    foreign->op = foreign_ends_in(type, "updated") ? CHANGE_UPDATE : CHANGE_CREATE;
    foreign->row = json_object_get(json, "data");
    if (!json_is_object(foreign->row))
        return error_set(err, STATUS_REJECT, "value: \"data\" is not an object");
    return STATUS_OK;
}

static enum status foreign_read(const json_t *json, struct change *change, struct arena *arena,
                                struct foreign *foreign, struct error *err)
{
    if (!json_is_object(json))
        return error_set(err, STATUS_REJECT, "value: not an object");
    switch (change->record.form->format) {
    case FORMAT_DEBEZIUM:
        return foreign_read_debezium(json, foreign, err);
    case FORMAT_CLOUDEVENTS:
        return foreign_read_cloudevent(json, change, arena, foreign, err);
    case FORMAT_JSON:
    case FORMAT_KEEPSTEP:
        break;
    }
    foreign->op = CHANGE_CREATE;
    foreign->row = (json_t *)(uintptr_t)json;
    return STATUS_OK;
}

/* Debezium's key is a row of the key columns. Other keys are written as ours. */
static enum status foreign_key(const struct record *record, struct descriptions *descriptions,
                               struct record_row *row, struct error *err)
{
    struct slice text = record->key;
    json_t *json = NULL;
    char *written = NULL;
    enum status status = STATUS_OK;
    bool is_debezium = record->form->format == FORMAT_DEBEZIUM && text.data != NULL;
    if (is_debezium && debezium_flat_key(descriptions, record->form, row, text))
        return STATUS_OK;
    if (is_debezium)
        json = json_loadb(text.data, text.length, JSON_LOAD_FLAGS | JSON_ALLOW_NUL, NULL);
    descriptions_learn(descriptions, record->form, DESCRIPTION_KEY, text, json);
    json_t *key = (json_t *)(uintptr_t)debezium_payload(json);
    if (json_is_object(key)) {
        status = debezium_row(record->form, debezium_fields(json, NULL), key, err);
        written = status == STATUS_OK ? json_dumps(key, JSON_COMPACT) : NULL;
        text = arena_copy(row->arena, slice_of(written)); /* the key may borrow this copy */
        if (status == STATUS_OK && text.data == NULL)
            status = error_set(err, STATUS_RETRY, "no memory");
    }
    if (status == STATUS_OK)
        status = canonical_key_values(row, text, err);
    free(written);
    json_decref(json);
    return status;
}

static enum status foreign_document(struct change *change, struct descriptions *descriptions,
                                    struct record_row *row, struct error *err)
{
    struct foreign foreign = {.op = CHANGE_DELETE};
    const struct record *record = &change->record;
    bool is_debezium = record->form->format == FORMAT_DEBEZIUM;
    json_t *json = json_load_value(record->value, err);
    if (json == NULL)
        return STATUS_REJECT;
    enum status status = foreign_read(json, change, row->arena, &foreign, err);
    if (status == STATUS_OK && foreign.row != NULL && is_debezium)
        status = debezium_row(record->form, foreign.fields, foreign.row, err);
    if (status == STATUS_OK && foreign.row != NULL) {
        change->op = row->op = foreign.op;
        status = record_row_decode(row, foreign.row, err);
    }
    if (is_debezium)
        descriptions_learn(descriptions, record->form, DESCRIPTION_VALUE, record->value, json);
    json_decref(json);
    return status;
}

static enum status foreign_value(struct change *change, struct descriptions *descriptions,
                                 struct record_row *row, struct error *err)
{
    const struct record *record = &change->record;
    change->op = CHANGE_DELETE;
    if (record->value.data == NULL)
        return STATUS_OK;
    if (record->form->format == FORMAT_DEBEZIUM &&
        debezium_flat_value(descriptions, record->form, row, record->value)) {
        change->op = row->op;
        return STATUS_OK;
    }
    return foreign_document(change, descriptions, row, err);
}

enum status record_foreign_decode(struct change *change, const struct decoder *decoder,
                                  struct error *err)
{
    const struct entity_schema *schema = change->record.form->schema;
    struct record_row of_key = record_row_new(schema, decoder->arena);
    struct record_row after = record_row_new(schema, decoder->arena);
    if (of_key.values == NULL || after.values == NULL)
        return error_set(err, STATUS_RETRY, "batch arena full");
    change->schema = schema;
    change->entity_type = slice_of(schema->entity_type);
    enum status status = foreign_key(&change->record, decoder->descriptions, &of_key, err);
    change->entity_key = status == STATUS_OK ? of_key.entity_key : change->record.key;
    if (status != STATUS_OK)
        return status;
    after.entity_key = change->entity_key;
    after.key_values = of_key.values;
    status = foreign_value(change, decoder->descriptions, &after, err);
    change->values = change->op == CHANGE_DELETE ? of_key.values : after.values;
    return status;
}
