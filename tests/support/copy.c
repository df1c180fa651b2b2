/* The local copy of applier tests. */
#include "tests/support/copy.h"

#include <stdio.h>

static const char schema_text[] =
    "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","
    "\"x-keepstep-key\":[\"id\"],\"required\":[\"id\"],\"additionalProperties\":false,"
    "\"properties\":{\"id\":{\"type\":\"integer\",\"x-keepstep-type\":\"integer\"},"
    "\"a\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"text\"},"
    "\"b\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"text\"}}}";

void copy_must(struct copy *copy, enum status status)
{
    if (status != STATUS_OK)
        test_fail("%s: %s", status_name(status), copy->err.text);
}

static void copy_take(struct copy *copy, struct applier *applier)
{
    struct partition_state state = {.partition = 0, .anchor_offset = -1};
    copy_must(copy, applier_read(applier, COPY_TOPIC, 0, &state, &copy->err));
    (void)snprintf(state.topic, sizeof state.topic, "%s", COPY_TOPIC);
    (void)snprintf(state.cluster_id, sizeof state.cluster_id, "c");
    state.partition_count = copy->partition_count;
    copy_must(copy, applier_take(applier, &state, &copy->index, &copy->err));
}

struct applier *copy_open(struct copy *copy)
{
    struct applier *applier = NULL;
    struct applier_options options = {.ops = copy->ops,
                                      .config = &copy->config,
                                      .mappings = &copy->mapping,
                                      .mapping_count = 1,
                                      .metrics = copy->metrics};
    copy_must(copy, applier_new(&options, &applier, &copy->err));
    copy_take(copy, applier);
    return applier;
}

struct copy *copy_begin(const char *table_sql, bool published_here)
{
    struct copy *copy = calloc(1, sizeof *copy);
    struct store *store = NULL;
    copy->ops = &store_sqlite_ops;
    copy->partition_count = 1;
    copy->database = test_path("copy.db");
    test_write_file(test_path("order.schema.json"), schema_text);
    copy_must(copy, entity_schema_new(test_directory(), "order", &copy->schema, &copy->err));
    copy->entry = (struct config_entry){
        .entity_type = "order", .table = "orders", .topic = COPY_TOPIC, .partitions = 1};
    copy->mapping = (struct mapping){
        .schema = copy->schema, .entry = &copy->entry, .published_here = published_here};
    copy->config = (struct config){.service = "billing", .database_path = (char *)copy->database};
    copy->config.limits = (struct config_limits){.batch_events = 100,
                                                 .batch_bytes = 1 << 20,
                                                 .message_bytes = 1000000,
                                                 .parked_entities = 100,
                                                 .parked_records = 1000};
    struct store_options install = {.path = copy->database, .service = "billing", .install = true};
    copy_must(copy, copy->ops->open(&install, &store, &copy->err));
    copy->ops->close(store);
    (void)sqlite_text(copy->database, table_sql);
    copy->metrics = calloc(1, sizeof *copy->metrics);
    copy_must(copy, batch_init(&copy->batch, 100, 1 << 20, 1000000, &copy->err));
    copy->applier = copy_open(copy);
    return copy;
}

void copy_finish(struct copy *copy)
{
    applier_free(copy->applier);
    batch_done(&copy->batch);
    entity_schema_free(copy->schema);
    free(copy->metrics);
    free(copy);
}

void copy_add_from(struct copy *copy, const char *source, int sequence, const char *id,
                   const char *previous_id, const char *kind, int key, const char *value)
{
    struct header headers[12];
    size_t count = 0;
    headers[count++] = (struct header){slice_of("ce_specversion"), slice_of("1.0")};
    headers[count++] = (struct header){slice_of("ce_id"), slice_of(id)};
    headers[count++] = (struct header){slice_of("ce_source"), slice_of(source)};
    headers[count++] = (struct header){slice_of("ce_type"), slice_of("order.updated")};
    headers[count++] = (struct header){slice_of("ce_protocol"), slice_of("1")};
    if (kind != NULL)
        headers[count++] = (struct header){slice_of("ce_kind"), slice_of(kind)};
    if (sequence > 0) {
        headers[count++] = (struct header){slice_of("ce_sequence"),
                                           slice_of(test_format("%020d", sequence))};
        headers[count++] = (struct header){slice_of("ce_incarnation"),
                                           slice_of("0193a7c0-0000-7000-8000-000000000001")};
    }
    if (sequence > 1)
        headers[count++] = (struct header){slice_of("ce_previousid"), slice_of(previous_id)};
    struct record record = {.topic = COPY_TOPIC,
                            .offset = copy->offset++,
                            .key = slice_of(test_format("{\"id\":%d}", key)),
                            .value = slice_of(value),
                            .headers = headers,
                            .header_count = count};
    copy_must(copy, batch_add(&copy->batch, &record, copy->index, applier_lookup, copy->applier,
                              &copy->err));
}

void copy_add(struct copy *copy, int sequence, int key, const char *op, const char *row)
{
    const char *value = strcmp(op, "d") == 0
                            ? "{\"op\":\"d\",\"before\":null,\"after\":null}"
                            : test_format("{\"op\":\"%s\",\"before\":null,\"after\":{\"id\":%d%s}}",
                                          op, key, row);
    copy_add_from(copy, "shop", sequence, test_format("e%d", sequence),
                  test_format("e%d", sequence - 1), NULL, key, value);
}

void copy_apply(struct copy *copy)
{
    copy_must(copy, applier_apply(copy->applier, &copy->batch, &copy->err));
    batch_reset(&copy->batch);
}

const char *copy_rows(const struct copy *copy)
{
    return sqlite_text(copy->database, "SELECT id, a, b FROM orders ORDER BY id");
}

struct applier_partition copy_where(const struct copy *copy)
{
    struct applier_partition partition = {0};
    assert_true(applier_partition(copy->applier, copy->index, &partition));
    return partition;
}
