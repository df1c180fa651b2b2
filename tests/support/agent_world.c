/* The agent's world: what agent_world.h says. */
#include "tests/support/agent_world.h"

#include "consumer/store/registry.h"
#include "schemas/change.h"

#define OPEN_MS 60000

static const char schema_text[] =
    "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","
    "\"x-keepstep-key\":[\"id\"],\"required\":[\"id\"],\"additionalProperties\":false,"
    "\"properties\":{\"id\":{\"type\":\"integer\",\"x-keepstep-type\":\"integer\"},"
    "\"a\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"text\"}}}";

/* A test may have several worlds at once. */
static int worlds;

static void *run_agent(void *argument)
{
    struct agent_thread *run = argument;
    run->status = agent_run(run->agent, &run->stop, &run->err);
    return NULL;
}

static const char *event_id(const struct agent_world_event *event, int sequence)
{
    return test_format("p%de%d", event->partition, sequence);
}

void agent_world_put(struct agent_world *world, const struct agent_world_event *event)
{
    int id = event->id != 0 ? event->id : world->keys[event->partition];
    const char *key = test_format("{\"id\":%d}", id);
    const char *value = test_format(
        "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":%d,\"a\":\"%s\"}}", id, event->text);
    rd_kafka_headers_t *headers = rd_kafka_headers_new(8);
    for (int i = 0; i < event->headers_before; i++)
        (void)rd_kafka_header_add(headers, "baggage", -1, "x", -1);
    (void)rd_kafka_header_add(headers, "ce_specversion", -1, "1.0", -1);
    (void)rd_kafka_header_add(headers, "ce_id", -1, event_id(event, event->sequence), -1);
    (void)rd_kafka_header_add(headers, "ce_source", -1, "shop", -1);
    (void)rd_kafka_header_add(
        headers, "ce_type", -1,
        test_format("%s.updated", event->type == NULL ? "order" : event->type), -1);
    (void)rd_kafka_header_add(headers, "ce_protocol", -1, "1", -1);
    (void)rd_kafka_header_add(headers, "ce_incarnation", -1, "0193a7c0-0000-7000-8000-000000000001",
                              -1);
    (void)rd_kafka_header_add(headers, "ce_sequence", -1, test_format("%020d", event->sequence),
                              -1);
    if (event->changeset_end > 0)
        (void)rd_kafka_header_add(headers, "ce_changeset", -1,
                                  test_format("%020d", event->changeset_end), -1);
    if (event->sequence > 1)
        (void)rd_kafka_header_add(headers, "ce_previousid", -1,
                                  event->is_fork ? "another" : event_id(event, event->sequence - 1),
                                  -1);
    assert_int_equal(rd_kafka_producev(world->producer, RD_KAFKA_V_TOPIC("order"),
                                       RD_KAFKA_V_PARTITION(event->partition),
                                       RD_KAFKA_V_KEY(key, strlen(key)),
                                       RD_KAFKA_V_VALUE((void *)(uintptr_t)value, strlen(value)),
                                       RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                       RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
}

void agent_world_flush(struct agent_world *world)
{
    assert_int_equal(rd_kafka_flush(world->producer, 5000), RD_KAFKA_RESP_ERR_NO_ERROR);
}

void agent_world_send(struct agent_world *world, const struct agent_world_event *event)
{
    agent_world_put(world, event);
    agent_world_flush(world);
}

void agent_world_start(struct agent_world *world)
{
    struct agent_thread *run = &world->run;
    *run = (struct agent_thread){.status = STATUS_OK};
    if (agent_new(&world->options, &run->agent, &run->err) != STATUS_OK)
        test_fail("%s", run->err.text);
    assert_int_equal(pthread_create(&run->thread, NULL, run_agent, run), 0);
}

void agent_world_join(struct agent_world *world)
{
    assert_int_equal(pthread_join(world->run.thread, NULL), 0);
    agent_free(world->run.agent);
    world->run.agent = NULL;
}

void agent_world_end(struct agent_world *world)
{
    struct agent_thread *run = &world->run;
    atomic_store(&run->stop, true);
    agent_world_join(world);
    if (run->status != STATUS_OK)
        test_fail("%s", run->err.text);
}

struct open_set {
    const struct agent_partition_metrics *row;
    int64_t records;
};

static bool is_open(void *context)
{
    const struct open_set *set = context;
    bool any = atomic_load(&set->row->set_since_us) != 0;
    return set->records == 0 ? !any : any && atomic_load(&set->row->set_records) == set->records;
}

void agent_world_expect_open(struct agent_world *world, int64_t records)
{
    struct open_set set = {&world->metrics->partitions[0], records};
    if (!test_wait(is_open, &set, OPEN_MS))
        test_fail("no set of which %lld records were read is open, or there is one still",
                  (long long)records);
}

/** Find an id for each partition. */
static void find_keys(struct agent_world *world, int partitions)
{
    for (int found = 0, id = 1; found < partitions; id++) {
        const char *key = test_format("{\"id\":%d}", id);
        int partition = partition_of(slice_of(key), partitions);
        found += world->keys[partition] == 0;
        if (world->keys[partition] == 0)
            world->keys[partition] = id;
    }
}

void agent_world_make(struct agent_world *world, int partitions)
{
    struct error err = ERROR_INIT;
    struct store *store = NULL;
    rd_kafka_conf_t *conf = NULL;
    *world = (struct agent_world){.database = test_path("copy-%d.db", worlds++)};
    struct store_options install = {.path = world->database, .service = "billing", .install = true};
    test_write_file(test_path("order.schema.json"), schema_text);
    assert_int_equal(entity_schema_new(test_directory(), "order", &world->schema, &err), STATUS_OK);
    assert_int_equal(store_sqlite_ops.open(&install, &store, &err), STATUS_OK);
    store_sqlite_ops.close(store);

    assert_int_equal(kafka_conf_new(NULL, 0, &conf, &err), STATUS_OK);
    assert_int_equal(kafka_handle_new(RD_KAFKA_PRODUCER, conf, &world->producer, &err), STATUS_OK);
    world->cluster = rd_kafka_mock_cluster_new(world->producer, 1);
    const char *brokers = rd_kafka_mock_cluster_bootstraps(world->cluster);
    (void)rd_kafka_mock_topic_create(world->cluster, "order", partitions, 1);
    find_keys(world, partitions);
    rd_kafka_brokers_add(world->producer, brokers);

    world->kafka = (struct text_pair){.name = "bootstrap.servers",
                                      .value = (char *)(uintptr_t)brokers};
    world->entry = (struct config_entry){
        .entity_type = "order", .table = "orders", .topic = "order", .partitions = partitions};
    world->mapping = (struct mapping){.schema = world->schema, .entry = &world->entry};
    world->config = (struct config){
        .service = "billing",
        .database = (char *)(uintptr_t)test_format("sqlite:%s", world->database),
        .database_path = (char *)(uintptr_t)world->database,
        .instance = "1",
        .kafka = &world->kafka,
        .kafka_count = 1,
        .limits = {.batch_events = 100,
                   .batch_bytes = 1 << 20,
                   .message_bytes = 1000000,
                   .parked_entities = 10,
                   .parked_records = 100,
                   .parked_bytes = 1 << 28,
                   .changeset_events = 20000,
                   .changeset_bytes = 1 << 23}};
    world->metrics = calloc(1, sizeof *world->metrics);
    world->options = (struct agent_options){.config = &world->config,
                                            .mappings = &world->mapping,
                                            .mapping_count = 1,
                                            .metrics = world->metrics};
}

void agent_world_done(struct agent_world *world)
{
    free(world->metrics);
    rd_kafka_mock_cluster_destroy(world->cluster);
    rd_kafka_destroy(world->producer);
    entity_schema_free(world->schema);
}
