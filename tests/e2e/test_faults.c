/* What goes wrong in the log or in an event: parked, refused or stopped, and never in silence. */
#include "tests/support/sidecar.h"

#include "schemas/change.h"

#include <signal.h>

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

/* An event of a foreign client: an id, but no sequence. */
static void produce_item(struct kafka *kafka, const char *id, const char *type, int key,
                         const char *after)
{
    const char *const headers[] = {"ce_specversion",
                                   "1.0",
                                   "ce_id",
                                   id,
                                   "ce_source",
                                   "import",
                                   "ce_type",
                                   type,
                                   "content-type",
                                   "application/json",
                                   NULL};
    (void)kafka_produce(kafka, sidecar_topic("item"), 0, test_format("{\"id\":%d}", key),
                        test_format("{\"op\":\"u\",\"before\":null,\"after\":%s}", after), headers);
}

/* A sequenced event of a relay that is not ours to run. */
static void produce_sequenced(struct kafka *kafka, int sequence, const char *id,
                              const char *previous)
{
    const char *const headers[] = {"ce_specversion",
                                   "1.0",
                                   "ce_id",
                                   id,
                                   "ce_source",
                                   "shop",
                                   "ce_type",
                                   "item.created",
                                   "content-type",
                                   "application/json",
                                   "ce_sequence",
                                   test_format("%020d", sequence),
                                   "ce_incarnation",
                                   "0190aaaa-0000-7000-8000-000000000001",
                                   "ce_protocol",
                                   "1",
                                   previous == NULL ? NULL : "ce_previousid",
                                   previous,
                                   NULL};
    (void)kafka_produce(kafka, sidecar_topic("item"), 0, test_format("{\"id\":%d}", sequence),
                        test_format("{\"op\":\"c\",\"before\":null,\"after\":{\"id\":%d,"
                                    "\"name\":\"%s\",\"amount\":null}}",
                                    sequence, id),
                        headers);
}

static void expect_rows(const struct sidecar *service, const char *sql, const char *rows)
{
    if (!sqlite_wait_for(service->database, sql, rows, 20000))
        test_fail("%s has %s: %s", service->name, sqlite_text(service->database, sql),
                  process_errors(service->process));
}

static void events_of_foreign_clients_are_applied_and_deduplicated_by_id(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka);

    produce_item(kafka, "a-1", "item.created", 1, "{\"id\":1,\"name\":\"one\",\"amount\":1}");
    produce_item(kafka, "a-2", "item.updated", 1, "{\"id\":1,\"name\":\"two\",\"amount\":2}");
    produce_item(kafka, "a-1", "item.created", 1, "{\"id\":1,\"name\":\"one\",\"amount\":1}");
    produce_item(kafka, "a-3", "item.created", 2, "{\"id\":2,\"name\":\"last\",\"amount\":3}");
    expect_rows(&billing, "SELECT * FROM items ORDER BY id", "1|two|2\n2|last|3\n");
    sidecar_stop(&billing);
}

static void a_poisoned_entity_parks_alone_and_is_retried_in_order(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka);

    produce_item(kafka, "p-1", "item.updated", 7, "{\"id\":7,\"amount\":5}"); /* no such row */
    produce_item(kafka, "p-2", "item.updated", 7, "{\"id\":7,\"amount\":6}");
    produce_item(kafka, "p-3", "item.created", 8, "{\"id\":8,\"name\":\"flows\",\"amount\":8}");
    expect_rows(&billing, "SELECT * FROM items", "8|flows|8\n");
    expect_rows(&billing, "SELECT count(*) FROM keepstep_parked", "2\n");

    (void)sqlite_text(billing.database, "INSERT INTO items VALUES(7,'mended',0)");
    struct process_result result = sidecar_run(&billing, "parked", "retry", "--all");
    assert_int_equal(result.exit_code, 0);
    expect_rows(&billing, "SELECT * FROM items ORDER BY id", "7|mended|6\n8|flows|8\n");
    expect_rows(&billing, "SELECT count(*) FROM keepstep_parked", "0\n");
    sidecar_stop(&billing);
}

static void expect_killed(struct sidecar *service)
{
    int code = process_wait(service->process, 30000);
    if (code != 128 + SIGKILL)
        test_fail("the failpoint did not fire (%d): %s", code, process_errors(service->process));
}

static void a_kill_while_parked_events_are_retried_repeats_nothing(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka);

    produce_item(kafka, "k-1", "item.updated", 7, "{\"id\":7,\"amount\":5}"); /* no such row */
    produce_item(kafka, "k-2", "item.updated", 7, "{\"id\":7,\"amount\":6}");
    expect_rows(&billing, "SELECT count(*) FROM keepstep_parked", "2\n");
    sidecar_stop(&billing);
    (void)sqlite_text(billing.database,
                      "INSERT INTO items VALUES(7,'mended',0); CREATE TABLE seen(amount);"
                      "CREATE TRIGGER seen AFTER UPDATE ON items "
                      "BEGIN INSERT INTO seen VALUES(new.amount); END;");
    sidecar_start(&billing, "agent_parked_before_commit");
    (void)sidecar_run(&billing, "parked", "retry", "--all"); /* nobody lives to answer it */
    expect_killed(&billing);
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM keepstep_parked"), 2);
    sidecar_start(&billing, NULL);
    expect_rows(&billing, "SELECT count(*) FROM keepstep_parked", "0\n");
    expect_rows(&billing, "SELECT amount FROM seen ORDER BY rowid", "5\n6\n");
    sidecar_stop(&billing);
}

static void a_kill_after_a_stop_was_recorded_leaves_it_recorded(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka);

    produce_item(kafka, "r-1", "item.created", 1, "{\"id\":1,\"name\":\"one\",\"amount\":1}");
    expect_rows(&billing, "SELECT id FROM items", "1\n");
    sidecar_stop(&billing);
    kafka_delete_topic(kafka, sidecar_topic("item"));
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    produce_item(kafka, "n-1", "item.created", 2, "{\"id\":2,\"name\":\"two\",\"amount\":2}");
    produce_item(kafka, "n-2", "item.created", 3, "{\"id\":3,\"name\":\"three\",\"amount\":3}");
    sidecar_start(&billing, "agent_stop_recorded");
    expect_killed(&billing);
    expect_rows(&billing, "SELECT next_offset, stopped <> '' FROM keepstep_position", "1|1\n");
    sidecar_start(&billing, NULL);
    assert_true(process_wait_for(billing.process, "stands still", 30000));
    expect_rows(&billing, "SELECT id FROM items", "1\n");
    process_kill(billing.process);
}

static void a_skipped_head_lets_the_rest_of_its_entity_go_on(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka);

    produce_item(kafka, "s-1", "item.created", 7, "{\"id\":7,\"name\":5,\"amount\":5}");
    produce_item(kafka, "s-2", "item.updated", 7, "{\"id\":7,\"name\":\"good\",\"amount\":6}");
    expect_rows(&billing, "SELECT count(*) FROM keepstep_parked", "2\n");
    const char *head = sqlite_text(billing.database, "SELECT min(parked_id) FROM keepstep_parked");
    struct process_result result = sidecar_run(&billing, "parked", "skip",
                                               test_format("%d", atoi(head)));
    assert_int_equal(result.exit_code, 0);
    expect_rows(&billing, "SELECT * FROM items", "7|good|6\n");
    sidecar_stop(&billing);
}

static void a_gap_stops_the_partition_and_says_what_is_missing(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka);

    produce_sequenced(kafka, 1, "e1", NULL);
    produce_sequenced(kafka, 3, "e3", "e2");
    expect_rows(&billing, "SELECT id FROM items", "1\n");
    assert_true(process_wait_for(billing.process, "gap", 15000));
    expect_rows(&billing, "SELECT stopped LIKE '%gap%' FROM keepstep_position", "1\n");
    assert_int_equal(sqlite_number(billing.database, "SELECT next_offset FROM keepstep_position"),
                     1);
    process_kill(billing.process);
}

static void a_fork_stops_the_partition(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka);

    produce_sequenced(kafka, 1, "e1", NULL);
    produce_sequenced(kafka, 2, "e2", "e1");
    produce_sequenced(kafka, 2, "other", "e1");
    expect_rows(&billing, "SELECT name FROM items ORDER BY id", "e1\ne2\n");
    expect_rows(&billing, "SELECT stopped LIKE '%fork%' FROM keepstep_position", "1\n");
    process_kill(billing.process);
}

static void a_late_copy_of_a_sequenced_event_is_a_duplicate(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka);

    produce_sequenced(kafka, 1, "e1", NULL);
    produce_sequenced(kafka, 2, "e2", "e1");
    produce_sequenced(kafka, 1, "e1", NULL);
    produce_sequenced(kafka, 3, "e3", "e2");
    expect_rows(&billing, "SELECT name FROM items ORDER BY id", "e1\ne2\ne3\n");
    expect_rows(&billing, "SELECT next_offset FROM keepstep_position", "4\n");
    sidecar_stop(&billing);
}

static void a_topic_made_anew_stops_the_agent_even_when_it_is_longer(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka);

    produce_item(kafka, "t-1", "item.created", 1, "{\"id\":1,\"name\":\"one\",\"amount\":1}");
    expect_rows(&billing, "SELECT id FROM items", "1\n");
    sidecar_stop(&billing);
    kafka_delete_topic(kafka, sidecar_topic("item"));
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    for (int i = 0; i < 5; i++)
        produce_item(kafka, test_format("n-%d", i), "item.created", 10 + i,
                     test_format("{\"id\":%d,\"name\":\"new\",\"amount\":1}", 10 + i));
    sidecar_start(&billing, NULL);
    assert_true(process_wait_for(billing.process, "anchor|recreated|another log", 30000));
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM items"), 1);
    process_kill(billing.process);
}

static void an_unknown_entity_type_stops_and_an_ignored_one_does_not(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS "ignore: [noise]\n");
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    sidecar_init(&billing, NULL);
    sidecar_start(&billing, NULL);

    produce_item(kafka, "i-1", "noise.created", 1, "{\"id\":1}");
    produce_item(kafka, "i-2", "item.created", 1, "{\"id\":1,\"name\":\"one\",\"amount\":1}");
    expect_rows(&billing, "SELECT id FROM items", "1\n");
    produce_item(kafka, "i-3", "stranger.created", 1, "{\"id\":1}");
    produce_item(kafka, "i-4", "item.created", 2, "{\"id\":2,\"name\":\"two\",\"amount\":1}");
    expect_rows(&billing, "SELECT stopped LIKE '%stranger%' FROM keepstep_position", "1\n");
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM items"), 1);
    process_kill(billing.process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(events_of_foreign_clients_are_applied_and_deduplicated_by_id, 90),
        TEST_WITH_LIMIT(a_poisoned_entity_parks_alone_and_is_retried_in_order, 90),
        TEST_WITH_LIMIT(a_kill_while_parked_events_are_retried_repeats_nothing, 120),
        TEST_WITH_LIMIT(a_kill_after_a_stop_was_recorded_leaves_it_recorded, 120),
        TEST_WITH_LIMIT(a_skipped_head_lets_the_rest_of_its_entity_go_on, 90),
        TEST_WITH_LIMIT(a_gap_stops_the_partition_and_says_what_is_missing, 90),
        TEST_WITH_LIMIT(a_fork_stops_the_partition, 90),
        TEST_WITH_LIMIT(a_late_copy_of_a_sequenced_event_is_a_duplicate, 90),
        TEST_WITH_LIMIT(a_topic_made_anew_stops_the_agent_even_when_it_is_longer, 120),
        TEST_WITH_LIMIT(an_unknown_entity_type_stops_and_an_ignored_one_does_not, 90),
    };
    return TEST_RUN(tests);
}
