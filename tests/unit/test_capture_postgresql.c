/* Capture in PostgreSQL: what its triggers write, what `init` refuses, and the existing rows. */
#include "producer/registry.h"
#include "tests/support/postgresql.h"
#include "tests/support/process.h"
#include "tests/support/session.h"
#include "tests/support/shop.h"

#include "common/clock.h"
#include "common/postgresql_session.h"
#include "producer/init/init.h"
#include "producer/publish_lines.h"

#include <pthread.h>
#include <stdatomic.h>

#define ALL_SCHEMA                                                                                 \
    shop_schema("id", "id integer,name text,price decimal,weight double,image bytes,paid boolean," \
                      "at date-time,there timestamp,day date,hour time,token uuid,extra json")
#define ALL_TABLE                                                                                  \
    "CREATE TABLE orders (id bigint PRIMARY KEY, name text, price numeric, weight float8, "        \
    "image bytea, paid boolean, at timestamptz, there timestamp, day date, hour time, "            \
    "token uuid, extra json, note text)"
#define NAME_SCHEMA shop_schema("id", "id integer,name text")
#define NAME_TABLE  "CREATE TABLE orders (id bigint PRIMARY KEY, name text, note text)"

static const char *shop_events(const struct shop *shop)
{
    return postgresql_text(shop->url, "SELECT aggregateid, type FROM outbox ORDER BY position");
}

static void every_value_is_written_in_the_form_of_its_type_under_any_session(void **state)
{
    static const char *const sessions[] = {
        "SELECT 1",
        "SET DateStyle = 'German'; SET TimeZone = 'Asia/Kathmandu'; SET extra_float_digits = -15; "
        "SET bytea_output = 'escape'; SET IntervalStyle = 'iso_8601'; SET client_encoding = LATIN1;"
        "SET standard_conforming_strings = off; SET escape_string_warning = off;"
        "SET search_path = pg_temp; SET session_replication_role = replica"};
    (void)state;
    struct shop shop;
    shop_ready(&shop, ALL_SCHEMA, ALL_TABLE);
    for (size_t i = 0; i < sizeof sessions / sizeof *sessions; i++) {
        postgresql_execute(
            shop.url,
            test_format("%s; DELETE FROM public.outbox; DELETE FROM public.orders;"
                        "DELETE FROM public.outbox; INSERT INTO public.orders VALUES ("
                        "9007199254740993, 'a\"b' || chr(1) || chr(233), -0012.50, 0.1, "
                        "decode('00ff', 'hex'), true, '1969-12-31 23:59:59.123456+00', "
                        "'2026-11-23 09:42:00.5', '1582-10-04', '23:59:59.999999', "
                        "'0F8FAD5B-D9CB-469F-A165-70867728950E', '{\"a\" : 1.0}', 'n'), "
                        "(1, '', 1e-20, '-0', NULL, NULL, '0044-03-15 00:00+00 BC', 'infinity', "
                        "NULL, NULL, NULL, NULL, NULL)",
                        sessions[i]));
        assert_string_equal(
            postgresql_text(shop.url, "SELECT aggregateid, payload FROM outbox ORDER BY position"),
            "{\"id\":9007199254740993}|{\"op\":\"c\",\"before\":null,\"after\":{\"id\":"
            "9007199254740993,\"name\":\"a\\\"b\\u0001\xc3\xa9\",\"price\":\"-12.50\",\"weight\":"
            "0.1,\"image\":\"00FF\",\"paid\":true,\"at\":\"1969-12-31T23:59:59.123456Z\","
            "\"there\":\"2026-11-23T09:42:00.500000\",\"day\":\"1582-10-04\","
            "\"hour\":\"23:59:59.999999\",\"token\":\"0f8fad5b-d9cb-469f-a165-70867728950e\","
            "\"extra\":\"{\\\"a\\\" : 1.0}\"}}\n"
            "{\"id\":1}|{\"op\":\"c\",\"before\":null,\"after\":{\"id\":1,\"name\":\"\","
            "\"price\":\"0.00000000000000000001\",\"weight\":-0.0,\"image\":null,\"paid\":null,"
            "\"at\":\"0044-03-15T00:00:00 BC\",\"there\":\"infinity\",\"day\":null,"
            "\"hour\":null,\"token\":null,\"extra\":null}}\n");
    }
    shop_done(&shop);
}

static void a_number_that_json_does_not_have_is_refused_where_it_is_written(void **state)
{
    (void)state;
    struct shop shop;
    shop_ready(&shop, ALL_SCHEMA, ALL_TABLE);
    postgresql_execute(shop.url, "CREATE TABLE refused (text text)");
    static const char *const values[] = {"(1, 'NaN', NULL)", "(1, 'Infinity', NULL)",
                                         "(1, NULL, 'NaN')", "(1, NULL, '-Infinity')"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        postgresql_execute(
            shop.url, test_format("DO $$BEGIN INSERT INTO orders (id, price, weight) VALUES %s; "
                                  "EXCEPTION WHEN numeric_value_out_of_range THEN "
                                  "INSERT INTO refused VALUES (SQLERRM); END$$",
                                  values[i]));
    assert_string_equal(postgresql_text(shop.url, "SELECT count(*), min(text), max(text) "
                                                  "FROM refused"),
                        "4|keepstep: column price of table orders is NaN or infinite, which cannot "
                        "be published|keepstep: column weight of table orders is NaN or infinite, "
                        "which cannot be published\n");
    assert_string_equal(postgresql_text(shop.url, "SELECT count(*) FROM outbox"), "0\n");
    shop_done(&shop);
}

static void inserts_updates_key_changes_deletes_copy_and_conflicts_are_captured(void **state)
{
    (void)state;
    struct shop shop;
    shop_ready(&shop, NAME_SCHEMA, NAME_TABLE);
    postgresql_execute(shop.url, "INSERT INTO orders (id, name) VALUES (1, 'a');"
                                 "UPDATE orders SET note = 'x'; UPDATE orders SET name = 'A';"
                                 "UPDATE orders SET name = name; UPDATE orders SET id = 2;"
                                 "INSERT INTO orders VALUES (2, 'b'), (3, 'c') "
                                 "ON CONFLICT (id) DO UPDATE SET name = excluded.name;"
                                 "INSERT INTO orders VALUES (3, 'd') ON CONFLICT DO NOTHING;"
                                 "DELETE FROM orders WHERE id = 2;"
                                 "COPY orders FROM PROGRAM 'printf \"7\\tcopied\\tn\\n\"';"
                                 "MERGE INTO orders AS o USING (VALUES (7), (8)) AS v (id) "
                                 "ON o.id = v.id WHEN MATCHED THEN DELETE "
                                 "WHEN NOT MATCHED THEN INSERT VALUES (v.id)");
    assert_string_equal(shop_events(&shop), "{\"id\":1}|order.created\n{\"id\":1}|order.updated\n"
                                            "{\"id\":1}|order.deleted\n{\"id\":2}|order.created\n"
                                            "{\"id\":2}|order.updated\n{\"id\":3}|order.created\n"
                                            "{\"id\":2}|order.deleted\n{\"id\":7}|order.created\n"
                                            "{\"id\":7}|order.deleted\n{\"id\":8}|order.created\n");
    assert_string_equal(postgresql_text(shop.url, "SELECT count(*) FROM outbox WHERE id IS NULL "
                                                  "AND abs(extract(epoch FROM now() - created_at)) "
                                                  "< 60"),
                        "10\n");
    shop_done(&shop);
}

static void truncate_is_captured_as_deletes(void **state)
{
    (void)state;
    struct shop shop;
    shop_ready(&shop, NAME_SCHEMA, NAME_TABLE);
    postgresql_execute(shop.url, "INSERT INTO orders VALUES (1), (2); DELETE FROM outbox;"
                                 "TRUNCATE orders; INSERT INTO orders VALUES (1)");
    assert_string_equal(shop_events(&shop), "{\"id\":1}|order.deleted\n{\"id\":2}|order.deleted\n"
                                            "{\"id\":1}|order.created\n");
    shop_done(&shop);
}

/* TRUNCATE takes rows away that were written after the transaction's snapshot. */
static void truncate_with_an_old_snapshot_is_refused(void **state)
{
    (void)state;
    struct shop shop;
    shop_ready(&shop, NAME_SCHEMA, NAME_TABLE);
    struct session *session = session_open(shop.url);
    session_run(session, "BEGIN ISOLATION LEVEL REPEATABLE READ", NULL);
    session_run(session, "SELECT count(*) FROM orders", NULL);
    postgresql_execute(shop.url, "INSERT INTO orders VALUES (1)");
    const char *error = session_try(session, "TRUNCATE orders", NULL);
    if (error == NULL || strstr(error, "READ COMMITTED") == NULL)
        test_fail("%s", error == NULL ? "was not refused" : error);
    session_close(session);
    shop_done(&shop);
}

static void partitions_are_captured_also_moves_between_them_and_their_truncate(void **state)
{
    (void)state;
    struct shop shop;
    shop_ready(&shop, NAME_SCHEMA,
               "CREATE TABLE orders (id bigint PRIMARY KEY, name text) PARTITION BY RANGE (id);"
               "CREATE TABLE low PARTITION OF orders FOR VALUES FROM (0) TO (10);"
               "CREATE TABLE high PARTITION OF orders FOR VALUES FROM (10) TO (20)");
    postgresql_execute(shop.url,
                       "CREATE TABLE late PARTITION OF orders FOR VALUES FROM (20) TO (30);"
                       "INSERT INTO orders VALUES (1, 'a'), (11, 'b'), (21, 'c');"
                       "UPDATE orders SET name = 'A' WHERE id = 1;"
                       "UPDATE orders SET id = 12 WHERE id = 1; INSERT INTO low VALUES (2);"
                       "TRUNCATE high");
    assert_string_equal(
        shop_events(&shop),
        "{\"id\":1}|order.created\n{\"id\":11}|order.created\n{\"id\":21}|order.created\n"
        "{\"id\":1}|order.updated\n{\"id\":1}|order.deleted\n{\"id\":12}|order.created\n"
        "{\"id\":2}|order.created\n{\"id\":11}|order.deleted\n{\"id\":12}|order.deleted\n");
    shop_done(&shop);
}

static void
truncate_of_a_partitioned_table_covers_partitions_that_are_younger_than_init(void **state)
{
    (void)state;
    struct shop shop;
    shop_ready(&shop, NAME_SCHEMA,
               "CREATE TABLE orders (id bigint PRIMARY KEY, name text) PARTITION BY RANGE (id);"
               "CREATE TABLE low PARTITION OF orders FOR VALUES FROM (0) TO (10);"
               "CREATE TABLE high PARTITION OF orders FOR VALUES FROM (10) TO (20) "
               "PARTITION BY RANGE (id);"
               "CREATE TABLE high_low PARTITION OF high FOR VALUES FROM (10) TO (15)");
    postgresql_execute(shop.url,
                       "CREATE TABLE late PARTITION OF orders FOR VALUES FROM (20) TO (30);"
                       "CREATE TABLE high_late PARTITION OF high FOR VALUES FROM (15) TO (20);"
                       "INSERT INTO orders VALUES (1), (11), (16), (21); DELETE FROM outbox;"
                       "TRUNCATE high");
    assert_string_equal(postgresql_text(shop.url, "SELECT aggregateid, type FROM outbox "
                                                  "ORDER BY aggregateid"),
                        "{\"id\":11}|order.deleted\n{\"id\":16}|order.deleted\n");
    postgresql_execute(shop.url, "DELETE FROM outbox; TRUNCATE orders");
    assert_string_equal(postgresql_text(shop.url, "SELECT aggregateid, type FROM outbox "
                                                  "ORDER BY aggregateid"),
                        "{\"id\":1}|order.deleted\n{\"id\":21}|order.deleted\n");
    postgresql_execute(shop.url, "INSERT INTO orders VALUES (1), (11), (16), (21);"
                                 "DELETE FROM outbox; TRUNCATE orders"); /* one delete per row */
    assert_string_equal(
        postgresql_text(shop.url, "SELECT aggregateid FROM outbox ORDER BY aggregateid"),
        "{\"id\":11}\n{\"id\":16}\n{\"id\":1}\n{\"id\":21}\n");
    shop_done(&shop);
}

static void only_the_agents_direct_writes_are_silent(void **state)
{
    (void)state;
    struct shop shop;
    shop_ready(&shop, NAME_SCHEMA,
               NAME_TABLE
               ";CREATE TABLE customers (id bigint PRIMARY KEY);"
               "ALTER TABLE orders ADD COLUMN customer bigint REFERENCES customers "
               "ON DELETE CASCADE; CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$"
               "BEGIN UPDATE orders SET name = 'own' WHERE id = NEW.id; RETURN NULL; END$$;"
               "CREATE TRIGGER a_stamp AFTER INSERT ON orders FOR EACH ROW "
               "WHEN (NEW.note = 'stamp') EXECUTE FUNCTION stamp()");
    postgresql_execute(
        shop.url, "INSERT INTO customers VALUES (1); BEGIN;"
                  "SELECT set_config('keepstep.applying', 'orders', true);"
                  "INSERT INTO orders VALUES (1, 'a'), (2, 'b'); DELETE FROM orders WHERE id = 2;"
                  "INSERT INTO orders VALUES (3, 'a', 'stamp');"
                  "SELECT set_config('keepstep.applying', 'customers', true);"
                  "INSERT INTO orders VALUES (4, 'd', NULL, 1);"
                  "DELETE FROM customers; COMMIT; INSERT INTO orders VALUES (5, 'e', 'stamp')");
    /* The service's trigger and the cascade are captured. Our trigger runs before the service's. */
    assert_string_equal(shop_events(&shop), "{\"id\":3}|order.updated\n{\"id\":4}|order.created\n"
                                            "{\"id\":4}|order.deleted\n{\"id\":5}|order.created\n"
                                            "{\"id\":5}|order.updated\n");
    shop_done(&shop);
}

static void tables_that_cannot_be_captured_whole_are_refused_with_the_way_out(void **state)
{
    static const struct {
        const char *table;
        const char *text;
    } cases[] = {
        {"SELECT 1", "does not exist"},
        {"CREATE TABLE orders (id bigint, name text)", "no primary key"},
        {"CREATE TABLE orders (id bigint, name text, PRIMARY KEY (id, name))", "more key columns"},
        {"CREATE TABLE orders (id bigint, name text PRIMARY KEY)", "another primary key"},
        {"CREATE TABLE orders (id bigint PRIMARY KEY DEFERRABLE, name text)", "DEFERRABLE"},
        {"CREATE TABLE orders (id bigint PRIMARY KEY)", "no column name"},
        {"CREATE UNLOGGED TABLE orders (id bigint PRIMARY KEY, name text)", "unlogged"},
        {"CREATE VIEW orders AS SELECT 1 AS id, 'a' AS name", "view"},
        {"CREATE TABLE orders (id bigint PRIMARY KEY, name text); CREATE TABLE o2 () INHERITS "
         "(orders)",
         "inherit"},
        {"CREATE TABLE orders (id bigint PRIMARY KEY, name interval)", "interval"},
        {"CREATE TABLE orders (id bigint PRIMARY KEY, name char(3))", "pads"},
        {"CREATE TABLE orders (id bigint PRIMARY KEY, name text[])", "jsonb"},
        {"CREATE TABLE orders (id bigint PRIMARY KEY, name bigint)", "x-keepstep-type text"},
        {"CREATE TABLE orders (id numeric PRIMARY KEY, name text)", "x-keepstep-type integer"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct shop shop;
        struct error err = ERROR_INIT;
        shop_make(&shop, NAME_SCHEMA, cases[i].table);
        assert_int_equal(shop_init(&shop, true, &err), STATUS_FATAL);
        assert_int_equal(err.exit_code, 78);
        if (strstr(err.text, cases[i].text) == NULL)
            test_fail("%s: %s", cases[i].table, err.text);
        assert_string_equal(postgresql_text(shop.url, "SELECT to_regclass('outbox')"), "NULL\n");
        shop_done(&shop);
    }
}

static void a_cascade_within_a_table_that_is_also_applied_is_refused(void **state)
{
    (void)state;
    struct shop shop;
    struct error err = ERROR_INIT;
    shop_make(&shop, NAME_SCHEMA,
              NAME_TABLE
              ";ALTER TABLE orders ADD parent bigint REFERENCES orders ON DELETE CASCADE");
    assert_int_equal(shop_init(&shop, true, &err), STATUS_OK);
    shop.config.apply = &shop.entry;
    shop.config.apply_count = 1;
    assert_int_equal(shop_init(&shop, true, &err), STATUS_FATAL);
    assert_non_null(strstr(err.text, "orders_parent_fkey"));
    shop_done(&shop);
}

static void a_foreign_outbox_table_is_never_adopted(void **state)
{
    (void)state;
    struct shop shop;
    struct error err = ERROR_INIT;
    shop_make(&shop, NAME_SCHEMA, NAME_TABLE ";CREATE TABLE outbox (id bigint NOT NULL)");
    assert_int_equal(shop_init(&shop, true, &err), STATUS_FATAL);
    assert_non_null(strstr(err.text, "rename it"));
    assert_string_equal(postgresql_text(shop.url, "SELECT to_regclass('outbox_id')"), "NULL\n");
    shop_done(&shop);
}

static void a_second_init_keeps_all_and_mends_what_was_altered(void **state)
{
    (void)state;
    struct shop shop;
    struct error err = ERROR_INIT;
    shop_ready(&shop, NAME_SCHEMA,
               NAME_TABLE ";INSERT INTO orders SELECT i FROM generate_series(1, 2500) AS i");
    assert_int_equal(shop_init(&shop, true, &err), STATUS_OK);
    assert_null(strstr(test_read_file(test_path("init.txt")), "created"));
    assert_null(strstr(test_read_file(test_path("init.txt")), "changed"));
    assert_string_equal(postgresql_text(shop.url, "SELECT count(*), count(DISTINCT aggregateid), "
                                                  "min(type), max(type) FROM outbox"),
                        "2500|2500|order.read|order.read\n");
    postgresql_execute(shop.url, "ALTER TABLE orders DISABLE TRIGGER \"00_keepstep_order_row\";"
                                 "CREATE OR REPLACE FUNCTION keepstep_order_truncate() RETURNS "
                                 "trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$");
    assert_int_equal(shop_init(&shop, true, &err), STATUS_OK);
    const char *text = test_read_file(test_path("init.txt"));
    assert_non_null(strstr(text, "changed  trigger 00_keepstep_order_row"));
    assert_non_null(strstr(text, "changed  function keepstep_order_truncate"));
    assert_int_equal(shop_init(&shop, true, &err), STATUS_OK);
    assert_null(strstr(test_read_file(test_path("init.txt")), "changed"));
    shop_done(&shop);
}

static void the_printed_sql_makes_what_init_makes(void **state)
{
    static const char catalogue[] =
        "SELECT c.relname, obj_description(c.oid, 'pg_class'), (SELECT string_agg(a.attname || "
        "format_type(a.atttypid, a.atttypmod), ',' ORDER BY attnum) FROM pg_attribute AS a WHERE "
        "a.attrelid = c.oid AND a.attnum > 0) FROM pg_class AS c WHERE relnamespace = "
        "'public'::regnamespace ORDER BY 1";
    static const char triggers[] =
        "SELECT tgrelid::regclass, tgname, tgenabled, pg_get_triggerdef(t.oid), "
        "regexp_replace(p.prosrc, '(c.oid = |[(])[0-9]+', '\\1OID', 'g'), "
        "p.proconfig, "
        "p.prosecdef, p.proowner, p.proacl, length(obj_description(p.oid, 'pg_proc')) FROM "
        "pg_trigger AS t JOIN pg_proc AS p "
        "ON p.oid = t.tgfoid ORDER BY 1, 2";
    (void)state;
    struct shop shop;
    shop_ready(&shop, NAME_SCHEMA, NAME_TABLE);
    const char *made = postgresql_text(shop.url, catalogue);
    const char *made_triggers = postgresql_text(shop.url, triggers);
    shop_done(&shop);
    shop_make(&shop, NAME_SCHEMA, NAME_TABLE);
    /* The grants name tables of the applying side, whose SQL an administrator runs first. */
    test_write_file(test_path("printed.sql"), test_format("CREATE TABLE keepstep_position(x int);"
                                                          "CREATE TABLE keepstep_sequence(x int);"
                                                          "CREATE TABLE keepstep_fill(x int);\n%s",
                                                          shop_print(&shop)));
    struct process_result psql = PROCESS_RUN("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d",
                                             shop.url, "-f", test_path("printed.sql"));
    if (psql.exit_code != 0)
        test_fail("%s", psql.errors);
    postgresql_execute(shop.url, "DROP TABLE keepstep_position, keepstep_sequence, keepstep_fill");
    assert_string_equal(postgresql_text(shop.url, catalogue), made);
    assert_string_equal(postgresql_text(shop.url, triggers), made_triggers);
    shop_done(&shop);
}

static void lines_are_written_in_their_order(void **state)
{
    (void)state;
    struct shop shop;
    struct error err = ERROR_INIT;
    int64_t written = 0;
    shop_ready(&shop, NAME_SCHEMA, NAME_TABLE);
    const struct entity_schema *schemas[] = {shop.schema};
    char lines[] = "{\"type\":\"order.updated\",\"key\":42,\"after\":{\"id\":42,\"name\":"
                   "\"{\\\"\\\\,NULL}\"}}\n"
                   "{\"type\":\"order.deleted\",\"key\":{\"id\":42},\"traceparent\":\"t\"}\n";
    FILE *in = fmemopen(lines, sizeof lines - 1, "r");
    if (publish_lines(&shop.config, schemas, in, &written, &err) != STATUS_OK)
        test_fail("%s", err.text);
    (void)fclose(in);
    assert_int_equal(written, 2);
    assert_string_equal(postgresql_text(shop.url, "SELECT aggregatetype, aggregateid, type, "
                                                  "payload, traceparent FROM outbox ORDER BY 1"),
                        "order|{\"id\":42}|order.updated|{\"op\":\"u\",\"before\":null,\"after\":"
                        "{\"id\":42,\"name\":\"{\\\"\\\\,NULL}\"}}|NULL\n"
                        "order|{\"id\":42}|order.deleted|{\"op\":\"d\",\"before\":null,\"after\":"
                        "null}|t\n");
    shop_done(&shop);
}

static void a_new_incarnation_drops_what_the_log_has_and_lets_the_rest_wait(void **state)
{
    (void)state;
    struct shop shop;
    struct error err = ERROR_INIT;
    struct origin *origin = NULL;
    struct origin_lease lease;
    bool initialised = false;
    const struct origin_restart restart = {.service = "shop", .incarnation = "new"};
    struct origin_restarted restarted = {0};
    shop_ready(&shop, NAME_SCHEMA, NAME_TABLE ";INSERT INTO orders SELECT generate_series(1, 5)");
    postgresql_execute(shop.url,
                       "UPDATE outbox SET id = 'e' || position, sequence = position, "
                       "kafka_partition = 0 WHERE position <= 4;"
                       "INSERT INTO keepstep_relay_type VALUES ('order', 'order');"
                       "INSERT INTO keepstep_relay_partition VALUES ('order', 0, 4, 'e4', "
                       "2, 1, 'e2'); UPDATE keepstep_relay SET holder = 'h'");
    const struct origin_ops *ops = origin_find(shop.url);
    assert_int_equal(ops->open(&shop.config, ORIGIN_INSTALL, &origin, &err), STATUS_OK);
    assert_int_equal(ops->lease(origin, &initialised, &lease, &err), STATUS_OK);
    assert_true(initialised);
    assert_string_equal(lease.holder, "h");
    for (int i = 0; i < 2500; i++)
        assert_int_equal(
            ops->note_in_log(origin, &(struct origin_note){.id = slice_of(i == 2499 ? "e3" : "x")},
                             &err),
            STATUS_OK);
    assert_int_equal(ops->note_log_end(origin, "order", 0, 77, &err), STATUS_OK);
    assert_int_equal(ops->begin(origin, &err), STATUS_OK);
    if (ops->restart(origin, &restart, &restarted, &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_int_equal(ops->commit(origin, &err), STATUS_OK);
    ops->close(origin);
    assert_int_equal(restarted.dropped, 1);
    assert_string_equal(postgresql_text(shop.url, "SELECT position, sequence FROM outbox ORDER BY "
                                                  "1"),
                        "4|NULL\n5|NULL\n");
    assert_string_equal(postgresql_text(shop.url, "SELECT incarnation, holder, epoch, (SELECT "
                                                  "until_offset FROM keepstep_relay_wait), (SELECT "
                                                  "count(*) FROM keepstep_existing) FROM "
                                                  "keepstep_relay"),
                        "new||1|77|0\n");
    shop_done(&shop);
}

static PGconn *session(const struct shop *shop, const char *sql)
{
    PGconn *connection = PQconnectdb(shop->url);
    PGresult *result = PQexec(connection, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        test_fail("%s", PQerrorMessage(connection));
    PQclear(result);
    return connection;
}

static void run_in(PGconn *connection, const char *sql)
{
    PGresult *result = PQexec(connection, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        test_fail("%s", PQerrorMessage(connection));
    PQclear(result);
}

static void an_entitys_outbox_order_is_its_commit_order(void **state)
{
    (void)state;
    struct shop shop;
    shop_ready(&shop, NAME_SCHEMA, NAME_TABLE ";INSERT INTO orders VALUES (1, 'a'), (2, 'a')");
    postgresql_execute(shop.url, "DELETE FROM outbox");
    /* `first` takes the earlier position (for entity 2) and commits last. `gap` takes one and rolls
     * back. */
    PGconn *first = session(&shop, "BEGIN; UPDATE orders SET name = 'first' WHERE id = 2");
    PGconn *gap = session(&shop, "BEGIN; INSERT INTO orders VALUES (9)");
    PGconn *second = session(&shop, "BEGIN; UPDATE orders SET name = 'second' WHERE id = 1");
    assert_int_equal(PQsendQuery(first, "UPDATE orders SET name = 'first' WHERE id = 1"), 1);
    clock_sleep_us(200000); /* it waits for the row */
    assert_int_equal(PQconsumeInput(first), 1);
    assert_int_equal(PQisBusy(first), 1);
    run_in(gap, "ROLLBACK");
    run_in(second, "COMMIT");
    const char *visible = postgresql_text(shop.url, "SELECT payload FROM outbox ORDER BY position");
    assert_string_equal(visible, "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":1,\"name\":"
                                 "\"second\"}}\n");
    for (PGresult *result = PQgetResult(first); result != NULL; result = PQgetResult(first))
        PQclear(result);
    run_in(first, "COMMIT");
    assert_string_equal(postgresql_text(shop.url, "SELECT aggregateid, payload::json #>> "
                                                  "'{after,name}' FROM outbox ORDER BY position"),
                        "{\"id\":2}|first\n{\"id\":1}|second\n{\"id\":1}|first\n");
    PQfinish(first);
    PQfinish(second);
    PQfinish(gap);
    shop_done(&shop);
}

struct writer {
    const char *url;
    atomic_bool stop;
    atomic_int_fast64_t count;
};

static void *write_rows(void *context)
{
    struct writer *writer = context;
    PGconn *connection = PQconnectdb(writer->url);
    for (int i = 0; !atomic_load(&writer->stop); i++) {
        PGresult *result = PQexec(
            connection, test_format("UPDATE orders SET name = 'w%d' WHERE id = %d; DELETE FROM "
                                    "orders WHERE id = %d; INSERT INTO orders VALUES (%d, 'n')",
                                    i, i * 7919 % 20000, i * 31 % 20000, 30000 + i));
        if (PQresultStatus(result) == PGRES_COMMAND_OK)
            atomic_fetch_add(&writer->count, 1);
        PQclear(result);
    }
    PQfinish(connection);
    return NULL;
}

static void present_rows_are_read_while_the_service_writes_and_add_up(void **state)
{
    (void)state;
    struct shop shop;
    struct error err = ERROR_INIT;
    pthread_t thread;
    shop_make(&shop, NAME_SCHEMA,
              NAME_TABLE ";INSERT INTO orders SELECT i, 'x' FROM generate_series(1, 20000) AS i");
    struct writer writer = {.url = shop.url};
    assert_int_equal(pthread_create(&thread, NULL, write_rows, &writer), 0);
    enum status status = shop_init(&shop, true, &err);
    atomic_store(&writer.stop, true);
    (void)pthread_join(thread, NULL);
    if (status != STATUS_OK)
        test_fail("%s", err.text);
    assert_true(atomic_load(&writer.count) > 0);
    /* Applying the events in the order of the outbox gives the table. */
    assert_string_equal(
        postgresql_text(
            shop.url, "WITH last AS (SELECT DISTINCT ON (aggregateid) payload::json AS p FROM "
                      "outbox ORDER BY aggregateid, position DESC), copy AS (SELECT "
                      "(p #>> '{after,id}')::bigint AS id, p #>> '{after,name}' AS name FROM last "
                      "WHERE p ->> 'op' <> 'd') SELECT (SELECT count(*) FROM copy FULL JOIN orders "
                      "AS o ON o.id = copy.id AND o.name = copy.name WHERE o.id IS NULL OR "
                      "copy.id IS NULL), (SELECT count(*) > 19000 FROM copy)"),
        "0|t\n");
    shop_done(&shop);
}

struct holder {
    PGconn *connection;
    struct writer *writer;
    int64_t written; /* when init has waited for a while */
    bool holds_init_alone;
};

static bool writer_goes_on(void *context)
{
    const struct holder *holder = context;
    return atomic_load(&holder->writer->count) > holder->written;
}

static void *commit_later(void *context)
{
    struct holder *holder = context;
    clock_sleep_us(1500000);
    holder->written = atomic_load(&holder->writer->count);
    holder->holds_init_alone = test_wait(writer_goes_on, holder, 20000);
    run_in(holder->connection, "COMMIT");
    return NULL;
}

static void a_table_that_the_service_holds_is_tried_again_and_not_queued_for(void **state)
{
    (void)state;
    struct shop shop;
    struct error err = ERROR_INIT;
    pthread_t threads[2];
    shop_make(&shop, NAME_SCHEMA, NAME_TABLE ";INSERT INTO orders VALUES (-1, 'a')");
    struct writer writer = {.url = shop.url};
    struct holder holder = {
        .connection = session(&shop, "BEGIN; UPDATE orders SET name = 'b' WHERE id = -1"),
        .writer = &writer};
    assert_int_equal(pthread_create(&threads[0], NULL, write_rows, &writer), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, commit_later, &holder), 0);
    enum status status = shop_init(&shop, false, &err);
    (void)pthread_join(threads[1], NULL);
    atomic_store(&writer.stop, true);
    (void)pthread_join(threads[0], NULL);
    if (status != STATUS_OK)
        test_fail("%s", err.text);
    assert_true(holder.holds_init_alone);
    PQfinish(holder.connection);
    shop_done(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_value_is_written_in_the_form_of_its_type_under_any_session),
        TEST(a_number_that_json_does_not_have_is_refused_where_it_is_written),
        TEST(inserts_updates_key_changes_deletes_copy_and_conflicts_are_captured),
        TEST(truncate_is_captured_as_deletes),
        TEST(truncate_with_an_old_snapshot_is_refused),
        TEST(partitions_are_captured_also_moves_between_them_and_their_truncate),
        TEST(truncate_of_a_partitioned_table_covers_partitions_that_are_younger_than_init),
        TEST(only_the_agents_direct_writes_are_silent),
        TEST_WITH_LIMIT(tables_that_cannot_be_captured_whole_are_refused_with_the_way_out, 90),
        TEST(a_cascade_within_a_table_that_is_also_applied_is_refused),
        TEST(a_foreign_outbox_table_is_never_adopted),
        TEST(a_second_init_keeps_all_and_mends_what_was_altered),
        TEST(the_printed_sql_makes_what_init_makes),
        TEST(lines_are_written_in_their_order),
        TEST(a_new_incarnation_drops_what_the_log_has_and_lets_the_rest_wait),
        TEST(an_entitys_outbox_order_is_its_commit_order),
        TEST_WITH_LIMIT(present_rows_are_read_while_the_service_writes_and_add_up, 120),
        TEST_WITH_LIMIT(a_table_that_the_service_holds_is_tried_again_and_not_queued_for, 60),
    };
    shop_begin(DATABASE_POSTGRESQL);
    return TEST_RUN(tests);
}
