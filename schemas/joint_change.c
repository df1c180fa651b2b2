/* Reads the columns of a joint transaction's change in the forms of their types. */
#include "schemas/joint_change.h"

#include "schemas/record/value.h"

/** The reading of one change. */
struct reading {
    const struct entity_schema *schema;
    const struct joint_change *change;
    struct arena *arena;
    struct error *err;
};

/** One of its objects. */
struct member {
    const char *name; /* "set" */
    struct slice text;
    struct value *values;
};

static enum status reading_refuse(const struct reading *reading, const struct member *member,
                                  const struct column *column, const char *reason)
{
    return error_set(reading->err, STATUS_REJECT, "%s: column \"%s\": %s", member->name,
                     column->name, reason);
}

static bool is_summable(enum column_type type)
{
    return type == COLUMN_INTEGER || type == COLUMN_DECIMAL;
}

/* @return NULL: the column may be asked for here. */
static const char *reading_judge(const struct member *member, const struct column *column,
                                 bool is_add)
{
    if (column->is_key && strcmp(member->name, "if") != 0)
        return "is a part of the key, and keys do not change";
    if (is_add && !is_summable(column->type))
        return "nothing can be added to a column of its type";
    return NULL;
}

static enum status reading_column(const struct reading *reading, const struct member *member,
                                  const char *name, const json_t *json)
{
    bool is_add = strcmp(member->name, "add") == 0;
    int index = entity_schema_find(reading->schema, slice_of(name));
    if (index < 0)
        return error_set(reading->err, STATUS_REJECT, "%s: \"%s\" has no column \"%s\"",
                         member->name, reading->schema->entity_type, name);
    const struct column *column = &reading->schema->columns[index];
    const char *reason = reading_judge(member, column, is_add);
    if (reason == NULL && is_add && json_is_null(json))
        reason = "null cannot be added";
    if (reason != NULL)
        return reading_refuse(reading, member, column, reason);
    enum status status = record_value_decode(column, json, reading->arena, &member->values[index],
                                             reading->err);
    if (status == STATUS_REJECT)
        error_prefix(reading->err, "%s", member->name);
    return status;
}

static enum status reading_member(const struct reading *reading, const struct member *member)
{
    enum status status = STATUS_OK;
    const char *name;
    json_t *value;
    if (member->text.data == NULL)
        return STATUS_OK;
    json_t *object = json_load_value(member->text, reading->err);
    if (object == NULL)
        return STATUS_REJECT;
    if (!json_is_object(object))
        status = error_set(reading->err, STATUS_REJECT, "%s: not an object", member->name);
    else
        json_object_foreach(object, name, value)
        {
            status = reading_column(reading, member, name, value);
            if (status != STATUS_OK)
                break;
        }
    json_decref(object);
    return status;
}

/* What the operation cannot have. */
static enum status reading_check(const struct reading *reading, const struct joint_asked *asked)
{
    const struct joint_change *change = reading->change;
    bool is_update = change->operation == JOINT_UPDATE;
    if (change->set.data != NULL && !is_update && change->operation != JOINT_CREATE)
        return error_set(reading->err, STATUS_REJECT, "set: only c and u have it");
    if (change->add.data != NULL && !is_update)
        return error_set(reading->err, STATUS_REJECT, "add: only u has it");
    if (change->condition.data != NULL && change->operation == JOINT_CREATE)
        return error_set(reading->err, STATUS_REJECT, "if: c has none: there is no row yet");
    if (is_update && change->set.data == NULL && change->add.data == NULL)
        return error_set(reading->err, STATUS_REJECT,
                         "u needs set or add; k only keeps the row as it is");
    for (size_t i = 0; i < reading->schema->column_count; i++) {
        const struct column *column = &reading->schema->columns[i];
        if (!column->is_key && asked->set[i].kind != VALUE_ABSENT &&
            asked->add[i].kind != VALUE_ABSENT)
            return error_set(reading->err, STATUS_REJECT, "set and add: column \"%s\" is in both",
                             column->name);
    }
    return STATUS_OK;
}

enum status joint_change_read(const struct entity_schema *schema, const struct joint_change *change,
                              struct arena *arena, struct joint_asked *ret_asked, struct error *err)
{
    const struct reading reading = {schema, change, arena, err};
    struct record_row row = record_row_new(schema, arena);
    size_t size = schema->column_count * sizeof(struct value);
    struct value *add = arena_alloc(arena, size);
    struct value *condition = arena_alloc(arena, size);
    if (row.values == NULL || add == NULL || condition == NULL)
        return error_set(err, STATUS_RETRY, "no memory for a joint change");
    const struct member members[] = {{"set", change->set, row.values},
                                     {"add", change->add, add},
                                     {"if", change->condition, condition}};
    enum status status = canonical_key_values(&row, change->key, err);
    for (size_t i = 0; status == STATUS_OK && i < sizeof members / sizeof *members; i++)
        status = reading_member(&reading, &members[i]);
    *ret_asked = (struct joint_asked){row.entity_key, row.values, add, condition};
    if (status == STATUS_OK)
        status = reading_check(&reading, ret_asked);
    return json_check_memory(status, err);
}
