/* An entity key has exactly one spelling. */
#include "tests/support/test.h"

#include "schemas/change.h"

static void check(const char *row, const char *text, const char *wanted)
{
    struct error err = ERROR_INIT;
    struct entity_schema *schema = NULL;
    struct slice key = {0};
    struct arena arena;
    arena_init(&arena, 65536);
    test_write_file(test_path("thing.schema.json"), row);
    if (entity_schema_new(test_directory(), "thing", &schema, &err) != STATUS_OK)
        test_fail("%s", err.text);
    enum status status = canonical_key(schema, slice_of(text), &arena, &key, &err);
    if (status != (wanted == NULL ? STATUS_REJECT : STATUS_OK) ||
        (wanted != NULL && !slice_is(key, wanted)))
        test_fail("%s: %s %.*s %s", text, status_name(status), SLICE_ARGS(key), err.text);
    entity_schema_free(schema);
    arena_done(&arena);
}

#define INTEGER_ROW                                                                                \
    "{\"x-keepstep-key\":[\"id\"],\"properties\":{\"id\":{\"type\":\"integer\"},"                  \
    "\"n\":{\"type\":\"string\"}}}"
#define TEXT_ROW "{\"x-keepstep-key\":[\"c\"],\"properties\":{\"c\":{\"type\":\"string\"}}}"
#define PAIR_ROW                                                                                   \
    "{\"x-keepstep-key\":[\"b\",\"a\"],\"properties\":{\"b\":{\"type\":\"string\"},"               \
    "\"a\":{\"type\":\"integer\"}}}"

static void a_bare_scalar_becomes_an_object(void **state)
{
    (void)state;
    check(INTEGER_ROW, "42", "{\"id\":42}");
    check(INTEGER_ROW, " { \"id\" : -1 } ", "{\"id\":-1}");
    check(TEXT_ROW, "42", "{\"c\":\"42\"}");
    check(TEXT_ROW, "a b", "{\"c\":\"a b\"}");
    check(TEXT_ROW, "\"q\"", "{\"c\":\"q\"}");
}

static void members_are_sorted_and_escapes_are_shortest(void **state)
{
    (void)state;
    check(PAIR_ROW, "{\"b\":\"\\u00e4\\/\\u000a\\u0001\",\"a\":2}",
          "{\"a\":2,\"b\":\"\xc3\xa4/\\n\\u0001\"}");
}

static void what_is_not_the_key_is_rejected(void **state)
{
    (void)state;
    check(INTEGER_ROW, "x", NULL);
    check(INTEGER_ROW, "", NULL);
    check(INTEGER_ROW, "1.5", NULL);
    check(INTEGER_ROW, "{}", NULL);
    check(INTEGER_ROW, "{\"id\":null}", NULL);
    check(INTEGER_ROW, "{\"id\":1,\"n\":\"x\"}", NULL);
    check(PAIR_ROW, "1", NULL);
    check(PAIR_ROW, "{\"a\":1}", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_bare_scalar_becomes_an_object),
        TEST(members_are_sorted_and_escapes_are_shortest),
        TEST(what_is_not_the_key_is_rejected),
    };
    return TEST_RUN(tests);
}
