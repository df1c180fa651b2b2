/* Records that other programs write: Debezium's envelope, CloudEvents in structured mode, plain
 * rows. */
#include "tests/support/test.h"

#include "schemas/change.h"

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
    "\"active\":{\"type\":[\"boolean\",\"null\"]}}}"

enum { ID, EMAIL, PRICE, PHOTO, BORN, OPENS, AT, LOCAL, ACTIVE };

static struct entity_schema *customer;
static struct record_form form;
static struct arena arena;
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
    }
    arena_reset(&arena);
    error_clear(&err);
    form = (struct record_form){.format = format, .schema = customer};
    struct record record = {.form = &form,
                            .topic = "dbserver1.inventory.customers",
                            .key = slice_of(key),
                            .value = value == NULL ? (struct slice){0} : slice_of(value)};
    return record_decode(&record, NULL, NULL, &arena, &change, &err);
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
    entity_schema_free(customer);
    arena_done(&arena);
    return failed;
}
