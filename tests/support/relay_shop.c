/* Starts and stops relays in threads, and writes rows for them to publish. */
#include "tests/support/relay_shop.h"

#include "producer/init/init.h"

#define SCHEMA                                                                                     \
    "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","                \
    "\"x-keepstep-key\":[\"id\"],\"properties\":{"                                                 \
    "\"id\":{\"type\":\"integer\",\"x-keepstep-type\":\"integer\"},"                               \
    "\"name\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"text\"}}}"

_Thread_local bool relay_shop_is_relay;

static void *run_relay(void *context)
{
    struct relay_shop *shop = context;
    const struct entity_schema *schemas[] = {shop->schema, shop->joint ? NULL : shop->schema};
    const struct relay_options options = {.config = &shop->config,
                                          .schemas = schemas,
                                          .metrics = &shop->metrics,
                                          .lease_us = shop->lease_us};
    struct relay *relay = NULL;
    relay_shop_is_relay = true;
    shop->status = relay_new(&options, &relay, &shop->err);
    if (shop->status == STATUS_OK)
        shop->status = relay_run(relay, &shop->stop, &shop->err);
    relay_free(relay);
    return NULL;
}

void relay_shop_prepare(struct relay_shop *shop, const char *database, int32_t partitions)
{
    char text[512];
    shop->handle = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof text);
    shop->cluster = rd_kafka_mock_cluster_new(shop->handle, 1);
    (void)rd_kafka_mock_topic_create(shop->cluster, "order", partitions, 1);
    shop->kafka[0] = (struct text_pair){"bootstrap.servers",
                                        rd_kafka_mock_cluster_bootstraps(shop->cluster)};
    /* One batch per request, so that a test can slow the reading down. */
    shop->kafka[1] = (struct text_pair){"fetch.message.max.bytes", "100"};
    shop->entry = (struct config_entry){
        .entity_type = (char *)"order", .topic = (char *)"order", .partitions = partitions};
    shop->config = (struct config){
        .service = (char *)"shop",
        .path = (char *)"shop.yaml",
        .database = (char *)(uintptr_t)database,
        .database_path = (char *)(uintptr_t)(shop->path == NULL ? database : shop->path),
        .instance = (char *)"1",
        .publish = &shop->entry,
        .publish_count = 1,
        .kafka = shop->kafka,
        .kafka_count = 1,
        .transactions = shop->whole ? TRANSACTIONS_WHOLE : TRANSACTIONS_SINGLE,
        .limits = {.message_bytes = 1000000,
                   .outbox_retention_s = 86400,
                   .changeset_events = 20000,
                   .changeset_bytes = 8388608}};
    if (shop->joint) {
        shop->both[0] = shop->entry;
        shop->both[1] = (struct config_entry){.entity_type = (char *)"keepstep.joint",
                                              .topic = (char *)"keepstep-joint",
                                              .partitions = 1};
        shop->config.publish = shop->both;
        shop->config.publish_count = 2;
        (void)rd_kafka_mock_topic_create(shop->cluster, "keepstep-joint", 1, 1);
    }
    test_write_file(test_path("order.schema.json"), SCHEMA);
    if (entity_schema_new(test_directory(), "order", &shop->schema, &shop->err) != STATUS_OK)
        test_fail("%s", shop->err.text);
}

/* Each shop has a database of its own: a second one of a test would find what the first has sent.
 */
void relay_shop_make(struct relay_shop *shop)
{
    static int count;
    FILE *out = fopen(test_path("init.txt"), "w");
    struct init_options init = {.out = out};
    shop->path = test_path("shop-%d.db", ++count);
    int32_t partitions = shop->partitions > 0 ? shop->partitions : shop->whole ? 1 : 3;
    relay_shop_prepare(shop, test_format("sqlite:%s", shop->path), partitions);
    const struct entity_schema *schemas[] = {shop->schema};
    if (init_service(&shop->config, schemas, &init, &shop->err) != STATUS_OK)
        test_fail("%s", shop->err.text);
    (void)fclose(out);
    (void)sqlite_text(shop->path, "PRAGMA journal_mode = DELETE");
}

void relay_shop_start(struct relay_shop *shop)
{
    atomic_store(&shop->stop, false);
    assert_int_equal(pthread_create(&shop->thread, NULL, run_relay, shop), 0);
}

void relay_shop_stop(struct relay_shop *shop)
{
    atomic_store(&shop->stop, true);
    (void)pthread_join(shop->thread, NULL);
    if (shop->status != STATUS_OK)
        test_fail("the relay ended: %s", shop->err.text);
}

/* What is sent together is one request: the mock cluster would take the records of a second one,
 * which a broker refuses because those in front of them are missing. */
void relay_shop_refuse_first(struct relay_shop *shop)
{
    shop->kafka[1] = (struct text_pair){"linger.ms", "300"};
    shop->config.kafka_count = 2;
    rd_kafka_mock_push_request_errors(shop->cluster, 0, 2, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
                                      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
}

void relay_shop_done(struct relay_shop *shop)
{
    rd_kafka_mock_cluster_destroy(shop->cluster);
    rd_kafka_destroy(shop->handle);
    entity_schema_free(shop->schema);
}

void relay_shop_write(const struct relay_shop *shop, int id, bool bare, const char *after)
{
    (void)sqlite_format(
        shop->path,
        "INSERT INTO outbox(aggregatetype,aggregateid,type,payload) VALUES('order',%s%d%s,"
        "'order.updated','{\"op\":\"u\",\"before\":null,\"after\":%s}')",
        bare ? "" : "'{\"id\":", id, bare ? "" : "}'", after);
}

void relay_shop_expect(const struct relay_shop *shop, const char *sql, const char *rows)
{
    if (!sqlite_wait_for(shop->path, sql, rows, 20000))
        test_fail("%s is %s: %s", sql, sqlite_text(shop->path, sql), shop->err.text);
}

void relay_shop_expect_acknowledged(const struct relay_shop *shop, int count)
{
    relay_shop_expect(shop, "SELECT sum(acknowledged_sequence) FROM keepstep_relay_partition",
                      test_format("%d\n", count));
}

enum status relay_shop_nothing_paused(struct outbox *outbox, struct paused_types *ret_paused,
                                      struct error *err)
{
    (void)outbox;
    (void)err;
    *ret_paused = (struct paused_types){0};
    return STATUS_OK;
}
