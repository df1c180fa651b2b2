/* Lines are checked against a schema, and the schema of an existing table is printed. */
#include "tests/support/sql.h"
#include "tests/support/test.h"

#include "consumer/describe/sqlite.h"
#include "schemas/schema_lines.h"

#include <stdio.h>
#include <sysexits.h>

static const char *table_schema(const char *path, const char *table, struct error *err)
{
    struct buffer out;
    buffer_init(&out, 1 << 20);
    const char *text = NULL;
    if (schema_sqlite_describe(path, table, &out, err) == STATUS_OK)
        text = test_format("%s", buffer_text(&out));
    buffer_done(&out);
    return text;
}

static void a_tables_schema_judges_its_rows_line_by_line(void **state)
{
    struct error err = ERROR_INIT;
    size_t invalid = 0;
    (void)state;
    const char *path = test_path("shop.db");
    (void)sqlite_text(path, "CREATE TABLE orders(id INTEGER PRIMARY KEY, name VARCHAR(5))");
    const char *schema = table_schema(path, "orders", &err);
    assert_non_null(schema);
    assert_non_null(strstr(schema, "\"x-keepstep-key\": [\"id\"]"));
    test_write_file(test_path("order.schema.json"), schema);
    test_write_file(test_path("rows"), "{\"id\":1,\"name\":null}\n\n{\"id\":2,\"name\":\"long "
                                       "name\"}\n{\"id\":\n");
    FILE *in = fopen(test_path("rows"), "r");
    FILE *report = fopen(test_path("report"), "w");
    assert_non_null(in);
    assert_non_null(report);
    assert_int_equal(
        schema_lines_validate(test_path("order.schema.json"), in, report, &invalid, &err),
        STATUS_OK);
    (void)fclose(in);
    (void)fclose(report);
    assert_int_equal(invalid, 2);
    const char *said = test_read_file(test_path("report"));
    assert_non_null(strstr(said, "line 3: /name"));
    assert_non_null(strstr(said, "line 4: "));
}

static void a_table_without_a_primary_key_is_refused(void **state)
{
    struct error err = ERROR_INIT;
    (void)state;
    const char *path = test_path("shop.db");
    (void)sqlite_text(path, "CREATE TABLE keyless(name TEXT)");
    assert_null(table_schema(path, "keyless", &err));
    assert_non_null(strstr(err.text, "no primary key"));
    error_clear(&err);
    assert_null(table_schema(path, "absent", &err));
    assert_non_null(strstr(err.text, "no table"));
    error_clear(&err);
    (void)sqlite_text(path, "CREATE TABLE odd(id INTEGER PRIMARY KEY, v ANYTHING)");
    assert_null(table_schema(path, "odd", &err));
    assert_int_equal(error_exit_code(&err), EX_DATAERR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_tables_schema_judges_its_rows_line_by_line),
        TEST(a_table_without_a_primary_key_is_refused),
    };
    return TEST_RUN(tests);
}
