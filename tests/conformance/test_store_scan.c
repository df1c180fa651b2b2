/* The contract of a store's scan about values: what each type gives, and what no event can bring.
 */
#include "tests/support/store_scan.h"

/* Each type, with values of which each database keeps all. */
static const struct {
    enum column_type type;
    char name[8];
    const char *wires[5];
} types[] = {
    {COLUMN_INTEGER, "c_int", {"0", "-1", "9223372036854775807", "-9223372036854775808", "42"}},
    {COLUMN_DECIMAL,
     "c_dec",
     {"0", "-12.5", "99999999999999999999999999999999999", "0.000000000000000000000000000001",
      "1.5"}},
    {COLUMN_DOUBLE,
     "c_dbl",
     {"0", "0.1", "1.7976931348623157e308", "4.9406564584124654e-324", "-1e21"}},
    {COLUMN_TEXT, "c_text", {"", " ", "O'Brien \"x\" \\ %", "a\tb\nc\x01", "\xf0\x9f\x98\x80"}},
    {COLUMN_BYTES, "c_bytes", {"", "00", "00FF80", "5C7835", "DEADBEEF00"}},
    {COLUMN_BOOLEAN, "c_bool", {"0", "1", "0", "1", "1"}},
    {COLUMN_DATE_TIME,
     "c_when",
     {"1970-01-01T00:00:01.000000Z", "1969-12-31T23:59:59.999999Z", "2026-11-23T09:42:00.123456Z",
      "1000-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"}},
    {COLUMN_JSON,
     "c_json",
     {"{}", "{\"b\":1, \"a\":[1.50,null]}", "\"x\"", "null", "{\"a\":1,\"a\":2}"}},
    {COLUMN_DATE, "c_date", {"1970-01-01", "1969-12-31", "2024-02-29", "1000-01-01", "9999-12-31"}},
    {COLUMN_TIME,
     "c_time",
     {"00:00:00.000000", "23:59:59.999999", "09:42:00.123456", "12:00:00.000001",
      "01:00:00.100000"}},
    {COLUMN_TIMESTAMP,
     "c_stamp",
     {"1970-01-01T00:00:00.000000", "1969-12-31T23:59:59.999999", "2026-03-29T02:30:00.000001",
      "1000-01-01T00:00:00.000000", "9999-12-31T23:59:59.999999"}},
    {COLUMN_UUID,
     "c_uuid",
     {"01942f6e-0000-7000-8000-00000000002a", "00000000-0000-0000-0000-000000000000",
      "ffffffff-ffff-ffff-ffff-ffffffffffff", "01942f6e-0000-7000-8000-00000000002b",
      "01942f6e-0000-7000-8000-00000000002c"}},
};

enum { TYPES = sizeof types / sizeof types[0], WIRES = 5 };

/* A database may add zeros to the end of a decimal's fraction. */
static bool is_same_decimal(struct slice read, struct slice written)
{
    return read.length >= written.length && memcmp(read.data, written.data, written.length) == 0 &&
           strspn(read.data + written.length, ".0") == read.length - written.length;
}

static bool is_same(enum column_type type, const struct value *read, const struct value *written)
{
    if (read->kind != written->kind)
        return false;
    if (read->kind == VALUE_INTEGER)
        return read->integer == written->integer;
    if (read->kind == VALUE_DOUBLE)
        return memcmp(&read->number, &written->number, sizeof read->number) == 0;
    if (read->kind == VALUE_BOOLEAN)
        return read->boolean == written->boolean;
    if (read->kind != VALUE_TEXT)
        return true;
    return type == COLUMN_DECIMAL ? is_same_decimal(read->text, written->text)
                                  : slice_equal(read->text, written->text);
}

static void typed_table(struct scan_table *table)
{
    static char names[TYPES + 1][8] = {"id"};
    struct column columns[TYPES + 1] = {{.name = names[0], .type = COLUMN_INTEGER, .is_key = true}};
    for (size_t i = 0; i < TYPES; i++) {
        memcpy(names[i + 1], types[i].name, sizeof names[i + 1]);
        columns[i + 1] = (struct column){
            .name = names[i + 1], .type = types[i].type, .nullable = true};
    }
    scan_table_init(table, columns, TYPES + 1, 1);
}

/* Rows 0 to 4 have a value in each column, row 5 has NULL, and row 6 was given no value at all. */
static void write_typed(const struct scan_table *table, struct value written[WIRES + 2][TYPES + 1])
{
    store_case_begin();
    for (int row = 0; row < WIRES + 2; row++) {
        written[row][0] = (struct value){.kind = VALUE_INTEGER, .integer = row};
        for (size_t i = 0; i < TYPES; i++)
            written[row][i + 1] = row < WIRES ? scan_value(types[i].type, types[i].wires[row])
                                              : (struct value){.kind = row == WIRES ? VALUE_NULL
                                                                                    : VALUE_ABSENT};
        scan_write(table, written[row]);
        for (size_t i = 0; row > WIRES && i < TYPES; i++)
            written[row][i + 1] = (struct value){.kind = VALUE_NULL};
    }
    store_case_commit();
}

static void assert_typed(const struct scan_table *table, const struct scan_rows *rows, int row,
                         const struct value *written)
{
    size_t found = scan_find(rows, test_format("{\"id\":%d}", row));
    for (size_t i = 0; i <= TYPES; i++) {
        const struct value *read = &rows->values[found][i];
        if (!is_same(table->columns[i].type, read, &written[i]))
            test_fail("row %d, column %s came back as kind %d: %.*s", row, table->columns[i].name,
                      read->kind, SLICE_ARGS(read->kind >= VALUE_TEXT ? read->text : slice_of("")));
    }
}

static void rows_come_back_as_they_were_written_whole_and_by_key(void)
{
    static struct value written[WIRES + 2][TYPES + 1];
    static struct scan_rows rows;
    struct scan_table table;
    const struct slice keys[] = {slice_of("{\"id\":2}"), slice_of("{\"id\":6}"),
                                 slice_of("{\"id\":77}")};
    typed_table(&table);
    store_case_prepare(&table.mapping);
    write_typed(&table, written);
    scan_begin();
    assert_ok(scan_rows(&table.mapping, NULL, 0, &rows));
    assert_int_equal(rows.count, WIRES + 2);
    for (int row = 0; row < WIRES + 2; row++)
        assert_typed(&table, &rows, row, written[row]);
    assert_ok(scan_rows(&table.mapping, keys, 3, &rows));
    assert_int_equal(rows.count, 2);
    assert_typed(&table, &rows, 2, written[2]);
    assert_typed(&table, &rows, 6, written[6]);
    assert_ok(scan_rows(&table.mapping, keys, 0, &rows));
    assert_int_equal(rows.count, 0);
    scan_end();
}

/* Values that no event can bring, written by hand. */
static const struct {
    const char *url;
    const char *column;
    const char *sql;
} odd[] = {
    {"sqlite:", "c_int", "'abc'"},
    {"sqlite:", "c_int", "x'ff'"},
    {"sqlite:", "c_int", "1.5"},
    {"sqlite:", "c_dec", "'12a'"},
    {"sqlite:", "c_dbl", "9e999"},
    {"sqlite:", "c_dbl", "-9e999"},
    {"sqlite:", "c_dbl", "'abc'"},
    {"sqlite:", "c_dbl", "x'00'"},
    {"sqlite:", "c_text", "x'ff00fe'"},
    {"sqlite:", "c_bool", "2"},
    {"sqlite:", "c_bool", "'yes'"},
    {"sqlite:", "c_when", "'yesterday'"},
    {"sqlite:", "c_when", "x'ff'"},
    {"sqlite:", "c_json", "'{'"},
    {"sqlite:", "c_date", "'0000-00-00'"},
    {"sqlite:", "c_time", "'25:00'"},
    {"sqlite:", "c_stamp", "''"},
    {"sqlite:", "c_uuid", "'no uuid'"},
    {"postgresql:", "c_dec", "'NaN'"},
    {"postgresql:", "c_dec", "'Infinity'"},
    {"postgresql:", "c_dbl", "'NaN'"},
    {"postgresql:", "c_dbl", "'-Infinity'"},
    {"postgresql:", "c_when", "'infinity'"},
    {"postgresql:", "c_when", "'-infinity'"},
    {"postgresql:", "c_when", "'0044-03-14 12:00 BC'"},
    {"postgresql:", "c_when", "'10000-01-01 00:00 UTC'"},
    {"postgresql:", "c_when", "'0044-03-15 12:00 BC'"},
    {"postgresql:", "c_when", "'294000-01-01'"},
    {"postgresql:", "c_date", "'-infinity'"},
    {"postgresql:", "c_date", "'infinity'"},
    {"postgresql:", "c_date", "'10000-01-01'"},
    {"postgresql:", "c_date", "'5874897-12-31'"},
    {"postgresql:", "c_date", "'0044-03-14 BC'"},
    {"postgresql:", "c_date", "'0044-03-15 BC'"},
    {"postgresql:", "c_time", "'24:00:00'"},
    {"postgresql:", "c_stamp", "'infinity'"},
    {"postgresql:", "c_stamp", "'-infinity'"},
    {"postgresql:", "c_stamp", "'10000-01-01'"},
    {"postgresql:", "c_stamp", "'10000-01-01 00:00:00.000001'"},
    {"postgresql:", "c_stamp", "'0044-03-14 12:00 BC'"},
    {"postgresql:", "c_stamp", "'0044-03-15 12:00 BC'"},
    {"mysql:", "c_bool", "2"},
    {"mysql:", "c_bool", "3"},
    {"mysql:", "c_when", "'0000-00-00'"},
    {"mysql:", "c_date", "'0000-00-00'"},
    {"mysql:", "c_date", "'2026-00-00'"},
    {"mysql:", "c_date", "'2026-01-00'"},
    {"mysql:", "c_time", "'-838:59:59'"},
    {"mysql:", "c_time", "'99:00:00'"},
    {"mysql:", "c_stamp", "'0000-00-00'"},
    {"mysql:", "c_stamp", "'2026-01-00 12:00'"},
};

static void write_odd(const char *column, const char *value)
{
    const char *before = scan_is_database("sqlite:")  ? "PRAGMA ignore_check_constraints = ON;"
                         : scan_is_database("mysql:") ? "SET SESSION sql_mode = '';"
                                                      : "";
    (void)scan_ask(test_format("%sUPDATE typed SET %s = %s WHERE id = 1", before, column, value));
}

static void a_value_without_a_canonical_form_is_handed_on_and_is_no_error(void)
{
    static struct value written[WIRES + 2][TYPES + 1];
    static struct scan_rows rows;
    struct scan_table table;
    typed_table(&table);
    store_case_prepare(&table.mapping);
    write_typed(&table, written);
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        if (!scan_is_database(odd[i].url))
            continue;
        int index = entity_schema_find(&table.schema, slice_of(odd[i].column));
        write_odd(odd[i].column, odd[i].sql);
        scan_begin();
        assert_ok(scan_rows(&table.mapping, NULL, 0, &rows));
        scan_end();
        size_t row = scan_find(&rows, "{\"id\":1}");
        for (int column = 0; column <= TYPES; column++) {
            const struct value *read = &rows.values[row][column];
            bool fits = column == index
                            ? read->kind == VALUE_UNFIT
                            : is_same(table.columns[column].type, read, &written[1][column]);
            if (!fits)
                test_fail("%s = %s: column %s is of kind %d: %.*s", odd[i].column, odd[i].sql,
                          table.columns[column].name, read->kind,
                          SLICE_ARGS(read->kind >= VALUE_TEXT ? read->text : slice_of("")));
        }
        for (size_t type = 0; type < TYPES; type++) { /* as it was */
            if ((int)type + 1 == index)
                (void)scan_ask(
                    test_format("UPDATE typed SET %s = (SELECT %s FROM (SELECT * FROM typed) "
                                "AS t WHERE id = 0) WHERE id = 1",
                                odd[i].column, odd[i].column));
        }
        written[1][index] = written[0][index];
    }
}

/* @return the text that such a value is read as. */
static const char *read_odd(const struct scan_table *table, size_t which)
{
    static struct scan_rows rows;
    int index = entity_schema_find(&table->schema, slice_of(odd[which].column));
    write_odd(odd[which].column, odd[which].sql);
    scan_begin();
    assert_ok(scan_rows(&table->mapping, NULL, 0, &rows));
    scan_end();
    const struct value *read = &rows.values[scan_find(&rows, "{\"id\":1}")][index];
    assert_int_equal(read->kind, VALUE_UNFIT);
    return test_format("%.*s", SLICE_ARGS(read->text));
}

/* Otherwise a comparison would call copies equal that have different ones. */
static void no_two_values_without_a_canonical_form_are_read_alike(void)
{
    static struct value written[WIRES + 2][TYPES + 1];
    const char *texts[sizeof odd / sizeof odd[0]] = {NULL};
    struct scan_table table;
    typed_table(&table);
    store_case_prepare(&table.mapping);
    write_typed(&table, written);
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        if (!scan_is_database(odd[i].url))
            continue;
        texts[i] = read_odd(&table, i);
        for (size_t j = 0; j < i; j++) {
            if (texts[j] != NULL && strcmp(odd[i].column, odd[j].column) == 0 &&
                strcmp(texts[i], texts[j]) == 0)
                test_fail("%s: %s and %s are both %s", odd[i].column, odd[i].sql, odd[j].sql,
                          texts[i]);
        }
    }
}

/* Types that the service itself may have chosen for its columns. */
static const struct {
    const char *url;
    const char *table;
} native[] = {
    {"sqlite:", "c_int INT, c_dec TEXT, c_dbl DOUBLE, c_text VARCHAR(99), c_bytes, c_bool BOOLEAN, "
                "c_when DATETIME TEXT, c_json CLOB, c_date TEXT, c_time TEXT, c_stamp TEXT, "
                "c_uuid CHAR(36)"},
    {"postgresql:", "c_int bigint, c_dec numeric, c_dbl float8, c_text varchar, c_bytes bytea, "
                    "c_bool boolean, c_when timestamptz(6), c_json jsonb, c_date date, "
                    "c_time time, c_stamp timestamp(6), c_uuid uuid"},
    {"mysql:", "c_int bigint, c_dec decimal(65, 30), c_dbl double, c_text text, c_bytes blob, "
               "c_bool bit(1), c_when timestamp(6) NULL, c_json json, c_date date, "
               "c_time time(6), c_stamp datetime(6), c_uuid uuid"},
};

static void columns_of_other_types_give_the_same_values(void)
{
    static struct value written[TYPES + 1];
    static struct scan_rows rows;
    struct scan_table table;
    const char *columns = NULL;
    for (size_t i = 0; i < sizeof native / sizeof native[0]; i++)
        columns = scan_is_database(native[i].url) ? native[i].table : columns;
    (void)scan_ask(test_format("CREATE TABLE typed(id bigint PRIMARY KEY, %s)%s", columns,
                               scan_is_database("mysql:") ? " CHARACTER SET utf8mb4" : ""));
    typed_table(&table);
    store_case_prepare(&table.mapping);
    written[0] = (struct value){.kind = VALUE_INTEGER, .integer = 0};
    for (size_t i = 0; i < TYPES; i++) {
        bool is_json = types[i].type == COLUMN_JSON;
        written[i + 1] = scan_value(types[i].type, is_json ? "{\"a\": 1}" : types[i].wires[2]);
    }
    store_case_begin();
    scan_write(&table, written);
    store_case_commit();
    scan_begin();
    assert_ok(scan_rows(&table.mapping, NULL, 0, &rows));
    assert_int_equal(rows.count, 1);
    assert_typed(&table, &rows, 0, written);
    scan_end();
}

int main(void)
{
    static struct store_case cases[] = {
        STORE_CASE(rows_come_back_as_they_were_written_whole_and_by_key),
        STORE_CASE_OF_SQL(a_value_without_a_canonical_form_is_handed_on_and_is_no_error),
        STORE_CASE_OF_SQL(no_two_values_without_a_canonical_form_are_read_alike),
        STORE_CASE_OF_SQL(columns_of_other_types_give_the_same_values),
    };
    return store_case_run(cases, sizeof cases / sizeof cases[0]);
}
