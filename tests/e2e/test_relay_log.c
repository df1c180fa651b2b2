/* A relay finds its log changed: settings, another log, other writers, a clone. */
#include "tests/support/sidecar.h"

#include "common/clock.h"

#include <signal.h>

#include <sys/stat.h>

#define PUBLISH_ITEMS "publish:\n  item: {table: items, partitions: 1}\n"
#define APPLY_ITEMS   "apply:\n  item: {table: items, partitions: 1}\n"
#define LOG_APPEND    "message.timestamp.type=LogAppendTime"
#define KAFKA_SCRIPT  KEEPSTEP_SOURCE_DIR "/tests/support/kafka/kafka.sh"
#define ACKNOWLEDGED  "SELECT sum(acknowledged_sequence) FROM keepstep_relay_partition"

static struct sidecar make_shop(struct kafka *kafka)
{
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    sidecar_init(&shop, NULL);
    return shop;
}

static void insert_items(const struct sidecar *service, int first, int last)
{
    for (int id = first; id <= last; id++)
        (void)sqlite_format(service->database, "INSERT INTO items VALUES(%d,'x',0)", id);
}

/* @return the relay's log. */
static const char *expect_refusal(struct sidecar *service, const char *words)
{
    int code = process_wait(service->process, 30000);
    const char *log = process_errors(service->process);
    if (code != 78 || strstr(log, words) == NULL)
        test_fail("%s ended with %d: %s", service->name, code, log);
    return log;
}

/* Make a tool of Kafka under its own name, in a folder on PATH. */
static void make_tool(const char *name)
{
    const char *path = test_path("kafka-%s.sh", name);
    test_write_file(path,
                    test_format("#!/bin/sh\nexec '%s' admin %s \"$@\"\n", KAFKA_SCRIPT, name));
    assert_int_equal(chmod(path, 0700), 0);
}

/* Run the command that the log gives. */
static void obey(const char *log)
{
    const char *start = strstr(log, "kafka-");
    assert_non_null(start);
    make_tool("configs");
    make_tool("topics");
    struct process_result result = PROCESS_RUN(
        "sh", "-c",
        test_format("PATH='%s':$PATH; %.*s", test_path("."), (int)strcspn(start, ";\"\n"), start));
    if (result.exit_code != 0)
        test_fail("%s%s", result.output, result.errors);
}

static void a_topic_that_the_relay_creates_keeps_all_by_the_brokers_clock(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = make_shop(kafka);
    sidecar_start(&shop, NULL);
    insert_items(&shop, 1, 1);
    sidecar_expect(&shop, ACKNOWLEDGED, "1\n");
    struct process_result result = PROCESS_RUN(
        KAFKA_SCRIPT, "admin", "configs", "--bootstrap-server", kafka_bootstrap(kafka),
        "--describe", "--entity-type", "topics", "--entity-name", sidecar_topic("item"));
    static const char *const settings[] = {"cleanup.policy=delete ", "retention.ms=-1 ",
                                           LOG_APPEND " "};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        if (strstr(result.output, settings[i]) == NULL)
            test_fail("no %sin %s%s", settings[i], result.output, result.errors);
    }
    assert_null(strstr(process_errors(shop.process), "does not keep its records"));
    sidecar_stop(&shop);
}

static void a_topic_with_other_settings_is_refused_with_the_command_that_mends_it(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = make_shop(kafka);
    kafka_create_topic(kafka, sidecar_topic("item"), 1,
                       "cleanup.policy=compact;retention.ms=604800000");
    insert_items(&shop, 1, 1);
    sidecar_start(&shop, NULL);
    const char *log = expect_refusal(
        &shop, "is compacted, which makes gaps, and lets its writers' clocks");
    assert_non_null(strstr(log, test_format("keepstep topics apply -c %s", shop.config)));
    test_write_file(shop.config,
                    test_format("%stopics: {retention_s: 604800}\n", test_read_file(shop.config)));
    assert_int_equal(sidecar_run(&shop, "topics", "apply", NULL).exit_code, 0);
    sidecar_start(&shop, NULL);
    sidecar_expect(&shop, ACKNOWLEDGED, "1\n");
    assert_int_equal(sidecar_records(kafka, "item"), 1);
    assert_non_null(strstr(process_errors(shop.process), "retention.ms=604800000"));
    sidecar_stop(&shop);
}

static void another_partition_count_is_refused(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = make_shop(kafka);
    kafka_create_topic(kafka, sidecar_topic("item"), 2, LOG_APPEND);
    (void)kafka_produce(kafka, sidecar_topic("item"), 1, "{}", "{}", NULL);
    sidecar_start(&shop, NULL);
    (void)expect_refusal(&shop, "has 2 partitions, not 1");
}

/* A broker makes such a topic for whoever asks for it, here also for an agent. */
static void an_empty_topic_with_too_few_partitions_is_refused_once(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL,
                                       "publish:\n  item: {table: items, partitions: 3}\n");
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    sidecar_begin(&billing);
    sidecar_expect(&billing, "SELECT partition, next_offset FROM keepstep_position", "0|0\n");
    sidecar_begin(&shop);
    insert_items(&shop, 1, 9);
    sidecar_stop(&billing);
    obey(expect_refusal(&shop, "has 1 partition, not 3, and is empty"));
    sidecar_start(&shop, NULL);
    sidecar_expect(&shop, ACKNOWLEDGED, "9\n");
    sidecar_start(&billing, NULL);
    sidecar_assert_equal(&shop, &billing, "items", 30000);
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM keepstep_position"), 3);
    sidecar_stop(&shop);
    sidecar_stop(&billing);
}

/* Make a shop that has published items 1 to 3 and is stopped. */
static struct sidecar published(struct kafka *kafka, const char *entries)
{
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, entries);
    sidecar_begin(&shop);
    insert_items(&shop, 1, 3);
    sidecar_expect(&shop, ACKNOWLEDGED, "3\n");
    sidecar_stop(&shop);
    insert_items(&shop, 4, 4);
    return shop;
}

static void a_topic_made_anew_stops_the_relay_until_a_new_incarnation(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = published(kafka, PUBLISH_ITEMS);
    kafka_delete_topic(kafka, sidecar_topic("item"));
    sidecar_start(&shop, NULL);
    (void)expect_refusal(&shop, "the topic was made anew or cut");
    assert_int_equal(sidecar_records(kafka, "item"), 0);

    struct process_result result = sidecar_run(&shop, "init", "--new-incarnation",
                                               "--existing-rows");
    if (result.exit_code != 0)
        test_fail("%s", result.errors);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);
    sidecar_start(&shop, NULL);
    sidecar_begin(&billing);
    sidecar_assert_equal(&shop, &billing, "items", 30000);
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM items"), 4);
    sidecar_stop(&shop);
    sidecar_stop(&billing);
}

/* Item 4 is in the log, though item 3 no longer is. The later record proves that item 3 was
 * sent. */
static void retention_between_the_last_acknowledged_record_and_the_next_is_no_clone(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = published(kafka, PUBLISH_ITEMS);
    insert_items(&shop, 5, 5);
    sidecar_start(&shop, "relay_before_acknowledge");
    assert_int_equal(process_wait(shop.process, 30000), 128 + SIGKILL);
    assert_int_equal(sqlite_number(shop.database, ACKNOWLEDGED), 3);
    kafka_trim(kafka, sidecar_topic("item"), 0, 4);
    sidecar_start(&shop, NULL);
    sidecar_expect(&shop, ACKNOWLEDGED, "5\n");
    assert_true(process_wait_for(shop.process, "retention has deleted the last record", 5000));
    assert_int_equal(sidecar_records(kafka, "item"), 1); /* nothing was sent again */
    sidecar_stop(&shop);
}

static void a_topic_made_anew_and_longer_now_is_seen_by_its_anchor(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = published(kafka, PUBLISH_ITEMS APPLY_ITEMS);
    kafka_delete_topic(kafka, sidecar_topic("item"));
    kafka_create_topic(kafka, sidecar_topic("item"), 1, LOG_APPEND);
    for (int key = 11; key <= 15; key++)
        sidecar_produce(kafka, test_format("i-%d", key), "item.created", key,
                        test_format("{\"id\":%d,\"name\":\"n\",\"amount\":1}", key));
    const char *const argv[] = {KEEPSTEP_BINARY, "relay", "-c", shop.config, NULL};
    shop.process = process_start("relay", argv, NULL);
    (void)expect_refusal(&shop, "offset 2: not the record that this outbox published there");
    assert_int_equal(sidecar_records(kafka, "item"), 5);
}

static void another_cluster_stops_the_relay_before_it_publishes(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = published(kafka, PUBLISH_ITEMS);
    const char *topic = test_format("%s:1", sidecar_topic("item"));
    const char *address_file = test_path("address");
    const char *const argv[] = {KEEPSTEP_BINARY, "broker", "--address-file",
                                address_file,    topic,    NULL};
    struct process *other = process_start("broker", argv, NULL);
    assert_true(process_wait_for(other, "127.0.0.1:[0-9]+", 10000));
    const char *address = test_read_file(address_file);
    test_write_file(shop.config,
                    test_format("service: shop\ndatabase: \"%s\"\nlisten: \"\"\n"
                                "kafka: {bootstrap.servers: \"%.*s\"}\n"
                                "topic_prefix: \"%s.\"\n" PUBLISH_ITEMS,
                                shop.url, (int)strcspn(address, "\n"), address, test_name()));
    sidecar_start(&shop, NULL);
    (void)expect_refusal(&shop, "the topic was made anew or cut");
    assert_int_equal(sqlite_number(shop.database, ACKNOWLEDGED), 3);
    assert_int_equal(process_stop(other, 10000), 0);
}

static void a_type_that_others_publish_too_must_be_applied(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = make_shop(kafka);
    kafka_create_topic(kafka, sidecar_topic("item"), 1, LOG_APPEND);
    sidecar_produce(kafka, "i-1", "item.created", 9, "{\"id\":9,\"name\":\"n\",\"amount\":1}");
    insert_items(&shop, 1, 1);
    sidecar_start(&shop, NULL);
    const char *log = expect_refusal(&shop, "another service publishes here");
    assert_non_null(strstr(log, "add it under apply:"));
    assert_int_equal(sidecar_records(kafka, "item"), 1);

    struct sidecar obedient = sidecar_make(kafka, "shop", NULL, PUBLISH_ITEMS APPLY_ITEMS);
    sidecar_begin(&obedient);
    sidecar_expect(&obedient, "SELECT id FROM items ORDER BY id", "1\n9\n");
    sidecar_expect(&obedient, ACKNOWLEDGED, "1\n");
    sidecar_stop(&obedient);
}

/* Clone the database of a running service. The clone has a configuration of its own. */
static struct sidecar cloned(struct kafka *kafka, const struct sidecar *shop)
{
    struct sidecar clone = sidecar_make(kafka, "clone", NULL, PUBLISH_ITEMS);
    (void)sqlite_format(shop->database, "VACUUM INTO '%s'", clone.database);
    test_write_file(clone.config, test_format("service: shop\ndatabase: \"%s\"\nlisten: \"\"\n"
                                              "kafka: {bootstrap.servers: \"%s\"}\n"
                                              "topic_prefix: \"%s.\"\n" PUBLISH_ITEMS,
                                              clone.url, kafka_bootstrap(kafka), test_name()));
    return clone;
}

static void a_cloned_outbox_is_a_fork_for_the_peers_and_a_stop_for_its_relays(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = make_shop(kafka);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);
    sidecar_start(&shop, NULL);
    sidecar_begin(&billing);
    insert_items(&shop, 1, 2);
    sidecar_expect(&shop, ACKNOWLEDGED, "2\n");
    sidecar_assert_equal(&shop, &billing, "items", 20000);

    /* Both number their events on from the same point. No event of the clone may count as already
     * applied. */
    struct sidecar clone = cloned(kafka, &shop);
    sidecar_start(&clone, NULL);
    assert_true(process_wait_for(clone.process, "holds the lease", 10000));
    insert_items(&clone, 101, 101);
    sidecar_expect(&clone, ACKNOWLEDGED, "3\n");
    sidecar_expect(&billing, "SELECT max(id) FROM items", "101\n");
    insert_items(&shop, 3, 4);
    sidecar_expect(&shop, ACKNOWLEDGED, "4\n");
    sidecar_expect(&billing, "SELECT stopped LIKE '%fork%' FROM keepstep_position", "1\n");
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM items"), 3);

    sidecar_stop(&shop);
    sidecar_stop(&clone);
    sidecar_start(&shop, NULL);
    sidecar_start(&clone, NULL);
    (void)expect_refusal(&clone, "rewound or cloned");
    /* No record of the clone comes after the shop's last one. */
    assert_true(process_running(shop.process));
    sidecar_stop(&shop);
    sidecar_stop(&billing);
}

static void a_clone_started_after_the_service_went_on_publishes_nothing(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = make_shop(kafka);
    sidecar_start(&shop, NULL);
    insert_items(&shop, 1, 2);
    sidecar_expect(&shop, ACKNOWLEDGED, "2\n");
    struct sidecar clone = cloned(kafka, &shop);
    insert_items(&shop, 3, 3);
    sidecar_expect(&shop, ACKNOWLEDGED, "3\n");
    insert_items(&clone, 101, 102);
    sidecar_start(&clone, NULL);
    (void)expect_refusal(&clone, "rewound or cloned");
    assert_int_equal(sidecar_records(kafka, "item"), 3);
    insert_items(&shop, 4, 4);
    sidecar_expect(&shop, ACKNOWLEDGED, "4\n");
    sidecar_stop(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_topic_that_the_relay_creates_keeps_all_by_the_brokers_clock, 120),
        TEST_WITH_LIMIT(a_topic_with_other_settings_is_refused_with_the_command_that_mends_it, 150),
        TEST_WITH_LIMIT(an_empty_topic_with_too_few_partitions_is_refused_once, 180),
        TEST_WITH_LIMIT(another_partition_count_is_refused, 120),
        TEST_WITH_LIMIT(a_topic_made_anew_stops_the_relay_until_a_new_incarnation, 150),
        TEST_WITH_LIMIT(retention_between_the_last_acknowledged_record_and_the_next_is_no_clone,
                        120),
        TEST_WITH_LIMIT(a_topic_made_anew_and_longer_now_is_seen_by_its_anchor, 120),
        TEST_WITH_LIMIT(another_cluster_stops_the_relay_before_it_publishes, 120),
        TEST_WITH_LIMIT(a_type_that_others_publish_too_must_be_applied, 120),
        TEST_WITH_LIMIT(a_cloned_outbox_is_a_fork_for_the_peers_and_a_stop_for_its_relays, 150),
        TEST_WITH_LIMIT(a_clone_started_after_the_service_went_on_publishes_nothing, 120),
    };
    /* This is Kafka's default: a topic is made for whoever asks for it, unless the client forbids
     * it. */
    kafka_configure("auto.create.topics.enable=true");
    return TEST_RUN(tests);
}
