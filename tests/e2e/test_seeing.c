/* What people look at: lag, status, publish. */
#include "tests/support/sidecar.h"

#include "operate/http_client.h"

#include <stdio.h>
#include <stdlib.h>

#define PUBLISH_ITEMS "publish:\n  item: {table: items, partitions: 1}\n"
#define APPLY_ITEMS   "apply:\n  item: {table: items, partitions: 1}\n"

struct committed {
    struct kafka *kafka;
    const char *group;
    const char *topic;
    int64_t expected;
};

static bool is_committed(void *context)
{
    const struct committed *wanted = context;
    return kafka_committed(wanted->kafka, wanted->group, wanted->topic, 0) == wanted->expected;
}

/* @return the group's name "keepstep-billing-…" from the agent's log. */
static const char *group_of(const struct sidecar *sidecar)
{
    const char *found = strstr(process_errors(sidecar->process), "group keepstep-");
    char group[128] = "";
    if (found == NULL || sscanf(found, "group %127[^, ]", group) != 1)
        test_fail("no group in the log: %s", process_errors(sidecar->process));
    return test_format("%s", group);
}

static void lag_counts_from_the_database_and_agrees_with_the_group_when_idle(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    sidecar_begin(&shop);
    sidecar_begin(&billing);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES(1,'a',1),(2,'b',2),(3,'c',3)");
    sidecar_assert_equal(&shop, &billing, "items", 20000);
    struct committed wanted = {
        .kafka = kafka, .group = group_of(&billing), .topic = sidecar_topic("item"), .expected = 3};
    if (!test_wait(is_committed, &wanted, 15000))
        test_fail("the group stands at %lld",
                  (long long)kafka_committed(kafka, wanted.group, wanted.topic, 0));
    sidecar_stop(&billing);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES(4,'d',4),(5,'e',5)");
    assert_true(sqlite_wait_for(
        shop.database, "SELECT acknowledged_sequence FROM keepstep_relay_partition", "5\n", 20000));
    struct process_result lag = sidecar_run(&billing, "lag", NULL, NULL);
    assert_int_equal(lag.exit_code, 0);
    char group[128];
    char topic[128];
    long long partition = -1;
    long long current = -1;
    long long end = -1;
    long long behind = -1;
    const char *row = strstr(lag.output, "keepstep-billing-");
    assert_non_null(row);
    assert_int_equal(sscanf(row, "%127s %127s %lld %lld %lld %lld", group, topic, &partition,
                            &current, &end, &behind),
                     6);
    assert_int_equal(partition, 0);
    assert_int_equal(current, 3);
    assert_int_equal(end, 5);
    assert_int_equal(behind, 2);
    sidecar_stop(&shop);
}

static void produce_transaction(struct kafka *kafka, int key, bool commit)
{
    (void)kafka_produce_transaction(kafka, sidecar_topic("item"), test_format("{\"id\":%d}", key),
                                    test_format("{\"id\":%d,\"name\":\"x\",\"amount\":null}", key),
                                    commit);
}

static void the_position_passes_aborted_transactions_and_lag_falls_to_0(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = sidecar_make(
        kafka, "billing", NULL,
        "apply:\n  item: {table: items, partitions: 1, format: json, foreign: true}\n");

    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    produce_transaction(kafka, 1, true);
    produce_transaction(kafka, 2, false);
    sidecar_begin(&billing);
    sidecar_expect(&billing, "SELECT id FROM items", "1\n");
    sidecar_expect(&billing, "SELECT next_offset FROM keepstep_position", "4\n");
    produce_transaction(kafka, 3, false); /* an aborted transaction only */
    sidecar_expect(&billing, "SELECT next_offset, anchor_offset FROM keepstep_position", "6|0\n");
    sidecar_stop(&billing);
    struct process_result lag = sidecar_run(&billing, "lag", "--json", NULL);
    assert_int_equal(lag.exit_code, 0);
    if (strstr(lag.output, "\"end_offset\":6,\"lag_records\":0,\"lag_s\":0.000") == NULL)
        test_fail("%s", lag.output);

    produce_transaction(kafka, 4, true);
    sidecar_start(&billing, NULL); /* it reads from the anchor, over the aborted one */
    sidecar_expect(&billing, "SELECT id FROM items ORDER BY id", "1\n4\n");
    sidecar_expect(&billing, "SELECT next_offset, stopped FROM keepstep_position", "8|\n");
    sidecar_stop(&billing);
}

static void produce(struct kafka *kafka, int key)
{
    (void)kafka_produce(kafka, sidecar_topic("item"), 0, test_format("{\"id\":%d}", key),
                        test_format("{\"id\":%d,\"name\":\"x\",\"amount\":null}", key), NULL);
}

static void open_transaction(struct kafka *kafka, int key)
{
    (void)kafka_open_transaction(kafka, sidecar_topic("item"), test_format("{\"id\":%d}", key),
                                 test_format("{\"id\":%d,\"name\":\"x\",\"amount\":null}", key));
}

struct page_value {
    int port;
    const char *name;
    double least;
    double most;
    double last; /* -1: there is none */
};

static bool is_told(void *context)
{
    struct page_value *wanted = context;
    const char *start = test_format("\n%s{service=", wanted->name);
    struct buffer text;
    buffer_init(&text, 1 << 20);
    int code = http_get("127.0.0.1", test_format("%d", wanted->port), "/metrics", &text);
    const char *found = code == 200 ? strstr(buffer_text(&text), start) : NULL;
    wanted->last = found == NULL ? -1 : strtod(strchr(found, '}') + 1, NULL);
    buffer_done(&text);
    return wanted->last >= wanted->least && wanted->last <= wanted->most;
}

static void expect_lag(int port, double records, double seconds_least, double seconds_most)
{
    struct page_value behind = {port, "keepstep_consumer_lag_records", records, records, -1};
    struct page_value late = {port, "keepstep_consumer_lag_seconds", seconds_least, seconds_most,
                              -1};
    if (!test_wait(is_told, &behind, 20000) || !test_wait(is_told, &late, 20000))
        test_fail("%g records, %g s", behind.last, late.last);
}

static void lag_counts_what_an_open_transaction_of_another_producer_holds_up(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = sidecar_make(
        kafka, "billing", NULL,
        "apply:\n  item: {table: items, partitions: 1, format: json, foreign: true}\n");
    int port = sidecar_listen(&billing);
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    sidecar_begin(&billing);
    produce(kafka, 1);
    sidecar_expect(&billing, "SELECT id FROM items", "1\n");
    expect_lag(port, 0, 0, 0);

    open_transaction(kafka, 2);
    produce(kafka, 3);
    expect_lag(port, 2, 0.5, 20);
    struct process_result lag = sidecar_run(&billing, "lag", "--json", NULL);
    if (strstr(lag.output, "\"end_offset\":3,\"lag_records\":2,\"lag_s\":") == NULL ||
        strstr(lag.output, "\"lag_s\":0.000") != NULL ||
        strstr(lag.output, "\"lag_s\":null") != NULL ||
        strstr(lag.output, "\"stable_offset\":1") == NULL ||
        strstr(lag.errors, "an open transaction of another producer holds up 2 records") == NULL)
        test_fail("%s%s", lag.output, lag.errors);
    struct process_result status = sidecar_run(&billing, "status", NULL, NULL);
    if (strstr(status.output, "at 1 of 3, 2 behind (2 of them held up by an open") == NULL ||
        strstr(status.output, "nothing to do") != NULL)
        test_fail("%s%s", status.output, status.errors);
    assert_int_equal(sidecar_run(&billing, "healthcheck", NULL, NULL).exit_code, 0);
    assert_string_equal(sqlite_text(billing.database, "SELECT id FROM items"), "1\n");

    kafka_end_transaction(kafka, false);
    sidecar_expect(&billing, "SELECT id FROM items ORDER BY id", "1\n3\n");
    expect_lag(port, 0, 0, 0);
    open_transaction(kafka, 4);
    produce(kafka, 5);
    expect_lag(port, 2, 0, 20);
    kafka_end_transaction(kafka, true);
    sidecar_expect(&billing, "SELECT id FROM items ORDER BY id", "1\n3\n4\n5\n");
    sidecar_expect(&billing, "SELECT next_offset FROM keepstep_position", "7\n");
    expect_lag(port, 0, 0, 0);
    sidecar_stop(&billing);
    lag = sidecar_run(&billing, "lag", "--json", NULL);
    if (strstr(lag.output, "\"lag_records\":0,\"lag_s\":0.000") == NULL)
        test_fail("%s%s", lag.output, lag.errors);
}

static void lines_published_by_hand_arrive_and_a_bad_line_is_named(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", NULL, "publish:\n  item: {partitions: 1}\n");
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    sidecar_init(&shop, NULL);
    sidecar_init(&billing, NULL);
    sidecar_start(&shop, NULL);
    sidecar_start(&billing, NULL);
    const char *shell = test_format("'%s' publish -c '%s'", KEEPSTEP_BINARY, shop.config);
    struct process_result good = PROCESS_RUN(
        "sh", "-c",
        test_format("echo '{\"type\":\"item.created\",\"key\":7,\"after\":{\"id\":7,\"name\":"
                    "\"by hand\",\"amount\":null}}' | %s",
                    shell));
    assert_int_equal(good.exit_code, 0);
    assert_true(
        sqlite_wait_for(billing.database, "SELECT id, name FROM items", "7|by hand\n", 20000));
    struct process_result bad = PROCESS_RUN(
        "sh", "-c",
        test_format("echo '{\"type\":\"item.created\",\"key\":8,\"after\":{\"id\":8,\"name\":9}}' "
                    "| %s",
                    shell));
    assert_int_equal(bad.exit_code, 65);
    assert_non_null(strstr(bad.errors, "line 1"));
    assert_non_null(strstr(bad.errors, "name"));
    struct process_result status = sidecar_run(&shop, "status", NULL, NULL);
    assert_int_equal(status.exit_code, 0);
    assert_non_null(strstr(status.output, sidecar_topic("item")));
    sidecar_stop(&billing);
    sidecar_stop(&shop);
}

/* @return the line of one part in `status`, without the part's name. */
static const char *part_of(const struct sidecar *sidecar, const char *part)
{
    struct process_result status = sidecar_run(sidecar, "status", NULL, NULL);
    const char *line = strstr(status.output, test_format("\n  %-10s ", part));
    if (status.exit_code != 0 || line == NULL)
        test_fail("status ended with %d: %s%s", status.exit_code, status.output, status.errors);
    return test_format("%.*s", (int)strcspn(line + 14, "\n"), line + 14);
}

static bool is_known_not_to_run(void *context)
{
    const struct sidecar *sidecars = context;
    return strcmp(part_of(&sidecars[0], "relay"), "not running") == 0 &&
           strcmp(part_of(&sidecars[1], "agent"), "not running") == 0;
}

/* Two configurations are in one folder. Neither service is taken for the other. */
static void status_tells_what_runs_and_never_that_what_was_killed_does(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar sidecars[] = {sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS),
                                 sidecar_make(kafka, "billing", NULL, APPLY_ITEMS)};
    struct sidecar *shop = &sidecars[0];
    struct sidecar *billing = &sidecars[1];
    sidecar_init(shop, NULL);
    sidecar_init(billing, NULL);
    assert_string_equal(part_of(shop, "relay"), "not running");
    assert_string_equal(part_of(billing, "agent"), "not running: it has not run yet");
    const char *next = test_format("\nNext      keepstep run -c %s   # nothing is lost meanwhile\n",
                                   billing->config);
    assert_non_null(strstr(sidecar_run(billing, "status", NULL, NULL).output, next));
    sidecar_start(shop, NULL);
    (void)sqlite_text(shop->database, "INSERT INTO items VALUES(1,'a',1)");
    assert_true(sqlite_wait_for(shop->database,
                                "SELECT acknowledged_sequence FROM keepstep_relay_partition", "1\n",
                                20000));
    assert_string_equal(part_of(shop, "relay"), "running, instance 1");
    assert_string_equal(part_of(billing, "agent"), "not running: it has not run yet");
    sidecar_start(billing, NULL);
    sidecar_assert_equal(shop, billing, "items", 20000);
    assert_string_equal(part_of(billing, "agent"), "running");
    assert_non_null(strstr(sidecar_run(billing, "status", "--json", NULL).output,
                           "\"agent_state\":\"running\""));
    process_kill(shop->process);
    process_kill(billing->process);
    const char *agent = part_of(billing, "agent");
    const char *relay = part_of(shop, "relay");
    if (strncmp(agent, "running", 7) == 0 || strncmp(relay, "running", 7) == 0)
        test_fail("killed, and \"%s\", \"%s\"", relay, agent);
    if (!test_wait(is_known_not_to_run, sidecars, 30000))
        test_fail("%s, %s", part_of(shop, "relay"), part_of(billing, "agent"));
    assert_non_null(strstr(sidecar_run(billing, "status", NULL, NULL).output, next));
}

struct answer {
    int port;
    const char *path;
    int code;
    const char *part; /* of the answer */
};

static bool is_answered(void *context)
{
    const struct answer *wanted = context;
    struct buffer body;
    buffer_init(&body, 1 << 20);
    int code = http_get("127.0.0.1", test_format("%d", wanted->port), wanted->path, &body);
    bool found = code == wanted->code && strstr(buffer_text(&body), wanted->part) != NULL;
    buffer_done(&body);
    return found;
}

static void assert_answered(int port, const char *path, int code, const char *part)
{
    struct answer wanted = {port, path, code, part};
    if (!test_wait(is_answered, &wanted, 20000))
        test_fail("%s never was %d with %s", path, code, part);
}

/* The table is rebuilt as SQLite's documentation and all frameworks do it. What waits is still
 * published. */
static void a_rebuilt_table_is_told_everywhere_until_init_has_run(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);
    int port = sidecar_listen(&shop);
    sidecar_init(&shop, NULL);
    sidecar_begin(&billing);
    (void)sqlite_text(shop.database,
                      "INSERT INTO items VALUES(1,'a',1);"
                      "CREATE TABLE made(" SIDECAR_ITEM_COLUMNS ", more TEXT);"
                      "INSERT INTO made SELECT *, '' FROM items; DROP TABLE items;"
                      "ALTER TABLE made RENAME TO items; UPDATE items SET name = 'lost'");
    sidecar_start(&shop, NULL);
    sidecar_expect(&billing, "SELECT name FROM items", "a\n");
    assert_answered(port, "/readyz", 503, "changes of table items are not captured");
    assert_answered(port, "/metrics", 200, "keepstep_capture_broken_types{service=\"shop\"} 1\n");
    const char *errors = process_errors(shop.process);
    const char *told = strstr(errors, "trigger keepstep_item_");
    if (told == NULL || strstr(told, "keepstep init -c ") == NULL ||
        strstr(told + 1, "NOT CAPTURED") != NULL)
        test_fail("%s", errors);
    struct process_result status = sidecar_run(&shop, "status", NULL, NULL);
    if (strstr(status.output, "NOT CAPTURED: trigger keepstep_item_") == NULL ||
        strstr(status.output, "keepstep init -c ") == NULL)
        test_fail("%s%s", status.output, status.errors);
    sidecar_stop(&shop);
    struct process_result init = sidecar_run(&shop, "init", NULL, NULL);
    assert_non_null(strstr(init.output, "MENDED   item: "));
    assert_null(strstr(sidecar_run(&shop, "status", NULL, NULL).output, "NOT CAPTURED"));
    sidecar_start(&shop, NULL);
    (void)sqlite_text(shop.database, "UPDATE items SET name = 'again'");
    sidecar_expect(&billing, "SELECT name FROM items", "again\n");
    assert_answered(port, "/readyz", 200, "ready");
    sidecar_stop(&shop);
    sidecar_stop(&billing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(lag_counts_from_the_database_and_agrees_with_the_group_when_idle, 120),
        TEST_WITH_LIMIT(the_position_passes_aborted_transactions_and_lag_falls_to_0, 120),
        TEST_WITH_LIMIT(lag_counts_what_an_open_transaction_of_another_producer_holds_up, 180),
        TEST_WITH_LIMIT(lines_published_by_hand_arrive_and_a_bad_line_is_named, 120),
        TEST_WITH_LIMIT(status_tells_what_runs_and_never_that_what_was_killed_does, 120),
        TEST_WITH_LIMIT(a_rebuilt_table_is_told_everywhere_until_init_has_run, 120),
    };
    return TEST_RUN(tests);
}
