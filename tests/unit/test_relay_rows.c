/* Rows in the outbox that cannot be sent: rows that are set aside, and the metrics while the broker
 * is silent. labels: threads */
#include "tests/support/relay_shop.h"

struct told {
    const atomic_int_fast64_t *value;
    bool zero;
};

static bool is_told(void *context)
{
    const struct told *told = context;
    return (atomic_load(told->value) == 0) == told->zero;
}

static void expect_told(const atomic_int_fast64_t *value, bool zero)
{
    struct told told = {value, zero};
    if (!test_wait(is_told, &told, 30000))
        test_fail("it is %lld", (long long)atomic_load(value));
}

/* Rows 1 and 4 fail. Later rows of their entities wait, in whatever form the key is written. */
static void a_row_set_aside_blocks_its_entity_however_the_key_is_written(void **state)
{
    static const char published[] = "SELECT group_concat(position, ' ') FROM (SELECT position FROM "
                                    "outbox WHERE sequence IS NOT NULL ORDER BY position)";
    (void)state;
    struct relay_shop shop = {0};
    relay_shop_make(&shop);
    relay_shop_start(&shop);
    relay_shop_write(&shop, 1, true, "{\"id\":1,\"name\":5}");
    relay_shop_expect(&shop, "SELECT aggregateid FROM outbox WHERE set_aside IS NOT NULL",
                      "{\"id\":1}\n");
    relay_shop_write(&shop, 1, true, "{\"id\":1,\"name\":\"bare\"}");
    relay_shop_write(&shop, 1, false, "{\"id\":1,\"name\":\"canonical\"}");
    relay_shop_write(&shop, 2, false, "{\"id\":2,\"name\":5}");
    relay_shop_write(&shop, 2, true, "{\"id\":2,\"name\":\"bare\"}");
    relay_shop_write(&shop, 3, true, "{\"id\":3,\"name\":\"other\"}");
    relay_shop_write(&shop, 1, true, "{\"id\":1,\"name\":\"last\"}");
    relay_shop_expect(&shop, published, "6\n");
    relay_shop_stop(&shop);
    relay_shop_start(&shop); /* a new one, with no memory */
    relay_shop_write(&shop, 2, true, "{\"id\":2,\"name\":\"later\"}");
    relay_shop_write(&shop, 4, true, "{\"id\":4,\"name\":\"flows\"}");
    relay_shop_expect(&shop, published, "6 9\n");

    (void)sqlite_text(shop.path,
                      "UPDATE outbox SET set_aside = NULL, payload = replace(payload, '5',"
                      "'null') WHERE position = 1");
    relay_shop_expect(&shop, published, "1 2 3 6 7 9\n");
    assert_string_equal(
        sqlite_text(shop.path,
                    "SELECT group_concat(position, ' ') FROM (SELECT position FROM outbox "
                    "WHERE aggregateid = '{\"id\":1}' ORDER BY sequence)"),
        "1 2 3 7\n");
    relay_shop_stop(&shop);
    relay_shop_done(&shop);
}

static void a_key_that_only_looks_canonical_is_set_aside_or_made_so(void **state)
{
    static const char *const keys[] = {"{\"id\":-}",  "{\"id\":}",  "{\"id\":007}", "{\"id\":1.0}",
                                       "{\"id\":-0}", "{\"ID\":1}", "{\"id\":1}}"};
    (void)state;
    struct relay_shop shop = {0};
    relay_shop_make(&shop);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        (void)sqlite_format(shop.path,
                            "INSERT INTO outbox(aggregatetype,aggregateid,type,payload) VALUES("
                            "'order','%s','order.deleted','{\"op\":\"d\",\"before\":null,"
                            "\"after\":null}')",
                            keys[i]);
    relay_shop_write(&shop, -12, false, "{\"id\":-12,\"name\":\"x\"}");
    (void)sqlite_text(shop.path,
                      "UPDATE outbox SET aggregateid = '{ \"id\": -12}' WHERE position = 8");
    relay_shop_write(&shop, -12, false, "{\"id\":-12,\"name\":\"y\"}");
    relay_shop_start(&shop);
    relay_shop_expect(
        &shop,
        "SELECT count(*), count(DISTINCT aggregateid), count(DISTINCT kafka_partition) FROM "
        "outbox WHERE position >= 8 AND sequence IS NOT NULL",
        "2|1|1\n");
    assert_string_equal(
        sqlite_text(shop.path, "SELECT count(*) FROM outbox WHERE position < 8 AND sequence IS NOT "
                               "NULL AND aggregateid <> '{\"id\":0}'"),
        "0\n");
    relay_shop_stop(&shop);
    relay_shop_done(&shop);
}

/* The form of derived ids belongs to the relay, so that no given id can be that of another row. */
static void a_given_id_of_the_derived_form_is_set_aside(void **state)
{
    (void)state;
    struct relay_shop shop = {0};
    relay_shop_make(&shop);
    for (int i = 1; i <= 4; i++)
        relay_shop_write(&shop, i, false, test_format("{\"id\":%d,\"name\":\"x\"}", i));
    (void)sqlite_text(shop.path,
                      "UPDATE outbox SET id = (SELECT event_id('shop', position, created_at) FROM "
                      "outbox WHERE position = 1) WHERE position = 2;"
                      "UPDATE outbox SET id = '01942f6e-0000-7000-8000-000000000001' WHERE "
                      "position = 3;"
                      "UPDATE outbox SET created_at = 'noon' WHERE position = 4");
    relay_shop_start(&shop);
    relay_shop_expect(&shop,
                      "SELECT position, substr(set_aside, 1, 22) FROM outbox WHERE set_aside IS "
                      "NOT NULL ORDER BY position",
                      "2|id: a UUID of version \n4|created_at: must be a \n");
    relay_shop_expect_acknowledged(&shop, 2);
    (void)sqlite_text(shop.path, "UPDATE outbox SET id = NULL, set_aside = NULL, created_at = "
                                 "'2026-01-02T03:04:05.000006Z' WHERE set_aside IS NOT NULL");
    relay_shop_expect_acknowledged(&shop, 4);
    relay_shop_stop(&shop);
    relay_shop_done(&shop);
}

/* The row is larger than the relay's memory, so it must not be loaded. */
static void a_row_of_any_size_is_set_aside_and_the_others_flow(void **state)
{
    (void)state;
    struct relay_shop shop = {0};
    relay_shop_make(&shop);
    relay_shop_write(&shop, 1, false, "{\"id\":1,\"name\":\"x\"}");
    (void)sqlite_text(shop.path, "UPDATE outbox SET payload = printf('%0*d', 70000000, 0)");
    relay_shop_write(&shop, 1, false, "{\"id\":1,\"name\":\"behind\"}");
    relay_shop_write(&shop, 2, false, "{\"id\":2,\"name\":\"x\"}");
    relay_shop_start(&shop);
    relay_shop_expect_acknowledged(&shop, 1);
    relay_shop_expect(
        &shop,
        "SELECT position, set_aside LIKE '%70000000 bytes%message_bytes%' FROM outbox "
        "WHERE sequence IS NULL ORDER BY position",
        "1|1\n2|NULL\n");
    (void)sqlite_text(shop.path,
                      "UPDATE outbox SET set_aside = NULL, payload = "
                      "'{\"op\":\"u\",\"before\":null,\"after\":{\"id\":1}}' WHERE position = 1");
    relay_shop_expect_acknowledged(&shop, 3);
    relay_shop_stop(&shop);
    relay_shop_done(&shop);
}

static bool has_looked_again(void *context)
{
    const struct relay_metrics *metrics = context;
    return atomic_load(&metrics->looked_at_us) - atomic_load(&metrics->stalled_since_us) > 1000000;
}

static void what_a_silent_broker_keeps_under_way_is_told(void **state)
{
    struct relay_shop shop = {0};
    (void)state;
    relay_shop_make(&shop);
    relay_shop_start(&shop);
    relay_shop_write(&shop, 1, false, "{\"id\":1}");
    relay_shop_expect_acknowledged(&shop, 1);
    expect_told(&shop.metrics.oldest_unacknowledged_us, true);
    (void)rd_kafka_mock_broker_set_down(shop.cluster, 1);
    expect_told(&shop.metrics.broker_silent_since_us, false); /* though nothing is in flight */
    assert_int_equal(atomic_load(&shop.metrics.stalled_since_us), 0);
    relay_shop_write(&shop, 2, false, "{\"id\":2}");
    expect_told(&shop.metrics.stalled_since_us, false);
    assert_true(test_wait(has_looked_again, &shop.metrics, 30000));
    expect_told(&shop.metrics.oldest_unacknowledged_us, false);
    assert_int_equal(atomic_load(&shop.metrics.in_flight), 1);
    assert_int_equal(atomic_load(&shop.metrics.waiting), 0);
    (void)rd_kafka_mock_broker_set_up(shop.cluster, 1);
    relay_shop_expect_acknowledged(&shop, 2);
    expect_told(&shop.metrics.stalled_since_us, true);
    expect_told(&shop.metrics.oldest_unacknowledged_us, true);
    expect_told(&shop.metrics.broker_silent_since_us, true);
    relay_shop_stop(&shop);
    relay_shop_done(&shop);
}

static void what_waits_is_told_where_the_broker_never_answered(void **state)
{
    struct relay_shop shop = {0};
    (void)state;
    relay_shop_make(&shop);
    relay_shop_write(&shop, 1, false, "{\"id\":1}");
    (void)rd_kafka_mock_broker_set_down(shop.cluster, 1);
    relay_shop_start(&shop);
    expect_told(&shop.metrics.oldest_unacknowledged_us, false);
    assert_int_equal(atomic_load(&shop.metrics.waiting), 1);
    expect_told(&shop.metrics.broker_silent_since_us, false);
    (void)rd_kafka_mock_broker_set_up(shop.cluster, 1);
    relay_shop_expect_acknowledged(&shop, 1);
    expect_told(&shop.metrics.oldest_unacknowledged_us, true);
    relay_shop_stop(&shop);
    relay_shop_done(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_row_set_aside_blocks_its_entity_however_the_key_is_written, 90),
        TEST_WITH_LIMIT(a_row_of_any_size_is_set_aside_and_the_others_flow, 120),
        TEST_WITH_LIMIT(a_key_that_only_looks_canonical_is_set_aside_or_made_so, 90),
        TEST_WITH_LIMIT(a_given_id_of_the_derived_form_is_set_aside, 90),
        TEST_WITH_LIMIT(what_a_silent_broker_keeps_under_way_is_told, 120),
        TEST_WITH_LIMIT(what_waits_is_told_where_the_broker_never_answered, 120),
    };
    return TEST_RUN(tests);
}
