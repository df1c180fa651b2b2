/* The rows of a scan are read to the values that jansson reads, and whatever cannot be read is a
 * value without a canonical form. */
#include "common/buffer.h"
#include "tests/support/scan_oracle.h"
#include "tests/support/test.h"

#include <stdio.h>

#define KEY            "{\"id\":42,\"part\":\"a\"}"
#define COLUMNS        16
#define IMAGE_SIZE_MAX ((size_t)64 * 1024)
#define COUNT(array)   (sizeof(array) / sizeof *(array))

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
    assert_int_equal(schema->column_count, COLUMNS);
}

static void write_image(const char *const values[COLUMNS], struct buffer *image)
{
    buffer_init(image, IMAGE_SIZE_MAX);
    for (size_t i = 0; i < COLUMNS; i++) {
        buffer_append_text(image, i == 0 ? "{" : ",");
        buffer_append_json(image, slice_of(schema->columns[i].name));
        buffer_append_format(image, ":%s", values[i]);
    }
    buffer_append_text(image, "}");
}

/* @return how many columns had no canonical form. */
static size_t unfit_of(struct slice key, struct slice image)
{
    size_t unfit = 0;
    load();
    arena_reset(&arena);
    const char *difference = scan_oracle_compare(schema, (struct row_texts){key, image}, &arena,
                                                 &unfit);
    if (difference != NULL)
        test_fail("%s: %.*s %.*s", difference, SLICE_ARGS(key), SLICE_ARGS(image));
    return unfit;
}

static const struct value *read_image(struct slice image)
{
    struct error err = ERROR_INIT;
    struct scanned_row row;
    load();
    arena_reset(&arena);
    if (row_scan_read(schema, (struct row_texts){slice_of(KEY), image}, &arena, &row, &err) !=
        STATUS_OK)
        test_fail("%s", err.text);
    return row.values;
}

static const char *const right[COLUMNS][6] = {
    {"42", "0", "-7", "9223372036854775807", "-9223372036854775808", "null"},
    {"\"a\"", "\"\"", "\"longer than the schema allows\"", "null"},
    {"\"new\"", "\"no word of the enumeration\"", "null"},
    {"\"\"", "\"\\u00e9\\n\"", "\"\\u001f\"", "\"\xf0\x9f\x9a\x80\"", "\"\\u0000\"", "null"},
    {"-1.5e-3", "3", "1e+22", "18446744073709551616", "-0.0", "null"},
    {"true", "false", "null"},
    {"\"-12.50\"", "\"123456789.123456789\"", "\"0\"", "null"},
    {"\"00fF\"", "\"\"", "null"},
    {"\"2026-01-01T00:00:00.000000Z\"", "\"2026-01-01T01:00:00+01:00\"", "null"},
    {"\"[1]\"", "\"{\\\"a\\\": 1}\"", "\"null\"", "null"},
    {"\"2026-11-23\"", "\"0001-01-01\"", "null"},
    {"\"09:42:00.500000\"", "\"09:42:00\"", "null"},
    {"\"2026-11-23T09:42:00.000000\"", "\"2026-11-23 09:42:00\"", "null"},
    {"\"01942f6e-0000-7000-8000-00000000002a\"", "null"},
    {"\"\"", "\"}\"", "\",\"", "\"\\\\\"", "\"\\\"\"", "null"},
    {"\"x\"", "\"\\/\"", "null"},
};

static const char *const wrong[COLUMNS][6] = {
    {"1.5", "\"1\"", "true", "9223372036854775808", "", "01"},
    {"1", "true", "\"\xff\"", "\"\t\"", "\"\\ud800\"", "x"},
    {"1", "false", "\"new\"x", "\"new\" \"old\""},
    {"1", "\"\xc0\xaf\""},
    {"\"NaN\"", "\"Infinity\"", "1e999", "true", "1.", "-"},
    {"2", "\"yes\"", "\"true\"", "0"},
    {"\"1e5\"", "\"NaN\"", "12.5", "\"\"", "\"01\"", "\".5\""},
    {"\"0\"", "\"0g\"", "1"},
    {"\"infinity\"", "\"2026-02-30T00:00:00Z\"", "\"2026-11-23\"", "1"},
    {"\"[1\"", "\"\"", "[1]x", "1"},
    {"\"0000-00-00\"", "\"2026-02-30\"", "\"beyond the years 1 to 9999\""},
    {"\"24:00:00\"", "\"-00:00:01.000000\"", "\"838:59:59.000000\""},
    {"\"0000-00-00T00:00:00.000000\"", "\"2026-11-23T09:42:00.0000001\""},
    {"\"01942F6E-0000-7000-8000-00000000002A\"", "\"{}\""},
    {"1", "true"},
    {"1", "null "},
};

static void each_value_of_each_type_is_read_as_jansson_does(void **state)
{
    (void)state;
    load();
    for (size_t column = 0; column < COLUMNS; column++) {
        for (size_t i = 0; i < COUNT(right[column]) && right[column][i] != NULL; i++) {
            const char *values[COLUMNS];
            struct buffer image;
            for (size_t j = 0; j < COLUMNS; j++)
                values[j] = right[j][0];
            values[column] = right[column][i];
            write_image(values, &image);
            if (unfit_of(slice_of(KEY), buffer_slice(&image)) != 0)
                test_fail("unfit: %s", buffer_text(&image));
            buffer_done(&image);
        }
    }
}

static void a_value_without_canonical_form_leaves_the_other_columns_as_they_are(void **state)
{
    (void)state;
    load();
    for (size_t column = 0; column < COLUMNS; column++) {
        for (size_t i = 0; i < COUNT(wrong[column]) && wrong[column][i] != NULL; i++) {
            const char *values[COLUMNS];
            struct buffer image;
            for (size_t j = 0; j < COLUMNS; j++)
                values[j] = right[j][0];
            values[column] = wrong[column][i];
            write_image(values, &image);
            size_t unfit = unfit_of(slice_of(KEY), buffer_slice(&image));
            const struct value *value = &read_image(buffer_slice(&image))[column];
            bool is_null = strcmp(wrong[column][i], "null ") == 0; /* blanks do not count */
            if (unfit != !is_null || (value->kind == VALUE_UNFIT) == is_null ||
                (!is_null && !slice_is(value->text, wrong[column][i])))
                test_fail("%zu unfit: %s", unfit, buffer_text(&image));
            buffer_done(&image);
        }
    }
}

static void a_key_without_canonical_form_is_left_as_it_was_written(void **state)
{
    static const char *const keys[][2] = {
        {"{\"id\":42,\"part\":\"a\"}", NULL},
        {"{\"part\":\"a\",\"id\":42}", "{\"id\":42,\"part\":\"a\"}"},
        {"{\"id\":42,\"part\":\"\\u001F\"}", "{\"id\":42,\"part\":\"\\u001f\"}"},
        {"{\"id\":1.5,\"part\":\"a\"}", NULL},
        {"{\"id\":null,\"part\":\"a\"}", NULL},
        {"{\"id\":42,\"part\":\"\xff\"}", NULL},
        {"", NULL},
    };
    struct error err = ERROR_INIT;
    struct scanned_row row;
    (void)state;
    load();
    for (size_t i = 0; i < COUNT(keys); i++) {
        const char *expected = keys[i][1] == NULL ? keys[i][0] : keys[i][1];
        arena_reset(&arena);
        assert_int_equal(row_scan_read(schema,
                                       (struct row_texts){slice_of(keys[i][0]), slice_of("{}")},
                                       &arena, &row, &err),
                         STATUS_OK);
        if (!slice_is(row.key, expected))
            test_fail("%s became %.*s", keys[i][0], SLICE_ARGS(row.key));
    }
    assert_int_equal(row_scan_read(schema, (struct row_texts){0}, &arena, &row, &err), STATUS_OK);
    assert_int_equal(row.key.length, 0);
    assert_non_null(row.key.data);
}

/* MariaDB writes NULL where a row is larger than a packet. */
static void a_row_that_was_not_written_is_unfit_in_every_column(void **state)
{
    static const char *const images[] = {"",     "{}", "null", "{\"id\":1", "{\"part\":\"a\"}",
                                         "\"x\""};
    (void)state;
    for (size_t i = 0; i <= COUNT(images); i++) {
        const char *image = i == COUNT(images) ? NULL : images[i];
        const struct value *values = read_image(slice_of(image));
        for (size_t column = 0; column < COLUMNS; column++)
            assert_int_equal(values[column].kind, VALUE_UNFIT);
        assert_true(image == NULL || slice_is(values[0].text, image));
    }
}

static void one_changed_byte_anywhere_never_makes_the_readers_differ(void **state)
{
    static const char other[] = "\"\\{}[]:,0-.eEtn \n\x01\x7f\x80\xc3\xff";
    (void)state;
    load();
    for (size_t i = 0; i < COUNT(right[0]); i++) {
        const char *values[COLUMNS];
        struct buffer image;
        for (size_t j = 0; j < COLUMNS; j++)
            values[j] = right[j][right[j][i] == NULL ? 0 : i];
        write_image(values, &image);
        for (size_t at = 0; at < image.length; at++) {
            char was = image.data[at];
            for (size_t j = 0; j < sizeof other; j++) { /* with its NUL */
                image.data[at] = other[j];
                (void)unfit_of(slice_of(KEY), buffer_slice(&image));
            }
            image.data[at] = was;
            (void)unfit_of(slice_of(KEY), (struct slice){image.data, at});
        }
        buffer_done(&image);
    }
}

static void a_full_arena_is_an_error_and_no_unfit_value(void **state)
{
    struct error err = ERROR_INIT;
    struct arena small;
    struct scanned_row row;
    (void)state;
    load();
    arena_init(&small, 256);
    assert_int_equal(row_scan_read(schema, (struct row_texts){slice_of(KEY), slice_of("{}")},
                                   &small, &row, &err),
                     STATUS_RETRY);
    assert_string_equal(err.text, "no memory for a row of \"flat\"");
    arena_done(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_value_of_each_type_is_read_as_jansson_does),
        TEST(a_value_without_canonical_form_leaves_the_other_columns_as_they_are),
        TEST(a_key_without_canonical_form_is_left_as_it_was_written),
        TEST(a_row_that_was_not_written_is_unfit_in_every_column),
        TEST(one_changed_byte_anywhere_never_makes_the_readers_differ),
        TEST(a_full_arena_is_an_error_and_no_unfit_value),
    };
    return TEST_RUN(tests);
}
