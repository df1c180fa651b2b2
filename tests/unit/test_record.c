/* Reading and writing the wire format. */
#include "tests/support/test.h"

#include "schemas/change.h"
#include "schemas/json_schema/json_schema.h"
#include "schemas/record/write.h"

#include <glob.h>

#define ROW                                                                                        \
    "{\"type\":\"object\",\"x-keepstep-key\":[\"id\"],\"required\":[\"id\",\"total\"],"            \
    "\"additionalProperties\":false,\"properties\":{"                                              \
    "\"id\":{\"type\":\"integer\"},"                                                               \
    "\"total\":{\"type\":\"string\",\"x-keepstep-type\":\"decimal\"},"                             \
    "\"note\":{\"type\":[\"string\",\"null\"],\"maxLength\":5},"                                   \
    "\"raw\":{\"type\":\"string\",\"x-keepstep-type\":\"bytes\"},"                                 \
    "\"at\":{\"type\":\"string\",\"x-keepstep-type\":\"date-time\"},"                              \
    "\"extra\":{\"type\":\"string\",\"x-keepstep-type\":\"json\"},"                                \
    "\"day\":{\"type\":\"string\",\"x-keepstep-type\":\"date\"},"                                  \
    "\"clock\":{\"type\":\"string\",\"x-keepstep-type\":\"time\"},"                                \
    "\"local\":{\"type\":\"string\",\"x-keepstep-type\":\"timestamp\"},"                           \
    "\"price\":{\"type\":\"string\",\"x-keepstep-type\":\"decimal\",\"x-keepstep-precision\":5,"   \
    "\"x-keepstep-scale\":2},"                                                                     \
    "\"uuid\":{\"type\":\"string\",\"x-keepstep-type\":\"uuid\"}}}"

enum { ID, TOTAL, NOTE, RAW, AT, EXTRA, DAY, CLOCK, LOCAL, PRICE, UUID };

static struct entity_schema *order;
static struct arena arena;
static struct change change;
static struct error err;

static const struct entity_schema *find_order(void *context, struct slice entity_type)
{
    (void)context;
    return slice_is(entity_type, "order") ? order : NULL;
}

static void load_order(void)
{
    if (order != NULL)
        return;
    const char *folder = test_directory_shared();
    test_write_file(test_format("%s/order.schema.json", folder), ROW);
    error_clear(&err);
    if (entity_schema_new(folder, "order", &order, &err) != STATUS_OK)
        test_fail("%s", err.text);
    arena_init(&arena, (size_t)1024 * 1024);
}

static enum status decode(const struct header *headers, size_t count, const char *key,
                          const char *value)
{
    load_order();
    arena_reset(&arena);
    error_clear(&err);
    struct record record = {.topic = "order",
                            .key = slice_of(key),
                            .value = slice_of(value),
                            .headers = headers,
                            .header_count = count};
    const struct decoder decoder = {{find_order, NULL}, &arena, NULL};
    return record_decode(&record, &decoder, &change, &err);
}

static enum status decode_plain(const char *key, const char *value)
{
    struct header type = {slice_of("ce_type"), slice_of("order.updated")};
    return decode(&type, 1, key, value);
}

/* A batch holds thousands of changes: what is read on the way must not stay with them. */
static void a_change_keeps_its_record_once_and_one_value_for_each_column(void **state)
{
    (void)state;
    const char *key = "{\"id\":42}";
    const char *value = "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":42,\"note\":\"x\"}}";
    const size_t rounding = 4 * sizeof(max_align_t); /* much less than a second row of values */
    assert_int_equal(decode_plain(key, value), STATUS_OK);
    size_t bytes = sizeof "order" + sizeof "order.updated" + strlen(key) + strlen(value) + 2;
    size_t needed = sizeof(struct header) + bytes + order->column_count * sizeof(struct value);
    assert_true(arena.used <= needed + rounding);

    assert_int_equal(decode_plain(key, "{\"op\":\"d\"}"), STATUS_OK);
    assert_int_equal(change.op, CHANGE_DELETE);
    assert_int_equal(change.values[ID].integer, 42);
    assert_int_equal(change.values[NOTE].kind, VALUE_ABSENT);
    assert_true(arena.used <= needed + rounding);
}

static void a_create_is_decoded_to_plain_values(void **state)
{
    (void)state;
    assert_int_equal(decode_plain("{\"id\":42}",
                                  "{\"op\":\"c\",\"after\":{\"id\":42,\"total\":\"1.50\","
                                  "\"raw\":\"00fF\",\"at\":\"2026-01-01T01:00:00+01:00\","
                                  "\"extra\":\"[1]\"}}"),
                     STATUS_OK);
    assert_int_equal(change.op, CHANGE_CREATE);
    assert_int_equal(change.values[ID].integer, 42);
    assert_int_equal(change.values[NOTE].kind, VALUE_NULL);
    assert_true(slice_equal(change.values[RAW].text, (struct slice){"\0\xff", 2}));
    assert_true(slice_is(change.values[AT].text, "2026-01-01T00:00:00.000000Z"));
    assert_true(slice_is(change.entity_key, "{\"id\":42}"));
}

static enum status decode_column(const char *name, const char *text)
{
    return decode_plain(
        "{\"id\":42}",
        test_format("{\"op\":\"c\",\"after\":{\"id\":42,\"total\":\"1\",\"%s\":\"%s\"}}", name,
                    text));
}

static void a_decimal_with_more_digits_than_its_column_is_refused(void **state)
{
    (void)state;
    assert_int_equal(decode_column("price", "-999.99"), STATUS_OK);
    assert_int_equal(decode_column("price", "0.10"), STATUS_OK);
    assert_int_equal(decode_column("price", "1000"), STATUS_REJECT);
    assert_int_equal(decode_column("price", "0.105"), STATUS_REJECT);
    assert_non_null(strstr(err.text, "more digits than 5, 2 of them behind the point"));
}

static void dates_times_and_uuids_have_one_canonical_form_and_nothing_else_is_taken(void **state)
{
    (void)state;
    assert_int_equal(decode_column("day", "1969-02-28"), STATUS_OK);
    assert_true(slice_is(change.values[DAY].text, "1969-02-28"));
    assert_int_equal(decode_column("day", "1969-02-29"), STATUS_REJECT);
    assert_int_equal(decode_column("day", "1969-02-28T00:00:00Z"), STATUS_REJECT);
    assert_int_equal(decode_column("clock", "23:59:59.5"), STATUS_OK);
    assert_true(slice_is(change.values[CLOCK].text, "23:59:59.500000"));
    assert_int_equal(decode_column("clock", "09:42:00.123456000"), STATUS_OK);
    assert_int_equal(decode_column("clock", "09:42:00.1234567"), STATUS_REJECT);
    assert_non_null(strstr(err.text, "whole microseconds"));
    assert_int_equal(decode_column("clock", "24:00:00"), STATUS_REJECT);
    assert_int_equal(decode_column("clock", "10:00:00+01:00"), STATUS_REJECT);
    assert_int_equal(decode_column("local", "2026-01-01 01:02:03"), STATUS_OK);
    assert_true(slice_is(change.values[LOCAL].text, "2026-01-01T01:02:03.000000"));
    assert_int_equal(decode_column("local", "2026-01-01T01:02:03Z"), STATUS_REJECT);
    assert_int_equal(decode_column("uuid", "01942f6e-0000-7000-8000-00000000002a"), STATUS_OK);
    assert_int_equal(decode_column("uuid", "01942F6E-0000-7000-8000-00000000002A"), STATUS_REJECT);
}

static void an_update_may_lack_columns(void **state)
{
    (void)state;
    assert_int_equal(decode_plain("42", "{\"op\":\"u\",\"after\":{\"id\":42,\"note\":\"x\"}}"),
                     STATUS_OK);
    assert_int_equal(change.values[TOTAL].kind, VALUE_ABSENT);
    assert_int_equal(change.values[NOTE].kind, VALUE_TEXT);
}

static void a_create_that_lacks_a_required_column_is_rejected(void **state)
{
    (void)state;
    assert_int_equal(decode_plain("42", "{\"op\":\"c\",\"after\":{\"id\":42}}"), STATUS_REJECT);
    assert_true(slice_is(change.entity_key, "{\"id\":42}"));
}

static void a_null_value_deletes_by_key(void **state)
{
    (void)state;
    assert_int_equal(decode_plain("{\"id\":7}", NULL), STATUS_OK);
    assert_int_equal(change.op, CHANGE_DELETE);
    assert_int_equal(change.values[ID].integer, 7);
}

static void an_unknown_column_stops_and_is_named(void **state)
{
    (void)state;
    assert_int_equal(decode_plain("1", "{\"op\":\"u\",\"after\":{\"id\":1,\"colour\":\"red\"}}"),
                     STATUS_STOP);
    assert_non_null(strstr(err.text, "colour"));
}

static void bad_values_are_rejected(void **state)
{
    static const char *const bad[] = {
        "{",
        "[]",
        "{\"op\":\"x\"}",
        "{\"op\":\"u\",\"after\":null}",
        "{\"op\":\"u\",\"after\":{\"id\":2}}",
        "{\"op\":\"u\",\"after\":{\"id\":1,\"id\":1}}",
        "{\"op\":\"u\",\"after\":{\"id\":1,\"total\":1}}",
        "{\"op\":\"u\",\"after\":{\"id\":1,\"total\":\"01\"}}",
        "{\"op\":\"u\",\"after\":{\"id\":1,\"total\":null}}",
        "{\"op\":\"u\",\"after\":{\"id\":1,\"note\":\"123456\"}}",
        "{\"op\":\"u\",\"after\":{\"id\":1,\"raw\":\"0\"}}",
        "{\"op\":\"u\",\"after\":{\"id\":1,\"at\":\"today\"}}",
        "{\"op\":\"u\",\"after\":{\"id\":1,\"extra\":\"{\"}}",
        "{\"op\":\"u\",\"after\":{\"id\":99999999999999999999}}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (decode_plain("1", bad[i]) != STATUS_REJECT)
            test_fail("%s: %s %s", bad[i], status_name(err.status), err.text);
    }
}

static void a_missing_type_and_a_wrong_key_are_rejected(void **state)
{
    (void)state;
    assert_int_equal(decode(NULL, 0, "1", "{}"), STATUS_REJECT);
    assert_int_equal(decode_plain("{\"no\":1}", NULL), STATUS_REJECT);
    assert_int_equal(decode_plain(NULL, NULL), STATUS_REJECT);
}

static void what_the_relay_writes_is_read_back(void **state)
{
    (void)state;
    struct header *headers = NULL;
    size_t count = 0;
    struct record_head head = {.origin = slice_of("shop"),
                               .incarnation = slice_of("i"),
                               .sequence = 12,
                               .changeset_end = 14,
                               .id = slice_of("b"),
                               .previous_id = slice_of("a"),
                               .type = slice_of("order.updated"),
                               .created_at = slice_of("1970-01-01T00:00:01Z"),
                               .kind = KIND_VOID};
    struct arena own;
    arena_init(&own, 65536);
    error_clear(&err);
    assert_int_equal(record_headers_build(&head, &own, &headers, &count, &err), STATUS_OK);
    assert_int_equal(decode(headers, count, "{\"id\":1}", "not looked at"), STATUS_OK);
    assert_int_equal(change.kind, KIND_VOID);
    assert_int_equal(change.sequence, 12);
    assert_int_equal(change.changeset_end, 14);
    assert_int_equal(change.time_us, 1000000);
    assert_true(slice_is(change.previous_id, "a"));
    assert_true(slice_is(change.entity_key, "{\"id\":1}"));

    struct header *back = NULL;
    size_t back_count = 0;
    struct slice blob = headers_pack(headers, count, &own);
    assert_int_equal(headers_unpack(blob, &own, &back, &back_count, &err), STATUS_OK);
    assert_int_equal(back_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_true(slice_equal(back[i].name, headers[i].name));
        assert_true(slice_equal(back[i].value, headers[i].value));
    }
    blob.length--;
    assert_int_equal(headers_unpack(blob, &own, &back, &back_count, &err), STATUS_FATAL);
    arena_done(&own);
}

static void a_sequence_is_written_in_twenty_digits(void **state)
{
    static const uint64_t sequences[] = {1, 90, UINT64_C(10000000000000000000), UINT64_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++) {
        struct header *headers = NULL;
        size_t count = 0;
        struct record_head head = {.sequence = sequences[i], .kind = KIND_CHANGE};
        struct arena own;
        arena_init(&own, 65536);
        error_clear(&err);
        assert_int_equal(record_headers_build(&head, &own, &headers, &count, &err), STATUS_OK);
        const char *wanted = test_format("%020llu", (unsigned long long)sequences[i]);
        bool found = false;
        for (size_t j = 0; j < count; j++)
            found = found || (slice_is(headers[j].name, "ce_sequence") &&
                              slice_is(headers[j].value, wanted));
        assert_true(found);
        arena_done(&own);
    }
}

static void the_end_of_a_set_is_a_number_of_twenty_digits_not_below_the_sequence(void **state)
{
    static const struct {
        const char *changeset;
        enum status wanted;
        uint64_t end;
        const char *reason;
    } cases[] = {
        {NULL, STATUS_OK, 0, NULL},
        {"00000000000000000012", STATUS_OK, 12, NULL},
        {"18446744073709551615", STATUS_OK, UINT64_MAX, NULL},
        {"00000000000000000011", STATUS_STOP, 0, "ce_changeset is less than ce_sequence"},
        {"00000000000000000000", STATUS_STOP, 0, "ce_changeset is not a number of 20 digits"},
        {"18446744073709551616", STATUS_STOP, 0, "ce_changeset is not a number of 20 digits"},
        {"0000000000000000012", STATUS_STOP, 0, "ce_changeset is not a number of 20 digits"},
        {"000000000000000000012", STATUS_STOP, 0, "ce_changeset is not a number of 20 digits"},
        {"+0000000000000000012", STATUS_STOP, 0, "ce_changeset is not a number of 20 digits"},
        {"", STATUS_STOP, 0, "ce_changeset is not a number of 20 digits"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct header headers[] = {
            {slice_of("ce_type"), slice_of("order.deleted")},
            {slice_of("ce_id"), slice_of("b")},
            {slice_of("ce_source"), slice_of("shop")},
            {slice_of("ce_protocol"), slice_of("1")},
            {slice_of("ce_incarnation"), slice_of("i")},
            {slice_of("ce_previousid"), slice_of("a")},
            {slice_of("ce_sequence"), slice_of("00000000000000000012")},
            {slice_of("ce_changeset"), slice_of(cases[i].changeset)},
        };
        size_t count = sizeof headers / sizeof *headers - (cases[i].changeset == NULL);
        if (decode(headers, count, "{\"id\":1}", NULL) != cases[i].wanted)
            test_fail("%s: %s", cases[i].changeset, err.text);
        if (cases[i].wanted == STATUS_OK)
            assert_int_equal(change.changeset_end, cases[i].end);
        else
            assert_non_null(strstr(err.text, cases[i].reason));
    }
    struct header alone[] = {{slice_of("ce_type"), slice_of("order.deleted")},
                             {slice_of("ce_changeset"), slice_of("00000000000000000012")}};
    assert_int_equal(decode(alone, 2, "{\"id\":1}", NULL), STATUS_STOP);
    assert_non_null(strstr(err.text, "ce_changeset without ce_incarnation"));
}

static void another_protocol_or_kind_stops(void **state)
{
    (void)state;
    struct header protocol[] = {{slice_of("ce_type"), slice_of("order.updated")},
                                {slice_of("ce_protocol"), slice_of("2")}};
    struct header kind[] = {{slice_of("ce_type"), slice_of("order.updated")},
                            {slice_of("ce_kind"), slice_of("riddle")}};
    assert_int_equal(decode(protocol, 2, "1", "{}"), STATUS_STOP);
    assert_int_equal(decode(kind, 2, "1", "{}"), STATUS_STOP);
}

static void a_record_with_more_headers_than_are_read_stops_with_all_it_has(void **state)
{
    (void)state;
    struct header headers[RECORD_HEADERS_READ + 1];
    for (size_t i = 0; i < RECORD_HEADERS_READ + 1; i++)
        headers[i] = (struct header){slice_of("baggage"), slice_of("x")};
    headers[RECORD_HEADERS_READ - 1] = (struct header){slice_of("ce_type"),
                                                       slice_of("order.deleted")};
    assert_int_equal(decode(headers, RECORD_HEADERS_READ, "{\"id\":1}", NULL), STATUS_OK);
    assert_int_equal(change.op, CHANGE_DELETE);
    assert_int_equal(decode(headers, RECORD_HEADERS_READ + 1, "{\"id\":1}", NULL), STATUS_STOP);
    assert_int_equal(change.record.header_count, RECORD_HEADERS_READ + 1);
}

static void an_unknown_entity_type_is_left_to_the_caller(void **state)
{
    (void)state;
    struct header type = {slice_of("ce_type"), slice_of("shop.parcel.created")};
    assert_int_equal(decode(&type, 1, "k", "{}"), STATUS_OK);
    assert_null(change.schema);
    assert_true(slice_is(change.entity_type, "shop.parcel"));
}

static void a_payload_is_judged_as_the_reader_will(void **state)
{
    (void)state;
    load_order();
    error_clear(&err);
    struct slice payload = slice_of("{\"op\":\"c\",\"after\":{\"id\":1,\"total\":\"1\"}}");
    assert_int_equal(payload_validate(order, payload, slice_of("1"), &err), STATUS_OK);
    assert_int_equal(payload_validate(order, payload, slice_of("2"), &err), STATUS_REJECT);
    error_clear(&err);
    payload = slice_of("{\"op\":\"c\",\"after\":{\"id\":1,\"zip\":1}}");
    assert_int_equal(payload_validate(order, payload, slice_of("1"), &err), STATUS_REJECT);
    assert_int_equal(err.status, STATUS_REJECT);
}

static void judge_examples(const char *folder, enum status wanted)
{
    glob_t found;
    struct json_schema *schema = NULL;
    error_clear(&err);
    if (json_schema_new_from_file(KEEPSTEP_SOURCE_DIR "/schemas/change_event.schema.json", NULL,
                                  &schema, &err) != STATUS_OK)
        test_fail("%s", err.text);
    const char *pattern = test_format(KEEPSTEP_SOURCE_DIR "/schemas/examples/%s/*.json", folder);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *text = test_read_file(found.gl_pathv[i]);
        json_t *json = json_loads(text, JSON_LOAD_FLAGS, NULL);
        error_clear(&err);
        if (json_schema_validate(schema, json, &err) != wanted)
            test_fail("%s: the schema differs: %s", found.gl_pathv[i], err.text);
        if (decode_plain("42", text) != wanted)
            test_fail("%s: the reader differs: %s", found.gl_pathv[i], err.text);
        json_decref(json);
    }
    globfree(&found);
    json_schema_free(schema);
}

static void the_examples_are_judged_alike_by_schema_and_reader(void **state)
{
    (void)state;
    judge_examples("valid", STATUS_OK);
    judge_examples("invalid", STATUS_REJECT);
}

/* Each column type, with each of its values, with NULL, and left out. */
static void a_change_that_is_written_again_reads_the_same(void **state)
{
    static const char *const rows[] = {
        "{\"id\":-9223372036854775808,\"total\":\"-12.50\",\"note\":\"a\\\"\\u0001\\\\\",\"raw\":"
        "\"00FF\",\"at\":\"2026-01-01T01:00:00.123456Z\",\"extra\":\"{\\\"a\\\":1}\",\"day\":"
        "\"2026-01-01\",\"clock\":\"01:02:03.000004\",\"local\":\"2026-01-01T01:00:00.000000\","
        "\"price\":\"1.25\",\"uuid\":\"01942f6e-0000-7000-8000-00000000002a\"}",
        "{\"id\":9007199254740993,\"note\":null,\"raw\":\"\"}"};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *key = i == 0 ? "{\"id\":-9223372036854775808}" : "{\"id\":9007199254740993}";
        struct buffer again;
        buffer_init(&again, 10000);
        assert_int_equal(
            decode_plain(key, test_format("{\"op\":\"u\",\"before\":null,\"after\":%s}", rows[i])),
            STATUS_OK);
        record_value_write(&change, &again);
        const char *first = test_format("%s", buffer_text(&again));
        assert_int_equal(decode_plain(key, first), STATUS_OK);
        buffer_reset(&again);
        record_value_write(&change, &again);
        assert_string_equal(buffer_text(&again), first);
        if (i == 1)
            assert_string_equal(
                first, test_format("{\"op\":\"u\",\"before\":null,\"after\":%s}", rows[i]));
        buffer_done(&again);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_change_keeps_its_record_once_and_one_value_for_each_column),
        TEST(a_create_is_decoded_to_plain_values),
        TEST(a_decimal_with_more_digits_than_its_column_is_refused),
        TEST(dates_times_and_uuids_have_one_canonical_form_and_nothing_else_is_taken),
        TEST(an_update_may_lack_columns),
        TEST(a_create_that_lacks_a_required_column_is_rejected),
        TEST(a_null_value_deletes_by_key),
        TEST(an_unknown_column_stops_and_is_named),
        TEST(bad_values_are_rejected),
        TEST(a_missing_type_and_a_wrong_key_are_rejected),
        TEST(what_the_relay_writes_is_read_back),
        TEST(a_sequence_is_written_in_twenty_digits),
        TEST(the_end_of_a_set_is_a_number_of_twenty_digits_not_below_the_sequence),
        TEST(another_protocol_or_kind_stops),
        TEST(a_record_with_more_headers_than_are_read_stops_with_all_it_has),
        TEST(an_unknown_entity_type_is_left_to_the_caller),
        TEST(a_payload_is_judged_as_the_reader_will),
        TEST(the_examples_are_judged_alike_by_schema_and_reader),
        TEST(a_change_that_is_written_again_reads_the_same),
    };
    int result = TEST_RUN(tests);
    entity_schema_free(order);
    arena_done(&arena);
    return result;
}
