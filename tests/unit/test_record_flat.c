/* The flat reader of keys and values agrees with jansson, its oracle. */
#include "tests/support/flat_oracle.h"
#include "tests/support/test.h"

#include <stdio.h>

#define KEY "{\"id\":42,\"part\":\"a\"}"

static struct entity_schema *schema;
static struct arena arena;

static void load(void)
{
    if (schema != NULL)
        return;
    struct error err = ERROR_INIT;
    const char *folder = test_directory_shared();
    test_write_file(test_format("%s/flat.schema.json", folder), FLAT_ORACLE_SCHEMA);
    if (entity_schema_new(folder, "flat", &schema, &err) != STATUS_OK)
        test_fail("%s", err.text);
    arena_init(&arena, (size_t)1024 * 1024);
}

static int taken_of(struct slice key, struct slice payload)
{
    int taken = 0;
    load();
    arena_reset(&arena);
    const char *difference = flat_oracle_compare(schema, key, payload, &arena, &taken);
    if (difference != NULL)
        test_fail("%s: %.*s %.*s", difference, SLICE_ARGS(key), SLICE_ARGS(payload));
    return taken;
}

static const char *const taken_payloads[] = {
    "{\"op\":\"c\",\"before\":null,\"after\":{\"id\":42,\"part\":\"a\",\"kind\":\"new\"}}",
    " { \"after\" : { \"kind\" : null , \"part\" : \"a\" ,\n\"id\" : 42 } ,\t\"op\" : \"r\" }\r\n",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\",\"note\":\"\\\"\\\\\\/\\b\\f\\n\"}}",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\",\"note\":\"\xc3\xa9\xe2\x82\xac"
    "\xf0\x9f\x9a\x80\\t\"}}",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\",\"note\":null,\"share\":-1.5e-3,"
    "\"open\":true,\"total\":\"-12.50\",\"raw\":\"00fF\"}}",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\",\"share\":2.5,\"open\":false,"
    "\"at\":\"2026-01-01T01:00:00+01:00\",\"extra\":\"[1]\",\"day\":\"2026-11-23\","
    "\"clock\":\"09:42:00.5\",\"local\":\"2026-11-23 09:42:00\","
    "\"mark\":\"01942f6e-0000-7000-8000-00000000002a\"}}",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\",\"at\":\"2026-01-01T01:00:00.123456Z\","
    "\"clock\":\"09:42:00.123456\",\"local\":\"2026-11-23T09:42:00.123456\",\"raw\":\"\"}}",
    "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":42,\"part\":\"a\",\"memo\":\"to be left at "
    "the door\","
    "\"a\\\"b\\u0007\":\"\"}}",
    "{\"op\":\"u\",\"before\":null,\"after\":{\"id\" :42,\"part\": \"a\",\"memo\":\"\" } } ",
};

static const char *const left_payloads[] = {
    "",
    "null",
    "{}",
    "{\"op\":\"d\",\"before\":null,\"after\":null}",
    "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":42,\"part\":\"a\"},\"op\":\"u\"}",
    "{\"op\":\"u\",\"before\":null,\"after\":{\"part\":\"a\"}}",
    "{\"op\":\"c\",\"after\":{\"id\":42,\"part\":\"a\"}}",
    "{\"op\":\"u\",\"after\":{\"id\":43,\"part\":\"a\"}}",
    "{\"op\":\"u\",\"after\":{\"id\":42}}",
    "{\"op\":\"u\",\"before\":{},\"after\":{\"id\":42,\"part\":\"a\"}}",
    "{\"op\":\"u\",\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\"}}",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\",\"part\":\"a\"}}",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\"},\"more\":1}",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\",\"colour\":1}}",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\",\"note\":\"\\u20ac\"}}",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\",\"note\":\"\xed\xa0\x80\"}}",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\",\"note\":\"\xc0\xaf\"}}",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\",\"note\":\"\xf4\x90\x80\x80\"}}",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\",\"note\":\"a\tb\"}}",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\",\"note\":\"\"}}",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\",\"note\":\"1234567\"}}",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\",\"kind\":\"other\"}}",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\",\"open\":null}}",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\",\"open\":1}}",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\",\"share\":2.6}}",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\",\"share\":1e999}}",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\",\"share\":1.}}",
    "{\"op\":\"u\",\"after\":{\"id\":042,\"part\":\"a\"}}",
    "{\"op\":\"u\",\"after\":{\"id\":42.0,\"part\":\"a\"}}",
    "{\"op\":\"u\",\"after\":{\"id\":9223372036854775808,\"part\":\"a\"}}",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\"}} x",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\",}}",
    "{\"op\":\"u\",\"after\":{\"id\":42,\"part\":\"a\"}",
};

static void flat_rows_are_read_without_jansson_and_to_the_same_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof taken_payloads / sizeof *taken_payloads; i++) {
        if (taken_of(slice_of(KEY), slice_of(taken_payloads[i])) != 2)
            test_fail("not taken: %s", taken_payloads[i]);
    }
}

static void whatever_is_not_plainly_right_is_left_to_jansson(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof left_payloads / sizeof *left_payloads; i++) {
        if (taken_of(slice_of(KEY), slice_of(left_payloads[i])) != 1)
            test_fail("taken: %s", left_payloads[i]);
    }
}

static void only_a_canonical_key_is_taken_as_it_is(void **state)
{
    static const char *const taken[] = {"{\"id\":-7,\"part\":\"\"}", "{\"id\":0,\"part\":\"abcd\"}",
                                        "{\"id\":1,\"part\":\"\xc3\xa9\"}"};
    static const char *const left[] = {
        "7",
        "{\"id\":7}",
        "{\"part\":\"a\",\"id\":7}",
        "{\"id\": 7,\"part\":\"a\"}",
        "{\"id\":-0,\"part\":\"a\"}",
        "{\"id\":07,\"part\":\"a\"}",
        "{\"id\":7,\"part\":\"\\/\"}",
        "{\"id\":7,\"part\":\"abcde\"}",
        "{\"id\":7,\"part\":\"a\"} ",
        "{\"id\":7,\"part\":null}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        assert_int_equal(taken_of(slice_of(taken[i]), slice_of("")), 1);
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        assert_int_equal(taken_of(slice_of(left[i]), slice_of("")), 0);
}

/* The text a\"b is escaped as a\\\"b. A comparison byte by byte could take it for the text a"b. */
static void a_text_is_not_taken_for_the_escaped_form_of_another(void **state)
{
    static const char key[] = "{\"id\":42,\"part\":\"a\\\"b\"}";
    (void)state;
    assert_int_equal(taken_of(slice_of(key), slice_of("{\"op\":\"u\",\"after\":{\"id\":42,"
                                                      "\"part\":\"a\\\\\\\"b\"}}")),
                     0);
    assert_int_equal(taken_of(slice_of(key), slice_of("{\"op\":\"u\",\"after\":{\"id\":42,"
                                                      "\"part\":\"a\\\"b\"}}")),
                     1);
}

static void one_changed_byte_anywhere_never_makes_the_readers_differ(void **state)
{
    static const char other[] = "\"\\{}[]:,0-.eEtn \n\x01\x7f\x80\xc3\xff";
    char text[512];
    (void)state;
    for (size_t i = 0; i < sizeof taken_payloads / sizeof *taken_payloads; i++) {
        struct slice payload = slice_of(taken_payloads[i]);
        assert_true(payload.length < sizeof text);
        for (size_t at = 0; at < payload.length; at++) {
            for (size_t j = 0; j < sizeof other; j++) { /* with its NUL */
                memcpy(text, payload.data, payload.length);
                text[at] = other[j];
                (void)taken_of(slice_of(KEY), (struct slice){text, payload.length});
            }
            (void)taken_of(slice_of(KEY), (struct slice){payload.data, at});
        }
    }
}

/* The words of eight bytes begin anywhere, and end with the text or beyond it. */
static void any_byte_at_any_place_of_a_text_is_read_as_jansson_does(void **state)
{
    static const char before[] =
        "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":42,\"part\":\"a\","
        "\"memo\":\"";
    char text[256];
    (void)state;
    for (size_t length = 1; length <= 20; length++) {
        size_t start = sizeof before - 1;
        memcpy(text, before, start);
        memset(text + start, '~', length);
        memcpy(text + start + length, "\"}}", 3);
        for (size_t at = 0; at < length; at++) {
            for (int byte = 0; byte < 256; byte++) {
                text[start + at] = (char)byte;
                int taken = taken_of(slice_of(KEY), (struct slice){text, start + length + 3});
                bool is_plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
                assert_int_equal(taken, is_plain ? 2 : 1);
            }
            text[start + at] = '~';
        }
    }
}

static const char *const right_members[] = {
    "\"id\":42",
    "\"part\" : \"a\"",
    "\"kind\":\"old\"",
    "\"note\":\"\xc3\xa9\"",
    "\"share\":-0",
    "\"open\":true",
    "\"total\":\"100.00\"",
    "\"raw\":\"0a\"",
    "\"at\":\"2024-02-29T23:59:59.123456z\"",
    "\"extra\":\"{}\"",
    "\"day\":\"2026-11-23\"",
    "\"clock\":\"09:42:00.123456\"",
    "\"local\":\"2026-11-23t09:42:00.123456\"",
    "\"mark\":\"01942f6e-0000-7000-8000-00000000002a\"",
    "\"memo\":\"two\\nlines\"",
    "\"a\\\"b\\u0007\":\"\"",
};

static const char *const wrong_members[] = {
    "\"id\":41",       "\"kind\":\"older\"",
    "\"note\":null",   "\"share\":3",
    "\"open\":null",   "\"total\":\"1000.00\"",
    "\"raw\":\"0\"",   "\"at\":\"2023-02-29T23:59:59.123456Z\"",
    "\"extra\":\"{\"", "\"local\":\"2026-11-23T09:42:00.1234567\"",
    "\"other\":1",
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Columns are left out, doubled, replaced by others, or wrong. */
static void rows_of_random_members_are_read_as_jansson_does(void **state)
{
    uint64_t random = 88172645463325252;
    int taken_count = 0;
    (void)state;
    for (int round = 0; round < 50000; round++) {
        char text[1024];
        int length = snprintf(text, sizeof text,
                              "{\"op\":\"%c\",\"before\":null,\"after\":", "cur"[round % 3]);
        for (size_t i = 0; i < COUNT(right_members); i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            const char *member = right_members[i];
            if (i > 1 && random % 4 == 0)
                continue;
            if (random % 41 == 0)
                member = wrong_members[random / 41 % COUNT(wrong_members)];
            else if (random % 43 == 0)
                member = right_members[random / 43 % COUNT(right_members)];
            length += snprintf(text + length, sizeof text - (size_t)length, "%c%s",
                               i == 0 ? '{' : ',', member);
        }
        (void)snprintf(text + length, sizeof text - (size_t)length, "}}");
        taken_count += taken_of(slice_of(KEY), slice_of(text)) == 2;
    }
    assert_in_range(taken_count, 5000, 45000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(flat_rows_are_read_without_jansson_and_to_the_same_values),
        TEST(whatever_is_not_plainly_right_is_left_to_jansson),
        TEST(only_a_canonical_key_is_taken_as_it_is),
        TEST(a_text_is_not_taken_for_the_escaped_form_of_another),
        TEST(one_changed_byte_anywhere_never_makes_the_readers_differ),
        TEST(any_byte_at_any_place_of_a_text_is_read_as_jansson_does),
        TEST(rows_of_random_members_are_read_as_jansson_does),
    };
    int failed = TEST_RUN(tests);
    entity_schema_free(schema);
    arena_done(&arena);
    return failed;
}
