/* The JSON Schema validator: strictness, errors, limits, references and the flat check. */
#include "schemas/json_schema/internal.h"

#include "tests/support/test.h"

#include <stdio.h>

static json_t *parse(const char *text)
{
    json_t *value = json_loads(text, JSON_LOAD_FLAGS, NULL);
    assert_non_null(value);
    return value;
}

static struct json_schema *compile_with(const char *text, const struct json_schema_options *options)
{
    struct error err = ERROR_INIT;
    struct json_schema *schema = NULL;
    json_t *document = parse(text);
    enum status status = json_schema_new(document, options, &schema, &err);
    json_decref(document);
    if (status != STATUS_OK)
        test_fail("%s", err.text);
    return schema;
}

static void expect_refused(const char *text, const struct json_schema_options *options,
                           const char *reason)
{
    struct error err = ERROR_INIT;
    struct json_schema *schema = NULL;
    json_t *document = parse(text);
    assert_int_equal(json_schema_new(document, options, &schema, &err), STATUS_FATAL);
    assert_null(schema);
    if (strstr(err.text, reason) == NULL)
        test_fail("'%s' is not in '%s'", reason, err.text);
    json_decref(document);
}

/** @param reason the expected error; NULL: the instance is valid. */
static void expect_verdict(const struct json_schema *schema, const char *text, const char *reason)
{
    struct error err = ERROR_INIT;
    json_t *instance = parse(text);
    enum status status = json_schema_validate(schema, instance, &err);
    json_decref(instance);
    assert_int_equal(status, reason == NULL ? STATUS_OK : STATUS_REJECT);
    assert_string_equal(err.text, reason == NULL ? "" : reason);
}

static void expect_one(const char *schema_text, const char *text, const char *reason)
{
    struct json_schema *schema = compile_with(schema_text, NULL);
    expect_verdict(schema, text, reason);
    json_schema_free(schema);
}

static void strict_mode_refuses_an_unknown_keyword(void **state)
{
    (void)state;
    const struct json_schema_options strict = {.strict = true};
    expect_refused("{\"properties\": {\"name\": {\"maxlength\": 3}}}", &strict,
                   "schema at /properties/name/maxlength: unknown keyword");
    json_schema_free(compile_with("{\"x-keepstep-key\": [\"id\"], \"title\": \"\"}", &strict));
    json_schema_free(compile_with("{\"maxlength\": 3}", NULL));
}

static void a_malformed_keyword_is_refused(void **state)
{
    (void)state;
    expect_refused("{\"maxLength\": -1}", NULL, "schema at /maxLength: must be an integer");
    expect_refused("{\"type\": \"text\"}", NULL, "schema at /type: is not a JSON type");
    expect_refused("{\"pattern\": \"(\"}", NULL, "schema at /pattern: not a regular expression");
    expect_refused("{\"pattern\": \"a\\\\Z\"}", NULL, "of ECMA-262, at byte 1");
    expect_refused("{\"not\": 3}", NULL, "schema at /not: must be a schema");
}

static void the_error_tells_the_path_and_the_reason_but_not_the_value(void **state)
{
    (void)state;
    expect_one("{\"properties\": {\"after\": {\"properties\": {\"name\": {\"maxLength\": 20}}}}}",
               "{\"after\": {\"name\": \"secret secret secret secret\"}}",
               "/after/name: longer than 20 characters");
    expect_one("{\"items\": {\"properties\": {\"a/b~c\": {\"type\": \"string\"}}}}",
               "[{}, {\"a/b~c\": 1}]", "/1/a~1b~0c: wrong type");
    expect_one("{\"type\": \"object\"}", "1", "(root): wrong type");
    expect_one("{\"additionalProperties\": false}", "{\"a\": 1}", "/a: unknown property");
}

static void lengths_are_counted_in_code_points(void **state)
{
    (void)state;
    expect_one("{\"maxLength\": 2}", "\"\\ud83d\\ude00\\u00e9\"", NULL);
    expect_one("{\"maxLength\": 1}", "\"\\ud83d\\ude00\\u00e9\"",
               "(root): longer than 1 characters");
}

static void numbers_are_compared_exactly(void **state)
{
    (void)state;
    expect_one("{\"const\": {\"a\": [1]}}", "{\"a\": [1.0]}", NULL);
    expect_one("{\"maximum\": 9007199254740992.0}", "9007199254740993",
               "(root): greater than 9007199254740992");
    expect_one("{\"multipleOf\": 0.01}", "4.35", NULL);
    expect_one("{\"multipleOf\": 0.01}", "1e300", NULL);
    expect_one("{\"multipleOf\": 0.01}", "4.351", "(root): not a multiple of 0.01");
    expect_one("{\"multipleOf\": 1e-300}", "1e300", NULL);
    expect_one("{\"multipleOf\": 1e300}", "9223372036854775807",
               "(root): not a multiple of 1.0000000000000001e+300");
}

static void a_pattern_that_backtracks_too_much_is_given_up_even_under_not(void **state)
{
    (void)state;
    const char *text = "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\"";
    expect_one("{\"pattern\": \"^(a+)+$\"}", text, "(root): a pattern takes too long to match");
    expect_one("{\"not\": {\"pattern\": \"^(a+)+$\"}}", text,
               "(root): a pattern takes too long to match");
    expect_one("{\"anyOf\": [{\"pattern\": \"^(a+)+$\"}, true]}", text,
               "(root): a pattern takes too long to match");
}

static void a_pattern_is_read_as_ecma_262_has_it(void **state)
{
    (void)state;
    expect_one("{\"pattern\": \"^\\\\d$\"}", "\"\\u0663\"", "(root): does not match the pattern");
    expect_one("{\"pattern\": \"^a$\"}", "\"a\\n\"", "(root): does not match the pattern");
    expect_one("{\"pattern\": \"^\\\\s[\\\\s]$\"}", "\"\\u2003\\ufeff\"", NULL);
    expect_one("{\"pattern\": \"^\\\\ud83d\\\\ude00$\"}", "\"\\ud83d\\ude00\"", NULL);
    expect_one("{\"pattern\": \"^[[:alpha:]$\"}", "\":\"", NULL);
}

static void a_reference_loop_is_refused(void **state)
{
    (void)state;
    expect_refused("{\"$ref\": \"#\"}", NULL, "part of an endless loop");
    expect_refused("{\"allOf\": [{\"$ref\": \"#/definitions/a\"}], \"definitions\": {\"a\": "
                   "{\"anyOf\": [{\"$ref\": \"#\"}, {\"$ref\": \"#\"}]}}}",
                   NULL, "part of an endless loop");
    expect_one("{\"items\": {\"$ref\": \"#\"}}", "[[[[]]]]", NULL);
}

static void an_instance_that_is_nested_too_deeply_is_rejected(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct json_schema *schema = compile_with("{\"not\": {\"items\": {\"$ref\": \"#\"}}}", NULL);
    json_t *instance = json_array();
    for (int i = 0; i < 1000; i++) {
        json_t *outer = json_array();
        assert_int_equal(json_array_append_new(outer, instance), 0);
        instance = outer;
    }
    assert_int_equal(json_schema_validate(schema, instance, &err), STATUS_REJECT);
    assert_non_null(strstr(err.text, "nested too deeply"));
    json_decref(instance);
    json_schema_free(schema);
}

static void flat_agrees(const struct json_schema *schema, const char *text, bool expected)
{
    struct error err = ERROR_INIT;
    json_t *instance = parse(text);
    assert_non_null(schema->flat);
    bool is_full_ok = json_schema_validate_full(schema, instance, &err) == STATUS_OK;
    bool is_flat_ok = json_flat_check(schema->flat, instance);
    if (is_full_ok != expected || is_flat_ok != expected)
        test_fail("%s: full %d, flat %d: %s", text, is_full_ok, is_flat_ok, err.text);
    json_decref(instance);
}

static void the_flat_check_agrees_with_the_interpreter(void **state)
{
    (void)state;
    struct json_schema *schema = compile_with(
        "{\"type\": \"object\", \"required\": [\"id\", \"kind\"], \"additionalProperties\": false,"
        "\"x-keepstep-key\": [\"id\"], \"properties\": {"
        "\"id\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 10},"
        "\"name\": {\"type\": [\"string\", \"null\"], \"maxLength\": 3, \"minLength\": 1},"
        "\"kind\": {\"enum\": [\"a\", \"b\", null]}, \"free\": true}}",
        NULL);
    static const char *const values[][7] = {
        {NULL, "1", "1.0", "10", "11", "0.5", "\"1\""},
        {NULL, "null", "\"\"", "\"abc\"", "\"abcd\"", "\"\\u20ac\\u20ac\\u20ac\"", "3"},
        {NULL, "\"a\"", "\"b\"", "\"c\"", "null", "1", "\"\""},
    };
    char text[256];
    for (size_t i = 0; i < 7 * 7 * 7 * 2; i++) {
        const char *id = values[0][i % 7];
        const char *name = values[1][i / 7 % 7];
        const char *kind = values[2][i / 49 % 7];
        (void)snprintf(text, sizeof text, "{%s%s%s%s%s%s \"%s\": 1}",
                       kind == NULL ? "" : "\"kind\":", kind == NULL ? "" : kind,
                       kind == NULL ? "" : ",", id == NULL ? "" : "\"id\":", id == NULL ? "" : id,
                       id == NULL ? "" : ",", i >= 343 ? "free" : "other");
        bool is_valid = i >= 343 && id != NULL && i % 7 <= 3 && kind != NULL &&
                        (i / 49 % 7 <= 2 || i / 49 % 7 == 4);
        flat_agrees(schema, text, is_valid);
        (void)snprintf(text, sizeof text, "{\"id\": 1, \"kind\": null, \"name\": %s}",
                       name == NULL ? "\"x\"" : name);
        flat_agrees(schema, text,
                    name == NULL || i / 7 % 7 == 1 || i / 7 % 7 == 3 || i / 7 % 7 == 5);
    }
    flat_agrees(schema, "[]", false);
    expect_verdict(schema, "{\"id\": 11, \"kind\": \"a\"}", "/id: greater than 10");
    json_schema_free(schema);
}

static void a_schema_that_is_not_flat_has_no_table(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"type\": \"object\", \"properties\": {\"a\": {\"pattern\": \"b\"}}}",
        "{\"type\": \"object\", \"required\": [\"a\"]}",
        "{\"type\": \"object\", \"properties\": {\"a\": {\"enum\": [1]}}}",
        "{\"type\": \"object\", \"properties\": {\"a\": {\"items\": true}}}",
        "{\"type\": \"object\", \"additionalProperties\": {\"type\": \"string\"}}",
        "{\"properties\": {}}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct json_schema *schema = compile_with(texts[i], NULL);
        assert_null(schema->flat);
        json_schema_free(schema);
    }
}

static void a_reference_to_a_file_beside_the_schema_resolves(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct json_schema *schema = NULL;
    const struct json_schema_options options = {.folder = test_directory(), .strict = true};
    test_write_file(test_path("order.schema.json"),
                    "{\"properties\": {\"to\": {\"$ref\": \"address.json#/definitions/city\"}}}");
    test_write_file(test_path("address.json"),
                    "{\"$id\": \"https://example.com/address.json\","
                    "\"definitions\": {\"city\": {\"type\": \"string\"}}}");
    assert_int_equal(
        json_schema_new_from_file(test_path("order.schema.json"), &options, &schema, &err),
        STATUS_OK);
    expect_verdict(schema, "{\"to\": \"Utrecht\"}", NULL);
    expect_verdict(schema, "{\"to\": 1}", "/to: wrong type");
    json_schema_free(schema);

    schema = compile_with("{\"$id\": \"https://example.com/a/order.json\", \"items\": {\"$ref\": "
                          "\"address.json#/definitions/city\"}}",
                          &options);
    expect_verdict(schema, "[1]", "/0: wrong type");
    json_schema_free(schema);
    expect_refused("{\"$ref\": \"../passwd\"}", &options, "is not a file in the schema's folder");
    expect_refused("{\"$ref\": \"%2e%2e/passwd\"}", &options,
                   "is not a file in the schema's folder");
    expect_refused("{\"$ref\": \"address.json#/definitions/none\"}", &options,
                   "there is nothing at this place");
}

static void a_reference_over_the_network_is_refused(void **state)
{
    (void)state;
    const struct json_schema_options options = {.folder = "/tmp"};
    expect_refused("{\"$ref\": \"http://example.com/other.json\"}", &options,
                   "references never use the network");
    expect_refused("{\"$ref\": \"file:///etc/passwd\"}", &options,
                   "references never use the network");
    expect_refused("{\"$ref\": \"other.json\"}", NULL, "references never use the network");
}

static void formats_are_asserted_only_on_demand(void **state)
{
    (void)state;
    const struct json_schema_options options = {.assert_formats = true};
    struct json_schema *schema = compile_with("{\"format\": \"uuid\"}", &options);
    expect_verdict(schema, "\"2eb8aa08-aa98-11ea-b4aa-73b441d16380\"", NULL);
    expect_verdict(schema, "\"2eb8-aa08\"", "(root): not of the format uuid");
    json_schema_free(schema);
    expect_one("{\"format\": \"uuid\"}", "\"2eb8-aa08\"", NULL);
}

static void a_file_with_a_name_twice_is_refused(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct json_schema *schema = NULL;
    test_write_file(test_path("a.json"), "{\"type\": \"string\", \"type\": \"null\"}");
    assert_int_equal(json_schema_new_from_file(test_path("a.json"), NULL, &schema, &err),
                     STATUS_FATAL);
    assert_non_null(strstr(err.text, "a.json: line 1"));
}

static void the_embedded_metaschema_is_the_file_beside_the_source(void **state)
{
    (void)state;
    json_t *file = json_load_file(KEEPSTEP_SOURCE_DIR "/schemas/json_schema/draft-07.schema.json",
                                  JSON_LOAD_FLAGS, NULL);
    assert_non_null(file);
    json_t *embedded = parse(json_schema_draft07_text);
    assert_true(json_equal(file, embedded));
    json_decref(embedded);
    json_decref(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(strict_mode_refuses_an_unknown_keyword),
        TEST(a_malformed_keyword_is_refused),
        TEST(the_error_tells_the_path_and_the_reason_but_not_the_value),
        TEST(lengths_are_counted_in_code_points),
        TEST(numbers_are_compared_exactly),
        TEST(a_pattern_that_backtracks_too_much_is_given_up_even_under_not),
        TEST(a_pattern_is_read_as_ecma_262_has_it),
        TEST(a_reference_loop_is_refused),
        TEST(an_instance_that_is_nested_too_deeply_is_rejected),
        TEST(the_flat_check_agrees_with_the_interpreter),
        TEST(a_schema_that_is_not_flat_has_no_table),
        TEST(a_reference_to_a_file_beside_the_schema_resolves),
        TEST(a_reference_over_the_network_is_refused),
        TEST(formats_are_asserted_only_on_demand),
        TEST(a_file_with_a_name_twice_is_refused),
        TEST(the_embedded_metaschema_is_the_file_beside_the_source),
    };
    return TEST_RUN(tests);
}
