/* `keepstep verify` says what it did not compare, and why; and it refuses what makes no sense. */
#include "common/clock.h"
#include "tests/support/load.h"
#include "tests/support/verify.h"

#include <signal.h>
#include <sysexits.h>

#define PUBLISH   "publish:\n  item: {table: items, partitions: 1}\n"
#define EXTRA_DDL "CREATE TABLE extras(" SIDECAR_ITEM_COLUMNS ");"
#define APPLY     "apply:\n  item: {table: items, partitions: 1}\n"

#define BACKLOG 3000 /* the whole test has 100000 */

struct three {
    struct kafka *kafka;
    struct sidecar shop;
    struct sidecar billing;
    struct sidecar shipping;
    const struct sidecar *all[4];
};

static void three_begin(struct three *three)
{
    *three = (struct three){.kafka = kafka_start()};
    three->shop = sidecar_make(three->kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH);
    three->billing = sidecar_make(three->kafka, "billing", NULL, APPLY);
    three->shipping = sidecar_make(three->kafka, "shipping", NULL, APPLY);
    three->all[0] = &three->shop;
    three->all[1] = &three->billing;
    three->all[2] = &three->shipping;
    sidecar_begin(&three->shop);
    sidecar_begin(&three->billing);
    sidecar_begin(&three->shipping);
}

static void three_write(const struct three *three, int first, int last)
{
    (void)sqlite_format(three->shop.database,
                        "WITH n(i) AS (SELECT %d UNION ALL SELECT i+1 FROM n WHERE i<%d) "
                        "INSERT INTO items SELECT i,'item '||i,i FROM n WHERE true "
                        "ON CONFLICT(id) DO UPDATE SET name = name || '+'",
                        first, last);
}

static void three_end(struct three *three)
{
    sidecar_stop(&three->shop);
    if (process_running(three->billing.process))
        sidecar_stop(&three->billing);
    sidecar_stop(&three->shipping);
}

static void expect(const struct process_result *result, const char *service, const char *text)
{
    const char *found = verify_copy(result, "item", service);
    if (strstr(found, text) != found)
        test_fail("%s: \"%s\" instead of \"%s\"", service, found, text);
}

static void expect_code(const struct process_result *result, int code)
{
    if (result->exit_code != code)
        test_fail("exit code %d instead of %d: %s%s", result->exit_code, code, result->output,
                  result->errors);
}

/* What a stopped agent has not applied is named. Too much of it is a reason. Once the log is
 * trimmed, nobody knows what has changed. */
static void a_copy_whose_agent_is_stopped_is_compared_as_far_as_the_log_tells(void **state)
{
    (void)state;
    struct three three;
    three_begin(&three);
    three_write(&three, 1, 10);
    sidecar_assert_equal(&three.shop, &three.billing, "items", 20000);
    sidecar_assert_equal(&three.shop, &three.shipping, "items", 20000);
    sidecar_expect_published(&three.shop);
    struct process_result result = VERIFY(three.all, "--json");
    expect_code(&result, EX_OK);
    sidecar_stop(&three.billing);
    three_write(&three, 3, 4);
    sidecar_assert_equal(&three.shop, &three.shipping, "items", 20000);
    sidecar_expect_published(&three.shop);
    (void)sqlite_text(three.billing.database, "UPDATE items SET amount = 77 WHERE id IN (4, 5)");
    result = VERIFY(three.all, "--json");
    expect_code(&result, EX_DATAERR);
    expect(&result, "billing", "different: {\"id\":5} differs");
    expect(&result, "shipping", "equal");
    assert_string_equal(verify_left(&result, "item"),
                        "{\"id\":3} changing at billing, {\"id\":4} changing at billing");
    result = VERIFY(three.all, "--json", "--set", "limits.behind_records=1");
    expect_code(&result, EX_TEMPFAIL);
    expect(&result, "billing", "not compared: 2 records behind");
    expect(&result, "shipping", "equal");
    kafka_trim(three.kafka, sidecar_topic("item"), 0, 11);
    result = VERIFY(three.all, "--json");
    expect_code(&result, EX_TEMPFAIL);
    expect(&result, "billing",
           test_format("not compared: the log of %s [0] begins at 11, after "
                       "the position 10 of billing",
                       sidecar_topic("item")));
    expect(&result, "shipping", "equal");
    three_end(&three);
}

/* The relay is down: what waits is named, and compared once it is published. */
static void changes_that_wait_in_an_outbox_are_left_out(void **state)
{
    (void)state;
    struct three three;
    three_begin(&three);
    three_write(&three, 1, 5);
    sidecar_assert_equal(&three.shop, &three.billing, "items", 20000);
    sidecar_assert_equal(&three.shop, &three.shipping, "items", 20000);
    sidecar_expect_published(&three.shop);
    sidecar_stop(&three.shop);
    three_write(&three, 5, 7);
    struct process_result result = VERIFY(three.all, "--json");
    expect_code(&result, EX_TEMPFAIL);
    expect(&result, "billing", "equal");
    assert_string_equal(verify_left(&result, "item"),
                        "{\"id\":5} waiting at shop, {\"id\":6} waiting at shop, "
                        "{\"id\":7} waiting at shop");
    result = VERIFY(three.all, "--json", "--set", "limits.open_entities=2");
    expect_code(&result, EX_TEMPFAIL);
    expect(&result, "billing", "not compared: shop: too many changes wait");
    sidecar_start(&three.shop, NULL);
    sidecar_assert_equal(&three.shop, &three.billing, "items", 20000);
    sidecar_assert_equal(&three.shop, &three.shipping, "items", 20000);
    sidecar_expect_published(&three.shop);
    result = VERIFY(three.all, "--json");
    expect_code(&result, EX_OK);
    three_end(&three);
}

/* Interleaving 6. Relay and agent are down, and what waits is more than may be left out, or not.
 * TEST_VERIFY_BACKLOG is how much that is. */
static void a_backlog_keeps_no_comparison_from_its_end(void **state)
{
    (void)state;
    struct three three;
    int backlog = load_number("TEST_VERIFY_BACKLOG", BACKLOG);
    const char *allowed = test_format("limits.open_entities=%d", backlog);
    const char *refused = test_format("limits.open_entities=%d", backlog - 1);
    three_begin(&three);
    three_write(&three, 1, 5);
    sidecar_assert_equal(&three.shop, &three.billing, "items", 20000);
    sidecar_assert_equal(&three.shop, &three.shipping, "items", 20000);
    sidecar_expect_published(&three.shop);
    sidecar_stop(&three.shop);
    sidecar_stop(&three.billing);
    three_write(&three, 6, 5 + backlog);
    (void)sqlite_text(three.billing.database, "UPDATE items SET amount = 77 WHERE id = 4");
    struct process_result result = VERIFY(three.all, "--json", "--set", refused);
    expect_code(&result, EX_TEMPFAIL);
    expect(&result, "billing", "not compared: shop: too many changes wait");
    expect(&result, "shipping", "not compared: shop: too many changes wait");
    result = VERIFY(three.all, "--json", "--set", allowed);
    expect_code(&result, EX_DATAERR);
    expect(&result, "billing", "different: {\"id\":4} differs");
    expect(&result, "shipping", "equal");
    sidecar_start(&three.shop, NULL); /* it works the backlog off meanwhile */
    do {
        result = VERIFY(three.all, "--json", "--set", allowed, "--set",
                        test_format("limits.behind_records=%d", backlog / 2));
        assert_null(strstr(verify_copy(&result, "item", "billing"), " missing"));
        assert_null(strstr(verify_copy(&result, "item", "shipping"), "different"));
    } while (strstr(verify_copy(&result, "item", "billing"), " records behind") == NULL);
    sidecar_start(&three.billing, NULL);
    const struct sidecar *const publisher[] = {&three.shop, NULL};
    const struct sidecar *const copies[] = {&three.billing, &three.shipping, NULL};
    load_settle(three.kafka, "item", publisher, copies, 300000);
    result = VERIFY(three.all, "--json");
    expect_code(&result, EX_DATAERR);
    expect(&result, "billing", "different: {\"id\":4} differs");
    expect(&result, "shipping", "equal");
    three_end(&three);
}

/* A service that refuses a row parks it; the other copies of that row are compared. Once the record
 * is skipped, its row is missing. */
static void an_event_parked_at_one_copy_is_named(void **state)
{
    (void)state;
    struct three three;
    three_begin(&three);
    (void)sqlite_text(three.billing.database,
                      "CREATE TRIGGER refuse BEFORE INSERT ON items WHEN NEW.id = 3 "
                      "BEGIN SELECT RAISE(ABORT, 'refused'); END");
    three_write(&three, 1, 4);
    sidecar_assert_equal(&three.shop, &three.shipping, "items", 20000);
    sidecar_expect(&three.billing, "SELECT count(*) FROM keepstep_parked", "1\n");
    sidecar_expect(&three.billing, "SELECT count(*) FROM items", "3\n");
    sidecar_expect_published(&three.shop);
    (void)sqlite_text(three.shipping.database, "UPDATE items SET amount = 77 WHERE id = 3");
    struct process_result result = VERIFY(three.all, "--json");
    expect_code(&result, EX_DATAERR);
    expect(&result, "billing", "equal");
    expect(&result, "shipping", "different: {\"id\":3} differs");
    assert_string_equal(verify_left(&result, "item"), "{\"id\":3} parked at billing");
    result = sidecar_run(&three.billing, "parked", "skip", "1");
    expect_code(&result, EX_OK);
    result = VERIFY(three.all, "--json");
    expect_code(&result, EX_DATAERR);
    expect(&result, "billing", "different: {\"id\":3} missing");
    three_end(&three);
}

/* Another configuration of a service, with other columns: verify reads nothing else of it. */
static struct sidecar with_columns(const struct sidecar *sidecar, const char *properties)
{
    struct sidecar other = *sidecar;
    const char *config = test_read_file(sidecar->config);
    other.config = test_path("%s-other.yaml", sidecar->name);
    (void)PROCESS_RUN("mkdir", "-p", test_path("%s-schemas", sidecar->name));
    test_write_file(other.config, test_format("schemas: %s-schemas\n%s", sidecar->name, config));
    test_write_file(test_path("%s-schemas/item.schema.json", sidecar->name),
                    test_format("{\"$schema\":\"http://json-schema.org/draft-07/schema#\","
                                "\"type\":\"object\",\"x-keepstep-key\":[\"id\"],\"properties\":{"
                                "\"id\":{\"type\":\"integer\",\"x-keepstep-type\":\"integer\"},%s},"
                                "\"required\":[\"id\"]}",
                                properties));
    return other;
}

#define NAME   "\"name\":{\"type\":\"string\",\"x-keepstep-type\":\"text\"}"
#define AMOUNT "\"amount\":{\"type\":[\"integer\",\"null\"],\"x-keepstep-type\":\"integer\"}"
#define EXTRA  "\"extra\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"text\"}"

static void columns_of_the_reference_are_compared(void **state)
{
    (void)state;
    struct three three;
    three_begin(&three);
    three_write(&three, 1, 4);
    sidecar_assert_equal(&three.shop, &three.billing, "items", 20000);
    sidecar_assert_equal(&three.shop, &three.shipping, "items", 20000);
    sidecar_expect_published(&three.shop);
    (void)sqlite_text(three.shipping.database, "ALTER TABLE items ADD COLUMN extra TEXT");
    (void)sqlite_text(three.shipping.database, "UPDATE items SET extra = 'x'");
    struct sidecar fewer = with_columns(&three.billing, NAME);
    struct sidecar more = with_columns(&three.shipping, EXTRA "," AMOUNT "," NAME);
    const struct sidecar *const others[] = {&three.shop, &fewer, &more, NULL};
    struct process_result result = VERIFY(others, "--json");
    expect_code(&result, EX_TEMPFAIL);
    expect(&result, "billing", "not compared: the schema of \"item\" has no column \"amount\"");
    expect(&result, "shipping", "equal");
    struct sidecar lacking = with_columns(&three.billing, EXTRA "," AMOUNT "," NAME);
    const struct sidecar *const lacks[] = {&three.shop, &lacking, NULL};
    result = VERIFY(lacks, "--json");
    expect_code(&result, EX_TEMPFAIL);
    expect(&result, "billing", "not compared: ");
    assert_non_null(strstr(verify_copy(&result, "item", "billing"), "extra"));
    three_end(&three);
}

#define FOLDED  "apply:\n  item: {table: items, topic: folded, format: debezium, partitions: 1}\n"
#define FOREIGN "apply:\n  item: {table: items, topic: foreign, format: debezium, partitions: 1}\n"

/* Rule 35 of a topic without a publisher: copies are compared by their offsets. */
static void copies_of_a_debezium_topic_are_compared(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    kafka_create_topic(kafka, "foreign", 1, NULL);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, FOREIGN);
    struct sidecar shipping = sidecar_make(kafka, "shipping", NULL, FOREIGN);
    const struct sidecar *const all[] = {&shipping, &billing, NULL};
    sidecar_begin(&billing);
    sidecar_begin(&shipping);
    for (int id = 1; id <= 4; id++)
        (void)kafka_produce(kafka, "foreign", 0, test_format("{\"id\":%d}", id),
                            test_format("{\"op\":\"c\",\"before\":null,\"after\":{\"id\":%d,"
                                        "\"name\":\"n\",\"amount\":1}}",
                                        id),
                            NULL);
    sidecar_expect(&billing, "SELECT count(*) FROM items", "4\n");
    sidecar_expect(&shipping, "SELECT count(*) FROM items", "4\n");
    struct process_result result = VERIFY(all, "--json");
    expect_code(&result, EX_OK);
    expect(&result, "shipping", "equal");
    sidecar_stop(&billing);
    (void)kafka_produce(kafka, "foreign", 0, "{\"id\":2}", NULL, NULL);
    (void)kafka_produce(kafka, "foreign", 0, "{\"id\":3}",
                        "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":3,"
                        "\"name\":\"__debezium_unavailable_value\",\"amount\":2}}",
                        NULL);
    sidecar_expect(&shipping, "SELECT id, name, amount FROM items ORDER BY id",
                   "1|n|1\n3|n|2\n4|n|1\n");
    (void)sqlite_text(billing.database, "UPDATE items SET amount = 77 WHERE id IN (3, 4)");
    result = VERIFY(all, "--json");
    expect_code(&result, EX_DATAERR);
    expect(&result, "shipping", "different: {\"id\":4} differs");
    assert_string_equal(verify_left(&result, "item"),
                        "{\"id\":2} changing at billing, {\"id\":3} changing at billing");
    sidecar_stop(&shipping);
}

static int64_t first_gap; /* the first offset that is missing; -1: none */

static void note_gap(const struct kafka_record *record, void *context)
{
    int64_t *next = context;
    if (record->offset < *next)
        return;
    if (first_gap < 0 && record->offset > *next)
        first_gap = *next;
    *next = record->offset + 1;
}

static void produce_item(struct kafka *kafka, int id, int amount)
{
    (void)kafka_produce(kafka, "folded", 0, test_format("{\"id\":%d}", id),
                        test_format("{\"op\":\"u\",\"before\":null,\"after\":{\"id\":%d,"
                                    "\"name\":\"n\",\"amount\":%d}}",
                                    id, amount),
                        NULL);
}

/* The change that one copy has and the other has not is gone from the log, because a third one that
 * neither has came later. */
static void what_was_compacted_away_between_two_copies_is_no_difference(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    kafka_create_topic(kafka, "folded", 1,
                       "cleanup.policy=compact;segment.ms=100;min.cleanable.dirty.ratio=0.001;"
                       "max.compaction.lag.ms=200");
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, FOLDED);
    struct sidecar shipping = sidecar_make(kafka, "shipping", NULL, FOLDED);
    const struct sidecar *const all[] = {&shipping, &billing, NULL};
    sidecar_begin(&billing);
    sidecar_begin(&shipping);
    for (int id = 1; id <= 3; id++)
        produce_item(kafka, id, 1);
    sidecar_expect(&billing, "SELECT count(*) FROM items", "3\n");
    sidecar_stop(&billing);
    produce_item(kafka, 2, 2); /* at the offset 3 */
    produce_item(kafka, 4, 4);
    sidecar_expect(&shipping, "SELECT count(*) FROM items", "4\n");
    sidecar_stop(&shipping);
    produce_item(kafka, 2, 5);
    for (int i = 0; i < 600 && first_gap != 3; i++) {
        int64_t next = 3;
        produce_item(kafka, 9, i); /* a newer segment */
        clock_sleep_us(100000);
        first_gap = -1;
        (void)kafka_consume_all(kafka, "folded", note_gap, &next);
    }
    assert_int_equal(first_gap, 3);
    (void)sqlite_text(billing.database, "UPDATE items SET amount = 77 WHERE id = 3");
    struct process_result result = VERIFY(all, "--json");
    expect_code(&result, EX_DATAERR);
    expect(&result, "shipping", "different: {\"id\":3} differs");
    assert_non_null(strstr(verify_left(&result, "item"), "{\"id\":2} changing at billing"));
}

/* A copy that began in the middle has never read what stood before. */
static void a_copy_that_began_in_the_middle_is_not_compared(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH);
    struct sidecar billing = sidecar_make(
        kafka, "billing", NULL, "apply:\n  item: {table: items, partitions: 1, start: latest}\n");
    const struct sidecar *const all[] = {&shop, &billing, NULL};
    sidecar_begin(&shop);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES (1, 'before', 1)");
    sidecar_expect(&shop, "SELECT sum(acknowledged_sequence) FROM keepstep_relay_partition", "1\n");
    sidecar_init(&billing, NULL);
    struct process_result result = VERIFY(all, "--json");
    expect_code(&result, EX_TEMPFAIL);
    expect(&result, "billing", "not compared: it has not read");
    sidecar_start(&billing, NULL);
    sidecar_expect(&billing, "SELECT count(*) FROM keepstep_position", "1\n");
    result = VERIFY(all, "--json");
    expect_code(&result, EX_TEMPFAIL);
    expect(&result, "billing", "not compared: ");
    assert_non_null(strstr(verify_copy(&result, "item", "billing"), "began in the middle"));
    sidecar_stop(&billing);
    sidecar_stop(&shop);
}

/* Both ways: the rows that are not published yet are no rows too many. */
static void a_copy_that_has_published_half_of_its_rows_is_not_compared(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH APPLY);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY);
    const struct sidecar *const all[] = {&billing, &shop, NULL};
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES (1, 'a', 1), (2, 'b', 2)");
    sidecar_begin(&shop);
    sidecar_begin(&billing);
    sidecar_init(&shop, "--existing-rows");
    sidecar_expect(&billing, "SELECT count(*) FROM items", "2\n");
    struct process_result result = VERIFY(all, "--json", "--from", "billing");
    expect(&result, "shop", "equal");
    (void)sqlite_text(shop.database, "UPDATE keepstep_existing SET rows = 1, done = 0;"
                                     "INSERT INTO keepstep_applying VALUES ('items');"
                                     "INSERT INTO items VALUES (3, 'c', 3);"
                                     "DELETE FROM keepstep_applying");
    result = VERIFY(all, "--json", "--from", "billing");
    expect_code(&result, EX_TEMPFAIL);
    expect(&result, "shop", "not compared: its existing rows are not all published yet");
    sidecar_stop(&billing);
    sidecar_stop(&shop);
}

/* It would be compared with another reference than the one that was asked for. */
static void types_of_which_the_reference_has_no_rows_are_named(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL EXTRA_DDL,
                                       "publish:\n  item: {table: items, partitions: 1}\n"
                                       "  extra: {table: extras, partitions: 1}\n");
    sidecar_init(&shop, NULL);
    struct sidecar billing = sidecar_make(kafka, "billing", EXTRA_DDL,
                                          APPLY "  extra: {table: extras}\n");
    struct sidecar ware = sidecar_make(kafka, "ware", NULL, APPLY);
    const struct sidecar *const all[] = {&shop, &billing, &ware, NULL};
    sidecar_init(&billing, NULL);
    sidecar_init(&ware, NULL);
    struct process_result result = VERIFY(all, "--json", "--from", "ware");
    if (strstr(result.errors, "not compared, because ware has no rows of it: extra\n") == NULL ||
        strstr(result.output, "\"entity_type\":\"item\"") == NULL ||
        strstr(result.output, "\"entity_type\":\"extra\"") != NULL)
        test_fail("%d: %s%s", result.exit_code, result.output, result.errors);
    result = VERIFY(all, "--json", "--from", "billing");
    if (strstr(result.errors, "not compared, because") != NULL ||
        strstr(result.output, "\"entity_type\":\"extra\"") == NULL)
        test_fail("%d: %s%s", result.exit_code, result.output, result.errors);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY);
    struct sidecar same = shop;
    same.config = test_path("same.yaml");
    test_write_file(same.config, test_format("service: other\n%s",
                                             strchr(test_read_file(shop.config), '\n') + 1));
    const struct sidecar *const one[] = {&shop, NULL};
    const struct sidecar *const both[] = {&shop, &billing, NULL};
    const struct sidecar *const twice[] = {&shop, &billing, &billing, NULL};
    const struct sidecar *const itself[] = {&shop, &same, NULL};
    const struct {
        const struct sidecar *const *services;
        const char *words[3];
        int code;
        const char *error;
    } cases[] = {
        {one, {"item"}, EX_CONFIG, "no sidecar with this `control_topic` has run yet"},
        {both, {"order"}, EX_CONFIG, "order: none of these services has rows of it"},
        {both, {"--from", "ware"}, EX_CONFIG, "--from ware: none of these services"},
        {both, {"--every", "soon"}, EX_USAGE, "--every wants a number"},
        {twice, {"item"}, EX_CONFIG, "are both of service billing"},
        {itself, {"item"}, EX_CONFIG, "name the same database"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const words[] = {cases[i].words[0], cases[i].words[1], NULL};
        struct process_result result = verify_run(cases[i].services, words, 30000);
        expect_code(&result, cases[i].code);
        if (strstr(result.errors, cases[i].error) == NULL)
            test_fail("\"%s\" instead of \"%s\"", result.errors, cases[i].error);
    }
}

/* The environment is meant for one service. If it named the other's database too, a copy would be
 * compared with itself. */
static void the_environment_is_not_the_other_services(void **state)
{
    (void)state;
    struct three three;
    three_begin(&three);
    three_write(&three, 1, 4);
    sidecar_assert_equal(&three.shop, &three.billing, "items", 20000);
    sidecar_expect_published(&three.shop);
    (void)sqlite_text(three.billing.database, "UPDATE items SET amount = 77 WHERE id = 3");
    const char *const argv[] = {KEEPSTEP_BINARY,      "verify", "-c", three.shop.config, "--with",
                                three.billing.config, "--json", NULL};
    const char *const environment[] = {
        test_format("KEEPSTEP_DATABASE=sqlite:%s", three.shop.database), NULL};
    struct process_result result = process_run(argv, environment, 30000);
    expect_code(&result, EX_DATAERR);
    expect(&result, "billing", "different: {\"id\":3} differs");
    three_end(&three);
}

static void with_every_it_goes_on_until_it_is_stopped(void **state)
{
    (void)state;
    struct three three;
    three_begin(&three);
    three_write(&three, 1, 2);
    sidecar_assert_equal(&three.shop, &three.billing, "items", 20000);
    sidecar_expect_published(&three.shop);
    const char *const argv[] = {KEEPSTEP_BINARY,      "verify",  "-c", three.shop.config, "--with",
                                three.billing.config, "--every", "1",  "--json",          NULL};
    struct process *process = process_start("verify", argv, NULL);
    if (!process_wait_for(process, "\"equal\"(.|\n)*\"equal\"(.|\n)*\"equal\"", 30000))
        test_fail("%s%s", process_output(process), process_errors(process));
    assert_int_equal(process_stop(process, 10000), EX_OK);
    three_end(&three);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_copy_whose_agent_is_stopped_is_compared_as_far_as_the_log_tells, 120),
        TEST_WITH_LIMIT(a_backlog_keeps_no_comparison_from_its_end, 400),
        TEST_WITH_LIMIT(changes_that_wait_in_an_outbox_are_left_out, 120),
        TEST_WITH_LIMIT(an_event_parked_at_one_copy_is_named, 120),
        TEST_WITH_LIMIT(columns_of_the_reference_are_compared, 120),
        TEST_WITH_LIMIT(copies_of_a_debezium_topic_are_compared, 120),
        TEST_WITH_LIMIT(what_was_compacted_away_between_two_copies_is_no_difference, 180),
        TEST_WITH_LIMIT(a_copy_that_began_in_the_middle_is_not_compared, 120),
        TEST_WITH_LIMIT(a_copy_that_has_published_half_of_its_rows_is_not_compared, 90),
        TEST_WITH_LIMIT(types_of_which_the_reference_has_no_rows_are_named, 120),
        TEST_WITH_LIMIT(what_makes_no_sense_is_refused, 120),
        TEST_WITH_LIMIT(the_environment_is_not_the_other_services, 120),
        TEST_WITH_LIMIT(with_every_it_goes_on_until_it_is_stopped, 120),
    };
    return TEST_RUN(tests);
}
