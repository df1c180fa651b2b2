/* Whatever settings a writer's session in SQLite has, its changes are captured whole. */
#include "tests/support/shop.h"
#include "tests/support/sql.h"

#include <sqlite3.h>

#define SCHEMA shop_schema("id", "id integer,name text,raw bytes,weight double,owner integer")
#define TABLES                                                                                     \
    "CREATE TABLE owners (id INTEGER PRIMARY KEY);"                                                \
    "INSERT INTO owners VALUES (1), (2), (3);"                                                     \
    "CREATE TABLE orders (id INTEGER PRIMARY KEY CHECK (id > 0), name TEXT COLLATE NOCASE, "       \
    "raw BLOB, weight REAL, owner INTEGER REFERENCES owners ON DELETE CASCADE ON UPDATE CASCADE);" \
    "INSERT INTO orders VALUES (1, 'a', x'00', 0.1, 1), (2, 'b', NULL, 2, 2), (3, 'c', x'', 3, 3)"
#define WRITES                                                                                     \
    "INSERT INTO orders VALUES (4, 'd', x'ff', 1e300, 1);"                                         \
    "UPDATE orders SET name = 'A' WHERE id = 1;"                                                   \
    "UPDATE orders SET id = 5 WHERE id = 2;"                                                       \
    "REPLACE INTO orders VALUES (3, 'replaced', NULL, NULL, 3);"                                   \
    "UPDATE OR REPLACE orders SET id = 4 WHERE id = 1;"                                            \
    "INSERT INTO orders VALUES (5, 'e', NULL, 1, 1) ON CONFLICT (id) DO UPDATE SET name = 'E';"    \
    "INSERT INTO orders VALUES (6, 'f', x'0a', 1, 2), (7, 'g', x'0b', 2, 3);"                      \
    "DELETE FROM orders WHERE id = 6;"                                                             \
    "UPDATE owners SET id = 9 WHERE id = 2;"                                                       \
    "DELETE FROM owners WHERE id = 3"

/* Each row equals its last event, and the last event of each row that is gone is a delete. */
#define NEWEST "(SELECT max(position) FROM outbox GROUP BY aggregateid)"
#define WRONG                                                                                      \
    "SELECT (SELECT count(*) FROM orders AS o WHERE NOT EXISTS (SELECT 1 FROM outbox AS e WHERE "  \
    "e.position IN " NEWEST " AND e.aggregateid = json_object('id', o.id) AND "                    \
    "json_extract(e.payload, '$.after.name') IS o.name COLLATE BINARY AND "                        \
    "json_extract(e.payload, '$.after.owner') IS o.owner AND "                                     \
    "json_extract(e.payload, '$.after.raw') IS CASE WHEN o.raw IS NOT NULL THEN hex(o.raw) END "   \
    "AND json_extract(e.payload, '$.after.weight') IS o.weight)), "                                \
    "(SELECT count(*) FROM outbox AS e WHERE e.position IN " NEWEST " AND e.type <> "              \
    "'order.deleted' AND NOT EXISTS (SELECT 1 FROM orders AS o WHERE json_object('id', o.id) = "   \
    "e.aggregateid))"

/* One setting: SQL, or an option of sqlite3_db_config() if `option` is not 0. */
struct setting {
    const char *sql;
    int option;
    int value;
};

static const struct setting settings[] = {
    {"SELECT 1", 0, 0},
    {"PRAGMA recursive_triggers = ON", 0, 0},
    {"PRAGMA recursive_triggers = OFF", 0, 0},
    {"PRAGMA foreign_keys = ON", 0, 0},
    {"PRAGMA foreign_keys = ON; PRAGMA defer_foreign_keys = ON", 0, 0},
    {"PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON", 0, 0},
    {"PRAGMA foreign_keys = OFF", 0, 0},
    {"PRAGMA ignore_check_constraints = ON", 0, 0},
    {"PRAGMA legacy_alter_table = ON", 0, 0},
    {"PRAGMA legacy_alter_table = ON; ALTER TABLE owners RENAME TO keepers;"
     "ALTER TABLE keepers RENAME TO owners",
     0, 0},
    {"PRAGMA writable_schema = ON", 0, 0},
    {"PRAGMA case_sensitive_like = ON", 0, 0},
    {"PRAGMA reverse_unordered_selects = ON", 0, 0},
    {"PRAGMA read_uncommitted = ON", 0, 0},
    {"PRAGMA count_changes = ON", 0, 0},
    {"PRAGMA full_column_names = ON; PRAGMA short_column_names = OFF", 0, 0},
    {"PRAGMA automatic_index = OFF; PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON", 0, 0},
    {"CREATE TEMP TABLE outbox (aggregatetype, aggregateid, type, partition_key, payload);"
     "CREATE TEMP TABLE keepstep_applying (table_name);"
     "INSERT INTO temp.keepstep_applying VALUES ('orders')",
     0, 0},
    {"ATTACH ':memory:' AS other; CREATE TABLE other.outbox (payload)", 0, 0},
    {"BEGIN", 0, 0},
    {"SELECT 1", SQLITE_DBCONFIG_DEFENSIVE, 1},
    {"SELECT 1", SQLITE_DBCONFIG_DQS_DML, 0},
    {"SELECT 1", SQLITE_DBCONFIG_DQS_DDL, 0},
    {"SELECT 1", SQLITE_DBCONFIG_ENABLE_VIEW, 0},
    {"SELECT 1", SQLITE_DBCONFIG_ENABLE_FKEY, 1},
    {"SELECT 1", SQLITE_DBCONFIG_ENABLE_QPSG, 1},
    {"SELECT 1", SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, 1},
};

static void run(sqlite3 *db, const char *sql, const char *setting)
{
    char *text = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
        test_fail("%s: %s", setting, text);
}

static sqlite3 *open_as(const struct shop *shop, const struct setting *setting)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(shop->config.database_path, &db), SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 10000);
    if (setting->option != 0)
        assert_int_equal(sqlite3_db_config(db, setting->option, setting->value, NULL), SQLITE_OK);
    run(db, setting->sql, setting->sql);
    return db;
}

static void no_setting_of_the_writers_session_hides_a_change(void **state)
{
    (void)state;
    struct shop shop;
    shop_ready(&shop, SCHEMA, TABLES);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        sqlite3 *db = open_as(&shop, &settings[i]);
        run(db, WRITES, settings[i].sql);
        if (sqlite3_get_autocommit(db) == 0)
            run(db, "COMMIT", settings[i].sql);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        const char *wrong = sqlite_text(shop.config.database_path, WRONG);
        if (strcmp(wrong, "0|0\n") != 0)
            test_fail("%s, option %d: %s are wrong: %s", settings[i].sql, settings[i].option, wrong,
                      sqlite_text(shop.config.database_path,
                                  "SELECT type, aggregateid, payload FROM outbox"));
        assert_true(sqlite_number(shop.config.database_path, "SELECT count(*) FROM outbox") > 10);
        (void)sqlite_text(shop.config.database_path,
                          "DELETE FROM orders; DELETE FROM owners;"
                          "INSERT INTO owners VALUES (1), (2), (3); DELETE FROM outbox;"
                          "INSERT INTO orders VALUES (1, 'a', x'00', 0.1, 1), "
                          "(2, 'b', NULL, 2, 2), (3, 'c', x'', 3, 3)");
    }
    shop_done(&shop);
}

/* Nobody else can see this setting: docs/LIMITS.md. */
static void triggers_that_the_session_switches_off_capture_nothing(void **state)
{
    static const struct setting off = {"SELECT 1", SQLITE_DBCONFIG_ENABLE_TRIGGER, 0};
    (void)state;
    struct shop shop;
    shop_ready(&shop, SCHEMA, TABLES ";DELETE FROM orders");
    sqlite3 *db = open_as(&shop, &off);
    run(db, "INSERT INTO orders (id) VALUES (1)", off.sql);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(sqlite_number(shop.config.database_path, "SELECT count(*) FROM outbox"), 0);
    shop_done(&shop);
}

/* SQLite 3.40 does not trust json_quote(): docs/LIMITS.md. */
static void a_write_that_may_not_run_the_triggers_is_captured_or_fails_loudly(void **state)
{
    static const struct setting distrusting[] = {{"PRAGMA trusted_schema = OFF", 0, 0},
                                                 {"SELECT 1", SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0}};
    (void)state;
    struct shop shop;
    shop_ready(&shop, SCHEMA, TABLES ";DELETE FROM orders");
    for (size_t i = 0; i < sizeof distrusting / sizeof *distrusting; i++) {
        char *text = NULL;
        sqlite3 *db = open_as(&shop, &distrusting[i]);
        int code = sqlite3_exec(db, "INSERT INTO orders (id, name) VALUES (1, 'x')", NULL, NULL,
                                &text);
        if (code != SQLITE_OK && strstr(text, "json_quote") == NULL)
            test_fail("%s", text);
        sqlite3_free(text);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        assert_string_equal(sqlite_text(shop.config.database_path, WRONG), "0|0\n");
        assert_int_equal(sqlite_number(shop.config.database_path, "SELECT count(*) FROM orders"),
                         sqlite_number(shop.config.database_path, "SELECT count(*) FROM outbox"));
        (void)sqlite_text(shop.config.database_path, "DELETE FROM orders; DELETE FROM outbox");
    }
    shop_done(&shop);
}

static void a_database_in_utf16_is_refused_by_name(void **state)
{
    (void)state;
    struct shop shop;
    struct error err = ERROR_INIT;
    (void)sqlite_text(test_path("shop.db"), "PRAGMA encoding = 'UTF-16le'; CREATE TABLE a (b)");
    shop_make(&shop, SCHEMA, TABLES);
    assert_int_equal(shop_init(&shop, true, &err), STATUS_FATAL);
    assert_int_equal(err.exit_code, 78);
    assert_non_null(strstr(err.text, "UTF-16le"));
    shop_done(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_setting_of_the_writers_session_hides_a_change),
        TEST(triggers_that_the_session_switches_off_capture_nothing),
        TEST(a_write_that_may_not_run_the_triggers_is_captured_or_fails_loudly),
        TEST(a_database_in_utf16_is_refused_by_name),
    };
    shop_begin(DATABASE_SQLITE);
    return TEST_RUN(tests);
}
