/* What only the MariaDB store does: catalogue, runs, the database's errors, the trigger flag. */
#include "tests/support/mariadb.h"
#include "tests/support/store_orders.h"

#include <stdio.h>

static void tables_that_keep_every_value_exactly_are_accepted(void **state)
{
    (void)state;
    orders_assert_accepted(
        "CREATE TABLE orders(id bigint PRIMARY KEY, price decimal(9,2), note text)");
    orders_assert_accepted("CREATE TABLE orders(note varchar(20) CHARACTER SET latin1, "
                           "price decimal(4,2), id smallint unsigned NOT NULL UNIQUE)");
    orders_assert_accepted(
        "CREATE TABLE orders(id int AUTO_INCREMENT PRIMARY KEY, price decimal(4,2), "
        "note longtext, other text NOT NULL DEFAULT '')");
    orders_assert_accepted("CREATE TABLE orders(id int PRIMARY KEY, price decimal(9,2), note text, "
                           "INDEX (note(20))) PARTITION BY KEY (id) PARTITIONS 2");
    orders_assert_accepted(
        "CREATE TABLE orders(other int AUTO_INCREMENT PRIMARY KEY, id int NOT NULL, "
        "price decimal(9,2), note varchar(9) UNIQUE, UNIQUE (id))");
    orders_assert_accepted(
        "CREATE TABLE parents(id bigint PRIMARY KEY); INSERT INTO parents VALUES (1);"
        "CREATE TABLE orders(id bigint PRIMARY KEY, price decimal(9,2), note text, "
        "FOREIGN KEY (id) REFERENCES parents(id))");
}

static void tables_that_would_change_a_value_are_refused(void **state)
{
    (void)state;
    orders_assert_refused("CREATE TABLE orders(id bigint PRIMARY KEY, price double, note text)",
                          "double, which does not keep a decimal");
    orders_assert_refused("CREATE TABLE orders(id bigint PRIMARY KEY, price bigint, note text)",
                          "bigint");
    orders_assert_refused(
        "CREATE TABLE orders(id bigint PRIMARY KEY, price decimal(9,2), note char(9))", "char(9)");
    orders_assert_refused("CREATE TABLE orders(id bigint PRIMARY KEY, price decimal(9,2), "
                          "note enum('a'))",
                          "enum");
    orders_assert_refused(
        "CREATE TABLE orders(id decimal(9) PRIMARY KEY, price decimal(9,2), note text)",
        "decimal(9,0), which does not keep a integer");
    orders_assert_refused("CREATE TABLE orders(id bigint, price decimal(9,2), note text)",
                          "neither the prim");
    orders_assert_refused("CREATE TABLE orders(id bigint UNIQUE, price decimal(9,2), note text)",
                          "neither the primary key");
    orders_assert_refused("CREATE TABLE orders(id bigint, price decimal(9,2), note varchar(9), "
                          "PRIMARY KEY (id, note))",
                          "neither the primary key");
    orders_assert_refused("CREATE TABLE orders(id bigint PRIMARY KEY, price decimal(9,2), "
                          "note text AS ('x') STORED)",
                          "generated");
    orders_assert_refused(
        "CREATE TABLE orders(id bigint PRIMARY KEY, price decimal(9,2), note text, "
        "other int NOT NULL)",
        "\"other\"");
    orders_assert_refused("CREATE TABLE orders(price decimal(9,2), note text)", "for the key");
    orders_assert_refused(
        "CREATE TABLE orders(id bigint PRIMARY KEY, price decimal(9,2), note text) "
        "ENGINE = Aria",
        "ENGINE = InnoDB");
    orders_assert_refused("CREATE TABLE parents(id bigint, price decimal(9,2), note text);"
                          "CREATE VIEW seen AS SELECT * FROM parents; RENAME TABLE seen TO orders;"
                          "CREATE VIEW seen AS SELECT 1",
                          "is a view");
    mariadb_execute(orders_url, "DROP VIEW orders");
}

static void cascades_are_refused_on_either_side(void **state)
{
    (void)state;
    orders_assert_refused(
        "CREATE TABLE parents(id bigint PRIMARY KEY);"
        "CREATE TABLE orders(id bigint PRIMARY KEY, price decimal(9,2), note text, "
        "FOREIGN KEY (id) REFERENCES parents(id) ON DELETE CASCADE)",
        "cascades");
    orders_assert_refused(
        "CREATE TABLE orders(id bigint PRIMARY KEY, price decimal(9,2), note text);"
        "CREATE TABLE items(id bigint PRIMARY KEY, order_id bigint, "
        "FOREIGN KEY (order_id) REFERENCES orders(id) ON UPDATE SET NULL)",
        "table \"items\" cascades");
}

static void text_keys_compare_bytewise_and_unpadded(void **state)
{
    (void)state;
    static const char *const keys[] = {"a", "A", "a ", "\xc3\xa4", "\xc3\x84", "a\t"};
    orders_schema.columns[0].type = COLUMN_TEXT;
    struct store *store = orders_open_prepared();
    struct value values[6][3] = {0};
    struct change list[6];
    const struct change *changes[6];
    for (size_t i = 0; i < 6; i++) {
        list[i] = orders_change(values[i], CHANGE_CREATE, 1, keys[i]);
        values[i][0] = (struct value){.kind = VALUE_TEXT, .text = slice_of(keys[i])};
        changes[i] = &list[i];
    }
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_ok(orders_ops->apply(store, &orders_mapping, changes, 6, &orders_err));
    assert_ok(orders_ops->commit(store, false, &orders_err));
    orders_ops->close(store);
    orders_schema.columns[0].type = COLUMN_INTEGER;
    assert_string_equal(mariadb_text(orders_url, "SELECT count(*), sum(id = note) FROM orders"),
                        "6|6\n");
    orders_schema.columns[0].type = COLUMN_TEXT;
    orders_assert_refused("CREATE TABLE orders(id varchar(9) COLLATE utf8mb4_bin PRIMARY KEY, "
                          "price decimal(9,2), note text)",
                          "compares by utf8mb4_bin: declare it COLLATE utf8mb4_nopad_bin");
    orders_schema.columns[0].type = COLUMN_INTEGER;
}

static void a_table_is_created_and_widened_from_the_schema(void **state)
{
    (void)state;
    struct store *store = orders_open();
    orders_drop();
    orders_schema.column_count = 2;
    orders_schema.columns[1].precision = 12;
    orders_schema.columns[1].scale = 3;
    assert_ok(orders_ops->prepare(store, &orders_mapping, &orders_err));
    orders_schema.column_count = 3;
    assert_ok(orders_ops->prepare(store, &orders_mapping, &orders_err));
    assert_ok(orders_ops->prepare(store, &orders_mapping, &orders_err));
    orders_schema.columns[1].precision = 0;
    orders_schema.columns[1].scale = 0;
    assert_string_equal(mariadb_text(orders_url,
                                     "SELECT column_name, column_type, is_nullable, "
                                     "collation_name FROM information_schema.columns "
                                     "WHERE table_name = 'orders' ORDER BY ordinal_position"),
                        "id|bigint(20)|NO|NULL\nprice|decimal(12,3)|YES|NULL\n"
                        "note|longtext|YES|utf8mb4_nopad_bin\n");
    orders_ops->close(store);
}

enum { BULK = 9000 };
static struct value bulk_values[BULK][3];
static struct change bulk[BULK];
static const struct change *bulk_changes[BULK];

static enum status apply_bulk(struct store *store, size_t from, size_t count, const char *note)
{
    for (size_t i = 0; i < count; i++) {
        bulk[i] = orders_change(bulk_values[i], CHANGE_UPDATE, (int64_t)(from + i), note);
        bulk_changes[i] = &bulk[i];
    }
    return orders_ops->apply(store, &orders_mapping, bulk_changes, count, &orders_err);
}

static void what_is_there_is_updated_and_what_is_not_is_inserted(void **state)
{
    (void)state;
    static const char *const uniques[] = {"", ", UNIQUE (other)"};
    for (size_t i = 0; i < 2; i++) {
        struct store *store = orders_open();
        orders_drop();
        mariadb_execute(orders_url, test_format("CREATE TABLE orders(id int PRIMARY KEY, price "
                                                "decimal(9,2), note text, other int %s)",
                                                uniques[i]));
        assert_ok(orders_ops->prepare(store, &orders_mapping, &orders_err));
        assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
        assert_ok(apply_bulk(store, 0, BULK / 2, "first"));
        assert_ok(apply_bulk(store, BULK / 4, BULK / 2, "second")); /* half of them exist */
        assert_ok(apply_bulk(store, 0, BULK / 2, "first"));
        assert_ok(apply_bulk(store, 0, BULK / 2, "first")); /* matched, though unchanged */
        assert_ok(apply_bulk(store, BULK / 4, BULK / 2, "second"));
        assert_ok(orders_ops->commit(store, false, &orders_err));
        assert_string_equal(mariadb_text(orders_url,
                                         "SELECT note, count(*), min(id), max(id) FROM orders "
                                         "GROUP BY note ORDER BY note"),
                            "first|2250|0|2249\nsecond|4500|2250|6749\n");
        orders_ops->close(store);
    }
}

static void a_row_of_another_entity_is_never_written_over(void **state)
{
    (void)state;
    struct store *store = orders_open_prepared();
    mariadb_execute(orders_url, "ALTER TABLE orders MODIFY note varchar(20)");
    assert_ok(orders_ops->prepare(store, &orders_mapping, &orders_err));
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_ok(apply_bulk(store, 0, 10, "same"));
    assert_ok(orders_ops->commit(store, false, &orders_err));
    mariadb_execute(orders_url,
                    "UPDATE orders SET note = id; ALTER TABLE orders ADD UNIQUE (note)");
    /* The statement was prepared before the index existed. */
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_int_equal(apply_bulk(store, 20, 2, "5"), STATUS_REJECT);
    error_clear(&orders_err);
    assert_ok(orders_ops->savepoint(store, true, &orders_err));
    assert_int_equal(orders_apply(store, CHANGE_CREATE, 20, "5"), STATUS_REJECT);
    assert_int_equal(orders_err.reject, REJECT_WAITING);
    error_clear(&orders_err);
    assert_ok(orders_ops->savepoint(store, true, &orders_err));
    assert_ok(orders_apply(store, CHANGE_DELETE, 5, NULL));
    assert_ok(orders_apply(store, CHANGE_CREATE, 20, "5"));
    assert_ok(orders_ops->commit(store, false, &orders_err));
    assert_string_equal(mariadb_text(orders_url, "SELECT count(*), sum(note = id) FROM orders"),
                        "10|9\n");
    orders_ops->close(store);
}

static void assert_held(struct store *store, const char *column, struct value value)
{
    struct value values[3] = {0};
    struct change change = orders_change(values, CHANGE_CREATE, 1, "n");
    const struct change *changes[] = {&change};
    values[1].text = slice_of("1");
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(orders_schema.columns[i].name, column) == 0)
            values[i] = value;
    }
    error_clear(&orders_err);
    if (orders_ops->apply(store, &orders_mapping, changes, 1, &orders_err) != STATUS_REJECT ||
        orders_err.reject != REJECT_HELD || strstr(orders_err.text, column) == NULL)
        test_fail("%s: %s", column, orders_err.text);
    error_clear(&orders_err);
}

static struct value text_value(const char *text)
{
    return (struct value){.kind = VALUE_TEXT, .text = slice_of(text)};
}

static void values_that_a_narrower_column_would_change_are_held(void **state)
{
    (void)state;
    struct store *store = orders_open();
    static char large[70000];
    memset(large, 'x', sizeof large - 1);
    orders_drop();
    mariadb_execute(orders_url, "CREATE TABLE orders(id smallint unsigned PRIMARY KEY, "
                                "price decimal(5,2), note varchar(4))");
    assert_ok(orders_ops->prepare(store, &orders_mapping, &orders_err));
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_held(store, "id", (struct value){.kind = VALUE_INTEGER, .integer = -1});
    assert_held(store, "id", (struct value){.kind = VALUE_INTEGER, .integer = 65536});
    assert_held(store, "price", text_value("1.239"));
    assert_held(store, "price", text_value("1000"));
    assert_held(store, "note", text_value("ab   "));
    assert_held(store, "id", (struct value){.kind = VALUE_NULL});
    assert_ok(orders_apply(store, CHANGE_CREATE, 65535, "\xc3\xa4\xc3\xb6\xc3\xbc "));
    orders_ops->rollback(store);
    orders_drop();
    mariadb_execute(orders_url, "CREATE TABLE orders(id int PRIMARY KEY, price bigint unsigned, "
                                "note text NOT NULL)");
    orders_schema.columns[1].precision = 20;
    assert_ok(orders_ops->prepare(store, &orders_mapping, &orders_err));
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_held(store, "price", text_value("-1"));
    assert_held(store, "price", text_value("18446744073709551616"));
    assert_held(store, "price", text_value("0.5"));
    assert_held(store, "note", (struct value){.kind = VALUE_NULL});
    assert_held(store, "note", text_value(large));
    orders_schema.columns[1].precision = 0;
    orders_ops->close(store);
}

static void what_the_database_says_of_a_row_becomes_its_verdict(void **state)
{
    (void)state;
    static const struct {
        int number;
        enum status status;
        enum reject_kind reject;
    } expected[] = {
        {1213, STATUS_RETRY, REJECT_HELD},     {1205, STATUS_RETRY, REJECT_HELD},
        {1305, STATUS_RETRY, REJECT_HELD},     {1969, STATUS_RETRY, REJECT_HELD},
        {1142, STATUS_RETRY, REJECT_HELD},     {1114, STATUS_RETRY, REJECT_HELD},
        {1452, STATUS_REJECT, REJECT_WAITING}, {1451, STATUS_REJECT, REJECT_WAITING},
        {1644, STATUS_REJECT, REJECT_HELD},    {4025, STATUS_REJECT, REJECT_HELD},
        {1146, STATUS_REJECT, REJECT_HELD},    {31001, STATUS_REJECT, REJECT_HELD},
        {1339, STATUS_REJECT, REJECT_HELD},    {1449, STATUS_RETRY, REJECT_HELD},
    };
    struct store *store = orders_open_prepared();
    mariadb_execute(orders_url, "CREATE TRIGGER refuse BEFORE INSERT ON orders FOR EACH ROW "
                                "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1000");
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        error_clear(&orders_err);
        mariadb_execute(orders_url, test_format("DROP TRIGGER refuse; CREATE TRIGGER refuse "
                                                "BEFORE INSERT ON orders FOR EACH ROW "
                                                "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = %d",
                                                expected[i].number));
        assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
        enum status status = orders_apply(store, CHANGE_CREATE, 1, "n");
        if (status != expected[i].status || orders_err.reject != expected[i].reject ||
            orders_err.native_code != expected[i].number)
            test_fail("%d: %s: %s", expected[i].number, status_name(status), orders_err.text);
        orders_ops->rollback(store);
    }
    orders_ops->close(store);
}

static void a_savepoint_that_is_gone_voids_the_batch(void **state)
{
    (void)state;
    struct store *store = orders_open_prepared();
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_ok(orders_apply(store, CHANGE_CREATE, 1, "one"));
    orders_ops->rollback(store); /* as a deadlock does */
    assert_int_equal(orders_ops->savepoint(store, true, &orders_err), STATUS_RETRY);
    assert_int_equal(orders_err.native_code, 1305);
    orders_ops->close(store);
    assert_string_equal(mariadb_text(orders_url, "SELECT count(*) FROM orders"), "0\n");
}

/* Open as a user with rights on its tables only. Such a user is bound by read_only. */
static struct store *open_as_poor(void)
{
    struct store *store = orders_open_prepared();
    orders_ops->close(store);
    mariadb_execute(orders_url, "CREATE USER IF NOT EXISTS poor@localhost; "
                                "GRANT ALL ON copy.* TO poor@localhost");
    struct store_options options = {.path = test_format("mysql://poor%s", strchr(orders_url, '@')),
                                    .service = "billing"};
    assert_ok(orders_ops->open(&options, &store, &orders_err));
    assert_ok(orders_ops->prepare(store, &orders_mapping, &orders_err));
    return store;
}

static void a_target_that_became_read_only_is_left_for_a_new_session(void **state)
{
    (void)state;
    struct store *store = open_as_poor();
    mariadb_execute(orders_url, "SET GLOBAL read_only = 1");
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    enum status status = orders_apply(store, CHANGE_CREATE, 1, "one");
    mariadb_execute(orders_url, "SET GLOBAL read_only = 0");
    assert_int_equal(status, STATUS_RETRY);
    assert_int_equal(orders_err.native_code, 1290);
    assert_true(orders_err.connection_lost);
    orders_ops->close(store);
}

static void the_variable_names_the_table_during_a_run_only(void **state)
{
    (void)state;
    struct store *store = orders_open_prepared();
    struct mapping published = orders_mapping;
    struct value values[3] = {0};
    struct change change = orders_change(values, CHANGE_CREATE, 1, "n");
    const struct change *changes[] = {&change};
    published.published_here = true;
    mariadb_execute(orders_url, "CREATE TRIGGER see BEFORE INSERT ON orders FOR EACH ROW "
                                "SET NEW.note = coalesce(@keepstep_applying, 'none')");
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_ok(orders_ops->apply(store, &published, changes, 1, &orders_err));
    assert_ok(orders_apply(store, CHANGE_CREATE, 2, "n"));
    assert_ok(orders_ops->savepoint(store, false, &orders_err));
    values[0].integer = 9;
    assert_ok(orders_ops->apply(store, &published, changes, 1, &orders_err));
    assert_ok(orders_ops->savepoint(store, true, &orders_err));
    assert_ok(orders_apply(store, CHANGE_CREATE, 3, "n"));
    assert_ok(orders_ops->commit(store, false, &orders_err));
    assert_string_equal(mariadb_text(orders_url, "SELECT id, note FROM orders ORDER BY id"),
                        "1|orders\n2|none\n3|none\n");
    orders_ops->close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(tables_that_keep_every_value_exactly_are_accepted, 120),
        TEST_WITH_LIMIT(tables_that_would_change_a_value_are_refused, 120),
        TEST_WITH_LIMIT(cascades_are_refused_on_either_side, 120),
        TEST_WITH_LIMIT(text_keys_compare_bytewise_and_unpadded, 120),
        TEST_WITH_LIMIT(a_table_is_created_and_widened_from_the_schema, 120),
        TEST_WITH_LIMIT(what_is_there_is_updated_and_what_is_not_is_inserted, 120),
        TEST_WITH_LIMIT(a_row_of_another_entity_is_never_written_over, 120),
        TEST_WITH_LIMIT(values_that_a_narrower_column_would_change_are_held, 120),
        TEST_WITH_LIMIT(what_the_database_says_of_a_row_becomes_its_verdict, 120),
        TEST_WITH_LIMIT(a_savepoint_that_is_gone_voids_the_batch, 120),
        TEST_WITH_LIMIT(a_target_that_became_read_only_is_left_for_a_new_session, 120),
        TEST_WITH_LIMIT(the_variable_names_the_table_during_a_run_only, 120),
    };
    orders_begin(DATABASE_MARIADB);
    return TEST_RUN(tests);
}
