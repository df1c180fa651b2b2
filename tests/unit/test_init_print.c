/* What `keepstep init --print-sql` prints is what `keepstep init` makes. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(the_printed_sql_makes_what_init_makes)};
    return TEST_RUN(tests);
}
