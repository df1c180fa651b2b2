/* What `keepstep init --print-sql` prints is what `keepstep init` makes. */
#include "tests/support/postgresql.h"
#include "tests/support/process.h"
#include "tests/support/sql.h"

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
    (void)sqlite_text(test_path("printed.db"), printed.output);
    const char *expected = sqlite_text(test_path("made.db"), catalogue);
    assert_non_null(strstr(expected, "keepstep_order_insert"));
    assert_string_equal(sqlite_text(test_path("printed.db"), catalogue), expected);

    /* Then `init` finds everything and only adds the identity and the rows. */
    struct process_result again = PROCESS_RUN(KEEPSTEP_BINARY, "init", "-c",
                                              test_path("printed.yaml"));
    assert_int_equal(again.exit_code, 0);
    assert_null(strstr(again.output, "created  table"));
    assert_null(strstr(again.output, "changed"));
    assert_int_equal(sqlite_number(test_path("printed.db"), "SELECT count(*) FROM keepstep_relay"),
                     1);
}

static void psql_runs_what_is_printed_of_both_sides_and_all_grants(void **state)
{
    (void)state;
    if (postgresql_server_url() == NULL)
        test_skip("%s", postgresql_skip_reason());
    const char *url = postgresql_database("printed");
    const char *config = test_path("shop.yaml");
    test_write_file(test_path("order.schema.json"), SCHEMA);
    test_write_file(config, test_format("service: shop\ndatabase: %s\nschemas: .\n"
                                        "kafka: {bootstrap.servers: 127.0.0.1:1}\n"
                                        "publish:\n  order: {table: orders}\n"
                                        "apply:\n  order: {table: orders}\n",
                                        url));
    postgresql_execute(url, "CREATE TABLE orders (id bigint PRIMARY KEY, name text)");
    struct process_result printed = PROCESS_RUN(KEEPSTEP_BINARY, "init", "--print-sql", "-c",
                                                config);
    if (printed.exit_code != 0)
        test_fail("%s", printed.errors);
    test_write_file(test_path("printed.sql"), printed.output);
    struct process_result psql = PROCESS_RUN("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url,
                                             "-f", test_path("printed.sql"));
    if (psql.exit_code != 0)
        test_fail("%s", psql.errors);
    assert_string_equal(
        postgresql_text(url,
                        "SELECT has_table_privilege('keepstep_agent', 'keepstep_position', "
                        "'UPDATE'), has_table_privilege('keepstep_relay', 'outbox', 'DELETE'), "
                        "has_table_privilege('keepstep_lag', 'keepstep_position', 'SELECT'), "
                        "has_column_privilege('keepstep_lag', 'outbox', 'payload', 'SELECT')"),
        "t|t|t|f\n");
    struct process_result again = PROCESS_RUN(KEEPSTEP_BINARY, "init", "-c", config);
    if (again.exit_code != 0)
        test_fail("%s", again.errors);
    assert_null(strstr(again.output, "created  table"));
    assert_null(strstr(again.output, "changed"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_printed_sql_makes_what_init_makes),
        TEST(psql_runs_what_is_printed_of_both_sides_and_all_grants)};
    return TEST_RUN(tests);
}
