/* What the tables of a service may do and what their triggers refuse, in each database. */
#include "tests/support/database_case.h"
#include "tests/support/session.h"
#include "tests/support/shop.h"

#include "common/arena.h"

#include <stdio.h>
#include <sysexits.h>

#define TENANT_SCHEMA shop_schema("id", "id integer,tenant text,name text")
#define TENANT_TABLE                                                                               \
    "CREATE TABLE orders (id bigint PRIMARY KEY, tenant varchar(40), name varchar(40), note "      \
    "varchar(40))"
#define EVENTS "SELECT aggregateid, partition_key, type FROM outbox ORDER BY position"

static void tenants_make(struct shop *shop, const char *schema, const char *table)
{
    shop_begin(database_case_kind);
    shop_make(shop, schema, table);
    shop->entry.partition_key = (char *)"tenant";
}

static void tenants_ready(struct shop *shop, const char *schema, const char *table)
{
    struct error err = ERROR_INIT;
    tenants_make(shop, schema, table);
    if (shop_init(shop, true, &err) != STATUS_OK)
        test_fail("%s", err.text);
}

static void refuses_to_move(const struct shop *shop, const char *sql)
{
    static const char *const named[] = {"keepstep", "tenant", "orders", "new"};
    struct session *session = session_open(shop->url);
    const char *error = session_try(session, sql, NULL);
    if (error == NULL)
        test_fail("was not refused: %s", sql);
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        if (strstr(error, named[i]) == NULL)
            test_fail("does not name %s: %s", named[i], error);
    }
    session_close(session);
}

static void a_change_of_the_partition_key_is_refused_by_name(void)
{
    static const char *const refused[] = {
        "UPDATE orders SET tenant = 'b' WHERE id = 1",
        "UPDATE orders SET tenant = 'A' WHERE id = 1",
        "UPDATE orders SET tenant = NULL WHERE id = 1",
        "UPDATE orders SET tenant = '' WHERE id = 2",
        "UPDATE orders SET tenant = 'a', name = 'y' WHERE id = 2",
        "UPDATE orders SET tenant = 'b', id = 9 WHERE id = 1",
    };
    struct shop shop;
    tenants_ready(&shop, TENANT_SCHEMA, TENANT_TABLE);
    (void)database_text(shop.url,
                        "INSERT INTO orders VALUES (1, 'a', 'x', ''), (2, NULL, 'x', '')");
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        refuses_to_move(&shop, refused[i]);
    (void)database_text(shop.url, "UPDATE orders SET tenant = tenant, name = 'y';"
                                  "UPDATE orders SET note = 'z', tenant = 'a' WHERE id = 1;"
                                  "UPDATE orders SET id = 3 WHERE id = 1;"
                                  "DELETE FROM orders WHERE id = 2");
    assert_string_equal(database_text(shop.url, EVENTS),
                        "{\"id\":1}|a|order.created\n{\"id\":2}|NULL|order.created\n"
                        "{\"id\":1}|a|order.updated\n{\"id\":2}|NULL|order.updated\n"
                        "{\"id\":1}|a|order.deleted\n{\"id\":3}|a|order.created\n"
                        "{\"id\":2}|NULL|order.deleted\n");
    shop_done(&shop);
}

static void a_partition_key_that_no_event_carries_is_held_too(void)
{
    struct shop shop;
    tenants_ready(&shop, shop_schema("id", "id integer,name text"), TENANT_TABLE);
    (void)database_text(shop.url, "INSERT INTO orders VALUES (1, 'a', 'x', '')");
    refuses_to_move(&shop, "UPDATE orders SET tenant = 'b'");
    (void)database_text(shop.url, "UPDATE orders SET note = 'n'");
    assert_string_equal(database_text(shop.url, EVENTS), "{\"id\":1}|a|order.created\n");
    shop_done(&shop);
}

static void a_partition_key_within_the_primary_key_moves_as_delete_and_create(void)
{
    struct shop shop;
    tenants_ready(&shop, shop_schema("id,tenant", "id integer,tenant text,name text"),
                  "CREATE TABLE orders (id bigint NOT NULL, tenant varchar(40) NOT NULL, "
                  "name varchar(40), PRIMARY KEY (tenant, id))");
    (void)database_text(shop.url, "INSERT INTO orders VALUES (1, 'a', 'x');"
                                  "UPDATE orders SET tenant = 'b', name = 'y'");
    assert_string_equal(database_text(shop.url, EVENTS),
                        "{\"id\":1,\"tenant\":\"a\"}|a|order.created\n"
                        "{\"id\":1,\"tenant\":\"a\"}|a|order.deleted\n"
                        "{\"id\":1,\"tenant\":\"b\"}|b|order.created\n");
    shop_done(&shop);
}

static void init_refuses_a_partition_key_that_it_cannot_hold(void)
{
    static const char *const types[] = {"double", "bytes",     "json",
                                        "time",   "timestamp", "date-time"};
    struct shop shop;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct error err = ERROR_INIT;
        tenants_make(&shop, shop_schema("id", test_format("id integer,tenant %s", types[i])),
                     "DROP TABLE IF EXISTS orders;" TENANT_TABLE);
        assert_int_equal(shop_init(&shop, true, &err), STATUS_FATAL);
        assert_int_equal(err.exit_code, EX_CONFIG);
        assert_non_null(strstr(err.text, "partition_key: column tenant"));
        shop_done(&shop);
    }
    struct error err = ERROR_INIT;
    tenants_make(&shop, TENANT_SCHEMA, "DROP TABLE IF EXISTS orders;" TENANT_TABLE);
    shop.entry.partition_key = (char *)"tenent";
    assert_int_equal(shop_init(&shop, true, &err), STATUS_FATAL);
    assert_non_null(strstr(err.text, "no column for partition_key: tenent"));
    shop_done(&shop);
}

static void drop_triggers(const struct shop *shop, const struct origin_object *objects,
                          size_t count)
{
    bool names_table = database_case_kind == DATABASE_POSTGRESQL;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(objects[i].kind, "trigger") != 0)
            continue;
        (void)database_text(shop->url, names_table
                                           ? test_format("DROP TRIGGER \"%s\" ON %s",
                                                         objects[i].name, objects[i].table)
                                           : test_format("DROP TRIGGER %s", objects[i].name));
    }
}

/* On a server, `init` can stop between two statements, and printed SQL runs statement by
 * statement. */
static void no_row_that_is_gone_stays_behind_while_triggers_are_made(void)
{
    struct shop shop;
    struct error err = ERROR_INIT;
    struct arena arena;
    struct origin_objects objects = {.arena = &arena};
    tenants_ready(&shop, TENANT_SCHEMA, TENANT_TABLE);
    shop_open(&shop);
    arena_init(&arena, 1 << 20);
    if (shop.origin->ops->capture(shop.origin, &shop.entry, shop.schema, &objects, &err) !=
        STATUS_OK)
        test_fail("%s", err.text);
    drop_triggers(&shop, objects.items, objects.count);
    for (size_t i = 0; i < objects.count; i++) {
        if (shop.origin->ops->begin(shop.origin, &err) != STATUS_OK ||
            shop.origin->ops->create(shop.origin, &objects.items[i], false, &err) != STATUS_OK ||
            shop.origin->ops->commit(shop.origin, &err) != STATUS_OK)
            test_fail("%s", err.text);
        (void)database_text(shop.url, "INSERT INTO orders VALUES (1, 'a', 'x', '');"
                                      "UPDATE orders SET name = 'y'; UPDATE orders SET id = 2;");
        (void)database_text(shop.url, database_case_kind == DATABASE_POSTGRESQL
                                          ? "TRUNCATE orders"
                                          : "DELETE FROM orders");
        assert_string_equal(
            database_text(shop.url, "SELECT aggregateid FROM outbox AS o WHERE type <> "
                                    "'order.deleted' AND NOT EXISTS (SELECT 1 FROM outbox AS d "
                                    "WHERE d.aggregateid = o.aggregateid AND d.type = "
                                    "'order.deleted' AND d.position > o.position)"),
            "");
        (void)database_text(shop.url, "DELETE FROM outbox");
    }
    arena_done(&arena);
    shop_done(&shop);
}

/* Run init for two entity types of one service, each with its own table. */
static enum status init_twins(struct shop *shop, const char *first, const char *second,
                              struct error *err)
{
    struct config_entry entries[2];
    const struct entity_schema *schemas[] = {shop->schema, shop->schema};
    entries[0] = entries[1] = shop->entry;
    entries[0].entity_type = (char *)(uintptr_t)first;
    entries[1].entity_type = (char *)(uintptr_t)second;
    entries[1].table = (char *)"others";
    shop->config.publish = entries;
    shop->config.publish_count = 2;
    const struct init_options options = {.out = fopen(test_path("twins.txt"), "w")};
    enum status status = init_service(&shop->config, schemas, &options, err);
    (void)fclose(options.out);
    shop->config.publish = &shop->entry;
    shop->config.publish_count = 1;
    return status;
}

static void twins_are_both_captured_or_refused(const char *first, const char *second, bool captured)
{
    struct shop shop;
    struct error err = ERROR_INIT;
    shop_begin(database_case_kind);
    shop_make(&shop, TENANT_SCHEMA,
              "DROP TABLE IF EXISTS orders; DROP TABLE IF EXISTS others; "
              "DROP TABLE IF EXISTS outbox; " TENANT_TABLE
              "; CREATE TABLE others (id bigint PRIMARY KEY, tenant varchar(40), "
              "name varchar(40))");
    enum status status = init_twins(&shop, first, second, &err);
    if (captured != (status == STATUS_OK))
        test_fail("%s, %s: %s", first, second, err.text);
    if (captured) {
        (void)database_text(shop.url, "INSERT INTO orders (id) VALUES (1);"
                                      "INSERT INTO others (id) VALUES (2)");
        assert_string_equal(database_text(shop.url, "SELECT aggregatetype, aggregateid FROM outbox "
                                                    "ORDER BY position"),
                            test_format("%s|{\"id\":1}\n%s|{\"id\":2}\n", first, second));
    } else {
        assert_int_equal(err.exit_code, EX_CONFIG);
        assert_non_null(strstr(err.text, test_format("publish.%s", first)));
        assert_non_null(strstr(err.text, test_format("publish.%s", second)));
    }
    shop_done(&shop);
}

static void triggers_of_one_entity_type_never_replace_those_of_another(void)
{
    bool has_case = database_case_kind == DATABASE_POSTGRESQL;
    const char *name = "a_name_of_an_entity_type_that_no_identifier_holds_whole";
    twins_are_both_captured_or_refused("doc", "Doc", has_case);
    twins_are_both_captured_or_refused("doc", "doc_key", true);
    twins_are_both_captured_or_refused("doc.a", "doc_a", true);
    twins_are_both_captured_or_refused(test_format("%s_a", name), test_format("%s_b", name), true);
    twins_are_both_captured_or_refused(test_format("%s_a", name), test_format("%s_A", name),
                                       database_case_kind != DATABASE_SQLITE);
}

#define WIDER_SCHEMA shop_schema("id", "id integer,tenant text,name text,channel text")
#define READ_ROWS                                                                                  \
    "SELECT count(*), count(DISTINCT aggregateid) FROM outbox WHERE type = 'order.read'"

/* Read the schema again, as after a change of its file. */
static void shop_reread(struct shop *shop, const char *schema)
{
    struct error err = ERROR_INIT;
    entity_schema_free(shop->schema);
    test_write_file(test_path("order.schema.json"), schema);
    if (entity_schema_new(test_directory(), "order", &shop->schema, &err) != STATUS_OK)
        test_fail("%s", err.text);
}

static const char *init_says(struct shop *shop, const struct init_options *options)
{
    struct error err = ERROR_INIT;
    if (shop_init_with(shop, options, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return test_read_file(test_path("init.txt"));
}

static void shop_with_rows(struct shop *shop)
{
    shop_begin(database_case_kind);
    shop_ready(shop, TENANT_SCHEMA,
               TENANT_TABLE ";INSERT INTO orders (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c'), "
                            "(4, 'd'), (5, 'e')");
    assert_string_equal(database_text(shop->url, READ_ROWS), "5|5\n");
}

static void add_a_column(struct shop *shop)
{
    (void)database_text(shop->url, "ALTER TABLE orders ADD COLUMN channel varchar(10) DEFAULT "
                                   "'web'");
    shop_reread(shop, WIDER_SCHEMA);
}

static void a_column_that_is_new_is_told_until_the_rows_are_published_again(void)
{
    static const char note[] = "columns order: channel: newer than";
    static const struct init_options plain = {0};
    static const struct init_options again = {.republish = "order"};
    struct shop shop;
    shop_with_rows(&shop);
    assert_null(strstr(init_says(&shop, &plain), "newer"));
    add_a_column(&shop);
    for (int i = 0; i < 2; i++) {
        const char *said = init_says(&shop, &plain);
        assert_non_null(strstr(said, note));
        assert_non_null(strstr(said, "keepstep init --republish order"));
    }
    assert_string_equal(database_text(shop.url, READ_ROWS), "5|5\n");
    assert_null(strstr(init_says(&shop, &again), "newer"));
    assert_string_equal(database_text(shop.url, READ_ROWS), "10|5\n");
    assert_string_equal(database_text(shop.url, "SELECT count(*) FROM outbox WHERE payload LIKE "
                                                "'{\"op\":\"r\",%\"channel\":\"web\"}}'"),
                        "5\n");
    assert_null(strstr(init_says(&shop, &plain), "newer"));
    (void)init_says(&shop, &again); /* the same without a reason */
    assert_string_equal(database_text(shop.url, READ_ROWS), "15|5\n");
    shop_done(&shop);
}

static void rows_that_are_published_again_go_on_where_they_were(void)
{
    static const struct init_options plain = {0};
    static const struct init_options again = {.republish = "order"};
    struct shop shop;
    for (int i = 0; i < 2; i++) {
        struct error err = ERROR_INIT;
        struct origin_progress progress = {0};
        shop_with_rows(&shop);
        shop_open(&shop);
        if (shop.origin->ops->republish(shop.origin, "order", &err) != STATUS_OK ||
            shop.origin->ops->chunk(shop.origin, &(struct origin_table){&shop.entry, shop.schema},
                                    2, &progress, &err) != STATUS_OK)
            test_fail("%s", err.text);
        shop.origin->ops->close(shop.origin); /* as after a kill */
        shop.origin = NULL;
        (void)init_says(&shop, i == 0 ? &plain : &again);
        assert_string_equal(database_text(shop.url, READ_ROWS), "10|5\n");
        (void)database_text(shop.url, "DROP TABLE orders; DROP TABLE outbox; "
                                      "DROP TABLE keepstep_existing; "
                                      "DROP TABLE keepstep_existing_key");
        shop_done(&shop);
    }
}

static void a_fill_that_began_without_a_new_column_begins_anew(void)
{
    static const struct init_options again = {.republish = "order"};
    struct shop shop;
    struct error err = ERROR_INIT;
    struct origin_progress progress = {0};
    shop_begin(database_case_kind);
    shop_make(&shop, TENANT_SCHEMA,
              TENANT_TABLE ";INSERT INTO orders (id) VALUES (1), (2), (3), (4), (5)");
    shop_track(&shop);
    if (shop.origin->ops->chunk(shop.origin, &(struct origin_table){&shop.entry, shop.schema}, 2,
                                &progress, &err) != STATUS_OK)
        test_fail("%s", err.text);
    add_a_column(&shop);
    (void)init_says(&shop, &again);
    assert_string_equal(database_text(shop.url, READ_ROWS), "7|5\n");
    shop_done(&shop);
}

static void fails_by_name(struct session *session, const char *sql, const char *column)
{
    const char *error = session_try(session, sql, NULL);
    if (error == NULL || strstr(error, "keepstep: a column of table orders") == NULL ||
        strstr(error, "keepstep init") == NULL || strstr(error, column) == NULL)
        test_fail("%s: %s", sql, error == NULL ? "was not refused" : error);
}

static void refuses_init_without(struct shop *shop, const char *column)
{
    struct error err = ERROR_INIT;
    assert_int_equal(shop_init(shop, true, &err), STATUS_FATAL);
    assert_int_equal(err.exit_code, EX_CONFIG);
    assert_non_null(strstr(err.text, "columns:"));
    assert_non_null(strstr(err.text, test_format("has no column %s", column)));
}

/* SQLite itself refuses a DROP. At a RENAME it renames the column in its triggers too. */
static void a_write_behind_a_rename_or_drop_says_what_to_do(void)
{
    static const struct {
        const char *change;
        const char *column;
        const char *writes[4]; /* on servers; the fourth is for PostgreSQL only */
    } cases[] = {{"ALTER TABLE orders RENAME COLUMN name TO title",
                  "name",
                  {"INSERT INTO orders (id) VALUES (9)", "UPDATE orders SET note = 'n'"}},
                 {"ALTER TABLE orders RENAME COLUMN id TO number",
                  "id",
                  {"INSERT INTO orders (number) VALUES (9)", "UPDATE orders SET note = 'n'",
                   "DELETE FROM orders", "TRUNCATE orders"}},
                 {"ALTER TABLE orders DROP COLUMN name",
                  "name",
                  {"INSERT INTO orders (id) VALUES (9)", "UPDATE orders SET note = 'n'"}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct shop shop;
        shop_begin(database_case_kind);
        shop_ready(&shop, TENANT_SCHEMA, "DROP TABLE IF EXISTS orders;" TENANT_TABLE);
        assert_non_null(strstr(test_read_file(test_path("init.txt")), "columns order: none"));
        (void)database_text(shop.url, "INSERT INTO orders (id) VALUES (1)");
        struct session *session = session_open(shop.url);
        if (database_case_kind == DATABASE_SQLITE) {
            const char *error = session_try(session, cases[i].change, NULL);
            assert_true((error != NULL) == (i == 2));
            assert_true(error == NULL || strstr(error, "trigger keepstep_order") != NULL);
            session_run(session, "UPDATE orders SET tenant = 'x'", NULL);
        } else {
            session_run(session, cases[i].change, NULL);
        }
        for (size_t w = 0; database_case_kind != DATABASE_SQLITE && w < 4; w++) {
            if (cases[i].writes[w] != NULL && (w < 3 || database_case_kind == DATABASE_POSTGRESQL))
                fails_by_name(session, cases[i].writes[w], cases[i].column);
        }
        if (i < 2 || database_case_kind != DATABASE_SQLITE)
            refuses_init_without(&shop, cases[i].column);
        session_close(session);
        shop_done(&shop);
    }
}

/* PostgreSQL keeps the function's plans for a session. */
static void a_write_behind_a_change_of_columns_says_what_to_do_in_an_old_session_too(void)
{
    static const struct {
        const char *change;
        const char *advice;
    } cases[] = {{"ALTER TABLE orders RENAME COLUMN name TO title", "was renamed or dropped"},
                 {"ALTER TABLE orders DROP COLUMN name", "was renamed or dropped"},
                 {"ALTER TABLE orders ALTER COLUMN name TYPE text", "Connect again"}};
    static const char *const writes[] = {"INSERT INTO orders (id) VALUES (9)",
                                         "UPDATE orders SET note = 'n'",
                                         "UPDATE orders SET id = id + 10"};
    for (size_t i = 0;
         database_case_kind == DATABASE_POSTGRESQL && i < sizeof cases / sizeof *cases; i++) {
        struct shop shop;
        shop_begin(database_case_kind);
        shop_ready(&shop, TENANT_SCHEMA, "DROP TABLE IF EXISTS orders;" TENANT_TABLE);
        struct session *session = session_open(shop.url);
        session_run(session,
                    "INSERT INTO orders (id) VALUES (1);UPDATE orders SET name = 'x';"
                    "UPDATE orders SET id = 2",
                    NULL);
        session_run(session, cases[i].change, NULL);
        for (size_t w = 0; w < sizeof writes / sizeof *writes; w++) {
            const char *error = session_try(session, writes[w], NULL);
            if (error == NULL || strstr(error, cases[i].advice) == NULL ||
                strstr(error, "keepstep init") == NULL)
                test_fail("%s: %s: %s", cases[i].change, writes[w],
                          error == NULL ? "was not refused" : error);
        }
        session_close(session);
        shop_done(&shop);
    }
}

static void a_name_that_would_end_the_text_of_a_function_is_refused(void)
{
    struct shop shop;
    struct error err = ERROR_INIT;
    if (database_case_kind != DATABASE_POSTGRESQL)
        return;
    shop_begin(database_case_kind);
    shop_make(&shop,
              "{\"$schema\":\"http://json-schema.org/draft-07/schema#\","
              "\"type\":\"object\",\"x-keepstep-key\":[\"id\"],\"properties\":{"
              "\"id\":{\"type\":\"integer\",\"x-keepstep-type\":\"integer\"},"
              "\"a$keepstep$\":{\"type\":\"string\",\"x-keepstep-type\":\"text\"}}}",
              "CREATE TABLE orders (id bigint PRIMARY KEY, \"a$keepstep$\" text)");
    assert_int_equal(shop_init(&shop, true, &err), STATUS_FATAL);
    assert_int_equal(err.exit_code, EX_CONFIG);
    assert_non_null(strstr(err.text, "give it another name: a$keepstep$"));
    shop_done(&shop);
}

/* PostgreSQL's functions take at most 100 arguments. */
static void a_table_of_as_many_columns_as_a_schema_has_is_captured_whole(void)
{
    if (database_case_kind != DATABASE_POSTGRESQL)
        return;
    struct shop shop;
    struct buffer schema, table;
    buffer_init(&schema, 65536);
    buffer_init(&table, 65536);
    buffer_append_text(&schema, "id integer,100% text");
    buffer_append_text(&table, "CREATE TABLE orders (id bigint PRIMARY KEY, \"100%\" text");
    for (int i = 2; i < ENTITY_COLUMNS_MAX; i++) {
        buffer_append_format(&schema, ",c%d integer", i);
        buffer_append_format(&table, ", c%d bigint DEFAULT %d", i, i);
    }
    buffer_append_text(&table, ")");
    shop_begin(database_case_kind);
    shop_make(&shop, shop_schema("id", buffer_text(&schema)), buffer_text(&table));
    shop.entry.before = true;
    struct error err = ERROR_INIT;
    if (shop_init(&shop, true, &err) != STATUS_OK)
        test_fail("%s", err.text);
    (void)database_text(shop.url,
                        "INSERT INTO orders VALUES (1, '%s'); UPDATE orders SET c255 = 0");
    assert_string_equal(
        database_text(shop.url,
                      "SELECT payload::jsonb -> 'before' = to_jsonb(o) || '{\"c255\":255}', "
                      "payload::jsonb -> 'after' = to_jsonb(o) FROM outbox, orders AS o "
                      "WHERE type = 'order.updated'"),
        "t|t\n");
    buffer_done(&schema);
    buffer_done(&table);
    shop_done(&shop);
}

static void rows_are_published_again_only_where_no_other_service_writes_them(void)
{
    struct shop shop;
    shop_with_rows(&shop);
    for (int i = 0; i < 3; i++) {
        static const char *const reasons[] = {"applies the type too", "names no table",
                                              "names no table"};
        struct error err = ERROR_INIT;
        const struct init_options again = {.republish = i == 2 ? "invoice" : "order"};
        shop.config.apply = i == 0 ? &shop.entry : NULL;
        shop.config.apply_count = i == 0;
        shop.entry.table = i == 1 ? NULL : (char *)"orders";
        assert_int_equal(shop_init_with(&shop, &again, &err), STATUS_FATAL);
        assert_int_equal(err.exit_code, EX_CONFIG);
        assert_non_null(strstr(err.text, reasons[i]));
    }
    assert_string_equal(database_text(shop.url, READ_ROWS), "5|5\n");
    shop_done(&shop);
}

static void another_partition_key_than_the_one_that_was_published_is_refused(void)
{
    static const char *const keys[] = {NULL, "name"};
    struct shop shop;
    tenants_ready(&shop, TENANT_SCHEMA, TENANT_TABLE);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct error err = ERROR_INIT;
        shop.entry.partition_key = (char *)(uintptr_t)keys[i];
        assert_int_equal(shop_init(&shop, true, &err), STATUS_FATAL);
        assert_int_equal(err.exit_code, EX_CONFIG);
        assert_non_null(strstr(err.text, "partition_key was \"tenant\""));
    }
    shop_done(&shop);
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE(a_change_of_the_partition_key_is_refused_by_name),
        DATABASE_CASE(a_partition_key_that_no_event_carries_is_held_too),
        DATABASE_CASE(a_partition_key_within_the_primary_key_moves_as_delete_and_create),
        DATABASE_CASE(init_refuses_a_partition_key_that_it_cannot_hold),
        DATABASE_CASE(no_row_that_is_gone_stays_behind_while_triggers_are_made),
        DATABASE_CASE(a_column_that_is_new_is_told_until_the_rows_are_published_again),
        DATABASE_CASE(rows_that_are_published_again_go_on_where_they_were),
        DATABASE_CASE(a_fill_that_began_without_a_new_column_begins_anew),
        DATABASE_CASE(rows_are_published_again_only_where_no_other_service_writes_them),
        DATABASE_CASE(another_partition_key_than_the_one_that_was_published_is_refused),
        DATABASE_CASE(a_write_behind_a_rename_or_drop_says_what_to_do),
        DATABASE_CASE(a_write_behind_a_change_of_columns_says_what_to_do_in_an_old_session_too),
        DATABASE_CASE(a_name_that_would_end_the_text_of_a_function_is_refused),
        DATABASE_CASE(a_table_of_as_many_columns_as_a_schema_has_is_captured_whole),
        DATABASE_CASE(triggers_of_one_entity_type_never_replace_those_of_another),
    };
    return database_case_run(cases, sizeof cases / sizeof *cases);
}
