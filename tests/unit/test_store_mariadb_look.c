/* What the MariaDB store reads beside the tables: own changes not read back, and records that are
 * no text. */
#include "tests/support/mariadb.h"
#include "tests/support/store_orders.h"

#include <stdio.h>

static const char outbox_table[] =
    "CREATE TABLE keepstep_relay(incarnation varchar(36));"
    "CREATE TABLE outbox(position bigint AUTO_INCREMENT PRIMARY KEY, aggregatetype text, "
    "aggregateid text, kafka_partition int, sequence bigint)";

static void the_look_finds_what_others_committed_since_the_batch_began(void **state)
{
    (void)state;
    orders_url = mariadb_database("look");
    mariadb_execute(orders_url, outbox_table);
    struct store *store = orders_open_prepared();
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_looked(store, 0, 0, 0, 0, 0, 0);
    mariadb_execute(
        orders_url,
        "INSERT INTO outbox(aggregatetype, aggregateid, kafka_partition, sequence) VALUES "
        "('order', '3', NULL, NULL), ('order', '{\"id\":4}', 0, 5), "
        "('order', '{\"id\":5}', 0, 4), ('order', '{\"id\":6}', 1, 9), "
        "('note', '7', NULL, NULL), ('order', '{ \"id\": 8}', NULL, NULL)");
    assert_looked(store, OWN_UNNUMBERED, 5, 0, 0, 0, OWN_UNNUMBERED);

    /* Behind more rows than are read at once. */
    mariadb_execute(
        orders_url,
        "INSERT INTO outbox(aggregatetype, aggregateid, kafka_partition, sequence) "
        "SELECT 'order', i, NULL, NULL FROM (SELECT seq AS i FROM seq_100_to_25099) AS n;"
        "INSERT INTO outbox(aggregatetype, aggregateid, kafka_partition, sequence) "
        "SELECT 'order', concat('{\"id\":', i, '}'), 0, i FROM (SELECT seq AS i FROM "
        "seq_100_to_25099) AS n;"
        "INSERT INTO outbox(aggregatetype, aggregateid, kafka_partition, sequence) VALUES "
        "('order', '5', NULL, NULL), ('order', '{\"id\":7}', 0, 30000)");
    assert_looked(store, OWN_UNNUMBERED, 5, OWN_UNNUMBERED, 0, 30000, OWN_UNNUMBERED);

    /* Outside a transaction it leaves none open: the next one could not choose its isolation. */
    struct partition_state position;
    orders_ops->rollback(store);
    assert_looked(store, OWN_UNNUMBERED, 5, OWN_UNNUMBERED, 0, 30000, OWN_UNNUMBERED);
    assert_ok(orders_ops->read(store, "order", 0, &position, &orders_err));
    partition_state_done(&position);
    orders_ops->close(store);
}

static void bytes_that_are_no_text_are_kept_and_found_again(void **state)
{
    (void)state;
    static const char raw[] = "\xff\x00k";
    struct store *store = orders_open();
    struct arena arena;
    struct parked_record *records = NULL;
    size_t count = 0;
    struct key_claim claims[] = {
        {.source = {raw, 3}, .id = {raw, 2}, .digest = 1},
        {.source = {raw, 3}, .id = slice_of("\\xff00"), .digest = 2},
    };
    struct parked_record parked = {
        .record = {.topic = "order", .key = {raw, 3}}, .entity_key = {raw, 3}, .reason = {raw, 3}};
    struct parked_filter filter = {.topic = "order", .partition = -1, .entity_type = ""};
    arena_init(&arena, (size_t)1024 * 1024);
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_ok(orders_ops->claim_keys(store, claims, 2, &orders_err));
    assert_int_equal(claims[0].verdict, KEY_NEW);
    assert_int_equal(claims[1].verdict, KEY_NEW);
    assert_ok(orders_ops->claim_keys(store, claims, 2, &orders_err));
    assert_int_equal(claims[0].verdict, KEY_DUPLICATE);
    assert_int_equal(claims[1].verdict, KEY_DUPLICATE);
    assert_ok(orders_ops->park(store, &parked, 1, &orders_err));
    assert_ok(orders_ops->read_parked(store, &filter, &arena, &records, &count, &orders_err));
    assert_int_equal(count, 1);
    assert_true(slice_equal(records[0].entity_key, (struct slice){raw, 3}));
    assert_true(slice_equal(records[0].record.key, (struct slice){raw, 3}));
    arena_done(&arena);
    orders_ops->close(store);
}

static void keys_are_claimed_in_any_number_and_each_is_judged(void **state)
{
    (void)state;
    enum { CLAIMS = 2500 };
    static struct key_claim claims[CLAIMS];
    struct store *store = orders_open();
    for (size_t i = 0; i < CLAIMS; i++)
        claims[i] = (struct key_claim){
            .source = slice_of("many"), .id = slice_of(test_format("k%zu", i)), .digest = i};
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_ok(orders_ops->claim_keys(store, claims, CLAIMS, &orders_err));
    for (size_t i = 0; i < CLAIMS; i++)
        assert_int_equal(claims[i].verdict, KEY_NEW);
    for (size_t i = 0; i < CLAIMS; i += 2) {
        claims[i].id = slice_of(test_format("n%zu", i));
        claims[i + 1].digest += i % 3 == 0;
    }
    assert_ok(orders_ops->claim_keys(store, claims, CLAIMS, &orders_err));
    for (size_t i = 0; i < CLAIMS; i += 2) {
        assert_int_equal(claims[i].verdict, KEY_NEW);
        assert_int_equal(claims[i + 1].verdict, i % 3 == 0 ? KEY_CONFLICT : KEY_DUPLICATE);
    }
    assert_ok(orders_ops->commit(store, false, &orders_err));
    orders_ops->close(store);
    assert_string_equal(
        mariadb_text(orders_url,
                     "SELECT count(*) FROM keepstep_idempotency_key WHERE source = 'many'"),
        "3750\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(the_look_finds_what_others_committed_since_the_batch_began, 120),
        TEST_WITH_LIMIT(keys_are_claimed_in_any_number_and_each_is_judged, 120),
        TEST_WITH_LIMIT(bytes_that_are_no_text_are_kept_and_found_again, 120),
    };
    orders_begin(DATABASE_MARIADB);
    return TEST_RUN(tests);
}
