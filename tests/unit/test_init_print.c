/* `keepstep init --print-sql` prints the same that `keepstep init` makes. */
#include "tests/support/database.h"
#include "tests/support/former_outbox.h"
#include "tests/support/load.h"
#include "tests/support/postgresql.h"
#include "tests/support/roles.h"
#include "tests/support/sql.h"

#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define SCHEMA                                                                                     \
    "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","                \
    "\"x-keepstep-key\":[\"id\"],\"properties\":{"                                                 \
    "\"id\":{\"type\":\"integer\",\"x-keepstep-type\":\"integer\"},"                               \
    "\"name\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"text\"}}}"

static void prepare_service(const char *name)
{
    test_write_file(test_path("%s.yaml", name),
                    test_format("service: shop\ndatabase: sqlite:%s.db\nschemas: .\n"
                                "kafka: {bootstrap.servers: 127.0.0.1:1}\n"
                                "publish:\n  order: {table: orders}\n  visit: {}\n",
                                name));
    (void)sqlite_text(test_path("%s.db", name),
                      "CREATE TABLE orders (id INTEGER PRIMARY KEY, name TEXT)");
}

static void the_printed_sql_makes_what_init_makes(void **state)
{
    static const char catalogue[] = "SELECT type, name, tbl_name, sql FROM sqlite_schema "
                                    "ORDER BY type, name";
    (void)state;
    load_need("sqlite3");
    test_write_file(test_path("order.schema.json"), SCHEMA);
    test_write_file(test_path("visit.schema.json"), SCHEMA);
    prepare_service("made");
    prepare_service("printed");
    struct process_result made = PROCESS_RUN(KEEPSTEP_BINARY, "init", "-c", test_path("made.yaml"));
    assert_int_equal(made.exit_code, 0);
    struct process_result printed = PROCESS_RUN(KEEPSTEP_BINARY, "init", "--print-sql", "-c",
                                                test_path("printed.yaml"));
    assert_int_equal(printed.exit_code, 0);
    assert_string_equal(sqlite_text(test_path("printed.db"), catalogue),
                        "table|orders|orders|CREATE TABLE orders (id INTEGER PRIMARY KEY, name "
                        "TEXT)\n");
    test_write_file(test_path("printed.sql"), printed.output);
    struct process_result run = PROCESS_RUN("sqlite3", test_path("printed.db"),
                                            test_format(".read %s", test_path("printed.sql")));
    if (run.exit_code != 0)
        test_fail("%s", run.errors);
    const char *expected = sqlite_text(test_path("made.db"), catalogue);
    assert_non_null(strstr(expected, "keepstep_order_insert"));
    assert_string_equal(sqlite_text(test_path("printed.db"), catalogue), expected);

    /* Now `init` finds all objects, and adds only the identity and the rows. */
    struct process_result again = PROCESS_RUN(KEEPSTEP_BINARY, "init", "-c",
                                              test_path("printed.yaml"));
    assert_int_equal(again.exit_code, 0);
    assert_null(strstr(again.output, "created  table"));
    assert_null(strstr(again.output, "changed"));
    assert_int_equal(sqlite_number(test_path("printed.db"), "SELECT count(*) FROM keepstep_relay"),
                     1);
}

static const char *server_config(const char *url, const char *more)
{
    const char *config = test_path("shop.yaml");
    test_write_file(test_path("order.schema.json"), SCHEMA);
    test_write_file(test_path("visit.schema.json"), SCHEMA);
    test_write_file(config, test_format("service: shop\ndatabase: %s\nschemas: .\nlisten: \"\"\n"
                                        "kafka: {bootstrap.servers: 127.0.0.1:1}\n"
                                        "publish:\n  order: {table: orders}\n%s"
                                        "apply:\n  order: {table: orders}\n",
                                        url, more));
    return config;
}

/* Replication of the database itself tells rows apart by their primary key. */
static void assert_every_table_has_a_primary_key(enum database_kind kind, const char *url)
{
    static const char *const without[] = {
        [DATABASE_SQLITE] = "SELECT t.name FROM sqlite_schema AS t WHERE t.type = 'table' AND "
                            "t.name NOT LIKE 'sqlite_%' AND NOT EXISTS (SELECT 1 FROM "
                            "pragma_table_info(t.name) WHERE pk > 0)",
        [DATABASE_POSTGRESQL] =
            "SELECT oid::regclass FROM pg_class AS t WHERE relkind IN ('r', 'p') AND relnamespace "
            "= 'public'::regnamespace AND (relreplident <> 'd' OR NOT EXISTS (SELECT 1 FROM "
            "pg_index WHERE indrelid = t.oid AND indisprimary AND indimmediate))",
        [DATABASE_MARIADB] =
            "SELECT t.table_name FROM information_schema.tables AS t WHERE t.table_schema = "
            "DATABASE() AND NOT EXISTS (SELECT 1 FROM information_schema.table_constraints AS c "
            "WHERE c.table_schema = DATABASE() AND c.table_name = t.table_name AND "
            "c.constraint_type = 'PRIMARY KEY')"};
    assert_string_equal(database_text(url, without[kind]), "");
}

/* Turn on what makes the server refuse tables, or changes of tables, without a primary key. */
static void replicate_all(enum database_kind kind, const char *url)
{
    if (kind == DATABASE_POSTGRESQL)
        (void)database_text(url, "CREATE PUBLICATION everything FOR ALL TABLES");
    else if (kind == DATABASE_MARIADB)
        (void)database_text(url, "SET GLOBAL innodb_force_primary_key = 1");
}

/* Print and run twice. The second configuration has one more type. */
static const char *run_print_twice(enum database_kind kind)
{
    const char *url = database_make(kind, "printed");
    const char *config = server_config(url, "");
    replicate_all(kind, url);
    (void)database_text(url, "CREATE TABLE orders (id bigint PRIMARY KEY, name text);"
                             "CREATE TABLE visits (id bigint PRIMARY KEY, name text)");
    struct process_result first = roles_print_and_run(config, url);
    if (first.exit_code != 0)
        test_fail("%s", first.errors);
    (void)database_text(url, "INSERT INTO orders VALUES (1, 'a')");
    config = server_config(url, "  visit: {table: visits}\n");
    struct process_result again = roles_print_and_run(config, url);
    if (again.exit_code != 0)
        test_fail("%s", again.errors);
    assert_string_equal(again.output, "");
    assert_string_equal(again.errors, "");
    struct process_result early = PROCESS_RUN(KEEPSTEP_BINARY, "relay", "-c", config);
    assert_int_equal(early.exit_code, EX_CONFIG);
    assert_non_null(strstr(early.errors, "run `keepstep init -c "));
    (void)database_text(url, "INSERT INTO visits VALUES (2, 'b')");
    assert_string_equal(database_text(url, "SELECT aggregatetype FROM outbox ORDER BY position"),
                        "order\nvisit\n");
    struct process_result init = PROCESS_RUN(KEEPSTEP_BINARY, "init", "-c", config);
    if (init.exit_code != 0)
        test_fail("%s", init.errors);
    assert_null(strstr(init.output, "created  table"));
    assert_null(strstr(init.output, "created  trigger"));
    assert_null(strstr(init.output, "changed"));
    assert_every_table_has_a_primary_key(kind, url);
    return url;
}

static void psql_runs_what_is_printed_of_both_sides_and_all_grants_twice(void **state)
{
    (void)state;
    const char *url = run_print_twice(DATABASE_POSTGRESQL);
    assert_string_equal(
        postgresql_text(url,
                        "SELECT has_table_privilege('keepstep_agent', 'keepstep_position', "
                        "'UPDATE'), has_table_privilege('keepstep_relay', 'outbox', 'DELETE'), "
                        "has_table_privilege('keepstep_lag', 'keepstep_position', 'SELECT'), "
                        "has_column_privilege('keepstep_lag', 'outbox', 'payload', 'SELECT')"),
        "t|t|t|f\n");
}

/* An older Keepstep made this table without one. */
static void init_gives_a_primary_key_to_the_table_that_had_none(void **state)
{
    (void)state;
    const char *url = run_print_twice(DATABASE_POSTGRESQL);
    postgresql_execute(url, "ALTER TABLE keepstep_blocked DROP CONSTRAINT keepstep_blocked_pkey;"
                            "CREATE INDEX keepstep_blocked_parked_id ON "
                            "keepstep_blocked (parked_id);"
                            "INSERT INTO keepstep_blocked VALUES ('order', '{\"id\":1}', 7)");
    struct process_result init = PROCESS_RUN(KEEPSTEP_BINARY, "init", "-c", test_path("shop.yaml"));
    if (init.exit_code != 0)
        test_fail("%s", init.errors);
    assert_every_table_has_a_primary_key(DATABASE_POSTGRESQL, url);
    postgresql_execute(url, "DELETE FROM keepstep_blocked");
    assert_string_equal(postgresql_text(url, "SELECT to_regclass('keepstep_blocked_parked_id')"),
                        "NULL\n");
}

static void the_mariadb_client_runs_what_is_printed_twice(void **state)
{
    (void)state;
    (void)run_print_twice(DATABASE_MARIADB);
}

static void sqlite3_runs_what_is_printed_twice(void **state)
{
    (void)state;
    load_need("sqlite3");
    (void)run_print_twice(DATABASE_SQLITE);
}

/* The owner of the tables makes all that `init` makes, an administrator nothing but roles. */
static void print_roles_alone(enum database_kind kind)
{
    const char *url = database_make(kind, "roles_alone");
    const char *owner = roles_login(url, "roles_owner", "");
    bool is_mariadb = kind == DATABASE_MARIADB;
    (void)database_text(url, is_mariadb ? test_format("GRANT ALL ON %s.* TO roles_owner@localhost",
                                                      strrchr(url, '/') + 1)
                                        : "GRANT CREATE, USAGE ON SCHEMA public TO roles_owner");
    struct process_result run = roles_run(owner, "CREATE TABLE orders (id bigint PRIMARY KEY, "
                                                 "name text)");
    if (run.exit_code != 0)
        test_fail("%s", run.errors);
    const char *config = server_config(owner, "");
    run = PROCESS_RUN(KEEPSTEP_BINARY, "init", "-c", config);
    if (run.exit_code != 0)
        test_fail("%s", run.errors);
    run = PROCESS_RUN(KEEPSTEP_BINARY, "init", "--print-roles", "-c", config);
    assert_int_equal(run.exit_code, 0);
    assert_null(strstr(run.output, "CREATE TABLE"));
    assert_null(strstr(run.output, "CREATE TRIGGER"));
    assert_null(strstr(run.output, "REPLACE TRIGGER"));
    roles_grant(config, url);
    roles_grant(config, url); /* it may be run again and again */
    run = PROCESS_RUN(KEEPSTEP_BINARY, "doctor", "-c", config);
    assert_non_null(strstr(run.output, "this login has all "));
    if (is_mariadb)
        assert_string_equal(database_text(url, "SELECT DISTINCT definer FROM "
                                               "information_schema.triggers WHERE trigger_schema = "
                                               "DATABASE()"),
                            "roles_owner@localhost\n");
}

static void roles_are_printed_alone_for_an_administrator(void **state)
{
    (void)state;
    print_roles_alone(DATABASE_POSTGRESQL);
    print_roles_alone(DATABASE_MARIADB);
    const char *config = server_config("sqlite:alone.db", "");
    struct process_result run = PROCESS_RUN(KEEPSTEP_BINARY, "init", "--print-roles", "-c", config);
    assert_int_equal(run.exit_code, 0);
    assert_string_equal(run.output, "");
    assert_non_null(strstr(run.errors, "a file has no roles"));
}

static void what_only_prints_refuses_a_flag_that_would_change_something(void **state)
{
    static const char *const prints[] = {"--print-roles only prints roles",
                                         "--print-sql only prints"};
    static const char *const changes[][2] = {{"--existing-rows", NULL},
                                             {"--republish", "order"},
                                             {"--new-incarnation", NULL},
                                             {"--new-copy", NULL},
                                             {"--restored", NULL}};
    (void)state;
    const char *config = server_config("sqlite:unchanged.db", "");
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < sizeof changes / sizeof *changes; j++) {
            const char *flag = test_format("%.*s", (int)strcspn(prints[i], " "), prints[i]);
            struct process_result run = PROCESS_RUN(KEEPSTEP_BINARY, "init", "-c", config, flag,
                                                    changes[j][0], changes[j][1]);
            const char *why = test_format("%s, so %s does not go with it", prints[i],
                                          changes[j][0]);
            assert_int_equal(run.exit_code, EX_USAGE);
            assert_string_equal(run.output, "");
            if (strstr(run.errors, why) == NULL)
                test_fail("no \"%s\": %s", why, run.errors);
        }
    }
    struct process_result both = PROCESS_RUN(KEEPSTEP_BINARY, "init", "-c", config, "--print-roles",
                                             "--print-sql");
    assert_int_equal(both.exit_code, EX_USAGE);
    assert_int_not_equal(access(test_path("unchanged.db"), F_OK), 0);
}

static void frees_former_ids(enum database_kind kind, const char *former)
{
    const char *url = database_make(kind, "former");
    (void)database_text(url, former);
    (void)database_text(url, "CREATE TABLE orders (id bigint PRIMARY KEY, name text)");
    struct process_result run = roles_print_and_run(server_config(url, ""), url);
    if (run.exit_code != 0)
        test_fail("%s", run.errors);
    (void)database_text(url, "INSERT INTO orders VALUES (1, 'a')");
    assert_string_equal(database_text(url, "SELECT count(*) FROM outbox WHERE id IS NULL"), "1\n");
}

static void printed_sql_frees_the_ids_of_an_earlier_version(void **state)
{
    (void)state;
    frees_former_ids(DATABASE_POSTGRESQL, FORMER_OUTBOX_POSTGRESQL);
    frees_former_ids(DATABASE_MARIADB, FORMER_OUTBOX_MARIADB);
}

static void refuses_a_foreign_outbox(enum database_kind kind, const char *tables)
{
    const char *url = database_make(kind, "foreign_outbox");
    (void)database_text(url, "CREATE TABLE orders (id bigint PRIMARY KEY, name text);"
                             "CREATE TABLE outbox (id bigint PRIMARY KEY)");
    struct process_result run = roles_print_and_run(server_config(url, ""), url);
    assert_int_not_equal(run.exit_code, 0);
    assert_non_null(strstr(run.errors, "a table named outbox that Keepstep did not make"));
    assert_string_equal(database_text(url, tables), "orders\noutbox\n");
}

static void printed_sql_stops_before_it_makes_anything_beside_a_foreign_outbox(void **state)
{
    (void)state;
    refuses_a_foreign_outbox(DATABASE_POSTGRESQL,
                             "SELECT relname FROM pg_class WHERE relkind = 'r' AND "
                             "relnamespace = 'public'::regnamespace ORDER BY relname");
    refuses_a_foreign_outbox(DATABASE_MARIADB, "SHOW TABLES");
}

static void sqlite3_stops_before_it_makes_anything_beside_a_foreign_outbox(void **state)
{
    (void)state;
    load_need("sqlite3");
    refuses_a_foreign_outbox(DATABASE_SQLITE,
                             "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(roles_are_printed_alone_for_an_administrator, 120),
        TEST(what_only_prints_refuses_a_flag_that_would_change_something),
        TEST(the_printed_sql_makes_what_init_makes),
        TEST(psql_runs_what_is_printed_of_both_sides_and_all_grants_twice),
        TEST(init_gives_a_primary_key_to_the_table_that_had_none),
        TEST(the_mariadb_client_runs_what_is_printed_twice),
        TEST(sqlite3_runs_what_is_printed_twice),
        TEST(printed_sql_frees_the_ids_of_an_earlier_version),
        TEST(printed_sql_stops_before_it_makes_anything_beside_a_foreign_outbox),
        TEST(sqlite3_stops_before_it_makes_anything_beside_a_foreign_outbox)};
    return TEST_RUN(tests);
}
