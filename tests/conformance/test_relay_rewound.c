/* A relay beside a server that comes back without its last commits: it goes on only where the
 * database has what it remembers (rule 10). labels: threads */
#include "tests/support/database.h"
#include "tests/support/mariadb.h"
#include "tests/support/outbox_case.h"
#include "tests/support/postgresql.h"

#include "common/clock.h"
#include "producer/relay/relay.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <pthread.h>

#define SCHEMA                                                                                     \
    "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","                \
    "\"x-keepstep-key\":[\"id\"],\"properties\":{"                                                 \
    "\"id\":{\"type\":\"integer\",\"x-keepstep-type\":\"integer\"}}}"
#define WAIT_US (INT64_C(60) * 1000 * 1000)

struct publisher {
    struct config config;
    struct config_entry entry;
    struct text_pair kafka;
    struct entity_schema *schema;
    rd_kafka_t *handle;
    rd_kafka_mock_cluster_t *cluster;
    struct relay_metrics metrics;
    atomic_bool stop;
    struct error err;
    enum status status;
    pthread_t thread;
};

static void *run_relay(void *context)
{
    struct publisher *shop = context;
    const struct entity_schema *schemas[] = {shop->schema};
    const struct relay_options options = {
        .config = &shop->config, .schemas = schemas, .metrics = &shop->metrics};
    struct relay *relay = NULL;
    shop->status = relay_new(&options, &relay, &shop->err);
    if (shop->status == STATUS_OK)
        shop->status = relay_run(relay, &shop->stop, &shop->err);
    relay_free(relay);
    return NULL;
}

static void publisher_make(struct publisher *shop)
{
    char text[512];
    shop->handle = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof text);
    shop->cluster = rd_kafka_mock_cluster_new(shop->handle, 1);
    (void)rd_kafka_mock_topic_create(shop->cluster, "order", 1, 1);
    shop->kafka = (struct text_pair){
        (char *)"bootstrap.servers",
        (char *)(uintptr_t)rd_kafka_mock_cluster_bootstraps(shop->cluster)};
    shop->entry = (struct config_entry){
        .entity_type = (char *)"order", .topic = (char *)"order", .partitions = 1};
    shop->config = (struct config){
        .service = (char *)"shop",
        .path = (char *)"shop.yaml",
        .database = (char *)(uintptr_t)outbox_case_url,
        .database_path = (char *)(uintptr_t)outbox_case_url,
        .instance = (char *)"1",
        .publish = &shop->entry,
        .publish_count = 1,
        .kafka = &shop->kafka,
        .kafka_count = 1,
        .limits = {.message_bytes = 1000000, .outbox_retention_s = 86400}};
    test_write_file(test_path("order.schema.json"), SCHEMA);
    if (entity_schema_new(test_directory(), "order", &shop->schema, &shop->err) != STATUS_OK)
        test_fail("%s", shop->err.text);
    assert_int_equal(pthread_create(&shop->thread, NULL, run_relay, shop), 0);
}

static void write_order(int id)
{
    (void)outbox_case_ask(test_format(
        "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', "
        "'{\"id\":%d}', 'order.created', '{\"op\":\"c\",\"before\":null,\"after\":{\"id\":%d}}')",
        id, id));
}

static void expect_acknowledged(const struct publisher *shop, int count)
{
    int64_t until = clock_monotonic_us() + WAIT_US;
    while (atomic_load(&shop->metrics.acknowledged) < count && clock_monotonic_us() < until)
        clock_sleep_us(20000);
    if (atomic_load(&shop->metrics.acknowledged) != count)
        test_fail("acknowledged %d: %s", (int)atomic_load(&shop->metrics.acknowledged),
                  shop->err.text);
}

static void expect_written(const char *count)
{
    static const char sql[] = "SELECT sum(acknowledged_sequence) FROM keepstep_relay_partition";
    if (!database_wait_for(outbox_case_url, sql, count, 60000))
        test_fail("acknowledged %s", outbox_case_ask(sql));
}

static void crash_and(const char *command)
{
    bool postgresql = strncmp(outbox_case_url, "postgresql:", 11) == 0;
    const char *directory = postgresql ? postgresql_directory() : mariadb_directory();
    if (postgresql)
        postgresql_stop();
    else
        mariadb_stop();
    if (system(test_format("cd '%s' && %s", directory, command)) != 0)
        test_fail("%s", command);
    if (postgresql)
        postgresql_start();
    else
        mariadb_start();
}

static void a_relay_beside_a_server_that_lost_commits_numbers_nothing_anew(void)
{
    struct publisher shop = {.status = STATUS_OK};
    outbox_case_make();
    publisher_make(&shop);
    write_order(1);
    expect_acknowledged(&shop, 1);
    (void)outbox_case_ask("UPDATE keepstep_relay_partition SET acknowledged_sequence = 0");
    crash_and("cp -a data older"); /* and loses no number: the relay goes on with what it has, */
    expect_written("1\n");         /* and writes what was acknowledged once more */
    write_order(2);
    expect_acknowledged(&shop, 2);
    assert_int_equal(atomic_load(&shop.metrics.rebuilt), 0);
    crash_and("rm -rf data && mv older data");
    write_order(3);
    (void)pthread_join(shop.thread, NULL);
    assert_int_equal(shop.status, STATUS_FATAL);
    if (strstr(shop.err.text, "rewound or cloned") == NULL)
        test_fail("%s", shop.err.text);
    assert_int_equal(atomic_load(&shop.metrics.published), 2);
    assert_string_equal(outbox_case_ask("SELECT count(*) FROM outbox WHERE sequence IS NULL"),
                        "1\n");
    rd_kafka_mock_cluster_destroy(shop.cluster);
    rd_kafka_destroy(shop.handle);
    entity_schema_free(shop.schema);
}

CASE_OF_SERVERS(a_relay_beside_a_server_that_lost_commits_numbers_nothing_anew)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_relay_beside_a_server_that_lost_commits_numbers_nothing_anew_postgresql,
                        180),
        TEST_WITH_LIMIT(a_relay_beside_a_server_that_lost_commits_numbers_nothing_anew_mariadb,
                        180),
    };
    return TEST_RUN(tests);
}
