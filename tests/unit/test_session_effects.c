/* Whether a writer's session notices the triggers: the same statements run on a published table and
 * on its twin, which is not published. */
#include "tests/support/mariadb.h"
#include "tests/support/postgresql.h"
#include "tests/support/process.h"
#include "tests/support/shop.h"
#include "tests/support/sql.h"

#define SCHEMA shop_schema("id", "id integer,name text")

static const char *replaced(const char *text, const char *what, const char *with)
{
    const char *out = "";
    for (const char *found = strstr(text, what); found != NULL; found = strstr(text, what)) {
        out = test_format("%s%.*s%s", out, (int)(found - text), text, with);
        text = found + strlen(what);
    }
    return test_format("%s%s", out, text);
}

static void assert_same(const char *sql, const char *published, const char *plain)
{
    published = replaced(published, "orders", "{}");
    plain = replaced(plain, "plains", "{}");
    assert_string_not_equal(plain, "");
    if (strcmp(published, plain) != 0)
        test_fail("%s\nsays\n%s\nwhere the table is published, but\n%s", sql, published, plain);
}

/* {} stands for the table. Each script has a session of its own. What the client prints is
 * compared. */
static const char *const postgresql_scripts[] = {
    "INSERT INTO {} (name) VALUES ('a'), ('b'); UPDATE {} SET name = 'c'; DELETE FROM {} WHERE id "
    "= 1;"
    "INSERT INTO {} (id) VALUES (9) ON CONFLICT DO NOTHING; INSERT INTO {} (id) VALUES (9) ON "
    "CONFLICT DO NOTHING; UPDATE {} SET name = 'x' WHERE id = 77; TRUNCATE {}",
    "INSERT INTO {} (name) VALUES ('a') RETURNING id; SELECT currval(pg_get_serial_sequence('{}', "
    "'id')); UPDATE {} SET id = id + 100 RETURNING id, name; DELETE FROM {} RETURNING *",
    "DO $$DECLARE n int; BEGIN INSERT INTO {} (name) VALUES ('a'), ('b'); GET DIAGNOSTICS n = "
    "ROW_COUNT; RAISE NOTICE '% %', FOUND, n; UPDATE {} SET name = 'x' WHERE false; GET "
    "DIAGNOSTICS "
    "n = ROW_COUNT; RAISE NOTICE '% %', FOUND, n; DELETE FROM {}; GET DIAGNOSTICS n = ROW_COUNT; "
    "RAISE NOTICE '% %', FOUND, n; END$$",
    "SELECT setseed(0.5); INSERT INTO {} (name) VALUES ('a'); SELECT random()",
    "CREATE TEMP TABLE mine (x int); SET search_path = pg_temp, public; SET extra_float_digits = 0;"
    "SET row_security = on; BEGIN; INSERT INTO public.{} (name) VALUES ('a'); UPDATE public.{} SET "
    "name = 'b'; TRUNCATE public.{}; COMMIT; SELECT name, setting FROM pg_settings WHERE source = "
    "'session' ORDER BY 1; SHOW search_path; SELECT count(*) FROM pg_class WHERE relpersistence = "
    "'t'; SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory';"
    "SELECT count(*) FROM pg_listening_channels(); SELECT count(*) FROM pg_prepared_statements;"
    "SELECT current_user, session_user",
};

static void postgresql_sessions_see_nothing_of_it_but_lastval(void **state)
{
    (void)state;
    struct shop shop;
    shop_begin(DATABASE_POSTGRESQL);
    shop_ready(&shop, SCHEMA,
               "CREATE TABLE orders (id bigserial PRIMARY KEY, name varchar(9));"
               "CREATE TABLE plains (id bigserial PRIMARY KEY, name varchar(9))");
    for (size_t i = 0; i < sizeof postgresql_scripts / sizeof *postgresql_scripts; i++) {
        const char *said[2];
        for (int published = 0; published < 2; published++) {
            test_write_file(
                test_path("script.sql"),
                replaced(postgresql_scripts[i], "{}", published != 0 ? "orders" : "plains"));
            struct process_result run = PROCESS_RUN("psql", "-X", "-a", "-v", "ON_ERROR_STOP=1",
                                                    "-d", shop.url, "-f", test_path("script.sql"));
            assert_int_equal(run.exit_code, 0);
            said[published] = test_format("%s%s", run.output, run.errors);
        }
        assert_same(postgresql_scripts[i], said[1], said[0]);
    }

    /* lastval() is the one effect. currval() is to be used instead, and init says so when it makes
     * the triggers. */
    postgresql_execute(shop.url, "SELECT setval('outbox_position_seq', 500);"
                                 "SELECT setval('orders_id_seq', 40)");
    assert_string_equal(postgresql_text(shop.url, "INSERT INTO orders (name) VALUES ('a');"
                                                  "SELECT lastval(), currval('orders_id_seq')"),
                        "501|41\n");
    assert_string_equal(postgresql_text(shop.url, "INSERT INTO orders (name) VALUES ('a') "
                                                  "RETURNING id"),
                        "42\n");
    const char *text = test_read_file(test_path("init.txt"));
    assert_non_null(strstr(text, "NOTE     lastval()"));
    assert_non_null(strstr(text, "RETURNING"));
    assert_non_null(strstr(shop_print(&shop), "-- lastval()"));
    struct error err = ERROR_INIT;
    assert_int_equal(shop_init(&shop, true, &err), STATUS_OK);
    assert_null(strstr(test_read_file(test_path("init.txt")), "NOTE"));
    shop_done(&shop);
}

/* FOUND_ROWS() is about a SELECT. After any other statement MariaDB gives it no meaning. */
#define MARIADB_STATE                                                                              \
    ";SELECT ROW_COUNT(), LAST_INSERT_ID(), @@identity, @@warning_count, @@error_count;"           \
    "SHOW WARNINGS"

static const char *const mariadb_scripts[] = {
    "INSERT INTO {} (name) VALUES ('a'), ('b')" MARIADB_STATE,
    "INSERT INTO {} (name) VALUES ('a'); SELECT ROW_COUNT(); UPDATE {} SET name = "
    "'c'" MARIADB_STATE,
    "INSERT INTO {} (name) VALUES ('a'); UPDATE {} SET id = id + 100" MARIADB_STATE,
    "INSERT INTO {} (name) VALUES ('a'); DELETE FROM {}" MARIADB_STATE,
    "INSERT INTO {} (name) VALUES ('a'); UPDATE {} SET name = name" MARIADB_STATE,
    "REPLACE INTO {} (id, name) VALUES (7, 'a'); REPLACE INTO {} (id, name) VALUES (7, "
    "'b')" MARIADB_STATE,
    "INSERT INTO {} (id, name) VALUES (8, 'a'); INSERT INTO {} (id, name) VALUES (8, 'b') ON "
    "DUPLICATE KEY UPDATE name = 'c', id = LAST_INSERT_ID(id)" MARIADB_STATE,
    "INSERT INTO {} (id, name) VALUES (9, 'a'); INSERT IGNORE INTO {} (id, name) VALUES (9, 'b'), "
    "(10, 'c')" MARIADB_STATE,
    "SET sql_mode = ''; INSERT INTO {} (name) VALUES ('longer than it may be')" MARIADB_STATE,
    "SET sql_mode = ''; INSERT INTO {} (id, name) VALUES (20, 'a'), ('21x', 'b')" MARIADB_STATE,
    "INSERT INTO {} (name) VALUES ('a') RETURNING name; UPDATE {} SET name = 'b'; DELETE FROM {} "
    "RETURNING name",
    "SET rand_seed1 = 5, rand_seed2 = 6; INSERT INTO {} (name) VALUES ('a'); SELECT RAND()",
    "SET sql_mode = 'ANSI', time_zone = '+05:00', character_set_client = latin1; CREATE TEMPORARY "
    "TABLE mine (x INT); INSERT INTO {} (name) VALUES ('a'); UPDATE {} SET name = 'b'; DELETE FROM "
    "{};"
    "SELECT @@sql_mode, @@time_zone, @@character_set_client, @@collation_connection, "
    "@@in_transaction; SELECT variable_name FROM information_schema.user_variables WHERE "
    "variable_name NOT LIKE 'keepstep%'",
    "SET @before = (SELECT GROUP_CONCAT(variable_name, '=', variable_value ORDER BY 1) FROM "
    "information_schema.session_variables WHERE variable_name NOT IN ('last_insert_id', "
    "'identity', 'timestamp', 'rand_seed1', 'rand_seed2', 'warning_count', 'insert_id', "
    "'in_transaction', 'last_gtid')); INSERT INTO {} (name) VALUES ('a'); SELECT @before = (SELECT "
    "GROUP_CONCAT(variable_name, '=', variable_value ORDER BY 1) FROM "
    "information_schema.session_variables WHERE variable_name NOT IN ('last_insert_id', "
    "'identity', 'timestamp', 'rand_seed1', 'rand_seed2', 'warning_count', 'insert_id', "
    "'in_transaction', 'last_gtid'))",
};

static void mariadb_sessions_see_nothing_of_it(void **state)
{
    (void)state;
    struct shop shop;
    shop_begin(DATABASE_MARIADB);
    shop_ready(&shop, SCHEMA,
               "CREATE TABLE orders (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9));"
               "CREATE TABLE plains (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9))");
    assert_null(strstr(test_read_file(test_path("init.txt")), "NOTE"));
    mariadb_execute(shop.url, "ALTER TABLE outbox AUTO_INCREMENT = 500");
    for (size_t i = 0; i < sizeof mariadb_scripts / sizeof *mariadb_scripts; i++) {
        const char *script = mariadb_scripts[i];
        const char *published = mariadb_text(shop.url, replaced(script, "{}", "orders"));
        assert_same(script, published, mariadb_text(shop.url, replaced(script, "{}", "plains")));
    }
    assert_string_equal(mariadb_text(shop.url, "SELECT COUNT(*) > 30 FROM outbox"), "1\n");
    shop_done(&shop);
}

static void sqlite_sessions_see_nothing_of_it_but_total_changes(void **state)
{
    static const char *const scripts[] = {
        "INSERT INTO {} (name) VALUES ('a'), ('b'); SELECT changes(), last_insert_rowid()",
        "INSERT INTO {} (id, name) VALUES (77, 'a'); UPDATE {} SET name = 'b' WHERE id = 77; "
        "SELECT "
        "changes(), last_insert_rowid()",
        "INSERT INTO {} (id) VALUES (78); UPDATE {} SET id = 79 WHERE id = 78; SELECT changes(), "
        "last_insert_rowid(); DELETE FROM {} WHERE id = 79; SELECT changes(), last_insert_rowid()",
        "INSERT INTO {} (id) VALUES (80); INSERT INTO {} (id) VALUES (80) ON CONFLICT DO NOTHING; "
        "SELECT changes(), last_insert_rowid(); INSERT INTO {} (id) VALUES (80) ON CONFLICT (id) "
        "DO "
        "UPDATE SET name = 'x'; SELECT changes(), last_insert_rowid(); REPLACE INTO {} (id) VALUES "
        "(80); SELECT changes(), last_insert_rowid()",
        "INSERT INTO {} (id, name) VALUES (81, 'a') RETURNING id; SELECT changes(); DELETE FROM "
        "{}; "
        "SELECT changes() > 0; SELECT count(*) FROM sqlite_temp_schema; PRAGMA recursive_triggers; "
        "PRAGMA foreign_keys; PRAGMA journal_mode"};
    (void)state;
    struct shop shop;
    shop_begin(DATABASE_SQLITE);
    shop_ready(&shop, SCHEMA,
               "CREATE TABLE orders (id INTEGER PRIMARY KEY, name TEXT);"
               "CREATE TABLE plains (id INTEGER PRIMARY KEY, name TEXT);"
               "INSERT INTO orders VALUES (40, 'x'); INSERT INTO plains VALUES (40, 'x')");
    assert_non_null(strstr(test_read_file(test_path("init.txt")), "NOTE     total_changes()"));
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
        assert_same(scripts[i], database_text(shop.url, replaced(scripts[i], "{}", "orders")),
                    database_text(shop.url, replaced(scripts[i], "{}", "plains")));
    static const char total[] = "INSERT INTO {} (name) VALUES ('a'); SELECT total_changes()";
    assert_string_equal(database_text(shop.url, replaced(total, "{}", "plains")), "1\n");
    assert_string_equal(database_text(shop.url, replaced(total, "{}", "orders")), "2\n");
    shop_done(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(postgresql_sessions_see_nothing_of_it_but_lastval),
        TEST(mariadb_sessions_see_nothing_of_it),
        TEST(sqlite_sessions_see_nothing_of_it_but_total_changes),
    };
    return TEST_RUN(tests);
}
