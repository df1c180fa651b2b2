/* Checks the outbox rows of joint transactions before they are numbered. */
#include "producer/relay/joint_row.h"

#include "schemas/joint_record.h"

#define ARENA_BYTES ((size_t)4 * 1024 * 1024) /* of one row that is read */

bool joint_row_is(const struct outbox_row *row)
{
    return slice_is(row->entity_type, JOINT_ENTITY_TYPE);
}

struct slice joint_row_kind(const struct outbox_row *row)
{
    for (enum joint_kind kind = JOINT_PROPOSAL; kind <= JOINT_WITHDRAWAL; kind++) {
        const char *name = joint_kind_name(kind);
        size_t length = strlen(name);
        size_t prefix = strlen(JOINT_ENTITY_TYPE ".");
        if (row->type.length == prefix + length &&
            memcmp(row->type.data, JOINT_ENTITY_TYPE ".", prefix) == 0 &&
            memcmp(row->type.data + prefix, name, length) == 0)
            return slice_of(name);
    }
    return (struct slice){0};
}

enum status joint_row_make_canonical(struct outbox_row *row, struct arena *arena, struct error *err)
{
    struct joint_name name;
    struct buffer key;
    struct slice written = row->entity_key;
    enum status status = joint_name_read(written, arena, &name, err);
    if (status != STATUS_OK) {
        error_prefix(err, "aggregateid");
        return status;
    }
    buffer_init(&key, JOINT_BYTES_MAX);
    joint_name_append(name, &key);
    row->entity_key = key.failed ? (struct slice){0} : arena_copy(arena, buffer_slice(&key));
    buffer_done(&key);
    row->rekeyed = !slice_equal(row->entity_key, written);
    return row->entity_key.data == NULL ? error_set(err, STATUS_RETRY, "arena full") : STATUS_OK;
}

enum status joint_row_check(const struct outbox_row *row, struct error *err)
{
    struct arena arena;
    struct slice kind = joint_row_kind(row);
    enum status status;
    if (kind.data == NULL)
        return error_set(err, STATUS_REJECT,
                         "type: must be " JOINT_ENTITY_TYPE ".proposal, vote or withdrawal");
    arena_init(&arena, ARENA_BYTES);
    status = joint_value_check(kind, row->payload, &arena, err);
    if (status == STATUS_REJECT)
        error_prefix(err, "payload");
    arena_done(&arena);
    return status;
}
