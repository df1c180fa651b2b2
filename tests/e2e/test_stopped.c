/* Partitions that stop: the reason is shown, an operator continues without a restart, and a copy
 * begins only where it may. */
#include "tests/support/sidecar.h"

#include <signal.h>

#define APPLY_ITEMS "apply:\n  item: {table: items, partitions: 1}\n"

static struct sidecar make_billing(struct kafka *kafka, const char *entries)
{
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, entries);
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    sidecar_begin(&billing);
    return billing;
}

static void produce_good(struct kafka *kafka, const char *id, int key)
{
    sidecar_produce(kafka, id, "item.created", key,
                    test_format("{\"id\":%d,\"name\":\"%s\",\"amount\":1}", key, id));
}

static void expect_stopped(const struct sidecar *service, const char *words)
{
    sidecar_expect(
        service, test_format("SELECT stopped LIKE '%%%s%%' FROM keepstep_position", words), "1\n");
    struct process_result result = sidecar_run(service, "status", NULL, NULL);
    assert_int_equal(result.exit_code, 0);
    if (strstr(result.output, "STOPPED") == NULL || strstr(result.output, words) == NULL ||
        strstr(result.output, "keepstep parked resume") == NULL)
        test_fail("status says %s", result.output);
}

static void expect_resume(const struct sidecar *service, int code, const char *words)
{
    struct process_result result = sidecar_run(service, "parked", "resume", NULL);
    if (result.exit_code != code || strstr(result.errors, words) == NULL)
        test_fail("resume ended with %d: %s\n%s", result.exit_code, result.errors,
                  process_errors(service->process));
}

static void too_many_parked_entities_stop_it_until_one_is_skipped(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka, APPLY_ITEMS "limits: {parked_entities: 2}\n");

    for (int key = 1; key <= 3; key++)
        sidecar_produce(kafka, test_format("p-%d", key), "item.updated", key,
                        test_format("{\"id\":%d,\"amount\":1}", key)); /* no such row */
    produce_good(kafka, "g-4", 4);
    expect_stopped(&billing, "too many parked entities (limits.parked_entities), the first: ");
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM keepstep_parked"), 2);
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM items"), 0);
    expect_resume(&billing, 75, "too many parked entities");
    const char *head = test_format(
        "%lld",
        (long long)sqlite_number(billing.database, "SELECT min(parked_id) FROM keepstep_parked"));
    assert_int_equal(sidecar_run(&billing, "parked", "skip", head).exit_code, 0);
    sidecar_expect(&billing, "SELECT id FROM items", "4\n");
    sidecar_expect(&billing, "SELECT count(*) FROM keepstep_parked WHERE state <> 3", "2\n");
    sidecar_expect(&billing, "SELECT stopped, next_offset FROM keepstep_position", "|4\n");
    sidecar_stop(&billing);
}

static void too_many_parked_records_stop_it_until_they_can_be_applied(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka, APPLY_ITEMS "limits: {parked_records: 3}\n");

    for (int i = 1; i <= 5; i++)
        sidecar_produce(kafka, test_format("p-%d", i), "item.updated", 7,
                        test_format("{\"id\":7,\"amount\":%d}", i)); /* no such row */
    expect_stopped(&billing, "too many parked records");
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM keepstep_parked"), 3);
    (void)sqlite_text(billing.database, "INSERT INTO items VALUES(7,'mended',0)");
    assert_int_equal(sidecar_run(&billing, "parked", "retry", "--all").exit_code, 0);
    sidecar_expect(&billing, "SELECT * FROM items", "7|mended|5\n");
    sidecar_expect(&billing, "SELECT count(*) FROM keepstep_parked", "0\n");
    sidecar_stop(&billing);
}

static void a_resume_whose_cause_is_still_there_stops_again_with_the_same_words(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka, APPLY_ITEMS);

    sidecar_produce_sequenced(kafka, 1, "e1", NULL);
    sidecar_produce_sequenced(kafka, 3, "e3", "e2");
    expect_stopped(&billing, "gap: sequence 3");
    struct process_result result = sidecar_run(&billing, "parked", "resume", "--dry-run");
    assert_int_equal(result.exit_code, 0);
    assert_non_null(strstr(result.errors, "would be tried again"));
    expect_resume(&billing, 75, "stands still again: offset 1: gap: sequence 3");
    expect_stopped(&billing, "gap: sequence 3");
    sidecar_expect(&billing, "SELECT id FROM items", "1\n");
    assert_true(process_running(billing.process));
    sidecar_stop(&billing);
}

static void an_unknown_column_stops_its_partition_until_the_schema_knows_it(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka, APPLY_ITEMS);

    produce_good(kafka, "u-1", 1);
    sidecar_produce(kafka, "u-2", "item.created", 2,
                    "{\"id\":2,\"name\":\"b\",\"amount\":1,\"colour\":\"red\"}");
    produce_good(kafka, "u-3", 1);
    expect_stopped(&billing, "colour");
    expect_resume(&billing, 75, "colour");
    sidecar_expect(&billing, "SELECT id, name FROM items", "1|u-1\n");
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM keepstep_parked"), 0);
    sidecar_stop(&billing);

    const char *path = test_path("schemas/item.schema.json");
    const char *schema = test_read_file(path);
    const char *name = strstr(schema, "\"name\"");
    test_write_file(path, test_format("%.*s\"colour\":{\"type\":[\"string\",\"null\"],"
                                      "\"x-keepstep-type\":\"text\"},%s",
                                      (int)(name - schema), schema, name));
    sidecar_start(&billing, NULL);
    sidecar_expect(&billing, "SELECT id, name, colour FROM items ORDER BY id",
                   "1|u-3|NULL\n2|b|red\n");
    sidecar_expect(&billing, "SELECT stopped FROM keepstep_position", "\n");
    sidecar_stop(&billing);
}

static void one_partition_that_stands_still_leaves_the_others_alone(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = sidecar_make(
        kafka, "billing", NULL,
        "apply:\n  item: {table: items, partitions: 1}\n  extra: {table: extras, partitions: 1}\n");
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    kafka_create_topic(kafka, sidecar_topic("extra"), 1, NULL);
    sidecar_begin(&billing);

    sidecar_produce_sequenced(kafka, 2, "e2", "e1");
    sidecar_expect(&billing, "SELECT count(*) FROM keepstep_position WHERE stopped <> ''", "1\n");
    const char *const headers[] = {"ce_specversion", "1.0",     "ce_id",         "x-1", "ce_source",
                                   "import",         "ce_type", "extra.created", NULL};
    (void)kafka_produce(kafka, sidecar_topic("extra"), 0, "{\"id\":1}",
                        "{\"op\":\"c\",\"before\":null,\"after\":{\"id\":1,\"name\":\"x\","
                        "\"amount\":null}}",
                        headers);
    sidecar_expect(&billing, "SELECT name FROM extras", "x\n");
    struct process_result result = PROCESS_RUN(KEEPSTEP_BINARY, "parked", "resume", "-c",
                                               billing.config, "--topic", sidecar_topic("extra"),
                                               "--partition", "0");
    assert_int_equal(result.exit_code, 0);
    assert_non_null(strstr(result.errors, "no such partition stands still"));
    sidecar_stop(&billing);
}

static void a_topic_that_was_restored_is_taken_up_without_a_restart(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka, APPLY_ITEMS);

    produce_good(kafka, "t-1", 1);
    produce_good(kafka, "t-2", 2);
    sidecar_expect(&billing, "SELECT next_offset FROM keepstep_position", "2\n");
    sidecar_stop(&billing);
    kafka_delete_topic(kafka, sidecar_topic("item"));
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    produce_good(kafka, "n-1", 11); /* shorter: refused when the partition is assigned */
    sidecar_start(&billing, NULL);
    expect_stopped(&billing, "the log ends at 1");
    produce_good(kafka, "n-2", 12);
    produce_good(kafka, "n-3", 13); /* longer: refused because of the anchor */
    expect_resume(&billing, 75, "does not hold event t-2");
    sidecar_expect(&billing, "SELECT id FROM items ORDER BY id", "1\n2\n");

    kafka_delete_topic(kafka, sidecar_topic("item"));
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    produce_good(kafka, "t-1", 1);
    produce_good(kafka, "t-2", 2);
    produce_good(kafka, "t-3", 3);
    expect_resume(&billing, 0, "goes on");
    sidecar_expect(&billing, "SELECT id FROM items ORDER BY id", "1\n2\n3\n");
    sidecar_expect(&billing, "SELECT stopped FROM keepstep_position", "\n");
    sidecar_stop(&billing);
}

static size_t count_of(const char *text, const char *words)
{
    size_t count = 0;
    for (const char *at = strstr(text, words); at != NULL; at = strstr(at + 1, words))
        count++;
    return count;
}

static void a_stop_whose_cause_was_mended_meanwhile_is_told_no_more(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka, APPLY_ITEMS);
    produce_good(kafka, "m-1", 1);
    sidecar_expect(&billing, "SELECT id FROM items", "1\n");
    sidecar_stop(&billing);

    (void)sqlite_text(billing.database, "UPDATE keepstep_position SET cluster_id = 'elsewhere'");
    sidecar_start(&billing, NULL);
    expect_stopped(&billing, "the copy was fed from cluster elsewhere");
    sidecar_stop(&billing);
    assert_int_equal(count_of(process_errors(billing.process), "stands still"), 1);
    (void)sqlite_text(billing.database, "UPDATE keepstep_position SET cluster_id = ''");
    sidecar_start(&billing, NULL);
    sidecar_expect(&billing, "SELECT stopped FROM keepstep_position", "\n"); /* no newer record */
    assert_null(strstr(sidecar_run(&billing, "status", NULL, NULL).output, "STOPPED"));
    produce_good(kafka, "m-2", 2);
    sidecar_expect(&billing, "SELECT id FROM items ORDER BY id", "1\n2\n");
    sidecar_stop(&billing);
    assert_int_equal(count_of(process_errors(billing.process), "stands still"), 0);
}

static void start_latest_holds_also_where_the_partition_stood_still_at_first(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = sidecar_make(
        kafka, "billing", NULL, "apply:\n  item: {table: items, partitions: 1, start: latest}\n");
    kafka_create_topic(kafka, sidecar_topic("item"), 1, "cleanup.policy=compact");
    produce_good(kafka, "l-1", 1);
    sidecar_begin(&billing);
    expect_stopped(&billing, "compacted");
    sidecar_stop(&billing);
    kafka_delete_topic(kafka, sidecar_topic("item"));
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    produce_good(kafka, "l-1", 1);
    sidecar_start(&billing, NULL);
    sidecar_expect(&billing, "SELECT stopped FROM keepstep_position", "\n");
    produce_good(kafka, "l-2", 2);
    sidecar_expect(&billing, "SELECT next_offset, partial FROM keepstep_position", "2|1\n");
    sidecar_expect(&billing, "SELECT id FROM items ORDER BY id", "2\n");
    sidecar_stop(&billing);
}

static void a_stop_is_resumed_by_the_next_agent_where_none_runs(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka, APPLY_ITEMS);

    sidecar_produce(kafka, "s-1", "stranger.created", 1, "{\"id\":1}");
    produce_good(kafka, "s-2", 2);
    expect_stopped(&billing, "stranger");
    sidecar_stop(&billing);
    expect_resume(&billing, 0, "no agent seems to run");
    sidecar_expect(&billing, "SELECT stopped FROM keepstep_position", "\n");
    test_write_file(billing.config,
                    test_format("%signore: [stranger]\n", test_read_file(billing.config)));
    sidecar_start(&billing, NULL);
    sidecar_expect(&billing, "SELECT id FROM items", "2\n");
    sidecar_stop(&billing);
}

static void a_log_without_its_beginning_is_refused_unless_start_says_otherwise(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = sidecar_make(
        kafka, "billing", NULL, "apply:\n  item: {table: items, partitions: 1, fill: never}\n");
    struct sidecar partial = sidecar_make(
        kafka, "partial", NULL, "apply:\n  item: {table: items, partitions: 1, start: earliest}\n");
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    for (int i = 1; i <= 4; i++)
        sidecar_produce_sequenced(kafka, i, test_format("e%d", i),
                                  i == 1 ? NULL : test_format("e%d", i - 1));
    kafka_trim(kafka, sidecar_topic("item"), 0, 2);

    sidecar_begin(&billing);
    assert_true(process_wait_for(billing.process, "start: earliest", 30000));
    sidecar_begin(&partial);
    sidecar_expect(&partial, "SELECT id FROM items ORDER BY id", "3\n4\n");
    sidecar_expect(&partial, "SELECT partial, next_offset FROM keepstep_position", "1|4\n");
    sidecar_expect(&partial, "SELECT base, last FROM keepstep_sequence", "3|4\n");
    assert_non_null(strstr(sidecar_run(&partial, "status", NULL, NULL).output, "a partial copy"));
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM items"), 0);
    expect_stopped(&billing, "start: earliest");
    expect_resume(&billing, 75, "start: earliest");
    sidecar_stop(&billing);
    sidecar_stop(&partial);
    const char *text = test_read_file(billing.config);
    const char *entry = strstr(text, "partitions: 1");
    test_write_file(billing.config,
                    test_format("%.*sstart: earliest, %s", (int)(entry - text), text, entry));
    sidecar_start(&billing, NULL);
    sidecar_expect(&billing, "SELECT id FROM items ORDER BY id", "3\n4\n");
    sidecar_expect(&billing, "SELECT partial, next_offset, stopped FROM keepstep_position",
                   "1|4|\n");
    sidecar_expect(&billing, "SELECT base, last FROM keepstep_sequence", "3|4\n");
    sidecar_stop(&billing);
}

static void start_latest_takes_only_what_comes_and_stays_marked(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = sidecar_make(
        kafka, "billing", NULL, "apply:\n  item: {table: items, partitions: 1, start: latest}\n");
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    sidecar_produce_sequenced(kafka, 1, "e1", NULL);
    sidecar_produce_sequenced(kafka, 2, "e2", "e1");
    sidecar_begin(&billing);
    sidecar_expect(&billing, "SELECT next_offset, partial FROM keepstep_position", "2|1\n");
    sidecar_produce_sequenced(kafka, 3, "e3", "e2");
    sidecar_expect(&billing, "SELECT id FROM items", "3\n");
    sidecar_stop(&billing);
    sidecar_produce_sequenced(kafka, 4, "e4", "e3");
    sidecar_start(&billing, NULL);
    sidecar_expect(&billing, "SELECT id FROM items ORDER BY id", "3\n4\n");
    sidecar_expect(&billing, "SELECT partial FROM keepstep_position", "1\n");
    sidecar_produce_sequenced(kafka, 6, "e6", "e5"); /* a partial copy may have no gap either */
    expect_stopped(&billing, "gap: sequence 6");
    sidecar_stop(&billing);
}

static void a_log_trimmed_past_the_position_stops_the_copy(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = make_billing(kafka, APPLY_ITEMS);

    sidecar_produce_sequenced(kafka, 1, "e1", NULL);
    sidecar_expect(&billing, "SELECT next_offset FROM keepstep_position", "1\n");
    sidecar_stop(&billing);
    for (int i = 2; i <= 4; i++)
        sidecar_produce_sequenced(kafka, i, test_format("e%d", i), test_format("e%d", i - 1));
    kafka_trim(kafka, sidecar_topic("item"), 0, 3);
    sidecar_start(&billing, NULL);
    expect_stopped(&billing, "events are gone");
    sidecar_expect(&billing, "SELECT id FROM items", "1\n");
    sidecar_stop(&billing);
}

static void a_missing_parent_is_waited_for_and_the_child_follows_by_itself(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = sidecar_make(
        kafka, "billing",
        "CREATE TABLE parents(id INTEGER PRIMARY KEY);"
        "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
        " amount INTEGER REFERENCES parents(id));",
        APPLY_ITEMS);
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    sidecar_begin(&billing);

    sidecar_produce(kafka, "c-1", "item.created", 1, "{\"id\":1,\"name\":\"a\",\"amount\":9}");
    sidecar_produce(kafka, "c-2", "item.updated", 1, "{\"id\":1,\"name\":\"b\",\"amount\":9}");
    sidecar_produce(kafka, "c-3", "item.created", 2, "{\"id\":2,\"name\":\"d\",\"amount\":null}");
    sidecar_produce(kafka, "c-4", "item.created", 3, "{\"id\":3,\"name\":\"d\",\"amount\":null}");
    sidecar_expect(&billing, "SELECT id FROM items", "2\n");
    sidecar_expect(&billing, "SELECT state FROM keepstep_parked ORDER BY offset", "1\n2\n1\n");
    /* No commit of the agent releases this one. A retry after its back-off does. */
    (void)sqlite_text(billing.database, "INSERT INTO parents VALUES(9)");
    sidecar_expect(&billing, "SELECT id, name, amount FROM items ORDER BY id", "1|b|9\n2|d|NULL\n");
    sidecar_expect(&billing, "SELECT count(*) FROM keepstep_parked", "1\n");
    /* This one is released by an event. */
    sidecar_produce(kafka, "c-5", "item.updated", 2, "{\"id\":2,\"name\":\"e\",\"amount\":null}");
    sidecar_expect(&billing, "SELECT id, name, amount FROM items ORDER BY id",
                   "1|b|9\n2|e|NULL\n3|d|NULL\n");
    sidecar_expect(&billing, "SELECT count(*) FROM keepstep_parked", "0\n");
    sidecar_stop(&billing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(too_many_parked_entities_stop_it_until_one_is_skipped, 120),
        TEST_WITH_LIMIT(too_many_parked_records_stop_it_until_they_can_be_applied, 120),
        TEST_WITH_LIMIT(a_resume_whose_cause_is_still_there_stops_again_with_the_same_words, 120),
        TEST_WITH_LIMIT(an_unknown_column_stops_its_partition_until_the_schema_knows_it, 120),
        TEST_WITH_LIMIT(one_partition_that_stands_still_leaves_the_others_alone, 120),
        TEST_WITH_LIMIT(a_topic_that_was_restored_is_taken_up_without_a_restart, 180),
        TEST_WITH_LIMIT(a_stop_whose_cause_was_mended_meanwhile_is_told_no_more, 120),
        TEST_WITH_LIMIT(start_latest_holds_also_where_the_partition_stood_still_at_first, 120),
        TEST_WITH_LIMIT(a_stop_is_resumed_by_the_next_agent_where_none_runs, 120),
        TEST_WITH_LIMIT(a_log_without_its_beginning_is_refused_unless_start_says_otherwise, 120),
        TEST_WITH_LIMIT(start_latest_takes_only_what_comes_and_stays_marked, 120),
        TEST_WITH_LIMIT(a_log_trimmed_past_the_position_stops_the_copy, 120),
        TEST_WITH_LIMIT(a_missing_parent_is_waited_for_and_the_child_follows_by_itself, 120),
    };
    return TEST_RUN(tests);
}
