/* How `keepstep publish` parses its input lines. */
#include "tests/support/test.h"

#include "schemas/change_line.h"

static struct arena arena;

static enum status take_apart(const char *line, struct change_line *ret_line, struct error *err)
{
    error_clear(err);
    arena_reset(&arena);
    return change_line_read(slice_of(line), &arena, ret_line, err);
}

static void members_keep_their_bytes_and_names_may_be_escaped(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct change_line line;
    arena_init(&arena, 1 << 20);
    assert_int_equal(
        take_apart(" {\"x\":[{\"after\":1},\"}\\\"\"], \"type\" : \"shop.order.updated\""
                   ",\"key\":{\"id\": 18446744073709551615},"
                   "\"\\u0061fter\": {\"n\":0.10000000000000000555, \"s\":\"a}\\\\\"} ,"
                   "\"before\":1e400,\"traceparent\":\"t\\u00e9\"}",
                   &line, &err),
        STATUS_REJECT); /* jansson cannot read 1e400 */
    assert_int_equal(
        take_apart(" {\"x\":[{\"after\":1},\"}\\\"\"], \"type\" : \"shop.order.updated\""
                   ",\"key\":{\"id\": 42},"
                   "\"\\u0061fter\": {\"n\":0.10000000000000000555, \"s\":\"a}\\\\\"} ,"
                   "\"before\":-9223372036854775808,\"traceparent\":\"t\\u00e9\"}",
                   &line, &err),
        STATUS_OK);
    assert_true(slice_is(line.entity_type, "shop.order"));
    assert_true(slice_is(line.type, "shop.order.updated"));
    assert_true(slice_is(line.key, "{\"id\": 42}"));
    assert_true(slice_is(line.traceparent, "t\xc3\xa9"));
    assert_null(line.partition_key.data);
    assert_true(slice_is(line.payload, "{\"op\":\"u\",\"before\":-9223372036854775808,\"after\":"
                                       "{\"n\":0.10000000000000000555, \"s\":\"a}\\\\\"}}"));
    arena_done(&arena);
}

static void the_key_may_be_bare_and_op_be_given(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct change_line line;
    arena_init(&arena, 1 << 20);
    assert_int_equal(take_apart("{\"op\":\"r\",\"type\":\"order.read\",\"key\":\"a\\\"b\","
                                "\"after\":null,\"partition_key\":7}",
                                &line, &err),
                     STATUS_OK);
    assert_true(slice_is(line.key, "a\"b"));
    assert_true(slice_is(line.partition_key, "7"));
    assert_true(slice_is(line.payload, "{\"op\":\"r\",\"before\":null,\"after\":null}"));
    assert_int_equal(take_apart("{\"key\":42,\"type\":\"order.deleted\"}", &line, &err), STATUS_OK);
    assert_true(slice_is(line.key, "42"));
    assert_true(slice_is(line.payload, "{\"op\":\"d\",\"before\":null,\"after\":null}"));
    arena_done(&arena);
}

static void what_is_no_change_is_refused(void **state)
{
    static const char *const lines[] = {"",
                                        "{",
                                        "[]",
                                        "42",
                                        "{}",
                                        "{\"type\":\"order.updated\"}",
                                        "{\"type\":\"order\",\"key\":1}",
                                        "{\"type\":\".updated\",\"key\":1}",
                                        "{\"type\":7,\"key\":1}",
                                        "{\"type\":\"a.read\",\"key\":null}",
                                        "{\"type\":\"a.read\",\"key\":1,\"key\":2}",
                                        "{\"type\":\"a.read\",\"key\":1} x"};
    (void)state;
    struct error err = ERROR_INIT;
    struct change_line line;
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_int_equal(take_apart(lines[i], &line, &err), STATUS_REJECT);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(members_keep_their_bytes_and_names_may_be_escaped),
        TEST(the_key_may_be_bare_and_op_be_given),
        TEST(what_is_no_change_is_refused),
    };
    return TEST_RUN(tests);
}
