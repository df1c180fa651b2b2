/* What `keepstep tail` reads on its command line, and how it shows records. */
#include "operate/tail_print.h"
#include "schemas/change_text.h"
#include "tests/support/test.h"

static void a_start_is_a_word_an_offset_or_a_time(void **state)
{
    static const char *const wrong[] = {
        "",     "-1",   "begin", "1x",  "99999999999999999999", " 1", "+1", "2026-11-30",
        "end ", "0x10", "--",    "1 2", "2026-11-30T01:02:03"};
    struct tail_start start = {0};
    (void)state;
    assert_true(tail_start_read("beginning", &start));
    assert_int_equal(start.from, TAIL_BEGINNING);
    assert_true(tail_start_read("end", &start));
    assert_int_equal(start.from, TAIL_END);
    assert_true(tail_start_read("0", &start));
    assert_int_equal(start.from, TAIL_OFFSET);
    assert_int_equal(start.value, 0);
    assert_true(tail_start_read("9223372036854775807", &start));
    assert_int_equal(start.value, INT64_MAX);
    assert_true(tail_start_read("2026-11-30T03:02:03.000004+02:00", &start));
    assert_int_equal(start.from, TAIL_TIME);
    assert_int_equal(start.value, INT64_C(1796000523000004));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (tail_start_read(wrong[i], &start))
            test_fail("\"%s\" was read as a start", wrong[i]);
    }
}

static void expect_text(const char *value, const char *text)
{
    struct buffer out;
    buffer_init(&out, 65536);
    change_text_append(value == NULL ? (struct slice){0} : slice_of(value), &out);
    assert_string_equal(buffer_text(&out), text);
    buffer_done(&out);
}

static void only_what_a_change_changes_is_shown(void **state)
{
    (void)state;
    expect_text("{\"op\":\"u\",\"before\":{\"id\":1,\"a\":\"x\",\"b\":null},"
                "\"after\":{\"id\":1,\"a\":\"y\",\"b\":null}}",
                "a: \"x\" -> \"y\"");
    expect_text("{\"op\":\"c\",\"before\":null,\"after\":{\"id\":1,\"a\":\"y\"}}",
                "id: 1, a: \"y\"");
    expect_text("{\"op\":\"d\",\"before\":{\"id\":1},\"after\":null}", "id: 1");
    expect_text("{\"schema\":{},\"payload\":{\"op\":\"u\",\"before\":null,\"after\":{\"id\":7}}}",
                "id: 7");
    expect_text("{\"id\":1,\"name\":\"alone\"}", "id: 1, name: \"alone\"");
    expect_text("not JSON", "");
    expect_text("[1,2]", "");
    expect_text(NULL, "");
}

static void a_long_value_is_cut_between_two_characters(void **state)
{
    struct buffer value;
    struct buffer out;
    (void)state;
    buffer_init(&value, 65536);
    buffer_init(&out, 65536);
    buffer_append_text(&value, "{\"a\":\"");
    for (int i = 0; i < 100; i++)
        buffer_append_text(&value, "\xc3\xa4");
    buffer_append_text(&value, "\"}");
    change_text_append(buffer_slice(&value), &out);
    assert_int_equal(out.length, sizeof "a: " - 1 + 59 + sizeof "..." - 1);
    buffer_done(&value);
    buffer_done(&out);
}

static void bytes_that_are_no_text_are_shown_in_base64(void **state)
{
    static const struct header headers[] = {{{"n", 1}, {"\xff", 1}}, {{"a\"b", 3}, {"v", 1}}};
    const struct tail_record tail = {.record = {.topic = "order",
                                                .partition = 2,
                                                .offset = 7,
                                                .time_us = 5000,
                                                .key = {"k", 1},
                                                .value = {"\xff\x00", 2},
                                                .headers = headers,
                                                .header_count = 2},
                                     .time_type = "create",
                                     .broker = 1};
    const struct change change = {.record = tail.record};
    const struct tail_shown shown = {&tail, &change, "not \x1bJSON"};
    struct buffer out;
    (void)state;
    buffer_init(&out, 65536);
    tail_append_json(&shown, &out);
    assert_string_equal(
        buffer_text(&out),
        "{\"topic\":\"order\",\"partition\":2,\"offset\":7,\"tstype\":\"create\",\"ts\":5,"
        "\"broker\":1,\"headers\":{\"n_base64\":\"/w==\",\"a\\\"b\":\"v\"},\"key\":\"k\","
        "\"payload_base64\":\"/wA=\",\"keepstep\":{\"what\":\"UNREADABLE\",\"entity_type\":null,"
        "\"entity_key\":null,\"event_id\":null,\"source\":null,\"incarnation\":null,\"sequence\":"
        "null,"
        "\"created_at\":null,\"error\":\"not \\u001bJSON\"}}\n");
    buffer_reset(&out);
    tail_append_text(&shown, &out);
    assert_string_equal(buffer_text(&out), "1970-01-01T00:00:00.005000Z  UNREADABLE  k  not ?JSON"
                                           "  order [2] at 7\n");
    buffer_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_start_is_a_word_an_offset_or_a_time),
        TEST(only_what_a_change_changes_is_shown),
        TEST(a_long_value_is_cut_between_two_characters),
        TEST(bytes_that_are_no_text_are_shown_in_base64),
    };
    return TEST_RUN(tests);
}
