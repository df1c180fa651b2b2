/* Capture in MariaDB: what the triggers write, whatever the settings of the service's session. */
#include "tests/support/mariadb.h"
#include "tests/support/shop.h"

#include "common/mariadb_session.h"
#include "schemas/change.h"

#include <math.h>
#include <stdio.h>
#include <sysexits.h>

#define ORDER_SCHEMA shop_schema("id", "id integer,name text")
#define ORDER_TABLE                                                                                \
    "CREATE TABLE orders (id BIGINT PRIMARY KEY, name VARCHAR(200) COLLATE utf8mb4_general_ci, "   \
    "note INT) CHARACTER SET utf8mb4;"
#define LOGGED "SELECT aggregateid, type FROM outbox ORDER BY position"

/* Check that a reader accepts every payload in the outbox. */
static void shop_validate(const struct shop *shop, int64_t rows)
{
    struct error err = ERROR_INIT;
    const char *text = mariadb_text(shop->url,
                                    "SELECT CONCAT(aggregateid, CHAR(1), payload) FROM outbox "
                                    "ORDER BY position");
    int64_t count = 0;
    for (; *text != '\0'; count++) {
        const char *bar = strchr(text, 1);
        const char *end = strchr(bar, '\n');
        struct slice key = {text, (size_t)(bar - text)};
        struct slice payload = {bar + 1, (size_t)(end - bar - 1)};
        struct slice canonical;
        struct arena arena;
        arena_init(&arena, 65536);
        if (canonical_key(shop->schema, key, &arena, &canonical, &err) != STATUS_OK ||
            payload_validate(shop->schema, payload, key, &err) != STATUS_OK)
            test_fail("%s\n%.*s", err.text, SLICE_ARGS(payload));
        assert_true(slice_equal(key, canonical));
        arena_done(&arena);
        text = end + 1;
    }
    assert_int_equal(count, rows);
}

#define ALL_COLUMNS                                                                                \
    "id integer,i1 integer,b64 decimal,deci decimal,dbl double,flt double,txt text,lat text,"      \
    "enu text,byt bytes,boo boolean,bi1 boolean,tsz date-time,dtz date-time,dtl timestamp,"        \
    "day date,tim time,uid uuid,jso json"
#define ALL_TABLE                                                                                  \
    "CREATE TABLE orders (id BIGINT PRIMARY KEY, i1 INT ZEROFILL, b64 BIGINT UNSIGNED, "           \
    "deci DECIMAL(65,30), dbl DOUBLE, flt FLOAT, txt TEXT CHARACTER SET utf8mb4, "                 \
    "lat VARCHAR(9) CHARACTER SET latin1, enu ENUM('a','b\"c') CHARACTER SET ucs2, byt BLOB, "     \
    "boo TINYINT(1), bi1 BIT(1), tsz TIMESTAMP(6) NULL, dtz DATETIME(6), dtl DATETIME, day DATE, " \
    "tim TIME(6), uid UUID, jso JSON);"

static void every_value_is_written_in_the_form_of_its_type(void **state)
{
    (void)state;
    struct shop shop;
    shop_ready(&shop, shop_schema("id", ALL_COLUMNS), ALL_TABLE);
    mariadb_execute(
        shop.url,
        "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH'; "
        "SET time_zone = '-05:30'; SET collation_connection = latin1_german2_ci; "
        "SET lc_time_names = 'de_DE'; SET div_precision_increment = 1; "
        "INSERT INTO orders VALUES (9223372036854775807, 7, 18446744073709551615, "
        "'-99999999999999999999999999999999999.999999999999999999999999999999', "
        "0.1e0 + 0.2e0, 0.1e0, CONVERT(X'61225C0A7F1F01C3A9F09F9880' USING utf8mb4), "
        "X'E92F', 'b\"c', X'00FF10', 1, 0, '2026-11-23 09:42:00.123456', "
        "'0001-01-01 00:00:00.000001', '9999-12-31 23:59:59', '1969-07-20', "
        "'23:59:59.999999', '0193583C-7A30-7CC0-9D5A-6F2F4A1E3B11', '{\"a\": \"\\u00e9\"}');"
        "INSERT INTO orders (id) VALUES (-9223372036854775808)");
    shop_validate(&shop, 2);
    assert_string_equal(
        mariadb_text(shop.url, "SELECT aggregateid, type, payload FROM outbox WHERE position = 1"),
        "{\"id\":9223372036854775807}|order.created|{\"op\":\"c\",\"before\":null,\"after\":{"
        "\"id\":9223372036854775807,\"i1\":7,\"b64\":\"18446744073709551615\",\"deci\":"
        "\"-99999999999999999999999999999999999.999999999999999999999999999999\","
        "\"dbl\":0.30000000000000004,\"flt\":0.10000000149011612,"
        "\"txt\":\"a\\\"\\\\\\n\x7f"
        "\\u001F\\u0001é😀\",\"lat\":\"é/\",\"enu\":\"b\\\"c\","
        "\"byt\":\"00FF10\",\"boo\":true,\"bi1\":false,\"tsz\":\"2026-11-23T15:12:00.123456Z\","
        "\"dtz\":\"0001-01-01T00:00:00.000001Z\",\"dtl\":\"9999-12-31T23:59:59.000000\","
        "\"day\":\"1969-07-20\",\"tim\":\"23:59:59.999999\","
        "\"uid\":\"0193583c-7a30-7cc0-9d5a-6f2f4a1e3b11\","
        "\"jso\":\"{\\\"a\\\": \\\"\\\\u00e9\\\"}\"}}\n");
    shop_done(&shop);
}

static void values_that_no_reader_takes_are_written_so_that_the_relay_sets_them_aside(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "(1, NULL, NULL, '0000-00-00', NULL, NULL)", "(2, NULL, NULL, NULL, '0000-00-00', NULL)",
        "(3, NULL, NULL, NULL, NULL, '-838:59:59')", "(4, NULL, 2, NULL, NULL, NULL)",
        "(5, 18446744073709551615, NULL, NULL, NULL, NULL)"};
    struct shop shop;
    shop_ready(
        &shop,
        shop_schema("id", "id integer,i1 integer,boo boolean,tsz date-time,day date,tim time"),
        "CREATE TABLE orders (id BIGINT PRIMARY KEY, i1 BIGINT UNSIGNED, boo TINYINT, "
        "tsz TIMESTAMP NULL, day DATE, tim TIME)");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct error err = ERROR_INIT;
        mariadb_execute(shop.url, test_format("SET sql_mode=''; DELETE FROM outbox; "
                                              "INSERT INTO orders VALUES %s",
                                              rows[i]));
        struct slice payload = slice_of(mariadb_text(shop.url, "SELECT payload FROM outbox"));
        payload.length--;
        const char *key = test_format("{\"id\":%zu}", i + 1);
        assert_int_equal(payload_validate(shop.schema, payload, slice_of(key), &err),
                         STATUS_REJECT);
    }
    shop_done(&shop);
}

#define DOUBLES 3000

static double random_double(uint64_t *seed)
{
    double number = 0;
    do {
        *seed = *seed * 6364136223846793005U + 1442695040888963407U;
        uint64_t bits = *seed ^ (*seed >> 29);
        memcpy(&number, &bits, sizeof number);
    } while (!isfinite(number));
    return number;
}

/* The client binds doubles, and never writes them as text. */
static void insert_doubles(const char *url, const double *numbers)
{
    const struct server_session_options options = {.url = url, .application = "test"};
    struct error err = ERROR_INIT;
    MYSQL *session = NULL;
    double number = 0;
    float narrow = 0;
    int id = 0;
    if (mariadb_session_open(&options, &session, &err) != STATUS_OK)
        test_fail("%s", err.text);
    MYSQL_STMT *statement = mysql_stmt_init(session);
    static const char sql[] = "INSERT INTO orders VALUES (?, ?, ?)";
    MYSQL_BIND binds[] = {{.buffer_type = MYSQL_TYPE_LONG, .buffer = &id},
                          {.buffer_type = MYSQL_TYPE_DOUBLE, .buffer = &number},
                          {.buffer_type = MYSQL_TYPE_FLOAT, .buffer = &narrow}};
    assert_int_equal(mysql_stmt_prepare(statement, sql, sizeof sql - 1), 0);
    assert_int_equal(mysql_stmt_bind_param(statement, binds), 0);
    for (id = 0; id < DOUBLES; id++) {
        number = numbers[id];
        narrow = fabs(number) < 3e38 ? (float)number : 0.1F;
        if (mysql_stmt_execute(statement) != 0)
            test_fail("%s", mysql_stmt_error(statement));
    }
    assert_int_equal(mysql_commit(session), 0);
    (void)mysql_stmt_close(statement);
    mariadb_session_close(session);
}

static void doubles_and_floats_read_back_to_the_same_bits(void **state)
{
    (void)state;
    static double numbers[DOUBLES] = {0.0,  -1.0, 5e-324, -5e-324, 1.7976931348623157e308, 0.1,
                                      1e15, 1e16, 1e17,   1e21,    9007199254740993.0,     1.0 / 3};
    struct shop shop;
    uint64_t seed = 42;
    for (int i = 12; i < DOUBLES; i++) {
        numbers[i] = random_double(&seed);
        if (i % 3 == 0)
            numbers[i] = (double)(seed % 1000000007) / 1000;
        for (int exponent = 0; i % 3 == 0 && exponent < i % 30; exponent++)
            numbers[i] = i % 2 == 0 ? numbers[i] * 10 : numbers[i] / 10;
    }
    shop_ready(&shop, shop_schema("id", "id integer,d double,f double"),
               "CREATE TABLE orders (id INT PRIMARY KEY, d DOUBLE, f FLOAT)");
    insert_doubles(shop.url, numbers);
    shop_validate(&shop, DOUBLES);
    const char *text = mariadb_text(shop.url, "SELECT payload FROM outbox ORDER BY position");
    for (int i = 0; i < DOUBLES; i++, text = strchr(text, '\n') + 1) {
        const char *d = strstr(text, "\"d\":") + 4;
        const char *f = strstr(text, "\"f\":") + 4;
        double number = strtod(d, NULL);
        float narrow = fabs(numbers[i]) < 3e38 ? (float)numbers[i] : 0.1F;
        if (memcmp(&number, &numbers[i], sizeof number) != 0 || (float)strtod(f, NULL) != narrow)
            test_fail("%a is written as %.60s", numbers[i], d);
    }
    /* MariaDB does not keep the sign of zero. If it ever does, the trigger must write it too. */
    mariadb_execute(shop.url, "INSERT INTO orders VALUES (-1, -0e0, NULL)");
    assert_string_equal(mariadb_text(shop.url, "SELECT ATAN2(d, -1) > 0 FROM orders WHERE id = -1"),
                        "1\n");
    shop_done(&shop);
}

static void a_moment_does_not_depend_on_the_hour_that_comes_twice(void **state)
{
    (void)state;
    struct shop shop;
    shop_ready(&shop, shop_schema("id", "id integer,at date-time"),
               "CREATE TABLE orders (id INT PRIMARY KEY, at TIMESTAMP NULL)");
    /* The test's environment gives the server a zone with summer time. Both moments are 02:30
     * there. */
    mariadb_execute(shop.url, "SET time_zone = 'SYSTEM', timestamp = 1792888200;"
                              "INSERT INTO orders VALUES (1, NOW());"
                              "SET timestamp = 1792891800; UPDATE orders SET at = NOW()");
    assert_string_equal(
        mariadb_text(shop.url, "SELECT payload FROM outbox ORDER BY position"),
        "{\"op\":\"c\",\"before\":null,\"after\":{\"id\":1,\"at\":\"2026-10-25T00:30:00.000000Z\"}}"
        "\n"
        "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":1,\"at\":\"2026-10-25T01:30:00.000000Z\"}}"
        "\n");
    shop_done(&shop);
}

static void all_of_unicode_survives_in_text_and_in_keys(void **state)
{
    (void)state;
    struct shop shop;
    shop_ready(&shop, shop_schema("k", "k text,v text"),
               "CREATE TABLE orders (k VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin "
               "PRIMARY KEY, v TEXT CHARACTER SET utf8mb4)");
    mariadb_execute(shop.url,
                    "INSERT INTO orders SELECT c, CONCAT(c, 'x', c) FROM (SELECT CONVERT(UNHEX("
                    "LPAD(HEX(seq), 8, '0')) USING utf32) AS c FROM (SELECT seq FROM seq_1_to_2047 "
                    "UNION SELECT seq FROM seq_8192_to_8300 UNION SELECT seq FROM "
                    "seq_65500_to_65600 UNION SELECT seq FROM seq_1114000_to_1114111) AS s) AS t;"
                    "INSERT INTO orders VALUES (CONCAT(CHAR(92), 'u001F', CHAR(31), CHAR(92), "
                    "CHAR(92), CHAR(11), 'u00'), '')");
    shop_validate(&shop, 2047 + 109 + 101 + 112 + 1);
    shop_done(&shop);
}

static void each_statement_is_captured_as_what_it_does(void **state)
{
    (void)state;
    struct shop shop;
    shop_ready(&shop, ORDER_SCHEMA,
               "CREATE TABLE orders (id BIGINT PRIMARY KEY, name VARCHAR(200) COLLATE "
               "utf8mb4_general_ci UNIQUE, note INT) CHARACTER SET utf8mb4");
    mariadb_execute(shop.url,
                    "INSERT INTO orders (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c');"
                    "UPDATE orders SET note = 1; UPDATE orders SET name = name;"
                    "UPDATE orders SET name = 'A' WHERE id = 1;"
                    "UPDATE orders SET id = 10 WHERE id = 2;"
                    "REPLACE INTO orders (id, name) VALUES (3, 'a');" /* evicts 3, and 1 by name */
                    "INSERT INTO orders (id, name) VALUES (3, 'z') ON DUPLICATE KEY UPDATE name = "
                    "'zz'; INSERT IGNORE INTO orders (id, name) VALUES (3, 'y');"
                    "START TRANSACTION; DELETE FROM orders; ROLLBACK; DELETE FROM orders "
                    "WHERE id = 10");
    assert_string_equal(mariadb_text(shop.url, LOGGED),
                        "{\"id\":1}|order.created\n{\"id\":2}|order.created\n"
                        "{\"id\":3}|order.created\n{\"id\":1}|order.updated\n"
                        "{\"id\":2}|order.deleted\n{\"id\":10}|order.created\n"
                        "{\"id\":3}|order.deleted\n{\"id\":1}|order.deleted\n"
                        "{\"id\":3}|order.created\n{\"id\":3}|order.updated\n"
                        "{\"id\":10}|order.deleted\n");
    shop_validate(&shop, 11);
    assert_string_equal(mariadb_text(shop.url, "SELECT COUNT(*) FROM outbox WHERE id IS NULL "
                                               "AND ABS(TIMESTAMPDIFF(SECOND, created_at, "
                                               "UTC_TIMESTAMP())) < 60"),
                        "11\n");
    shop_done(&shop);
}

static void the_agents_own_writes_are_silent_and_no_others(void **state)
{
    (void)state;
    struct shop shop;
    shop_ready(&shop, ORDER_SCHEMA,
               ORDER_TABLE "CREATE TABLE other (id INT PRIMARY KEY);"
                           "CREATE TRIGGER other_orders AFTER INSERT ON other "
                           "FOR EACH ROW INSERT INTO orders (id) VALUES "
                           "(NEW.id + 100)");
    mariadb_execute(shop.url,
                    "SET @keepstep_applying = 'orders'; INSERT INTO orders (id) VALUES (1);"
                    "UPDATE orders SET id = 2; DELETE FROM orders;"
                    "SET @keepstep_applying = 'other'; INSERT INTO other VALUES (1);"
                    "SET @keepstep_applying = NULL; INSERT INTO orders (id) VALUES (3)");
    assert_string_equal(mariadb_text(shop.url, LOGGED),
                        "{\"id\":101}|order.created\n{\"id\":3}|order.created\n");
    shop_done(&shop);
}

static void the_service_sees_nothing_of_it_and_needs_no_rights(void **state)
{
    (void)state;
    struct shop shop;
    shop_ready(&shop, ORDER_SCHEMA,
               ORDER_TABLE "ALTER TABLE orders MODIFY id BIGINT AUTO_INCREMENT;");
    mariadb_execute(shop.url, "CREATE OR REPLACE USER clerk@localhost;"
                              "GRANT SELECT, INSERT ON orders TO clerk@localhost");
    const char *url = test_format("mysql://clerk%s", strchr(shop.url, '@'));
    const struct server_session_options options = {.url = url, .application = "test"};
    struct error err = ERROR_INIT;
    MYSQL *session = NULL;
    if (mariadb_session_open(&options, &session, &err) != STATUS_OK)
        test_fail("%s", err.text);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(mysql_query(session, "INSERT INTO orders (name) VALUES ('x')"), 0);
        assert_int_equal(mysql_insert_id(session), i);
        assert_int_equal(mysql_affected_rows(session), 1);
        assert_int_equal(mysql_warning_count(session), 0);
    }
    assert_int_equal(mysql_commit(session), 0);
    assert_int_not_equal(mysql_query(session, "SELECT * FROM outbox"), 0);
    mariadb_session_close(session);
    assert_string_equal(mariadb_text(shop.url, "SELECT COUNT(*) FROM outbox"), "3\n");
    shop_done(&shop);
}

static void a_change_whose_event_cannot_be_written_fails(void **state)
{
    (void)state;
    struct shop shop;
    shop_ready(&shop, ORDER_SCHEMA, ORDER_TABLE "ALTER TABLE orders MODIFY name LONGTEXT;");
    const struct server_session_options options = {.url = shop.url, .application = "test"};
    struct error err = ERROR_INIT;
    MYSQL *session = NULL;
    if (mariadb_session_open(&options, &session, &err) != STATUS_OK)
        test_fail("%s", err.text);
    /* Its JSON is longer than max_allowed_packet. There MariaDB's functions return NULL. */
    assert_int_equal(mysql_query(session, "INSERT INTO orders (id, name) VALUES (1, "
                                          "REPEAT(CHAR(1), @@max_allowed_packet DIV 3))"),
                     1);
    assert_int_equal(mysql_query(session, "INSERT IGNORE INTO orders (id, name) VALUES (1, "
                                          "REPEAT(CHAR(1), @@max_allowed_packet DIV 3))"),
                     1);
    assert_int_equal(mysql_commit(session), 0);
    mariadb_session_close(session);
    assert_string_equal(mariadb_text(shop.url, "SELECT (SELECT COUNT(*) FROM orders), "
                                               "(SELECT COUNT(*) FROM outbox)"),
                        "0|0\n");
    shop_done(&shop);
}

static void tables_that_cannot_be_captured_whole_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *tables;
        const char *text;
    } cases[] = {
        {"SELECT 1", "does not exist"},
        {"CREATE TABLE orders (id BIGINT, name TEXT)", "no primary key"},
        {"CREATE TABLE orders (id BIGINT PRIMARY KEY)", "has no column name"},
        {"CREATE TABLE orders (id BIGINT, name VARCHAR(9), PRIMARY KEY (id, name))",
         "more key columns"},
        {"CREATE TABLE orders (id BIGINT UNIQUE, name VARCHAR(9) PRIMARY KEY)",
         "another primary key"},
        {"CREATE TABLE orders (id BIGINT, name VARCHAR(9), PRIMARY KEY (name (3)))",
         "another primary key"},
        {"CREATE TABLE orders (id BIGINT PRIMARY KEY, name TEXT) ENGINE = Aria", "InnoDB"},
        {"CREATE VIEW orders AS SELECT 1 AS id, 'x' AS name", "InnoDB"},
        {"CREATE TABLE orders (id BIGINT PRIMARY KEY, name BLOB)", "type blob"},
        {"CREATE TABLE customer (id BIGINT PRIMARY KEY); CREATE TABLE orders (id BIGINT PRIMARY "
         "KEY, name TEXT, customer BIGINT, CONSTRAINT buyer FOREIGN KEY (customer) REFERENCES "
         "customer (id) ON DELETE CASCADE)",
         "follows table customer by a cascade, which fires no trigger; make the constraint "
         "RESTRICT and let the service write these rows itself: buyer"},
        {"CREATE TABLE customer (id BIGINT PRIMARY KEY); CREATE TABLE orders (id BIGINT PRIMARY "
         "KEY, name TEXT, customer BIGINT, FOREIGN KEY (customer) REFERENCES customer (id) "
         "ON UPDATE SET NULL)",
         "cascade"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct shop shop;
        struct error err = ERROR_INIT;
        shop_make(&shop, ORDER_SCHEMA, cases[i].tables);
        assert_int_equal(shop_init(&shop, true, &err), STATUS_FATAL);
        assert_int_equal(err.exit_code, EX_CONFIG);
        if (strstr(err.text, cases[i].text) == NULL)
            test_fail("%s", err.text);
        shop_done(&shop);
    }
}

static void a_second_init_keeps_all_and_repairs_what_was_changed(void **state)
{
    (void)state;
    struct shop shop;
    struct error err = ERROR_INIT;
    shop_ready(&shop, ORDER_SCHEMA, ORDER_TABLE);
    const char *first = test_read_file(test_path("init.txt"));
    assert_int_equal(shop_init(&shop, true, &err), STATUS_OK);
    const char *second = test_read_file(test_path("init.txt"));
    assert_null(strstr(first, "kept"));
    assert_null(strstr(second, "created"));
    assert_null(strstr(second, "changed"));
    mariadb_execute(shop.url, "DROP TRIGGER keepstep_order_delete; SET sql_mode = '';"
                              "CREATE OR REPLACE TRIGGER keepstep_order_insert AFTER INSERT ON "
                              "orders FOR EACH ROW DO 1");
    assert_int_equal(shop_init(&shop, true, &err), STATUS_OK);
    const char *third = test_read_file(test_path("init.txt"));
    assert_non_null(strstr(third, "changed  trigger keepstep_order_insert"));
    assert_non_null(strstr(third, "kept     trigger keepstep_order_update"));
    assert_non_null(strstr(third, "created  trigger keepstep_order_delete"));
    mariadb_execute(shop.url, "INSERT INTO orders (id) VALUES (1); DELETE FROM orders");
    assert_string_equal(mariadb_text(shop.url, "SELECT COUNT(*) FROM outbox"), "2\n");
    shop_done(&shop);
}

static void a_foreign_table_named_outbox_is_refused(void **state)
{
    (void)state;
    struct shop shop;
    struct error err = ERROR_INIT;
    shop_make(&shop, ORDER_SCHEMA, ORDER_TABLE "CREATE TABLE outbox (id INT PRIMARY KEY)");
    assert_int_equal(shop_init(&shop, true, &err), STATUS_FATAL);
    assert_non_null(strstr(err.text, "rename it"));
    shop_done(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_value_is_written_in_the_form_of_its_type),
        TEST(values_that_no_reader_takes_are_written_so_that_the_relay_sets_them_aside),
        TEST_WITH_LIMIT(doubles_and_floats_read_back_to_the_same_bits, 120),
        TEST(a_moment_does_not_depend_on_the_hour_that_comes_twice),
        TEST_WITH_LIMIT(all_of_unicode_survives_in_text_and_in_keys, 120),
        TEST(each_statement_is_captured_as_what_it_does),
        TEST(the_agents_own_writes_are_silent_and_no_others),
        TEST(the_service_sees_nothing_of_it_and_needs_no_rights),
        TEST_WITH_LIMIT(a_change_whose_event_cannot_be_written_fails, 120),
        TEST_WITH_LIMIT(tables_that_cannot_be_captured_whole_are_refused, 120),
        TEST(a_second_init_keeps_all_and_repairs_what_was_changed),
        TEST(a_foreign_table_named_outbox_is_refused),
    };
    shop_begin(DATABASE_MARIADB);
    (void)setenv("TZ", "Europe/Berlin", 1);
    return TEST_RUN(tests);
}
