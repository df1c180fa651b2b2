/* What only the PostgreSQL store does: catalogue, runs, the database's errors, the trigger flag. */
#include "common/postgresql_session.h"
#include "tests/support/postgresql.h"
#include "tests/support/session.h"
#include "tests/support/store_orders.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void tables_that_keep_every_value_exactly_are_accepted(void **state)
{
    (void)state;
    orders_assert_accepted("CREATE TABLE orders(id bigint PRIMARY KEY, price numeric, note text)");
    orders_assert_accepted(
        "CREATE TABLE orders(note varchar(20), price numeric, id smallint UNIQUE)");
    orders_assert_accepted(
        "CREATE TABLE orders(id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
        "price numeric, note text COLLATE \"C\", other text NOT NULL DEFAULT '')");
    orders_assert_accepted("CREATE TABLE orders(id int PRIMARY KEY, price numeric, note text) "
                           "PARTITION BY HASH (id); CREATE TABLE orders_0 PARTITION OF orders "
                           "FOR VALUES WITH (MODULUS 1, REMAINDER 0)");
}

static void tables_that_would_change_a_value_are_refused(void **state)
{
    (void)state;
    orders_assert_refused("CREATE TABLE orders(id bigint PRIMARY KEY, price float8, note text)",
                          "double precision, which does not keep a decimal");
    orders_assert_refused(
        "CREATE TABLE orders(id bigint PRIMARY KEY, price numeric(10,2), note text)",
        "numeric(10,2)");
    orders_assert_refused("CREATE TABLE orders(id bigint PRIMARY KEY, price bigint, note text)",
                          "bigint");
    orders_assert_refused("CREATE TABLE orders(id bigint PRIMARY KEY, price numeric, note char(9))",
                          "character(9)");
    orders_assert_refused("CREATE DOMAIN short AS text; CREATE TABLE orders(id bigint PRIMARY KEY, "
                          "price numeric, note short)",
                          "short");
    orders_assert_refused("CREATE TABLE orders(id numeric PRIMARY KEY, price numeric, note text)",
                          "numeric, which does not keep a integer");
    orders_assert_refused("CREATE TABLE orders(id bigint, price numeric, note text)",
                          "neither the prim");
    orders_assert_refused(
        "CREATE TABLE orders(id bigint UNIQUE DEFERRABLE, price numeric, note text)",
        "neither the primary key");
    orders_assert_refused("CREATE TABLE orders(id bigint, price numeric, note text, "
                          "PRIMARY KEY (id, note))",
                          "neither the primary key");
    orders_assert_refused("CREATE TABLE orders(id bigint PRIMARY KEY, price numeric, "
                          "note text GENERATED ALWAYS AS ('x') STORED)",
                          "is generated");
    orders_assert_refused("CREATE TABLE orders(id bigint PRIMARY KEY, price numeric, note text, "
                          "more int NOT NULL)",
                          "column \"more\"");
    orders_assert_refused("CREATE TABLE orders(id bigint PRIMARY KEY, price numeric, note jsonb)",
                          "is declared jsonb, which does not keep a text exactly: declare it text");
    orders_assert_refused("CREATE TABLE orders(price numeric, note text)", "has no column \"id\"");
    orders_assert_refused("CREATE VIEW orders AS SELECT 1 AS id", "is no table of its own");
    postgresql_execute(orders_url, "DROP VIEW orders");
    orders_schema.columns[0].type = COLUMN_TEXT;
    orders_assert_refused(
        "CREATE COLLATION loose(provider = icu, locale = 'und-u-ks-level2', "
        "deterministic = false); CREATE TABLE orders(id text COLLATE loose PRIMARY KEY, "
        "price numeric, note text)",
        "nondeterministic");
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
    assert_string_equal(postgresql_text(orders_url,
                                        "SELECT attname, format_type(atttypid, atttypmod), "
                                        "attnotnull FROM pg_attribute WHERE attnum > 0 AND "
                                        "attrelid = 'orders'::regclass ORDER BY attnum"),
                        "id|bigint|t\nprice|numeric(12,3)|f\nnote|text|f\n");
    orders_ops->close(store);
}

/* No restart makes the schema. It is not a matter of rights either. */
static void a_table_in_a_schema_that_does_not_exist_ends_with_code_78(void **state)
{
    (void)state;
    char *before = orders_entry.table;
    struct store *store = orders_open();
    orders_entry.table = (char[]){"absent.orders"};
    assert_int_equal(orders_ops->prepare(store, &orders_mapping, &orders_err), STATUS_FATAL);
    assert_int_equal(orders_err.exit_code, 78);
    assert_non_null(strstr(orders_err.text, "\"absent\" does not exist"));
    assert_null(strstr(orders_err.text, "keepstep init"));
    error_clear(&orders_err);
    orders_entry.table = before;
    orders_ops->close(store);
}

/* The name is read as the publishing side's triggers read it: app."ord""ers". */
static void a_table_of_a_named_schema_is_created_widened_and_written_there(void **state)
{
    (void)state;
    char *before = orders_entry.table;
    struct buffer grants;
    struct store *store = orders_open();
    postgresql_execute(orders_url, "CREATE SCHEMA app");
    orders_entry.table = (char[]){"app.ord\"ers"};
    orders_schema.column_count = 2;
    assert_ok(orders_ops->prepare(store, &orders_mapping, &orders_err));
    orders_schema.column_count = 3;
    assert_ok(orders_ops->prepare(store, &orders_mapping, &orders_err));
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_ok(orders_apply(store, CHANGE_CREATE, 1, "one"));
    assert_ok(orders_apply(store, CHANGE_UPDATE, 1, "uno"));
    assert_ok(orders_ops->commit(store, false, &orders_err));
    assert_string_equal(postgresql_text(orders_url, "SELECT id, note FROM app.\"ord\"\"ers\""),
                        "1|uno\n");
    struct place places[] = {{.table = orders_entry.table, .column = "note"},
                             {.table = orders_entry.table, .column = "absent"},
                             {.table = "ord\"ers", .column = "note"},
                             {.table = ".", .column = ""}};
    assert_ok(orders_ops->places(store, places, 4, false, &orders_err));
    assert_true(places[0].has_table && places[0].has_column);
    assert_true(places[1].has_table && !places[1].has_column);
    assert_false(places[2].has_table || places[2].has_column);
    assert_false(places[3].has_table || places[3].has_column);
    struct copies copies = {.mappings = &orders_mapping, .count = 1};
    buffer_init(&grants, 65536);
    assert_ok(orders_ops->copy_sql(&copies, &grants, &orders_err));
    assert_non_null(strstr(buffer_text(&grants), "ON \"app\".\"ord\"\"ers\" TO"));
    assert_non_null(strstr(buffer_text(&grants), "GRANT USAGE ON SCHEMA \"app\" TO"));
    buffer_done(&grants);
    orders_entry.table = (char[]){"app.outbox"};
    assert_int_equal(orders_ops->prepare(store, &orders_mapping, &orders_err), STATUS_FATAL);
    assert_non_null(strstr(orders_err.text, "reserved"));
    orders_entry.table = before;
    orders_ops->close(store);
}

static void assert_moved(struct store *store, bool accept_moved, const char *words)
{
    assert_int_equal(store_prepare(store, &orders_mapping, accept_moved, &orders_err),
                     STATUS_FATAL);
    if (strstr(orders_err.text, words) == NULL)
        test_fail("\"%s\" is not in \"%s\"", words, orders_err.text);
    error_clear(&orders_err);
}

static void a_table_of_another_schema_is_another_table_whatever_it_is_called(void **state)
{
    const struct config_entry before = orders_entry;
    struct partition_state read = {.topic = "read", .next_offset = 5};
    struct store *store = orders_open();
    (void)state;
    orders_drop();
    orders_entry.topic = read.topic;
    assert_ok(orders_ops->take(store, &read, &orders_err));
    partition_state_done(&read);
    postgresql_execute(orders_url, "CREATE SCHEMA hides; "
                                   "CREATE TABLE orders(id bigint PRIMARY KEY, price numeric, "
                                   "note text); "
                                   "CREATE TABLE hides.orders(LIKE orders INCLUDING ALL)");
    assert_ok(store_prepare(store, &orders_mapping, false, &orders_err));
    orders_entry.table = (char[]){"hides.orders"};
    assert_moved(store, true, "was kept in public.orders.id and would be in hides.orders.id");
    orders_entry.table = before.table;
    postgresql_execute(orders_url, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET "
                                   "search_path = hides, public', current_database()); END $$");
    orders_ops->close(store);
    struct store_options options = {.path = orders_url, .service = "billing"};
    assert_ok(orders_ops->open(&options, &store, &orders_err));
    assert_moved(store, false, "was kept in public.orders.id and would be in hides.orders.id");
    assert_moved(store, true, "was kept in public.orders.id and would be in hides.orders.id");
    orders_entry.table = (char[]){"public.orders"};
    assert_ok(store_prepare(store, &orders_mapping, false, &orders_err));
    orders_entry.table = before.table;
    postgresql_execute(orders_url, "DROP TABLE hides.orders; ALTER TABLE public.orders SET SCHEMA "
                                   "hides");
    assert_moved(store, false, "was kept in public.orders.id and would be in hides.orders.id");
    assert_ok(store_prepare(store, &orders_mapping, true, &orders_err));
    assert_ok(store_prepare(store, &orders_mapping, false, &orders_err));
    postgresql_execute(orders_url, "DROP SCHEMA hides CASCADE; DO $$ BEGIN EXECUTE format('ALTER "
                                   "DATABASE %I RESET search_path', current_database()); END $$; "
                                   "DELETE FROM keepstep_position; "
                                   "DELETE FROM keepstep_meta WHERE key LIKE 'place %'");
    orders_ops->close(store);
    orders_entry = before;
}

static void what_the_database_says_of_a_row_becomes_its_verdict(void **state)
{
    (void)state;
    static const struct {
        const char *sqlstate;
        enum status status;
        enum reject_kind reject;
    } expected[] = {
        {"40001", STATUS_RETRY, REJECT_HELD},     {"40P01", STATUS_RETRY, REJECT_HELD},
        {"55P03", STATUS_RETRY, REJECT_HELD},     {"57014", STATUS_RETRY, REJECT_HELD},
        {"25006", STATUS_RETRY, REJECT_HELD},     {"42501", STATUS_REJECT, REJECT_HELD},
        {"53100", STATUS_RETRY, REJECT_HELD},     {"23505", STATUS_REJECT, REJECT_WAITING},
        {"23503", STATUS_REJECT, REJECT_WAITING}, {"23502", STATUS_REJECT, REJECT_HELD},
        {"23514", STATUS_REJECT, REJECT_HELD},    {"P0001", STATUS_REJECT, REJECT_HELD},
        {"AB123", STATUS_REJECT, REJECT_HELD},    {"42P01", STATUS_REJECT, REJECT_HELD},
        {"0A000", STATUS_REJECT, REJECT_HELD},    {"20000", STATUS_REJECT, REJECT_HELD},
        {"08006", STATUS_RETRY, REJECT_HELD},     {"58030", STATUS_RETRY, REJECT_HELD},
        {"57P04", STATUS_FATAL, REJECT_HELD},     {"XX000", STATUS_FATAL, REJECT_HELD},
    };
    struct store *store = orders_open_prepared();
    postgresql_execute(orders_url,
                       "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql "
                       "AS $$BEGIN RAISE EXCEPTION 'no' USING ERRCODE = NEW.note; END$$;"
                       "CREATE TRIGGER refuse BEFORE INSERT ON orders FOR EACH ROW "
                       "EXECUTE FUNCTION refuse()");
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        error_clear(&orders_err);
        assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
        enum status status = orders_apply(store, CHANGE_CREATE, 1, expected[i].sqlstate);
        if (status != expected[i].status || orders_err.reject != expected[i].reject ||
            orders_err.native_code != postgresql_sqlstate_code(expected[i].sqlstate))
            test_fail("%s: %s: %s", expected[i].sqlstate, status_name(status), orders_err.text);
        orders_ops->rollback(store);
    }
    orders_ops->close(store);
}

/* jsonb rewrites blanks, numbers and the order of members. */
static void a_jsonb_column_keeps_a_text_of_its_own_form_and_any_other_is_held(void **state)
{
    (void)state;
    static const char *const kept[] = {"{\"b\": 1, \"aa\": [1.50, null]}", "\"\\u0001 n\xc3\xa9v\"",
                                       "[]"};
    static const char *const rewritten[] = {
        "{\"b\":1}", "{\"aa\": 1, \"b\": 1}", "{\"b\": 1, \"b\": 1}", " 1",
        "1e2",       "\"\\u006e\xc3\xa9v\""};
    struct store *store = orders_open();
    orders_drop();
    postgresql_execute(orders_url,
                       "CREATE TABLE orders(id bigint PRIMARY KEY, price numeric, note jsonb)");
    orders_schema.columns[2].type = COLUMN_JSON;
    assert_ok(orders_ops->prepare(store, &orders_mapping, &orders_err));
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    for (size_t i = 0; i < 3; i++) {
        assert_ok(orders_apply(store, CHANGE_CREATE, (int64_t)i, kept[i]));
        assert_ok(orders_ops->savepoint(store, false, &orders_err));
    }
    for (size_t i = 0; i < sizeof rewritten / sizeof rewritten[0]; i++) {
        struct value values[3] = {0};
        struct change change = orders_change(values, CHANGE_UPDATE, 0, rewritten[i]);
        const struct change *changes[] = {&change};
        values[1].kind = i % 2 == 0 ? VALUE_ABSENT : VALUE_NULL; /* a statement each */
        if (orders_ops->apply(store, &orders_mapping, changes, 1, &orders_err) != STATUS_REJECT ||
            orders_err.reject != REJECT_HELD)
            test_fail("%s: %s", rewritten[i], orders_err.text);
        assert_string_equal(
            orders_err.text,
            "order {\"id\":0}: column \"note\": jsonb would rewrite this JSON: "
            "publish it from a jsonb column, or declare the column as json or text");
        error_clear(&orders_err);
        assert_ok(orders_ops->savepoint(store, true, &orders_err));
    }
    assert_ok(orders_apply(store, CHANGE_UPDATE, 2, NULL));
    assert_int_equal(orders_apply(store, CHANGE_UPDATE, 0, "no JSON"), STATUS_REJECT);
    assert_non_null(strstr(orders_err.text, "invalid input syntax for type json (22P02)"));
    error_clear(&orders_err);
    assert_ok(orders_ops->savepoint(store, true, &orders_err));
    assert_int_equal(orders_apply(store, CHANGE_UPDATE, 0, "\"\\\\\\u0000\""), STATUS_REJECT);
    assert_non_null(strstr(orders_err.text, "jsonb holds no \\u0000"));
    error_clear(&orders_err);
    assert_ok(orders_ops->savepoint(store, true, &orders_err));
    assert_ok(orders_apply(store, CHANGE_CREATE, 4, "\"\\\\u0000\""));
    assert_ok(orders_apply(store, CHANGE_CREATE, 3, "null"));
    assert_ok(orders_ops->commit(store, false, &orders_err));
    orders_ops->close(store);
    orders_schema.columns[2].type = COLUMN_TEXT;
    assert_string_equal(
        postgresql_text(orders_url, "SELECT note FROM orders ORDER BY id"),
        test_format("%s\n%s\n%s\nnull\n\"\\\\u0000\"\n", kept[0], kept[1], kept[2]));
}

static void a_deferred_constraint_is_judged_with_the_row(void **state)
{
    (void)state;
    struct store *store = orders_open_prepared();
    postgresql_execute(orders_url, "ALTER TABLE orders ADD CONSTRAINT note_once UNIQUE (note) "
                                   "DEFERRABLE INITIALLY DEFERRED");
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_ok(orders_apply(store, CHANGE_CREATE, 1, "same"));
    assert_int_equal(orders_apply(store, CHANGE_CREATE, 2, "same"), STATUS_REJECT);
    assert_int_equal(orders_err.reject, REJECT_WAITING);
    orders_ops->close(store);
}

static void a_commit_behind_a_rejected_row_is_no_commit(void **state)
{
    (void)state;
    struct store *store = orders_open_prepared();
    postgresql_execute(orders_url, "ALTER TABLE orders ADD CHECK (note <> 'bad')");
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_ok(orders_apply(store, CHANGE_CREATE, 1, "good"));
    assert_int_equal(orders_apply(store, CHANGE_CREATE, 2, "bad"), STATUS_REJECT);
    error_clear(&orders_err);
    assert_int_equal(orders_ops->commit(store, false, &orders_err), STATUS_FATAL);
    orders_ops->rollback(store);
    assert_string_equal(postgresql_text(orders_url, "SELECT count(*) FROM orders"), "0\n");
    orders_ops->close(store);
}

static void a_full_disk_makes_the_batch_retry(void **state)
{
    (void)state;
    const char *space = test_format("%s/space",
                                    postgresql_server_url() == NULL ? "" : postgresql_directory());
    static char large[200000];
    struct stat owner;
    for (size_t i = 0; i < sizeof large - 1; i++) /* nothing that can be compressed */
        large[i] = (char)('0' + (i * i * 7919 + i / 97) % 75);
    struct store *store = orders_open_prepared();
    if (mkdir(space, 0777) != 0 || mount("tmpfs", space, "tmpfs", 0, "size=4m") != 0 ||
        stat(postgresql_directory(), &owner) != 0 || chown(space, owner.st_uid, owner.st_gid) != 0)
        test_skip("a tmpfs cannot be mounted here");
    postgresql_execute(orders_url, test_format("CREATE TABLESPACE small LOCATION '%s'", space));
    postgresql_execute(orders_url, "ALTER TABLE orders SET TABLESPACE small");
    enum status status = STATUS_OK;
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    for (int64_t id = 0; status == STATUS_OK && id < 200; id++)
        status = orders_apply(store, CHANGE_CREATE, id, large);
    orders_ops->rollback(store);
    orders_ops->close(store);
    postgresql_execute(orders_url, "DROP TABLE orders");
    postgresql_execute(orders_url, "CHECKPOINT");
    postgresql_execute(orders_url, "DROP TABLESPACE small");
    (void)umount(space);
    assert_int_equal(status, STATUS_RETRY);
    assert_int_equal(orders_err.native_code, postgresql_sqlstate_code("53100"));
}

static void *commit_while_the_store_waits(void *service)
{
    (void)database_wait_for(orders_url, "SELECT count(*) FROM pg_locks WHERE NOT granted", "1\n",
                            10000);
    session_run(service, "COMMIT", NULL);
    return NULL;
}

/* This holds even if READ COMMITTED is asked for. The row that it waited for is in another
 * partition. */
static void a_serialization_failure_makes_the_batch_retry(void **state)
{
    (void)state;
    pthread_t thread;
    struct store *store = orders_open();
    orders_drop();
    postgresql_execute(orders_url,
                       "CREATE TABLE orders(id bigint PRIMARY KEY, price numeric, note text) "
                       "PARTITION BY RANGE (id); CREATE TABLE part1 PARTITION OF orders "
                       "FOR VALUES FROM (0) TO (100); CREATE TABLE part2 PARTITION OF orders "
                       "FOR VALUES FROM (100) TO (200); INSERT INTO orders VALUES (3)");
    assert_ok(orders_ops->prepare(store, &orders_mapping, &orders_err));
    struct session *service = session_open(orders_url);
    session_run(service, "BEGIN", NULL);
    session_run(service, "UPDATE orders SET id = 150 WHERE id = 3", NULL);
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_int_equal(pthread_create(&thread, NULL, commit_while_the_store_waits, service), 0);
    assert_int_equal(orders_apply(store, CHANGE_UPDATE, 3, NULL), STATUS_RETRY);
    assert_int_equal(orders_err.native_code, postgresql_sqlstate_code("40001"));
    error_clear(&orders_err);
    orders_ops->rollback(store);
    assert_int_equal(pthread_join(thread, NULL), 0);
    session_close(service);
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_ok(orders_apply(store, CHANGE_CREATE, 3, "theirs"));
    assert_ok(orders_ops->commit(store, false, &orders_err));
    orders_ops->close(store);
}

static void the_flag_names_the_table_during_a_run_only(void **state)
{
    (void)state;
    struct store *store = orders_open_prepared();
    struct mapping published = orders_mapping;
    struct value values[3] = {0};
    struct change change = orders_change(values, CHANGE_CREATE, 1, "n");
    const struct change *changes[] = {&change};
    published.published_here = true;
    postgresql_execute(orders_url,
                       "CREATE OR REPLACE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS "
                       "$$BEGIN NEW.note := current_setting('keepstep.applying', true); "
                       "RETURN NEW; END$$; CREATE TRIGGER see BEFORE INSERT ON orders "
                       "FOR EACH ROW EXECUTE FUNCTION see()");
    assert_ok(orders_ops->begin(store, NULL, 0, &orders_err));
    assert_ok(orders_ops->apply(store, &published, changes, 1, &orders_err));
    assert_ok(orders_apply(store, CHANGE_CREATE, 2, "n"));
    assert_ok(orders_ops->savepoint(store, false, &orders_err));
    values[0].kind = VALUE_NULL;
    assert_int_equal(orders_ops->apply(store, &published, changes, 1, &orders_err), STATUS_REJECT);
    error_clear(&orders_err);
    assert_ok(orders_ops->savepoint(store, true, &orders_err));
    assert_ok(orders_apply(store, CHANGE_CREATE, 3, "n"));
    assert_ok(orders_ops->commit(store, false, &orders_err));
    assert_string_equal(postgresql_text(orders_url, "SELECT id, note FROM orders ORDER BY id"),
                        "1|orders\n2|\n3|\n");
    orders_ops->close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tables_that_keep_every_value_exactly_are_accepted),
        TEST(tables_that_would_change_a_value_are_refused),
        TEST(a_table_is_created_and_widened_from_the_schema),
        TEST(a_table_in_a_schema_that_does_not_exist_ends_with_code_78),
        TEST(a_table_of_a_named_schema_is_created_widened_and_written_there),
        TEST(a_table_of_another_schema_is_another_table_whatever_it_is_called),
        TEST(what_the_database_says_of_a_row_becomes_its_verdict),
        TEST(a_jsonb_column_keeps_a_text_of_its_own_form_and_any_other_is_held),
        TEST(a_deferred_constraint_is_judged_with_the_row),
        TEST(a_commit_behind_a_rejected_row_is_no_commit),
        TEST(a_full_disk_makes_the_batch_retry),
        TEST(a_serialization_failure_makes_the_batch_retry),
        TEST(the_flag_names_the_table_during_a_run_only),
    };
    orders_begin(DATABASE_POSTGRESQL);
    return TEST_RUN(tests);
}
