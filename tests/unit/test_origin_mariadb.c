/* The MariaDB origin: existing rows under load, the order of commits, new histories, printed
 * SQL. */
#include "consumer/store/registry.h"
#include "producer/registry.h"
#include "tests/support/database.h"
#include "tests/support/mariadb.h"
#include "tests/support/process.h"
#include "tests/support/shop.h"

#include "common/clock.h"
#include "common/mariadb_session.h"
#include "consumer/store/store.h"
#include "producer/capture/watch.h"
#include "producer/outbox/outbox.h"

#include <pthread.h>
#include <stdio.h>

#define SCHEMA(keys) shop_schema(keys, "id integer,name text,raw bytes")
#define TABLE(key)                                                                                 \
    "CREATE TABLE orders (id BIGINT UNSIGNED, name VARCHAR(40) CHARACTER SET utf8mb4 COLLATE "     \
    "utf8mb4_general_ci, raw VARBINARY(20), PRIMARY KEY (" key "));"
#define LEASE_US (INT64_C(10) * 1000 * 1000)
#define ARENA    ((size_t)16 * 1024 * 1024)
#define LOCK_MS  20000

static MYSQL *clerk(const struct shop *shop)
{
    const struct server_session_options options = {.url = shop->url, .application = "clerk"};
    struct error err = ERROR_INIT;
    MYSQL *session = NULL;
    if (mariadb_session_open(&options, &session, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return session;
}

static void run(MYSQL *session, const char *sql)
{
    struct error err = ERROR_INIT;
    if (mariadb_session_execute(session, sql, &err) != STATUS_OK)
        test_fail("%s", err.text);
}

static int64_t chunk(struct shop *shop, size_t limit, bool *ret_done)
{
    struct error err = ERROR_INIT;
    struct origin_progress progress = {0};
    if (origin_mariadb_ops.chunk(shop->origin, &(struct origin_table){&shop->entry, shop->schema},
                                 limit, &progress, &err) != STATUS_OK)
        test_fail("%s", err.text);
    *ret_done = progress.done;
    return progress.rows;
}

static void rows_of_a_compound_key_are_read_once_each_also_after_a_kill(void **state)
{
    (void)state;
    bool done = false;
    struct shop shop;
    shop_make(&shop, SCHEMA("id,name,raw"), TABLE("raw, name, id"));
    mariadb_execute(shop.url, "INSERT INTO orders SELECT IF(seq % 3 = 0, 18446744073709551615 - "
                              "seq, seq), CONCAT('n\\'', seq % 7), UNHEX(LPAD(HEX(seq % 11), 4, "
                              "'0')) FROM seq_1_to_1000");
    shop_track(&shop);
    for (int64_t expected = 90; !done; expected = expected + 90 < 1000 ? expected + 90 : 1000) {
        assert_int_equal(chunk(&shop, 90, &done), expected);
        origin_mariadb_ops.close(shop.origin); /* as after a kill */
        shop_open(&shop);
    }
    assert_string_equal(mariadb_text(shop.url, "SELECT COUNT(*), COUNT(DISTINCT aggregateid), "
                                               "MIN(type), MAX(type) FROM outbox"),
                        "1000|1000|order.read|order.read\n");
    assert_int_equal(chunk(&shop, 90, &done), 1000);
    assert_string_equal(mariadb_text(shop.url, "SELECT COUNT(*) FROM outbox"), "1000\n");
    shop_done(&shop);
}

/* A thousand of these rows are too large for one message of the server and for a chunk's memory. */
static void wide_rows_are_read_in_chunks_that_fit(void **state)
{
    (void)state;
    bool done = false;
    struct shop shop;
    shop_make(&shop, SCHEMA("id"),
              "CREATE TABLE orders (id BIGINT UNSIGNED PRIMARY KEY, "
              "name MEDIUMTEXT CHARACTER SET utf8mb4, "
              "raw VARBINARY(20))");
    mariadb_execute(shop.url, "INSERT INTO orders SELECT seq, REPEAT('x', 70000), '' "
                              "FROM seq_1_to_1000");
    shop_track(&shop);
    while (!done)
        (void)chunk(&shop, 1000, &done);
    assert_string_equal(mariadb_text(shop.url, "SELECT COUNT(*), COUNT(DISTINCT aggregateid), "
                                               "MIN(LENGTH(payload)) > 70000 FROM outbox"),
                        "1000|1000|1\n");
    shop_done(&shop);
}

static void a_row_larger_than_a_message_is_named_with_what_to_raise(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct origin_progress progress = {0};
    struct shop shop;
    shop_make(&shop, SCHEMA("id"),
              "CREATE TABLE orders (id BIGINT UNSIGNED PRIMARY KEY, "
              "name VARCHAR(40), raw LONGBLOB)");
    mariadb_execute(shop.url, "INSERT INTO orders VALUES (7, 'x', REPEAT('x', 9000000))");
    shop_track(&shop);
    assert_int_equal(origin_mariadb_ops.chunk(shop.origin,
                                              &(struct origin_table){&shop.entry, shop.schema}, 10,
                                              &progress, &err),
                     STATUS_FATAL);
    assert_non_null(strstr(err.text, "table orders: the row {\"id\":7}"));
    assert_non_null(strstr(err.text, "max_allowed_packet"));
    /* The service's own change of this row fails. A change that cannot be published is not kept. */
    MYSQL *session = clerk(&shop);
    run(session, "SET sql_mode = ''");
    error_clear(&err);
    assert_int_equal(mariadb_session_execute(session, "UPDATE orders SET name = 'y'", &err),
                     STATUS_REJECT);
    assert_non_null(strstr(err.text, "larger than max_allowed_packet"));
    mariadb_session_close(session);
    shop_done(&shop);
}

struct chunker {
    struct shop *shop;
    int64_t rows;
    bool done;
};

static void *chunk_all(void *context)
{
    struct chunker *chunker = context;
    while (!chunker->done)
        chunker->rows = chunk(chunker->shop, 1000, &chunker->done);
    return NULL;
}

/* The service locks row 700, then wants row 10. If init locked the rows before 700 and waited for
 * 700, the two would be in a deadlock. */
static void present_rows_wait_for_the_services_and_it_never_for_them(void **state)
{
    (void)state;
    pthread_t thread;
    struct shop shop;
    shop_make(&shop, SCHEMA("id"), TABLE("id"));
    mariadb_execute(shop.url, "INSERT INTO orders SELECT seq, 'old', '' FROM seq_1_to_2000");
    shop_track(&shop);
    struct chunker chunker = {.shop = &shop};
    MYSQL *session = clerk(&shop);
    run(session, "UPDATE orders SET name = 'new' WHERE id = 700");
    assert_int_equal(pthread_create(&thread, NULL, chunk_all, &chunker), 0);
    clock_sleep_us(1000 * 1000);
    run(session, "UPDATE orders SET name = 'new' WHERE id = 10");
    clock_sleep_us(500 * 1000);
    run(session, "COMMIT");
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(chunker.rows, 2000);
    /* The newest row is read. Its event comes after the change that the row contains. */
    assert_string_equal(mariadb_text(shop.url, "SELECT type, JSON_VALUE(payload, '$.after.name') "
                                               "FROM outbox WHERE aggregateid = '{\"id\":700}' "
                                               "ORDER BY position"),
                        "order.updated|new\norder.read|new\n");
    assert_string_equal(mariadb_text(shop.url, "SELECT COUNT(*) FROM outbox WHERE type = "
                                               "'order.read'"),
                        "2000\n");
    mariadb_session_close(session);
    shop_done(&shop);
}

static void a_key_that_moves_up_while_its_row_is_waited_for_hides_no_rows_between(void **state)
{
    (void)state;
    pthread_t thread;
    bool done = false;
    struct shop shop;
    shop_make(&shop, SCHEMA("id"), TABLE("id"));
    mariadb_execute(shop.url, "INSERT INTO orders SELECT seq * 10, 'x', '' FROM seq_1_to_20");
    shop_track(&shop);
    MYSQL *session = clerk(&shop);
    run(session, "UPDATE orders SET id = 155 WHERE id = 10");
    struct chunker chunker = {.shop = &shop};
    assert_int_equal(pthread_create(&thread, NULL, chunk_all, &chunker), 0);
    clock_sleep_us(1000 * 1000);
    run(session, "COMMIT");
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(chunk(&shop, 1000, &done), 20);
    assert_string_equal(mariadb_text(shop.url, "SELECT COUNT(*), COUNT(DISTINCT aggregateid) FROM "
                                               "outbox WHERE type = 'order.read'"),
                        "20|20\n");
    mariadb_session_close(session);
    shop_done(&shop);
}

static void *insert_slowly(void *session)
{
    run(session, "INSERT INTO orders SELECT seq, IF(seq = 2, GET_LOCK('slow', 60), 'x'), '' FROM "
                 "seq_1_to_3");
    run(session, "COMMIT");
    return NULL;
}

/* INSERT ... SELECT in a trigger would lock the outbox's numbers until the statement ends. */
static void a_long_statement_keeps_no_other_writer_waiting(void **state)
{
    (void)state;
    pthread_t thread;
    struct shop shop;
    shop_make(&shop, SCHEMA("id"), TABLE("id"));
    shop_track(&shop);
    MYSQL *slow = clerk(&shop);
    MYSQL *quick = clerk(&shop);
    run(quick, "DO GET_LOCK('slow', 0)");
    assert_int_equal(pthread_create(&thread, NULL, insert_slowly, slow), 0);
    assert_true(database_wait_for(shop.url,
                                  "SELECT count(*) FROM information_schema.processlist WHERE state "
                                  "= 'User lock'",
                                  "1\n", LOCK_MS));
    run(quick, "INSERT INTO orders VALUES (9, 'x', '')");
    run(quick, "COMMIT");
    const char *seen = mariadb_text(shop.url, "SELECT aggregateid FROM outbox");
    run(quick, "DO RELEASE_LOCK('slow')");
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(seen, "{\"id\":9}\n");
    assert_string_equal(mariadb_text(shop.url, "SELECT COUNT(*) FROM outbox"), "4\n");
    mariadb_session_close(slow);
    mariadb_session_close(quick);
    shop_done(&shop);
}

static struct outbox *relay(const struct shop *shop, struct lease *ret_lease)
{
    struct error err = ERROR_INIT;
    struct outbox *outbox = NULL;
    const struct outbox_options options = {.path = shop->url, .service = "shop", .instance = "1"};
    if (outbox_mariadb_ops.open(&options, &outbox, &err) != STATUS_OK ||
        outbox_mariadb_ops.take_lease(outbox, LEASE_US, ret_lease, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return outbox;
}

/* Claim what waits. @return the keys in the order of their sequences, starting at `from`. */
static const char *claim(struct outbox *outbox, const struct lease *lease, uint64_t from)
{
    struct error err = ERROR_INIT;
    struct outbox_rows rows = {0};
    struct arena arena;
    const char *keys = "";
    arena_init(&arena, ARENA);
    const struct outbox_extent extent = {.rows = 100, .payload_bytes = ARENA, .total_bytes = ARENA};
    if (outbox->ops->load_waiting(outbox, &extent, &arena, &rows, &err) != STATUS_OK)
        test_fail("%s", err.text);
    for (size_t i = 0; i < rows.count; i++) {
        rows.rows[i].topic = "order";
        rows.rows[i].sequence = from + i;
        keys = test_format("%s%.*s %.*s ", keys, SLICE_ARGS(rows.rows[i].entity_key),
                           SLICE_ARGS(rows.rows[i].type));
    }
    if (outbox->ops->claim(outbox, lease,
                           &(struct outbox_claim){rows.rows, rows.count, NULL, 0, NULL},
                           &err) != STATUS_OK)
        test_fail("%s", err.text);
    arena_done(&arena);
    return keys;
}

static void *update_one(void *session)
{
    run(session, "UPDATE orders SET name = 'second' WHERE id = 1");
    run(session, "COMMIT");
    return NULL;
}

static void the_order_of_an_entity_is_its_order_of_commits(void **state)
{
    (void)state;
    pthread_t thread;
    struct lease lease;
    struct shop shop;
    shop_make(&shop, SCHEMA("id"), TABLE("id"));
    shop_track(&shop);
    struct outbox *outbox = relay(&shop, &lease);
    MYSQL *first = clerk(&shop);
    MYSQL *second = clerk(&shop);

    /* Rows become visible in another order than their positions, and nobody waits. */
    run(first, "INSERT INTO orders VALUES (1, 'first', '')");
    run(second, "INSERT INTO orders VALUES (2, 'x', '')");
    run(second, "COMMIT");
    assert_string_equal(claim(outbox, &lease, 1), "{\"id\":2} order.created ");
    run(first, "COMMIT");
    assert_string_equal(claim(outbox, &lease, 2), "{\"id\":1} order.created ");
    assert_string_equal(mariadb_text(shop.url, "SELECT sequence FROM outbox ORDER BY position"),
                        "2\n1\n");

    /* Both change one entity. The second change waits for the row, so its position comes later
     * too. */
    run(first, "UPDATE orders SET name = 'first' WHERE id = 1");
    run(first, "UPDATE orders SET name = 'again' WHERE id = 1");
    assert_int_equal(pthread_create(&thread, NULL, update_one, second), 0);
    clock_sleep_us(300 * 1000);
    assert_string_equal(claim(outbox, &lease, 3), "");
    run(first, "COMMIT");
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)claim(outbox, &lease, 3);
    assert_string_equal(mariadb_text(shop.url, "SELECT JSON_VALUE(payload, '$.after.name') FROM "
                                               "outbox WHERE sequence > 2 ORDER BY sequence"),
                        "again\nsecond\n");

    /* Neither a rolled-back position nor a long transaction delays the others. */
    run(first, "INSERT INTO orders VALUES (3, 'gone', '')");
    run(second, "INSERT INTO orders VALUES (4, 'long', '')");
    run(first, "ROLLBACK");
    run(first, "INSERT INTO orders VALUES (5, 'x', '')");
    run(first, "COMMIT");
    assert_string_equal(claim(outbox, &lease, 5), "{\"id\":5} order.created ");
    run(second, "COMMIT");
    assert_string_equal(claim(outbox, &lease, 6), "{\"id\":4} order.created ");
    mariadb_session_close(first);
    mariadb_session_close(second);
    outbox->ops->close(outbox);
    shop_done(&shop);
}

static void a_new_history_drops_what_the_log_has_and_numbers_anew(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct lease lease;
    struct origin_lease held;
    bool initialised = false;
    bool done = false;
    const struct origin_restart restart = {.service = "shop",
                                           .incarnation = "01942f6e-0000-7000-8000-00000000002a"};
    struct origin_restarted restarted = {0};
    struct shop shop;
    shop_make(&shop, SCHEMA("id"), TABLE("id"));
    shop_open(&shop);
    const struct origin_ops *ops = shop.origin->ops;
    assert_int_equal(ops->lease(shop.origin, &initialised, &held, &err), STATUS_OK);
    assert_false(initialised);
    assert_int_equal(shop_init(&shop, false, &err), STATUS_OK);
    assert_int_equal(ops->lease(shop.origin, &initialised, &held, &err), STATUS_OK);
    assert_true(initialised);
    mariadb_execute(shop.url, "INSERT INTO orders SELECT seq, 'x', '' FROM seq_1_to_3");
    assert_int_equal(chunk(&shop, 10, &done), 3);
    struct outbox *outbox = relay(&shop, &lease);
    assert_int_equal(ops->lease(shop.origin, &initialised, &held, &err), STATUS_OK);
    assert_string_equal(held.holder, "1");
    (void)claim(outbox, &lease, 1);
    mariadb_execute(shop.url, "INSERT INTO keepstep_relay_partition VALUES ('order', 0, 6, 'x', 2, "
                              "1, 'x'); UPDATE outbox SET kafka_partition = 0");
    mariadb_execute(shop.url, "UPDATE outbox SET id = 'given' WHERE sequence = 5");
    mariadb_execute(shop.url, "SET GLOBAL innodb_force_primary_key = 1");
    assert_int_equal(
        ops->note_in_log(shop.origin, &(struct origin_note){.id = slice_of("given")}, &err),
        STATUS_OK);
    assert_int_equal(
        ops->note_in_log(shop.origin, &(struct origin_note){.id = slice_of("given")}, &err),
        STATUS_OK);
    assert_int_equal(
        ops->note_in_log(shop.origin, &(struct origin_note){.id = slice_of("unknown")}, &err),
        STATUS_OK);
    assert_int_equal(ops->note_log_end(shop.origin, "order", 2, 77, &err), STATUS_OK);
    /* These statements may run longer than all others, because an outbox can be large. */
    mariadb_execute(shop.url, "SET GLOBAL innodb_force_primary_key = 0;"
                              "CREATE TABLE allowed (seconds DOUBLE);"
                              "CREATE TRIGGER d BEFORE DELETE ON outbox FOR EACH ROW INSERT INTO "
                              "allowed VALUES (@@max_statement_time);"
                              "CREATE TRIGGER u BEFORE UPDATE ON outbox FOR EACH ROW INSERT INTO "
                              "allowed VALUES (@@max_statement_time)");
    assert_int_equal(ops->begin(shop.origin, &err), STATUS_OK);
    assert_int_equal(ops->restart(shop.origin, &restart, &restarted, &err), STATUS_OK);
    assert_int_equal(ops->commit(shop.origin, &err), STATUS_OK);
    assert_int_equal(restarted.dropped, 1);
    assert_string_equal(mariadb_text(shop.url, "SELECT COUNT(*), MAX(seconds) FROM allowed"),
                        "6|0\n");
    assert_string_equal(mariadb_text(shop.url, "SELECT COUNT(*), COUNT(sequence) FROM outbox;"
                                               "SELECT incarnation, holder FROM keepstep_relay;"
                                               "SELECT * FROM keepstep_relay_wait;"
                                               "SELECT COUNT(*) FROM keepstep_relay_partition"),
                        "3|0\n01942f6e-0000-7000-8000-00000000002a|\norder|2|77\n0\n");
    assert_int_equal(outbox->ops->acknowledge(outbox, &lease, NULL, 0, &err), STATUS_ABORT);
    assert_int_equal(chunk(&shop, 10, &done), 3);
    outbox->ops->close(outbox);
    shop_done(&shop);
}

static void events_are_written_all_or_none(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct shop shop;
    shop_make(&shop, SCHEMA("id"), TABLE("id"));
    shop_track(&shop);
    struct origin_event events[] = {{slice_of("order"),
                                     slice_of("{\"id\":1}"),
                                     slice_of("order.created"),
                                     slice_of("{}"),
                                     slice_of("00-trace"),
                                     {0}},
                                    {slice_of("order"),
                                     slice_of("{\"id\":2}"),
                                     slice_of("order.created"),
                                     slice_of("{}"),
                                     {0},
                                     slice_of("é")}};
    assert_int_equal(shop.origin->ops->write(shop.origin, events, 2, &err), STATUS_OK);
    events[1].payload = (struct slice){0};
    assert_int_not_equal(shop.origin->ops->write(shop.origin, events, 2, &err), STATUS_OK);
    assert_string_equal(mariadb_text(shop.url, "SELECT aggregateid, traceparent, partition_key "
                                               "FROM outbox ORDER BY position"),
                        "{\"id\":1}|00-trace|NULL\n{\"id\":2}|NULL|é\n");
    shop_done(&shop);
}

static void what_init_prints_makes_what_init_makes(void **state)
{
    (void)state;
    struct shop shop;
    shop_make(&shop, SCHEMA("id"), TABLE("id"));
    struct error err = ERROR_INIT;
    struct store_options options = {.path = shop.url, .service = "shop", .install = true};
    struct store *store = NULL; /* the grants name its tables */
    if (store_find(shop.url)->open(&options, &store, &err) != STATUS_OK)
        test_fail("%s", err.text);
    store->ops->close(store);
    (void)shop_print(&shop);
    const char *client = test_format("mariadb --no-defaults --user=root --socket=%s/socket "
                                     "--default-character-set=latin1 shop < %s",
                                     mariadb_directory(), test_path("init.sql"));
    struct process_result result = PROCESS_RUN("/bin/sh", "-c", client);
    if (result.exit_code != 0)
        test_fail("%s", result.errors);
    assert_int_equal(shop_init(&shop, false, &err), STATUS_OK);
    const char *again = test_read_file(test_path("init.txt"));
    assert_null(strstr(again, "created"));
    assert_null(strstr(again, "changed"));
    mariadb_execute(shop.url, "INSERT INTO orders VALUES (1, 'é', '')");
    assert_string_equal(mariadb_text(shop.url, "SELECT JSON_VALUE(payload, '$.after.name') "
                                               "FROM outbox"),
                        "é\n");
    shop_done(&shop);
}

/* The role of lag sees how many rows wait and since when. It sees no payload. */
static void the_role_of_lag_counts_and_reads_no_payload(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct outbox *outbox = NULL;
    struct outbox_counts counts;
    struct lease lease;
    struct shop shop;
    shop_make(&shop, SCHEMA("id"), TABLE("id"));
    struct store_options store_options = {.path = shop.url, .service = "shop", .install = true};
    struct store *store = NULL;
    if (store_find(shop.url)->open(&store_options, &store, &err) != STATUS_OK)
        test_fail("%s", err.text);
    store->ops->close(store);
    shop_track(&shop);
    mariadb_execute(shop.url, strstr(shop_print(&shop), "CREATE ROLE"));
    mariadb_execute(shop.url, "INSERT INTO orders VALUES (1, 'x', '');"
                              "CREATE OR REPLACE USER lag@localhost;"
                              "GRANT keepstep_lag TO lag@localhost;"
                              "SET DEFAULT ROLE keepstep_lag FOR lag@localhost");
    const char *url = test_format("mysql://lag%s", strchr(shop.url, '@'));
    const struct outbox_options options = {.path = url, .service = "shop", .read_only = true};
    assert_int_equal(outbox_mariadb_ops.open(&options, &outbox, &err), STATUS_OK);
    assert_int_equal(outbox->ops->count(outbox, &counts, &err), STATUS_OK);
    assert_int_equal(counts.waiting, 1);
    assert_true(clock_wall_us() - counts.oldest_waiting_us < LEASE_US);
    assert_int_equal(outbox->ops->read_lease(outbox, &lease, &err), STATUS_OK);
    assert_int_not_equal(outbox->ops->take_lease(outbox, LEASE_US, &lease, &err), STATUS_OK);
    outbox->ops->close(outbox);
    const struct server_session_options reader = {.url = url, .application = "lag"};
    MYSQL *session = NULL;
    error_clear(&err);
    assert_int_equal(mariadb_session_open(&reader, &session, &err), STATUS_OK);
    assert_int_not_equal(mysql_query(session, "SELECT payload FROM outbox"), 0);
    assert_int_not_equal(mysql_query(session, "DELETE FROM outbox"), 0);
    mariadb_session_close(session);
    shop_done(&shop);
}

static void init_waits_only_a_moment_for_a_table_in_use(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct arena arena;
    struct origin_objects objects = {.arena = &arena};
    struct shop shop;
    shop_make(&shop, SCHEMA("id"), TABLE("id"));
    shop_track(&shop);
    arena_init(&arena, ARENA);
    MYSQL *session = clerk(&shop);
    run(session, "INSERT INTO orders VALUES (1, 'x', '')");
    assert_int_equal(
        shop.origin->ops->capture(shop.origin, &shop.entry, shop.schema, &objects, &err),
        STATUS_OK);
    int64_t start = clock_monotonic_us();
    assert_int_equal(shop.origin->ops->create(shop.origin, &objects.items[0], true, &err),
                     STATUS_RETRY);
    assert_true(clock_monotonic_us() - start < INT64_C(4) * 1000 * 1000); /* less than its 5 s */
    run(session, "COMMIT");
    error_clear(&err);
    shop.origin->ops->rollback(shop.origin);
    assert_int_equal(shop.origin->ops->create(shop.origin, &objects.items[0], true, &err),
                     STATUS_OK);
    mariadb_session_close(session);
    arena_done(&arena);
    shop_done(&shop);
}

/* This test sets lower_case_table_names. It is last but one because it restarts the server. */
static void a_table_whose_name_the_server_keeps_in_small_letters_is_its_own(void **state)
{
    (void)state;
    static const char *const small[] = {"--lower-case-table-names=1", "--skip-log-bin"};
    struct shop shop;
    struct error err = ERROR_INIT;
    struct capture_finding finding;
    shop_make(&shop, SCHEMA("id"), TABLE("id"));
    mariadb_stop();
    mariadb_start_with(small);
    shop.entry.table = (char *)"Orders";
    for (int i = 0; i < 2; i++) {
        if (shop_init(&shop, true, &err) != STATUS_OK)
            test_fail("%s", err.text);
        const char *said = test_read_file(test_path("init.txt"));
        if (strstr(said, "MENDED") != NULL || (i > 0 && strstr(said, "changed") != NULL))
            test_fail("%s", said);
        const struct entity_schema *schemas[] = {shop.schema};
        if (capture_compare(&shop.config, schemas, NULL, NULL, &finding) != 0)
            test_fail("%s", finding.text);
    }
    shop_done(&shop);
    mariadb_stop();
    mariadb_start();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(rows_of_a_compound_key_are_read_once_each_also_after_a_kill, 120),
        TEST_WITH_LIMIT(wide_rows_are_read_in_chunks_that_fit, 120),
        TEST(a_row_larger_than_a_message_is_named_with_what_to_raise),
        TEST_WITH_LIMIT(present_rows_wait_for_the_services_and_it_never_for_them, 120),
        TEST(a_key_that_moves_up_while_its_row_is_waited_for_hides_no_rows_between),
        TEST(a_long_statement_keeps_no_other_writer_waiting),
        TEST(the_order_of_an_entity_is_its_order_of_commits),
        TEST(a_new_history_drops_what_the_log_has_and_numbers_anew),
        TEST(events_are_written_all_or_none),
        TEST(what_init_prints_makes_what_init_makes),
        TEST(the_role_of_lag_counts_and_reads_no_payload),
        TEST(init_waits_only_a_moment_for_a_table_in_use),
        TEST(a_table_whose_name_the_server_keeps_in_small_letters_is_its_own),
    };
    shop_begin(DATABASE_MARIADB);
    return TEST_RUN(tests);
}
