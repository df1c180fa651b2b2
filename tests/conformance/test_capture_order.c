/* A table's own triggers change rows again. Whichever trigger runs first, the last captured event
 * is what the row is. */
#include "tests/support/database_case.h"
#include "tests/support/postgresql.h"
#include "tests/support/session.h"
#include "tests/support/shop.h"

#include "producer/init/init.h"

#include <stdio.h>

#define SCHEMA shop_schema("id", "id integer,name text")
#define TABLE  "CREATE TABLE orders (id integer PRIMARY KEY, name varchar(40), note varchar(40));"

/* The rows that the outbox gives, and the rows of the table; both as JSON, ordered by key. */
static const char *const FOLDED[] = {
    [DATABASE_SQLITE] =
        "SELECT substr(payload, instr(payload, '\"after\":') + 8) FROM outbox AS o WHERE position ="
        " (SELECT max(position) FROM outbox WHERE aggregateid = o.aggregateid)"
        " AND type <> 'order.deleted' ORDER BY aggregateid",
    [DATABASE_POSTGRESQL] =
        "SELECT split_part(payload, '\"after\":', 2) FROM outbox AS o WHERE position ="
        " (SELECT max(position) FROM outbox WHERE aggregateid = o.aggregateid)"
        " AND type <> 'order.deleted' ORDER BY aggregateid",
    [DATABASE_MARIADB] =
        "SELECT SUBSTRING_INDEX(payload, '\"after\":', -1) FROM outbox AS o WHERE position ="
        " (SELECT MAX(position) FROM outbox WHERE aggregateid = o.aggregateid)"
        " AND type <> 'order.deleted' ORDER BY aggregateid"};
static const char *const TOLD[] = {
    [DATABASE_SQLITE] = "SELECT '{\"id\":' || id || ',\"name\":\"' || name || '\"}}' FROM orders "
                        "ORDER BY '{\"id\":' || id || '}'",
    [DATABASE_POSTGRESQL] = "SELECT '{\"id\":' || id || ',\"name\":\"' || name || '\"}}' FROM "
                            "orders ORDER BY '{\"id\":' || id || '}' COLLATE \"C\"",
    [DATABASE_MARIADB] = "SELECT CONCAT('{\"id\":', id, ',\"name\":\"', name, '\"}}') FROM orders "
                         "ORDER BY BINARY CONCAT('{\"id\":', id, '}')"};

/* A row's name tells the triggers what to do: change the row, its neighbour or its key; undo the
 * change; delete the row; delete it and insert it again; insert it again after a delete. */
static const char SQLITE_TRIGGERS[] =
    "CREATE TRIGGER touch_new AFTER INSERT ON orders WHEN NEW.name = 'touch' BEGIN "
    "UPDATE orders SET name = 'touched' WHERE id = NEW.id; END;"
    "CREATE TRIGGER touch AFTER UPDATE ON orders WHEN NEW.name = 'touch' BEGIN "
    "UPDATE orders SET name = 'touched' WHERE id = NEW.id; END;"
    "CREATE TRIGGER next AFTER UPDATE ON orders WHEN NEW.name = 'next' BEGIN "
    "UPDATE orders SET name = 'hit' WHERE id = NEW.id + 1 OR id = NEW.id - 1; END;"
    "CREATE TRIGGER move_new AFTER INSERT ON orders WHEN NEW.name = 'move' BEGIN "
    "UPDATE orders SET id = id + 100, name = 'moved' WHERE id = NEW.id; END;"
    "CREATE TRIGGER move AFTER UPDATE ON orders WHEN NEW.name = 'move' BEGIN "
    "UPDATE orders SET id = id + 100, name = 'moved' WHERE id = NEW.id; END;"
    "CREATE TRIGGER back AFTER UPDATE ON orders WHEN NEW.name = 'back' BEGIN "
    "UPDATE orders SET name = OLD.name WHERE id = NEW.id; END;"
    "CREATE TRIGGER bad_new AFTER INSERT ON orders WHEN NEW.name = 'bad' BEGIN "
    "DELETE FROM orders WHERE id = NEW.id; END;"
    "CREATE TRIGGER bad AFTER UPDATE ON orders WHEN NEW.name = 'bad' BEGIN "
    "DELETE FROM orders WHERE id = NEW.id; END;"
    "CREATE TRIGGER ghost AFTER INSERT ON orders WHEN NEW.name = 'ghost' BEGIN "
    "DELETE FROM orders WHERE id = NEW.id; INSERT INTO orders VALUES (NEW.id, 'again', ''); END;"
    "CREATE TRIGGER keep AFTER DELETE ON orders WHEN OLD.name = 'keep' BEGIN "
    "INSERT INTO orders VALUES (OLD.id, 'kept', ''); END;"
    "CREATE TRIGGER stay AFTER UPDATE OF id ON orders WHEN OLD.name = 'stay' BEGIN "
    "INSERT INTO orders VALUES (OLD.id, 'stayed', ''); END;";

static const char POSTGRESQL_FUNCTION[] =
    "CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN\n"
    "  IF TG_OP = 'DELETE' THEN\n"
    "    IF OLD.name = 'keep' THEN INSERT INTO orders VALUES (OLD.id, 'kept', ''); END IF;\n"
    "    RETURN NULL;\n"
    "  END IF;\n"
    "  IF TG_OP = 'UPDATE' THEN\n"
    "    IF OLD.id <> NEW.id AND OLD.name = 'stay' THEN\n"
    "      INSERT INTO orders VALUES (OLD.id, 'stayed', ''); END IF;\n"
    "    IF NEW.name = 'back' THEN UPDATE orders SET name = OLD.name WHERE id = NEW.id; END IF;\n"
    "    IF NEW.name = 'next' THEN\n"
    "      UPDATE orders SET name = 'hit' WHERE id = NEW.id + 1 OR id = NEW.id - 1; END IF;\n"
    "  END IF;\n"
    "  CASE NEW.name\n"
    "    WHEN 'touch' THEN UPDATE orders SET name = 'touched' WHERE id = NEW.id;\n"
    "    WHEN 'move' THEN UPDATE orders SET id = id + 100, name = 'moved' WHERE id = NEW.id;\n"
    "    WHEN 'bad' THEN DELETE FROM orders WHERE id = NEW.id;\n"
    "    WHEN 'ghost' THEN DELETE FROM orders WHERE id = NEW.id;\n"
    "      INSERT INTO orders VALUES (NEW.id, 'again', '');\n"
    "    ELSE NULL;\n"
    "  END CASE;\n"
    "  RETURN NULL;\n"
    "END$$;";

static const char *const STATEMENTS[] = {
    ("INSERT INTO orders VALUES (1, 'touch', ''), (2, 'move', ''), (3, 'bad', ''), "
     "(4, 'ghost', ''), (5, 'plain', '')"),
    "UPDATE orders SET name = 'touch'",
    "UPDATE orders SET name = 'next'",
    "UPDATE orders SET name = 'back'",
    "UPDATE orders SET note = 'unmapped'",
    "UPDATE orders SET name = 'move' WHERE id < 5",
    "UPDATE orders SET id = id + 1000",
    "UPDATE orders SET name = 'stay'",
    "UPDATE orders SET id = id + 500",
    "INSERT INTO orders VALUES (1005, 'plain', '') ON CONFLICT (id) DO UPDATE SET name = 'touch'",
    "INSERT INTO orders VALUES (7, 'touch', '') ON CONFLICT (id) DO UPDATE SET name = 'move'",
    "INSERT INTO orders VALUES (7, 'touch', '') ON CONFLICT (id) DO UPDATE SET name = 'move'",
    "UPDATE orders SET id = 1, name = 'touch' WHERE id = 107",
    "UPDATE orders SET name = 'keep'",
    "DELETE FROM orders",
    "UPDATE orders SET name = 'bad' WHERE id > 1",
    "DELETE FROM orders",
};

static void assert_folded(const struct shop *shop, const char *sql, const char *when)
{
    const char *told = database_text(shop->url, TOLD[database_case_kind]);
    const char *folded = database_text(shop->url, FOLDED[database_case_kind]);
    if (strcmp(told, folded) != 0)
        test_fail("triggers made %s init, %s: the table has\n%sand the outbox\n%sof\n%s", when, sql,
                  told, folded,
                  database_text(shop->url, "SELECT type, aggregateid, payload FROM outbox "
                                           "ORDER BY position"));
}

static void run(const struct shop *shop, const char *sql)
{
    if (database_case_kind == DATABASE_POSTGRESQL)
        postgresql_execute(shop->url, sql);
    else
        (void)database_text(shop->url, sql);
}

static void follow(const char *triggers, bool after, bool before_too)
{
    struct shop shop;
    struct error err = ERROR_INIT;
    const char *when = after ? "after" : "before";
    shop_begin(database_case_kind);
    (void)remove(test_path("shop.db"));
    shop_make(&shop, SCHEMA, TABLE);
    shop.entry.before = before_too;
    if (!after)
        run(&shop, triggers);
    if (shop_init(&shop, true, &err) != STATUS_OK)
        test_fail("%s", err.text);
    if (after)
        run(&shop, triggers);
    for (size_t i = 0; i < sizeof STATEMENTS / sizeof *STATEMENTS; i++) {
        (void)database_text(shop.url, STATEMENTS[i]);
        assert_folded(&shop, STATEMENTS[i], when);
    }
    assert_string_equal(database_text(shop.url, "SELECT count(*) FROM orders"), "0\n");
    shop_done(&shop);
}

static void what_is_captured_last_is_what_the_row_is(void)
{
    if (database_case_kind == DATABASE_MARIADB)
        return; /* its triggers cannot do that: see below */
    for (int i = 0; i < 4; i++) {
        bool after = i % 2 != 0;
        if (database_case_kind == DATABASE_SQLITE) {
            follow(SQLITE_TRIGGERS, after, i >= 2);
            continue;
        }
        follow(
            test_format("%s CREATE TRIGGER \"%s\" AFTER INSERT OR UPDATE OR DELETE ON orders FOR "
                        "EACH ROW EXECUTE FUNCTION again()",
                        POSTGRESQL_FUNCTION, i >= 2 ? "000_first" : "zz_last"),
            after, false);
    }
}

/* MariaDB's triggers cannot write the table that set them off, not even indirectly. They can only
 * change the row before it is written. */
static void a_trigger_of_mariadb_cannot_change_its_own_table_again(void)
{
    static const char *const ways[] = {
        "CREATE TRIGGER again AFTER %s ON orders FOR EACH ROW UPDATE orders SET name = 'x'",
        "CREATE TRIGGER again BEFORE %s ON orders FOR EACH ROW UPDATE orders SET name = 'x'",
        "CREATE TRIGGER again AFTER %s ON orders FOR EACH ROW DELETE FROM orders",
        "CREATE TRIGGER again AFTER %s ON orders FOR EACH ROW INSERT INTO others VALUES (1)",
        "CREATE TRIGGER again AFTER %s ON orders FOR EACH ROW CALL write_orders()",
    };
    static const char *const changes[][2] = {
        {"INSERT", "INSERT INTO orders VALUES (9, 'n', '')"},
        {"UPDATE", "UPDATE orders SET name = 'n' WHERE id = 1"},
        {"DELETE", "DELETE FROM orders WHERE id = 1"}};
    if (database_case_kind != DATABASE_MARIADB)
        return;
    struct shop shop;
    struct error err = ERROR_INIT;
    shop_begin(database_case_kind);
    shop_make(&shop, SCHEMA,
              TABLE "CREATE TABLE others (id INT);"
                    "CREATE TRIGGER others_insert AFTER INSERT ON others FOR EACH ROW "
                    "UPDATE orders SET name = 'y';"
                    "CREATE PROCEDURE write_orders() UPDATE orders SET name = 'z'");
    if (shop_init(&shop, true, &err) != STATUS_OK)
        test_fail("%s", err.text);
    run(&shop, "INSERT INTO orders VALUES (1, 'a', '')");
    struct session *session = session_open(shop.url);
    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
        for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
            const char *verb = strstr(ways[way], "%s");
            run(&shop, test_format("%.*s%s%s", (int)(verb - ways[way]), ways[way], changes[i][0],
                                   verb + 2));
            const char *error = session_try(session, changes[i][1], NULL);
            if (error == NULL || strstr(error, "already used") == NULL)
                test_fail("%s %s: %s", ways[way], changes[i][1], error == NULL ? "done" : error);
            run(&shop, "DROP TRIGGER again");
        }
    }
    session_close(session);
    run(&shop, "CREATE TRIGGER again BEFORE UPDATE ON orders FOR EACH ROW SET NEW.name = 'set', "
               "NEW.id = NEW.id + 1; CREATE TRIGGER first BEFORE INSERT ON orders FOR EACH ROW "
               "SET NEW.name = 'first'");
    run(&shop, "INSERT INTO orders VALUES (5, 'n', ''); UPDATE orders SET note = 'x'");
    assert_folded(&shop, "UPDATE", "after");
    shop_done(&shop);
}

/* The triggers stay on the renamed table. The objects that they name exist once init has run under
 * the new name. */
static void a_table_that_was_renamed_is_written_and_captured_as_before(void)
{
    struct shop shop;
    struct error err = ERROR_INIT;
    shop_begin(database_case_kind);
    shop_make(&shop, SCHEMA, TABLE);
    if (shop_init(&shop, true, &err) != STATUS_OK)
        test_fail("%s", err.text);
    run(&shop, "ALTER TABLE orders RENAME TO sales");
    run(&shop, "INSERT INTO sales VALUES (1, 'a', ''), (2, 'b', '')");
    run(&shop, "UPDATE sales SET id = 3, name = 'c' WHERE id = 1");
    run(&shop, "UPDATE sales SET name = 'd' WHERE id = 3");
    run(&shop, "DELETE FROM sales WHERE id = 2");
    run(&shop, "ALTER TABLE sales RENAME TO orders");
    assert_folded(&shop, "all", "before");
    shop_done(&shop);
}

/* Another transaction deletes a row that this one has seen, and this one inserts it again. Its
 * snapshot has both rows of the key. */
static void a_row_that_another_has_deleted_is_not_taken_for_the_new_one(void)
{
    static const char *const changes[] = {"INSERT INTO orders VALUES (1, 'new', '')",
                                          "UPDATE orders SET name = 'newer' WHERE name = 'new'",
                                          "DELETE FROM orders WHERE name = 'newer'",
                                          "INSERT INTO orders VALUES (2, 'moved', '')",
                                          "UPDATE orders SET id = 1 WHERE name = 'moved'",
                                          "UPDATE orders SET id = 3 WHERE name = 'moved'"};
    static const char *const kinds[] = {"", " PARTITION BY RANGE (id)"};
    struct shop shop;
    struct error err = ERROR_INIT;
    if (database_case_kind != DATABASE_POSTGRESQL)
        return; /* elsewhere triggers read the current row, or NEW */
    for (size_t kind = 0; kind < 2; kind++) {
        shop_begin(database_case_kind);
        shop_make(
            &shop, SCHEMA,
            test_format("CREATE TABLE orders (id integer PRIMARY KEY, name varchar(40), note "
                        "varchar(40))%s; %s INSERT INTO orders VALUES (1, 'old', '')",
                        kinds[kind],
                        kind == 0 ? "" : "CREATE TABLE all_orders PARTITION OF orders DEFAULT;"));
        if (shop_init(&shop, true, &err) != STATUS_OK)
            test_fail("%s", err.text);
        struct session *session = session_open(shop.url);
        session_run(session, "BEGIN ISOLATION LEVEL REPEATABLE READ", NULL);
        session_run(session, "SELECT count(*) FROM orders", NULL);
        run(&shop, "DELETE FROM orders");
        run(&shop, "DELETE FROM outbox");
        for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
            session_run(session, changes[i], NULL);
        session_run(session, "COMMIT", NULL);
        session_close(session);
        assert_string_equal(
            database_text(shop.url, "SELECT type, aggregateid, split_part(payload, 'name', 2) FROM "
                                    "outbox ORDER BY position"),
            "order.created|{\"id\":1}|\":\"new\"}}\norder.updated|{\"id\":1}|\":\"newer\"}}\n"
            "order.deleted|{\"id\":1}|\norder.created|{\"id\":2}|\":\"moved\"}}\n"
            "order.deleted|{\"id\":2}|\norder.created|{\"id\":1}|\":\"moved\"}}\n"
            "order.deleted|{\"id\":1}|\norder.created|{\"id\":3}|\":\"moved\"}}\n");
        shop_done(&shop);
    }
}

/* A session keeps the plan that it made while the table was small. The service's own
 * DELETEs scan it: it fits in one page. */
static void a_table_that_grows_is_never_read_whole_for_one_row(void)
{
    struct shop shop;
    struct error err = ERROR_INIT;
    if (database_case_kind != DATABASE_POSTGRESQL)
        return;
    shop_begin(database_case_kind);
    shop_make(&shop, SCHEMA,
              TABLE "INSERT INTO orders SELECT g, 'a' FROM generate_series(1, 20) AS g;");
    if (shop_init(&shop, true, &err) != STATUS_OK)
        test_fail("%s", err.text);
    run(&shop, "ANALYZE orders");
    struct session *session = session_open(shop.url);
    struct buffer rows;
    buffer_init(&rows, 4096);
    session_run(session, "BEGIN", NULL);
    for (int i = 0; i < 10; i++) {
        session_run(session, test_format("INSERT INTO orders VALUES (%d, 'b')", 1000 + i), NULL);
        session_run(session, test_format("DELETE FROM orders WHERE id = %d", 1000 + i), NULL);
    }
    session_run(session, "SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'orders'",
                &rows);
    session_run(session, "ROLLBACK", NULL);
    session_close(session);
    assert_string_equal(buffer_text(&rows), "10" SESSION_COLUMN_END SESSION_ROW_END);
    buffer_done(&rows);
    shop_done(&shop);
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE(what_is_captured_last_is_what_the_row_is),
        DATABASE_CASE(a_trigger_of_mariadb_cannot_change_its_own_table_again),
        DATABASE_CASE(a_row_that_another_has_deleted_is_not_taken_for_the_new_one),
        DATABASE_CASE(a_table_that_grows_is_never_read_whole_for_one_row),
        DATABASE_CASE(a_table_that_was_renamed_is_written_and_captured_as_before),
    };
    return database_case_run(cases, sizeof cases / sizeof *cases);
}
