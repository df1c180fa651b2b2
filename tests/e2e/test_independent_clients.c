/* Clients that know nothing of Keepstep. Their events are applied, and they can read ours. */
#include "common/murmur2.h"
#include "tests/support/npm.h"
#include "tests/support/sidecar.h"

#define CLIENTS        KEEPSTEP_SOURCE_DIR "/tests/e2e/clients"
#define PARTITIONS     3
#define APPLY_ITEMS    "apply:\n  item: {table: items, partitions: 3}\n"
#define LOG_APPEND     "message.timestamp.type=LogAppendTime"
#define KCAT_ROWS      "1|changed|2\n3|näme|NULL\n"
#define KAFKAJS_FIRST  "1|changed|-7\n2|näme \"quoted\" ✓|NULL\n4|by the SDK|4\n"
#define KAFKAJS_LIMIT  60000
#define KAFKAJS_SELECT "SELECT * FROM items WHERE id<100 ORDER BY id"

static const char *run_client(const char *node_path, const char *script, struct kafka *kafka,
                              const char *topic, const char *count)
{
    const char *const argv[] = {
        "node", test_format("%s/%s", CLIENTS, script), kafka_bootstrap(kafka), topic, count, NULL};
    const char *const environment[] = {node_path, NULL};
    struct process_result result = process_run(argv, environment, KAFKAJS_LIMIT);
    if (result.exit_code != 0)
        test_fail("%s ended with %d: %s\n%s", script, result.exit_code, result.errors,
                  result.output);
    return result.output;
}

static void assert_rows(const struct sidecar *billing, const char *select, const char *expected)
{
    if (!sqlite_wait_for(billing->database, select, expected, 30000))
        test_fail("billing has %s: %s", sqlite_text(billing->database, select),
                  process_errors(billing->process));
    assert_int_equal(sqlite_number(billing->database, "SELECT count(*) FROM keepstep_parked"), 0);
}

static void events_of_kafkajs_are_applied(void **state)
{
    (void)state;
    const char *node_path = npm_or_skip("clients", CLIENTS);
    struct kafka *kafka = kafka_start();
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    kafka_create_topic(kafka, sidecar_topic("item"), PARTITIONS, LOG_APPEND);
    sidecar_init(&billing, NULL);
    (void)run_client(node_path, "produce.js", kafka, sidecar_topic("item"), NULL);
    sidecar_start(&billing, NULL);
    assert_rows(&billing, "SELECT count(*), min(id), sum(id=amount) FROM items WHERE id>=100",
                "100|100|100\n");
    assert_rows(&billing, KAFKAJS_SELECT, KAFKAJS_FIRST);
    (void)run_client(node_path, "produce.js", kafka, sidecar_topic("item"), NULL);
    assert_true(sqlite_wait_for(billing.database, "SELECT sum(next_offset) FROM keepstep_position",
                                "214\n", 30000));
    assert_rows(&billing, KAFKAJS_SELECT, KAFKAJS_FIRST);
    sidecar_stop(&billing);
}

static void produce_by_kcat(struct kafka *kafka, const char *event_id, const char *type, int id,
                            const char *value)
{
    const char *key = test_format("{\"id\":%d}", id);
    int partition = murmur2_partition(slice_of(key), PARTITIONS);
    const char *file = test_path("%s.json", event_id);
    test_write_file(file, value);
    struct process_result result = PROCESS_RUN(
        "kcat", "-P", "-b", kafka_bootstrap(kafka), "-t", sidecar_topic("item"), "-p",
        test_format("%d", partition), "-k", key, "-X", "acks=all", "-H", "ce_specversion=1.0", "-H",
        test_format("ce_id=%s", event_id), "-H", "ce_source=kcat", "-H",
        test_format("ce_type=item.%s", type), "-H", "ce_time=2026-11-23T09:42:00.5+02:00", "-H",
        "content-type=application/json", file);
    if (result.exit_code != 0)
        test_fail("kcat ended with %d: %s", result.exit_code, result.errors);
}

static void events_of_kcat_are_applied(void **state)
{
    (void)state;
    if (PROCESS_RUN("kcat", "-V").exit_code != 0)
        test_skip("no kcat");
    struct kafka *kafka = kafka_start();
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    kafka_create_topic(kafka, sidecar_topic("item"), PARTITIONS, LOG_APPEND);
    sidecar_init(&billing, NULL);
    sidecar_start(&billing, NULL);
    produce_by_kcat(kafka, "k1", "created", 1,
                    "{\"op\":\"c\",\"before\":null,"
                    "\"after\":{\"id\":1,\"name\":\"first\",\"amount\":1}}");
    produce_by_kcat(kafka, "k2", "created", 2,
                    "{ \"after\" : { \"name\" : \"goes\", \"id\" : 2 } , \"op\" : \"c\" }");
    produce_by_kcat(kafka, "k3", "updated", 1,
                    "{\"op\":\"u\",\"after\":{\"id\":1,\"name\":\"changed\",\"amount\":2}}");
    produce_by_kcat(kafka, "k4", "deleted", 2, "{\"op\":\"d\",\"before\":null,\"after\":null}");
    produce_by_kcat(kafka, "k5", "created", 3,
                    "{\"op\":\"c\",\"before\":null,"
                    "\"after\":{\"id\":3,\"name\":\"n\\u00e4me\",\"amount\":null}}");
    assert_rows(&billing, "SELECT * FROM items ORDER BY id", KCAT_ROWS);
    sidecar_stop(&billing);
}

static void the_cloudevents_sdk_reads_our_records(void **state)
{
    (void)state;
    const char *node_path = npm_or_skip("clients", CLIENTS);
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL,
                                       "publish:\n  item: {table: items, partitions: 3}\n");
    static const char common[] = "shop {\"id\":1} sequence=0000000000000000000";

    (void)sqlite_text(shop.database, "INSERT INTO items VALUES(1,'before',1)");
    sidecar_init(&shop, NULL);
    sidecar_start(&shop, NULL);
    (void)sqlite_text(shop.database, "UPDATE items SET name='ü\"' WHERE id=1");
    (void)sqlite_text(shop.database, "DELETE FROM items WHERE id=1");
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES(1,'again',NULL)");
    assert_true(sqlite_wait_for(shop.database,
                                "SELECT sum(acknowledged_sequence) FROM keepstep_relay_partition",
                                "4\n", 30000));
    const char *lines = run_client(node_path, "read.js", kafka, sidecar_topic("item"), "4");
    assert_string_equal(lines,
                        test_format("1.0 item.read %s1 follows application/json r before\n"
                                    "1.0 item.updated %s2 follows application/json u ü\"\n"
                                    "1.0 item.deleted %s3 follows application/json d -\n"
                                    "1.0 item.created %s4 follows application/json c again\n",
                                    common, common, common, common));
    sidecar_stop(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(events_of_kafkajs_are_applied, 180),
        TEST_WITH_LIMIT(events_of_kcat_are_applied, 120),
        TEST_WITH_LIMIT(the_cloudevents_sdk_reads_our_records, 180),
    };
    return TEST_RUN(tests);
}
