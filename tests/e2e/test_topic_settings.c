/* Topics that break the rules: missing, grown, compacted, or kept longer than the window of
 * idempotency keys. */
#include "tests/support/repair.h"

#include "common/clock.h"

#include <signal.h>
#include <stdlib.h>
#include <sysexits.h>

#define APPLY_ITEMS   "apply:\n  item: {table: items, partitions: 1}\n"
#define FOREIGN_ITEMS "apply:\n  item: {table: items, partitions: 1, format: json, foreign: true}\n"

#define TWO_TYPES                                                                                  \
    FOREIGN_ITEMS "  extra: {table: extras, partitions: 1, format: json, foreign: true}\n"

static void produce(struct kafka *kafka, int32_t partition, int key)
{
    (void)kafka_produce(kafka, sidecar_topic("item"), partition, test_format("{\"id\":%d}", key),
                        test_format("{\"id\":%d,\"name\":\"x\",\"amount\":null}", key), NULL);
}

/* Another program partitions the topic, so the test need not hash keys. */
static void a_topic_that_grows_while_the_agent_runs_stops_all_its_partitions(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, FOREIGN_ITEMS);
    sidecar_set_kafka(&billing, "topic.metadata.refresh.interval.ms: 1000");
    kafka_create_topic(kafka, sidecar_topic("item"), 2, NULL);
    sidecar_begin(&billing);
    produce(kafka, 0, 1);
    produce(kafka, 1, 2);
    sidecar_expect(&billing, "SELECT id FROM items ORDER BY id", "1\n2\n");

    kafka_add_partitions(kafka, sidecar_topic("item"), 3);
    sidecar_expect(&billing,
                   "SELECT partition, stopped LIKE 'the topic had 2 partitions and has 3 now%' "
                   "FROM keepstep_position ORDER BY partition",
                   "0|1\n1|1\n2|1\n");
    for (int32_t partition = 0; partition < 3; partition++)
        produce(kafka, partition, 10 + partition);
    sidecar_stop(&billing);
    sidecar_start(&billing, NULL);
    assert_true(process_wait_for(billing.process, "2 stands still: the topic had 2", 20000));
    sidecar_stop(&billing);
    assert_string_equal(sqlite_text(billing.database, "SELECT id FROM items ORDER BY id"),
                        "1\n2\n");
}

static void a_compacted_topic_of_sequences_is_not_read(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);
    struct sidecar foreign = sidecar_make(kafka, "foreign", NULL, FOREIGN_ITEMS);
    kafka_create_topic(kafka, sidecar_topic("item"), 1, "cleanup.policy=compact");
    produce(kafka, 0, 1);
    sidecar_begin(&billing);
    sidecar_begin(&foreign);
    sidecar_expect(&billing,
                   "SELECT next_offset, stopped LIKE '%compacted%cleanup.policy=delete%' "
                   "FROM keepstep_position",
                   "0|1\n");
    sidecar_expect(&foreign, "SELECT id FROM items", "1\n");
    sidecar_stop(&billing);
    sidecar_stop(&foreign);
}

static void a_missing_topic_holds_up_no_other_and_is_read_once_it_comes(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, TWO_TYPES);
    sidecar_begin(&billing);
    assert_true(process_wait_for(billing.process, "extra' does not exist yet", 20000));
    assert_int_equal(sidecar_run(&billing, "status", NULL, NULL).exit_code, 0);
    assert_int_equal(sidecar_run(&billing, "lag", NULL, NULL).exit_code, 0);
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL); /* no sidecar has made it */
    produce(kafka, 0, 1);
    sidecar_expect(&billing, "SELECT id FROM items", "1\n");

    kafka_create_topic(kafka, sidecar_topic("extra"), 1, NULL);
    (void)kafka_produce(kafka, sidecar_topic("extra"), 0, "{\"id\":2}",
                        "{\"id\":2,\"name\":\"x\",\"amount\":null}", NULL);
    sidecar_expect(&billing, "SELECT id FROM extras", "2\n");
    produce(kafka, 0, 3);
    sidecar_expect(&billing, "SELECT id FROM items ORDER BY id", "1\n3\n");
    sidecar_stop(&billing);
}

/* A member that comes back under its name gets from the coordinator what it had, and nothing
 * new. */
static void a_topic_that_comes_while_its_agent_is_away_is_read(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, TWO_TYPES);
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    produce(kafka, 0, 1);
    sidecar_begin(&billing);
    sidecar_expect(&billing, "SELECT id FROM items", "1\n");
    process_kill(billing.process);
    kafka_create_topic(kafka, sidecar_topic("extra"), 1, NULL);
    (void)kafka_produce(kafka, sidecar_topic("extra"), 0, "{\"id\":2}",
                        "{\"id\":2,\"name\":\"x\",\"amount\":null}", NULL);
    sidecar_start(&billing, NULL);
    sidecar_expect(&billing, "SELECT id FROM extras", "2\n");
    sidecar_stop(&billing);
}

static void produce_extra(struct kafka *kafka, int key)
{
    (void)kafka_produce(kafka, sidecar_topic("extra"), 0, test_format("{\"id\":%d}", key),
                        test_format("{\"id\":%d,\"name\":\"x\",\"amount\":null}", key), NULL);
}

/* It is back within the session timeout, so the group takes it for the same member. */
static void change_entries(struct sidecar *service, const char *entries)
{
    const char *text = test_read_file(service->config);
    sidecar_stop(service);
    test_write_file(service->config,
                    test_format("%.*s%s", (int)(strstr(text, "apply:") - text), text, entries));
    sidecar_init(service, NULL);
    sidecar_start(service, NULL);
}

static void a_list_of_types_that_changes_is_followed_at_once(void **state)
{
    (void)state;
    static const char other_type[] =
        "apply:\n  extra: {table: extras, partitions: 1, format: json, foreign: true}\n";
    struct kafka *kafka = kafka_start();
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, TWO_TYPES);
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    kafka_create_topic(kafka, sidecar_topic("extra"), 1, NULL);
    produce(kafka, 0, 1);
    produce_extra(kafka, 1);
    sidecar_begin(&billing);
    sidecar_expect(&billing, "SELECT id FROM items", "1\n");
    sidecar_expect(&billing, "SELECT id FROM extras", "1\n");

    change_entries(&billing, FOREIGN_ITEMS); /* both → one */
    produce(kafka, 0, 2);
    sidecar_expect(&billing, "SELECT id FROM items ORDER BY id", "1\n2\n");
    change_entries(&billing, other_type); /* one → another */
    produce_extra(kafka, 2);
    sidecar_expect(&billing, "SELECT id FROM extras ORDER BY id", "1\n2\n");
    change_entries(&billing, TWO_TYPES); /* one → both */
    produce(kafka, 0, 3);
    sidecar_expect(&billing, "SELECT id FROM items ORDER BY id", "1\n2\n3\n");
    sidecar_stop(&billing);
    assert_null(strstr(process_errors(billing.process), "does not know topic"));
}

/* Once a newer segment has a newer record of a key. */
#define COMPACTED_SOON                                                                             \
    "cleanup.policy=compact;segment.ms=100;min.cleanable.dirty.ratio=0.001;"                       \
    "max.compaction.lag.ms=200"

/** What a topic has at an offset and behind it. */
struct log_look {
    int64_t offset;
    bool is_there;
    int64_t last;
};

static void note_record(const struct kafka_record *record, void *context)
{
    struct log_look *look = context;
    look->is_there = look->is_there || record->offset == look->offset;
    look->last = record->offset;
}

static struct log_look look_at(struct kafka *kafka, const char *topic, int64_t offset)
{
    struct log_look look = {.offset = offset, .last = -1};
    (void)kafka_consume_all(kafka, topic, note_record, &look);
    return look;
}

static void a_foreign_topic_whose_anchor_was_compacted_away_is_read_on(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    const char *topic = sidecar_topic("item");
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, FOREIGN_ITEMS);
    kafka_create_topic(kafka, topic, 1, COMPACTED_SOON);
    produce(kafka, 0, 1);
    sidecar_begin(&billing);
    sidecar_expect(&billing, "SELECT anchor_offset FROM keepstep_position", "0\n");
    sidecar_stop(&billing);
    for (int i = 0; look_at(kafka, topic, 0).is_there; i++) {
        assert_true(i < 300);
        produce(kafka, 0, 1);
        clock_sleep_us(100000);
    }
    produce(kafka, 0, 2);
    sidecar_start(&billing, NULL);
    sidecar_expect(&billing, "SELECT id FROM items ORDER BY id", "1\n2\n");
    sidecar_expect(&billing, "SELECT stopped FROM keepstep_position", "\n");
    sidecar_stop(&billing);
    assert_non_null(strstr(process_errors(billing.process), "was compacted away"));
}

#define GONE 3 /* an offset between the two copies' positions */

static void produce_amount(struct kafka *kafka, int id, int amount)
{
    (void)kafka_produce(kafka, sidecar_topic("item"), 0, test_format("{\"id\":%d}", id),
                        test_format("{\"id\":%d,\"name\":\"x\",\"amount\":%d}", id, amount), NULL);
}

/* Records between the two positions are gone, so what stands behind them stands for them. */
static void a_copy_of_a_compacted_topic_is_repaired_from_one_that_is_further(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    kafka_create_topic(kafka, sidecar_topic("item"), 1, COMPACTED_SOON);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, FOREIGN_ITEMS);
    struct sidecar shipping = sidecar_make(kafka, "shipping", NULL, FOREIGN_ITEMS);
    for (int id = 1; id <= GONE; id++)
        produce_amount(kafka, id, id);
    sidecar_begin(&billing);
    sidecar_begin(&shipping);
    sidecar_expect(&billing, "SELECT durable_offset FROM keepstep_position", "3\n");
    sidecar_stop(&billing);
    for (int i = 0; i == 0 || look_at(kafka, sidecar_topic("item"), GONE).is_there; i++) {
        assert_true(i < 300);
        produce_amount(kafka, 1, 100 + i);
        clock_sleep_us(100000);
    }
    sidecar_expect(&shipping, "SELECT count(*) FROM items WHERE id = 1 AND amount >= 100", "1\n");
    (void)sqlite_text(billing.database, "UPDATE items SET amount = 77 WHERE id = 2; "
                                        "DELETE FROM items WHERE id = 3");
    struct process_result result = REPAIR(&billing, &shipping, "item");
    const char *entities = repair_entities(&result);
    print_message("%s\n", entities);
    assert_non_null(strstr(entities, "{\"id\":2} repaired"));
    assert_non_null(strstr(entities, "{\"id\":3} created"));
    assert_null(strstr(entities, "{\"id\":1} repaired"));
    sidecar_expect(&billing, "SELECT id, amount FROM items ORDER BY id", "1|1\n2|2\n3|3\n");
    sidecar_start(&billing, NULL);
    sidecar_assert_equal(&shipping, &billing, "items", 20000);
    sidecar_stop(&billing);
    sidecar_stop(&shipping);
}

static struct sidecar start_with_window(struct kafka *kafka, const char *name, int window_s)
{
    struct sidecar service = sidecar_make(
        kafka, name, NULL,
        test_format(FOREIGN_ITEMS "limits: {idempotency_window_s: %d}\n", window_s));
    sidecar_init(&service, NULL);
    sidecar_start(&service, NULL);
    return service;
}

static void expect_end(const struct sidecar *service, const char *words)
{
    assert_int_equal(process_wait(service->process, 30000), EX_CONFIG);
    if (strstr(process_errors(service->process), words) == NULL)
        test_fail("%s", process_errors(service->process));
}

static void expect_refused(struct kafka *kafka, const char *name, int window_s, const char *words)
{
    struct sidecar service = start_with_window(kafka, name, window_s);
    expect_end(&service, words);
}

static void a_window_shorter_than_the_retention_is_refused_at_start(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    kafka_create_topic(kafka, sidecar_topic("item"), 1, "retention.ms=3600500");
    expect_refused(kafka, "short", 3600, "keeps its records for 3601 s; write that or more");
    struct sidecar enough = sidecar_make(kafka, "enough", NULL,
                                         FOREIGN_ITEMS "limits: {idempotency_window_s: 3601}\n");
    produce(kafka, 0, 1);
    sidecar_begin(&enough);
    sidecar_expect(&enough, "SELECT id FROM items", "1\n");
    sidecar_stop(&enough);
}

static void a_session_timeout_that_the_broker_does_not_allow_is_refused_by_name(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, FOREIGN_ITEMS);
    sidecar_set_kafka(&billing, "session.timeout.ms: 2000, heartbeat.interval.ms: 500");
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    sidecar_begin(&billing);
    expect_end(&billing, "set kafka.session.timeout.ms between its group.min.session.timeout.ms");
}

static void any_window_is_refused_where_records_stay_for_ever(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar early = start_with_window(kafka, "early", 60);
    assert_true(process_wait_for(early.process, "does not exist yet", 20000));
    kafka_create_topic(kafka, sidecar_topic("item"), 1, "retention.ms=-1");
    expect_end(&early, "keeps its records for ever; write 0");
    expect_refused(kafka, "billing", 60, "keeps its records for ever; write 0");
    kafka_delete_topic(kafka, sidecar_topic("item"));
    kafka_create_topic(kafka, sidecar_topic("item"), 1,
                       "cleanup.policy=compact;retention.ms=60000"); /* nothing is deleted */
    expect_refused(kafka, "compacted", 60, "keeps its records for ever; write 0");
}

struct members {
    const struct sidecar *asked;
    const char *text;
    const char *seen;
};

static bool are_said(void *context)
{
    struct members *members = context;
    struct process_result result = sidecar_run(members->asked, "copies", "item", "--json");
    members->seen = test_format("%s%s", result.output, result.errors);
    return strstr(members->seen, members->text) != NULL;
}

static void expect_members(const struct sidecar *asked, const char *text)
{
    struct members members = {.asked = asked, .text = text};
    if (!test_wait(are_said, &members, 30000))
        test_fail("no \"%s\": %s", text, members.seen);
}

/* Each report is taken out by the next one. Who reads the topic from its beginning and who reads on
 * see the same members; so does one whose place in the topic was taken out while it stood still. */
static void the_control_topic_is_compacted_while_it_is_read(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    const char *control = sidecar_topic("keepstep");
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL,
                                       "publish:\n  item: {table: items, partitions: 1}\n");
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);
    int written = 0;
    kafka_create_topic(kafka, control, 1, COMPACTED_SOON ";delete.retention.ms=0");
    sidecar_begin(&shop);
    sidecar_begin(&billing);
    expect_members(&shop, "\"members\":2,\"quorum\":2,");
    process_signal(billing.process, SIGSTOP);
    int64_t next = look_at(kafka, control, 0).last + 1; /* that billing reads */
    for (struct log_look look = {0}; look.last <= next || look.is_there;
         look = look_at(kafka, control, next)) {
        assert_true(written < 300);
        (void)sqlite_format(shop.database, "INSERT INTO items VALUES (%d, 'x', 1)", ++written);
        expect_members(&shop, "\"members\":2,\"quorum\":2,");
        clock_sleep_us(100000);
    }
    process_signal(billing.process, SIGCONT);
    const char *all = test_format("\"end_offset\":%d,\"quorum_offset\":%d}", written, written);
    expect_members(&shop, all);
    expect_members(&billing, all);
    struct process_result result = sidecar_run(&shop, "copies", "forget", "billing");
    assert_non_null(strstr(result.output, "billing is forgotten\n"));
    sidecar_stop(&billing);
    sidecar_stop(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_missing_topic_holds_up_no_other_and_is_read_once_it_comes, 120),
        TEST_WITH_LIMIT(a_topic_that_comes_while_its_agent_is_away_is_read, 120),
        TEST_WITH_LIMIT(a_topic_that_grows_while_the_agent_runs_stops_all_its_partitions, 120),
        TEST_WITH_LIMIT(a_compacted_topic_of_sequences_is_not_read, 120),
        TEST_WITH_LIMIT(a_list_of_types_that_changes_is_followed_at_once, 120),
        TEST_WITH_LIMIT(a_copy_of_a_compacted_topic_is_repaired_from_one_that_is_further, 120),
        TEST_WITH_LIMIT(a_foreign_topic_whose_anchor_was_compacted_away_is_read_on, 120),
        TEST_WITH_LIMIT(the_control_topic_is_compacted_while_it_is_read, 120),
        TEST_WITH_LIMIT(a_window_shorter_than_the_retention_is_refused_at_start, 120),
        TEST_WITH_LIMIT(a_session_timeout_that_the_broker_does_not_allow_is_refused_by_name, 120),
        TEST_WITH_LIMIT(any_window_is_refused_where_records_stay_for_ever, 120),
    };
    /* The first line is Kafka's default: a topic is made for whoever asks for it, unless the client
     * forbids it. The second one compacts more often than the default of 15 s. */
    kafka_configure("auto.create.topics.enable=true\nlog.cleaner.backoff.ms=300\n"
                    "group.min.session.timeout.ms=6000");
    return TEST_RUN(tests);
}
