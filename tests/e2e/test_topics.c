/* `keepstep topics plan` and `apply` at a real Kafka of one broker, and then of three. */
#include "tests/support/sidecar.h"

#include "common/clock.h"
#include "common/kafka_admin.h"
#include "common/topic_design.h"

#include <sysexits.h>

#define SHOP "publish:\n  item: {table: items, partitions: 2}\n"

static struct process_result topics(const struct sidecar *shop, const char *verb, const char *flag)
{
    return sidecar_run(shop, "topics", verb, flag);
}

static void expect(struct process_result result, int exit_code, const char *words)
{
    if (result.exit_code != exit_code || strstr(result.output, words) == NULL)
        test_fail("exit code %d, not %d with \"%s\":\n%s\n%s", result.exit_code, exit_code, words,
                  result.output, result.errors);
}

static void expect_error(struct process_result result, int exit_code, const char *words)
{
    if (result.exit_code != exit_code || strstr(result.errors, words) == NULL)
        test_fail("exit code %d, not %d with \"%s\":\n%s\n%s", result.exit_code, exit_code, words,
                  result.output, result.errors);
}

/* @return "name=value\n" for each setting that a topic has of its own, in the broker's order. */
static const char *own_settings(struct kafka *kafka, const char *topic);
static void note_own(void *context, const struct kafka_config *config)
{
    const char **text = context;
    if (config->is_own)
        *text = test_format("%s%s=%s\n", *text, config->name, config->value);
}

static const char *own_settings(struct kafka *kafka, const char *topic)
{
    const struct text_pair server = {"bootstrap.servers", kafka_bootstrap(kafka)};
    const struct kafka_admin_options options = {&server, 1, 10000};
    struct kafka_admin *admin = NULL;
    struct error err = ERROR_INIT;
    const char *text = "";
    const struct kafka_config_visitor visitor = {note_own, &text};
    assert_int_equal(kafka_admin_open(&options, &admin, &err), STATUS_OK);
    assert_int_equal(kafka_admin_settings(admin, topic, &visitor, &err), STATUS_OK);
    kafka_admin_close(admin);
    return text;
}

static struct sidecar make(struct kafka *kafka, const char *yaml)
{
    return sidecar_make(kafka, "shop", NULL, test_format(SHOP "%s", yaml));
}

static void expect_own(struct kafka *kafka, const char *topic, const char *setting)
{
    const char *text = own_settings(kafka, topic);
    if (strstr(text, test_format("%s\n", setting)) == NULL)
        test_fail("%s has not %s of its own:\n%s", topic, setting, text);
}

/* The broker's own defaults are others in all of this: see main(). */
static void a_missing_topic_is_planned_and_made_and_then_nothing_differs(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = make(kafka, "");
    expect(topics(&shop, "plan", NULL), 2, "4 topics: 4 to make, 0 settings to change");
    expect(topics(&shop, "apply", "--dry-run"), 2, "4 topics: 4 to make");
    expect(topics(&shop, "plan", "--json"), 2, "\"state\":\"missing\"");
    struct process_result made = topics(&shop, "apply", NULL);
    expect(made, 0, test_format("created  %s with 2 partitions", sidecar_topic("item")));
    expect(made, 0, test_format("created  %s with 1 partition\n", sidecar_topic("keepstep-talk")));
    expect_own(kafka, sidecar_topic("item"), "cleanup.policy=delete");
    expect_own(kafka, sidecar_topic("item"), "message.timestamp.type=LogAppendTime");
    expect_own(kafka, sidecar_topic("item"), "max.message.bytes=1065536");
    expect_own(kafka, sidecar_topic("keepstep"), "cleanup.policy=compact");
    expect(topics(&shop, "plan", NULL), 0, "4 topics are as they should be");
    expect(topics(&shop, "apply", NULL), 0, test_format("kept     %s\n", sidecar_topic("item")));
    expect(topics(&shop, "plan", "--all"), 0, "the broker's clock says how old a record is");
    expect(topics(&shop, "plan", "--json"), 0, "\"different\":false");
}

/* What the sidecar makes by itself is what `plan` wants. */
static void a_sidecar_makes_its_topics_by_the_same_design(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = make(kafka, "topics: {retention_s: 3600, min_insync_replicas: 1}\n");
    (void)sqlite_text(shop.database, SIDECAR_ITEM_DDL);
    sidecar_begin(&shop);
    struct process_result plan = topics(&shop, "plan", NULL);
    for (int i = 0; i < 100 && strstr(plan.output, " 1 to make") == NULL; i++) {
        clock_sleep_us(100000);
        plan = topics(&shop, "plan", NULL);
    }
    sidecar_stop(&shop);
    /* The rows topic is made by whoever needs it first. */
    expect(plan, 2, "4 topics: 1 to make, 0 settings to change, 0 that `apply` does not change");
    expect_own(kafka, sidecar_topic("item"), "retention.ms=3600000");
    expect_own(kafka, sidecar_topic("item"), "min.insync.replicas=1");
}

static bool waits_for(struct kafka *kafka, const char *topic, const char *words)
{
    bool found = false;
    for (int i = 0; i < 200 && !found; i++) {
        found = strstr(kafka_text(kafka, sidecar_topic(topic)), words) != NULL;
        if (!found)
            clock_sleep_us(100000);
    }
    return found;
}

/* The topics are as the version before made them. */
static void topics_of_the_version_before_are_used_on_and_may_be_changed_meanwhile(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = make(kafka, "");
    (void)sqlite_text(shop.database, SIDECAR_ITEM_DDL);
    kafka_create_topic(
        kafka, sidecar_topic("item"), 2,
        "retention.ms=-1;cleanup.policy=delete;message.timestamp.type=LogAppendTime");
    kafka_create_topic(kafka, sidecar_topic("keepstep"), 1,
                       "cleanup.policy=compact;min.cleanable.dirty.ratio=0.1;segment.ms=600000");
    kafka_create_topic(kafka, sidecar_topic("keepstep-talk"), 1,
                       "cleanup.policy=delete;retention.ms=86400000;segment.ms=3600000");
    sidecar_begin(&shop);
    (void)sqlite_text(shop.database, "INSERT INTO items (id, name) VALUES (1, 'before')");
    assert_true(waits_for(kafka, "item", "before"));
    assert_true(waits_for(kafka, "keepstep", "member/shop/"));
    expect(topics(&shop, "plan", NULL), 2, "message.timestamp.type");
    expect(topics(&shop, "apply", NULL), 0, "message.timestamp.type from CreateTime to");
    expect_own(kafka, sidecar_topic("keepstep"), "min.cleanable.dirty.ratio=0.1");
    expect(topics(&shop, "plan", NULL), 0, "4 topics are as they should be");
    (void)sqlite_text(shop.database, "INSERT INTO items (id, name) VALUES (2, 'after')");
    assert_true(waits_for(kafka, "item", "after"));
    sidecar_stop(&shop);
}

/* The parts of an answer are larger than a small record, and the relay's batches may be. */
static void a_small_limit_of_records_leaves_room_for_parts_and_batches(void **state)
{
    (void)state;
    static const enum topic_kind kinds[] = {TOPIC_DATA, TOPIC_CONTROL, TOPIC_TALK, TOPIC_ROWS};
    const struct topic_choice choice = {.record_bytes = 1000};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct topic_design design;
        const char *found = "";
        topic_design_make(kinds[i], &choice, &design);
        for (size_t j = 0; j < design.count; j++)
            if (strcmp(design.settings[j].name, "max.message.bytes") == 0)
                found = design.settings[j].value;
        assert_string_equal(found, "1000000");
    }
}

static void a_topic_of_somebody_else_is_changed_and_keeps_what_is_not_ours(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = make(kafka, "topics: {retention_s: 60}\n");
    kafka_create_topic(kafka, sidecar_topic("item"), 2,
                       "cleanup.policy=compact;retention.ms=1000;segment.bytes=1048576;"
                       "compression.type=lz4");
    (void)kafka_produce(kafka, sidecar_topic("item"), 0, "k", "v", NULL);
    struct process_result plan = topics(&shop, "plan", NULL);
    expect(plan, 2, "4 topics: 3 to make, 4 settings to change");
    expect(plan, 2, "compaction removes sequence numbers from the middle");
    struct process_result done = topics(&shop, "apply", NULL);
    expect(done, 0, "cleanup.policy from compact to delete");
    expect(done, 0, "retention.ms from 1000 to 60000");
    expect(topics(&shop, "plan", NULL), 0, "as they should be");
    expect_own(kafka, sidecar_topic("item"), "segment.bytes=1048576");
    expect_own(kafka, sidecar_topic("item"), "compression.type=lz4");
    assert_string_equal(kafka_text(kafka, sidecar_topic("item")), "0 0 k v\n");
}

static void partitions_and_replicas_are_not_changed_in_place(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = make(kafka, "topics: {replication_factor: 3, min_insync_replicas: 2}\n");
    kafka_create_topic(kafka, sidecar_topic("item"), 3, NULL);
    struct process_result plan = topics(&shop, "plan", NULL);
    expect(plan, 2, "entities would change their partitions. Write partitions: 3, or publish");
    expect(plan, 2, "kafka-reassign-partitions.sh, or write replication_factor: 1");
    expect(plan, 2, "with 1 replica the topic would take no record any more");
    struct process_result done = topics(&shop, "apply", NULL);
    expect_error(done, EX_TEMPFAIL, "start more brokers, or write a smaller topics.replication_fa");
    expect(done, EX_TEMPFAIL, "partitions stays 3, not 2");
    expect(done, EX_TEMPFAIL, "replication factor stays 1, not 3");
    expect(done, EX_TEMPFAIL, "min.insync.replicas stays 1, not 2");
    (void)kafka_produce(kafka, sidecar_topic("item"), 2, "k", "v", NULL); /* it still takes some */
    shop = make(kafka, "control_topic: ''\n");
    expect(topics(&shop, "apply", NULL), 1, "partitions stays 3, not 2");
}

static void a_topic_that_is_only_read_is_looked_at_and_never_changed(void **state)
{
    static const char lasting[] = "cleanup.policy=delete;retention.ms=60000";
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = sidecar_make(kafka, "billing", NULL,
                                          "apply:\n  item: {table: items}\n"
                                          "  extra: {table: extras}\ncontrol_topic: ''\n"
                                          "limits: {idempotency_window_s: 60}\n");
    const char *item = sidecar_topic("item");
    expect(topics(&billing, "plan", NULL), 0, ", which another service publishes, does not exist");
    expect(topics(&billing, "apply", NULL), 0, "");
    expect(topics(&billing, "plan", "--json"), 0, "\"own\":false,\"state\":\"missing\"");
    kafka_create_topic(kafka, item, 2, "cleanup.policy=compact;retention.ms=61000");
    kafka_create_topic(kafka, sidecar_topic("extra"), 1, lasting);
    struct process_result plan = topics(&billing, "plan", NULL);
    expect(plan, 2, "2 topics: 0 to make, 0 settings to change, 2 that `apply` does not change");
    expect(plan, 2, test_format("data topic %s, which another service publishes,\n", item));
    expect(plan, 2, "compaction removes sequence numbers from the middle");
    expect(plan, 2, "with the configuration of the one that publishes item");
    expect(plan, 2, "write limits.idempotency_window_s: 0 (for ever) here");
    struct process_result done = topics(&billing, "apply", NULL);
    expect(done, 1, "cleanup.policy stays compact, not delete");
    expect(done, 1, "retention.ms stays 61000, not <= 60000");
    expect_own(kafka, item, "cleanup.policy=compact");
    expect_own(kafka, item, "retention.ms=61000");
    expect_own(kafka, sidecar_topic("extra"), "retention.ms=60000");
}

static void what_is_not_allowed_is_named_with_the_right(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = make(kafka, "control_topic: ''\n");
    const char *topic = sidecar_topic("item");
    kafka_create_topic(kafka, topic, 2, "retention.ms=1000");
    kafka_allow_only(kafka, topic, "DESCRIBE");
    expect(topics(&shop, "plan", NULL), 2, "(allow DescribeConfigs)");
    kafka_allow_only(kafka, topic, "DESCRIBE_CONFIGS");
    expect(topics(&shop, "plan", NULL), 2, "retention.ms");
    struct process_result done = topics(&shop, "apply", NULL);
    expect_error(done, EX_TEMPFAIL, "(allow AlterConfigs)");
}

static void brokers_that_are_down_are_told_within_seconds(void **state)
{
    (void)state;
    const char *nobody = test_format("127.0.0.1:%d", process_free_port());
    struct sidecar shop = sidecar_make_at(nobody, "shop", "sqlite:none.db", SHOP);
    int64_t begun_us = clock_monotonic_us();
    expect_error(topics(&shop, "plan", NULL), EX_TEMPFAIL, "no broker answers");
    expect_error(topics(&shop, "apply", NULL), EX_TEMPFAIL, "no broker answers");
    assert_in_range((uintmax_t)(clock_monotonic_us() - begun_us), 0, 60000000);
    expect_error(topics(&shop, "sow", NULL), EX_USAGE, "wants plan or apply");
}

struct planned {
    const struct sidecar *shop;
    const char *flag;
    const char *words;
    struct process_result result;
};

static bool is_planned(void *context)
{
    struct planned *planned = context;
    planned->result = topics(planned->shop, "plan", planned->flag);
    return planned->result.exit_code == 0 && strstr(planned->result.output, planned->words) != NULL;
}

/* Each broker learns of topics in its own time, and any of them may be asked. */
static void expect_planned(const struct sidecar *shop, const char *flag, const char *words)
{
    struct planned planned = {.shop = shop, .flag = flag, .words = words};
    if (!test_wait(is_planned, &planned, 30000))
        expect(planned.result, 0, words);
}

static void three_brokers_get_three_replicas_of_which_two_are_in_sync(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    (void)kafka_join(kafka, 2);
    (void)kafka_join(kafka, 3);
    struct sidecar shop = make(kafka, "topics: {replication_factor: 3, min_insync_replicas: 2}\n");
    expect(topics(&shop, "apply", NULL), 0, "created  ");
    expect_planned(&shop, NULL, "4 topics are as they should be");
    expect_planned(&shop, "--json",
                   "{\"setting\":\"replication factor\",\"is\":\"3\",\"should_be\":\"3\"");
    expect_own(kafka, sidecar_topic("item"), "min.insync.replicas=2");
    shop = make(kafka, "topics: {replication_factor: 2, min_insync_replicas: 3}\n");
    expect(topics(&shop, "apply", NULL), 1, "replication factor stays 3, not 2");
    expect_own(kafka, sidecar_topic("item"), "min.insync.replicas=3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_missing_topic_is_planned_and_made_and_then_nothing_differs, 120),
        TEST_WITH_LIMIT(a_sidecar_makes_its_topics_by_the_same_design, 120),
        TEST_WITH_LIMIT(topics_of_the_version_before_are_used_on_and_may_be_changed_meanwhile, 180),
        TEST_WITH_LIMIT(a_small_limit_of_records_leaves_room_for_parts_and_batches, 10),
        TEST_WITH_LIMIT(a_topic_of_somebody_else_is_changed_and_keeps_what_is_not_ours, 120),
        TEST_WITH_LIMIT(partitions_and_replicas_are_not_changed_in_place, 120),
        TEST_WITH_LIMIT(a_topic_that_is_only_read_is_looked_at_and_never_changed, 120),
        TEST_WITH_LIMIT(what_is_not_allowed_is_named_with_the_right, 180),
        TEST_WITH_LIMIT(brokers_that_are_down_are_told_within_seconds, 120),
        TEST_WITH_LIMIT(three_brokers_get_three_replicas_of_which_two_are_in_sync, 180),
    };
    kafka_configure(
        "log.cleanup.policy=compact\nmessage.max.bytes=20000\nnum.partitions=5\n"
        "log.retention.ms=60000\n"
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n"
        "allow.everyone.if.no.acl.found=true");
    return TEST_RUN(tests);
}
