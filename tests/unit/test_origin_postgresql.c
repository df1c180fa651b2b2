/* The PostgreSQL origin: existing rows while the service changes their keys. */
#include "producer/registry.h"
#include "tests/support/postgresql.h"
#include "tests/support/shop.h"

#include "common/clock.h"
#include "common/postgresql_session.h"

#include <pthread.h>

#define SCHEMA shop_schema("shelf,id", "shelf text,id integer")
#define TABLE  "CREATE TABLE orders (shelf text, id integer, PRIMARY KEY (shelf, id));"
#define WAITS  "SELECT count(*) FROM pg_locks WHERE NOT granted"
#define WAIT_S 20

/* The shop, a session of the service, and how far init has read the rows. */
struct reading {
    struct shop shop;
    PGconn *service;
    struct origin_progress progress;
    size_t limit;
};

static void run(const struct reading *reading, const char *sql)
{
    struct error err = ERROR_INIT;
    if (postgresql_session_execute(reading->service, sql, &err) != STATUS_OK)
        test_fail("%s", err.text);
}

static void reading_begin(struct reading *reading, const char *table)
{
    struct error err = ERROR_INIT;
    *reading = (struct reading){0};
    shop_make(&reading->shop, SCHEMA, table);
    shop_track(&reading->shop);
    const struct server_session_options clerk = {.url = reading->shop.url, .application = "clerk"};
    if (postgresql_session_open(&clerk, &reading->service, &err) != STATUS_OK)
        test_fail("%s", err.text);
}

static void reading_end(struct reading *reading)
{
    postgresql_session_close(reading->service);
    shop_done(&reading->shop);
}

/* Read one chunk. Try again while rows are locked, as `init` does. */
static void *chunk(void *context)
{
    struct reading *reading = context;
    const struct origin_table table = {&reading->shop.entry, reading->shop.schema};
    enum status status;
    do {
        struct error err = ERROR_INIT;
        status = reading->shop.origin->ops->chunk(reading->shop.origin, &table, reading->limit,
                                                  &reading->progress, &err);
        if (status != STATUS_OK && status != STATUS_RETRY)
            test_fail("%s", err.text);
    } while (status != STATUS_OK);
    return NULL;
}

/* Start to read a chunk that must wait for the service's row. Commit the service as soon as it
 * waits. */
static void chunk_behind(struct reading *reading, const char *change)
{
    pthread_t thread;
    int64_t end_us = clock_monotonic_us() + WAIT_S * INT64_C(1000000);
    int64_t waiting = 0;
    run(reading, "BEGIN");
    run(reading, change);
    assert_int_equal(pthread_create(&thread, NULL, chunk, reading), 0);
    while (waiting == 0 && clock_monotonic_us() < end_us) {
        struct error err = ERROR_INIT;
        PGresult *result = NULL;
        if (postgresql_session_query(reading->service, WAITS, NO_SLICES, &result, &err) !=
            STATUS_OK)
            test_fail("%s", err.text);
        waiting = postgresql_session_integer(result, 0, 0);
        PQclear(result);
    }
    run(reading, "COMMIT");
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(waiting > 0);
}

static const char *read_all(struct reading *reading)
{
    reading->limit = 1000;
    while (!reading->progress.done)
        (void)chunk(reading);
    return postgresql_text(reading->shop.url,
                           "SELECT count(*), count(DISTINCT aggregateid) FROM outbox "
                           "WHERE type = 'order.read'");
}

static void a_key_that_moves_up_while_its_row_is_waited_for_hides_no_rows_between(void **state)
{
    (void)state;
    struct reading reading;
    reading_begin(&reading,
                  TABLE "INSERT INTO orders SELECT 'a', i * 10 FROM generate_series(1, 20) AS "
                        "i");
    reading.limit = 5;
    chunk_behind(&reading, "UPDATE orders SET id = 155 WHERE id = 50");
    assert_false(reading.progress.done);
    assert_string_equal(read_all(&reading), "20|20\n");
    assert_string_equal(postgresql_text(reading.shop.url,
                                        "SELECT type FROM outbox WHERE aggregateid LIKE "
                                        "'%155%' ORDER BY position"),
                        "order.created\norder.read\n");
    reading_end(&reading);
}

static void a_first_chunk_whose_rows_all_vanish_does_not_end_the_reading(void **state)
{
    (void)state;
    struct reading reading;
    reading_begin(&reading,
                  TABLE "INSERT INTO orders SELECT 'a', i FROM generate_series(1, 20) AS i");
    reading.limit = 5;
    chunk_behind(&reading, "DELETE FROM orders WHERE id <= 5");
    assert_int_equal(reading.progress.rows, 0);
    assert_false(reading.progress.done);
    assert_string_equal(read_all(&reading), "15|15\n");
    assert_int_equal(reading.progress.rows, 15);
    reading_end(&reading);
}

static void a_new_history_takes_as_long_as_a_large_outbox_needs(void **state)
{
    (void)state;
    struct reading reading;
    struct error err = ERROR_INIT;
    const struct origin_restart restart = {.service = "shop", .incarnation = "new"};
    struct origin_restarted restarted = {0};
    reading_begin(&reading, TABLE);
    postgresql_execute(
        reading.shop.url,
        "CREATE TABLE allowed (time text); CREATE FUNCTION note() RETURNS trigger "
        "LANGUAGE plpgsql AS $$BEGIN INSERT INTO allowed VALUES (TG_OP || "
        "current_setting('statement_timeout')); RETURN coalesce(NEW, OLD); END$$;"
        "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, sequence) "
        "VALUES ('a', 'order', 'k', 't', '{}', 1), ('b', 'order', 'k', 't', '{}', 2);"
        "CREATE TRIGGER note BEFORE DELETE OR UPDATE ON outbox FOR EACH ROW EXECUTE "
        "FUNCTION note()");
    const struct origin_ops *ops = reading.shop.origin->ops;
    if (ops->note_in_log(reading.shop.origin, &(struct origin_note){.id = slice_of("a")}, &err) !=
            STATUS_OK ||
        ops->begin(reading.shop.origin, &err) != STATUS_OK ||
        ops->restart(reading.shop.origin, &restart, &restarted, &err) != STATUS_OK ||
        ops->commit(reading.shop.origin, &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_string_equal(postgresql_text(reading.shop.url, "SELECT time FROM allowed ORDER BY 1"),
                        "DELETE0\nUPDATE0\n");
    reading_end(&reading);
}

static enum status clerk_check(struct shop *shop, struct error *err)
{
    struct origin *origin = NULL;
    struct config config = shop->config;
    const char *url = test_format("postgresql://clerk%s", strchr(shop->url, '@'));
    config.database_path = (char *)(uintptr_t)url;
    enum status status = origin_postgresql_ops.open(&config, ORIGIN_INSTALL, &origin, err);
    if (status == STATUS_OK)
        status = origin->ops->check(origin, &shop->entry, shop->schema, err);
    origin_postgresql_ops.close(origin);
    return status;
}

/* TRUNCATE's trigger would write deletes only for the rows that the policies show. */
static void a_table_whose_row_security_holds_for_the_role_of_init_is_refused(void **state)
{
    (void)state;
    static const char *const hidden[] = {
        "ALTER TABLE orders ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE orders OWNER TO clerk; ALTER TABLE orders FORCE ROW LEVEL SECURITY"};
    static const char *const seen[] = {"ALTER TABLE orders NO FORCE ROW LEVEL SECURITY",
                                       "ALTER TABLE orders FORCE ROW LEVEL SECURITY;"
                                       "ALTER ROLE clerk BYPASSRLS"};
    struct reading reading;
    reading_begin(&reading, TABLE);
    postgresql_execute(reading.shop.url, "CREATE ROLE clerk LOGIN; GRANT ALL ON orders TO clerk");
    for (size_t i = 0; i < 2; i++) {
        struct error err = ERROR_INIT;
        postgresql_execute(reading.shop.url, hidden[i]);
        assert_int_equal(clerk_check(&reading.shop, &err), STATUS_FATAL);
        assert_int_equal(err.exit_code, 78);
        assert_non_null(strstr(err.text, "BYPASSRLS"));
    }
    for (size_t i = 0; i < 2; i++) {
        struct error err = ERROR_INIT;
        postgresql_execute(reading.shop.url, seen[i]);
        if (clerk_check(&reading.shop, &err) != STATUS_OK)
            test_fail("%s", err.text);
    }
    reading_end(&reading);
}

static int64_t notified(struct reading *reading)
{
    int64_t count = 0;
    PGnotify *notice;
    run(reading, "SELECT 1");
    while ((notice = PQnotifies(reading->service)) != NULL) {
        PQfreemem(notice);
        count++;
    }
    return count;
}

#define OWN                                                                                        \
    "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', '{}', 'o', "  \
    "'{}')"

/* Do what a sleeping relay does: hold the lock and listen. */
static void begin_asleep(struct reading *reading)
{
    reading_begin(reading, TABLE);
    run(reading, "LISTEN keepstep_outbox");
    run(reading, "SELECT pg_advisory_lock(1264941907, 'outbox'::regclass::integer)");
}

static void a_setting_keeps_a_session_from_waking_the_relay(void **state)
{
    (void)state;
    struct reading reading;
    begin_asleep(&reading);
    postgresql_execute(reading.shop.url, "INSERT INTO orders VALUES ('a', 1)");
    assert_int_equal(notified(&reading), 1);
    postgresql_execute(reading.shop.url,
                       "SET keepstep.notify = off; INSERT INTO orders VALUES ('a', 2)");
    assert_int_equal(notified(&reading), 0);
    postgresql_execute(reading.shop.url,
                       "BEGIN; SET LOCAL keepstep.notify = off; COMMIT; INSERT INTO "
                       "orders VALUES ('a', 3)");
    assert_int_equal(notified(&reading), 1);
    reading_end(&reading);
}

/* What is rolled back takes its notice with it. */
static void whatever_a_transaction_writes_wakes_the_relay_once(void **state)
{
    static const char *const writes[] = {
        "BEGIN; INSERT INTO orders VALUES ('b', 1), ('b', 2); INSERT INTO orders VALUES ('b', 3); "
        "COMMIT",
        "BEGIN; SAVEPOINT s; INSERT INTO orders VALUES ('b', 4); ROLLBACK TO s; "
        "INSERT INTO orders VALUES ('b', 4); COMMIT",
        "BEGIN; SAVEPOINT s; INSERT INTO orders VALUES ('b', 5); ROLLBACK TO s; " OWN "; COMMIT",
        "BEGIN; INSERT INTO orders VALUES ('b', 5); " OWN "; COMMIT",
        OWN,
        "DO $$BEGIN " OWN "; END$$",
        "TRUNCATE orders",
    };
    (void)state;
    struct reading reading;
    begin_asleep(&reading);
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) {
        postgresql_execute(reading.shop.url, writes[i]);
        if (notified(&reading) != 1)
            test_fail("not one notice: %s", writes[i]);
    }
    reading_end(&reading);
}

/* PREPARE TRANSACTION fails after a NOTIFY. The trigger notifies only while a relay sleeps. */
static void a_transaction_of_two_phases_is_prepared_while_the_relay_sleeps(void **state)
{
    (void)state;
    struct reading reading;
    if (postgresql_server_url() == NULL)
        test_skip("%s", postgresql_skip_reason());
    postgresql_execute(postgresql_server_url(), "ALTER SYSTEM SET max_prepared_transactions = 4");
    postgresql_stop();
    postgresql_start();
    begin_asleep(&reading);
    postgresql_execute(reading.shop.url,
                       "BEGIN; INSERT INTO orders VALUES ('a', 1); PREPARE TRANSACTION "
                       "'two'");
    postgresql_execute(reading.shop.url, "COMMIT PREPARED 'two'");
    assert_string_equal(postgresql_text(reading.shop.url, "SELECT count(*) FROM outbox"), "1\n");
    assert_int_equal(notified(&reading), 0);
    postgresql_execute(reading.shop.url,
                       "SET keepstep.notify = on; INSERT INTO orders VALUES ('a', 2)");
    assert_int_equal(notified(&reading), 1);
    reading_end(&reading);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_that_moves_up_while_its_row_is_waited_for_hides_no_rows_between),
        TEST(a_first_chunk_whose_rows_all_vanish_does_not_end_the_reading),
        TEST(a_new_history_takes_as_long_as_a_large_outbox_needs),
        TEST(a_table_whose_row_security_holds_for_the_role_of_init_is_refused),
        TEST(a_setting_keeps_a_session_from_waking_the_relay),
        TEST(whatever_a_transaction_writes_wakes_the_relay_once),
        TEST(a_transaction_of_two_phases_is_prepared_while_the_relay_sleeps),
    };
    shop_begin(DATABASE_POSTGRESQL);
    return TEST_RUN(tests);
}
