/* The contract of a store's scan about keys and tables: which rows it finds, and which tables it
 * refuses. */
#include "tests/support/store_scan.h"

#include "common/text_pair.h"

#include <sysexits.h>

#define MANY 3000

/* Keys of each type that may be one, and of two columns. */
static const struct {
    enum column_type type;
    const char *keys[5]; /* the last two have no row */
    const char *wires[3];
} key_types[] = {
    {COLUMN_INTEGER,
     {"{\"id\":-9223372036854775808}", "{\"id\":0}", "{\"id\":9223372036854775807}", "{\"id\":1}"},
     {"-9223372036854775808", "0", "9223372036854775807"}},
    {COLUMN_DECIMAL,
     {"{\"id\":\"-1.50\"}", "{\"id\":\"0.00\"}", "{\"id\":\"99999999999999.99\"}",
      "{\"id\":\"1.00\"}"},
     {"-1.50", "0.00", "99999999999999.99"}},
    {COLUMN_TEXT,
     {"{\"id\":\"\"}", "{\"id\":\"a\\\"b\\\\c\\u0001\xc3\xa9\"}", "{\"id\":\"A \"}",
      "{\"id\":\"a \"}", "{\"id\":\"A\\u0000\"}"},
     {"", "a\"b\\c\x01\xc3\xa9", "A "}},
    {COLUMN_BYTES,
     {"{\"id\":\"\"}", "{\"id\":\"00FF\"}", "{\"id\":\"5C78\"}", "{\"id\":\"FF\"}"},
     {"", "00FF", "5C78"}},
    {COLUMN_DATE_TIME,
     {"{\"id\":\"1970-01-01T00:00:01.000000Z\"}", "{\"id\":\"2026-11-23T09:42:00.123456Z\"}",
      "{\"id\":\"9999-12-31T23:59:59.999999Z\"}", "{\"id\":\"2026-11-23T09:42:00.123457Z\"}"},
     {"1970-01-01T00:00:01.000000Z", "2026-11-23T09:42:00.123456Z", "9999-12-31T23:59:59.999999Z"}},
    {COLUMN_DATE,
     {"{\"id\":\"1969-12-31\"}", "{\"id\":\"2024-02-29\"}", "{\"id\":\"9999-12-31\"}",
      "{\"id\":\"0000-01-01\"}"},
     {"1969-12-31", "2024-02-29", "9999-12-31"}},
    {COLUMN_TIME,
     {"{\"id\":\"00:00:00.000000\"}", "{\"id\":\"23:59:59.999999\"}",
      "{\"id\":\"09:42:00.123456\"}", "{\"id\":\"09:42:00.000000\"}"},
     {"00:00:00.000000", "23:59:59.999999", "09:42:00.123456"}},
    {COLUMN_TIMESTAMP,
     {"{\"id\":\"1970-01-01T00:00:00.000000\"}", "{\"id\":\"2026-03-29T02:30:00.000001\"}",
      "{\"id\":\"9999-12-31T23:59:59.999999\"}", "{\"id\":\"2026-03-29T02:30:00.000000\"}"},
     {"1970-01-01T00:00:00.000000", "2026-03-29T02:30:00.000001", "9999-12-31T23:59:59.999999"}},
    {COLUMN_UUID,
     {"{\"id\":\"01942f6e-0000-7000-8000-00000000002a\"}",
      "{\"id\":\"00000000-0000-0000-0000-000000000000\"}",
      "{\"id\":\"ffffffff-ffff-ffff-ffff-ffffffffffff\"}",
      "{\"id\":\"01942f6e-0000-7000-8000-00000000002b\"}"},
     {"01942f6e-0000-7000-8000-00000000002a", "00000000-0000-0000-0000-000000000000",
      "ffffffff-ffff-ffff-ffff-ffffffffffff"}},
};

static void drop_typed(void)
{
    if (store_case_back_end->text != NULL)
        (void)scan_ask("DROP TABLE typed");
}

static void rows_are_found_by_keys_of_each_type(void)
{
    static char names[2][8] = {"id", "v"};
    static struct scan_rows rows;
    for (size_t i = 0; i < sizeof key_types / sizeof key_types[0]; i++) {
        struct scan_table table;
        struct slice keys[5];
        bool is_decimal = key_types[i].type == COLUMN_DECIMAL;
        const struct column columns[] = {{.name = names[0],
                                          .type = key_types[i].type,
                                          .is_key = true,
                                          .length_max = 20,
                                          .precision = is_decimal ? 16 : 0,
                                          .scale = is_decimal ? 2 : 0},
                                         {.name = names[1], .type = COLUMN_INTEGER}};
        scan_table_init(&table, columns, 2, 1);
        store_case_prepare(&table.mapping);
        store_case_begin();
        for (int row = 0; row < 3; row++)
            scan_write(&table,
                       (struct value[]){scan_value(key_types[i].type, key_types[i].wires[row]),
                                        {.kind = VALUE_INTEGER, .integer = row}});
        store_case_commit();
        size_t count = 0;
        for (; count < 5 && key_types[i].keys[count] != NULL; count++)
            keys[count] = slice_of(key_types[i].keys[count]);
        scan_begin();
        assert_ok(scan_rows(&table.mapping, NULL, 0, &rows));
        assert_int_equal(rows.count, 3);
        for (int row = 0; row < 3; row++)
            assert_int_equal(rows.values[scan_find(&rows, key_types[i].keys[row])][1].integer, row);
        assert_ok(scan_rows(&table.mapping, &keys[1], count - 1, &rows));
        if (rows.count != 2)
            test_fail("%s: %zu rows", column_type_name(key_types[i].type), rows.count);
        (void)scan_find(&rows, key_types[i].keys[1]);
        (void)scan_find(&rows, key_types[i].keys[2]);
        scan_end();
        drop_typed();
        if (scan_is_database("memory:"))
            break; /* it has no tables, so that all these rows would be of one */
    }
}

static enum status count_row(void *context, const struct scanned_row *row, struct error *err)
{
    (void)row, (void)err;
    ++*(size_t *)context;
    return STATUS_OK;
}

static void many_rows_are_found_by_keys_of_two_columns(void)
{
    static char names[3][8] = {"a", "b", "v"};
    static struct slice keys[MANY];
    const struct column columns[] = {
        {.name = names[0], .type = COLUMN_INTEGER, .is_key = true},
        {.name = names[1], .type = COLUMN_TEXT, .is_key = true, .length_max = 20},
        {.name = names[2], .type = COLUMN_INTEGER, .nullable = true}};
    struct scan_table table;
    size_t found = 0;
    if (scan_is_database("memory:"))
        return; /* the model compares each row with each key */
    scan_table_init(&table, columns, 3, 2);
    store_case_prepare(&table.mapping);
    store_case_begin();
    for (int i = 0; i < MANY; i++) {
        keys[i] = slice_of(test_format("{\"a\":%d,\"b\":\"k%d\"}", i % 7, i));
        scan_write(&table,
                   (struct value[]){{.kind = VALUE_INTEGER, .integer = i % 7},
                                    {.kind = VALUE_TEXT, .text = slice_of(test_format("k%d", i))},
                                    {.kind = VALUE_INTEGER, .integer = i}});
    }
    store_case_commit();
    keys[MANY - 1] = slice_of("{\"a\":0,\"b\":\"K1\"}");
    keys[MANY - 2] = slice_of("{\"a\":1,\"b\":\"k0\"}");
    scan_begin();
    const struct store_scan wanted = {.mapping = &table.mapping,
                                      .keys = keys,
                                      .count = MANY,
                                      .visit = count_row,
                                      .context = &found};
    assert_ok(scan_visit_all(&wanted));
    assert_int_equal(found, MANY - 2);
    scan_end();
}

/* What a table may be like. */
static void refused(const struct mapping *mapping, const char *name)
{
    static struct scan_rows rows;
    scan_begin();
    assert_int_equal(scan_rows(mapping, NULL, 0, &rows), STATUS_FATAL);
    assert_int_equal(store_case_err.exit_code, EX_CONFIG);
    if (strstr(store_case_err.text, name) == NULL)
        test_fail("\"%s\" does not name %s", store_case_err.text, name);
    error_clear(&store_case_err);
    scan_end();
}

static void what_is_not_there_or_has_another_type_is_refused_by_its_name(void)
{
    static char names[4][8] = {"id", "name", "price", "note"};
    struct column columns[4] = {{.name = names[0], .type = COLUMN_INTEGER, .is_key = true},
                                {.name = names[1], .type = COLUMN_TEXT, .nullable = true},
                                {.name = names[2], .type = COLUMN_DECIMAL, .nullable = true},
                                {.name = names[3], .type = COLUMN_TEXT, .nullable = true}};
    static char orders[] = "orders";
    static char nowhere[] = "nowhere";
    struct scan_table table;
    scan_table_init(&table, columns, 4, 1);
    table.entry.table = orders;
    refused(&table.mapping, "note");
    table.entry.table = nowhere;
    refused(&table.mapping, "nowhere");
    columns[1].type = COLUMN_DOUBLE;
    scan_table_init(&table, columns, 3, 1);
    table.entry.table = orders;
    refused(&table.mapping, "name");
}

static void columns_that_the_mapping_lacks_do_not_matter(void)
{
    static struct scan_rows rows;
    store_case_begin();
    assert_ok(store_case_apply(CHANGE_CREATE, 1, "one", "1"));
    store_case_commit();
    (void)scan_ask("ALTER TABLE orders ADD COLUMN more int NOT NULL DEFAULT 0");
    scan_begin();
    assert_ok(scan_rows(&store_case_mapping, NULL, 0, &rows));
    assert_int_equal(rows.count, 1);
    assert_true(slice_is(rows.values[0][1].text, "one"));
    scan_end();
}

static void renamed_columns_are_read_under_their_own_names(void)
{
    static char names[2][8] = {"id", "v"};
    const struct column columns[] = {{.name = names[0], .type = COLUMN_INTEGER, .is_key = true},
                                     {.name = names[1], .type = COLUMN_TEXT, .nullable = true}};
    struct text_pair renamed[] = {{"id", "the id\"`"}, {"v", "Order"}};
    static struct scan_rows rows;
    struct scan_table table;
    const struct slice key = slice_of("{\"id\":2}");
    scan_table_init(&table, columns, 2, 1);
    table.entry.columns = renamed;
    table.entry.column_count = 2;
    store_case_prepare(&table.mapping);
    store_case_begin();
    for (int i = 1; i < 4; i++)
        scan_write(&table,
                   (struct value[]){{.kind = VALUE_INTEGER, .integer = i},
                                    {.kind = VALUE_TEXT, .text = slice_of(test_format("v%d", i))}});
    store_case_commit();
    scan_begin();
    assert_ok(scan_rows(&table.mapping, NULL, 0, &rows));
    assert_int_equal(rows.count, 3);
    assert_true(slice_is(rows.values[scan_find(&rows, "{\"id\":3}")][1].text, "v3"));
    assert_ok(scan_rows(&table.mapping, &key, 1, &rows));
    assert_int_equal(rows.count, 1);
    assert_true(slice_is(rows.values[0][1].text, "v2"));
    scan_end();
}

static void a_text_key_is_found_in_a_column_of_another_type(void)
{
    static char names[2][8] = {"id", "v"};
    const struct column columns[] = {{.name = names[0], .type = COLUMN_TEXT, .is_key = true},
                                     {.name = names[1], .type = COLUMN_INTEGER, .nullable = true}};
    static struct scan_rows rows;
    struct scan_table table;
    const struct slice keys[] = {slice_of("{\"id\":\"01942f6e-0000-7000-8000-00000000002a\"}"),
                                 slice_of("{\"id\":\"no uuid\"}")};
    if (!scan_is_database("postgresql:"))
        return;
    (void)scan_ask("CREATE TABLE typed(id uuid PRIMARY KEY, v bigint);"
                   "INSERT INTO typed VALUES ('01942f6e-0000-7000-8000-00000000002A', 1)");
    scan_table_init(&table, columns, 2, 1);
    store_case_prepare(&table.mapping);
    scan_begin();
    assert_ok(scan_rows(&table.mapping, keys, 2, &rows));
    assert_int_equal(rows.count, 1);
    scan_end();
}

static void a_table_of_another_schema_is_read(void)
{
    static char names[2][8] = {"id", "v"};
    static char elsewhere[] = "else where.typed";
    const struct column columns[] = {{.name = names[0], .type = COLUMN_INTEGER, .is_key = true},
                                     {.name = names[1], .type = COLUMN_INTEGER, .nullable = true}};
    static struct scan_rows rows;
    struct scan_table table;
    const struct slice key = slice_of("{\"id\":2}");
    if (!scan_is_database("postgresql:"))
        return;
    (void)scan_ask("CREATE SCHEMA \"else where\"");
    scan_table_init(&table, columns, 2, 1);
    table.entry.table = elsewhere;
    store_case_prepare(&table.mapping);
    (void)scan_ask("INSERT INTO \"else where\".typed VALUES (1, 1), (2, 2)");
    scan_begin();
    assert_ok(scan_rows(&table.mapping, NULL, 0, &rows));
    assert_int_equal(rows.count, 2);
    assert_ok(scan_rows(&table.mapping, &key, 1, &rows));
    assert_int_equal(rows.count, 1);
    scan_end();
}

/* A key that cannot be read is handed on as it was written, and found by that. */
static void a_key_without_a_canonical_form_is_found_as_it_was_written(void)
{
    static char names[2][8] = {"id", "v"};
    const struct column columns[] = {{.name = names[0], .type = COLUMN_UUID, .is_key = true},
                                     {.name = names[1], .type = COLUMN_INTEGER, .nullable = true}};
    static struct scan_rows rows;
    struct scan_table table;
    if (!scan_is_database("sqlite:"))
        return;
    scan_table_init(&table, columns, 2, 1);
    store_case_prepare(&table.mapping);
    (void)scan_ask("INSERT INTO typed VALUES ('no uuid', 1), (x'ff', 2), "
                   "('01942f6e-0000-7000-8000-00000000002a', 3)");
    scan_begin();
    assert_ok(scan_rows(&table.mapping, NULL, 0, &rows));
    assert_int_equal(rows.count, 3);
    const struct slice keys[] = {rows.keys[0], rows.keys[1], rows.keys[2]};
    assert_ok(scan_rows(&table.mapping, keys, 3, &rows));
    assert_int_equal(rows.count, 3);
    assert_int_equal(rows.values[scan_find(&rows, "{\"id\":\"no uuid\"}")][1].integer, 1);
    scan_end();
}

int main(void)
{
    static struct store_case cases[] = {
        STORE_CASE(rows_are_found_by_keys_of_each_type),
        STORE_CASE(many_rows_are_found_by_keys_of_two_columns),
        STORE_CASE_OF_SQL(what_is_not_there_or_has_another_type_is_refused_by_its_name),
        STORE_CASE_OF_SQL(columns_that_the_mapping_lacks_do_not_matter),
        STORE_CASE(renamed_columns_are_read_under_their_own_names),
        STORE_CASE_OF_SERVERS(a_text_key_is_found_in_a_column_of_another_type),
        STORE_CASE_OF_SERVERS(a_table_of_another_schema_is_read),
        STORE_CASE_OF_SQL(a_key_without_a_canonical_form_is_found_as_it_was_written),
    };
    return store_case_run(cases, sizeof cases / sizeof cases[0]);
}
