/* Each allocation of schemas/ fails in turn. That gives an error, never a crash, a leak or another
 * verdict. */
#include "tests/support/failing_malloc.h"

#include "schemas/change.h"
#include "schemas/config/config.h"
#include "schemas/json_schema/json_schema.h"
#include "schemas/record/write.h"

static const char row[] =
    "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","
    "\"x-keepstep-key\":[\"id\"],\"required\":[\"id\"],\"additionalProperties\":false,"
    "\"definitions\":{\"short\":{\"type\":\"string\",\"pattern\":\"^[a-z]*$\",\"maxLength\":9}},"
    "\"properties\":{\"id\":{\"type\":\"integer\",\"minimum\":1},"
    "\"total\":{\"type\":\"string\",\"x-keepstep-type\":\"decimal\"},"
    "\"note\":{\"$ref\":\"#/definitions/short\",\"type\":\"string\"},"
    "\"kind\":{\"type\":\"string\",\"enum\":[\"a\",\"b\"]},"
    "\"raw\":{\"type\":\"string\",\"x-keepstep-type\":\"bytes\"},"
    "\"at\":{\"type\":\"string\",\"x-keepstep-type\":\"date-time\"},"
    "\"extra\":{\"type\":\"string\",\"x-keepstep-type\":\"json\"}},"
    "\"anyOf\":[{\"required\":[\"total\"]},{\"not\":{\"required\":[\"kind\"]}}]}";

static const char rule[] =
    "{\"definitions\":{\"list\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/definitions/list\"},"
    "\"uniqueItems\":true}},\"properties\":{\"a\":{\"$ref\":\"#/definitions/list\"},"
    "\"b\":{\"pattern\":\"^x+$\",\"format\":\"date\"}},\"patternProperties\":{\"^s\":{\"type\":"
    "\"string\"}},\"dependencies\":{\"a\":[\"b\"]},\"allOf\":[{\"required\":[\"a\"]}],"
    "\"if\":{\"required\":[\"c\"]},\"then\":{\"maxProperties\":4},\"else\":{\"minProperties\":1}}";

/* jansson's scanner asserts when a single byte has no room. So it gets the allocator that does not
 * fail. */
void *__real_malloc(size_t size);

static void spare_jansson(void)
{
    json_set_alloc_funcs(__real_malloc, free);
}

/* Only "later" (RETRY) and "never in this process" (FATAL) are right, and the error has a text. */
static bool is_done(enum status status, const struct error *err)
{
    if (status == STATUS_OK)
        return true;
    if ((status != STATUS_RETRY && status != STATUS_FATAL) || err->text[0] == '\0') {
        (void)failing_malloc_off();
        test_fail("a failed allocation gave %s: %s", status_name(status), err->text);
    }
    return false;
}

static bool load_entity(void *context)
{
    struct entity_schema *schema = NULL;
    struct error err = ERROR_INIT;
    bool done = is_done(entity_schema_new(context, "order", &schema, &err), &err);
    entity_schema_free(schema);
    return done;
}

static void a_schema_is_loaded_whole_or_not_at_all(void **state)
{
    (void)state;
    spare_jansson();
    test_write_file(test_path("order.schema.json"), row);
    assert_true(failing_malloc_each(load_entity, (void *)(uintptr_t)test_directory(), true) > 20);
}

static bool compile_rule(void *context)
{
    struct json_schema *schema = NULL;
    struct error err = ERROR_INIT;
    bool done = is_done(json_schema_new(context, NULL, &schema, &err), &err);
    json_schema_free(schema);
    return done;
}

static void any_json_schema_is_compiled_whole_or_not_at_all(void **state)
{
    (void)state;
    spare_jansson();
    json_t *document = json_loads(rule, JSON_LOAD_FLAGS, NULL);
    assert_non_null(document);
    assert_true(failing_malloc_each(compile_rule, document, true) > 2);
    json_decref(document);
}

static const struct entity_schema *find(void *context, struct slice entity_type)
{
    (void)entity_type;
    return context;
}

static const struct header headers[] = {
    {{"ce_specversion", 14}, {"1.0", 3}}, {{"ce_id", 5}, {"e1", 2}},
    {{"ce_source", 9}, {"shop", 4}},      {{"ce_type", 7}, {"order.updated", 13}},
    {{"ce_protocol", 11}, {"1", 1}},
};

static bool decode(void *context)
{
    static const char value[] =
        "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":42,\"total\":\"1.50\",\"note\":\"n\","
        "\"kind\":\"a\",\"raw\":\"00FF\",\"at\":\"2026-01-01T01:00:00+01:00\",\"extra\":\"[1]\"}}";
    struct record record = {.topic = "order",
                            .key = slice_of("{\"id\":42}"),
                            .value = slice_of(value),
                            .headers = headers,
                            .header_count = sizeof headers / sizeof *headers};
    struct error err = ERROR_INIT;
    struct change change;
    struct arena arena;
    arena_init(&arena, (size_t)1024 * 1024);
    const struct decoder decoder = {{find, context}, &arena, NULL};
    bool done = is_done(record_decode(&record, &decoder, &change, &err), &err);
    if (done && (change.values[0].integer != 42 || !slice_is(change.entity_key, "{\"id\":42}"))) {
        (void)failing_malloc_off();
        test_fail("decoded without an error to something else");
    }
    arena_done(&arena);
    return done;
}

static bool validate(void *context)
{
    struct error err = ERROR_INIT;
    struct slice key = slice_of("{\"id\":1}");
    return is_done(payload_validate(context,
                                    slice_of("{\"op\":\"c\",\"before\":null,\"after\":{\"id\":1,"
                                             "\"total\":\"7\",\"note\":\"abc\"}}"),
                                    key, &err),
                   &err);
}

static void no_event_is_rejected_for_want_of_memory(void **state)
{
    (void)state;
    struct entity_schema *schema = NULL;
    struct error err = ERROR_INIT;
    test_write_file(test_path("order.schema.json"), row);
    spare_jansson();
    assert_int_equal(entity_schema_new(test_directory(), "order", &schema, &err), STATUS_OK);
    assert_true(failing_malloc_each(decode, schema, true) >= 2);
    assert_true(failing_malloc_each(validate, schema, true) >= 2);
    entity_schema_free(schema);
}

static bool load_config(void *context)
{
    static const char *const overrides[] = {"kafka.linger.ms=5", "listen="};
    struct config *config = NULL;
    struct error err = ERROR_INIT;
    bool done = is_done(config_load(context, overrides, 2, &config, &err), &err);
    config_free(config);
    return done;
}

static void a_configuration_is_loaded_whole_or_not_at_all(void **state)
{
    (void)state;
    const char *path = test_path("billing.yaml");
    test_write_file(path, "service: billing\ndatabase: sqlite:billing.db\n"
                          "kafka: {bootstrap.servers: 'kafka:9092'}\n"
                          "publish:\n  invoice: {table: invoices, partitions: 3}\n"
                          "apply:\n  order: {table: orders, start: earliest,\n"
                          "    columns: {total: amount}}\n"
                          "ignore: [noise, more]\nlimits: {batch_events: 7}\n");
    spare_jansson();
    assert_int_equal(setenv("KEEPSTEP_LISTN", "x", 1), 0); /* the warning needs memory too */
    assert_true(failing_malloc_each(load_config, (void *)(uintptr_t)path, true) > 20);
    assert_int_equal(unsetenv("KEEPSTEP_LISTN"), 0);
}

static void a_text_that_cannot_be_read_for_want_of_memory_is_not_called_wrong(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    json_t *json = NULL;
    failing_malloc_at(1); /* jansson's second allocation */
    json = json_loads("{}", JSON_LOAD_FLAGS, NULL);
    assert_true(failing_malloc_off());
    assert_null(json);
    assert_int_equal(error_set(&err, STATUS_REJECT, "not JSON"), STATUS_REJECT);
    assert_int_equal(json_check_memory(STATUS_REJECT, &err), STATUS_RETRY);
    assert_non_null(strstr(err.text, "no memory"));
    error_clear(&err);
    assert_null(json_loads("{", JSON_LOAD_FLAGS, NULL));
    assert_int_equal(json_check_memory(STATUS_REJECT, &err), STATUS_REJECT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* This test comes first: the others spare jansson. */
        TEST(a_text_that_cannot_be_read_for_want_of_memory_is_not_called_wrong),
        TEST(a_schema_is_loaded_whole_or_not_at_all),
        TEST(any_json_schema_is_compiled_whole_or_not_at_all),
        TEST(no_event_is_rejected_for_want_of_memory),
        TEST(a_configuration_is_loaded_whole_or_not_at_all),
    };
    return TEST_RUN(tests);
}
