/* Reads a scan's rows, column by column. Whatever a database has written, each column gets a value:
 * a row that cannot be read is a different row, not an error. */
#include "schemas/row_scan.h"

#include "common/buffer.h"
#include "schemas/record/value.h"

#define SCAN_NAME_MAX ((size_t)64 * 1024)

static void scan_skip(struct slice *rest, size_t length)
{
    rest->data += length;
    rest->length -= length;
}

static bool scan_take(struct slice *rest, struct slice text)
{
    if (rest->length < text.length || text.length == 0 ||
        memcmp(rest->data, text.data, text.length) != 0)
        return false;
    scan_skip(rest, text.length);
    return true;
}

/* A name that JSON escapes. */
static bool scan_take_escaped(struct slice *rest, struct slice name)
{
    struct buffer member;
    buffer_init(&member, SCAN_NAME_MAX);
    buffer_append_json(&member, name);
    buffer_append_text(&member, ":");
    bool taken = !member.failed && scan_take(rest, buffer_slice(&member));
    buffer_done(&member);
    return taken;
}

/* Takes ,"name": with the mark before it. @return false: `rest` is as it was. */
static bool scan_take_name(struct slice *rest, char mark, struct slice name)
{
    struct slice ahead = *rest;
    if (!scan_take(&ahead, (struct slice){&mark, 1}))
        return false;
    struct slice plain = ahead;
    bool taken = scan_take(&plain, slice_of("\"")) && scan_take(&plain, name) &&
                 scan_take(&plain, slice_of("\":"));
    if (taken)
        ahead = plain;
    taken = taken || scan_take_escaped(&ahead, name);
    if (taken)
        *rest = ahead;
    return taken;
}

/* @return where the string that begins at `at` has its closing quote; the length where it has none.
 */
static size_t scan_string_end(struct slice text, size_t at)
{
    for (at++; at < text.length && text.data[at] != '"'; at++)
        at += text.data[at] == '\\';
    return at < text.length ? at : text.length;
}

/* Takes a scalar, valid or not: all up to the next mark outside a string. */
static struct slice scan_take_raw(struct slice *rest)
{
    struct slice raw = {rest->data, 0};
    while (raw.length < rest->length && raw.data[raw.length] != ',' &&
           raw.data[raw.length] != '}') {
        if (raw.data[raw.length] == '"')
            raw.length = scan_string_end(*rest, raw.length);
        raw.length += raw.length < rest->length;
    }
    scan_skip(rest, raw.length);
    return raw;
}

static struct value scan_unfit(struct slice text)
{
    return (struct value){.kind = VALUE_UNFIT, .text = text};
}

/* A double may be written as an integer of any size. */
static json_t *scan_load(const struct column *column, struct slice raw)
{
    static const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_t *json = json_loadb(raw.data, raw.length, flags, NULL);
    if (json == NULL && column->type == COLUMN_DOUBLE)
        json = json_loadb(raw.data, raw.length, flags | JSON_DECODE_INT_AS_REAL, NULL);
    return json;
}

/* @return OK; RETRY. */
static enum status scan_document(const struct column *column, struct slice raw, struct arena *arena,
                                 struct value *ret_value)
{
    enum status status = STATUS_REJECT;
    json_t *json = scan_load(column, raw);
    if (json != NULL)
        status = record_value_decode(column, json, arena, ret_value, NULL);
    json_decref(json);
    if (status == STATUS_REJECT)
        *ret_value = scan_unfit(raw);
    return json_check_memory(status == STATUS_REJECT ? STATUS_OK : status, NULL);
}

static bool scan_is_end(struct slice rest)
{
    return rest.length > 0 && (*rest.data == ',' || *rest.data == '}');
}

/* A value counts as it is, whatever the schema would refuse of it. */
static struct column scan_unlimited(const struct column *column)
{
    return (struct column){.name = column->name, .type = column->type, .nullable = true};
}

/* Reads a column, or leaves in it what cannot be read; then nothing is left. @return OK; RETRY. */
static enum status scan_column(const struct column *column, char mark, struct slice *rest,
                               struct arena *arena, struct value *ret_value)
{
    const struct column unlimited = scan_unlimited(column);
    struct slice whole = *rest;
    if (!scan_take_name(rest, mark, slice_of(column->name)))
        goto broken;
    struct slice ahead = *rest;
    if (record_flat_value(&ahead, &unlimited, arena, ret_value) && scan_is_end(ahead)) {
        *rest = ahead;
        return STATUS_OK;
    }
    struct slice raw = scan_take_raw(rest);
    if (!scan_is_end(*rest))
        goto broken;
    return scan_document(&unlimited, raw, arena, ret_value);
broken:
    *ret_value = scan_unfit(whole);
    scan_skip(rest, rest->length);
    return STATUS_OK;
}

static enum status scan_image(const struct entity_schema *schema, struct slice image,
                              struct arena *arena, struct value *values)
{
    enum status status = STATUS_OK;
    struct slice rest = {image.data == NULL ? "" : image.data, image.length};
    for (size_t i = 0; status == STATUS_OK && i < schema->column_count; i++)
        status = scan_column(&schema->columns[i], i == 0 ? '{' : ',', &rest, arena, &values[i]);
    if (status == STATUS_OK && schema->column_count > 0 && !slice_is(rest, "}"))
        values[schema->column_count - 1] = scan_unfit(rest);
    return status;
}

enum status row_scan_read(const struct entity_schema *schema, struct row_texts texts,
                          struct arena *arena, struct scanned_row *ret_row, struct error *err)
{
    struct record_row of_key = record_row_new(schema, arena);
    struct value *values = arena_alloc(arena, schema->column_count * sizeof *values);
    if (of_key.values == NULL || values == NULL)
        return error_set(err, STATUS_RETRY, "no memory for a row of \"%s\"", schema->entity_type);
    enum status status = json_check_memory(canonical_key_values(&of_key, texts.key, NULL), NULL);
    struct slice written = {texts.key.data == NULL ? "" : texts.key.data, texts.key.length};
    *ret_row = (struct scanned_row){.key = status == STATUS_OK ? of_key.entity_key : written,
                                    .values = values,
                                    .image = texts.image};
    if (status == STATUS_OK || status == STATUS_REJECT)
        status = scan_image(schema, texts.image, arena, values);
    return status == STATUS_OK
               ? status
               : error_set(err, STATUS_RETRY, "no memory for a row of \"%s\"", schema->entity_type);
}
