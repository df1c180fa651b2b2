/* An applier on a memory store, which gets the records of a topic. */
#include "tests/support/model.h"

#include "consumer/store/registry.h"
#include "tests/support/sidecar.h"

#include "consumer/apply/applier.h"
#include "consumer/store/memory/memory.h"

#include <stdio.h>

#define MODEL_BATCH       100
#define MODEL_BYTES       (1 << 20)
#define MODEL_HEADERS_MAX 24

struct model_run {
    struct applier *applier;
    struct batch batch;
    struct error err;
};

static void model_must(const struct model_run *run, enum status status)
{
    if (status != STATUS_OK)
        test_fail("the model: %s: %s", status_name(status), run->err.text);
}

static void model_apply(struct model_run *run)
{
    model_must(run, applier_apply(run->applier, &run->batch, &run->err));
    batch_reset(&run->batch);
}

/* Parse "name=value\n" for each header. */
static size_t model_headers(const char *text, struct header headers[MODEL_HEADERS_MAX])
{
    size_t count = 0;
    while (*text != '\0' && count < MODEL_HEADERS_MAX) {
        size_t name = strcspn(text, "=");
        size_t value = strcspn(text + name + 1, "\n");
        headers[count++] = (struct header){{text, name}, {text + name + 1, value}};
        text += name + 1 + value + 1;
    }
    return count;
}

static void model_record(const struct kafka_record *from, void *context)
{
    struct model_run *run = context;
    struct header headers[MODEL_HEADERS_MAX];
    struct record record = {.topic = from->topic,
                            .partition = from->partition,
                            .offset = from->offset,
                            .key = from->key,
                            .value = from->value,
                            .headers = headers,
                            .header_count = model_headers(from->headers, headers)};
    size_t index = applier_find(run->applier, record_tp(&record));
    model_must(run,
               batch_add(&run->batch, &record, index, applier_finder(run->applier), &run->err));
    if (batch_is_full(&run->batch))
        model_apply(run);
}

static void model_take(struct model_run *run, const char *topic, int32_t partitions)
{
    for (int32_t i = 0; i < partitions; i++) {
        size_t index = 0;
        struct partition_state state = {.partition = i, .anchor_offset = -1};
        model_must(
            run, applier_read(run->applier, (struct topic_partition){topic, i}, &state, &run->err));
        (void)snprintf(state.topic, sizeof state.topic, "%s", topic);
        (void)snprintf(state.cluster_id, sizeof state.cluster_id, "model");
        state.partition = i;
        state.partition_count = partitions;
        model_must(run, applier_take(run->applier, &state, &index, &run->err));
    }
}

/* @return the rows. The test fails if something stopped or is parked. */
static const char *model_rows(const struct model_run *run, const struct store_options *options,
                              int32_t partitions)
{
    struct buffer rows;
    struct store *store = NULL;
    struct error err = ERROR_INIT;
    for (size_t i = 0; i < (size_t)partitions; i++) {
        const struct partition_state *state = applier_partition(run->applier, i);
        assert_non_null(state);
        assert_string_equal(state->stopped, "");
    }
    assert_int_equal(store_memory_ops.open(options, &store, &err), STATUS_OK);
    buffer_init(&rows, (size_t)16 * 1024 * 1024);
    store_memory_rows(store, "item", &rows);
    store_memory_ops.close(store);
    const char *kept = test_format("%s", buffer_text(&rows));
    buffer_done(&rows);
    return kept;
}

const char *model_items(struct kafka *kafka, int32_t partitions)
{
    struct model_run run = {.err = ERROR_INIT};
    struct entity_schema *schema = NULL;
    struct agent_metrics *metrics = calloc(1, sizeof *metrics);
    char topic[STORE_NAME_SIZE];
    (void)snprintf(topic, sizeof topic, "%s", sidecar_topic("item"));
    struct config_entry entry = {
        .entity_type = "item", .table = "items", .topic = topic, .partitions = partitions};
    char name[] = "model";
    struct config config = {.service = name, .database_path = name};
    config.limits = (struct config_limits){.batch_events = MODEL_BATCH,
                                           .batch_bytes = MODEL_BYTES,
                                           .message_bytes = 1000000,
                                           .parked_entities = 1,
                                           .parked_records = 1,
                                           .parked_bytes = 1 << 28};
    struct store_options store = {.path = name, .service = name};
    model_must(&run, entity_schema_new(test_path("schemas"), "item", &schema, &run.err));
    struct mapping mapping = {.schema = schema, .entry = &entry};
    struct applier_options options = {.ops = &store_memory_ops,
                                      .config = &config,
                                      .mappings = &mapping,
                                      .mapping_count = 1,
                                      .metrics = metrics};
    model_must(&run, applier_new(&options, &run.applier, &run.err));
    model_must(&run, batch_init(&run.batch, MODEL_BATCH, MODEL_BYTES, 1000000, &run.err));
    model_take(&run, topic, partitions);
    (void)kafka_consume_all(kafka, topic, model_record, &run);
    model_apply(&run);
    const char *rows = model_rows(&run, &store, partitions);
    applier_free(run.applier);
    batch_done(&run.batch);
    entity_schema_free(schema);
    free(metrics);
    return rows;
}

const char *model_items_sql(void)
{
    return "SELECT id, name, amount FROM items "
           "ORDER BY id || '|' || name || '|' || ifnull(amount, 'NULL')";
}
