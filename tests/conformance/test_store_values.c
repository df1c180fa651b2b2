/* The contract of a store about values: each schema type, at its extremes, is written into a column
 * that prepare() made. The database's own SQL reads it back in the form that it has on the wire. */
#include "tests/support/store_case.h"

#include "common/buffer.h"

#include <ctype.h>
#include <stdio.h>

/* How SQL turns a column back into its form on the wire. */
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
    return store_case_ops->apply(store_case_store, &wide->mapping, changes, 1, &store_case_err);
}

/* Write every value and a NULL, and read them back. */
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

/* SQLite stores a whole number in a REAL column as an integer, and so loses the sign of zero.
 * MariaDB loses it too. */
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

/* Images that lack columns. For each type there is a column that was NULL and one that was not. The
 * image leaves each out, sets it to NULL, or sets it to a value. */

static const struct {
    enum column_type type;
    const char *before; /* on the wire; `after` is the value that an image sets */
    const char *after;
} sparse_types[] = {
    {COLUMN_INTEGER, "-42", "7"},
    {COLUMN_DECIMAL, "12.50", "-0.25"},
    {COLUMN_DOUBLE, "0.5", "-1.5"},
    {COLUMN_TEXT, "before", "after"},
    {COLUMN_BYTES, "4142", "4344"},
    {COLUMN_BOOLEAN, "1", "0"},
    {COLUMN_DATE_TIME, "2026-11-23T09:42:00.123456Z", "2000-02-29T12:00:00.000001Z"},
    {COLUMN_TIMESTAMP, "2026-11-23T09:42:00.123456", "2000-02-29T12:00:00.000001"},
    {COLUMN_DATE, "2026-11-23", "2000-02-29"},
    {COLUMN_TIME, "09:42:00.123456", "23:59:59.999999"},
    {COLUMN_UUID, "01942f6e-0000-7000-8000-00000000002a", "ffffffff-ffff-ffff-ffff-ffffffffffff"},
    {COLUMN_JSON, "{\"a\":1}", "[2]"},
};

enum sparse_action { SPARSE_ABSENT, SPARSE_NULL, SPARSE_VALUE, SPARSE_ACTIONS };
enum {
    SPARSE_TYPES = sizeof sparse_types / sizeof sparse_types[0],
    SPARSE_ROWS = SPARSE_TYPES * 2 * SPARSE_ACTIONS, /* type by NULL before by action */
    SPARSE_CHANGES = 2 * SPARSE_ROWS,                /* with full images in between */
    SPARSE_FIRST_ID = 100                            /* the same order as text and as number */
};

struct sparse {
    char names[SPARSE_TYPES][4];
    struct column columns[SPARSE_TYPES + 1];
    size_t key_columns[1];
    struct entity_schema schema;
    struct config_entry entry;
    struct mapping mapping;
    struct value values[SPARSE_CHANGES][SPARSE_TYPES + 1];
    struct change list[SPARSE_CHANGES];
    const struct change *changes[SPARSE_CHANGES];
    size_t count;
    const char *wires[SPARSE_CHANGES][SPARSE_TYPES]; /* what each row must hold; NULL: NULL */
};

static void prepare_sparse(struct sparse *sparse)
{
    static char id_name[] = "id";
    static char sparse_name[] = "sparse";
    memset(sparse, 0, sizeof *sparse);
    sparse->columns[0] = (struct column){.name = id_name, .type = COLUMN_INTEGER, .is_key = true};
    for (size_t i = 0; i < SPARSE_TYPES; i++) {
        bool decimal = sparse_types[i].type == COLUMN_DECIMAL;
        (void)snprintf(sparse->names[i], sizeof sparse->names[i], "v%zu", i);
        sparse->columns[i + 1] = (struct column){.name = sparse->names[i],
                                                 .type = sparse_types[i].type,
                                                 .nullable = true,
                                                 .precision = decimal ? 6 : 0,
                                                 .scale = decimal ? 2 : 0};
    }
    sparse->schema = (struct entity_schema){.entity_type = sparse_name,
                                            .columns = sparse->columns,
                                            .column_count = SPARSE_TYPES + 1,
                                            .key_columns = sparse->key_columns,
                                            .key_count = 1};
    sparse->entry = (struct config_entry){.entity_type = sparse_name, .table = sparse_name};
    sparse->mapping = (struct mapping){.schema = &sparse->schema, .entry = &sparse->entry};
    store_case_prepare(&sparse->mapping);
}

/* Add a change of a row with all columns absent but the key. */
static struct value *sparse_add(struct sparse *sparse, enum change_op op, size_t row)
{
    size_t index = sparse->count++;
    size_t id = SPARSE_FIRST_ID + row;
    struct value *values = sparse->values[index];
    memset(values, 0, sizeof sparse->values[index]);
    values[0] = (struct value){.kind = VALUE_INTEGER, .integer = (int64_t)id};
    sparse->list[index] = (struct change){.op = op,
                                          .entity_type = slice_of("sparse"),
                                          .entity_key = slice_of(test_format("{\"id\":%zu}", id)),
                                          .schema = &sparse->schema,
                                          .values = values};
    sparse->changes[index] = &sparse->list[index];
    return values;
}

/* Set a column of a row to a value or NULL. */
static void sparse_set(struct sparse *sparse, struct value *values, size_t row, size_t column,
                       const char *wire)
{
    sparse->wires[row][column] = wire;
    values[column + 1] = wire == NULL ? (struct value){.kind = VALUE_NULL}
                                      : value_of(sparse_types[column].type, wire);
}

static void sparse_add_full(struct sparse *sparse, size_t row, bool null)
{
    struct value *values = sparse_add(sparse, CHANGE_CREATE, row);
    for (size_t i = 0; i < SPARSE_TYPES; i++)
        sparse_set(sparse, values, row, i, null ? NULL : sparse_types[i].before);
}

/* Add an image of a row. The row's number tells which column it sets and how. Every second row sets
 * another column too, so that each type has two sets of columns. */
static void sparse_add_image(struct sparse *sparse, enum change_op op, size_t row)
{
    size_t column = row / (2 * SPARSE_ACTIONS);
    size_t other = (column + 1) % SPARSE_TYPES;
    enum sparse_action action = (enum sparse_action)(row % SPARSE_ACTIONS);
    struct value *values = sparse_add(sparse, op, row);
    if (action != SPARSE_ABSENT)
        sparse_set(sparse, values, row, column,
                   action == SPARSE_NULL ? NULL : sparse_types[column].after);
    if (row % 2 == 1)
        sparse_set(sparse, values, row, other, sparse_types[other].after);
}

/* Apply all changes in one call, or one by one. */
static void sparse_apply(struct sparse *sparse, bool bulk)
{
    for (size_t i = 0; i < sparse->count; i += bulk ? sparse->count : 1)
        assert_ok(store_case_ops->apply(store_case_store, &sparse->mapping, &sparse->changes[i],
                                        bulk ? sparse->count : 1, &store_case_err));
    sparse->count = 0;
}

/* Append the SQL that reads a column of a type, for the column `name` instead of v. */
static void append_reader(struct buffer *sql, enum column_type type, const char *name)
{
    for (const char *at = reader_of(type), *start = at; *at != '\0'; at++) {
        bool word = (at > start && (isalnum((unsigned char)at[-1]) || at[-1] == '_')) ||
                    isalnum((unsigned char)at[1]) || at[1] == '_';
        buffer_append(sql, *at == 'v' && !word ? name : at, *at == 'v' && !word ? strlen(name) : 1);
    }
}

static const char *sparse_read(const struct sparse *sparse)
{
    struct buffer sql;
    if (store_case_back_end->text == NULL)
        return store_case_back_end->rows(store_case_store, store_case_database(), "sparse");
    buffer_init(&sql, 65536);
    buffer_append_text(&sql, "SELECT id");
    for (size_t i = 0; i < SPARSE_TYPES; i++) {
        buffer_append_text(&sql, ", ");
        append_reader(&sql, sparse_types[i].type, sparse->names[i]);
    }
    buffer_append_text(&sql, " FROM sparse ORDER BY id");
    const char *rows = store_case_back_end->text(store_case_database(), buffer_text(&sql));
    buffer_done(&sql);
    return rows;
}

/* The memory store keeps bytes as they are. */
static const char *sparse_form(enum column_type type, const char *wire)
{
    if (wire == NULL || type != COLUMN_BYTES || store_case_back_end->text != NULL)
        return wire == NULL ? "NULL" : wire;
    return strcmp(wire, "4142") == 0 ? "AB" : "CD";
}

static void sparse_assert(const struct sparse *sparse, size_t count)
{
    const char *read = sparse_read(sparse);
    for (size_t row = 0; row < count; row++) {
        const char *expected = test_format("%zu", SPARSE_FIRST_ID + row);
        for (size_t i = 0; i < SPARSE_TYPES; i++)
            expected = test_format("%s|%s", expected,
                                   sparse_form(sparse_types[i].type, sparse->wires[row][i]));
        size_t length = strlen(expected);
        if (strncmp(read, expected, length) != 0 || read[length] != '\n')
            test_fail("not %s\nbut %.*s", expected, (int)strcspn(read, "\n"), read);
        read += length + 1;
    }
    assert_string_equal(read, "");
}

static void what_an_image_lacks_stays_as_it_was(bool bulk)
{
    static struct sparse sparse;
    static const enum change_op ops[] = {CHANGE_UPDATE, CHANGE_READ, CHANGE_CREATE};
    prepare_sparse(&sparse);
    for (size_t k = 0; k < sizeof ops / sizeof ops[0]; k++) {
        store_case_begin();
        for (size_t row = 0; row < SPARSE_ROWS; row++)
            sparse_add_full(&sparse, row, row / SPARSE_ACTIONS % 2 == 0);
        sparse_apply(&sparse, bulk);
        for (size_t row = 0; row < SPARSE_ROWS; row++) {
            sparse_add_image(&sparse, ops[k], row);
            sparse_add_full(&sparse, SPARSE_ROWS + row, row % 2 == 0);
        }
        sparse_apply(&sparse, bulk);
        store_case_commit();
        sparse_assert(&sparse, SPARSE_CHANGES);
    }
}

static void what_an_image_lacks_stays_as_it_was_in_a_run(void)
{
    what_an_image_lacks_stays_as_it_was(true);
}

static void what_an_image_lacks_stays_as_it_was_one_by_one(void)
{
    what_an_image_lacks_stays_as_it_was(false);
}

/* Some rows do not exist yet. A column that an image other than an update leaves out becomes
 * NULL. */
static void what_an_image_of_a_new_row_lacks_is_null(void)
{
    static struct sparse sparse;
    prepare_sparse(&sparse);
    store_case_begin();
    for (size_t row = 0; row < SPARSE_ROWS; row += 5)
        sparse_add_full(&sparse, row, row % 2 == 0);
    sparse_apply(&sparse, true);
    for (size_t row = 0; row < SPARSE_ROWS; row++)
        sparse_add_image(&sparse, CHANGE_READ, row);
    sparse_apply(&sparse, true);
    store_case_commit();
    sparse_assert(&sparse, SPARSE_ROWS);
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
        STORE_CASE(what_an_image_lacks_stays_as_it_was_in_a_run),
        STORE_CASE(what_an_image_lacks_stays_as_it_was_one_by_one),
        STORE_CASE(what_an_image_of_a_new_row_lacks_is_null),
    };
    return store_case_run(cases, sizeof cases / sizeof cases[0]);
}
