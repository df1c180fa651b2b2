/* The store contract's values: each schema type at its extremes is written into a column that
 * prepare created and read back by the database's own SQL, in the form that it has on the wire. */
#include "tests/support/store_case.h"

/* How SQL brings a column back into its form on the wire. */
static const struct {
    const char *url;
    enum column_type type;
    const char *expression;
} readers[] = {
    {"sqlite:", COLUMN_DOUBLE, "iif(v IS NULL, NULL, printf('%!.20g', v))"},
    {"sqlite:", COLUMN_BYTES, "iif(v IS NULL, NULL, hex(v))"},
    {"postgresql:", COLUMN_BYTES, "upper(encode(v, 'hex'))"},
    {"postgresql:", COLUMN_BOOLEAN, "v::int"},
    {"postgresql:", COLUMN_DATE_TIME,
     "to_char(v AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"},
    {"postgresql:", COLUMN_TIMESTAMP, "to_char(v, 'YYYY-MM-DD\"T\"HH24:MI:SS.US')"},
    {"postgresql:", COLUMN_DATE, "to_char(v, 'YYYY-MM-DD')"},
    {"postgresql:", COLUMN_TIME, "to_char(v, 'HH24:MI:SS.US')"},
    {"mysql:", COLUMN_BYTES, "hex(v)"},
    {"mysql:", COLUMN_DATE_TIME, "concat(replace(v, ' ', 'T'), 'Z')"},
    {"mysql:", COLUMN_TIMESTAMP, "replace(v, ' ', 'T')"},
};

static const char *reader_of(enum column_type type)
{
    for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++) {
        if (readers[i].type == type && strcmp(readers[i].url, store_case_back_end->url) == 0)
            return readers[i].expression;
    }
    return "v";
}

static struct value value_of(enum column_type type, const char *wire)
{
    if (type == COLUMN_INTEGER)
        return (struct value){.kind = VALUE_INTEGER, .integer = strtoll(wire, NULL, 10)};
    if (type == COLUMN_DOUBLE)
        return (struct value){.kind = VALUE_DOUBLE, .number = strtod(wire, NULL)};
    if (type == COLUMN_BOOLEAN)
        return (struct value){.kind = VALUE_BOOLEAN, .boolean = wire[0] == '1'};
    if (type != COLUMN_BYTES)
        return (struct value){.kind = VALUE_TEXT, .text = slice_of(wire)};
    size_t length = strlen(wire) / 2;
    char *bytes = arena_alloc(&store_case_arena, length + 1);
    for (size_t i = 0; i < length; i++) {
        char digits[] = {wire[2 * i], wire[2 * i + 1], '\0'};
        bytes[i] = (char)strtol(digits, NULL, 16);
    }
    return (struct value){.kind = VALUE_TEXT, .text = {.data = bytes, .length = length}};
}

static bool same(enum column_type type, const char *read, const char *wire)
{
    double a = strtod(read, NULL);
    double b = strtod(wire, NULL);
    if (type == COLUMN_DOUBLE)
        return memcmp(&a, &b, sizeof a) == 0;
    if (type == COLUMN_DECIMAL && strcmp(store_case_back_end->url, "mysql:") == 0) {
        read = store_case_trim(read);
        wire = store_case_trim(wire);
    }
    size_t length = strlen(wire);
    return strncmp(read, wire, length) == 0 && strcmp(read + length, "\n") == 0;
}

struct wide {
    struct column columns[2];
    size_t key_columns[1];
    struct entity_schema schema;
    struct config_entry entry;
    struct mapping mapping;
};

static void prepare_wide(struct wide *wide, enum column_type type, uint32_t precision,
                         uint32_t scale)
{
    static char id_name[] = "id";
    static char value_name[] = "v";
    static char wide_name[] = "wide";
    *wide = (struct wide){
        .columns = {{.name = id_name, .type = COLUMN_INTEGER, .is_key = true},
                    {.name = value_name,
                     .type = type,
                     .nullable = true,
                     .precision = precision,
                     .scale = scale}},
        .schema = {.entity_type = wide_name, .column_count = 2, .key_count = 1},
        .entry = {.entity_type = wide_name, .table = wide_name},
    };
    wide->schema.columns = wide->columns;
    wide->schema.key_columns = wide->key_columns;
    wide->mapping = (struct mapping){.schema = &wide->schema, .entry = &wide->entry};
    store_case_prepare(&wide->mapping);
}

static enum status write_value(const struct wide *wide, int64_t id, struct value value)
{
    struct value values[2] = {{.kind = VALUE_INTEGER, .integer = id}, value};
    struct change change = {.op = CHANGE_CREATE,
                            .entity_type = slice_of("wide"),
                            .entity_key = slice_of(test_format("{\"id\":%lld}", (long long)id)),
                            .schema = &wide->schema,
                            .values = values};
    const struct change *changes[] = {&change};
    size_t failed = 0;
    return store_case_ops->apply(store_case_store, &wide->mapping, changes, 1, &failed,
                                 &store_case_err);
}

/* Every value, and a NULL behind them. */
static void round_trip(enum column_type type, uint32_t precision, uint32_t scale,
                       const char *const *wires)
{
    struct wide wide;
    int64_t count = 0;
    prepare_wide(&wide, type, precision, scale);
    store_case_begin();
    for (; wires[count] != NULL; count++)
        assert_ok(write_value(&wide, count, value_of(type, wires[count])));
    assert_ok(write_value(&wide, count, (struct value){.kind = VALUE_NULL}));
    store_case_commit();
    for (int64_t id = 0; id <= count; id++) {
        const char *read = store_case_back_end->text(
            store_case_database(),
            test_format("SELECT %s FROM wide WHERE id = %lld", reader_of(type), (long long)id));
        if (id == count)
            assert_string_equal(read, "NULL\n");
        else if (!same(type, read, wires[id]))
            test_fail("%s \"%s\" came back as \"%s\"", column_type_name(type), wires[id], read);
    }
}

static void integers(void)
{
    round_trip(COLUMN_INTEGER, 0, 0,
               (const char *const[]){"0", "-1", "9223372036854775807", "-9223372036854775808",
                                     "9007199254740993", NULL});
}

static void decimals(void)
{
    round_trip(COLUMN_DECIMAL, 0, 0,
               (const char *const[]){
                   "0", "-12.50", "1.000", "18446744073709551615",
                   "99999999999999999999999999999999999", "-0.000000000000000000000000000001",
                   "123456789012345678901234567890.123456789012345678901234567891", NULL});
}

static void decimals_with_a_precision(void)
{
    round_trip(COLUMN_DECIMAL, 20, 4,
               (const char *const[]){"0.0000", "-9999999999999999.9999", "0.0001", NULL});
}

static void doubles(void)
{
    round_trip(COLUMN_DOUBLE, 0, 0,
               (const char *const[]){"0", "0.1", "0.30000000000000004", "1e308",
                                     "1.7976931348623157e308", "2.2250738585072014e-308",
                                     "4.9406564584124654e-324", "-9007199254740993", NULL});
}

/* SQLite keeps a whole number in a REAL column as an integer, and so loses the sign of zero, as
 * MariaDB does. */
static void a_zero_below_zero_is_kept_or_held_and_never_changed(void)
{
    struct wide wide;
    if (strcmp(store_case_back_end->url, "postgresql:") == 0) {
        round_trip(COLUMN_DOUBLE, 0, 0, (const char *const[]){"-0.0", NULL});
        return;
    }
    prepare_wide(&wide, COLUMN_DOUBLE, 0, 0);
    store_case_begin();
    assert_int_equal(write_value(&wide, 1, value_of(COLUMN_DOUBLE, "-0.0")), STATUS_REJECT);
    assert_int_equal(store_case_err.reject, REJECT_HELD);
    error_clear(&store_case_err);
    store_case_ops->rollback(store_case_store);
}

static void texts(void)
{
    round_trip(COLUMN_TEXT, 0, 0,
               (const char *const[]){"", " ", "  both sides  ", "n\xc3\xa9v", "\xf0\x9f\x98\x80",
                                     "a\tb\nc", "O'Brien \"x\" \\ %", "\\x00ff", "{\"a\",NULL}",
                                     "\xef\xbf\xbf", NULL});
}

static void bytes(void)
{
    round_trip(COLUMN_BYTES, 0, 0,
               (const char *const[]){"", "00", "00FF80", "5C7835", "DEADBEEF00", NULL});
}

static void booleans(void)
{
    round_trip(COLUMN_BOOLEAN, 0, 0, (const char *const[]){"0", "1", NULL});
}

static void date_times(void)
{
    round_trip(COLUMN_DATE_TIME, 0, 0,
               (const char *const[]){"1970-01-01T00:00:00.000000Z", "1969-12-31T23:59:59.999999Z",
                                     "2026-11-23T09:42:00.123456Z", "2000-02-29T12:00:00.000001Z",
                                     "1999-12-31T23:59:59.999999Z", "1000-01-01T00:00:00.000000Z",
                                     "9999-12-31T23:59:59.999999Z", "2026-03-29T01:30:00.000000Z",
                                     NULL});
}

static void timestamps(void)
{
    round_trip(COLUMN_TIMESTAMP, 0, 0,
               (const char *const[]){"1970-01-01T00:00:00.000000", "1969-12-31T23:59:59.999999",
                                     "1000-01-01T00:00:00.000000", "9999-12-31T23:59:59.999999",
                                     "2026-03-29T02:30:00.000001", NULL});
}

static void dates(void)
{
    round_trip(COLUMN_DATE, 0, 0,
               (const char *const[]){"1970-01-01", "1969-12-31", "1999-12-31", "2000-01-01",
                                     "2024-02-29", "1000-01-01", "9999-12-31", NULL});
}

static void times(void)
{
    round_trip(
        COLUMN_TIME, 0, 0,
        (const char *const[]){"00:00:00.000000", "23:59:59.999999", "09:42:00.123456", NULL});
}

static void uuids(void)
{
    round_trip(COLUMN_UUID, 0, 0,
               (const char *const[]){"01942f6e-0000-7000-8000-00000000002a",
                                     "00000000-0000-0000-0000-000000000000",
                                     "ffffffff-ffff-ffff-ffff-ffffffffffff", NULL});
}

static void json_texts(void)
{
    round_trip(COLUMN_JSON, 0, 0,
               (const char *const[]){"{}", "{\"b\":1, \"a\":[1.50,null]}", "\"x\"", "null",
                                     "12345678901234567890.10", "{\"a\":1,\"a\":2}", "\"\\u0000\"",
                                     NULL});
}

static void a_nul_character_is_kept_or_held_and_never_cut(void)
{
    struct wide wide;
    struct value value = {.kind = VALUE_TEXT, .text = {.data = "a\0b", .length = 3}};
    prepare_wide(&wide, COLUMN_TEXT, 0, 0);
    store_case_begin();
    enum status status = write_value(&wide, 1, value);
    if (status == STATUS_REJECT) {
        assert_int_equal(store_case_err.reject, REJECT_HELD);
        error_clear(&store_case_err);
        assert_ok(store_case_ops->savepoint(store_case_store, true, &store_case_err));
    } else {
        assert_ok(status);
    }
    store_case_commit();
    if (status == STATUS_REJECT)
        assert_string_equal(
            store_case_back_end->text(store_case_database(), "SELECT count(*) FROM wide"), "0\n");
    else if (store_case_back_end->text != NULL)
        assert_string_equal(
            store_case_back_end->text(store_case_database(), "SELECT length(hex(v)) FROM wide"),
            "6\n");
}

static void infinities_and_no_numbers_are_held(void)
{
    static const char *const wires[] = {"inf", "-inf", "nan"};
    struct wide wide;
    prepare_wide(&wide, COLUMN_DOUBLE, 0, 0);
    for (size_t i = 0; i < 3; i++) {
        store_case_begin();
        assert_int_equal(write_value(&wide, 1, value_of(COLUMN_DOUBLE, wires[i])), STATUS_REJECT);
        assert_int_equal(store_case_err.reject, REJECT_HELD);
        error_clear(&store_case_err);
        store_case_ops->rollback(store_case_store);
    }
}

int main(void)
{
    static struct store_case cases[] = {
        STORE_CASE_OF_SQL(integers),
        STORE_CASE_OF_SQL(decimals),
        STORE_CASE_OF_SQL(decimals_with_a_precision),
        STORE_CASE_OF_SQL(doubles),
        STORE_CASE_OF_SQL(a_zero_below_zero_is_kept_or_held_and_never_changed),
        STORE_CASE_OF_SQL(texts),
        STORE_CASE_OF_SQL(bytes),
        STORE_CASE_OF_SQL(booleans),
        STORE_CASE_OF_SQL(date_times),
        STORE_CASE_OF_SQL(timestamps),
        STORE_CASE_OF_SQL(dates),
        STORE_CASE_OF_SQL(times),
        STORE_CASE_OF_SQL(uuids),
        STORE_CASE_OF_SQL(json_texts),
        STORE_CASE(a_nul_character_is_kept_or_held_and_never_cut),
        STORE_CASE_OF_SQL(infinities_and_no_numbers_are_held),
    };
    return store_case_run(cases, sizeof cases / sizeof cases[0]);
}
