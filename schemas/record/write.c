/* Writes the wire form: CloudEvents headers in binary mode, and values. */
#include "schemas/record/write.h"

#include <inttypes.h>

#define RECORD_HEADERS_MAX 15
#define RECORD_DIGITS      20 /* of a sequence, with leading zeros */

static void record_header_add(struct header *headers, size_t *count, const char *name,
                              struct slice value)
{
    if (value.data != NULL)
        headers[(*count)++] = (struct header){.name = slice_of(name), .value = value};
}

/* @return the number in RECORD_DIGITS digits; data NULL where the arena is full. */
static struct slice record_digits(uint64_t number, struct arena *arena)
{
    char *digits = arena_alloc(arena, RECORD_DIGITS);
    if (digits == NULL)
        return (struct slice){0};
    for (size_t i = RECORD_DIGITS; i-- > 0; number /= 10)
        digits[i] = (char)('0' + number % 10);
    return (struct slice){digits, RECORD_DIGITS};
}

enum status record_headers_build(const struct record_head *head, struct arena *arena,
                                 struct header **ret_headers, size_t *ret_count, struct error *err)
{
    static const char *const kinds[] = {
        [KIND_BARRIER] = "barrier", [KIND_HEARTBEAT] = "heartbeat", [KIND_VOID] = "void"};
    size_t count = 0;
    struct header *headers = arena_alloc(arena, RECORD_HEADERS_MAX * sizeof *headers);
    struct slice sequence = record_digits(head->sequence, arena);
    struct slice changeset = {0};
    if (head->changeset_end != 0)
        changeset = record_digits(head->changeset_end, arena);
    if (headers == NULL || sequence.data == NULL ||
        (head->changeset_end != 0 && changeset.data == NULL))
        return error_set(err, STATUS_RETRY, "arena full");
    struct slice kind = head->joint_kind;
    if (head->kind != KIND_CHANGE)
        kind = slice_of(kinds[head->kind]);
    record_header_add(headers, &count, "ce_specversion", slice_of("1.0"));
    record_header_add(headers, &count, "ce_id", head->id);
    record_header_add(headers, &count, "ce_source", head->origin);
    record_header_add(headers, &count, "ce_type", head->type);
    record_header_add(headers, &count, "ce_time", head->created_at);
    record_header_add(headers, &count, "ce_subject", head->subject);
    record_header_add(headers, &count, "ce_sequence", sequence);
    record_header_add(headers, &count, "ce_changeset", changeset);
    record_header_add(headers, &count, "ce_joint", head->joint);
    record_header_add(headers, &count, "ce_incarnation", head->incarnation);
    record_header_add(headers, &count, "ce_previousid", head->previous_id);
    record_header_add(headers, &count, "ce_protocol", slice_of("1"));
    record_header_add(headers, &count, "ce_kind", kind);
    record_header_add(headers, &count, "traceparent", head->traceparent);
    record_header_add(headers, &count, "content-type", slice_of("application/json"));
    *ret_headers = headers;
    *ret_count = count;
    return STATUS_OK;
}

static void record_bytes_write(struct slice bytes, struct buffer *out)
{
    static const char digits[] = "0123456789ABCDEF";
    buffer_append_text(out, "\"");
    for (size_t i = 0; i < bytes.length; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        buffer_append(out, &digits[c >> 4], 1);
        buffer_append(out, &digits[c & 15], 1);
    }
    buffer_append_text(out, "\"");
}

bool value_append_number(const struct value *value, struct buffer *out)
{
    if (value->kind == VALUE_INTEGER)
        buffer_append_format(out, "%" PRId64, value->integer);
    else if (value->kind == VALUE_DOUBLE)
        buffer_append_format(out, "%.17g", value->number);
    return value->kind == VALUE_INTEGER || value->kind == VALUE_DOUBLE;
}

static bool record_is_ascii(struct slice text)
{
    for (size_t i = 0; i < text.length; i++) {
        if ((unsigned char)text.data[i] >= 0x80)
            return false;
    }
    return true;
}

void value_append(enum column_type type, const struct value *value, struct buffer *out)
{
    bool is_text = value->kind == VALUE_TEXT || value->kind == VALUE_UNFIT;
    bool is_unfit = value->kind == VALUE_UNFIT;
    if (value_append_number(value, out))
        return;
    if (value->kind == VALUE_BOOLEAN)
        buffer_append_text(out, value->boolean ? "true" : "false");
    else if (!is_text)
        buffer_append_text(out, "null");
    else if (is_unfit ? !record_is_ascii(value->text) : type == COLUMN_BYTES)
        record_bytes_write(value->text, out);
    else
        buffer_append_json(out, value->text);
}

void record_value_write(const struct change *change, struct buffer *out)
{
    const struct entity_schema *schema = change->schema;
    bool first = true;
    buffer_append_text(out, change->op == CHANGE_CREATE ? "{\"op\":\"c\"" : "{\"op\":\"u\"");
    buffer_append_text(out, ",\"before\":null,\"after\":{");
    for (size_t i = 0; i < schema->column_count; i++) {
        if (change->values[i].kind == VALUE_ABSENT)
            continue;
        buffer_append_text(out, first ? "" : ",");
        buffer_append_json(out, slice_of(schema->columns[i].name));
        buffer_append_text(out, ":");
        value_append(schema->columns[i].type, &change->values[i], out);
        first = false;
    }
    buffer_append_text(out, "}}");
}
