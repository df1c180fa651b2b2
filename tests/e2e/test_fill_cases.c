/* What `keepstep fill` does with changes on their way, with a log that was cut, with keys and late
 * duplicates, and what it refuses. labels: early */
#include "tests/support/fill.h"
#include "tests/support/load.h"
#include "tests/support/verify.h"

#include <signal.h>
#include <stdio.h>
#include <sysexits.h>

#define PUBLISH "publish:\n  item: {table: items, partitions: 1}\n"
/* The agent does not fill by itself. */
#define APPLY "apply:\n  item: {table: items, partitions: 1, fill: never}\n"

/** A publisher, and copies of its rows. */
struct shop {
    struct kafka *kafka;
    struct sidecar shop;
    struct sidecar billing;
    struct sidecar shipping;
};

static void shop_begin(struct shop *shop)
{
    *shop = (struct shop){.kafka = kafka_start()};
    shop->shop = sidecar_make(shop->kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH);
    shop->billing = sidecar_make(shop->kafka, "billing", NULL, APPLY);
    shop->shipping = sidecar_make(shop->kafka, "shipping", NULL, APPLY);
    sidecar_begin(&shop->shop);
    sidecar_init(&shop->billing, NULL);
    sidecar_init(&shop->shipping, NULL);
}

static void run_sql(const struct sidecar *service, const char *sql)
{
    (void)sqlite_text(service->database, sql);
}

static void write_items(const struct shop *shop, int first, int last)
{
    run_sql(&shop->shop, test_format("WITH n(i) AS (SELECT %d UNION ALL SELECT i+1 FROM n WHERE "
                                     "i<%d) INSERT INTO items SELECT i,'item '||i,i FROM n",
                                     first, last));
}

static void assert_verified(const struct shop *shop, const struct sidecar *first,
                            const struct sidecar *second)
{
    const struct sidecar *const all[] = {&shop->shop, first, second, NULL};
    struct process_result result = VERIFY(all, "--json");
    if (result.exit_code != EX_OK || verify_count(&result, "equal") != (second == NULL ? 1 : 2))
        test_fail("exit code %d: %s%s", result.exit_code, result.output, result.errors);
}

/* The copies have all of the log, and verify agrees. */
static void assert_equal(const struct shop *shop, const struct sidecar *first,
                         const struct sidecar *second)
{
    const struct sidecar *const publisher[] = {&shop->shop, NULL};
    const struct sidecar *const copies[] = {first, second, NULL};
    load_settle(shop->kafka, "item", publisher, copies, 30000);
    assert_verified(shop, first, second);
}

static void expect_refused(const struct process_result *result, int code, const char *words)
{
    if (result->exit_code != code || strstr(result->errors, words) == NULL)
        test_fail("exit code %d instead of %d with \"%s\": %s%s", result->exit_code, code, words,
                  result->output, result->errors);
}

/* The relay stands still with claimed rows, others wait, and others come after the snapshot. The
 * copy is complete only behind all that the snapshot saw. */
static void changes_on_their_way_are_in_the_log_before_the_copy_is_complete(void **state)
{
    (void)state;
    struct shop shop;
    shop_begin(&shop);
    write_items(&shop, 1, 30);
    sidecar_expect_published(&shop.shop);
    sidecar_stop(&shop.shop);
    sidecar_start(&shop.shop, "relay_after_claim:stop");
    run_sql(&shop.shop, "UPDATE items SET amount = 77 WHERE id <= 5");
    assert_true(process_wait_stopped(shop.shop.process, 20000));
    run_sql(&shop.shop,
            "DELETE FROM items WHERE id = 6; INSERT INTO items VALUES (31, 'new', 1); "
            "INSERT INTO items VALUES (32, 'short', 1); DELETE FROM items WHERE id = 32; "
            "UPDATE items SET id = 70 WHERE id = 7");
    struct process *fill = fill_start(&shop.billing, &shop.shop, "item", NULL);
    assert_true(process_wait_for(fill, "waiting for the relay of shop", 20000));
    run_sql(&shop.shop, "DELETE FROM items WHERE id = 8; INSERT INTO items VALUES (33, 'x', 1); "
                        "DELETE FROM items WHERE id = 33; UPDATE items SET id = 90 WHERE id = 9");
    assert_int_equal(process_wait(fill, 300), -1);
    assert_int_equal(sqlite_number(shop.billing.database,
                                   "SELECT count(*) FROM keepstep_position WHERE filled_to > 0"),
                     0);
    process_signal(shop.shop.process, SIGCONT);
    fill_wait_end(fill);
    print_message("%s", process_output(fill));
    sidecar_start(&shop.billing, NULL);
    assert_equal(&shop, &shop.billing, NULL);
    assert_int_equal(
        sqlite_number(shop.billing.database, "SELECT filled_to > 30 FROM keepstep_position"), 1);
    sidecar_stop(&shop.billing);
    sidecar_stop(&shop.shop);
}

/* The relay is killed while the fill waits for what the snapshot saw: with a number, in the log but
 * not acknowledged, and behind the acknowledgement. The next one brings it to its end. */
static void a_relay_that_is_killed_while_a_fill_waits_for_it_loses_nothing(void **state)
{
    static const char *const points[] = {"relay_after_claim", "relay_after_publish",
                                         "relay_after_acknowledge"};
    (void)state;
    struct shop shop;
    shop_begin(&shop);
    write_items(&shop, 1, 30);
    sidecar_expect_published(&shop.shop);
    for (int i = 0; i < (int)(sizeof points / sizeof *points); i++) {
        struct sidecar copy = sidecar_make(shop.kafka, test_format("copy%d", i), NULL, APPLY);
        sidecar_init(&copy, NULL);
        sidecar_stop(&shop.shop);
        run_sql(&shop.shop,
                test_format("UPDATE items SET amount = %d WHERE id < 9; DELETE FROM items WHERE "
                            "id = %d",
                            i, 10 + i));
        struct process *fill = fill_start(&copy, &shop.shop, "item", NULL);
        assert_true(process_wait_for(fill, "waiting for the relay of shop", 20000));
        sidecar_start(&shop.shop, points[i]);
        assert_int_equal(process_wait(shop.shop.process, 20000), 137);
        run_sql(&shop.shop, test_format("UPDATE items SET amount = %d WHERE id < 5", 100 + i));
        sidecar_start(&shop.shop, NULL);
        fill_wait_end(fill);
        sidecar_start(&copy, NULL);
        assert_equal(&shop, &copy, NULL);
        sidecar_stop(&copy);
    }
    sidecar_stop(&shop.shop);
}

static const char sparse[] =
    "INSERT INTO outbox(aggregatetype, aggregateid, type, payload) VALUES ('item', '%d', "
    "'item.updated', '{\"op\":\"u\",\"before\":null,\"after\":{\"id\":%d,\"amount\":%d}}')";

/* The row is gone in the snapshot, and an update of it stands in the log above the stamp. */
static void an_update_of_a_row_that_is_gone_is_passed_below_filled_to_and_held_above(void **state)
{
    (void)state;
    struct shop shop;
    shop_begin(&shop);
    write_items(&shop, 1, 5);
    sidecar_expect_published(&shop.shop);
    sidecar_stop(&shop.shop);
    run_sql(&shop.shop, test_format(sparse, 3, 3, 9));
    run_sql(&shop.shop, "DELETE FROM items WHERE id = 3");
    struct process *fill = fill_start(&shop.billing, &shop.shop, "item", NULL);
    assert_true(process_wait_for(fill, "waiting for the relay of shop", 20000));
    sidecar_start(&shop.shop, NULL);
    fill_wait_end(fill);
    sidecar_start(&shop.billing, NULL);
    assert_equal(&shop, &shop.billing, NULL);
    run_sql(&shop.shop, test_format(sparse, 99, 99, 9));
    sidecar_expect(&shop.billing, "SELECT count(*) FROM keepstep_parked", "1\n");
    sidecar_stop(&shop.billing);
    sidecar_stop(&shop.shop);
}

/* A record as it stands in the log. */
struct kept_record {
    int64_t wanted;
    char key[64];
    char value[512];
    char headers[1024];
};

static void keep_record(const struct kafka_record *record, void *context)
{
    struct kept_record *kept = context;
    if (record->offset != kept->wanted)
        return;
    (void)snprintf(kept->key, sizeof kept->key, "%.*s", SLICE_ARGS(record->key));
    (void)snprintf(kept->value, sizeof kept->value, "%.*s", SLICE_ARGS(record->value));
    (void)snprintf(kept->headers, sizeof kept->headers, "%s", record->headers);
}

/* What a fenced relay does: a record comes once more. */
static void publish_again(struct kafka *kafka, int64_t offset)
{
    struct kept_record kept = {.wanted = offset};
    const char *headers[64] = {NULL};
    size_t count = 0;
    (void)kafka_consume_all(kafka, sidecar_topic("item"), keep_record, &kept);
    char *rest = NULL;
    for (char *line = strtok_r(kept.headers, "\n", &rest); line != NULL && count < 62;
         line = strtok_r(NULL, "\n", &rest)) {
        char *value = strchr(line, '=');
        assert_non_null(value);
        *value = '\0';
        headers[count++] = line;
        headers[count++] = value + 1;
    }
    (void)kafka_produce(kafka, sidecar_topic("item"), 0, kept.key, kept.value, headers);
}

/* Below the base of the copy's range, and within it. */
static void late_duplicates_change_nothing_at_a_filled_copy(void **state)
{
    (void)state;
    struct shop shop;
    shop_begin(&shop);
    write_items(&shop, 1, 5);
    run_sql(&shop.shop, "UPDATE items SET amount = 50 WHERE id = 2");
    sidecar_expect_published(&shop.shop);
    (void)FILL_OK(&shop.billing, &shop.shop, "item");
    sidecar_start(&shop.billing, NULL);
    run_sql(&shop.shop, "UPDATE items SET amount = 60 WHERE id = 2");
    assert_equal(&shop, &shop.billing, NULL);
    sidecar_stop(&shop.billing);
    (void)FILL_OK(&shop.shipping, &shop.billing, "item");
    publish_again(shop.kafka, 1);
    publish_again(shop.kafka, 5);
    publish_again(shop.kafka, 6);
    sidecar_start(&shop.billing, NULL);
    sidecar_start(&shop.shipping, NULL);
    run_sql(&shop.shop, "UPDATE items SET amount = 70 WHERE id = 3");
    assert_equal(&shop, &shop.billing, &shop.shipping);
    sidecar_stop(&shop.billing);
    sidecar_stop(&shop.shipping);
    sidecar_stop(&shop.shop);
}

static void expect_items(const struct sidecar *service, const char *rows)
{
    sidecar_expect(service, "SELECT * FROM items ORDER BY id", rows);
}

/* Nobody publishes the type here: another program does. Its keys go along with the rows. */
static void an_event_that_is_published_again_is_known_at_a_filled_copy(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY);
    struct sidecar shipping = sidecar_make(kafka, "shipping", NULL, APPLY);
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    sidecar_begin(&billing);
    sidecar_init(&shipping, NULL);
    sidecar_produce(kafka, "k1", "item.created", 1, "{\"id\":1,\"name\":\"a\",\"amount\":1}");
    sidecar_produce(kafka, "k2", "item.created", 1, "{\"id\":1,\"name\":\"a\",\"amount\":2}");
    expect_items(&billing, "1|a|2\n");
    sidecar_stop(&billing);
    struct process_result result = FILL_OK(&shipping, &billing, "item");
    assert_int_equal(fill_number(&result, "rows"), 1);
    assert_int_equal(fill_number(&result, "keys"), 2);
    sidecar_produce(kafka, "k1", "item.created", 1, "{\"id\":1,\"name\":\"a\",\"amount\":1}");
    sidecar_produce(kafka, "k3", "item.created", 2, "{\"id\":2,\"name\":\"b\",\"amount\":3}");
    sidecar_start(&shipping, NULL);
    sidecar_start(&billing, NULL);
    expect_items(&shipping, "1|a|2\n2|b|3\n");
    expect_items(&billing, "1|a|2\n2|b|3\n");
    struct process_result verified = VERIFY(
        ((const struct sidecar *const[]){&billing, &shipping, NULL}), "--json");
    if (verified.exit_code != EX_OK)
        test_fail("%s%s", verified.output, verified.errors);
    sidecar_stop(&shipping);
    sidecar_stop(&billing);
}

/* Retention has taken the first records. The agent says what to do, and that helps: at a new copy,
 * and at one that was stopped for too long. */
static void a_copy_whose_log_was_cut_is_filled(void **state)
{
    (void)state;
    struct shop shop;
    shop_begin(&shop);
    write_items(&shop, 1, 10);
    sidecar_expect_published(&shop.shop);
    sidecar_start(&shop.shipping, NULL);
    assert_equal(&shop, &shop.shipping, NULL);
    sidecar_stop(&shop.shipping);
    run_sql(&shop.shop, "DELETE FROM items WHERE id = 5; UPDATE items SET amount = 0 WHERE id = 6");
    sidecar_expect_published(&shop.shop);
    kafka_trim(shop.kafka, sidecar_topic("item"), 0, 12);
    const char *command = test_format("%%keepstep fill %s%%", sidecar_topic("item"));
    sidecar_start(&shop.billing, NULL);
    sidecar_start(&shop.shipping, NULL);
    const char *sql = test_format("SELECT stopped LIKE '%s' FROM keepstep_position", command);
    sidecar_expect(&shop.billing, sql, "1\n");
    sidecar_expect(&shop.shipping, sql, "1\n");
    struct process_result result = FILL(&shop.billing, &shop.shop, "item");
    expect_refused(&result, EX_TEMPFAIL, "the agent of billing is running");
    sidecar_stop(&shop.billing);
    sidecar_stop(&shop.shipping);
    (void)FILL_OK(&shop.billing, &shop.shop, sidecar_topic("item")); /* by the topic's name */
    result = FILL(&shop.shipping, &shop.shop, "item");
    expect_refused(&result, EX_CONFIG, "--again");
    result = FILL_OK(&shop.shipping, &shop.shop, "item", "--again");
    assert_int_equal(fill_number(&result, "cleared"), 10);
    assert_int_equal(fill_number(&result, "rows"), 9);
    sidecar_start(&shop.billing, NULL);
    sidecar_start(&shop.shipping, NULL);
    write_items(&shop, 11, 12);
    sidecar_assert_equal(&shop.shop, &shop.billing, "items", 20000);
    sidecar_assert_equal(&shop.shop, &shop.shipping, "items", 20000);
    sidecar_expect_published(&shop.shop);
    assert_verified(&shop, &shop.billing, &shop.shipping);
    sidecar_stop(&shop.billing);
    sidecar_stop(&shop.shipping);
    sidecar_stop(&shop.shop);
}

/* Another program's transaction withholds what stands behind its first record. The copy is filled
 * up to there, and reads on when that has ended. */
static void a_copy_that_was_filled_behind_an_open_transaction_waits_for_its_end(void **state)
{
    static const char theirs[] = "{\"id\":50,\"name\":\"theirs\",\"amount\":1}";
    (void)state;
    struct shop shop;
    shop_begin(&shop);
    write_items(&shop, 1, 3);
    sidecar_expect_published(&shop.shop);
    (void)kafka_open_transaction(
        shop.kafka, sidecar_topic("item"), "{\"id\":50}",
        test_format("{\"op\":\"c\",\"before\":null,\"after\":%s}", theirs));
    write_items(&shop, 4, 6);
    sidecar_expect_published(&shop.shop);
    (void)FILL_OK(&shop.billing, &shop.shop, "item");
    sidecar_start(&shop.billing, NULL);
    assert_true(process_wait_for(shop.billing.process, "goes on at 7 of 3", 20000));
    kafka_end_transaction(shop.kafka, false);
    write_items(&shop, 7, 8);
    sidecar_assert_equal(&shop.shop, &shop.billing, "items", 20000);
    sidecar_expect(&shop.billing, "SELECT next_offset > 8, stopped FROM keepstep_position", "1|\n");
    sidecar_stop(&shop.billing);
    sidecar_stop(&shop.shop);
}

/* The source is named when it cannot be one; nothing is changed then. */
static void a_fill_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    struct shop shop;
    shop_begin(&shop);
    write_items(&shop, 1, 3);
    sidecar_expect_published(&shop.shop);
    struct process_result result = FILL(&shop.billing, &shop.shop, "note");
    expect_refused(&result, EX_CONFIG, "applies no type and no topic note");
    result = FILL(&shop.billing, &shop.billing, "item");
    expect_refused(&result, EX_CONFIG, "are both of service billing");
    result = PROCESS_RUN(KEEPSTEP_BINARY, "fill", "-c", shop.billing.config);
    expect_refused(&result, EX_USAGE, "wants one TYPE or TOPIC");
    result = FILL(&shop.billing, &shop.shipping, "item"); /* has read nothing itself */
    expect_refused(&result, EX_TEMPFAIL, "shipping");
    assert_int_equal(sqlite_number(shop.billing.database, "SELECT count(*) FROM keepstep_fill"), 0);
    run_sql(&shop.billing, "INSERT INTO items VALUES (4, 'by hand', 0)");
    result = FILL(&shop.billing, &shop.shop, "item");
    expect_refused(&result, EX_CONFIG, "{\"id\":4}");
    run_sql(&shop.billing, "CREATE TRIGGER refuse BEFORE INSERT ON items WHEN NEW.id = 2 "
                           "BEGIN SELECT RAISE(ABORT, 'no twos'); END");
    result = FILL(&shop.billing, &shop.shop, "item", "--again");
    expect_refused(&result, EX_CONFIG, "rows elsewhere change with them");
    run_sql(&shop.billing, "DELETE FROM items");
    result = FILL(&shop.billing, &shop.shop, "item");
    expect_refused(&result, EX_DATAERR, "item {\"id\":2}");
    assert_non_null(strstr(result.errors, "no twos"));
    run_sql(&shop.billing, "DROP TRIGGER refuse");
    (void)FILL_OK(&shop.billing, &shop.shop, "item");
    sidecar_start(&shop.billing, NULL);
    assert_equal(&shop, &shop.billing, NULL);
    sidecar_stop(&shop.billing);
    sidecar_stop(&shop.shop);
}

/* Two types of one topic, whose tables a foreign key joins: children are cleared first, parents are
 * loaded first. */
static void a_topic_is_filled_whole(void **state)
{
    (void)state;
    static const char entries[] = "%s:\n  item: {table: items, topic: %s, partitions: 1}\n"
                                  "  extra: {table: extras, topic: %s, partitions: 1}\n";
    const char *topic = sidecar_topic("both");
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(
        kafka, "shop", SIDECAR_ITEM_DDL "CREATE TABLE extras(" SIDECAR_ITEM_COLUMNS ")",
        test_format(entries, "publish", topic, topic));
    struct sidecar billing = sidecar_make(
        kafka, "billing",
        SIDECAR_ITEM_DDL "CREATE TABLE extras(id INTEGER PRIMARY KEY, name TEXT NOT NULL, "
                         "amount INTEGER REFERENCES items)",
        test_format(entries, "apply", topic, topic));
    sidecar_begin(&shop);
    sidecar_init(&billing, NULL);
    run_sql(&shop, "INSERT INTO items VALUES (1,'a',1),(2,'b',1); "
                   "INSERT INTO extras VALUES (7,'x',1),(8,'y',2)");
    sidecar_expect(&shop, "SELECT count(*) FROM outbox WHERE sequence IS NULL", "0\n");
    struct process_result result = FILL_OK(&billing, &shop, "extra");
    assert_int_equal(fill_number(&result, "rows"), 4);
    sidecar_start(&billing, NULL);
    run_sql(&shop, "DELETE FROM extras WHERE id = 7; DELETE FROM items WHERE id = 1");
    sidecar_assert_equal(&shop, &billing, "items", 20000);
    sidecar_assert_equal(&shop, &billing, "extras", 20000);
    sidecar_stop(&billing);
    result = FILL_OK(&billing, &shop, "item", "--again");
    assert_int_equal(fill_number(&result, "cleared"), 2);
    assert_int_equal(fill_number(&result, "rows"), 2);
    sidecar_start(&billing, NULL);
    sidecar_expect(&billing, "SELECT stage FROM keepstep_fill", "done\n");
    const struct sidecar *const all[] = {&shop, &billing, NULL};
    struct process_result verified = VERIFY(all, "--json");
    if (verified.exit_code != EX_OK || verify_count(&verified, "equal") != 2)
        test_fail("%s%s", verified.output, verified.errors);
    sidecar_stop(&billing);
    sidecar_stop(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(changes_on_their_way_are_in_the_log_before_the_copy_is_complete, 120),
        TEST_WITH_LIMIT(a_relay_that_is_killed_while_a_fill_waits_for_it_loses_nothing, 120),
        TEST_WITH_LIMIT(an_update_of_a_row_that_is_gone_is_passed_below_filled_to_and_held_above,
                        120),
        TEST_WITH_LIMIT(late_duplicates_change_nothing_at_a_filled_copy, 120),
        TEST_WITH_LIMIT(an_event_that_is_published_again_is_known_at_a_filled_copy, 120),
        TEST_WITH_LIMIT(a_copy_whose_log_was_cut_is_filled, 120),
        TEST_WITH_LIMIT(a_copy_that_was_filled_behind_an_open_transaction_waits_for_its_end, 120),
        TEST_WITH_LIMIT(a_fill_that_makes_no_sense_is_refused, 120),
        TEST_WITH_LIMIT(a_topic_is_filled_whole, 120),
    };
    return TEST_RUN(tests);
}
