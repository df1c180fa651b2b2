/* The memory store's snapshots: a copy of all that was committed when one began. */
#include "common/buffer.h"
#include "consumer/store/memory/internal.h"
#include "schemas/record/write.h"

#include <stdlib.h>

#define KEY_SIZE_MAX ((size_t)1024 * 1024)

enum status store_memory_snapshot(struct store *store, bool begin, struct error *err)
{
    struct store_memory *self = store_memory_of(store);
    if (begin && (!self->read_only || self->in_snapshot))
        return error_set(err, STATUS_FATAL, "%s",
                         self->read_only ? "a snapshot is open already"
                                         : "a store that applies begins no snapshot");
    store->ops->rollback(store);
    if (!begin)
        return STATUS_OK;
    self->snapshot = model_copy(&self->database->committed);
    self->in_snapshot = true;
    return STATUS_OK;
}

enum status store_memory_keep_snapshot(struct store *store, struct error *err)
{
    return store_memory_of(store)->in_snapshot
               ? STATUS_OK
               : error_set(err, STATUS_RETRY, "no snapshot is open");
}

static void append_value(struct buffer *key, const struct column *column, const struct value *value)
{
    if (value_append_number(value, key))
        return;
    if (column->type != COLUMN_BYTES) {
        buffer_append_json(key, value->text);
        return;
    }
    buffer_append_text(key, "\"");
    for (size_t i = 0; i < value->text.length; i++)
        buffer_append_format(key, "%02X", (unsigned int)(unsigned char)value->text.data[i]);
    buffer_append_text(key, "\"");
}

/* Append the canonical key. */
static void append_key(struct buffer *key, const struct entity_schema *schema,
                       const struct value *values)
{
    for (size_t i = 0; i < schema->key_count; i++) {
        const struct column *column = &schema->columns[schema->key_columns[i]];
        buffer_append_text(key, i == 0 ? "{" : ",");
        buffer_append_json(key, slice_of(column->name));
        buffer_append_text(key, ":");
        append_value(key, column, &values[schema->key_columns[i]]);
    }
    buffer_append_text(key, "}");
}

static bool wants(const struct store_scan *scan, struct slice key)
{
    bool found = scan->keys == NULL;
    for (size_t i = 0; i < scan->count && !found; i++)
        found = slice_equal(scan->keys[i], key);
    return found;
}

static enum status scan_row(const struct store_scan *scan, const struct model_row *row,
                            struct error *err)
{
    const struct entity_schema *schema = scan->mapping->schema;
    struct value values[ENTITY_COLUMNS_MAX];
    enum status status = STATUS_OK;
    struct buffer key;
    for (size_t i = 0; i < schema->column_count; i++) /* an older schema had fewer columns */
        values[i] = i < row->schema->column_count ? row->values[i]
                                                  : (struct value){.kind = VALUE_NULL};
    buffer_init(&key, KEY_SIZE_MAX);
    append_key(&key, schema, values);
    const struct scanned_row scanned = {.key = buffer_slice(&key), .values = values};
    if (wants(scan, scanned.key))
        status = scan->visit(scan->context, &scanned, err);
    buffer_done(&key);
    return status;
}

static enum status scan_keys(const struct store_scan *scan, const struct model *model,
                             struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < model->keys.count; i++) {
        const struct model_key *key = list_at(&model->keys, i);
        const struct key_claim claim = {scan->topic, key->source, key->id, key->digest, KEY_NEW};
        if (key->topic.length == 0 || slice_is(key->topic, scan->topic))
            status = scan->visit_key(scan->context, &claim, err);
    }
    return status;
}

static enum status scan_rows(const struct store_scan *scan, const struct model *model,
                             struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < model->rows.count; i++) {
        const struct model_row *row = list_at(&model->rows, i);
        if (strcmp(row->schema->entity_type, scan->mapping->schema->entity_type) == 0)
            status = scan_row(scan, row, err);
    }
    return status;
}

/* It has no faster way than row by row. */
enum status store_memory_clear(struct store *store, const struct mapping *mapping,
                               struct store_clearing *clearing, struct error *err)
{
    (void)store, (void)mapping, (void)err;
    clearing->deleted = 0;
    clearing->is_over = true;
    return STATUS_OK;
}

enum status store_memory_scan(struct store *store, const struct store_scan *scan, struct error *err)
{
    const struct model *model = store_memory_model(store_memory_of(store));
    enum status status = store_memory_keep_snapshot(store, err);
    if (status == STATUS_OK && scan->mapping == NULL)
        status = scan_keys(scan, model, err);
    else if (status == STATUS_OK)
        status = scan_rows(scan, model, err);
    if (status != STATUS_OK)
        store->ops->rollback(store);
    return status;
}
