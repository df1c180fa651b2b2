/* The PostgreSQL source: present rows while the service changes their keys. */
#include "tests/support/postgresql.h"

#include "common/clock.h"
#include "common/postgresql_session.h"
#include "producer/init.h"
#include "producer/source.h"

#include <pthread.h>

#define SCHEMA                                                                                     \
    "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","                \
    "\"x-keepstep-key\":[\"shelf\",\"id\"],\"properties\":{"                                       \
    "\"shelf\":{\"type\":\"string\",\"x-keepstep-type\":\"text\"},"                                \
    "\"id\":{\"type\":\"integer\",\"x-keepstep-type\":\"integer\"}}}"
#define TABLE  "CREATE TABLE orders (shelf text, id integer, PRIMARY KEY (shelf, id));"
#define WAITS  "SELECT count(*) FROM pg_locks WHERE NOT granted"
#define WAIT_S 20

struct shop {
    struct config config;
    struct config_entry entry;
    const char *url;
    struct entity_schema *schema;
    struct source *source;
    PGconn *service; /* its session */
    struct source_progress progress;
    size_t limit;
};

static void shop_run(const struct shop *shop, const char *sql)
{
    struct error err = ERROR_INIT;
    if (postgresql_session_execute(shop->service, sql, &err) != STATUS_OK)
        test_fail("%s", err.text);
}

static void shop_begin(struct shop *shop, const char *table)
{
    struct error err = ERROR_INIT;
    if (postgresql_server_url() == NULL)
        test_skip("%s", postgresql_skip_reason());
    *shop = (struct shop){.url = postgresql_database("shop")};
    test_write_file(test_path("order.schema.json"), SCHEMA);
    if (entity_schema_new(test_directory(), "order", &shop->schema, &err) != STATUS_OK)
        test_fail("%s", err.text);
    shop->entry = (struct config_entry){.entity_type = (char *)"order",
                                        .table = (char *)"orders",
                                        .topic = (char *)"order",
                                        .partitions = 3};
    shop->config = (struct config){.service = (char *)"shop",
                                   .database = (char *)(uintptr_t)shop->url,
                                   .database_path = (char *)(uintptr_t)shop->url,
                                   .instance = (char *)"1",
                                   .publish = &shop->entry,
                                   .publish_count = 1};
    postgresql_execute(shop->url, table);
    const struct entity_schema *schemas[] = {shop->schema};
    FILE *out = fopen(test_path("init.txt"), "w");
    struct init_options options = {.no_existing_rows = true, .out = out};
    if (init_service(&shop->config, schemas, &options, &err) != STATUS_OK)
        test_fail("%s", err.text);
    (void)fclose(out);
    const struct postgresql_session_options clerk = {.url = shop->url, .application = "clerk"};
    if (source_postgresql_ops.open(&shop->config, SOURCE_INSTALL, &shop->source, &err) !=
            STATUS_OK ||
        postgresql_session_open(&clerk, &shop->service, &err) != STATUS_OK)
        test_fail("%s", err.text);
}

static void shop_end(struct shop *shop)
{
    source_postgresql_ops.close(shop->source);
    postgresql_session_close(shop->service);
    entity_schema_free(shop->schema);
}

/* One chunk, tried again as `init` does while rows are locked. */
static void *shop_chunk(void *context)
{
    struct shop *shop = context;
    enum status status;
    do {
        struct error err = ERROR_INIT;
        status = source_postgresql_ops.chunk(shop->source, &shop->entry, shop->schema, shop->limit,
                                             &shop->progress, &err);
        if (status != STATUS_OK && status != STATUS_RETRY)
            test_fail("%s", err.text);
    } while (status != STATUS_OK);
    return NULL;
}

/* Read a chunk that waits for the service's row, and commit as soon as it does. */
static void shop_chunk_behind(struct shop *shop, const char *change)
{
    pthread_t thread;
    int64_t end_us = clock_monotonic_us() + WAIT_S * INT64_C(1000000);
    int64_t waiting = 0;
    shop_run(shop, "BEGIN");
    shop_run(shop, change);
    assert_int_equal(pthread_create(&thread, NULL, shop_chunk, shop), 0);
    while (waiting == 0 && clock_monotonic_us() < end_us) {
        struct error err = ERROR_INIT;
        PGresult *result = NULL;
        if (postgresql_session_query(shop->service, WAITS, NULL, 0, &result, &err) != STATUS_OK)
            test_fail("%s", err.text);
        waiting = postgresql_session_integer(result, 0, 0);
        PQclear(result);
    }
    shop_run(shop, "COMMIT");
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(waiting > 0);
}

static const char *shop_read(struct shop *shop)
{
    shop->limit = 1000;
    while (!shop->progress.done)
        (void)shop_chunk(shop);
    return postgresql_text(shop->url, "SELECT count(*), count(DISTINCT aggregateid) FROM outbox "
                                      "WHERE type = 'order.read'");
}

static void a_key_that_moves_up_while_its_row_is_waited_for_hides_no_rows_between(void **state)
{
    (void)state;
    struct shop shop;
    shop_begin(&shop, TABLE "INSERT INTO orders SELECT 'a', i * 10 FROM generate_series(1, 20) AS "
                            "i");
    shop.limit = 5;
    shop_chunk_behind(&shop, "UPDATE orders SET id = 155 WHERE id = 50");
    assert_false(shop.progress.done);
    assert_string_equal(shop_read(&shop), "20|20\n");
    assert_string_equal(postgresql_text(shop.url, "SELECT type FROM outbox WHERE aggregateid LIKE "
                                                  "'%155%' ORDER BY position"),
                        "order.created\norder.read\n");
    shop_end(&shop);
}

static void a_first_chunk_whose_rows_all_vanish_does_not_end_the_reading(void **state)
{
    (void)state;
    struct shop shop;
    shop_begin(&shop, TABLE "INSERT INTO orders SELECT 'a', i FROM generate_series(1, 20) AS i");
    shop.limit = 5;
    shop_chunk_behind(&shop, "DELETE FROM orders WHERE id <= 5");
    assert_int_equal(shop.progress.rows, 0);
    assert_false(shop.progress.done);
    assert_string_equal(shop_read(&shop), "15|15\n");
    assert_int_equal(shop.progress.rows, 15);
    shop_end(&shop);
}

static void a_new_history_takes_as_long_as_a_large_outbox_needs(void **state)
{
    (void)state;
    struct shop shop;
    struct error err = ERROR_INIT;
    int64_t dropped = 0;
    shop_begin(&shop, TABLE);
    postgresql_execute(
        shop.url, "CREATE TABLE allowed (time text); CREATE FUNCTION note() RETURNS trigger "
                  "LANGUAGE plpgsql AS $$BEGIN INSERT INTO allowed VALUES (TG_OP || "
                  "current_setting('statement_timeout')); RETURN coalesce(NEW, OLD); END$$;"
                  "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, sequence) "
                  "VALUES ('a', 'order', 'k', 't', '{}', 1), ('b', 'order', 'k', 't', '{}', 2);"
                  "CREATE TRIGGER note BEFORE DELETE OR UPDATE ON outbox FOR EACH ROW EXECUTE "
                  "FUNCTION note()");
    const struct source_ops *ops = shop.source->ops;
    if (ops->note_in_log(shop.source, slice_of("a"), &err) != STATUS_OK ||
        ops->begin(shop.source, &err) != STATUS_OK ||
        ops->restart(shop.source, "shop", "new", &dropped, &err) != STATUS_OK ||
        ops->commit(shop.source, &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_string_equal(postgresql_text(shop.url, "SELECT time FROM allowed ORDER BY 1"),
                        "DELETE0\nUPDATE0\n");
    shop_end(&shop);
}

static enum status clerk_check(struct shop *shop, struct error *err)
{
    struct source *source = NULL;
    struct config config = shop->config;
    const char *url = test_format("postgresql://clerk%s", strchr(shop->url, '@'));
    config.database_path = (char *)(uintptr_t)url;
    enum status status = source_postgresql_ops.open(&config, SOURCE_INSTALL, &source, err);
    if (status == STATUS_OK)
        status = source->ops->check(source, &shop->entry, shop->schema, err);
    source_postgresql_ops.close(source);
    return status;
}

/* TRUNCATE's trigger would write deletes of the rows that the policies show alone. */
static void a_table_whose_row_security_holds_for_the_role_of_init_is_refused(void **state)
{
    (void)state;
    static const char *const hidden[] = {
        "ALTER TABLE orders ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE orders OWNER TO clerk; ALTER TABLE orders FORCE ROW LEVEL SECURITY"};
    static const char *const seen[] = {"ALTER TABLE orders NO FORCE ROW LEVEL SECURITY",
                                       "ALTER TABLE orders FORCE ROW LEVEL SECURITY;"
                                       "ALTER ROLE clerk BYPASSRLS"};
    struct shop shop;
    shop_begin(&shop, TABLE);
    postgresql_execute(shop.url, "CREATE ROLE clerk LOGIN; GRANT ALL ON orders TO clerk");
    for (size_t i = 0; i < 2; i++) {
        struct error err = ERROR_INIT;
        postgresql_execute(shop.url, hidden[i]);
        assert_int_equal(clerk_check(&shop, &err), STATUS_FATAL);
        assert_int_equal(err.exit_code, 78);
        assert_non_null(strstr(err.text, "BYPASSRLS"));
    }
    for (size_t i = 0; i < 2; i++) {
        struct error err = ERROR_INIT;
        postgresql_execute(shop.url, seen[i]);
        if (clerk_check(&shop, &err) != STATUS_OK)
            test_fail("%s", err.text);
    }
    shop_end(&shop);
}

static int64_t notified(struct shop *shop)
{
    int64_t count = 0;
    PGnotify *notice;
    shop_run(shop, "SELECT 1");
    while ((notice = PQnotifies(shop->service)) != NULL) {
        PQfreemem(notice);
        count++;
    }
    return count;
}

/* As a relay that sleeps: it holds the lock and listens. */
static void shop_begin_asleep(struct shop *shop)
{
    shop_begin(shop, TABLE);
    shop_run(shop, "LISTEN keepstep_outbox");
    shop_run(shop, "SELECT pg_advisory_lock(1264941907, 'outbox'::regclass::integer)");
}

static void a_setting_keeps_a_session_from_waking_the_relay(void **state)
{
    (void)state;
    struct shop shop;
    shop_begin_asleep(&shop);
    postgresql_execute(shop.url, "INSERT INTO orders VALUES ('a', 1)");
    assert_int_equal(notified(&shop), 1);
    postgresql_execute(shop.url, "SET keepstep.notify = off; INSERT INTO orders VALUES ('a', 2)");
    assert_int_equal(notified(&shop), 0);
    postgresql_execute(shop.url, "BEGIN; SET LOCAL keepstep.notify = off; COMMIT; INSERT INTO "
                                 "orders VALUES ('a', 3)");
    assert_int_equal(notified(&shop), 1);
    shop_end(&shop);
}

/* PREPARE TRANSACTION fails behind a NOTIFY, which only a relay that sleeps asks for. */
static void a_transaction_of_two_phases_is_prepared_while_the_relay_sleeps(void **state)
{
    (void)state;
    struct shop shop;
    if (postgresql_server_url() == NULL)
        test_skip("%s", postgresql_skip_reason());
    postgresql_execute(postgresql_server_url(), "ALTER SYSTEM SET max_prepared_transactions = 4");
    postgresql_stop();
    postgresql_start();
    shop_begin_asleep(&shop);
    postgresql_execute(shop.url, "BEGIN; INSERT INTO orders VALUES ('a', 1); PREPARE TRANSACTION "
                                 "'two'");
    postgresql_execute(shop.url, "COMMIT PREPARED 'two'");
    assert_string_equal(postgresql_text(shop.url, "SELECT count(*) FROM outbox"), "1\n");
    assert_int_equal(notified(&shop), 0);
    postgresql_execute(shop.url, "SET keepstep.notify = on; INSERT INTO orders VALUES ('a', 2)");
    assert_int_equal(notified(&shop), 1);
    shop_end(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_that_moves_up_while_its_row_is_waited_for_hides_no_rows_between),
        TEST(a_first_chunk_whose_rows_all_vanish_does_not_end_the_reading),
        TEST(a_new_history_takes_as_long_as_a_large_outbox_needs),
        TEST(a_table_whose_row_security_holds_for_the_role_of_init_is_refused),
        TEST(a_setting_keeps_a_session_from_waking_the_relay),
        TEST(a_transaction_of_two_phases_is_prepared_while_the_relay_sleeps),
    };
    return TEST_RUN(tests);
}
