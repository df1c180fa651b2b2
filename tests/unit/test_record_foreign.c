/* Records of other programs: Debezium's envelope, CloudEvents in structured mode, plain rows. */
#include "tests/support/debezium_oracle.h"
#include "tests/support/test.h"

#include <inttypes.h>

#define ROW                                                                                        \
    "{\"type\":\"object\",\"x-keepstep-key\":[\"id\"],\"required\":[\"id\"],"                      \
    "\"additionalProperties\":false,\"properties\":{"                                              \
    "\"id\":{\"type\":\"integer\"},"                                                               \
    "\"email\":{\"type\":[\"string\",\"null\"]},"                                                  \
    "\"price\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"decimal\"},"                  \
    "\"photo\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"bytes\"},"                    \
    "\"born\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"date\"},"                      \
    "\"opens\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"time\"},"                     \
    "\"at\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"date-time\"},"                   \
    "\"local\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"timestamp\"},"                \
    "\"active\":{\"type\":[\"boolean\",\"null\"]},"                                                \
    "\"seen\":{\"type\":[\"integer\",\"null\"]},"                                                  \
    "\"weight\":{\"type\":[\"number\",\"null\"]},"                                                 \
    "\"extra\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"json\"},"                     \
    "\"token\":{\"type\":[\"string\",\"null\"],\"x-keepstep-type\":\"uuid\"}}}"

enum { ID, EMAIL, PRICE, PHOTO, BORN, OPENS, AT, LOCAL, ACTIVE, SEEN, WEIGHT, EXTRA, TOKEN };

static struct entity_schema *customer;
static struct record_form form;
static enum record_binary binary;
static struct arena arena;
static struct descriptions *descriptions;
static struct change change;
static struct error err;

static enum status decode(enum record_format format, const char *key, const char *value)
{
    if (customer == NULL) {
        const char *folder = test_directory_shared();
        test_write_file(test_format("%s/customer.schema.json", folder), ROW);
        if (entity_schema_new(folder, "customer", &customer, &err) != STATUS_OK)
            test_fail("%s", err.text);
        arena_init(&arena, (size_t)1024 * 1024);
        assert_int_equal(descriptions_new(&descriptions, &err), STATUS_OK);
    }
    arena_reset(&arena);
    error_clear(&err);
    form = (struct record_form){.format = format, .binary = binary, .schema = customer};
    struct record record = {.form = &form,
                            .topic = "dbserver1.inventory.customers",
                            .key = slice_of(key),
                            .value = value == NULL ? (struct slice){0} : slice_of(value)};
    /* The second time it is known how the record begins. */
    for (int i = 0; i < 2; i++) {
        int taken = 0;
        const char *difference = debezium_oracle_compare(&record, descriptions, &arena, &taken);
        if (difference != NULL)
            test_fail("%s: %s %s", difference, key, value == NULL ? "" : value);
    }
    const struct decoder decoder = {.arena = &arena};
    return record_decode(&record, &decoder, &change, &err);
}

static void assert_text(int column, const char *expected)
{
    const struct value *value = &change.values[column];
    if (value->kind != VALUE_TEXT || !slice_is(value->text, expected))
        test_fail("%s is \"%.*s\", not \"%s\"", customer->columns[column].name,
                  value->kind == VALUE_TEXT ? (int)value->text.length : 0,
                  value->kind == VALUE_TEXT ? value->text.data : "", expected);
}

static void a_debezium_envelope_without_schema_is_a_change(void **state)
{
    (void)state;
    assert_int_equal(
        decode(FORMAT_DEBEZIUM, "{\"id\":1004}",
               "{\"before\":null,\"after\":{\"id\":1004,\"email\":\"annek@noanswer.org\","
               "\"price\":\"-12.50\",\"active\":1,\"born\":-1},"
               "\"source\":{\"version\":\"3.3.1.Final\",\"name\":\"dbserver1\"},"
               "\"op\":\"c\",\"ts_ms\":1486500577691}"),
        STATUS_OK);
    assert_int_equal(change.op, CHANGE_CREATE);
    assert_true(slice_is(change.entity_type, "customer"));
    assert_true(slice_is(change.entity_key, "{\"id\":1004}"));
    assert_int_equal(change.id.length, 0);
    assert_int_equal(change.values[ID].integer, 1004);
    assert_text(EMAIL, "annek@noanswer.org");
    assert_text(PRICE, "-12.50");
    assert_text(BORN, "1969-12-31");
    assert_true(change.values[ACTIVE].boolean);
    assert_int_equal(change.values[PHOTO].kind, VALUE_NULL);
}

#define FIELD(type, name, field)                                                                   \
    "{\"type\":\"" type "\",\"optional\":true,\"name\":\"" name                                    \
    "\",\"version\":1,\"field\":\"" field "\"},"

static void a_debezium_envelope_with_schema_tells_the_units_of_its_numbers(void **state)
{
    (void)state;
    assert_int_equal(
        decode(
            FORMAT_DEBEZIUM,
            "{\"schema\":{\"type\":\"struct\",\"fields\":[{\"type\":\"int32\",\"optional\":false,"
            "\"field\":\"id\"}],\"optional\":false,\"name\":\"c.Key\"},\"payload\":{\"id\":7}}",
            "{\"schema\":{\"type\":\"struct\",\"fields\":[{\"type\":\"struct\",\"fields\":["
            "{\"type\":\"bytes\",\"optional\":true,\"name\":"
            "\"org.apache.kafka.connect.data.Decimal\",\"version\":1,\"parameters\":"
            "{\"scale\":\"2\",\"connect.decimal.precision\":\"10\"},\"field\":\"price\"}," FIELD(
                "int64", "io.debezium.time.MicroTime",
                "opens") FIELD("string", "io.debezium.time.ZonedTimestamp",
                               "at") FIELD("int64", "io.debezium.time.MicroTimestamp", "local")
                FIELD("int32", "io.debezium.time.Date",
                      "born") "{\"type\":\"bytes\",\"optional\":true,\"field\":\"photo\"}],"
                              "\"optional\":true,\"name\":\"c.Value\",\"field\":\"after\"}]},"
                              "\"payload\":{\"op\":\"u\",\"before\":null,\"after\":{\"id\":7,"
                              "\"email\":\"\","
                              "\"price\":\"+x4=\",\"opens\":35999999999,\"at\":\"2026-01-01T00:00:"
                              "00Z\","
                              "\"local\":-1,\"born\":20454,\"photo\":\"AP8Q\",\"active\":false}}}"),
        STATUS_OK);
    assert_int_equal(change.op, CHANGE_UPDATE);
    assert_true(slice_is(change.entity_key, "{\"id\":7}"));
    assert_text(EMAIL, "");
    assert_text(PRICE, "-12.50");
    assert_text(OPENS, "09:59:59.999999");
    assert_text(AT, "2026-01-01T00:00:00.000000Z");
    assert_text(LOCAL, "1969-12-31T23:59:59.999999");
    assert_text(BORN, "2026-01-01");
    assert_true(slice_equal(change.values[PHOTO].text, (struct slice){"\0\xff\x10", 3}));
}

static const char *priced(const char *base64, int scale)
{
    return test_format(
        "{\"op\":\"c\",\"after\":{\"id\":7,\"price\":{\"scale\":%d,\"value\":\"%s\"}}}", scale,
        base64);
}

static void decimals_of_any_size_are_read_from_their_bytes(void **state)
{
    (void)state;
    assert_int_equal(decode(FORMAT_DEBEZIUM, "{\"id\":7}", priced("AA==", 0)), STATUS_OK);
    assert_text(PRICE, "0");
    assert_int_equal(decode(FORMAT_DEBEZIUM, "{\"id\":7}", priced("/w==", 3)), STATUS_OK);
    assert_text(PRICE, "-0.001");
    assert_int_equal(decode(FORMAT_DEBEZIUM, "{\"id\":7}", priced("gA==", 1)), STATUS_OK);
    assert_text(PRICE, "-12.8");
    assert_int_equal(decode(FORMAT_DEBEZIUM, "{\"id\":7}", priced("AP//////////", 0)), STATUS_OK);
    assert_text(PRICE, "18446744073709551615");
    assert_int_equal(decode(FORMAT_DEBEZIUM, "{\"id\":7}", priced("A===", 0)), STATUS_REJECT);
    assert_int_equal(decode(FORMAT_DEBEZIUM, "{\"id\":7}", priced("AA", 0)), STATUS_REJECT);
    assert_int_equal(
        decode(FORMAT_DEBEZIUM, "{\"id\":7}", "{\"op\":\"c\",\"after\":{\"id\":7,\"price\":0.1}}"),
        STATUS_REJECT);
    assert_non_null(strstr(err.text, "decimal.handling.mode"));
}

/* One field as Debezium describes and writes it, and what it becomes. */
struct field_case {
    int column;
    const char *type;    /* of Kafka Connect; NULL: no description */
    const char *name;    /* its meaning; NULL: no name */
    const char *value;   /* in JSON */
    const char *becomes; /* a text or an integer; NULL: refused */
    const char *reason;
};

#define TIME_(name)    "io.debezium.time." name
#define CONNECT_(name) "org.apache.kafka.connect.data." name

static const struct field_case field_cases[] = {
    {BORN, "int32", TIME_("Date"), "20454", "2026-01-01", NULL},
    {BORN, "int32", CONNECT_("Date"), "-1", "1969-12-31", NULL},
    {BORN, "string", TIME_("IsoDate"), "\"2026-01-01Z\"", "2026-01-01", NULL},
    {BORN, NULL, NULL, "20454", "2026-01-01", NULL},
    {BORN, "int32", TIME_("Date"), "2147483647", NULL, "microseconds cannot hold"},
    {BORN, "int32", TIME_("Date"), "2932897", NULL, "outside the years"},
    {BORN, "int32", NULL, "20454", NULL, "is not a time"},
    {BORN, "int64", TIME_("Timestamp"), "1767225600000", "2026-01-01", NULL},
    {BORN, "int64", TIME_("Timestamp"), "1767225600001", NULL, "a date with a time of day"},
    {BORN, "int64", TIME_("MicroTime"), "0", NULL, "without a date"},
    {OPENS, "int32", TIME_("Time"), "86399999", "23:59:59.999000", NULL},
    {OPENS, "int32", CONNECT_("Time"), "0", "00:00:00.000000", NULL},
    {OPENS, "int64", TIME_("MicroTime"), "86399999999", "23:59:59.999999", NULL},
    {OPENS, "int64", TIME_("NanoTime"), "1000", "00:00:00.000001", NULL},
    {OPENS, "string", TIME_("IsoTime"), "\"09:00:00Z\"", "09:00:00.000000", NULL},
    {OPENS, "int64", TIME_("MicroTime"), "86400000000", NULL, "not within a day"},
    {OPENS, "int64", TIME_("MicroTime"), "90000000000", NULL, "not within a day"},
    {OPENS, "int64", TIME_("MicroTime"), "-1", NULL, "not within a day"},
    {OPENS, "int32", TIME_("Time"), "-3600000", NULL, "not within a day"},
    {OPENS, "int32", CONNECT_("Time"), "86400000", NULL, "not within a day"},
    {OPENS, "int64", TIME_("NanoTime"), "86400000000000", NULL, "not within a day"},
    {OPENS, "int64", TIME_("NanoTime"), "1", NULL, "microseconds cannot hold"},
    {OPENS, "int64", TIME_("MicroTimestamp"), "0", NULL, "with a date"},
    {OPENS, "int64", TIME_("MicroDuration"), "1", NULL, "is not a time"},
    {OPENS, "string", TIME_("ZonedTime"), "\"09:00:00+02:00\"", NULL, "a time of day"},
    {LOCAL, "int64", TIME_("Timestamp"), "-1", "1969-12-31T23:59:59.999000", NULL},
    {LOCAL, "int64", CONNECT_("Timestamp"), "0", "1970-01-01T00:00:00.000000", NULL},
    {LOCAL, "int64", TIME_("MicroTimestamp"), "1", "1970-01-01T00:00:00.000001", NULL},
    {LOCAL, "int64", TIME_("NanoTimestamp"), "1000", "1970-01-01T00:00:00.000001", NULL},
    {LOCAL, "string", TIME_("IsoTimestamp"), "\"2026-01-01T00:00:00Z\"",
     "2026-01-01T00:00:00.000000", NULL},
    {LOCAL, "int64", TIME_("MicroTimestamp"), "9223372036825200000", NULL, "outside the years"},
    {LOCAL, "int32", TIME_("Date"), "20454", NULL, "without a time of day"},
    {AT, "string", TIME_("ZonedTimestamp"), "\"2026-01-01T02:00:00+02:00\"",
     "2026-01-01T00:00:00.000000Z", NULL},
    {AT, "string", TIME_("ZonedTimestamp"), "\"294247-01-10T04:00:54.775807Z\"", NULL, "RFC 3339"},
    {AT, "int32", TIME_("Time"), "1", NULL, "without a date"},
    {AT, NULL, NULL, "1767225600000", NULL, "without its unit"},
    {PHOTO, "bytes", NULL, "\"AP8=\"", "\x01\xff", NULL},
    {PHOTO, "bytes", NULL, "\"\"", "", NULL},
    {PHOTO, "bytes", NULL, "\"00ff\"", "\xd3\x47\xdf", NULL},
    {PHOTO, "bytes", NULL, "\"A\"", NULL, "not base64"},
    {PHOTO, "bytes", "io.debezium.data.Bits", "\"AQ==\"", NULL, "bits; make the column an integer"},
    {PHOTO, "bytes", CONNECT_("Decimal"), "\"AQ==\"", NULL, "a decimal"},
    {PHOTO, "string", NULL, "\"00ff00ff\"", NULL, "write `binary: base64` or `binary: hex`"},
    {PHOTO, "string", NULL, "\"AP8=\"", NULL, "write `binary: base64` or `binary: hex`"},
    {PHOTO, NULL, NULL, "\"AP8=\"", "\x01\xff", NULL},
    {PHOTO, NULL, NULL, "\"00ff00ff\"", NULL, "write `binary: base64` or `binary: hex`"},
    {PHOTO, NULL, NULL, "[1]", NULL, "not a string"},
    {PRICE, "string", NULL, "\"12.50\"", "12.50", NULL},
    {PRICE, "double", NULL, "12.5", NULL, "decimal.handling.mode"},
    {PRICE, "int64", NULL, "12", "12", NULL},
    {PRICE, NULL, NULL, "18446744073709551615", "18446744073709551615", NULL},
    {PRICE, NULL, NULL, "-170141183460469231731687303715884105728",
     "-170141183460469231731687303715884105728", NULL},
    {PRICE, "bytes", NULL, "\"1234\"", NULL, "bytes that are no number"},
    {PRICE, "bytes", CONNECT_("Decimal"), "\"1234\"", NULL, "a decimal without its scale"},
    {PRICE, "bytes", "io.debezium.data.Bits", "\"AQ==\"", NULL, "bytes that are no number"},
    {PRICE, "struct", "io.debezium.data.VariableScaleDecimal", "{\"scale\":-2,\"value\":\"DA==\"}",
     "1200", NULL},
    {PRICE, "struct", "io.debezium.data.VariableScaleDecimal", "{\"scale\":-2,\"value\":\"AA==\"}",
     "0", NULL},
    {SEEN, "int64", NULL, "9223372036854775807", "9223372036854775807", NULL},
    {SEEN, "int64", NULL, "18446744073709551615", NULL, "an integer beyond 64 bits"},
    {SEEN, "int32", TIME_("Year"), "2026", "2026", NULL},
    {SEEN, "bytes", "io.debezium.data.Bits", "\"AQI=\"", "513", NULL},
    {SEEN, "bytes", "io.debezium.data.Bits", "\"//////////8=\"", NULL, "bits that a 64-bit"},
    {SEEN, "bytes", "io.debezium.data.Bits", "\"//////////9/AA==\"", NULL, "bits that a 64-bit"},
    {SEEN, "struct", "io.debezium.data.VariableScaleDecimal",
     "{\"scale\":0,\"value\":\"AP//////////\"}", NULL, "not an integer of 64 bits"},
    {SEEN, "struct", "io.debezium.data.VariableScaleDecimal", "{\"scale\":0,\"value\":\"/w==\"}",
     "-1", NULL},
    {SEEN, "struct", "io.debezium.data.VariableScaleDecimal", "{\"scale\":1,\"value\":\"/w==\"}",
     NULL, "not an integer of 64 bits"},
    {SEEN, "bytes", NULL, "\"AQ==\"", NULL, "bytes that are no number"},
    {SEEN, "string", NULL, "\"12\"", NULL, "not an integer"},
    {EMAIL, "string", NULL, "\"a\"", "a", NULL},
    {EMAIL, "string", "io.debezium.data.Enum", "\"a\"", "a", NULL},
    {EMAIL, "bytes", NULL, "\"YQ==\"", NULL, "the field holds bytes"},
    {EMAIL, "bytes", CONNECT_("Decimal"), "\"AQ==\"", NULL, "the field holds bytes"},
    {EMAIL, "array", NULL, "[\"a\",\"b\"]", NULL, "not a string"},
    {EMAIL, NULL, NULL, "\"a\\u0000b\"", "a", NULL},
    {EXTRA, "string", "io.debezium.data.Json", "\"{\\\"a\\\":1}\"", "{\"a\":1}", NULL},
    {EXTRA, "map", NULL, "{\"a\":\"1\"}", NULL, "not a string"},
    {TOKEN, "string", "io.debezium.data.Uuid", "\"01942f6e-0000-7000-8000-00000000002a\"",
     "01942f6e-0000-7000-8000-00000000002a", NULL},
    {TOKEN, "bytes", NULL, "\"AQ==\"", NULL, "the field holds bytes"},
    {WEIGHT, "double", NULL, "1e300", "1e+300", NULL},
    {WEIGHT, NULL, NULL, "100000000000000000000", "1e+20", NULL},
    {WEIGHT, "bytes", CONNECT_("Decimal"), "\"AQ==\"", NULL, "the field holds bytes"},
    {ACTIVE, "int16", NULL, "1", "true", NULL},
    {ACTIVE, "int16", NULL, "2", NULL, "true or false"},
};

static const char *described(const struct field_case *field)
{
    const char *column = customer == NULL ? "id" : customer->columns[field->column].name;
    const char *name = field->name == NULL ? "" : test_format(",\"name\":\"%s\"", field->name);
    const char *row = test_format("{\"op\":\"u\",\"after\":{\"id\":7,\"%s\":%s}}", column,
                                  field->value);
    if (field->type == NULL)
        return row;
    return test_format(
        "{\"schema\":{\"type\":\"struct\",\"fields\":[{\"field\":\"after\",\"fields\":["
        "{\"type\":\"%s\"%s,\"field\":\"%s\"}]}]},\"payload\":%s}",
        field->type, name, column, row);
}

static const char *written(const struct value *value)
{
    switch (value->kind) {
    case VALUE_INTEGER:
        return test_format("%" PRId64, value->integer);
    case VALUE_DOUBLE:
        return test_format("%g", value->number);
    case VALUE_BOOLEAN:
        return value->boolean ? "true" : "false";
    case VALUE_TEXT:
        return test_format("%.*s", (int)value->text.length, value->text.data);
    case VALUE_ABSENT:
    case VALUE_NULL:
    case VALUE_UNFIT:
        break;
    }
    return "nothing";
}

static void each_field_of_debezium_is_right_or_refused(void **state)
{
    (void)state;
    (void)decode(FORMAT_DEBEZIUM, "{\"id\":7}", NULL); /* reads the schema */
    for (size_t i = 0; i < sizeof field_cases / sizeof *field_cases; i++) {
        const struct field_case *field = &field_cases[i];
        const char *name = customer->columns[field->column].name;
        enum status status = decode(FORMAT_DEBEZIUM, "{\"id\":7}", described(field));
        if (field->becomes == NULL) {
            if (status != STATUS_REJECT || strstr(err.text, field->reason) == NULL ||
                strstr(err.text, test_format("column \"%s\"", name)) == NULL)
                test_fail("%s of %s: %s", field->value, name, err.text);
            continue;
        }
        if (status != STATUS_OK)
            test_fail("%s of %s: %s", field->value, name, err.text);
        struct value *value = &change.values[field->column];
        if (field->column == PHOTO && value->text.length > 0 && value->text.data[0] == '\0')
            *(char *)(uintptr_t)value->text.data = '\x01'; /* so that the text does not end here */
        if (strcmp(written(value), field->becomes) != 0)
            test_fail("%s of %s became %s", field->value, name, written(value));
    }
}

static void bytes_in_a_text_are_read_as_the_configuration_says(void **state)
{
    (void)state;
    static const struct field_case hex = {PHOTO, "string", NULL, "\"00ff00fF\"", NULL, NULL};
    static const struct field_case url = {PHOTO, "string", NULL, "\"-_8=\"", NULL, NULL};
    static const struct field_case bytes = {PHOTO, "bytes", NULL, "\"AP8=\"", NULL, NULL};
    binary = BINARY_HEX;
    assert_int_equal(decode(FORMAT_DEBEZIUM, "{\"id\":7}", described(&hex)), STATUS_OK);
    assert_true(slice_equal(change.values[PHOTO].text, (struct slice){"\0\xff\0\xff", 4}));
    assert_int_equal(decode(FORMAT_DEBEZIUM, "{\"id\":7}", described(&url)), STATUS_REJECT);
    assert_int_equal(decode(FORMAT_DEBEZIUM, "{\"id\":7}", described(&bytes)), STATUS_OK);
    assert_true(slice_equal(change.values[PHOTO].text, (struct slice){"\0\xff", 2}));
    binary = BINARY_BASE64;
    assert_int_equal(decode(FORMAT_DEBEZIUM, "{\"id\":7}", described(&url)), STATUS_OK);
    assert_true(slice_equal(change.values[PHOTO].text, (struct slice){"\xfb\xff", 2}));
    binary = BINARY_UNSAID;
}

/* jansson refuses these although they are valid JSON. */
static void valid_json_that_cannot_be_read_is_not_called_otherwise(void **state)
{
    (void)state;
    static const struct {
        const char *row;
        const char *reason;
    } cases[] = {
        {"{\"id\":7,\"email\":\"\\ud800\"}", "half of a surrogate pair"},
        {"{\"id\":7,\"id\":7}", "is twice in one object"},
        {"{\"id\":7,\"a\\u0000b\":1}", "a NUL in a member's name"},
        {"{\"id\":7,\"weight\":1e999}", "a number that is too large"},
        {"{\"id\":7,\"email\":\"\xff\"}", "not UTF-8"},
        {"{\"id\":7", "ends too early"},
        {"{\"id\":7,}", "not JSON at byte 9"},
        {"{\"weight\":18446744073709551616,\"id\":7,}", "not JSON at byte 30 or after it"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(decode(FORMAT_JSON, "7", cases[i].row), STATUS_REJECT);
        if (strstr(err.text, cases[i].reason) == NULL)
            test_fail("%s: %s", cases[i].row, err.text);
    }
    assert_int_equal(decode(FORMAT_JSON, "7", "{\"id\":7,\"email\":\"a\\u0000b\"}"), STATUS_OK);
    assert_true(slice_equal(change.values[EMAIL].text, (struct slice){"a\0b", 3}));
    assert_int_equal(decode(FORMAT_JSON, "7", "{\"id\":7,\"weight\":-18446744073709551616}"),
                     STATUS_OK);
    assert_true(change.values[WEIGHT].number < -1.8446e19);
    assert_int_equal(decode(FORMAT_JSON, "7", "{\"id\":7,\"seen\":9223372036854775808}"),
                     STATUS_REJECT);
    assert_non_null(strstr(err.text, "column \"seen\": an integer beyond 64 bits"));
    assert_int_equal(decode(FORMAT_JSON, "7", "{\"id\":7,\"email\":\"18446744073709551616\"}"),
                     STATUS_OK);
}

/* The error must not be "out of memory": the agent would end at each start. */
static void an_integer_that_no_double_can_hold_is_refused(void **state)
{
    (void)state;
    static char digits[401];
    memset(digits, '9', sizeof digits - 1);
    const char *const rows[] = {test_format("{\"id\":7,\"weight\":%s}", digits),
                                test_format("{\"id\":7,\"weight\":-%s}", digits),
                                "{\"id\":7,\"weight\":{\"\\u0001integer\":\"7x\"}}",
                                "{\"id\":7,\"weight\":{\"\\u0001integer\":\"\"}}"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(decode(FORMAT_JSON, "7", rows[i]), STATUS_REJECT);
        assert_non_null(strstr(err.text, "column \"weight\""));
    }
    assert_int_equal(decode(FORMAT_DEBEZIUM, "{\"id\":7}", rows[0]), STATUS_REJECT);
}

static void an_unavailable_value_of_any_type_keeps_the_old_column(void **state)
{
    (void)state;
    static const struct field_case cases[] = {
        {EMAIL, "string", NULL, "\"__debezium_unavailable_value\"", NULL, NULL},
        {EXTRA, "string", "io.debezium.data.Json", "\"__debezium_unavailable_value\"", NULL, NULL},
        {PHOTO, "bytes", NULL, "\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"", NULL, NULL},
        {PHOTO, NULL, NULL, "\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"", NULL, NULL},
        {PHOTO, "string", NULL, "\"5f5f646562657a69756d5f756e617661696c61626c655f76616c7565\"",
         NULL, NULL},
        {PRICE, "bytes", CONNECT_("Decimal"), "\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"", NULL,
         NULL},
        {EMAIL, "array", NULL, "[\"__debezium_unavailable_value\"]", NULL, NULL},
        {EMAIL, "map", NULL, "{\"__debezium_unavailable_value\":\"__debezium_unavailable_value\"}",
         NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (decode(FORMAT_DEBEZIUM, "{\"id\":7}", described(&cases[i])) != STATUS_OK)
            test_fail("case %zu: %s", i, err.text);
        assert_int_equal(change.values[cases[i].column].kind, VALUE_ABSENT);
    }
}

static void an_unavailable_value_keeps_the_old_column(void **state)
{
    (void)state;
    assert_int_equal(decode(FORMAT_DEBEZIUM, "{\"id\":7}",
                            "{\"op\":\"u\",\"after\":{\"id\":7,\"email\":"
                            "\"__debezium_unavailable_value\",\"active\":true}}"),
                     STATUS_OK);
    assert_int_equal(change.values[EMAIL].kind, VALUE_ABSENT);
    assert_true(change.values[ACTIVE].boolean);
}

static void a_debezium_delete_and_its_tombstone_delete_by_key(void **state)
{
    (void)state;
    assert_int_equal(decode(FORMAT_DEBEZIUM, "{\"id\":7}",
                            "{\"op\":\"d\",\"before\":{\"id\":7},\"after\":null}"),
                     STATUS_OK);
    assert_int_equal(change.op, CHANGE_DELETE);
    assert_int_equal(change.values[ID].integer, 7);
    assert_int_equal(decode(FORMAT_DEBEZIUM, "{\"id\":8}", NULL), STATUS_OK);
    assert_int_equal(change.op, CHANGE_DELETE);
    assert_int_equal(change.values[ID].integer, 8);
}

static void a_truncated_source_table_stops_the_partition(void **state)
{
    (void)state;
    assert_int_equal(decode(FORMAT_DEBEZIUM, "{\"id\":7}", "{\"op\":\"t\"}"), STATUS_STOP);
}

static void a_number_without_its_unit_is_refused(void **state)
{
    (void)state;
    assert_int_equal(decode(FORMAT_DEBEZIUM, "{\"id\":7}",
                            "{\"op\":\"c\",\"after\":{\"id\":7,\"at\":1486500577691}}"),
                     STATUS_REJECT);
    assert_non_null(strstr(err.text, "column \"at\": a number without its unit"));
}

static void a_column_that_the_schema_lacks_stops_the_partition(void **state)
{
    (void)state;
    assert_int_equal(decode(FORMAT_DEBEZIUM, "{\"id\":7}",
                            "{\"op\":\"c\",\"after\":{\"id\":7,\"shoe_size\":42}}"),
                     STATUS_STOP);
    assert_non_null(strstr(err.text, "\"shoe_size\""));
}

static void a_cloudevent_in_structured_mode_brings_its_key_of_idempotency(void **state)
{
    (void)state;
    assert_int_equal(decode(FORMAT_CLOUDEVENTS, "7",
                            "{\"specversion\":\"1.0\",\"id\":\"e-1\",\"source\":\"/crm\","
                            "\"type\":\"customer.updated\",\"time\":\"2026-01-01T00:00:00Z\","
                            "\"data\":{\"id\":7,\"email\":\"a@b.c\"}}"),
                     STATUS_OK);
    assert_true(slice_is(change.id, "e-1"));
    assert_true(slice_is(change.source, "/crm"));
    assert_int_equal(change.time_us, INT64_C(1767225600000000));
    assert_int_equal(change.op, CHANGE_UPDATE);
    assert_int_equal(change.values[PRICE].kind, VALUE_ABSENT);
    assert_int_equal(decode(FORMAT_CLOUDEVENTS, "7",
                            "{\"specversion\":\"1.0\",\"id\":\"e-2\",\"source\":\"/crm\","
                            "\"type\":\"customer.deleted\"}"),
                     STATUS_OK);
    assert_int_equal(change.op, CHANGE_DELETE);
    assert_int_equal(decode(FORMAT_CLOUDEVENTS, "7", "{\"specversion\":\"0.3\"}"), STATUS_REJECT);
    assert_true(slice_is(change.entity_key, "{\"id\":7}"));
}

static void a_plain_row_replaces_and_a_null_value_deletes(void **state)
{
    (void)state;
    assert_int_equal(decode(FORMAT_JSON, "{\"id\":7}", "{\"id\":7,\"email\":\"a@b.c\"}"),
                     STATUS_OK);
    assert_int_equal(change.op, CHANGE_CREATE);
    assert_text(EMAIL, "a@b.c");
    assert_int_equal(decode(FORMAT_JSON, "7", NULL), STATUS_OK);
    assert_int_equal(change.op, CHANGE_DELETE);
    assert_int_equal(decode(FORMAT_JSON, "7", "{\"id\":8}"), STATUS_REJECT);
    assert_int_equal(decode(FORMAT_JSON, "7", "[]"), STATUS_REJECT);
}

static void a_key_that_cannot_be_read_blocks_by_the_record_key(void **state)
{
    (void)state;
    assert_int_equal(decode(FORMAT_DEBEZIUM, "{\"nr\":7}", "{\"op\":\"d\"}"), STATUS_REJECT);
    assert_true(slice_is(change.entity_key, "{\"nr\":7}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_debezium_envelope_without_schema_is_a_change),
        TEST(a_debezium_envelope_with_schema_tells_the_units_of_its_numbers),
        TEST(decimals_of_any_size_are_read_from_their_bytes),
        TEST(each_field_of_debezium_is_right_or_refused),
        TEST(bytes_in_a_text_are_read_as_the_configuration_says),
        TEST(valid_json_that_cannot_be_read_is_not_called_otherwise),
        TEST(an_integer_that_no_double_can_hold_is_refused),
        TEST(an_unavailable_value_of_any_type_keeps_the_old_column),
        TEST(an_unavailable_value_keeps_the_old_column),
        TEST(a_debezium_delete_and_its_tombstone_delete_by_key),
        TEST(a_truncated_source_table_stops_the_partition),
        TEST(a_number_without_its_unit_is_refused),
        TEST(a_column_that_the_schema_lacks_stops_the_partition),
        TEST(a_cloudevent_in_structured_mode_brings_its_key_of_idempotency),
        TEST(a_plain_row_replaces_and_a_null_value_deletes),
        TEST(a_key_that_cannot_be_read_blocks_by_the_record_key),
    };
    int failed = TEST_RUN(tests);
    descriptions_free(descriptions);
    entity_schema_free(customer);
    arena_done(&arena);
    return failed;
}
