/* One small shop in SQLite: capture triggers, init, the outbox and the relay. */
#include "tests/support/session.h"
#include "tests/support/shop.h"
#include "tests/support/sql.h"

#include "common/clock.h"
#include "producer/sqlite/capture.h"
#include "producer/publish_lines.h"
#include "producer/relay/relay.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <pthread.h>

#define SCHEMA                                                                                     \
    shop_schema("id", "id integer,name text,price decimal,weight double,image bytes,paid boolean," \
                      "at date-time")
#define TABLE                                                                                      \
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, price TEXT, "          \
    "weight REAL, image BLOB, paid INTEGER, at TEXT, note TEXT)"

static void every_value_is_written_in_the_form_of_its_type(void **state)
{
    (void)state;
    struct shop shop;
    shop_ready(&shop, SCHEMA, TABLE);
    (void)database_text(shop.url, "INSERT INTO orders VALUES (9007199254740993, 'a\"b', '12.50', "
                                  "0.1, x'00ff', 1, '2026-11-23 09:42:00.5', 'n')");
    assert_string_equal(
        database_text(shop.url, "SELECT aggregateid, type, payload FROM outbox"),
        "{\"id\":9007199254740993}|order.created|{\"op\":\"c\",\"before\":null,\"after\":{\"id\":"
        "9007199254740993,\"name\":\"a\\\"b\",\"price\":\"12.50\",\"weight\":"
        "0.10000000000000000555,\"image\":\"00FF\",\"paid\":true,"
        "\"at\":\"2026-11-23T09:42:00.500000Z\"}}\n");
    shop_done(&shop);
}

#define MOMENT "2026-02-28T01:02:03.123456Z"

/* What looks like the one form of a moment is written as it is; only what is another form of one is
 * rewritten. */
static void a_moment_gets_its_one_form_and_anything_else_stays(void **state)
{
    static const char *const moments[][2] = {
        {"'" MOMENT "'", MOMENT},
        {"'2026-02-28 01:02:03.123456'", MOMENT},
        {"'" MOMENT "Z'", MOMENT},
        {"'" MOMENT "' || char(0) || 'more'", MOMENT},
        {"CAST('" MOMENT "' AS BLOB)", MOMENT},
        {"CAST('" MOMENT "' || char(0) AS BLOB)", MOMENT "\\u0000"},
        {"'2026-02-28T01:02:03.12345Z'", "2026-02-28T01:02:03.123450Z"},
        {"'2026-99-99T99:99:99.123456Z'", "2026-99-99T99:99:99.123456Z"},
        {"'abcdefghijT12345678.000000Z'", "abcdefghijT12345678.000000Z"},
        {"'\"bcdefghijT12345678.000000Z'", "\\\"bcdefghijT12345678.000000Z"},
        {"char(233) || 'bcdefghijT12345678.000000Z'", "\xc3\xa9"
                                                      "bcdefghijT12345678.000000Z"},
        {"'abcdefghi' || char(0) || 'T12345678.000000Z'", "abcdefghi\\u0000T12345678.000000Z"},
        {"' " MOMENT "'", " " MOMENT},
    };
    (void)state;
    struct shop shop;
    shop_ready(&shop, SCHEMA, TABLE);
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
        (void)database_text(shop.url, test_format("INSERT INTO orders (id, at) VALUES (%zu, %s)", i,
                                                  moments[i][0]));
        const char *payload = database_text(
            shop.url, "SELECT payload FROM outbox ORDER BY position DESC LIMIT 1");
        if (strstr(payload, test_format("\"at\":\"%s\"}", moments[i][1])) == NULL)
            test_fail("%s is %s", moments[i][0], payload);
    }
    shop_done(&shop);
}

static void an_update_of_no_mapped_column_is_not_captured_and_case_is(void **state)
{
    (void)state;
    struct shop shop;
    shop_ready(&shop, SCHEMA, TABLE);
    (void)database_text(shop.url, "INSERT INTO orders (id, name) VALUES (1, 'a');"
                                  "UPDATE orders SET note = 'x'; UPDATE orders SET name = 'A';"
                                  "UPDATE orders SET id = 2; DELETE FROM orders;"
                                  "INSERT INTO keepstep_applying VALUES ('orders');"
                                  "INSERT INTO orders (id) VALUES (3)");
    assert_string_equal(database_text(shop.url, "SELECT aggregateid, type FROM outbox"),
                        "{\"id\":1}|order.created\n{\"id\":1}|order.updated\n"
                        "{\"id\":1}|order.deleted\n{\"id\":2}|order.created\n"
                        "{\"id\":2}|order.deleted\n");
    assert_int_equal(sqlite_number(shop.config.database_path,
                                   "SELECT count(*) FROM outbox WHERE id IS NULL "
                                   "AND created_at LIKE '20__-__-__T__:__:__.______Z'"),
                     5);
    shop_done(&shop);
}

static void a_table_with_a_second_unique_index_is_refused_and_what_to_do_is_said(void **state)
{
    static const struct {
        const char *ddl;
        const char *says;
    } cases[] = {
        {TABLE ";CREATE UNIQUE INDEX by_name ON orders (name, price || 'x')",
         "publish.order: table orders has a second unique index, through which REPLACE removes "
         "rows "
         "without a trigger; index by_name of name, an expression: drop it, or make it anew "
         "without "
         "UNIQUE"},
        {"CREATE TABLE orders (id INTEGER PRIMARY KEY, name TEXT, price TEXT, weight REAL, image "
         "BLOB, paid INTEGER, at TEXT, UNIQUE (name, paid))",
         "the constraint UNIQUE (name, paid): make the table anew without it"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct shop shop;
        struct error err = ERROR_INIT;
        shop_make(&shop, SCHEMA, test_format("DROP TABLE IF EXISTS orders;%s", cases[i].ddl));
        assert_int_equal(shop_init(&shop, true, &err), STATUS_FATAL);
        assert_int_equal(err.exit_code, 78);
        if (strstr(err.text, cases[i].says) == NULL)
            test_fail("%s", err.text);
        shop_done(&shop);
    }
}

/* The check of the triggers runs while others write. If the catalogue is locked, nothing is
 * reported missing. */
static void a_catalogue_that_is_locked_is_no_table_that_is_missing(void **state)
{
    (void)state;
    struct shop shop;
    struct error err = ERROR_INIT;
    sqlite3 *db = NULL;
    shop_ready(&shop, SCHEMA, TABLE);
    const struct check check = {
        .config = &shop.config, .entry = &shop.entry, .schema = shop.schema, .watching = true};
    (void)database_text(shop.url, "PRAGMA journal_mode = DELETE");
    assert_int_equal(
        sqlite_session_open(shop.config.database_path, SQLITE_OPEN_READONLY, &db, &err), STATUS_OK);
    assert_int_equal(capture_sqlite_check(db, &check, &err), STATUS_OK);
    (void)sqlite3_busy_timeout(db, 0);
    struct session *writer = session_open(shop.url);
    session_run(writer, "BEGIN EXCLUSIVE", NULL);
    assert_int_equal(capture_sqlite_check(db, &check, &err), STATUS_RETRY);
    error_clear(&err);
    assert_int_equal(capture_sqlite_check_keys(db, &check, &err), STATUS_RETRY);
    session_close(writer);
    (void)sqlite3_close_v2(db);
    shop_done(&shop);
}

static void a_cascade_within_a_table_that_is_also_applied_is_refused(void **state)
{
    (void)state;
    struct shop shop;
    struct error err = ERROR_INIT;
    shop_make(&shop, SCHEMA,
              TABLE ";ALTER TABLE orders ADD parent REFERENCES Orders ON DELETE SET NULL");
    assert_int_equal(shop_init(&shop, true, &err), STATUS_OK);
    shop.config.apply = &shop.entry;
    shop.config.apply_count = 1;
    assert_int_equal(shop_init(&shop, true, &err), STATUS_FATAL);
    assert_non_null(strstr(err.text, "parent"));
    shop_done(&shop);
}

#define DOC_SCHEMA shop_schema("id", "id text,name text")

static void fails_with(const struct shop *shop, const char *sql, const char *what)
{
    struct session *session = session_open(shop->url);
    const char *error = session_try(session, sql, NULL);
    if (error == NULL || strstr(error, what) == NULL)
        test_fail("%s: %s", sql, error == NULL ? "was not refused" : error);
    session_close(session);
}

static void a_primary_key_of_null_is_refused_where_it_stands_and_where_it_is_written(void **state)
{
    static const char *const declared[] = {
        "id TEXT PRIMARY KEY, name)", "id TEXT, name, PRIMARY KEY (id))",
        "id TEXT PRIMARY KEY NOT NULL, name)", "id TEXT PRIMARY KEY, name TEXT) STRICT",
        "id TEXT PRIMARY KEY, name) WITHOUT ROWID"};
    (void)state;
    for (size_t i = 0; i < sizeof declared / sizeof *declared; i++) {
        bool holds = i < 2; /* the other declarations imply NOT NULL */
        struct shop shop;
        struct error err = ERROR_INIT;
        shop_make(&shop, DOC_SCHEMA,
                  test_format("DROP TABLE IF EXISTS outbox; DROP TABLE IF EXISTS orders;"
                              "DROP TABLE IF EXISTS keepstep_existing;"
                              "CREATE TABLE orders (%s;"
                              "INSERT OR IGNORE INTO orders VALUES (NULL, 'n'), ('a', 'x')",
                              declared[i]));
        if (holds) {
            assert_int_equal(shop_init(&shop, true, &err), STATUS_FATAL);
            assert_int_equal(err.exit_code, 78);
            assert_non_null(strstr(err.text, "NULL in their primary key"));
            (void)database_text(shop.url, "DELETE FROM orders WHERE id IS NULL");
            error_clear(&err);
        }
        if (shop_init(&shop, true, &err) != STATUS_OK)
            test_fail("%s", err.text);
        fails_with(&shop, "INSERT INTO orders VALUES (NULL, 'n')", "orders");
        fails_with(&shop, "UPDATE OR ABORT orders SET id = NULL WHERE id = 'a'", "orders");
        if (holds)
            fails_with(&shop, "INSERT OR IGNORE INTO orders VALUES (NULL, 'n')",
                       "keepstep: column id of table orders");
        (void)database_text(shop.url, "INSERT INTO orders VALUES ('b', 'y'), ('', 'z')");
        assert_string_equal(
            database_text(shop.url, "SELECT aggregateid, type FROM outbox ORDER BY position"),
            "{\"id\":\"a\"}|order.read\n{\"id\":\"b\"}|order.created\n"
            "{\"id\":\"\"}|order.created\n");
        shop_done(&shop);
    }
}

static void a_foreign_outbox_table_is_never_adopted(void **state)
{
    (void)state;
    struct shop shop;
    struct error err = ERROR_INIT;
    shop_make(&shop, SCHEMA, TABLE ";CREATE TABLE Outbox (id)");
    assert_int_equal(shop_init(&shop, true, &err), STATUS_FATAL);
    shop_done(&shop);
}

static void rows_that_are_there_are_published_once(void **state)
{
    (void)state;
    struct shop shop;
    struct error err = ERROR_INIT;
    shop_make(&shop, SCHEMA,
              TABLE ";WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) "
                    "INSERT INTO orders (id) SELECT i FROM n");
    assert_int_equal(shop_init(&shop, true, &err), STATUS_OK);
    assert_int_equal(shop_init(&shop, true, &err), STATUS_OK);
    assert_int_equal(sqlite_number(shop.config.database_path,
                                   "SELECT count(DISTINCT aggregateid) FROM outbox "
                                   "WHERE type = 'order.read'"),
                     2500);
    assert_int_equal(sqlite_number(shop.config.database_path, "SELECT count(*) FROM outbox"), 2500);
    assert_null(strstr(test_read_file(test_path("init.txt")), "created"));
    shop_done(&shop);
}

static void lines_are_checked_and_written_or_refused_by_their_number(void **state)
{
    (void)state;
    struct shop shop;
    struct error err = ERROR_INIT;
    int64_t written = 0;
    shop_ready(&shop, SCHEMA, TABLE);
    const struct entity_schema *schemas[] = {shop.schema};
    char lines[] = "{\"type\":\"order.updated\",\"key\":42,\"after\":{\"id\":42}}\n\n"
                   "{\"type\":\"order.deleted\",\"key\":{\"id\":42}}\n";
    FILE *in = fmemopen(lines, sizeof lines - 1, "r");
    if (publish_lines(&shop.config, schemas, in, &written, &err) != STATUS_OK)
        test_fail("%s", err.text);
    (void)fclose(in);
    assert_int_equal(written, 2);
    assert_string_equal(
        database_text(shop.url, "SELECT aggregatetype, aggregateid, type, payload FROM outbox"),
        "order|{\"id\":42}|order.updated|{\"op\":\"u\",\"before\":null,\"after\":{\"id\":42}}\n"
        "order|{\"id\":42}|order.deleted|{\"op\":\"d\",\"before\":null,\"after\":null}\n");
    char wrong[] = "{\"type\":\"order.updated\",\"key\":1,\"after\":{\"id\":2}}\n";
    in = fmemopen(wrong, sizeof wrong - 1, "r");
    assert_int_equal(publish_lines(&shop.config, schemas, in, &written, &err), STATUS_REJECT);
    assert_non_null(strstr(err.text, "line 1"));
    (void)fclose(in);
    shop_done(&shop);
}

struct run {
    struct shop *shop;
    struct relay_metrics metrics;
    atomic_bool stop;
    struct error err;
    enum status status;
};

static void *run_relay(void *context)
{
    struct run *run = context;
    const struct entity_schema *schemas[] = {run->shop->schema};
    struct relay_options options = {
        .config = &run->shop->config, .schemas = schemas, .metrics = &run->metrics};
    struct relay *relay = NULL;
    run->status = relay_new(&options, &relay, &run->err);
    if (run->status == STATUS_OK)
        run->status = relay_run(relay, &run->stop, &run->err);
    relay_free(relay);
    return NULL;
}

static enum status run_until(struct shop *shop, const char *sql, const char *expected,
                             struct run *run)
{
    pthread_t thread;
    *run = (struct run){.shop = shop};
    assert_int_equal(pthread_create(&thread, NULL, run_relay, run), 0);
    bool held = database_wait_for(shop->url, sql, expected, 15000);
    atomic_store(&run->stop, true);
    (void)pthread_join(thread, NULL);
    if (!held && run->status == STATUS_OK)
        test_fail("never held: %s; is %s", sql, database_text(shop->url, sql));
    return run->status;
}

static void the_relay_publishes_adopts_and_detects_a_rewound_outbox(void **state)
{
    static const char sum[] = "SELECT sum(acknowledged_sequence), sum(last_sequence) "
                              "FROM keepstep_relay_partition";
    (void)state;
    struct shop shop;
    struct run run;
    char text[512];
    rd_kafka_t *handle = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), text, sizeof text);
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(handle, 1);
    (void)rd_kafka_mock_topic_create(cluster, "order", 3, 1);
    struct text_pair kafka = {(char *)"bootstrap.servers",
                              (char *)(uintptr_t)rd_kafka_mock_cluster_bootstraps(cluster)};
    shop_ready(&shop, SCHEMA,
               TABLE ";WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) "
                     "INSERT INTO orders (id, name) SELECT i, 'x' FROM n");
    shop.config.kafka = &kafka;
    shop.config.kafka_count = 1;
    int64_t start = clock_monotonic_us();
    (void)run_until(&shop, sum, "2500|2500\n", &run);
    print_message("2500 rows in %lld ms\n", (long long)(clock_monotonic_us() - start) / 1000);
    assert_int_equal(run.status, STATUS_OK);

    /* The acknowledgements are lost. The relay adopts the records in the log and sends nothing
     * again. */
    (void)database_text(shop.url, "UPDATE keepstep_relay_partition SET acknowledged_sequence = 0, "
                                  "acknowledged_offset = -1, acknowledged_id = ''");
    (void)run_until(&shop, sum, "2500|2500\n", &run);
    assert_int_equal(run.status, STATUS_OK);
    assert_int_equal(atomic_load(&run.metrics.adopted), 2500);
    assert_int_equal(atomic_load(&run.metrics.published), 0);

    /* A row that fails is set aside together with its entity. Other entities go on. */
    (void)database_text(
        shop.url, "UPDATE orders SET price = 'dear' WHERE id = 1; UPDATE orders SET name = 'y' "
                  "WHERE id IN (1, 2)");
    (void)run_until(&shop, sum, "2501|2501\n", &run);
    assert_non_null(
        strstr(database_text(shop.url, "SELECT set_aside FROM outbox WHERE set_aside IS NOT NULL"),
               "price"));

    /* The database loses all memory of what was published. */
    (void)database_text(shop.url, "DELETE FROM keepstep_relay_partition; UPDATE outbox SET "
                                  "sequence = NULL, kafka_partition = NULL");
    assert_int_equal(run_until(&shop, "SELECT 1", "2\n", &run), STATUS_FATAL);
    assert_int_equal(run.err.exit_code, 78);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(handle);
    shop_done(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_value_is_written_in_the_form_of_its_type),
        TEST(a_moment_gets_its_one_form_and_anything_else_stays),
        TEST(an_update_of_no_mapped_column_is_not_captured_and_case_is),
        TEST(a_table_with_a_second_unique_index_is_refused_and_what_to_do_is_said),
        TEST(a_catalogue_that_is_locked_is_no_table_that_is_missing),
        TEST(a_cascade_within_a_table_that_is_also_applied_is_refused),
        TEST(a_primary_key_of_null_is_refused_where_it_stands_and_where_it_is_written),
        TEST(a_foreign_outbox_table_is_never_adopted),
        TEST(rows_that_are_there_are_published_once),
        TEST(lines_are_checked_and_written_or_refused_by_their_number),
        TEST_WITH_LIMIT(the_relay_publishes_adopts_and_detects_a_rewound_outbox, 90),
    };
    shop_begin(DATABASE_SQLITE);
    return TEST_RUN(tests);
}
