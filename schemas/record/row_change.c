/* Makes a change of a row that was read from a database, not from the log. */
#include "schemas/record/value.h"

#include "common/buffer.h"

#define ROW_PAYLOAD_MAX ((size_t)256 * 1024 * 1024)

/* The row as a record's value, so that the reader of records judges it. */
static enum status row_payload(struct slice row, struct arena *arena, struct slice *ret_payload,
                               struct error *err)
{
    struct buffer text;
    buffer_init(&text, ROW_PAYLOAD_MAX);
    buffer_append_text(&text, "{\"op\":\"u\",\"after\":");
    buffer_append(&text, row.data, row.length);
    buffer_append_text(&text, "}");
    *ret_payload = text.failed ? (struct slice){0} : arena_copy(arena, buffer_slice(&text));
    buffer_done(&text);
    return ret_payload->data == NULL ? error_set(err, STATUS_RETRY, "no memory for a row")
                                     : STATUS_OK;
}

enum status change_of_row(const struct entity_row *row, struct arena *arena,
                          struct change *ret_change, struct error *err)
{
    const struct entity_schema *schema = row->schema;
    struct record_row of_key = record_row_new(schema, arena);
    struct record_row after = record_row_new(schema, arena);
    struct slice payload = row->value;
    if (of_key.values == NULL || after.values == NULL)
        return error_set(err, STATUS_RETRY, "no memory for a row");
    enum status status = canonical_key_values(&of_key, row->entity_key, err);
    *ret_change = (struct change){.kind = KIND_CHANGE,
                                  .op = CHANGE_DELETE,
                                  .entity_type = slice_of(schema->entity_type),
                                  .entity_key = of_key.entity_key,
                                  .schema = schema,
                                  .values = of_key.values};
    if (status != STATUS_OK || (row->json.data == NULL && row->value.data == NULL))
        return status;
    after.entity_key = of_key.entity_key;
    after.key_values = of_key.values;
    if (row->json.data != NULL)
        status = row_payload(row->json, arena, &payload, err);
    if (status == STATUS_OK)
        status = record_payload_decode(&after, payload, err);
    if (status == STATUS_STOP) { /* only this row is at fault */
        status = STATUS_REJECT;
        if (err != NULL)
            err->status = status;
    }
    ret_change->op = after.op;
    ret_change->values = after.values;
    return status;
}
