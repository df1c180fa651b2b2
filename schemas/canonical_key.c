/* Writes an entity key in its canonical form: members sorted by bytes, shortest escapes. */
#include "schemas/record/value.h"

static enum status canonical_key_object(const struct record_row *row, const json_t *object,
                                        struct error *err)
{
    const struct entity_schema *schema = row->schema;
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)object, name, member)
    {
        int index = entity_schema_find(schema, slice_of(name));
        if (index < 0 || !schema->columns[index].is_key)
            return error_set(err, STATUS_REJECT, "\"%s\" is not a key column of \"%s\"", name,
                             schema->entity_type);
        enum status status = record_value_decode(&schema->columns[index], member, row->arena,
                                                 &row->values[index], err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* Read a key that is a bare scalar. Where it is not JSON in the column's form, it is a text. */
static enum status canonical_key_scalar(const struct record_row *row, struct slice text,
                                        const json_t *json, struct error *err)
{
    const struct entity_schema *schema = row->schema;
    enum status status;
    json_t *bare = NULL;

    if (schema->key_count != 1)
        return error_set(err, STATUS_REJECT, "the key of \"%s\" has %zu columns: give each of them",
                         schema->entity_type, schema->key_count);
    const struct column *column = &schema->columns[schema->key_columns[0]];
    if (column->type != COLUMN_INTEGER && !json_is_string(json)) {
        bare = json_stringn(text.data, text.length);
        json = bare;
    }
    if (json == NULL)
        return error_set(err, STATUS_REJECT, "the entity key is neither JSON nor valid UTF-8");
    status = record_value_decode(column, json, row->arena, &row->values[schema->key_columns[0]],
                                 err);
    json_decref(bare);
    return status;
}

enum status canonical_key_document(struct record_row *row, struct slice text, struct error *err)
{
    const struct entity_schema *schema = row->schema;
    enum status status;
    json_error_t wrong;
    json_t *json = NULL;

    if (text.data == NULL || text.length == 0)
        return error_set(err, STATUS_REJECT, "no entity key");
    json = json_loadb(text.data, text.length, JSON_LOAD_FLAGS | JSON_ALLOW_NUL, &wrong);
    bool large = json == NULL && json_error_code(&wrong) == json_error_numeric_overflow;
    bool text_key = schema->columns[schema->key_columns[0]].type != COLUMN_INTEGER;
    if (large && (text.data[0] == '{' || !text_key))
        return error_set(err, STATUS_REJECT, "the entity key holds an integer beyond 64 bits");
    if (json_is_object(json))
        status = canonical_key_object(row, json, err);
    else
        status = canonical_key_scalar(row, text, json, err);
    if (status == STATUS_OK)
        status = record_value_key(schema, row->values, row->arena, &row->entity_key, err);
    json_decref(json);
    return status;
}

enum status canonical_key_values(struct record_row *row, struct slice text, struct error *err)
{
    if (!record_flat_key(row, text))
        return canonical_key_document(row, text, err);
    row->entity_key = text;
    return STATUS_OK;
}

enum status canonical_key(const struct entity_schema *schema, struct slice text,
                          struct arena *arena, struct slice *ret_key, struct error *err)
{
    struct record_row row = record_row_new(schema, arena);
    if (row.values == NULL)
        return error_set(err, STATUS_RETRY, "batch arena full");
    enum status status = json_check_memory(canonical_key_values(&row, text, err), err);
    if (status != STATUS_OK)
        return status;
    *ret_key = arena_copy(arena, row.entity_key);
    return ret_key->data == NULL ? error_set(err, STATUS_RETRY, "batch arena full") : STATUS_OK;
}
