/* Reads the value of a record, {"op","before","after"}, and validates it by the row schema. */
#include "schemas/json_schema/json_schema.h"
#include "schemas/record/value.h"

#include <math.h>
#include <stdlib.h>

#define RECORD_PAYLOAD_ARENA_MAX ((size_t)64 * 1024 * 1024)

static enum status record_payload_op(const json_t *payload, enum change_op *ret_op,
                                     struct error *err)
{
    const json_t *text = json_object_get(payload, "op");
    const char *op = json_string_length(text) == 1 ? json_string_value(text) : NULL;
    if (op != NULL && strcmp(op, "c") == 0)
        *ret_op = CHANGE_CREATE;
    else if (op != NULL && strcmp(op, "u") == 0)
        *ret_op = CHANGE_UPDATE;
    else if (op != NULL && strcmp(op, "d") == 0)
        *ret_op = CHANGE_DELETE;
    else if (op != NULL && strcmp(op, "r") == 0)
        *ret_op = CHANGE_READ;
    else
        return error_set(err, STATUS_REJECT, "value: \"op\" is not one of c, u, d, r");
    return STATUS_OK;
}

/* A double may be written as an integer of any size. Make it a number, so that the row schema can
 * judge it. */
static enum status record_payload_large(const struct column *column, json_t *after, json_t **member,
                                        struct error *err)
{
    const char *digits = json_large_integer(*member);
    if (digits == NULL)
        return STATUS_OK;
    if (column->type == COLUMN_INTEGER)
        return error_set(err, STATUS_REJECT, "column \"%s\": an integer beyond 64 bits",
                         column->name);
    if (column->type != COLUMN_DOUBLE)
        return STATUS_OK;
    char *end = NULL;
    double value = strtod(digits, &end);
    if (*digits == '\0' || *end != '\0' || !isfinite(value))
        return error_set(err, STATUS_REJECT, "column \"%s\": not a number that a double can hold",
                         column->name);
    json_t *number = json_real(value);
    if (json_object_set_new(after, column->name, number) != 0)
        return error_set(err, STATUS_RETRY, "no memory");
    *member = number;
    return STATUS_OK;
}

static enum status record_payload_columns(const struct record_row *row, json_t *after,
                                          struct error *err)
{
    const struct entity_schema *schema = row->schema;
    const char *name;
    json_t *member;
    json_object_foreach(after, name, member)
    {
        if (entity_schema_find(schema, slice_of(name)) < 0)
            return error_set(err, STATUS_STOP,
                             "column \"%s\" is not in the schema of \"%s\": add it there, run "
                             "`keepstep init` and start this again",
                             name, schema->entity_type);
    }
    for (size_t i = 0; i < schema->column_count; i++) {
        const struct column *column = &schema->columns[i];
        member = json_object_get(after, column->name);
        if (member == NULL)
            continue;
        enum status status = record_payload_large(column, after, &member, err);
        if (status == STATUS_OK)
            status = record_value_decode(column, member, row->arena, &row->values[i], err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* Create and read are full images: a column that they leave out is null. An update that lacks
 * columns is judged without the parts of the row schema that concern the whole row. */
static enum status record_payload_judge(const struct record_row *row, const json_t *after,
                                        struct error *err)
{
    const struct entity_schema *schema = row->schema;
    struct value *values = row->values;
    bool sparse = false;
    for (size_t i = 0; i < schema->column_count; i++)
        sparse = sparse || (row->op == CHANGE_UPDATE && values[i].kind == VALUE_ABSENT);
    enum status status = json_schema_validate(sparse ? schema->sparse_row : schema->row, after,
                                              err);
    if (status != STATUS_OK) {
        error_prefix(err, "after");
        return status;
    }
    for (size_t i = 0; i < schema->column_count; i++) {
        if (row->op != CHANGE_UPDATE && values[i].kind == VALUE_ABSENT &&
            schema->columns[i].nullable)
            values[i].kind = VALUE_NULL;
    }
    return STATUS_OK;
}

struct record_row record_row_new(const struct entity_schema *schema, struct arena *arena)
{
    return (struct record_row){
        .schema = schema,
        .arena = arena,
        .values = arena_alloc(arena, schema->column_count * sizeof(struct value))};
}

struct record_row record_row_in(struct value room[static RECORD_ROW_COLUMNS],
                                const struct entity_schema *schema, struct arena *arena)
{
    if (schema->column_count > RECORD_ROW_COLUMNS)
        return record_row_new(schema, arena);
    memset(room, 0, schema->column_count * sizeof *room);
    return (struct record_row){.schema = schema, .arena = arena, .values = room};
}

enum status record_row_decode(struct record_row *row, json_t *after, struct error *err)
{
    struct slice key = {0};
    if (!json_is_object(after))
        return error_set(err, STATUS_REJECT, "value: \"after\" is not an object");
    enum status status = record_payload_columns(row, after, err);
    if (status == STATUS_OK)
        status = record_payload_judge(row, after, err);
    if (status == STATUS_OK)
        status = record_value_key(row->schema, row->values, row->arena, &key, err);
    if (status == STATUS_OK && !slice_equal(key, row->entity_key))
        status = error_set(err, STATUS_REJECT, "after: the key columns differ from the entity key");
    return status;
}

enum status record_payload_document(struct record_row *row, struct slice payload, struct error *err)
{
    json_t *json = json_load_value(payload, err);
    if (json == NULL)
        return STATUS_REJECT;
    enum status status = STATUS_OK;
    if (!json_is_object(json))
        status = error_set(err, STATUS_REJECT, "value: not an object");
    else
        status = record_payload_op(json, &row->op, err);
    if (status == STATUS_OK && row->op != CHANGE_DELETE)
        status = record_row_decode(row, json_object_get(json, "after"), err);
    json_decref(json);
    return status;
}

enum status record_payload_decode(struct record_row *row, struct slice payload, struct error *err)
{
    if (record_flat_payload(row, payload))
        return STATUS_OK;
    return record_payload_document(row, payload, err);
}

enum status payload_validate(const struct entity_schema *schema, struct slice payload,
                             struct slice entity_key, struct error *err)
{
    enum status status;
    struct arena arena;
    struct value key_room[RECORD_ROW_COLUMNS];
    struct value room[RECORD_ROW_COLUMNS];

    arena_init(&arena, RECORD_PAYLOAD_ARENA_MAX);
    struct record_row of_key = record_row_in(key_room, schema, &arena);
    struct record_row after = record_row_in(room, schema, &arena);
    if (of_key.values == NULL || after.values == NULL) {
        status = error_set(err, STATUS_RETRY, "out of memory");
        goto out;
    }
    status = canonical_key_values(&of_key, entity_key, err);
    after.entity_key = of_key.entity_key;
    after.key_values = of_key.values;
    if (status == STATUS_OK)
        status = record_payload_decode(&after, payload, err);
    status = json_check_memory(status, err);
    if (status == STATUS_STOP && err != NULL)
        err->status = STATUS_REJECT; /* only this row is at fault */
    if (status == STATUS_STOP)
        status = STATUS_REJECT;
out:
    arena_done(&arena);
    return status;
}
