/* The agent on librdkafka's mock cluster: it is assigned, polls, applies, and starts again.
 * labels: threads */
#include "tests/support/sql.h"

#include "common/kafka_client.h"
#include "consumer/agent/agent.h"
#include "consumer/store/registry.h"
#include "operate/metrics.h"

#include <librdkafka/rdkafka_mock.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#define OFFSET_COMMIT 8 /* Kafka's number of this request */
#define CUT_OFF_US    1000000

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
    pthread_t thread;
};

/* A mock cluster with the topic "order", a copy of it, and the agent's configuration. */
struct world {
    const char *database;
    struct entity_schema *schema;
    rd_kafka_t *producer;
    rd_kafka_mock_cluster_t *cluster;
    struct text_pair kafka;
    struct config_entry entry;
    struct mapping mapping;
    struct config config;
    struct agent_metrics *metrics;
    struct agent_options options;
    struct run run;
};

static void *run_agent(void *argument)
{
    struct run *run = argument;
    run->status = agent_run(run->agent, &run->stop, &run->err);
    return NULL;
}

/** @param before how many headers of another program come before Keepstep's */
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

static void start(struct world *world)
{
    struct run *run = &world->run;
    *run = (struct run){.status = STATUS_OK};
    if (agent_new(&world->options, &run->agent, &run->err) != STATUS_OK)
        test_fail("%s", run->err.text);
    assert_int_equal(pthread_create(&run->thread, NULL, run_agent, run), 0);
}

static void end(struct world *world)
{
    struct run *run = &world->run;
    atomic_store(&run->stop, true);
    assert_int_equal(pthread_join(run->thread, NULL), 0);
    if (run->status != STATUS_OK)
        test_fail("%s", run->err.text);
    agent_free(run->agent);
}

static void world_make(struct world *world)
{
    struct error err = ERROR_INIT;
    struct store *store = NULL;
    rd_kafka_conf_t *conf = NULL;
    *world = (struct world){.database = test_path("copy.db")};
    struct store_options install = {.path = world->database, .service = "billing", .install = true};
    test_write_file(test_path("order.schema.json"), schema_text);
    assert_int_equal(entity_schema_new(test_directory(), "order", &world->schema, &err), STATUS_OK);
    assert_int_equal(store_sqlite_ops.open(&install, &store, &err), STATUS_OK);
    store_sqlite_ops.close(store);

    assert_int_equal(kafka_conf_new(NULL, 0, &conf, &err), STATUS_OK);
    assert_int_equal(kafka_handle_new(RD_KAFKA_PRODUCER, conf, &world->producer, &err), STATUS_OK);
    world->cluster = rd_kafka_mock_cluster_new(world->producer, 1);
    const char *brokers = rd_kafka_mock_cluster_bootstraps(world->cluster);
    (void)rd_kafka_mock_topic_create(world->cluster, "order", 1, 1);
    rd_kafka_brokers_add(world->producer, brokers);

    world->kafka = (struct text_pair){.name = "bootstrap.servers",
                                      .value = (char *)(uintptr_t)brokers};
    world->entry = (struct config_entry){
        .entity_type = "order", .table = "orders", .topic = "order", .partitions = 1};
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
                   .parked_bytes = 1 << 28}};
    world->metrics = calloc(1, sizeof *world->metrics);
    world->options = (struct agent_options){.config = &world->config,
                                            .mappings = &world->mapping,
                                            .mapping_count = 1,
                                            .metrics = world->metrics};
}

static void world_done(struct world *world)
{
    free(world->metrics);
    rd_kafka_mock_cluster_destroy(world->cluster);
    rd_kafka_destroy(world->producer);
    entity_schema_free(world->schema);
}

/* Make the world, and run its agent until it has applied the first event. */
static void world_begin(struct world *world)
{
    world_make(world);
    produce(world->producer, 1, "one", 0);
    start(world);
    assert_true(sqlite_wait_for(world->database, "SELECT a FROM orders", "one\n", 20000));
}

static void test_applies_and_goes_on_after_a_restart(void **test)
{
    (void)test;
    struct world world;
    world_begin(&world);
    produce(world.producer, 2, "two", 1000);
    assert_true(sqlite_wait_for(world.database, "SELECT a FROM orders", "two\n", 5000));
    end(&world);
    produce(world.producer, 3, "three", 0);
    start(&world);
    assert_true(sqlite_wait_for(world.database, "SELECT a FROM orders", "three\n", 20000));
    produce(world.producer, 4, "four", 1100);
    assert_true(sqlite_wait_for(
        world.database,
        "SELECT next_offset FROM keepstep_position WHERE stopped LIKE '%1024 headers%'", "3\n",
        20000));
    end(&world);
    assert_int_equal(atomic_load(&world.metrics->events_applied), 3);
    assert_int_equal(atomic_load(&world.metrics->partitions[0].durable_offset), 3);
    world_done(&world);
}

struct lag {
    struct world *world;
    const char *records;
    bool waits;
};

static bool has_lag(void *context)
{
    const struct lag *lag = context;
    struct buffer text;
    struct metrics_sources sources = {.config = &lag->world->config, .agent = lag->world->metrics};
    buffer_init(&text, 1 << 20);
    metrics_render(&sources, &text);
    const char *page = buffer_text(&text);
    const char *records = strstr(page, "keepstep_consumer_lag_records{");
    const char *seconds = strstr(page, "keepstep_consumer_lag_seconds{");
    double age = seconds == NULL ? -1 : strtod(strchr(seconds, ' '), NULL);
    bool as_wanted = records != NULL && seconds != NULL &&
                     strncmp(strchr(records, ' '), lag->records, strlen(lag->records)) == 0 &&
                     (lag->waits ? age > 0 && age < 60 : age == 0);
    buffer_done(&text);
    return as_wanted;
}

static void expect_lag(struct world *world, const char *records, bool waits)
{
    struct lag lag = {.world = world, .records = test_format(" %s\n", records), .waits = waits};
    if (!test_wait(has_lag, &lag, 20000))
        test_fail("not %s records behind", records);
}

static void
test_lag_grows_while_the_database_does_not_answer_and_where_a_partition_stands_still(void **test)
{
    (void)test;
    struct world world;
    sqlite3 *holder = NULL;
    world_begin(&world);
    expect_lag(&world, "0", false);
    assert_int_equal(sqlite3_open(world.database, &holder), SQLITE_OK);
    assert_int_equal(sqlite3_exec(holder, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    produce(world.producer, 2, "two", 0);
    expect_lag(&world, "1", true);
    produce(world.producer, 3, "three", 0);
    expect_lag(&world, "2", true);
    assert_int_equal(sqlite3_close(holder), SQLITE_OK);
    expect_lag(&world, "0", false);
    assert_string_equal(sqlite_text(world.database, "SELECT a FROM orders"), "three\n");
    produce(world.producer, 5, "a gap", 0);
    expect_lag(&world, "1", true);
    assert_true(atomic_load(&world.metrics->partitions[0].stopped));
    produce(world.producer, 6, "behind it", 0);
    expect_lag(&world, "2", true);
    end(&world);
    start(&world);
    expect_lag(&world, "2", true);
    end(&world);
    world_done(&world);
}

/* Answer the next commit as a coordinator does when another member has taken our static name. */
static void refuse_a_commit(const struct world *world)
{
    rd_kafka_mock_push_request_errors(world->cluster, OFFSET_COMMIT, 1,
                                      RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID);
}

static void test_a_member_that_is_fenced_while_its_broker_answers_ends_for_good(void **test)
{
    (void)test;
    struct world world;
    struct run *run = &world.run;
    world_make(&world);
    start(&world);
    refuse_a_commit(&world);
    produce(world.producer, 1, "one", 0);
    assert_int_equal(pthread_join(run->thread, NULL), 0);
    assert_int_equal(run->status, STATUS_FATAL);
    assert_int_equal(run->err.exit_code, EX_CONFIG);
    assert_non_null(strstr(run->err.text, "under the same instance name"));
    agent_free(run->agent);
    world_done(&world);
}

/* The session may have run out while the agent was cut off. Then it fenced its own earlier self. */
static void test_a_member_that_is_fenced_after_it_was_cut_off_joins_again(void **test)
{
    (void)test;
    struct world world;
    world_begin(&world);
    (void)rd_kafka_mock_broker_set_down(world.cluster, 1);
    (void)usleep(CUT_OFF_US);
    refuse_a_commit(&world);
    (void)rd_kafka_mock_broker_set_up(world.cluster, 1);
    produce(world.producer, 2, "two", 0);
    assert_true(sqlite_wait_for(world.database, "SELECT a FROM orders", "two\n", 30000));
    produce(world.producer, 3, "three", 0);
    assert_true(sqlite_wait_for(world.database, "SELECT a FROM orders", "three\n", 30000));
    end(&world);
    world_done(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(test_applies_and_goes_on_after_a_restart, 60),
        TEST_WITH_LIMIT(
            test_lag_grows_while_the_database_does_not_answer_and_where_a_partition_stands_still,
            120),
        TEST_WITH_LIMIT(test_a_member_that_is_fenced_while_its_broker_answers_ends_for_good, 60),
        TEST_WITH_LIMIT(test_a_member_that_is_fenced_after_it_was_cut_off_joins_again, 90),
    };
    return TEST_RUN(tests);
}
