/* The agent against librdkafka's mock cluster: assigned, polled, applied, started again.
 * labels: threads */
#include "tests/support/sql.h"

#include "common/kafka_client.h"
#include "consumer/agent.h"

#include <librdkafka/rdkafka_mock.h>
#include <pthread.h>
#include <stdio.h>

static const char schema_text[] =
    "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","
    "\"x-keepstep-key\":[\"id\"],\"required\":[\"id\"],\"additionalProperties\":false,"
    "\"properties\":{\"id\":{\"type\":\"integer\",\"x-keepstep-type\":\"integer\"},"
    "\"a\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"text\"}}}";

struct run {
    struct agent *agent;
    atomic_bool stop;
    enum status status;
    struct error err;
};

static void *run_agent(void *argument)
{
    struct run *run = argument;
    run->status = agent_run(run->agent, &run->stop, &run->err);
    return NULL;
}

/** @param before  headers of somebody else in front of Keepstep's */
static void produce(rd_kafka_t *producer, int sequence, const char *text, int before)
{
    const char *key = "{\"id\":1}";
    const char *value = test_format(
        "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":1,\"a\":\"%s\"}}", text);
    rd_kafka_headers_t *headers = rd_kafka_headers_new(8);
    for (int i = 0; i < before; i++)
        (void)rd_kafka_header_add(headers, "baggage", -1, "x", -1);
    (void)rd_kafka_header_add(headers, "ce_specversion", -1, "1.0", -1);
    (void)rd_kafka_header_add(headers, "ce_id", -1, test_format("e%d", sequence), -1);
    (void)rd_kafka_header_add(headers, "ce_source", -1, "shop", -1);
    (void)rd_kafka_header_add(headers, "ce_type", -1, "order.updated", -1);
    (void)rd_kafka_header_add(headers, "ce_protocol", -1, "1", -1);
    (void)rd_kafka_header_add(headers, "ce_incarnation", -1, "0193a7c0-0000-7000-8000-000000000001",
                              -1);
    (void)rd_kafka_header_add(headers, "ce_sequence", -1, test_format("%020d", sequence), -1);
    if (sequence > 1)
        (void)rd_kafka_header_add(headers, "ce_previousid", -1, test_format("e%d", sequence - 1),
                                  -1);
    assert_int_equal(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC("order"), RD_KAFKA_V_PARTITION(0),
                                       RD_KAFKA_V_KEY(key, strlen(key)),
                                       RD_KAFKA_V_VALUE((void *)(uintptr_t)value, strlen(value)),
                                       RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                       RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(rd_kafka_flush(producer, 5000), RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void start(struct run *run, pthread_t *thread, const struct agent_options *options)
{
    *run = (struct run){.status = STATUS_OK};
    if (agent_new(options, &run->agent, &run->err) != STATUS_OK)
        test_fail("%s", run->err.text);
    assert_int_equal(pthread_create(thread, NULL, run_agent, run), 0);
}

static void end(struct run *run, pthread_t thread)
{
    atomic_store(&run->stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (run->status != STATUS_OK)
        test_fail("%s", run->err.text);
    agent_free(run->agent);
}

static void test_applies_and_goes_on_after_a_restart(void **test)
{
    (void)test;
    struct error err = ERROR_INIT;
    const char *database = test_path("copy.db");
    struct store *store = NULL;
    struct store_options install = {.path = database, .service = "billing", .install = true};
    struct entity_schema *schema = NULL;
    test_write_file(test_path("order.schema.json"), schema_text);
    assert_int_equal(entity_schema_new(test_directory(), "order", &schema, &err), STATUS_OK);
    assert_int_equal(store_sqlite_ops.open(&install, &store, &err), STATUS_OK);
    store_sqlite_ops.close(store);

    rd_kafka_conf_t *conf = NULL;
    rd_kafka_t *producer = NULL;
    assert_int_equal(kafka_conf_new(NULL, 0, NULL, 0, &conf, &err), STATUS_OK);
    assert_int_equal(kafka_handle_new(RD_KAFKA_PRODUCER, conf, &producer, &err), STATUS_OK);
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(producer, 1);
    const char *brokers = rd_kafka_mock_cluster_bootstraps(cluster);
    (void)rd_kafka_mock_topic_create(cluster, "order", 1, 1);
    rd_kafka_brokers_add(producer, brokers);

    struct config_pair kafka = {.name = "bootstrap.servers", .value = (char *)(uintptr_t)brokers};
    struct config_entry entry = {
        .entity_type = "order", .table = "orders", .topic = "order", .partitions = 1};
    struct mapping mapping = {.schema = schema, .entry = &entry};
    struct config config = {.service = "billing",
                            .database = (char *)(uintptr_t)test_format("sqlite:%s", database),
                            .database_path = (char *)(uintptr_t)database,
                            .instance = "1",
                            .kafka = &kafka,
                            .kafka_count = 1,
                            .limits = {.batch_events = 100,
                                       .batch_bytes = 1 << 20,
                                       .message_bytes = 1000000,
                                       .parked_entities = 10,
                                       .parked_records = 100}};
    struct agent_metrics *metrics = calloc(1, sizeof *metrics);
    struct agent_options options = {
        .config = &config, .mappings = &mapping, .mapping_count = 1, .metrics = metrics};
    struct run run;
    pthread_t thread;
    produce(producer, 1, "one", 0);
    start(&run, &thread, &options);
    assert_true(sqlite_wait_for(database, "SELECT a FROM orders", "one\n", 20000));
    produce(producer, 2, "two", 1000);
    assert_true(sqlite_wait_for(database, "SELECT a FROM orders", "two\n", 5000));
    end(&run, thread);
    produce(producer, 3, "three", 0);
    start(&run, &thread, &options);
    assert_true(sqlite_wait_for(database, "SELECT a FROM orders", "three\n", 20000));
    produce(producer, 4, "four", 1100);
    assert_true(sqlite_wait_for(
        database, "SELECT next_offset FROM keepstep_position WHERE stopped LIKE '%1024 headers%'",
        "3\n", 20000));
    end(&run, thread);
    assert_int_equal(atomic_load(&metrics->events_applied), 3);
    assert_int_equal(atomic_load(&metrics->partitions[0].durable_offset), 3);
    free(metrics);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(producer);
    entity_schema_free(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(test_applies_and_goes_on_after_a_restart, 60),
    };
    return TEST_RUN(tests);
}
