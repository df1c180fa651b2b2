/* Kafka or the relay's own checks refuse a row, and an init is killed. */
#include "tests/support/sidecar.h"

#include <stdio.h>
#include <sys/stat.h>

#define PUBLISH_ITEMS "publish:\n  item: {table: items, partitions: 1}\n"
#define APPLY_ITEMS   "apply:\n  item: {table: items, partitions: 1}\n"
#define KAFKA_SCRIPT  KEEPSTEP_SOURCE_DIR "/tests/support/kafka/kafka.sh"
/* Several thousand random bytes, which lz4 cannot make small. */
#define LARGE "hex(randomblob(3000))"

/* The usual schema allows no large values. */
static void write_schema(void)
{
    assert_int_equal(mkdir(test_path("schemas"), 0755), 0);
    test_write_file(test_path("schemas/item.schema.json"),
                    "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","
                    "\"x-keepstep-key\":[\"id\"],\"properties\":{"
                    "\"id\":{\"type\":\"integer\",\"x-keepstep-type\":\"integer\"},"
                    "\"name\":{\"type\":\"string\",\"x-keepstep-type\":\"text\"},"
                    "\"amount\":{\"type\":[\"integer\",\"null\"],\"x-keepstep-type\":\"integer\"}},"
                    "\"required\":[\"id\",\"name\"]}");
}

static void limit_topic(struct kafka *kafka, int bytes)
{
    struct process_result result = PROCESS_RUN(
        KAFKA_SCRIPT, "admin", "configs", "--bootstrap-server", kafka_bootstrap(kafka), "--alter",
        "--entity-type", "topics", "--entity-name", sidecar_topic("item"), "--add-config",
        test_format("max.message.bytes=%d", bytes));
    if (result.exit_code != 0)
        test_fail("the topic's limit stays: %s", result.errors);
}

static void expect_rows(const struct sidecar *service, const char *sql, const char *rows)
{
    if (!sqlite_wait_for(service->database, sql, rows, 30000))
        test_fail("%s: %s is %s: %s", service->name, sql, sqlite_text(service->database, sql),
                  process_errors(service->process));
}

static void expect_status(const struct sidecar *service, const char *flag, const char *words)
{
    struct process_result result = sidecar_run(service, "status", flag, NULL);
    if (result.exit_code != 0 || strstr(result.output, words) == NULL)
        test_fail("status ended with %d, without %s: %s%s", result.exit_code, words, result.output,
                  result.errors);
}

static void count_voids(const struct kafka_record *record, void *context)
{
    *(int *)context += strstr(record->headers, "ce_kind=void\n") != NULL;
}

static void a_record_that_the_broker_refuses_goes_out_as_a_void_and_the_rest_flows(void **state)
{
    (void)state;
    int voids = 0;
    struct kafka *kafka = kafka_start();
    write_schema();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);
    (void)sidecar_listen(&shop);
    sidecar_begin(&shop);
    sidecar_begin(&billing);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES(1,'one',1),(2,'two',2)");
    sidecar_assert_equal(&shop, &billing, "items", 30000);
    expect_status(&shop, "--json", "\"voided\":0,");

    limit_topic(kafka, 900); /* the relay knows only the larger limit */
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES(3,'before',3);"
                                     "UPDATE items SET amount=10, name=" LARGE " WHERE id=1;"
                                     "UPDATE items SET amount=20 WHERE id=2;"
                                     "INSERT INTO items VALUES(4,'behind',4)");
    expect_rows(&billing, "SELECT * FROM items ORDER BY id",
                "1|one|1\n2|two|20\n3|before|3\n4|behind|4\n");
    assert_true(process_wait_for(shop.process, "goes out as a void", 5000));
    assert_int_equal(kafka_consume_all(kafka, sidecar_topic("item"), count_voids, &voids), 6);
    assert_int_equal(voids, 1);
    expect_status(&shop, NULL, "\n  LOST       1 since it started: sent as a void");
    expect_status(&shop, NULL, "\nNext      look for \"goes out as a void\" in the relay's log");
    expect_status(&shop, "--json", "\"voided\":1,");

    (void)sqlite_text(shop.database, "UPDATE items SET name='short again' WHERE id=1");
    sidecar_assert_equal(&shop, &billing, "items", 30000);
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM keepstep_parked"), 0);
    sidecar_stop(&shop);
    expect_status(&shop, "--json", "\"lease_holder\":null,\"voided\":null,");
    sidecar_stop(&billing);
}

static void rows_that_cannot_be_sent_are_set_aside_alone_until_retried_or_dropped(void **state)
{
    static const char aside[] = "SELECT position FROM outbox WHERE set_aside IS NOT NULL";
    (void)state;
    struct kafka *kafka = kafka_start();
    write_schema();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);
    kafka_create_topic(kafka, sidecar_topic("item"), 1,
                       "max.message.bytes=900;message.timestamp.type=LogAppendTime");
    sidecar_begin(&shop);
    sidecar_begin(&billing);
    (void)sqlite_text(
        shop.database,
        "INSERT INTO items VALUES(1," LARGE ",1);"
        "UPDATE items SET amount=11 WHERE id=1;"
        "INSERT INTO outbox(aggregatetype,aggregateid,type,payload) VALUES"
        "('item','2','item.updated','{\"op\":\"u\",\"after\":{\"id\":2,\"name\":5}}');"
        "INSERT INTO items VALUES(2,'two',2);"
        "INSERT INTO items VALUES(3,'three',3)");
    expect_rows(&billing, "SELECT * FROM items", "3|three|3\n");
    expect_rows(&shop, aside, "1\n3\n");

    struct process_result result = sidecar_run(&shop, "outbox", "drop", "3");
    assert_int_equal(result.exit_code, 0);
    expect_rows(&billing, "SELECT * FROM items ORDER BY id", "2|two|2\n3|three|3\n");
    result = sidecar_run(&shop, "outbox", "retry", "1");
    assert_int_equal(result.exit_code, 0);
    expect_rows(&shop, aside, "1\n"); /* still too large */
    sidecar_stop(&shop);
    limit_topic(kafka, 1000000);
    sidecar_start(&shop, NULL);
    expect_rows(&shop, aside, "1\n");
    result = sidecar_run(&shop, "outbox", "retry", "1");
    assert_int_equal(result.exit_code, 0);
    sidecar_assert_equal(&shop, &billing, "items", 30000);
    assert_int_equal(sqlite_number(billing.database, "SELECT amount FROM items WHERE id=1"), 11);
    sidecar_stop(&shop);
    sidecar_stop(&billing);
}

static void an_init_killed_amid_the_rows_that_are_there_is_resumed(void **state)
{
    enum { ROWS = 200000 };
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    (void)sqlite_format(shop.database,
                        "WITH n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<%d) "
                        "INSERT INTO items SELECT i,'x',i FROM n",
                        ROWS);
    int64_t before = 0;
    for (int kills = 0; kills < 3; kills++) {
        struct process *init = process_start(
            test_format("init-%d", kills),
            (const char *const[]){KEEPSTEP_BINARY, "init", "-c", shop.config, NULL}, NULL);
        if (!sqlite_wait_for(
                shop.database,
                test_format("SELECT rows > %lld FROM keepstep_existing", (long long)before), "1\n",
                20000))
            test_fail("init does not go on: %s", process_errors(init));
        process_kill(init);
        before = sqlite_number(shop.database, "SELECT rows FROM keepstep_existing");
        assert_in_range(before, 1000, ROWS - 1);
        assert_int_equal(sqlite_number(shop.database, "SELECT count(*) FROM outbox"), before);
        /* Meanwhile the service changes a row that was read and one that was not. */
        (void)sqlite_format(shop.database, "UPDATE items SET amount=-1 WHERE id IN (1, %d)", ROWS);
        (void)sqlite_text(shop.database, "DELETE FROM outbox WHERE type='item.updated'");
    }
    sidecar_init(&shop, NULL);
    assert_string_equal(sqlite_text(shop.database,
                                    "SELECT count(*), count(DISTINCT aggregateid), min(type), "
                                    "max(type) FROM outbox"),
                        test_format("%d|%d|item.read|item.read\n", ROWS, ROWS));
    assert_int_equal(sqlite_number(shop.database, "SELECT done FROM keepstep_existing"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_record_that_the_broker_refuses_goes_out_as_a_void_and_the_rest_flows,
                        150),
        TEST_WITH_LIMIT(rows_that_cannot_be_sent_are_set_aside_alone_until_retried_or_dropped, 150),
        TEST_WITH_LIMIT(an_init_killed_amid_the_rows_that_are_there_is_resumed, 120),
    };
    return TEST_RUN(tests);
}
