/* Reading the schema of an entity type. */
#include "tests/support/test.h"

#include "schemas/entity_schema.h"

static struct error err;

static enum status load(const char *row, struct entity_schema **ret_schema)
{
    error_clear(&err);
    test_write_file(test_path("thing.schema.json"), row);
    return entity_schema_new(test_directory(), "thing", ret_schema, &err);
}

static void columns_and_key_are_read(void **state)
{
    (void)state;
    struct entity_schema *schema = NULL;
    assert_int_equal(load("{\"x-keepstep-key\":[\"b\",\"a\"],\"required\":[\"t\"],\"properties\":"
                          "{\"b\":{\"type\":\"integer\"},\"a\":{\"type\":\"string\"},"
                          "\"t\":{\"type\":[\"string\",\"null\"],\"maxLength\":9},"
                          "\"d\":{\"type\":\"string\",\"x-keepstep-type\":\"decimal\"}}}",
                          &schema),
                     STATUS_OK);
    assert_int_equal(schema->column_count, 4);
    assert_string_equal(schema->columns[0].name, "b");
    assert_int_equal(schema->key_count, 2);
    assert_int_equal(schema->key_columns[0], 1);
    assert_int_equal(schema->columns[2].length_max, 9);
    assert_true(schema->columns[2].nullable);
    assert_int_equal(schema->columns[3].type, COLUMN_DECIMAL);
    assert_int_equal(entity_schema_find(schema, slice_of("zz")), -1);
    entity_schema_free(schema);
}

static void a_schema_that_cannot_be_kept_is_refused(void **state)
{
    static const char *const bad[] = {
        "{",
        "{}",
        "{\"properties\":{\"a\":{\"type\":\"integer\"}}}",
        "{\"x-keepstep-key\":[\"b\"],\"properties\":{\"a\":{\"type\":\"integer\"}}}",
        "{\"x-keepstep-key\":[\"a\",\"a\"],\"properties\":{\"a\":{\"type\":\"integer\"}}}",
        "{\"x-keepstep-key\":[\"a\"],\"properties\":{\"a\":{\"type\":\"number\"}}}",
        "{\"x-keepstep-key\":[\"a\"],\"properties\":{\"a\":{\"type\":\"object\"}}}",
        "{\"x-keepstep-key\":[\"a\"],\"odd\":1,\"properties\":{\"a\":{\"type\":\"integer\"}}}",
    };
    (void)state;
    struct entity_schema *schema = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (load(bad[i], &schema) != STATUS_FATAL)
            test_fail("accepted: %s", bad[i]);
        assert_int_equal(err.exit_code, 78);
        assert_non_null(strstr(err.text, "thing.schema.json"));
    }
    error_clear(&err);
    assert_int_equal(entity_schema_new(test_directory(), "none", &schema, &err), STATUS_FATAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(columns_and_key_are_read),
        TEST(a_schema_that_cannot_be_kept_is_refused),
    };
    return TEST_RUN(tests);
}
