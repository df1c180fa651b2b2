/* The flat reader of Debezium's records agrees with the reader of documents, its oracle. */
#include "tests/support/debezium_oracle.h"
#include "tests/support/test.h"

#include "common/buffer.h"

#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define TEXT_SIZE    ((size_t)16 * 1024)

/* How the columns of FLAT_ORACLE_SCHEMA are described. */
static const struct {
    const char *column;
    const char *type;
    const char *name; /* NULL: none */
    const char *parameters;
} fields[] = {
    {"id", "int64", NULL, NULL},
    {"part", "string", NULL, NULL},
    {"kind", "string", "io.debezium.data.Enum", "{\"allowed\":\"new,old\"}"},
    {"note", "string", NULL, NULL},
    {"share", "double", NULL, NULL},
    {"open", "int16", NULL, NULL},
    {"total", "bytes", "org.apache.kafka.connect.data.Decimal", "{\"scale\":\"2\"}"},
    {"raw", "bytes", NULL, NULL},
    {"at", "string", "io.debezium.time.ZonedTimestamp", NULL},
    {"extra", "string", "io.debezium.data.Json", NULL},
    {"day", "int32", "io.debezium.time.Date", NULL},
    {"clock", "int64", "io.debezium.time.MicroTime", NULL},
    {"local", "int64", "io.debezium.time.MicroTimestamp", NULL},
    {"mark", "string", "io.debezium.data.Uuid", NULL},
    {"memo", "string", NULL, NULL},
};

static const char source[] =
    "\"source\":{\"version\":\"3.5.0.Final\",\"snapshot\":\"false\",\"db\":\"shop\","
    "\"sequence\":\"[\\\"24023128\\\",\\\"24023128\\\"]\",\"ts_ns\":1795426920000000000,"
    "\"lsn\":-9223372036854775807,\"xmin\":null,\"share\":1.5e3,\"list\":[1,{},[],[true,false]]}";

static struct entity_schema *schema;
static struct record_form form;
static struct arena arena;
static struct descriptions *descriptions;
static char key_text[TEXT_SIZE];

static void load(void)
{
    struct error err = ERROR_INIT;
    if (schema == NULL) {
        const char *folder = test_directory_shared();
        test_write_file(test_format("%s/flat.schema.json", folder), FLAT_ORACLE_SCHEMA);
        if (entity_schema_new(folder, "flat", &schema, &err) != STATUS_OK)
            test_fail("%s", err.text);
        arena_init(&arena, (size_t)1024 * 1024);
    }
    form = (struct record_form){.format = FORMAT_DEBEZIUM, .schema = schema};
    descriptions_free(descriptions);
    assert_int_equal(descriptions_new(&descriptions, &err), STATUS_OK);
}

static void append_struct(struct buffer *text, size_t count, const char *name, const char *field)
{
    buffer_append_text(text, "{\"type\":\"struct\",\"fields\":[");
    for (size_t i = 0; i < count; i++) {
        buffer_append_format(text, "%s{\"type\":\"%s\",\"optional\":true,", i == 0 ? "" : ",",
                             fields[i].type);
        if (fields[i].name != NULL)
            buffer_append_format(text, "\"name\":\"%s\",\"version\":1,", fields[i].name);
        if (fields[i].parameters != NULL)
            buffer_append_format(text, "\"parameters\":%s,", fields[i].parameters);
        buffer_append_format(text, "\"field\":\"%s\"}", fields[i].column);
    }
    buffer_append_format(text, "],\"optional\":true,\"name\":\"shop.%s\"", name);
    if (field != NULL)
        buffer_append_format(text, ",\"field\":\"%s\"", field);
    buffer_append_text(text, "}");
}

/* Write a value as Kafka Connect does. */
static struct slice described(char *text, const char *payload)
{
    struct buffer value;
    buffer_init(&value, TEXT_SIZE - 1);
    buffer_append_text(&value, "{\"schema\":{\"type\":\"struct\",\"fields\":[");
    append_struct(&value, COUNT(fields), "flat.Value", "before");
    buffer_append_text(&value, ",");
    append_struct(&value, COUNT(fields), "flat.Value", "after");
    buffer_append_text(&value, ",{\"type\":\"string\",\"optional\":false,\"field\":\"op\"}],"
                               "\"optional\":false,\"name\":\"shop.flat.Envelope\"},\"payload\":");
    buffer_append_format(&value, "%s}", payload);
    assert_false(value.failed);
    memcpy(text, buffer_text(&value), value.length + 1);
    struct slice written = {text, value.length};
    buffer_done(&value);
    return written;
}

static struct slice described_key(void)
{
    struct buffer key;
    buffer_init(&key, TEXT_SIZE - 1);
    buffer_append_text(&key, "{\"schema\":");
    append_struct(&key, 2, "flat.Key", NULL);
    buffer_append_text(&key, ",\"payload\":{\"id\":42,\"part\":\"a\"}}");
    assert_false(key.failed);
    memcpy(key_text, buffer_text(&key), key.length + 1);
    buffer_done(&key);
    return slice_of(key_text);
}

/* Read the record, and compare. @return how many of key and value the flat reader took. */
static int taken_of(struct slice key, struct slice value)
{
    int taken = 0;
    const struct record record = {.form = &form, .topic = "flat", .key = key, .value = value};
    arena_reset(&arena);
    const char *difference = debezium_oracle_compare(&record, descriptions, &arena, &taken);
    if (difference != NULL)
        test_fail("%s: %.*s %.*s", difference, SLICE_ARGS(key), SLICE_ARGS(value));
    return taken;
}

static const char *envelope(const char *op, const char *after)
{
    return test_format("{\"before\":null,\"after\":%s,%s,\"transaction\":null,\"op\":\"%s\","
                       "\"ts_ms\":1795426920001}",
                       after, source, op);
}

#define ID "\"id\":42,\"part\":\"a\""

static const char *const rows[] = {
    "{" ID ",\"kind\":\"new\",\"note\":\"n\",\"share\":2.5,\"open\":1,\"total\":\"+x4=\","
    "\"raw\":\"AP8Q\",\"at\":\"2026-01-01T00:00:00Z\",\"extra\":\"[1]\",\"day\":20454,"
    "\"clock\":35999999999,\"local\":-1,\"mark\":\"01942f6e-0000-7000-8000-00000000002a\","
    "\"memo\":\"two\\nlines\"}",
    "{" ID ",\"kind\":null,\"note\":null,\"share\":null,\"open\":true}",
    "{" ID ",\"kind\":\"old\",\"note\":\"__debezium_unavailable_value\",\"total\":"
    "\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\",\"memo\":[\"__debezium_unavailable_value\"]}",
    " { \"kind\" : \"new\" , \"part\" : \"a\" ,\n\"id\" : 42 , \"memo\" : \"_X5\" } ",
};

static void plain_records_are_read_without_a_document_from_the_second_one_on(void **state)
{
    static const char *const ops[] = {"c", "u", "r", "d"};
    char text[TEXT_SIZE];
    (void)state;
    load();
    assert_int_equal(taken_of(described_key(), described(text, envelope("c", rows[0]))), 0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (size_t op = 0; op < COUNT(ops); op++) {
            const char *payload = envelope(ops[op], rows[i]);
            if (taken_of(described_key(), described(text, payload)) != 2)
                test_fail("not taken: %s", payload);
        }
    }
    assert_int_equal(taken_of(described_key(), described(text, envelope("d", "null"))), 2);
}

static void records_without_a_schema_are_read_without_a_document_too(void **state)
{
    static const char *const bare[] = {
        "{\"after\":{" ID ",\"kind\":\"new\",\"open\":0,\"day\":1,\"total\":\"1.50\"},"
        "\"op\":\"c\"}",
        "{\"op\":\"u\",\"after\":{" ID ",\"total\":{\"scale\":2,\"value\":\"+x4=\"}}}",
        "{\"op\":\"d\",\"before\":{" ID "},\"after\":null,\"payload\":7}",
        "{\"op\":\"c\",\"after\":{" ID ",\"kind\":\"new\",\"at\":\"2026-01-01T01:00:00+01:00\"},"
        "\"source\":{\"note\":\"\\u0001\\u0000\"}}",
    };
    struct slice key = slice_of("{" ID "}");
    (void)state;
    load();
    assert_int_equal(taken_of(key, slice_of(bare[0])), 0);
    for (size_t i = 0; i < COUNT(bare); i++) {
        if (taken_of(key, slice_of(bare[i])) != 2)
            test_fail("not taken: %s", bare[i]);
    }
}

/* The key is plain, the value is not. */
static void what_is_not_plain_is_left_to_the_reader_of_documents(void **state)
{
    static const char *const left[] = {
        "null",
        "{}",
        "[]",
        "{\"op\":\"c\"}",
        "{\"op\":\"x\",\"after\":{" ID ",\"kind\":null}}",
        "{\"op\":\"t\"}",
        "{\"op\":1,\"after\":{" ID ",\"kind\":null}}",
        "{\"op\":\"c\",\"after\":null}",
        "{\"op\":\"c\",\"after\":{" ID "}}",
        "{\"op\":\"c\",\"after\":{" ID ",\"kind\":null},\"op\":\"u\"}",
        "{\"op\":\"c\",\"after\":{" ID ",\"kind\":null},\"after\":null}",
        "{\"op\":\"u\",\"after\":{" ID ",\"id\":42}}",
        "{\"op\":\"u\",\"after\":{" ID ",\"memo\":\"__debezium_unavailable_value\",\"memo\":\"\"}}",
        "{\"op\":\"u\",\"after\":{\"id\":43,\"part\":\"a\"}}",
        "{\"op\":\"u\",\"after\":{\"part\":\"a\"}}",
        "{\"op\":\"u\",\"after\":{" ID ",\"colour\":1}}",
        "{\"op\":\"u\",\"after\":{" ID ",\"total\":\"gAAAAAA=\"}}",
        "{\"op\":\"u\",\"after\":{" ID ",\"total\":1.5}}",
        "{\"op\":\"u\",\"after\":{" ID ",\"clock\":86400000000}}",
        "{\"op\":\"u\",\"after\":{" ID ",\"open\":2}}",
        "{\"op\":\"u\",\"after\":{" ID ",\"share\":2.6}}",
        "{\"op\":\"u\",\"after\":{" ID ",\"raw\":\"A\"}}",
        "{\"op\":\"u\",\"after\":{" ID "},\"source\":{\"a\":1,\"a\":1}}",
        "{\"op\":\"u\",\"after\":{" ID "},\"source\":{\"\\u0061\":1}}",
        "{\"op\":\"u\",\"after\":{" ID "},\"source\":{\"a\":01}}",
        "{\"op\":\"u\",\"after\":{" ID "},\"source\":{\"a\":9223372036854775808}}",
        "{\"op\":\"u\",\"after\":{" ID "},\"source\":{\"a\":1e999}}",
        "{\"op\":\"u\",\"after\":{" ID "},\"source\":{\"a\":\"\\ud83d\\ude80\"}}",
        "{\"op\":\"u\",\"after\":{" ID "},\"source\":{\"a\":\"\\ud83d\"}}",
        "{\"op\":\"u\",\"after\":{" ID "},\"source\":{\"a\":\"\xff\"}}",
        "{\"op\":\"u\",\"after\":{" ID "},\"source\":{\"a\":nul}}",
        "{\"op\":\"u\",\"after\":{" ID "},\"source\":[1,]}",
        "{\"op\":\"u\",\"after\":{" ID "},\"source\":"
        "[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]}",
        "{\"op\":\"u\",\"after\":{" ID "}},\"more\":1",
        "{\"op\":\"u\",\"after\":{" ID "}} }",
        "{\"op\":\"u\",\"after\":{" ID "}",
    };
    char text[TEXT_SIZE];
    (void)state;
    load();
    (void)taken_of(described_key(), described(text, envelope("c", rows[0])));
    for (size_t i = 0; i < COUNT(left); i++) {
        if (taken_of(described_key(), described(text, left[i])) != 1)
            test_fail("taken: %s", left[i]);
    }
}

/* Without its schema such a record looks bare, and its times have another unit. */
static void a_description_in_another_place_is_not_missed(void **state)
{
    static const char described_late[] =
        "{\"op\":\"u\",\"after\":{" ID ",\"day\":1767225600000},\"schema\":{\"fields\":[{\"field\":"
        "\"after\",\"fields\":[{\"field\":\"day\",\"type\":\"int64\","
        "\"name\":\"io.debezium.time.Timestamp\"}]}]}}";
    static const char turned_around[] = "{\"payload\":{\"op\":\"u\",\"after\":{" ID
                                        ",\"day\":20454}},\"schema\":{}}";
    struct slice key = slice_of("{" ID "}");
    (void)state;
    load();
    (void)taken_of(key, slice_of("{\"op\":\"u\",\"after\":{" ID "}}"));
    assert_int_equal(taken_of(key, slice_of("{\"op\":\"u\",\"after\":{" ID "}}")), 2);
    assert_int_equal(taken_of(key, slice_of(described_late)), 1);
    assert_int_equal(taken_of(key, slice_of(turned_around)), 1);
}

static void another_description_replaces_the_one_that_was_remembered(void **state)
{
    static const char millis[] =
        "{\"schema\":{\"fields\":[{\"field\":\"after\",\"fields\":[{\"field\":\"day\",\"type\":"
        "\"int64\",\"name\":\"io.debezium.time.Timestamp\"}]}]},\"payload\":{\"op\":\"u\","
        "\"after\":{" ID ",\"day\":1767225600000}}}";
    char text[TEXT_SIZE];
    struct slice days = described(text, envelope("c", rows[0]));
    struct slice bare = slice_of("{\"op\":\"u\",\"after\":{" ID ",\"day\":20454}}");
    const struct slice turns[] = {days, slice_of(millis), bare, slice_of(millis), days};
    (void)state;
    load();
    (void)taken_of(described_key(), (struct slice){"", 0});
    for (size_t i = 0; i < COUNT(turns); i++) {
        assert_int_equal(taken_of(described_key(), turns[i]), 1);
        assert_int_equal(taken_of(described_key(), turns[i]), 2);
    }
}

/* Each topic has its own form. */
static void each_topic_has_descriptions_of_its_own(void **state)
{
    char text[TEXT_SIZE];
    int taken = 0;
    (void)state;
    load();
    const struct record_form other = form;
    struct record record = {.form = &other,
                            .topic = "other",
                            .key = slice_of("{" ID "}"),
                            .value = slice_of("{\"op\":\"u\",\"after\":{" ID "}}")};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(taken_of(described_key(), described(text, envelope("c", rows[0]))), 2 * i);
        assert_null(debezium_oracle_compare(&record, descriptions, &arena, &taken));
        assert_int_equal(taken, 2 * i);
    }
}

static void a_key_that_needs_a_conversion_is_left_to_the_reader_of_documents(void **state)
{
    static const char *const keys[] = {
        "{\"id\":42,\"part\":\"__debezium_unavailable_value\"}",
        "{\"part\":\"a\",\"id\":42}",
        "{\"id\":42, \"part\":\"a\"}",
        "{\"id\":42}",
        "42",
        "{\"schema\":{},\"payload\":{\"id\":42,\"part\":\"a\"}",
        "{\"schema\":{},\"payload\":{\"id\":42,\"part\":\"a\"}}}",
        "{\"schema\":{},\"payload\":{\"id\":42,\"part\":\"a\"}} ",
        "{\"schema\":{},\"payload\":",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(keys); i++) {
        load();
        (void)taken_of(slice_of("{" ID "}"), slice_of("{}"));
        if (taken_of(slice_of(keys[i]), slice_of("{}")) != 0)
            test_fail("taken: %s", keys[i]);
        (void)taken_of(slice_of("{\"schema\":{},\"payload\":{" ID "}}"), slice_of("{}"));
        if (taken_of(slice_of(keys[i]), slice_of("{}")) != 0)
            test_fail("taken: %s", keys[i]);
    }
}

static void one_changed_byte_anywhere_never_makes_the_readers_differ(void **state)
{
    static const char other[] = "\"\\{}[]:,0-.eEtn \n\x01\x7f\x80\xff";
    char text[TEXT_SIZE];
    struct slice key = described_key();
    (void)state;
    load();
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct slice value = described(text, envelope("u", rows[i]));
        const char *payload = strstr(text, "\"payload\"");
        assert_non_null(payload);
        /* The description is long, and much in it is alike. */
        for (size_t at = 0; at < value.length; at += text + at < payload || i > 0 ? 13 : 1) {
            char kept = text[at];
            for (size_t j = 0; j < sizeof other; j++) { /* with its NUL */
                text[at] = other[j];
                (void)taken_of(key, value);
            }
            text[at] = kept;
            (void)taken_of(key, (struct slice){text, at});
            (void)taken_of(key, value);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(plain_records_are_read_without_a_document_from_the_second_one_on),
        TEST(records_without_a_schema_are_read_without_a_document_too),
        TEST(what_is_not_plain_is_left_to_the_reader_of_documents),
        TEST(a_description_in_another_place_is_not_missed),
        TEST(another_description_replaces_the_one_that_was_remembered),
        TEST(each_topic_has_descriptions_of_its_own),
        TEST(a_key_that_needs_a_conversion_is_left_to_the_reader_of_documents),
        TEST_WITH_LIMIT(one_changed_byte_anywhere_never_makes_the_readers_differ, 120),
    };
    int failed = TEST_RUN(tests);
    descriptions_free(descriptions);
    entity_schema_free(schema);
    arena_done(&arena);
    return failed;
}
