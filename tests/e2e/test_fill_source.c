/* The source of a fill over three real databases: what it hands over, when it ends, and when it
 * refuses. */
#include "tests/support/fill_sink.h"
#include "tests/support/load.h"
#include "tests/support/trio.h"

#define ROWS         20
#define ACKNOWLEDGED "SELECT acknowledged_sequence FROM keepstep_relay_partition"

static void must_run(struct fill_kept *kept, const struct sidecar *source, const char *entity_type)
{
    struct error err = ERROR_INIT;
    fill_kept_begin(kept);
    if (fill_kept_run(kept, source, entity_type, &err) != STATUS_OK)
        test_fail("%s from %s: %s", entity_type, source->name, err.text);
    assert_int_equal(kept->begins, 1);
    assert_int_equal(kept->ends, 1);
}

static void expect_refusal(enum status expected, const struct sidecar *source,
                           const char *entity_type, const char *text)
{
    struct fill_kept kept;
    struct error err = ERROR_INIT;
    fill_kept_begin(&kept);
    enum status status = fill_kept_run(&kept, source, entity_type, &err);
    if (status != expected || strstr(err.text, text) == NULL)
        test_fail("%s: %s instead of %s", status_name(status), err.text, text);
    assert_int_equal(kept.begins, expected == STATUS_STOP ? 0 : 1);
    assert_int_equal(kept.ends, 0);
    fill_kept_done(&kept);
}

/* The publisher, each copy, and each service that does both hand over the same rows and stand at
 * the same place, because nobody writes. */
static void expect_same_from_all(const struct trio *trio, const char *entity_type)
{
    struct fill_kept first, other;
    must_run(&first, trio->all[0], entity_type);
    assert_int_equal(first.sums.rows, ROWS);
    for (size_t i = 1; i < VERIFY_KINDS; i++) {
        must_run(&other, trio->all[i], entity_type);
        load_assert_rows(trio->all[i]->name, buffer_text(&first.rows), buffer_text(&other.rows));
        assert_int_equal(other.partition_count, 2);
        for (int32_t p = 0; p < 2; p++) {
            assert_int_equal(other.stamp[p], first.stamp[p]);
            assert_int_equal(other.filled_to[p], first.filled_to[p]);
            assert_true(other.stamp[p] > 0 && other.filled_to[p] >= other.stamp[p]);
        }
        fill_kept_done(&other);
    }
    fill_kept_done(&first);
}

static void all_sources_hand_over_the_same_rows(void **state)
{
    (void)state;
    struct trio trio;
    trio_begin(&trio);
    for (int id = 1; id <= ROWS; id++) {
        const char *price = id % 3 == 0 ? "NULL" : "'1.50'";
        for (size_t i = 0; i < VERIFY_KINDS; i++)
            (void)database_text(trio.services[i].url,
                                test_format("INSERT INTO %ss VALUES (%d, 'n\"%d', %s, 0.1)",
                                            verify_dialects[i].entity_type, id, id, price));
        (void)database_text(trio.services[id % (int)VERIFY_KINDS].url,
                            test_format("INSERT INTO stocks VALUES (%d, 'n', %s, 2)", id, price));
    }
    trio_settle(&trio);
    for (size_t i = 0; i < VERIFY_KINDS; i++)
        expect_same_from_all(&trio, verify_dialects[i].entity_type);
    expect_same_from_all(&trio, "stock");
    trio_end(&trio);
}

/* A publisher whose relay stands still has rows that the log has not. */
static void publish_at_last(void *context, const char *for_what)
{
    struct sidecar *shop = context;
    assert_non_null(strstr(for_what, "shop"));
    if (shop->process == NULL)
        sidecar_start(shop, NULL);
}

/* @return a service that has published these rows. */
static struct sidecar publisher_of(const char *rows, const char *acknowledged)
{
    struct sidecar shop = sidecar_make(kafka_start(), "shop", SIDECAR_ITEM_DDL,
                                       "publish:\n  item: {table: items, partitions: 1}\n");
    sidecar_begin(&shop);
    (void)sqlite_text(shop.database, test_format("INSERT INTO items VALUES %s", rows));
    sidecar_expect(&shop, ACKNOWLEDGED, acknowledged);
    return shop;
}

static void a_source_ends_only_when_all_that_it_has_seen_is_in_the_log(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct fill_kept kept;
    struct sidecar shop = publisher_of("(1, 'a', 1), (2, 'b', NULL)", "2\n");
    must_run(&kept, &shop, "item");
    assert_int_equal(kept.filled_to[0], 2);
    fill_kept_done(&kept);

    sidecar_stop(&shop);
    shop.process = NULL;
    (void)sqlite_text(shop.database, "UPDATE items SET name = 'c' WHERE id = 1;"
                                     "INSERT INTO items VALUES (3, 'd', 3)");
    fill_kept_begin(&kept);
    kept.at_wait = publish_at_last;
    kept.context = &shop;
    if (fill_kept_run(&kept, &shop, "item", &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_true(kept.waits > 0);
    assert_int_equal(kept.sums.rows, 3);
    assert_int_equal(kept.stamp[0], 2);
    assert_int_equal(kept.filled_to[0], 4);
    const char *begin = buffer_text(&kept.begin);
    if (strstr(begin, "\"stamp\":[[2,1,\"") == NULL || strstr(begin, ",3,2,\"") == NULL)
        test_fail("%s", begin);
    fill_kept_done(&kept);
    sidecar_stop(&shop);
}

static void kill_broker(void *context, const struct fill_row *row)
{
    (void)context;
    (void)row;
    kafka_kill(kafka_start());
}

static void start_broker(void *context, const char *for_what)
{
    (void)context;
    assert_non_null(strstr(for_what, "broker of shop"));
    (void)kafka_start();
}

static void a_source_waits_for_its_broker_before_it_ends(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct fill_kept kept;
    struct sidecar shop = publisher_of("(1, 'a', 1)", "1\n");
    fill_kept_begin(&kept);
    kept.at_row = kill_broker;
    kept.at_wait = start_broker;
    if (fill_kept_run(&kept, &shop, "item", &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_true(kept.waits > 0);
    assert_int_equal(kept.sums.rows, 1);
    assert_int_equal(kept.filled_to[0], 1);
    fill_kept_done(&kept);
    sidecar_stop(&shop);
}

static void set_aside(void *context, const struct fill_row *row)
{
    const struct sidecar *shop = context;
    (void)row;
    (void)sqlite_text(shop->database,
                      "UPDATE outbox SET set_aside = 'by hand' WHERE sequence IS NULL");
}

static void a_change_that_is_set_aside_makes_the_attempt_void(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct fill_kept kept;
    struct sidecar shop = publisher_of("(1, 'a', 1)", "1\n");
    sidecar_stop(&shop);
    (void)sqlite_text(shop.database, "UPDATE items SET name = 'b'");
    fill_kept_begin(&kept);
    kept.at_row = set_aside;
    kept.context = &shop;
    assert_int_equal(fill_kept_run(&kept, &shop, "item", &err), STATUS_ABORT);
    /* Whoever reads that has another configuration. */
    const char *see = test_format("(`keepstep outbox list -c %s`)", shop.config);
    assert_non_null(strstr(err.text, "set aside"));
    if (strstr(err.text, see) == NULL)
        test_fail("%s", err.text);
    assert_int_equal(kept.ends, 0);
    fill_kept_done(&kept);
    expect_refusal(STATUS_STOP, &shop, "item",
                   test_format("1 changes of item are set aside %s", see));
}

static void a_copy_that_is_not_the_log_is_no_source(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct fill_kept kept;
    struct sidecar billing = sidecar_make(kafka, "billing", "",
                                          "apply:\n  item: {table: items, partitions: 1}\n");
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    sidecar_init(&billing, NULL);
    expect_refusal(STATUS_STOP, &billing, "item", "it has not read");
    expect_refusal(STATUS_STOP, &billing, "extra", "it neither applies extra nor publishes");
    sidecar_produce(kafka, "e1", "item.created", 1, "{\"id\":1,\"name\":\"a\",\"amount\":1}");
    sidecar_start(&billing, NULL);
    sidecar_expect(&billing, "SELECT count(*) FROM items", "1\n");
    must_run(&kept, &billing, "item");
    assert_int_equal(kept.sums.rows, 1);
    assert_string_equal(buffer_text(&kept.keys), "import e1\n");
    fill_kept_done(&kept);
    sidecar_produce(kafka, "e2", "item.created", 2, "{\"id\":2,\"name\":7,\"amount\":1}");
    sidecar_expect(&billing, "SELECT count(*) FROM keepstep_parked", "1\n");
    expect_refusal(STATUS_STOP, &billing, "item", "[0]: events are parked there");
    sidecar_stop(&billing);
    (void)sqlite_text(billing.database, "DELETE FROM keepstep_blocked; DELETE FROM keepstep_parked;"
                                        "UPDATE keepstep_position SET partial = 1");
    expect_refusal(STATUS_STOP, &billing, "item", "it began in the middle");
    (void)sqlite_text(billing.database,
                      "UPDATE keepstep_position SET partial = 0, filled_to = 100");
    expect_refusal(STATUS_STOP, &billing, "item", "it is not complete yet");
    (void)sqlite_text(billing.database,
                      "UPDATE keepstep_position SET filled_to = 0, stopped = 'a gap'");
    expect_refusal(STATUS_STOP, &billing, "item", "it stands still there");
}

/* Interleaving 20: the rows' snapshot has nothing parked, whatever comes after it. */
static void park_meanwhile(void *context, const struct fill_row *row)
{
    const struct sidecar *billing = context;
    (void)row;
    (void)sqlite_text(billing->database,
                      "UPDATE keepstep_position SET stopped = 'a gap', next_offset = 9;"
                      "UPDATE items SET name = 'changed'");
}

static void what_happens_to_a_source_behind_its_begin_does_not_matter(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct error err = ERROR_INIT;
    struct fill_kept before, kept;
    struct sidecar billing = sidecar_make(kafka, "billing", "",
                                          "apply:\n  item: {table: items, partitions: 1}\n");
    kafka_create_topic(kafka, sidecar_topic("item"), 1, NULL);
    sidecar_produce(kafka, "e1", "item.created", 1, "{\"id\":1,\"name\":\"a\",\"amount\":1}");
    sidecar_produce(kafka, "e2", "item.created", 2, "{\"id\":2,\"name\":\"b\",\"amount\":1}");
    sidecar_begin(&billing);
    sidecar_expect(&billing, "SELECT count(*) FROM items", "2\n");
    sidecar_stop(&billing);
    must_run(&before, &billing, "item");
    fill_kept_begin(&kept);
    kept.at_row = park_meanwhile;
    kept.context = &billing;
    if (fill_kept_run(&kept, &billing, "item", &err) != STATUS_OK)
        test_fail("%s", err.text);
    load_assert_rows("billing", buffer_text(&before.rows), buffer_text(&kept.rows));
    assert_int_equal(kept.filled_to[0], 2);
    fill_kept_done(&kept);
    fill_kept_done(&before);
    expect_refusal(STATUS_STOP, &billing, "item", "it stands still there");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(all_sources_hand_over_the_same_rows, 180),
        TEST_WITH_LIMIT(a_source_ends_only_when_all_that_it_has_seen_is_in_the_log, 60),
        TEST_WITH_LIMIT(a_source_waits_for_its_broker_before_it_ends, 120),
        TEST_WITH_LIMIT(a_change_that_is_set_aside_makes_the_attempt_void, 60),
        TEST_WITH_LIMIT(a_copy_that_is_not_the_log_is_no_source, 60),
        TEST_WITH_LIMIT(what_happens_to_a_source_behind_its_begin_does_not_matter, 60),
    };
    return TEST_RUN(tests);
}
