/* Digests of rows are what docs/PROTOCOL.md says of them, whatever wrote the row. */
#include "schemas/row_digest.h"
#include "common/buffer.h"
#include "common/digest.h"
#include "schemas/row_scan.h"
#include "tests/support/flat_oracle.h"
#include "tests/support/test.h"

#define KEY            "{\"id\":42,\"part\":\"a\"}"
#define IMAGE_SIZE_MAX ((size_t)64 * 1024)
#define COUNT(array)   (sizeof(array) / sizeof *(array))

static struct entity_schema *schema;
static struct arena arena;
static struct row_columns all;

static struct entity_schema *load_schema(const char *text)
{
    struct entity_schema *loaded = NULL;
    struct error err = ERROR_INIT;
    const char *folder = test_directory_shared();
    test_write_file(test_format("%s/flat.schema.json", folder), text);
    if (entity_schema_new(folder, "flat", &loaded, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return loaded;
}

static void load(void)
{
    struct error err = ERROR_INIT;
    if (schema != NULL)
        return;
    schema = load_schema(FLAT_ORACLE_SCHEMA);
    arena_init(&arena, (size_t)1024 * 1024);
    assert_int_equal(row_columns_find(schema, schema, &all, &err), STATUS_OK);
}

/** What stands in one column; every other one is NULL, but those of the key. */
struct one {
    const char *column;
    const char *json;
};

static const struct value *read_row(const struct one *given, size_t count)
{
    struct error err = ERROR_INIT;
    struct scanned_row row;
    struct buffer image;
    load();
    arena_reset(&arena);
    buffer_init(&image, IMAGE_SIZE_MAX);
    for (size_t i = 0; i < schema->column_count; i++) {
        const char *name = schema->columns[i].name;
        const char *json = strcmp(name, "id") == 0     ? "42"
                           : strcmp(name, "part") == 0 ? "\"a\""
                                                       : "null";
        for (size_t j = 0; j < count; j++)
            json = strcmp(name, given[j].column) == 0 ? given[j].json : json;
        buffer_append_text(&image, i == 0 ? "{" : ",");
        buffer_append_json(&image, slice_of(name));
        buffer_append_format(&image, ":%s", json);
    }
    buffer_append_text(&image, "}");
    struct slice copy = arena_copy(&arena, buffer_slice(&image));
    buffer_done(&image);
    if (row_scan_read(schema, (struct row_texts){slice_of(KEY), copy}, &arena, &row, &err) !=
        STATUS_OK)
        test_fail("%s", err.text);
    return row.values;
}

static uint64_t digest_of(const struct one *given, size_t count)
{
    const struct value *values = read_row(given, count);
    return row_digest(row_key_digest(slice_of(KEY)), schema, &all, values);
}

static uint64_t digest_one(const char *column, const char *json)
{
    return digest_of(&(struct one){column, json}, 1);
}

/* The expected digests are those of the Python package xxhash 4.1.0, of bytes that were put
 * together from the words of PROTOCOL.md. */
static void digests_are_those_of_the_protocol(void **state)
{
    static const struct one full[] = {
        {"kind", "\"new\""},
        {"note", "\"\xc3\xa9\\n\""},
        {"share", "-1.5e-3"},
        {"open", "true"},
        {"total", "\"-12.50\""},
        {"raw", "\"00fF\""},
        {"at", "\"2026-01-01T00:00:00.000000Z\""},
        {"extra", "\"[1]\""},
        {"day", "\"2026-11-23\""},
        {"clock", "\"09:42:00.500000\""},
        {"local", "\"2026-11-23T09:42:00.000000\""},
        {"mark", "\"01942f6e-0000-7000-8000-00000000002a\""},
        {"memo", "\"\""},
        {"a\"b\x07", "\"x\""},
    };
    (void)state;
    assert_true(row_key_digest(slice_of(KEY)) == 0x106e0026bae50af1);
    assert_int_equal(row_bucket(row_key_digest(slice_of(KEY))), 2801);
    assert_true(digest_of(full, COUNT(full)) == 0x9550f4b3ee0b743a);
    assert_true(digest_of(NULL, 0) == 0x722c81b391f5b9f4);
    assert_true(digest_one("share", "0.0") == 0x7db955ae123308d8);
    assert_true(digest_one("share", "-0.0") == 0x34b2794581b22915);
    assert_true(digest_one("share", "\"NaN\"") == 0x08b89b0aaea9655e);
    assert_true(digest_one("total", "\"0\"") == 0xbb012d757b921cc7);
    assert_true(digest_one("memo", "\"A\"") == 0xf2b09773641c4e2a);
    assert_true(digest_one("memo", "\"a\"") == 0xbbfca63a082bf56c);
}

/* More than xxhash takes at once. */
static void a_long_row_is_digested_in_pieces(void **state)
{
    char text[1024] = "\"";
    (void)state;
    memset(text + 1, 'y', 1000);
    text[1001] = '"';
    assert_true(digest_one("memo", text) == 0xf9cc2ca95ba8bade);
}

static void absent_is_not_null(void **state)
{
    struct value values[ENTITY_COLUMNS_MAX];
    (void)state;
    const struct value *nulls = read_row(NULL, 0);
    int share = entity_schema_find(schema, slice_of("share"));
    memcpy(values, nulls, schema->column_count * sizeof *values);
    values[share].kind = VALUE_ABSENT;
    assert_true(row_digest(row_key_digest(slice_of(KEY)), schema, &all, values) ==
                0xa921dea68c1d1423);
}

static void equal_values_have_equal_digests(void **state)
{
    static const char *const groups[][6] = {
        {"total", "\"0\"", "\"0.0\"", "\"0.00\"", "\"-0\"", "\"-0.00\""},
        {"total", "\"12.5\"", "\"12.50\"", "\"12.5000\""},
        {"total", "\"100\"", "\"100.0\""},
        {"share", "1", "1.0", "1e0", "10e-1"},
        {"share", "0.1", "0.10000000000000001", "0.1000000000000000055511151231257827"},
        {"raw", "\"00fF\"", "\"00FF\""},
        {"at", "\"2026-01-01T00:00:00.000000Z\"", "\"2026-01-01T01:00:00+01:00\""},
        {"note", "\"\\u00e9\"", "\"\xc3\xa9\""},
        {"memo", "\"\\u001F/\"", "\"\\u001f\\/\""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(groups); i++) {
        uint64_t first = digest_one(groups[i][0], groups[i][1]);
        for (size_t j = 2; j < COUNT(groups[i]) && groups[i][j] != NULL; j++) {
            if (digest_one(groups[i][0], groups[i][j]) != first)
                test_fail("%s: %s is not %s", groups[i][0], groups[i][j], groups[i][1]);
        }
    }
}

static const struct one values_that_differ[] = {
    {"memo", "null"},
    {"memo", "\"a\""},
    {"memo", "\"A\""},
    {"memo", "\"a \""},
    {"memo", "\"\""},
    {"memo", "\"null\""},
    {"memo", "\"\\u0000\""},
    {"memo", "\"e\xcc\x81\""},
    {"memo", "\"\xc3\xa9\""},
    {"memo", "1"},
    {"note", "\"a\""},
    {"extra", "\"1\""},
    {"extra", "\"1.0\""},
    {"extra", "\" 1\""},
    {"total", "\"1\""},
    {"total", "\"-1\""},
    {"total", "\"10\""},
    {"total", "\"1.01\""},
    {"total", "\"01\""},
    {"share", "0.0"},
    {"share", "-0.0"},
    {"share", "5e-324"},
    {"share", "\"Infinity\""},
    {"share", "\"-Infinity\""},
    {"open", "true"},
    {"open", "false"},
    {"open", "1"},
    {"raw", "\"00\""},
    {"raw", "\"\""},
    {"raw", "\"0000\""},
    {"at", "\"2026-01-01T00:00:00.000000Z\""},
    {"at", "\"2026-01-01T00:00:00.000001Z\""},
    {"local", "\"2026-01-01T00:00:00.000000\""},
    {"day", "\"2026-01-01\""},
    {"clock", "\"00:00:00.000000\""},
    {"clock", "\"24:00:00.000000\""},
};

static void different_values_have_different_digests(void **state)
{
    uint64_t digests[COUNT(values_that_differ)];
    (void)state;
    for (size_t i = 0; i < COUNT(values_that_differ); i++) {
        const struct one *one = &values_that_differ[i];
        digests[i] = digest_one(one->column, one->json);
        for (size_t j = 0; j < i; j++) {
            if (digests[i] == digests[j])
                test_fail("%s %s is %s %s", one->column, one->json, values_that_differ[j].column,
                          values_that_differ[j].json);
        }
    }
}

/* A text cannot move from one column to the next. */
static void what_stands_in_another_column_is_another_row(void **state)
{
    static const struct one rows[][2] = {{{"memo", "\"ab\""}, {"note", "\"\""}},
                                         {{"memo", "\"a\""}, {"note", "\"b\""}},
                                         {{"memo", "\"\""}, {"note", "\"ab\""}}};
    (void)state;
    assert_true(digest_of(rows[0], 2) != digest_of(rows[1], 2));
    assert_true(digest_of(rows[1], 2) != digest_of(rows[2], 2));
    assert_true(digest_of(rows[0], 2) != digest_of(rows[2], 2));
}

static void equal_rows_of_two_entities_have_different_digests(void **state)
{
    (void)state;
    const struct value *values = read_row(NULL, 0);
    assert_true(row_digest(row_key_digest(slice_of("{\"id\":1}")), schema, &all, values) !=
                row_digest(row_key_digest(slice_of("{\"id\":2}")), schema, &all, values));
}

static void sums_do_not_know_the_order_of_rows_and_do_not_cancel_equal_ones(void **state)
{
    static struct row_sums one, other, none;
    (void)state;
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t key = digest_64((struct slice){(const char *)&i, sizeof i});
        row_sums_add(&one, key, key * 31);
    }
    for (uint64_t i = 1000; i-- > 0;) {
        uint64_t key = digest_64((struct slice){(const char *)&i, sizeof i});
        row_sums_add(&other, key, key * 31);
    }
    assert_memory_equal(&one, &other, sizeof one);
    row_sums_add(&one, 7, UINT64_MAX);
    row_sums_add(&one, 7, UINT64_MAX);
    assert_true(one.rows == 1002);
    assert_true(one.sums[7] - other.sums[7] == UINT64_MAX - 1);
    assert_memory_not_equal(&one, &none, sizeof one);
}

/* A copy may have the columns in another order, and more of them. */
static void only_the_columns_of_the_reference_are_digested(void **state)
{
    static const char fewer[] =
        "{\"type\":\"object\",\"x-keepstep-key\":[\"part\",\"id\"],\"properties\":{"
        "\"memo\":{\"type\":\"string\"},\"part\":{\"type\":\"string\",\"maxLength\":4},"
        "\"id\":{\"type\":\"integer\"}}}";
    struct error err = ERROR_INIT;
    struct row_columns some, own;
    struct scanned_row row;
    const struct row_texts texts = {slice_of(KEY),
                                    slice_of("{\"memo\":\"\",\"part\":\"a\",\"id\":42}")};
    (void)state;
    const struct value *values = read_row(&(struct one){"memo", "\"\""}, 1);
    struct entity_schema *reference = load_schema(fewer);
    assert_int_equal(row_columns_find(schema, reference, &some, &err), STATUS_OK);
    uint64_t digest = row_digest(row_key_digest(slice_of(KEY)), schema, &some, values);
    assert_true(digest == 0x602cd8bc49a0e9fa);
    assert_int_equal(row_columns_find(reference, reference, &own, &err), STATUS_OK);
    assert_int_equal(row_scan_read(reference, texts, &arena, &row, &err), STATUS_OK);
    assert_true(row_digest(row_key_digest(row.key), reference, &own, row.values) == digest);
    assert_int_equal(row_columns_find(reference, schema, &own, &err), STATUS_REJECT);
    assert_string_equal(err.text, "the schema of \"flat\" has no column \"kind\"");
    entity_schema_free(reference);
}

static void a_column_of_another_type_is_named(void **state)
{
    static const char other[] = "{\"type\":\"object\",\"x-keepstep-key\":[\"id\"],\"properties\":{"
                                "\"id\":{\"type\":\"string\"}}}";
    struct error err = ERROR_INIT;
    struct row_columns columns;
    (void)state;
    load();
    struct entity_schema *reference = load_schema(other);
    assert_int_equal(row_columns_find(schema, reference, &columns, &err), STATUS_REJECT);
    assert_string_equal(err.text, "column \"id\" of \"flat\" has type integer, not text");
    entity_schema_free(reference);
}

static uint64_t columns_of(const char *id_type, const char *order)
{
    static const char *const columns[] = {
        "\"a\":{\"type\":\"string\",\"x-keepstep-type\":\"text\"}",
        "\"b\":{\"type\":\"string\",\"x-keepstep-type\":\"text\"}"};
    struct entity_schema *loaded = load_schema(test_format(
        "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","
        "\"x-keepstep-key\":[\"id\"],\"properties\":{\"id\":{\"type\":\"%s\","
        "\"x-keepstep-type\":\"%s\"},%s%s%s}}",
        strcmp(id_type, "integer") == 0 ? "integer" : "string", id_type, columns[order[0] - 'a'],
        order[1] == '\0' ? "" : ",", order[1] == '\0' ? "" : columns[order[1] - 'a']));
    uint64_t digest = row_columns_digest(loaded);
    entity_schema_free(loaded);
    return digest;
}

static void columns_are_told_apart_by_names_and_types_but_not_by_their_order(void **state)
{
    (void)state;
    assert_int_equal(columns_of("integer", "ab"), columns_of("integer", "ba"));
    assert_int_not_equal(columns_of("integer", "ab"), columns_of("integer", "a"));
    assert_int_not_equal(columns_of("integer", "a"), columns_of("integer", "b"));
    assert_int_not_equal(columns_of("integer", "a"), columns_of("text", "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(digests_are_those_of_the_protocol),
        TEST(a_long_row_is_digested_in_pieces),
        TEST(absent_is_not_null),
        TEST(equal_values_have_equal_digests),
        TEST(different_values_have_different_digests),
        TEST(what_stands_in_another_column_is_another_row),
        TEST(equal_rows_of_two_entities_have_different_digests),
        TEST(sums_do_not_know_the_order_of_rows_and_do_not_cancel_equal_ones),
        TEST(only_the_columns_of_the_reference_are_digested),
        TEST(a_column_of_another_type_is_named),
        TEST(columns_are_told_apart_by_names_and_types_but_not_by_their_order),
    };
    return TEST_RUN(tests);
}
