/* What a publisher's snapshot says of its rows, in each database: the values of their events, by
 * key too, with no more rights than needed, and an error where the rows are not the snapshot's. */
#include "tests/support/session.h"
#include "tests/support/source_case.h"

#include <stdio.h>

#define ROWS_SIZE ((size_t)16 * 1024 * 1024)
#define ALL_TYPES                                                                                  \
    "id integer,name text,total decimal,ratio double,flag boolean,at date-time,day date,raw bytes"
#define ROWS_1_2 "INSERT INTO orders VALUES (1, 'a'), (2, 'b')"

/* By database_kind. */
static const char *const all_types[] = {
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, name TEXT, total NUMERIC, ratio REAL, flag "
    "INTEGER, at TEXT, day TEXT, raw BLOB);"
    "INSERT INTO orders VALUES "
    "(1, 'név \"x\" \\ ' || char(9, 10, 31), '12.50', 0.1, 1, '2026-11-23 09:42:00.5', "
    "'2026-11-23', x'00ff80'), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL), "
    "(3, '', 1234567.25, 1.7976931348623157e308, 0, '2026-11-23T09:42:00.123456Z', '0001-01-01', "
    "x''), "
    "(4, 'a ', -0.5, 5e-324, 1, '2026-11-23', '9999-12-31', x'41')",
    "CREATE TABLE orders (id bigint PRIMARY KEY, name text, total numeric, ratio float8, flag "
    "boolean, at timestamptz, day date, raw bytea);"
    "INSERT INTO orders VALUES "
    "(1, E'név \"x\" \\\\ \\t\\n\\x1f', 12.50, 0.1, true, '2026-11-23 09:42:00.5+00', "
    "'2026-11-23', '\\x00ff80'), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL), "
    "(3, '', 1e20, 1.7976931348623157e308, false, '2026-11-23 10:42:00.123456+01', '0001-01-01', "
    "''), (4, 'a ', -0.000001, 5e-324, true, '2026-11-23', '9999-12-31', 'A')",
    "CREATE TABLE orders (id BIGINT PRIMARY KEY, name TEXT CHARACTER SET utf8mb4, total "
    "DECIMAL(40,10), ratio DOUBLE, flag BOOLEAN, at TIMESTAMP(6) NULL, day DATE, raw "
    "VARBINARY(100));"
    "INSERT INTO orders VALUES "
    "(1, CONCAT('név \"x\" ', CHAR(92, 9, 10, 31)), 12.50, 0.1, 1, '2026-11-23 09:42:00.5', "
    "'2026-11-23', x'00ff80'), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL), "
    "(3, '', 1e20, 1.7976931348623157e308, 0, '2026-11-23 09:42:00.123456', '1000-01-01', ''), "
    "(4, 'a ', -0.000001, 2.2250738585072014e-308, 1, '2026-11-23', '9999-12-31', 'A')",
};

static const struct entity_schema *found_schema;

static const struct entity_schema *find_schema(void *context, struct slice entity_type)
{
    (void)context;
    return slice_is(entity_type, "order") ? found_schema : NULL;
}

static void append_event(const struct source_case *self, struct buffer *rows, struct slice key,
                         struct slice payload)
{
    struct error err = ERROR_INIT;
    struct change change;
    struct arena arena;
    const struct header type = {slice_of("ce_type"), slice_of("order.read")};
    const struct record record = {
        .topic = "order", .key = key, .value = payload, .headers = &type, .header_count = 1};
    arena_init(&arena, ROWS_SIZE);
    found_schema = self->shop.schema;
    const struct decoder decoder = {.finder = {find_schema, NULL}, .arena = &arena};
    if (record_decode(&record, &decoder, &change, &err) != STATUS_OK)
        test_fail("%s", err.text);
    source_case_append_row(rows, self->shop.schema, change.entity_key, change.values);
    arena_done(&arena);
}

/* @return the events of the outbox as source_case_rows() writes rows. */
static const char *events(const struct source_case *self)
{
    struct buffer read;
    struct buffer rows;
    struct session *session = session_open(self->shop.url);
    buffer_init(&read, ROWS_SIZE);
    buffer_init(&rows, ROWS_SIZE);
    session_run(session, "SELECT aggregateid, payload FROM outbox ORDER BY aggregateid", &read);
    for (const char *at = buffer_text(&read); *at != '\0';) {
        struct slice key = {at, strcspn(at, SESSION_COLUMN_END)};
        struct slice payload = {at + key.length + 1,
                                strcspn(at + key.length + 1, SESSION_COLUMN_END)};
        append_event(self, &rows, key, payload);
        at = payload.data + payload.length + 2;
    }
    session_close(session);
    const char *text = test_format("%s", buffer_text(&rows));
    buffer_done(&rows);
    buffer_done(&read);
    return text;
}

static void rows_have_the_values_and_digests_of_their_events(void)
{
    struct source_case self;
    source_case_make(&self, shop_schema("id", ALL_TYPES), all_types[database_case_kind]);
    source_case_snapshot(&self, true);
    const char *rows = source_case_rows(&self, NULL, 0);
    assert_string_equal(rows, events(&self));
    assert_non_null(strstr(rows, "{\"id\":4} "));
    assert_non_null(strstr(rows, "at=\"2026-11-23T09:42:00.500000Z\""));
    assert_null(strstr(rows, "?"));
    source_case_done(&self);
}

/* By database_kind: values that no event carries. */
static const char *const unfit[] = {
    "INSERT INTO orders VALUES (1, x'00', 'text', 9e999, 7, 'noon', 'today', 'text')",
    "INSERT INTO orders VALUES (1, 'a', 'NaN', 'Infinity', NULL, 'infinity', '20000-01-01', NULL)",
    ("SET sql_mode = ''; INSERT INTO orders VALUES (1, 'a', 1, 1, 7, '0000-00-00', '0000-00-00', "
     "'')"),
};

static void a_value_that_has_no_canonical_form_is_a_value_too(void)
{
    struct source_case self;
    const char *table = all_types[database_case_kind];
    source_case_make_bare(&self, shop_schema("id", ALL_TYPES),
                          test_format("%.*s%s", (int)(strchr(table, ';') - table + 1), table,
                                      unfit[database_case_kind]));
    source_case_snapshot(&self, true);
    const char *rows = source_case_rows(&self, NULL, 0);
    assert_non_null(strstr(rows, " at=?"));
    assert_non_null(strstr(rows, " day=?"));
    source_case_done(&self);
}

static const char *row_of(const char *rows, const char *key)
{
    const char *at = strstr(rows, key);
    return at == NULL ? "" : test_format("%.*s", (int)strcspn(at, "\n") + 1, at);
}

static void rows_are_found_by_their_keys(void)
{
    static const char *const some[] = {"{\"id\":2}", "{\"id\":9999}", "{\"id\":1}",
                                       "{\"id\":9223372036854775807}"};
    const char *many[300];
    struct source_case self;
    const char *inserts = "INSERT INTO orders VALUES (0, 'zero')";
    for (int i = 1; i < 300; i++)
        inserts = test_format("%s,(%d,'n%d')", inserts, i, i);
    source_case_make_bare(&self, SOURCE_CASE_SCHEMA, test_format(SOURCE_CASE_TABLE ";%s", inserts));
    source_case_snapshot(&self, true);
    const char *rows = source_case_rows(&self, NULL, 0);
    assert_string_equal(
        source_case_rows(&self, some, 4),
        test_format("%s%s", row_of(rows, "{\"id\":1} "), row_of(rows, "{\"id\":2} ")));
    assert_string_equal(source_case_rows(&self, some, 0), "");
    for (int i = 0; i < 300; i++)
        many[i] = test_format("{\"id\":%d}", i);
    assert_string_equal(source_case_rows(&self, many, 300), rows);
    source_case_done(&self);
}

static void a_key_of_several_columns_is_found(void)
{
    static const char *const keys[] = {"{\"id\":1,\"shelf\":\"a\"}", "{\"id\":2,\"shelf\":\"a\"}",
                                       "{\"id\":2,\"shelf\":\"b\\\"\"}"};
    struct source_case self;
    source_case_make_bare(
        &self, shop_schema("shelf,id", "shelf text,id integer,name text"),
        "CREATE TABLE orders (shelf varchar(40) NOT NULL, id bigint NOT NULL, "
        "name varchar(40), PRIMARY KEY (shelf, id));"
        "INSERT INTO orders VALUES ('a', 1, 'x'), ('b\"', 2, 'y'), ('b', 1, 'z')");
    source_case_snapshot(&self, true);
    const char *rows = source_case_rows(&self, NULL, 0);
    assert_string_equal(source_case_rows(&self, keys, 3),
                        test_format("%s%s", row_of(rows, keys[0]), row_of(rows, keys[2])));
    source_case_done(&self);
}

/* MariaDB lets a primary key have 32 columns, PostgreSQL as many; of types in turn. */
static void a_key_of_sixteen_columns_is_found(void)
{
    struct source_case self;
    const char *names = "";
    const char *columns = "";
    const char *table = "";
    const char *rows[2] = {"", ""};
    const char *key = "";
    for (int i = 0; i < 16; i++) {
        const char *comma = i == 0 ? "" : ",";
        bool is_text = i % 2 == 1;
        names = test_format("%s%sk%02d", names, comma, i);
        columns = test_format("%s%sk%02d %s", columns, comma, i, is_text ? "text" : "integer");
        table = test_format("%sk%02d %s NOT NULL,", table, i, is_text ? "varchar(40)" : "bigint");
        for (int row = 0; row < 2; row++)
            rows[row] = test_format(is_text ? "%s%s'v%d'" : "%s%s%d", rows[row], comma,
                                    i + (i == 15 ? row : 0));
        key = test_format(is_text ? "%s%s\"k%02d\":\"v%d\"" : "%s%s\"k%02d\":%d", key, comma, i, i);
    }
    const char *keys[] = {test_format("{%s}", key)};
    source_case_make_bare(&self, shop_schema(names, columns),
                          test_format("CREATE TABLE orders (%sPRIMARY KEY (%s));"
                                      "INSERT INTO orders VALUES (%s), (%s)",
                                      table, names, rows[0], rows[1]));
    source_case_snapshot(&self, true);
    const char *all = source_case_rows(&self, NULL, 0);
    assert_string_not_equal(row_of(all, keys[0]), "");
    assert_string_equal(source_case_rows(&self, keys, 1), row_of(all, keys[0]));
    source_case_done(&self);
}

/* As programs of Windows write it; MariaDB keeps it so in a text column. */
static void a_uuid_in_capitals_is_found_by_its_key(void)
{
    static const char *const types[] = {"CHAR(36) COLLATE ascii_bin",
                                        "VARCHAR(40) COLLATE utf8mb4_general_ci", "UUID"};
    static const char *const keys[] = {"{\"id\":\"0193583c-0000-7000-8000-00000000000a\"}",
                                       "{\"id\":\"0193583c-0000-7000-8000-00000000000b\"}",
                                       "{\"id\":\"0193583c-0000-7000-8000-00000000000c\"}"};
    if (database_case_kind != DATABASE_MARIADB)
        return;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct source_case self;
        source_case_make_bare(
            &self, shop_schema("id", "id uuid,name text"),
            test_format("CREATE TABLE orders (id %s PRIMARY KEY, name varchar(40));"
                        "INSERT INTO orders VALUES "
                        "('0193583C-0000-7000-8000-00000000000A', 'x'),"
                        "('0193583c-0000-7000-8000-00000000000b', 'y')",
                        types[i]));
        source_case_snapshot(&self, true);
        const char *all = source_case_rows(&self, NULL, 0);
        assert_string_not_equal(row_of(all, keys[0]), "");
        assert_string_equal(source_case_rows(&self, keys, 3), all);
        source_case_done(&self);
    }
}

/* Two keys may be in two statements. */
static void keys_that_the_table_takes_for_the_same_are_told_apart(void)
{
    static const char *const tables[] = {
        "CREATE TABLE orders (code TEXT COLLATE NOCASE PRIMARY KEY, name TEXT)",
        "CREATE TABLE orders (code text PRIMARY KEY, name text)",
        ("CREATE TABLE orders (code VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci "
         "PRIMARY KEY, name VARCHAR(40))")};
    const char *keys[200];
    struct source_case self;
    source_case_make_bare(&self, shop_schema("code", "code text,name text"),
                          test_format("%s;INSERT INTO orders VALUES ('Abc', 'x'), ('5', 'y')",
                                      tables[database_case_kind]));
    for (int i = 0; i < 200; i++)
        keys[i] = test_format("{\"code\":\"%d\"}", i);
    keys[0] = "{\"code\":\"abc\"}";
    keys[150] = "{\"code\":\"Abc\"}";
    source_case_snapshot(&self, true);
    assert_string_equal(source_case_rows(&self, keys, 1), "");
    assert_string_equal(source_case_rows(&self, keys, 200), source_case_rows(&self, NULL, 0));
    source_case_done(&self);
}

static void a_key_in_no_canonical_form_is_looked_for_among_all_rows(void)
{
    struct source_case self;
    source_case_make_bare(&self, SOURCE_CASE_SCHEMA, SOURCE_CASE_TABLE ";" ROWS_1_2);
    if (database_case_kind == DATABASE_SQLITE)
        (void)source_case_text(&self, "DROP TABLE orders; CREATE TABLE orders (id PRIMARY KEY, "
                                      "name); " ROWS_1_2 ", ('x', 'odd'), (x'41', 'odder')");
    const char *keys[] = {"{\"id\":2}", "{\"id\":\"x\"}", "{\"id\":\"41\"}", "nothing like it"};
    source_case_snapshot(&self, true);
    const char *rows = source_case_rows(&self, NULL, 0);
    assert_string_equal(source_case_rows(&self, keys, 4),
                        test_format("%s%s%s", row_of(rows, "{\"id\":\"41\"}"),
                                    row_of(rows, "{\"id\":\"x\"}"), row_of(rows, "{\"id\":2}")));
    source_case_done(&self);
}

static enum status visit_stops(void *context, const struct scanned_row *row, struct error *err)
{
    (void)row;
    ++*(int *)context;
    return error_set(err, STATUS_ABORT, "enough");
}

static void a_scan_ends_with_what_its_visitor_returns(void)
{
    struct source_case self;
    struct error err = ERROR_INIT;
    int rows = 0;
    source_case_make_bare(&self, SOURCE_CASE_SCHEMA, SOURCE_CASE_TABLE ";" ROWS_1_2);
    const struct source_scan scan = {.entry = &self.shop.entry,
                                     .schema = self.shop.schema,
                                     .visit = visit_stops,
                                     .context = &rows};
    source_case_snapshot(&self, true);
    assert_int_equal(self.source->ops->scan(self.source, &scan, &err), STATUS_ABORT);
    assert_int_equal(rows, 1);
    error_clear(&err);
    assert_int_equal(self.source->ops->scan(self.source, &scan, &err), STATUS_RETRY);
    source_case_snapshot(&self, true);
    assert_non_null(strstr(source_case_rows(&self, NULL, 0), "{\"id\":2}"));
    source_case_done(&self);
}

static const char *scan_fails(struct source_case *self, enum status expected)
{
    static struct error err;
    struct buffer rows;
    error_clear(&err);
    buffer_init(&rows, ROWS_SIZE);
    source_case_snapshot(self, true);
    assert_int_equal(source_case_try_scan(self, NULL, 0, &rows, &err), expected);
    buffer_done(&rows);
    return err.text;
}

static void a_table_without_a_column_of_the_schema_is_named(void)
{
    struct source_case self;
    source_case_make_bare(&self, SOURCE_CASE_SCHEMA, SOURCE_CASE_TABLE);
    (void)source_case_text(&self, database_case_kind == DATABASE_MARIADB
                                      ? "ALTER TABLE orders CHANGE name other VARCHAR(40)"
                                      : "ALTER TABLE orders RENAME COLUMN name TO other");
    const char *text = scan_fails(&self, STATUS_FATAL);
    assert_non_null(strstr(text, "table orders"));
    assert_non_null(strstr(text, "no column name"));
    source_case_done(&self);
}

static void a_column_that_the_schema_does_not_have_is_not_read(void)
{
    struct source_case self;
    source_case_make_bare(&self, SOURCE_CASE_SCHEMA,
                          "CREATE TABLE orders (id bigint PRIMARY KEY, name varchar(40), secret "
                          "varchar(40));INSERT INTO orders VALUES (1, 'a', 'hidden')");
    struct session *relay = session_open(self.relay_url);
    assert_null(session_try(relay, "SELECT id, name FROM orders", NULL));
    assert_non_null(session_try(relay, "SELECT secret FROM orders", NULL));
    assert_non_null(session_try(relay, "UPDATE orders SET name = 'b'", NULL));
    session_close(relay);
    source_case_snapshot(&self, true);
    assert_non_null(strstr(source_case_rows(&self, NULL, 0), "id=1 name=\"a\"\n"));
    source_case_snapshot(&self, false);

    (void)source_case_text(&self, "REVOKE SELECT (id, name) ON orders FROM keepstep_relay");
    const char *text = scan_fails(&self, STATUS_RETRY);
    assert_non_null(strstr(text, "table orders"));
    assert_non_null(strstr(text, "keepstep init --print-roles"));
    source_case_done(&self);
}

/* What the service applies itself is compared with the rights of its agent. */
static void rows_of_a_type_that_is_applied_are_not_granted_to_the_relay(void)
{
    struct shop shop;
    shop_begin(database_case_kind);
    shop_make(&shop, SOURCE_CASE_SCHEMA, SOURCE_CASE_TABLE);
    assert_non_null(strstr(shop_print(&shop), "GRANT SELECT ("));
    const char *granted = strstr(shop_print(&shop), "TO keepstep_lag");
    assert_non_null(granted);
    struct config_entry applied = shop.entry;
    shop.config.apply = &applied;
    shop.config.apply_count = 1;
    for (const char *at = shop_print(&shop); (at = strstr(at, "GRANT SELECT (")) != NULL; at++)
        assert_null(strstr(test_format("%.*s", (int)strcspn(at, ";"), at), "orders"));
    shop_done(&shop);
}

/* By database_kind: what makes the rows another's, or takes them away. */
static const char *const rewrites[][4] = {
    {"DELETE FROM orders", "DROP TABLE orders; " SOURCE_CASE_TABLE,
     "ALTER TABLE orders RENAME TO older; ALTER TABLE newer RENAME TO orders",
     "ALTER TABLE orders ADD COLUMN more"},
    {"TRUNCATE orders", "ALTER TABLE orders ALTER id TYPE numeric",
     "ALTER TABLE orders RENAME TO older; ALTER TABLE newer RENAME TO orders",
     "DROP TABLE orders; " SOURCE_CASE_TABLE
     "; GRANT SELECT (id, name) ON orders TO keepstep_relay"},
    {"TRUNCATE orders", "ALTER TABLE orders ADD COLUMN more INT, ALGORITHM = COPY",
     "ALTER TABLE orders MODIFY name VARCHAR(50) NOT NULL",
     "DROP TABLE orders; " SOURCE_CASE_TABLE},
};

/* It may see the old rows or refuse, but nothing else. */
static void a_table_that_was_rewritten_after_the_snapshot_is_not_read(void)
{
    const char *grant = "; GRANT SELECT (id, name) ON newer TO keepstep_relay";
    for (size_t i = 0; i < 4; i++) {
        struct source_case self;
        struct error err = ERROR_INIT;
        struct buffer rows;
        buffer_init(&rows, ROWS_SIZE);
        source_case_make_bare(&self, SOURCE_CASE_SCHEMA,
                              "DROP TABLE IF EXISTS older; DROP TABLE IF EXISTS newer; DROP TABLE "
                              "IF EXISTS orders; " SOURCE_CASE_TABLE ";" ROWS_1_2
                              "; CREATE TABLE newer (id bigint PRIMARY KEY, name varchar(40)); "
                              "INSERT INTO newer VALUES (3, 'c')");
        if (database_case_kind != DATABASE_SQLITE)
            (void)source_case_text(&self, grant + 2);
        source_case_snapshot(&self, true);
        const char *before = source_case_rows(&self, NULL, 0);
        source_case_snapshot(&self, false);
        source_case_snapshot(&self, true);
        (void)source_case_text(&self, rewrites[database_case_kind][i]);
        enum status status = source_case_try_scan(&self, NULL, 0, &rows, &err);
        if (status == STATUS_OK && database_case_kind == DATABASE_SQLITE)
            assert_string_equal(source_case_rows(&self, NULL, 0), before);
        else if (status != STATUS_RETRY)
            test_fail("%s: %s, %s", rewrites[database_case_kind][i], status_name(status),
                      status == STATUS_OK ? buffer_text(&rows) : err.text);
        buffer_done(&rows);
        source_case_done(&self);
    }
}

static const struct database_case cases[] = {
    DATABASE_CASE(rows_have_the_values_and_digests_of_their_events),
    DATABASE_CASE(a_value_that_has_no_canonical_form_is_a_value_too),
    DATABASE_CASE(rows_are_found_by_their_keys),
    DATABASE_CASE(a_key_of_several_columns_is_found),
    DATABASE_CASE(a_key_of_sixteen_columns_is_found),
    DATABASE_CASE_SERVERS(a_uuid_in_capitals_is_found_by_its_key),
    DATABASE_CASE(keys_that_the_table_takes_for_the_same_are_told_apart),
    DATABASE_CASE(a_key_in_no_canonical_form_is_looked_for_among_all_rows),
    DATABASE_CASE(a_scan_ends_with_what_its_visitor_returns),
    DATABASE_CASE(a_table_without_a_column_of_the_schema_is_named),
    DATABASE_CASE_SERVERS(a_column_that_the_schema_does_not_have_is_not_read),
    DATABASE_CASE_SERVERS(rows_of_a_type_that_is_applied_are_not_granted_to_the_relay),
    DATABASE_CASE(a_table_that_was_rewritten_after_the_snapshot_is_not_read),
};

int main(void)
{
    return database_case_run(cases, sizeof cases / sizeof *cases);
}
