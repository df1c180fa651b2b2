/* Helpers of changes: names, partitions, headers as one blob. */
#include "schemas/change.h"

#include "common/murmur2.h"

#define CHANGE_LENGTH_SIZE 4
#define CHANGE_NULL_LENGTH UINT32_MAX

const char *change_op_name(enum change_op op)
{
    static const char *const names[] = {[CHANGE_CREATE] = "created",
                                        [CHANGE_UPDATE] = "updated",
                                        [CHANGE_DELETE] = "deleted",
                                        [CHANGE_READ] = "read"};
    return names[op];
}

bool change_is_complete(const struct change *change)
{
    for (size_t i = 0; i < change->schema->column_count; i++) {
        if (change->values[i].kind == VALUE_ABSENT)
            return false;
    }
    return true;
}

int32_t partition_of(struct slice record_key, int32_t partition_count)
{
    return murmur2_partition(record_key, partition_count);
}

static char *headers_put_length(char *at, uint32_t length)
{
    for (int i = 0; i < CHANGE_LENGTH_SIZE; i++)
        *at++ = (char)(length >> 8 * i & 0xff);
    return at;
}

static char *headers_put(char *at, struct slice bytes)
{
    at = headers_put_length(at, bytes.data == NULL ? CHANGE_NULL_LENGTH : (uint32_t)bytes.length);
    if (bytes.length > 0)
        memcpy(at, bytes.data, bytes.length);
    return at + bytes.length;
}

/* The blob: the count, then the name and the value of each header. Before each name and value is
 * its length (32 bits, little-endian; all ones for a null value). */
struct slice headers_pack(const struct header *headers, size_t count, struct arena *arena)
{
    size_t size = CHANGE_LENGTH_SIZE;
    for (size_t i = 0; i < count; i++)
        size += headers[i].name.length + headers[i].value.length + (size_t)2 * CHANGE_LENGTH_SIZE;
    char *blob = arena_alloc(arena, size);
    if (blob == NULL)
        return (struct slice){0};
    char *at = headers_put_length(blob, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        at = headers_put(at, headers[i].name);
        at = headers_put(at, headers[i].value);
    }
    return (struct slice){.data = blob, .length = size};
}

static bool headers_take_length(struct slice *blob, uint32_t *ret_length)
{
    if (blob->length < CHANGE_LENGTH_SIZE)
        return false;
    *ret_length = 0;
    for (int i = 0; i < CHANGE_LENGTH_SIZE; i++)
        *ret_length |= (uint32_t)(unsigned char)blob->data[i] << 8 * i;
    blob->data += CHANGE_LENGTH_SIZE;
    blob->length -= CHANGE_LENGTH_SIZE;
    return true;
}

static bool headers_take(struct slice *blob, struct slice *ret_bytes)
{
    uint32_t length = 0;
    if (!headers_take_length(blob, &length))
        return false;
    *ret_bytes = (struct slice){0};
    if (length == CHANGE_NULL_LENGTH)
        return true;
    if (length > blob->length)
        return false;
    *ret_bytes = (struct slice){.data = blob->data, .length = length};
    blob->data += length;
    blob->length -= length;
    return true;
}

enum status headers_unpack(struct slice blob, struct arena *arena, struct header **ret_headers,
                           size_t *ret_count, struct error *err)
{
    uint32_t count = 0;
    bool ok = headers_take_length(&blob, &count) &&
              count <= blob.length / ((size_t)2 * CHANGE_LENGTH_SIZE);
    if (!ok)
        return error_set(err, STATUS_FATAL, "stored headers are damaged");
    struct header *headers = arena_alloc(arena, (count + (size_t)1) * sizeof *headers);
    if (headers == NULL)
        return error_set(err, STATUS_RETRY, "arena full");
    for (size_t i = 0; i < count && ok; i++)
        ok = headers_take(&blob, &headers[i].name) && headers_take(&blob, &headers[i].value);
    if (!ok || blob.length != 0)
        return error_set(err, STATUS_FATAL, "stored headers are damaged");
    *ret_headers = headers;
    *ret_count = count;
    return STATUS_OK;
}
