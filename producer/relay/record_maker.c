/* Checks rows of the outbox and makes their records. */
#include "producer/relay/record_maker.h"
#include "producer/relay/joint_row.h"
#include "schemas/record/write.h"
#include "schemas/event_id.h"
#include "common/clock.h"

#include <string.h>

#define HEADER_FRAMING 8    /* bytes at most for the lengths of a header's name and value */
#define HEADERS_PLAIN  1024 /* bytes at most for headers without what the row brings */
#define DIGITS_SURE    18   /* any integer with this many digits is an int64 */

static struct slice record_key(const struct outbox_row *row)
{
    return row->partition_key.data == NULL ? row->entity_key : row->partition_key;
}

enum status record_build(const struct record_maker *maker, const struct outbox_row *row,
                         enum change_kind kind, struct kafka_message *ret_message,
                         struct error *err)
{
    struct header *headers = NULL;
    size_t count = 0;
    struct slice key = record_key(row);
    const struct record_head head = {
        .origin = slice_of(maker->lease->origin),
        .incarnation = slice_of(maker->lease->incarnation),
        .sequence = row->sequence,
        .changeset_end = row->changeset_end,
        .id = row->id,
        .previous_id = row->sequence == 1 ? (struct slice){0} : row->previous_id,
        .type = row->type,
        .created_at = row->created_at,
        .kind = kind,
        .joint_kind = joint_row_is(row) ? joint_row_kind(row) : (struct slice){0},
        .joint = row->joint.length > 0 ? row->joint : (struct slice){0},
        .subject = slice_equal(key, row->entity_key) ? (struct slice){0} : row->entity_key,
        .traceparent = row->traceparent,
    };
    arena_reset(maker->headers);
    enum status status = record_headers_build(&head, maker->headers, &headers, &count, err);
    *ret_message = (struct kafka_message){.key = key,
                                          .value = kind == KIND_VOID ? slice_of("{}")
                                                                     : row->payload,
                                          .headers = headers,
                                          .header_count = count};
    return status;
}

static enum status record_refuse_size(int64_t size, const struct config_entry *entry, int64_t limit,
                                      struct error *err)
{
    return error_set(err, STATUS_REJECT,
                     "the record has %lld bytes, topic %s takes %lld: raise "
                     "limits.message_bytes and max.message.bytes",
                     (long long)size, entry->topic, (long long)limit);
}

static enum status record_check_size(const struct record_maker *maker,
                                     const struct config_entry *entry, const struct outbox_row *row,
                                     struct error *err)
{
    int64_t limit = maker->config->limits.message_bytes;
    int64_t bytes_max = maker->bytes_max[entry - maker->config->publish];
    if (bytes_max > 0 && bytes_max < limit)
        limit = bytes_max;
    size_t bound = row->payload.length + row->partition_key.length + 2 * row->entity_key.length +
                   row->type.length + row->created_at.length + row->traceparent.length +
                   row->joint.length + strlen(maker->lease->origin) + HEADERS_PLAIN;
    if ((int64_t)bound <= limit)
        return STATUS_OK;
    /* The bound is too large, so compute the size with the largest headers that the row can get. */
    struct outbox_row numbered = *row;
    numbered.sequence = UINT64_MAX;
    if (maker->config->transactions == TRANSACTIONS_WHOLE)
        numbered.changeset_end = UINT64_MAX;
    numbered.previous_id = row->id;
    struct kafka_message widest;
    enum status status = record_build(maker, &numbered, KIND_VOID, &widest, err);
    if (status != STATUS_OK)
        return status;
    size_t size = widest.key.length + row->payload.length;
    for (size_t i = 0; i < widest.header_count; i++)
        size += widest.headers[i].name.length + widest.headers[i].value.length + HEADER_FRAMING;
    return (int64_t)size > limit ? record_refuse_size((int64_t)size, entry, limit, err) : STATUS_OK;
}

/* @return whether a key is certainly canonical, as triggers write it: {"id":42}. False: not sure.
 */
static bool record_is_canonical(const struct entity_schema *schema, struct slice key)
{
    const struct column *column = &schema->columns[schema->key_columns[0]];
    size_t name = strlen(column->name);
    if (schema->key_count != 1 || column->type != COLUMN_INTEGER || key.length < name + 6 ||
        memcmp(key.data, "{\"", 2) != 0 || memcmp(key.data + 2, column->name, name) != 0 ||
        memcmp(key.data + 2 + name, "\":", 2) != 0 || key.data[key.length - 1] != '}' ||
        strpbrk(column->name, "\"\\\b\f\n\r\t") != NULL)
        return false;
    const char *digits = key.data + name + 4;
    const char *end = key.data + key.length - 1;
    digits += *digits == '-';
    for (const char *at = digits; at < end; at++) {
        if (*at < '0' || *at > '9')
            return false;
    }
    return digits < end && *digits != '0' && end - digits <= DIGITS_SURE;
}

static enum status record_check_plain(struct outbox_row *row, struct error *err)
{
    if (row->created_us == 0 &&
        !clock_parse_rfc3339(row->created_at.data, row->created_at.length, &row->created_us))
        return error_set(err, STATUS_REJECT, "created_at: must be a time in the form of RFC 3339");
    if (row->id.length == 0 || row->id.length >= OUTBOX_ID_SIZE)
        return error_set(err, STATUS_REJECT, "id: must have 1 to %d bytes", OUTBOX_ID_SIZE - 1);
    if (!row->id_is_derived && event_id_position(row->id) != 0)
        return error_set(err, STATUS_REJECT,
                         "id: a UUID of version 8 may be the id of another row: leave id NULL, or "
                         "write the event again under a UUID of another version");
    size_t length = row->entity_type.length;
    if (row->type.length <= length + 1 || row->type.data[length] != '.' ||
        memcmp(row->type.data, row->entity_type.data, length) != 0)
        return error_set(err, STATUS_REJECT, "type: must be %.*s.created, updated, deleted or read",
                         SLICE_ARGS(row->entity_type));
    return STATUS_OK;
}

const struct config_entry *record_entry(const struct record_maker *maker,
                                        const struct outbox_row *row)
{
    const struct config *config = maker->config;
    return config_find(config->publish, config->publish_count, row->entity_type.data,
                       row->entity_type.length);
}

enum status record_make_canonical(const struct record_maker *maker, struct outbox_row *row,
                                  struct arena *arena, struct error *err)
{
    const struct config_entry *entry = record_entry(maker, row);
    struct slice written = row->entity_key;
    if (entry == NULL)
        return error_set(err, STATUS_REJECT, "aggregatetype: publish: has no entry for %.*s",
                         SLICE_ARGS(row->entity_type));
    if (joint_row_is(row))
        return joint_row_make_canonical(row, arena, err);
    enum status status = canonical_key(maker->schemas[entry - maker->config->publish], written,
                                       arena, &row->entity_key, err);
    row->rekeyed = !slice_equal(row->entity_key, written);
    return status;
}

enum status record_check(const struct record_maker *maker, struct outbox_row *row,
                         struct arena *arena, struct error *err)
{
    const struct config *config = maker->config;
    const struct config_entry *entry = record_entry(maker, row);
    const struct entity_schema *schema = entry == NULL ? NULL
                                                       : maker->schemas[entry - config->publish];
    enum status status = STATUS_OK;
    if (schema == NULL || !record_is_canonical(schema, row->entity_key))
        status = record_make_canonical(maker, row, arena, err);
    if (status == STATUS_OK)
        status = record_check_plain(row, err);
    if (status == STATUS_OK && row->left_out_bytes > 0)
        status = record_refuse_size(row->left_out_bytes, entry, config->limits.message_bytes, err);
    if (status == STATUS_OK)
        status = joint_row_is(row) ? joint_row_check(row, err)
                                   : payload_validate(schema, row->payload, row->entity_key, err);
    if (status == STATUS_OK)
        status = record_check_size(maker, entry, row, err);
    if (status != STATUS_OK)
        return status;
    row->topic = entry->topic;
    row->partition = partition_of(record_key(row), entry->partitions);
    return STATUS_OK;
}
