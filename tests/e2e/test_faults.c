/* Faults in the log or in an event are parked, refused, or stop the partition. All of them are
 * reported. */
#include "tests/support/sidecar.h"

#include "schemas/change.h"

#define PUBLISH_ITEMS "publish:\n  item: {table: items, partitions: 1}\n"
#define APPLY_ITEMS   "apply:\n  item: {table: items, partitions: 1}\n"

static struct sidecar make_billing(struct kafka *kafka)
{
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    sidecar_init(&billing, NULL);
    sidecar_start(&billing, NULL);
    return billing;
}

static void events_of_foreign_clients_are_applied_and_deduplicated_by_id(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka);

    sidecar_produce(kafka, "a-1", "item.created", 1, "{\"id\":1,\"name\":\"one\",\"amount\":1}");
    sidecar_produce(kafka, "a-2", "item.updated", 1, "{\"id\":1,\"name\":\"two\",\"amount\":2}");
    sidecar_produce(kafka, "a-1", "item.created", 1, "{\"id\":1,\"name\":\"one\",\"amount\":1}");
    sidecar_produce(kafka, "a-3", "item.created", 2, "{\"id\":2,\"name\":\"last\",\"amount\":3}");
    sidecar_expect(&billing, "SELECT * FROM items ORDER BY id", "1|two|2\n2|last|3\n");
    sidecar_stop(&billing);
}

static void a_poisoned_entity_parks_alone_and_is_retried_in_order(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka);

    sidecar_produce(kafka, "p-1", "item.updated", 7, "{\"id\":7,\"amount\":5}"); /* no such row */
    sidecar_produce(kafka, "p-2", "item.updated", 7, "{\"id\":7,\"amount\":6}");
    sidecar_produce(kafka, "p-3", "item.created", 8, "{\"id\":8,\"name\":\"flows\",\"amount\":8}");
    sidecar_expect(&billing, "SELECT * FROM items", "8|flows|8\n");
    sidecar_expect(&billing, "SELECT count(*) FROM keepstep_parked", "2\n");

    (void)sqlite_text(billing.database, "INSERT INTO items VALUES(7,'mended',0)");
    struct process_result result = sidecar_run(&billing, "parked", "retry", "--all");
    assert_int_equal(result.exit_code, 0);
    sidecar_expect(&billing, "SELECT * FROM items ORDER BY id", "7|mended|6\n8|flows|8\n");
    sidecar_expect(&billing, "SELECT count(*) FROM keepstep_parked", "0\n");
    sidecar_stop(&billing);
}

static void a_skipped_head_lets_the_rest_of_its_entity_go_on(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka);

    sidecar_produce(kafka, "s-1", "item.created", 7, "{\"id\":7,\"name\":5,\"amount\":5}");
    sidecar_produce(kafka, "s-2", "item.updated", 7, "{\"id\":7,\"name\":\"good\",\"amount\":6}");
    sidecar_expect(&billing, "SELECT count(*) FROM keepstep_parked", "2\n");
    const char *head = sqlite_text(billing.database, "SELECT min(parked_id) FROM keepstep_parked");
    struct process_result result = sidecar_run(&billing, "parked", "skip",
                                               test_format("%d", atoi(head)));
    assert_int_equal(result.exit_code, 0);
    sidecar_expect(&billing, "SELECT * FROM items", "7|good|6\n");
    sidecar_stop(&billing);
}

static void a_gap_stops_the_partition_and_says_what_is_missing(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka);

    sidecar_produce_sequenced(kafka, 1, "e1", NULL);
    sidecar_produce_sequenced(kafka, 3, "e3", "e2");
    sidecar_expect(&billing, "SELECT id FROM items", "1\n");
    assert_true(process_wait_for(billing.process, "gap", 15000));
    sidecar_expect(&billing, "SELECT stopped LIKE '%gap%' FROM keepstep_position", "1\n");
    assert_int_equal(sqlite_number(billing.database, "SELECT next_offset FROM keepstep_position"),
                     1);
    process_kill(billing.process);
}

static void a_fork_stops_the_partition(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka);

    sidecar_produce_sequenced(kafka, 1, "e1", NULL);
    sidecar_produce_sequenced(kafka, 2, "e2", "e1");
    sidecar_produce_sequenced(kafka, 2, "other", "e1");
    sidecar_expect(&billing, "SELECT name FROM items ORDER BY id", "e1\ne2\n");
    sidecar_expect(&billing, "SELECT stopped LIKE '%fork%' FROM keepstep_position", "1\n");
    process_kill(billing.process);
}

static void a_late_copy_of_a_sequenced_event_is_a_duplicate(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka);

    sidecar_produce_sequenced(kafka, 1, "e1", NULL);
    sidecar_produce_sequenced(kafka, 2, "e2", "e1");
    sidecar_produce_sequenced(kafka, 1, "e1", NULL);
    sidecar_produce_sequenced(kafka, 3, "e3", "e2");
    sidecar_expect(&billing, "SELECT name FROM items ORDER BY id", "e1\ne2\ne3\n");
    sidecar_expect(&billing, "SELECT next_offset FROM keepstep_position", "4\n");
    sidecar_stop(&billing);
}

static void a_topic_made_anew_stops_the_agent_even_when_it_is_longer(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka);

    sidecar_produce(kafka, "t-1", "item.created", 1, "{\"id\":1,\"name\":\"one\",\"amount\":1}");
    sidecar_expect(&billing, "SELECT id FROM items", "1\n");
    sidecar_stop(&billing);
    kafka_delete_topic(kafka, sidecar_topic("item"));
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    for (int i = 0; i < 5; i++)
        sidecar_produce(kafka, test_format("n-%d", i), "item.created", 10 + i,
                        test_format("{\"id\":%d,\"name\":\"new\",\"amount\":1}", 10 + i));
    sidecar_start(&billing, NULL);
    assert_true(process_wait_for(billing.process, "anchor|recreated|another log", 30000));
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM items"), 1);
    process_kill(billing.process);
}

/* It can still be ended, though librdkafka 2.0.2 does not end its consumer then. */
static void a_topic_that_is_deleted_under_a_running_agent_stops_it(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka);

    sidecar_produce(kafka, "t-1", "item.created", 1, "{\"id\":1,\"name\":\"one\",\"amount\":1}");
    sidecar_expect(&billing, "SELECT id FROM items", "1\n");
    kafka_delete_topic(kafka, sidecar_topic("item"));
    bool stopped = process_wait_for(billing.process, "stands still", 60000);
    if (!stopped)
        test_fail("%s", process_errors(billing.process));
    sidecar_stop(&billing);
}

static void an_unknown_entity_type_stops_and_an_ignored_one_does_not(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS "ignore: [noise]\n");
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    sidecar_init(&billing, NULL);
    sidecar_start(&billing, NULL);

    sidecar_produce(kafka, "i-1", "noise.created", 1, "{\"id\":1}");
    sidecar_produce(kafka, "i-2", "item.created", 1, "{\"id\":1,\"name\":\"one\",\"amount\":1}");
    sidecar_expect(&billing, "SELECT id FROM items", "1\n");
    sidecar_produce(kafka, "i-3", "stranger.created", 1, "{\"id\":1}");
    sidecar_produce(kafka, "i-4", "item.created", 2, "{\"id\":2,\"name\":\"two\",\"amount\":1}");
    sidecar_expect(&billing, "SELECT stopped LIKE '%stranger%' FROM keepstep_position", "1\n");
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM items"), 1);
    process_kill(billing.process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_topic_that_is_deleted_under_a_running_agent_stops_it, 180),
        TEST_WITH_LIMIT(events_of_foreign_clients_are_applied_and_deduplicated_by_id, 90),
        TEST_WITH_LIMIT(a_poisoned_entity_parks_alone_and_is_retried_in_order, 90),
        TEST_WITH_LIMIT(a_skipped_head_lets_the_rest_of_its_entity_go_on, 90),
        TEST_WITH_LIMIT(a_gap_stops_the_partition_and_says_what_is_missing, 90),
        TEST_WITH_LIMIT(a_fork_stops_the_partition, 90),
        TEST_WITH_LIMIT(a_late_copy_of_a_sequenced_event_is_a_duplicate, 90),
        TEST_WITH_LIMIT(a_topic_made_anew_stops_the_agent_even_when_it_is_longer, 120),
        TEST_WITH_LIMIT(an_unknown_entity_type_stops_and_an_ignored_one_does_not, 90),
    };
    return TEST_RUN(tests);
}
