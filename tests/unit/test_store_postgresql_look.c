/* What the PostgreSQL store does beside writers that it does not exclude: the look, and what it
 * had to wait for. */
#include "tests/support/postgresql.h"
#include "tests/support/store_orders.h"

#include <pthread.h>
#include <stdio.h>

static const char outbox_table[] =
    "CREATE TABLE keepstep_relay(incarnation text);"
    "CREATE TABLE outbox(position bigint GENERATED ALWAYS AS IDENTITY, aggregatetype text, "
    "aggregateid text, kafka_partition int, sequence bigint)";

static void the_look_finds_what_others_committed_since_the_batch_began(void **state)
{
    (void)state;
    orders_url = postgresql_database("look");
    postgresql_execute(orders_url, outbox_table);
    struct store *store = orders_open_prepared();
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_looked(store, 0, 0, 0, 0, 0, 0);
    postgresql_execute(
        orders_url,
        "INSERT INTO outbox(aggregatetype, aggregateid, kafka_partition, sequence) VALUES "
        "('order', '3', NULL, NULL), ('order', '{\"id\":4}', 0, 5), "
        "('order', '{\"id\":5}', 0, 4), ('order', '{\"id\":6}', 1, 9), "
        "('note', '7', NULL, NULL), ('order', '{ \"id\": 8}', NULL, NULL)");
    assert_looked(store, OWN_UNNUMBERED, 5, 0, 0, 0, OWN_UNNUMBERED);

    /* Behind more rows than are read at once. */
    postgresql_execute(
        orders_url,
        "INSERT INTO outbox(aggregatetype, aggregateid, kafka_partition, sequence) "
        "SELECT 'order', i, NULL, NULL FROM generate_series(100, 25099) AS i;"
        "INSERT INTO outbox(aggregatetype, aggregateid, kafka_partition, sequence) "
        "SELECT 'order', concat('{\"id\":', i, '}'), 0, i FROM generate_series(100, 25099) AS i;"
        "INSERT INTO outbox(aggregatetype, aggregateid, kafka_partition, sequence) VALUES "
        "('order', '5', NULL, NULL), ('order', '{\"id\":7}', 0, 30000)");
    assert_looked(store, OWN_UNNUMBERED, 5, OWN_UNNUMBERED, 0, 30000, OWN_UNNUMBERED);
    orders_ops->close(store);
    orders_url = postgresql_database("copy");
}

static void *change_slowly(void *context)
{
    postgresql_execute(
        orders_url, test_format("BEGIN; %s; SELECT pg_sleep(0.3); COMMIT", (const char *)context));
    return NULL;
}

static const char own_change[] =
    "UPDATE orders SET note = 'own' WHERE id = 3;"
    "INSERT INTO outbox(aggregatetype, aggregateid) VALUES ('order', '{\"id\":3}')";

static bool sleeps(void *context)
{
    (void)context;
    return strcmp(postgresql_text(orders_url, "SELECT count(*) FROM pg_stat_activity "
                                              "WHERE wait_event = 'PgSleep'"),
                  "1\n") == 0;
}

/* Rule 18's order where writers are not excluded. */
static void a_look_behind_the_write_finds_what_the_write_had_to_wait_for(void **state)
{
    (void)state;
    pthread_t service;
    orders_url = postgresql_database("look");
    postgresql_execute(orders_url, outbox_table);
    struct store *store = orders_open_prepared();
    postgresql_execute(orders_url, "INSERT INTO orders VALUES (3, 1, 'old')");
    assert_int_equal(pthread_create(&service, NULL, change_slowly, (char *)(uintptr_t)own_change),
                     0);
    assert_true(test_wait(sleeps, NULL, 10000));
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_looked(store, 0, 0, 0, 0, 0, 0);
    enum status status = orders_apply(store, CHANGE_UPDATE, 3, "theirs");
    while (status == STATUS_RETRY) { /* its lock wait is short: the agent yields first */
        error_clear(&orders_err);
        orders_ops->rollback(store);
        assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
        status = orders_apply(store, CHANGE_UPDATE, 3, "theirs");
    }
    assert_ok(status);
    assert_looked(store, OWN_UNNUMBERED, 0, 0, 0, 0, 0);
    assert_ok(orders_ops->savepoint(store, true, &orders_err));
    assert_ok(orders_ops->commit(store, false, &orders_err));
    assert_int_equal(pthread_join(service, NULL), 0);
    assert_string_equal(postgresql_text(orders_url, "SELECT note FROM orders"), "own\n");
    orders_ops->close(store);
    orders_url = postgresql_database("copy");
}

/* Also where READ COMMITTED is asked for: the row that it waited for stands in another part. */
static void a_serialization_failure_makes_the_batch_retry(void **state)
{
    (void)state;
    pthread_t service;
    struct store *store = orders_open();
    static char move[] = "UPDATE orders SET id = 150 WHERE id = 3";
    postgresql_execute(orders_url,
                       "DROP TABLE IF EXISTS orders CASCADE; "
                       "CREATE TABLE orders(id bigint PRIMARY KEY, price numeric, note text) "
                       "PARTITION BY RANGE (id); CREATE TABLE part1 PARTITION OF orders "
                       "FOR VALUES FROM (0) TO (100); CREATE TABLE part2 PARTITION OF orders "
                       "FOR VALUES FROM (100) TO (200); INSERT INTO orders VALUES (3)");
    assert_ok(orders_ops->prepare(store, &orders_mapping, &orders_err));
    assert_int_equal(pthread_create(&service, NULL, change_slowly, move), 0);
    assert_true(test_wait(sleeps, NULL, 10000));
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_int_equal(orders_apply(store, CHANGE_UPDATE, 3, NULL), STATUS_RETRY);
    assert_int_equal(orders_err.native_code, (int)strtol("40001", NULL, 36));
    error_clear(&orders_err);
    orders_ops->rollback(store);
    assert_int_equal(pthread_join(service, NULL), 0);
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_ok(orders_apply(store, CHANGE_CREATE, 3, "theirs"));
    assert_ok(orders_ops->commit(store, false, &orders_err));
    orders_ops->close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_look_finds_what_others_committed_since_the_batch_began),
        TEST(a_look_behind_the_write_finds_what_the_write_had_to_wait_for),
        TEST(a_serialization_failure_makes_the_batch_retry),
    };
    orders_begin(DATABASE_POSTGRESQL);
    return TEST_RUN(tests);
}
