/* A parked record as JSON, for `keepstep parked --json` and for the page. */
#include "operate/parked.h"
#include "operate/refusal.h"
#include "schemas/json.h"
#include "tests/support/test.h"

static struct parked_record record_of(struct slice key, struct slice value, struct header *header)
{
    return (struct parked_record){.parked_id = 7,
                                  .state = PARKED_HELD,
                                  .entity_type = slice_of("order"),
                                  .entity_key = slice_of("{\"id\":1}"),
                                  .reason = slice_of("because"),
                                  .code = 275,
                                  .attempts = 2,
                                  .record = {.topic = "shop.order",
                                             .partition = 1,
                                             .offset = 9,
                                             .key = key,
                                             .value = value,
                                             .headers = header,
                                             .header_count = 1}};
}

/* @return the JSON of a record. It must be JSON. */
static json_t *shown(const struct parked_record *parked, bool whole, const struct refusal *refusal)
{
    struct buffer out;
    buffer_init(&out, 1 << 16);
    parked_append_json(parked, whole, refusal, &out);
    assert_false(out.failed);
    json_error_t why;
    json_t *json = json_loadb(out.data, out.length, JSON_ALLOW_NUL, &why);
    if (json == NULL)
        test_fail("%s: %s", why.text, buffer_text(&out));
    buffer_done(&out);
    return json;
}

static const char *text_of(const json_t *json, const char *name)
{
    return json_string_value(json_object_get(json, name));
}

static void a_record_is_shown_with_its_payload_only_on_request(void **state)
{
    struct header header = {slice_of("ce_id"), slice_of("e1")};
    struct parked_record parked = record_of(slice_of("k"), slice_of("{\"id\":1}"), &header);
    const struct refusal refusal = {.applied = 2, .behind = 1};
    (void)state;
    json_t *brief = shown(&parked, false, NULL);
    assert_string_equal(text_of(brief, "state"), "held");
    assert_true(json_is_null(json_object_get(brief, "other_copies")));
    assert_null(json_object_get(brief, "value"));
    json_t *whole = shown(&parked, true, &refusal);
    assert_string_equal(text_of(whole, "value"), "{\"id\":1}");
    assert_string_equal(text_of(json_object_get(whole, "headers"), "ce_id"), "e1");
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(whole, "other_copies"), "applied")), 2);
    json_decref(brief);
    json_decref(whole);
}

/* Foreign records hold any bytes, and none where a record is a tombstone. */
static void bytes_that_are_no_text_are_shown_as_such(void **state)
{
    struct header header = {slice_of("bytes\xFF"), {"\0\xC3\x28", 3}};
    struct parked_record parked = record_of((struct slice){"a\x80\xE2\x98\x83", 5},
                                            (struct slice){0}, &header);
    (void)state;
    parked.entity_type = slice_of("or\xFF"
                                  "der");
    json_t *json = shown(&parked, true, NULL);
    assert_string_equal(text_of(json, "entity_type"), "or\xEF\xBF\xBD"
                                                      "der");
    assert_string_equal(text_of(json, "key"), "a\xEF\xBF\xBD\xE2\x98\x83");
    assert_true(json_is_null(json_object_get(json, "value")));
    const json_t *value = json_object_get(json_object_get(json, "headers"), "bytes\xEF\xBF\xBD");
    assert_int_equal(json_string_length(value), 5);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_record_is_shown_with_its_payload_only_on_request),
        TEST(bytes_that_are_no_text_are_shown_as_such),
    };
    return TEST_RUN(tests);
}
