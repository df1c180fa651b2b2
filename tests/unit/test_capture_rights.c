/* Whose rights PostgreSQL's capture functions have, and who may attach them to a table. */
#include "tests/support/postgresql.h"
#include "tests/support/process.h"
#include "tests/support/roles.h"
#include "tests/support/session.h"
#include "tests/support/shop.h"

#include "producer/capture/watch.h"

#define NAME_SCHEMA shop_schema("id", "id integer,name text")
#define NAME_TABLE  "CREATE TABLE orders (id bigint PRIMARY KEY, name text, note text)"

/* Every function of Keepstep that could be misused, with the setting that allows it. */
#define HARMFUL                                                                                    \
    "SELECT p.oid::regprocedure, p.proacl, p.proconfig FROM pg_proc AS p "                         \
    "WHERE (obj_description(p.oid, 'pg_proc') LIKE 'Keepstep%' OR p.proname LIKE 'keepstep%') "    \
    "AND (p.proconfig IS NULL OR NOT ('search_path=pg_catalog, pg_temp' = ANY (p.proconfig) OR "   \
    "NOT p.prosecdef AND 'search_path=pg_catalog, public, pg_temp' = ANY (p.proconfig)) "          \
    "OR has_function_privilege('public', p.oid, 'EXECUTE') OR p.prosecdef AND "                    \
    "(p.proowner <> (SELECT relowner FROM pg_class WHERE oid = 'orders'::regclass) OR EXISTS "     \
    "(SELECT 1 FROM aclexplode(p.proacl) AS a WHERE a.grantee <> p.proowner)))"
#define MADE "SELECT count(*) FROM pg_proc WHERE obj_description(oid, 'pg_proc') LIKE 'Keepstep%'"

/* The attacker's code writes here as which role it ran. */
#define SPOILS                                                                                     \
    ";CREATE TABLE spoils (role text); GRANT ALL ON spoils TO PUBLIC;"                             \
    "GRANT CREATE ON SCHEMA public TO PUBLIC"
#define EVIL_CAST                                                                                  \
    "CREATE TYPE evil AS ENUM ('a', 'b');"                                                         \
    "CREATE FUNCTION steal(evil) RETURNS text LANGUAGE plpgsql AS $$BEGIN "                        \
    "INSERT INTO public.spoils VALUES (current_user); RETURN 'x'; END$$;"                          \
    "CREATE CAST (evil AS text) WITH FUNCTION steal(evil) AS IMPLICIT;"

static void expect_refused(const char *url, const char *sql, const char *why)
{
    struct process_result run = roles_run(url, sql);
    if (run.exit_code == 0 || strstr(run.errors, why) == NULL)
        test_fail("%s\nwas not refused with %s: %s%s", sql, why, run.output, run.errors);
}

static void run_as(const char *url, const char *sql)
{
    struct process_result run = roles_run(url, sql);
    if (run.exit_code != 0)
        test_fail("%s: %s", sql, run.errors);
}

static const char *shop_events(const struct shop *shop)
{
    return postgresql_text(shop->url, "SELECT aggregateid, type FROM outbox ORDER BY position");
}

static void init_again(struct shop *shop)
{
    struct error err = ERROR_INIT;
    if (shop_init(shop, true, &err) != STATUS_OK)
        test_fail("%s", err.text);
}

/* Make a shop whose table belongs to a role of the service. A superuser runs init. */
static const char *make_owned(struct shop *shop, const char *more)
{
    shop_make(shop, NAME_SCHEMA, test_format(NAME_TABLE SPOILS "%s", more));
    const char *owner = roles_login(shop->url, "shop_owner", "");
    postgresql_execute(shop->url, "ALTER TABLE orders OWNER TO shop_owner");
    return owner;
}

static void no_function_that_runs_with_other_rights_is_everybodys(void **state)
{
    (void)state;
    struct shop shop;
    const char *const grants[] = {
        "SELECT 1", "ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC",
        "ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO shop_owner, shop_clerk"};
    for (size_t i = 0; i < sizeof grants / sizeof *grants; i++) {
        (void)make_owned(&shop, "");
        (void)roles_login(shop.url, "shop_clerk", "");
        postgresql_execute(shop.url, grants[i]);
        init_again(&shop);
        assert_string_equal(postgresql_text(shop.url, HARMFUL), "");
        assert_string_equal(postgresql_text(shop.url, MADE), "5\n");
        init_again(&shop);
        const char *text = test_read_file(test_path("init.txt"));
        if (strstr(text, "created") != NULL || strstr(text, "changed") != NULL)
            test_fail("%s: %s", grants[i], text);
        shop_done(&shop);
        (void)make_owned(&shop, "");
        postgresql_execute(shop.url, grants[i]);
        test_write_file(test_path("printed.sql"), shop_print(&shop));
        struct process_result run = PROCESS_RUN("psql", "-X", "-q", "-d", shop.url, "-f",
                                                test_path("printed.sql"));
        if (run.exit_code != 0 && strstr(run.errors, "keepstep_position") == NULL)
            test_fail("%s", run.errors);
        assert_string_equal(postgresql_text(shop.url, HARMFUL), "");
        assert_string_equal(postgresql_text(shop.url, MADE), "5\n");
        shop_done(&shop);
    }
}

static void a_login_that_may_only_connect_forges_no_event_and_runs_no_code(void **state)
{
    static const char *const hang[] = {
        "CREATE TEMP TABLE fake (id bigint, name text); CREATE TRIGGER t AFTER INSERT ON fake "
        "FOR EACH ROW EXECUTE FUNCTION public.keepstep_order_row()",
        "CREATE TEMP TABLE fake (id bigint, name text); CREATE TRIGGER t BEFORE TRUNCATE ON fake "
        "FOR EACH STATEMENT EXECUTE FUNCTION public.keepstep_order_truncate()",
        "CREATE TEMP VIEW fake AS SELECT 1 AS id; CREATE TRIGGER t INSTEAD OF INSERT ON fake "
        "FOR EACH ROW EXECUTE FUNCTION public.keepstep_order_row()",
        "CREATE TEMP TABLE fake (id bigint, name text); CREATE TRIGGER t AFTER INSERT ON fake "
        "FOR EACH STATEMENT EXECUTE FUNCTION public.keepstep_outbox_wake()",
        "CREATE FUNCTION pg_temp.mine() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RETURN public.keepstep_order_row(); END'; CREATE TEMP TABLE fake (id bigint);"
        "CREATE TRIGGER t AFTER INSERT ON fake FOR EACH ROW EXECUTE FUNCTION pg_temp.mine();"
        "INSERT INTO fake VALUES (1)",
        "SELECT public.keepstep_order_row()",
        "INSERT INTO public.outbox (aggregatetype, aggregateid, type, payload) "
        "VALUES ('order', '1', 'order.created', '{}')"};
    (void)state;
    struct shop shop;
    (void)make_owned(&shop, "");
    init_again(&shop);
    postgresql_execute(shop.url, "DO $$BEGIN CREATE ROLE keepstep_lag; EXCEPTION WHEN "
                                 "duplicate_object THEN NULL; END$$");
    const char *const attackers[] = {roles_login(shop.url, "stranger", ""),
                                     roles_login(shop.url, "watcher", "keepstep_lag")};
    for (size_t i = 0; i < sizeof attackers / sizeof *attackers; i++) {
        for (size_t j = 0; j < sizeof hang / sizeof *hang; j++)
            expect_refused(attackers[i], hang[j], "permission denied");
    }
    assert_string_equal(shop_events(&shop), "");
    shop_done(&shop);
}

static void the_tables_owner_gains_no_rights_by_types_casts_or_tables_of_its_own(void **state)
{
    (void)state;
    struct shop shop;
    const char *owner = make_owned(&shop, "");
    init_again(&shop);
    run_as(owner, "INSERT INTO orders VALUES (1, 'a')");
    assert_string_equal(shop_events(&shop), "{\"id\":1}|order.created\n");

    /* The owner makes another table. The functions refuse to run for it. */
    run_as(owner, "CREATE TABLE fake (id bigint, name text); CREATE TRIGGER t AFTER INSERT ON fake "
                  "FOR EACH ROW EXECUTE FUNCTION keepstep_order_row(); CREATE TRIGGER u BEFORE "
                  "TRUNCATE ON fake EXECUTE FUNCTION keepstep_order_truncate()");
    expect_refused(owner, "INSERT INTO fake VALUES (1, 'forged')", "for that table alone");
    run_as(owner, "TRUNCATE fake");
    assert_string_equal(shop_events(&shop), "{\"id\":1}|order.created\n");

    /* The owner's code runs with the owner's rights, even when a superuser writes the row. */
    run_as(owner, EVIL_CAST "ALTER TABLE orders ALTER name TYPE evil USING 'a'::evil");
    postgresql_execute(shop.url, "UPDATE orders SET name = 'b'; INSERT INTO orders VALUES "
                                 "(2, 'a'); TRUNCATE orders");
    assert_string_equal(postgresql_text(shop.url, "SELECT DISTINCT role FROM spoils"),
                        "shop_owner\n");

    /* init refuses a column of such a type, whatever the type is called. */
    struct error err = ERROR_INIT;
    assert_int_equal(shop_init(&shop, true, &err), STATUS_FATAL);
    assert_non_null(strstr(err.text, "of type evil"));
    run_as(owner,
           "CREATE TYPE public.text AS ENUM ('c'); ALTER TABLE orders ALTER name TYPE "
           "public.text USING 'c'::public.text; CREATE CAST (public.text AS pg_catalog.text) "
           "WITH INOUT");
    assert_int_equal(shop_init(&shop, true, &err), STATUS_FATAL);
    assert_string_equal(postgresql_text(shop.url, "SELECT DISTINCT role FROM spoils"),
                        "shop_owner\n");
    shop_done(&shop);
}

/* A superuser's table gets another owner. Without this check the function would run as a
 * superuser. */
static void a_table_that_changed_hands_writes_nothing_until_init_has_run(void **state)
{
    (void)state;
    struct shop shop;
    const char *owner = make_owned(&shop, "");
    postgresql_execute(shop.url, "ALTER TABLE orders OWNER TO postgres");
    init_again(&shop);
    postgresql_execute(shop.url, "INSERT INTO orders VALUES (1, 'a');"
                                 "ALTER TABLE orders OWNER TO shop_owner");
    run_as(owner, EVIL_CAST "ALTER TABLE orders ALTER name TYPE evil USING 'a'::evil");
    const char *const writes[] = {"INSERT INTO orders VALUES (2, 'a')",
                                  "UPDATE orders SET name = 'b'", "DELETE FROM orders",
                                  "TRUNCATE orders"};
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++)
        expect_refused(owner, writes[i], "run keepstep init");
    assert_string_equal(postgresql_text(shop.url, "SELECT count(*) FROM spoils"), "0\n");
    run_as(owner, "ALTER TABLE orders ALTER name TYPE text USING 'a'");
    init_again(&shop);
    run_as(owner, "UPDATE orders SET name = 'b'");
    assert_string_equal(shop_events(&shop), "{\"id\":1}|order.created\n{\"id\":1}|order.updated\n");
    assert_string_equal(postgresql_text(shop.url, HARMFUL), "");
    shop_done(&shop);
}

/* A session keeps the plans that it made while the function's owner had the table. */
static void a_table_that_changed_hands_is_refused_to_a_session_that_wrote_it_before(void **state)
{
    (void)state;
    struct shop shop;
    (void)make_owned(&shop, "");
    init_again(&shop);
    struct session *session = session_open(shop.url);
    session_run(session, "INSERT INTO orders VALUES (1, 'a')", NULL);
    postgresql_execute(shop.url, "ALTER TABLE orders OWNER TO postgres");
    const char *error = session_try(session, "INSERT INTO orders VALUES (2, 'a')", NULL);
    if (error == NULL || strstr(error, "run keepstep init") == NULL)
        test_fail("%s", error == NULL ? "was not refused" : error);
    postgresql_execute(shop.url, "ALTER TABLE orders OWNER TO shop_owner");
    session_run(session, "INSERT INTO orders VALUES (3, 'a')", NULL);
    assert_string_equal(shop_events(&shop), "{\"id\":1}|order.created\n{\"id\":3}|order.created\n");
    session_close(session);
    shop_done(&shop);
}

/* Its snapshot is of the time when the function's owner, a superuser, had the table. */
static void a_transaction_that_began_before_a_table_changed_hands_gains_no_rights(void **state)
{
    static const char *const levels[] = {"REPEATABLE READ", "SERIALIZABLE"};
    (void)state;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        struct shop shop;
        const char *owner = make_owned(&shop, "");
        postgresql_execute(shop.url, "ALTER TABLE orders OWNER TO postgres");
        init_again(&shop);
        struct session *session = session_open(owner);
        session_run(session, test_format("BEGIN ISOLATION LEVEL %s", levels[i]), NULL);
        session_run(session, "SELECT count(*) FROM spoils", NULL);
        postgresql_execute(shop.url, "ALTER TABLE orders OWNER TO shop_owner");
        run_as(owner, EVIL_CAST "ALTER TABLE orders ALTER name TYPE evil USING 'a'::evil");
        const char *error = session_try(session, "INSERT INTO orders VALUES (1, 'a')", NULL);
        if (error == NULL || strstr(error, "run the transaction again") == NULL)
            test_fail("%s", error == NULL ? "was not refused" : error);
        session_run(session, "ROLLBACK", NULL);
        session_run(session, test_format("BEGIN ISOLATION LEVEL %s", levels[i]), NULL);
        error = session_try(session, "INSERT INTO orders VALUES (1, 'a')", NULL);
        if (error == NULL || strstr(error, "run keepstep init") == NULL)
            test_fail("%s", error == NULL ? "was not refused" : error);
        session_close(session);
        assert_string_equal(postgresql_text(shop.url, "SELECT count(*) FROM spoils"), "0\n");
        shop_done(&shop);
    }
}

/* What altered the table before, also in vain, is no reason to refuse a transaction. */
static void a_table_that_was_altered_is_written_in_repeatable_read(void **state)
{
    (void)state;
    struct shop shop;
    (void)make_owned(&shop, "");
    init_again(&shop);
    postgresql_execute(shop.url, "BEGIN; ALTER TABLE orders ALTER note SET DEFAULT 'x';"
                                 "GRANT SELECT ON orders TO PUBLIC; ROLLBACK");
    struct session *session = session_open(shop.url);
    session_run(session, "BEGIN ISOLATION LEVEL REPEATABLE READ", NULL);
    session_run(session, "INSERT INTO orders VALUES (1, 'a')", NULL);
    session_run(session, "GRANT INSERT ON orders TO PUBLIC", NULL);
    session_run(session, "INSERT INTO orders VALUES (2, 'a')", NULL);
    session_run(session, "COMMIT", NULL);
    session_close(session);
    assert_string_equal(shop_events(&shop), "{\"id\":1}|order.created\n{\"id\":2}|order.created\n");
    shop_done(&shop);
}

/* An older Keepstep left functions of a superuser that everybody could attach to a table. */
static void an_installation_that_was_open_is_mended_by_init(void **state)
{
    static const char old[] =
        "CREATE OR REPLACE FUNCTION keepstep_order_row() RETURNS trigger LANGUAGE plpgsql "
        "SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$BEGIN INSERT INTO "
        "public.outbox (aggregatetype, aggregateid, type, payload) SELECT 'order', "
        "'{\"id\":' || NEW.id::text || '}', 'order.created', NEW.name::text; RETURN NULL; END$$;"
        "COMMENT ON FUNCTION keepstep_order_row() IS 'Keepstep 0000000000000000';"
        "ALTER FUNCTION keepstep_order_row() OWNER TO postgres;"
        "ALTER FUNCTION keepstep_order_truncate() OWNER TO postgres;"
        "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC;"
        "REVOKE ALL ON outbox FROM shop_owner;"
        "CREATE TABLE stranger_table (id bigint, name text) PARTITION BY LIST (id);"
        "CREATE TABLE stranger_part PARTITION OF stranger_table DEFAULT;"
        "ALTER TABLE stranger_table OWNER TO stranger; ALTER TABLE stranger_part OWNER TO stranger";
    (void)state;
    struct shop shop;
    const char *owner = make_owned(&shop, "");
    init_again(&shop);
    const char *stranger = roles_login(shop.url, "stranger", "");
    postgresql_execute(shop.url, old);
    run_as(stranger, "CREATE TRIGGER t AFTER INSERT ON stranger_table FOR EACH ROW EXECUTE "
                     "FUNCTION keepstep_order_row(); INSERT INTO stranger_table VALUES (9, 'f')");
    assert_string_equal(shop_events(&shop), "{\"id\":9}|order.created\n");
    assert_string_not_equal(postgresql_text(shop.url, HARMFUL), "");
    init_again(&shop);
    const char *text = test_read_file(test_path("init.txt"));
    assert_non_null(strstr(text, "changed  function keepstep_order_row"));
    assert_non_null(strstr(text, "changed  function keepstep_order_truncate"));
    assert_non_null(strstr(text, "changed  function keepstep_outbox_wake"));
    assert_string_equal(postgresql_text(shop.url, HARMFUL), "");
    assert_string_equal(postgresql_text(shop.url, "SELECT tgrelid::regclass FROM pg_trigger WHERE "
                                                  "tgfoid = 'keepstep_order_row'::regproc"),
                        "orders\n");
    run_as(stranger, "INSERT INTO stranger_table VALUES (10, 'f')");
    run_as(owner, "INSERT INTO orders VALUES (1, 'a')");
    assert_string_equal(shop_events(&shop), "{\"id\":9}|order.created\n{\"id\":1}|order.created\n");
    init_again(&shop);
    assert_null(strstr(test_read_file(test_path("init.txt")), "changed"));
    shop_done(&shop);
}

static void init_runs_as_the_tables_owner_alone_and_refuses_what_it_could_not_give(void **state)
{
    (void)state;
    struct shop shop;
    struct error err = ERROR_INIT;
    const char *owner = make_owned(&shop, "");
    const char *other = roles_login(shop.url, "shop_clerk", "");
    postgresql_execute(shop.url, "GRANT USAGE ON SCHEMA public TO PUBLIC");
    const char *administrator = shop.url;
    shop.config.database_path = (char *)(uintptr_t)other;
    assert_int_equal(shop_init(&shop, true, &err), STATUS_FATAL);
    assert_int_equal(err.exit_code, 78);
    assert_non_null(strstr(err.text, "belongs to role shop_owner"));
    error_clear(&err);
    shop.config.database_path = (char *)(uintptr_t)owner;
    init_again(&shop);
    run_as(owner, "INSERT INTO orders VALUES (1, 'a')");
    assert_string_equal(shop_events(&shop), "{\"id\":1}|order.created\n");
    assert_string_equal(postgresql_text(administrator, HARMFUL), "");

    /* A trigger that the outbox's owner adds would run with a superuser's rights. */
    postgresql_execute(administrator, "ALTER TABLE orders OWNER TO postgres");
    shop.config.database_path = (char *)(uintptr_t)administrator;
    assert_int_equal(shop_init(&shop, true, &err), STATUS_FATAL);
    assert_non_null(strstr(err.text, "the outbox to shop_owner"));
    shop_done(&shop);
}

static void a_partition_of_another_owner_is_truncated_and_captured(void **state)
{
    (void)state;
    struct shop shop;
    (void)roles_login(postgresql_server_url() != NULL ? postgresql_server_url() : "", "shop_owner",
                      "");
    shop_make(&shop, NAME_SCHEMA,
              "CREATE TABLE orders (id bigint PRIMARY KEY, name text) PARTITION BY RANGE (id);"
              "CREATE TABLE low PARTITION OF orders FOR VALUES FROM (0) TO (10);"
              "CREATE TABLE high PARTITION OF orders FOR VALUES FROM (10) TO (20);"
              "ALTER TABLE orders OWNER TO shop_owner");
    init_again(&shop);
    postgresql_execute(shop.url, "INSERT INTO orders VALUES (1, 'a'), (11, 'b'); TRUNCATE low");
    assert_string_equal(shop_events(&shop), "{\"id\":1}|order.created\n{\"id\":11}|order.created\n"
                                            "{\"id\":1}|order.deleted\n");
    /* A detached partition is no longer part of the table, and its writes are not refused. */
    postgresql_execute(shop.url, "ALTER TABLE orders DETACH PARTITION high; TRUNCATE high");
    init_again(&shop);
    assert_string_equal(postgresql_text(shop.url, "SELECT count(*) FROM pg_trigger WHERE tgrelid = "
                                                  "'high'::regclass"),
                        "0\n");
    assert_string_equal(postgresql_text(shop.url, "SELECT count(*) FROM outbox"), "3\n");
    shop_done(&shop);
}

/* The function reads the row by its key, as the owner. So the owner needs the right to use the
 * schema. */
static void an_owner_who_may_not_use_the_schema_is_given_that(void **state)
{
    (void)state;
    struct shop shop;
    (void)make_owned(&shop, ";CREATE SCHEMA closed");
    postgresql_execute(shop.url, "ALTER TABLE orders SET SCHEMA closed");
    shop.entry.table = (char *)"closed.orders";
    shop.config.publish = &shop.entry;
    init_again(&shop);
    postgresql_execute(shop.url, "INSERT INTO closed.orders VALUES (1, 'a');"
                                 "DELETE FROM closed.orders");
    assert_string_equal(shop_events(&shop), "{\"id\":1}|order.created\n{\"id\":1}|order.deleted\n");
    shop_done(&shop);
}

/* The function runs as the owner. A policy could hide the row from it, and init would refuse such a
 * table. */
static void a_policy_that_binds_the_owner_hides_no_event(void **state)
{
    (void)state;
    struct shop shop;
    struct capture_finding finding;
    const char *owner = make_owned(&shop, "");
    init_again(&shop);
    postgresql_execute(shop.url, "ALTER TABLE orders ENABLE ROW LEVEL SECURITY;"
                                 "ALTER TABLE orders FORCE ROW LEVEL SECURITY");
    postgresql_execute(shop.url, "INSERT INTO orders VALUES (1, 'a');"
                                 "UPDATE orders SET name = 'b'; UPDATE orders SET id = 2;"
                                 "DELETE FROM orders");
    assert_string_equal(shop_events(&shop), "{\"id\":1}|order.created\n{\"id\":1}|order.updated\n"
                                            "{\"id\":1}|order.deleted\n{\"id\":2}|order.created\n"
                                            "{\"id\":2}|order.deleted\n");
    const struct entity_schema *schemas[] = {shop.schema};
    assert_int_equal(capture_compare(&shop.config, schemas, NULL, NULL, &finding), 1);
    assert_non_null(strstr(finding.text, "row security"));
    run_as(owner, "ALTER TABLE orders NO FORCE ROW LEVEL SECURITY");
    assert_int_equal(capture_compare(&shop.config, schemas, NULL, NULL, &finding), 0);
    shop_done(&shop);
}

static void a_table_that_was_renamed_or_restored_from_a_dump_is_captured_on(void **state)
{
    (void)state;
    struct shop shop;
    const char *owner = make_owned(&shop, "");
    init_again(&shop);
    run_as(owner, "ALTER TABLE orders RENAME TO purchases; INSERT INTO purchases VALUES (1, 'a');"
                  "ALTER TABLE purchases RENAME TO orders");
    assert_string_equal(shop_events(&shop), "{\"id\":1}|order.created\n");
    struct process_result dump = PROCESS_RUN("pg_dump", "-d", shop.url);
    if (dump.exit_code != 0)
        test_fail("%s", dump.errors);
    test_write_file(test_path("dump.sql"), dump.output);
    const char *restored = postgresql_database("restored");
    postgresql_execute(restored, "CREATE TABLE another_oid (id bigint)");
    struct process_result run = PROCESS_RUN("psql", "-X", "-q", "-d", restored, "-f",
                                            test_path("dump.sql"));
    if (run.exit_code != 0)
        test_fail("%s", run.errors);
    run_as(roles_url(restored, "shop_owner"), "INSERT INTO public.orders VALUES (2, 'b')");
    assert_string_equal(postgresql_text(restored, "SELECT aggregateid FROM public.outbox "
                                                  "ORDER BY position"),
                        "{\"id\":1}\n{\"id\":2}\n");
    shop_done(&shop);
}

/* Logical replication of the service writes the table with session_replication_role = replica. */
static void what_a_subscription_applies_is_captured(void **state)
{
    (void)state;
    struct shop shop;
    const char *from = postgresql_database("published");
    postgresql_execute(from, "CREATE TABLE orders (id bigint PRIMARY KEY, name text);"
                             "CREATE PUBLICATION everything FOR ALL TABLES;"
                             "INSERT INTO orders VALUES (1, 'a')");
    postgresql_execute(from, "SELECT pg_create_logical_replication_slot('keepstep_test', "
                             "'pgoutput')");
    (void)make_owned(&shop, "");
    init_again(&shop);
    postgresql_execute(shop.url, test_format("CREATE SUBSCRIPTION s CONNECTION '%s' PUBLICATION "
                                             "everything WITH (create_slot = false, slot_name = "
                                             "'keepstep_test')",
                                             from));
    bool copied = database_wait_for(shop.url, "SELECT count(*) FROM outbox", "1\n", 20000);
    if (copied)
        postgresql_execute(from, "UPDATE orders SET name = 'b'; INSERT INTO orders VALUES (2, 'c');"
                                 "DELETE FROM orders WHERE id = 1");
    if (copied) /* TRUNCATE has a transaction of its own */
        postgresql_execute(from, "TRUNCATE orders");
    bool all = database_wait_for(shop.url, "SELECT count(*) FROM outbox", "5\n", 20000);
    const char *events = shop_events(&shop);
    postgresql_execute(shop.url, "ALTER SUBSCRIPTION s DISABLE");
    postgresql_execute(shop.url, "ALTER SUBSCRIPTION s SET (slot_name = NONE)");
    postgresql_execute(shop.url, "DROP SUBSCRIPTION s");
    (void)database_wait_for(from, "SELECT active::text FROM pg_replication_slots", "false\n",
                            20000);
    postgresql_execute(from, "SELECT pg_drop_replication_slot('keepstep_test')");
    assert_true(all);
    assert_string_equal(events, "{\"id\":1}|order.created\n{\"id\":1}|order.updated\n"
                                "{\"id\":2}|order.created\n{\"id\":1}|order.deleted\n"
                                "{\"id\":2}|order.deleted\n");
    shop_done(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(no_function_that_runs_with_other_rights_is_everybodys, 60),
        TEST(a_login_that_may_only_connect_forges_no_event_and_runs_no_code),
        TEST(the_tables_owner_gains_no_rights_by_types_casts_or_tables_of_its_own),
        TEST(a_table_that_changed_hands_writes_nothing_until_init_has_run),
        TEST(a_table_that_changed_hands_is_refused_to_a_session_that_wrote_it_before),
        TEST(a_transaction_that_began_before_a_table_changed_hands_gains_no_rights),
        TEST(a_table_that_was_altered_is_written_in_repeatable_read),
        TEST(an_installation_that_was_open_is_mended_by_init),
        TEST(init_runs_as_the_tables_owner_alone_and_refuses_what_it_could_not_give),
        TEST(a_partition_of_another_owner_is_truncated_and_captured),
        TEST(an_owner_who_may_not_use_the_schema_is_given_that),
        TEST(a_policy_that_binds_the_owner_hides_no_event),
        TEST(a_table_that_was_renamed_or_restored_from_a_dump_is_captured_on),
        TEST_WITH_LIMIT(what_a_subscription_applies_is_captured, 90),
    };
    shop_begin(DATABASE_POSTGRESQL);
    return TEST_RUN(tests);
}
