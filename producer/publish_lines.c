/* Reads change events from lines of JSON, checks them and writes them into the outbox. */
#include "producer/publish_lines.h"
#include "common/lines.h"
#include "producer/init/origin.h"
#include "producer/registry.h"
#include "schemas/change.h"
#include "schemas/change_line.h"

#include <stdlib.h>

#define LINES_A_TRANSACTION ((size_t)1000)
#define BYTES_A_TRANSACTION ((size_t)8 * 1024 * 1024)
#define ARENA_BYTES         ((size_t)64 * 1024 * 1024)

struct publish {
    const struct config *config;
    const struct entity_schema *const *schemas;
    struct origin *origin;
    struct arena arena; /* holds the events that are not written yet */
    struct origin_event *events;
    size_t count;
};

static enum status publish_line(struct publish *publish, struct slice line, struct error *err)
{
    const struct config *config = publish->config;
    struct change_line change;
    struct slice key = {0};
    line = arena_copy(&publish->arena, line);
    if (line.data == NULL)
        return error_set(err, STATUS_REJECT, "longer than %zu bytes", ARENA_BYTES);
    enum status status = change_line_read(line, &publish->arena, &change, err);
    if (status != STATUS_OK)
        return status;
    const struct config_entry *entry = config_find(
        config->publish, config->publish_count, change.entity_type.data, change.entity_type.length);
    if (entry == NULL)
        return error_set(err, STATUS_REJECT, "publish: has no entry for %.*s",
                         SLICE_ARGS(change.entity_type));
    const struct entity_schema *schema = publish->schemas[entry - config->publish];
    status = canonical_key(schema, change.key, &publish->arena, &key, err);
    if (status == STATUS_OK)
        status = payload_validate(schema, change.payload, key, err);
    if (status == STATUS_OK)
        publish->events[publish->count++] = (struct origin_event){
            .entity_type = change.entity_type,
            .entity_key = key,
            .type = change.type,
            .payload = change.payload,
            .traceparent = change.traceparent,
            .partition_key = change.partition_key};
    return status;
}

static enum status publish_write(struct publish *publish, int64_t *ret_written, struct error *err)
{
    enum status status = STATUS_OK;
    if (publish->count > 0)
        status = publish->origin->ops->write(publish->origin, publish->events, publish->count, err);
    if (status == STATUS_OK)
        *ret_written += (int64_t)publish->count;
    publish->count = 0;
    arena_reset(&publish->arena);
    return status;
}

static enum status publish_all(struct publish *publish, FILE *in, int64_t *ret_written,
                               struct error *err)
{
    struct lines lines;
    bool more = true;
    enum status status = STATUS_OK;
    lines_init(&lines, in);
    while (status == STATUS_OK && (status = lines_next(&lines, &more, err)) == STATUS_OK && more) {
        if (lines.text.length == 0)
            continue;
        status = publish_line(publish, buffer_slice(&lines.text), err);
        if (status == STATUS_OK &&
            (publish->count == LINES_A_TRANSACTION || publish->arena.used >= BYTES_A_TRANSACTION))
            status = publish_write(publish, ret_written, err);
        if (status != STATUS_OK)
            error_prefix(err, "line %lld", (long long)lines.number);
    }
    if (status == STATUS_OK)
        status = publish_write(publish, ret_written, err);
    lines_done(&lines);
    return status;
}

enum status publish_lines(const struct config *config, const struct entity_schema *const *schemas,
                          FILE *in, int64_t *ret_written, struct error *err)
{
    struct publish publish = {.config = config, .schemas = schemas};
    const struct origin_ops *ops = origin_find(config->database);
    *ret_written = 0;
    if (ops == NULL)
        return error_set(error_config(err), STATUS_FATAL,
                         "database: its scheme has no outbox back end");
    arena_init(&publish.arena, ARENA_BYTES);
    publish.events = calloc(LINES_A_TRANSACTION, sizeof *publish.events);
    enum status status = publish.events == NULL
                             ? error_set(err, STATUS_RETRY, "no memory")
                             : ops->open(config, ORIGIN_WRITE, &publish.origin, err);
    if (status == STATUS_OK)
        status = publish_all(&publish, in, ret_written, err);
    ops->close(publish.origin);
    free(publish.events);
    arena_done(&publish.arena);
    return status;
}
