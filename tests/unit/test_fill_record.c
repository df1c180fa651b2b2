/* The parts of a fill: what is written is read, and nothing else is taken. */
#include "schemas/fill_record.h"
#include "tests/support/test.h"

#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define ARENA_BYTES  ((size_t)1024 * 1024)
#define ID           "01942f6e-0000-7000-8000-00000000002a"
#define BEGIN_HEAD                                                                                 \
    "{\"v\":1,\"id\":\"" ID "\",\"topic\":\"x.order\",\"source\":\"shop\",\"cluster\":\"c\""
#define BEGIN                                                                                      \
    BEGIN_HEAD ",\"types\":[\"order\",\"line\"],\"stamp\":[[7,6,\"e6\"],[0,-1,\"\"]],"             \
               "\"sequences\":[[0,\"shop\",\"" ID "\",1,4,\"e6\",\"\"]]}"
#define ROW FILL_ROW_HEAD "{\"id\":7}" FILL_ROW_TAIL

struct world {
    struct arena arena;
    struct error err;
    struct record record;
};

static void world_begin(struct world *world, const char *value)
{
    *world = (struct world){.err = ERROR_INIT, .record = {.value = slice_of(value)}};
    arena_init(&world->arena, ARENA_BYTES);
}

static void a_begin_reads_as_it_was_written(void **state)
{
    struct world world;
    struct fill_begin begin;
    struct buffer out;
    (void)state;
    world_begin(&world, BEGIN);
    buffer_init(&out, FILL_RECORD_BYTES_MAX);
    if (fill_begin_read(&world.record, &world.arena, &begin, &world.err) != STATUS_OK)
        test_fail("%s", world.err.text);
    assert_string_equal(begin.id, ID);
    assert_string_equal(begin.topic, "x.order");
    assert_string_equal(begin.source, "shop");
    assert_int_equal(begin.type_count, 2);
    assert_string_equal(begin.types[1], "line");
    assert_int_equal(begin.partition_count, 2);
    assert_int_equal(begin.positions[0].anchor_offset, 6);
    assert_string_equal(begin.positions[0].anchor_id, "e6");
    assert_int_equal(begin.positions[1].anchor_offset, -1);
    assert_int_equal(begin.sequence_count, 1);
    assert_int_equal(begin.sequences[0].last, 4);
    assert_null(begin.sequences[0].digests);
    fill_begin_append(&begin, &out);
    assert_string_equal(buffer_text(&out), BEGIN);
    buffer_done(&out);
    arena_done(&world.arena);
}

static void digests_are_taken_along(void **state)
{
    struct world world;
    struct fill_begin begin;
    struct buffer out;
    uint32_t digests[FILL_DIGESTS] = {0xdeadbeef, 1};
    const struct fill_position position = {.next_offset = 3, .anchor_offset = -1, .anchor_id = ""};
    const struct fill_sequence sequence = {0, "shop", ID, 3, 9, "e9", digests};
    const struct fill_begin written = {.id = ID,
                                       .topic = "t",
                                       .source = "shop",
                                       .cluster_id = "",
                                       .positions = &position,
                                       .partition_count = 1,
                                       .sequences = &sequence,
                                       .sequence_count = 1};
    (void)state;
    digests[FILL_DIGESTS - 1] = UINT32_MAX;
    world_begin(&world, "");
    buffer_init(&out, FILL_RECORD_BYTES_MAX);
    fill_begin_append(&written, &out);
    world.record.value = buffer_slice(&out);
    if (fill_begin_read(&world.record, &world.arena, &begin, &world.err) != STATUS_OK)
        test_fail("%s", world.err.text);
    assert_memory_equal(begin.sequences[0].digests, digests, sizeof digests);
    buffer_done(&out);
    arena_done(&world.arena);
}

static void a_begin_of_another_form_is_refused(void **state)
{
    static const char *const others[] = {
        "",
        "[]",
        "{\"v\":2}",
        "{\"v\":1,\"id\":\"short\",\"topic\":\"t\",\"source\":\"s\",\"cluster\":\"\",\"types\":[],"
        "\"stamp\":[[0,-1,\"\"]],\"sequences\":[]}",
        BEGIN_HEAD ",\"types\":[1],\"stamp\":[[0,-1,\"\"]],\"sequences\":[]}",
        BEGIN_HEAD ",\"types\":[],\"stamp\":[],\"sequences\":[]}",
        BEGIN_HEAD ",\"types\":[],\"stamp\":[[-1,-1,\"\"]],\"sequences\":[]}",
        BEGIN_HEAD ",\"types\":[],\"stamp\":[[0,-1]],\"sequences\":[]}",
        BEGIN_HEAD ",\"types\":[],\"stamp\":[[0,-1,\"\"]],\"sequences\":[[1,\"s\",\"i\",1,2,\"e\","
                   "\"\"]]}",
        BEGIN_HEAD ",\"types\":[],\"stamp\":[[0,-1,\"\"]],\"sequences\":[[0,\"s\",\"i\",9,2,\"e\","
                   "\"\"]]}",
        BEGIN_HEAD ",\"types\":[],\"stamp\":[[0,-1,\"\"]],\"sequences\":[[0,\"s\",\"i\",1,2,\"e\","
                   "\"0a\"]]}",
    };
    struct fill_begin begin;
    (void)state;
    for (size_t i = 0; i < COUNT(others); i++) {
        struct world world;
        world_begin(&world, others[i]);
        if (fill_begin_read(&world.record, &world.arena, &begin, &world.err) != STATUS_REJECT)
            test_fail("taken: %s", others[i]);
        arena_done(&world.arena);
    }
}

static void the_headers_say_what_a_part_is(void **state)
{
    const struct fill_head written = {slice_of(ID), FILL_PART_ROW, 12, slice_of("shop.order")};
    struct fill_headers headers;
    struct fill_head head;
    struct fill_row row;
    struct world world;
    (void)state;
    world_begin(&world, ROW);
    assert_int_equal(fill_head_write(&written, &headers, &world.err), STATUS_OK);
    world.record.headers = headers.headers;
    world.record.header_count = headers.count;
    world.record.key = slice_of("{\"id\":7}");
    if (fill_head_read(&world.record, &head, &world.err) != STATUS_OK)
        test_fail("%s", world.err.text);
    assert_true(slice_is(head.id, ID));
    assert_int_equal(head.part, FILL_PART_ROW);
    assert_int_equal(head.number, 12);
    if (fill_row_read(&world.record, &row, &world.err) != STATUS_OK)
        test_fail("%s", world.err.text);
    assert_true(slice_is(row.entity_type, "shop.order"));
    assert_true(slice_is(row.json, "{\"id\":7}"));
    assert_true(slice_is(row.value, ROW));
    for (size_t i = 0; i < headers.count; i++) {
        struct header kept = headers.headers[i];
        headers.headers[i].value = slice_of("x");
        assert_int_equal(fill_head_read(&world.record, &head, NULL), STATUS_REJECT);
        headers.headers[i] = kept;
    }
    world.record.value = slice_of("{\"op\":\"u\",\"before\":null,\"after\":{}}");
    assert_int_equal(fill_row_read(&world.record, &row, NULL), STATUS_REJECT);
    arena_done(&world.arena);
}

static void keys_read_as_they_were_written(void **state)
{
    const struct fill_key written[] = {{slice_of("crm"), slice_of("a\"b"), UINT64_MAX},
                                       {slice_of("erp"), slice_of("2"), 5}};
    struct fill_key *keys = NULL;
    size_t count = 0;
    struct world world;
    struct buffer out;
    (void)state;
    world_begin(&world, "");
    buffer_init(&out, FILL_RECORD_BYTES_MAX);
    fill_keys_append(written, COUNT(written), &out);
    world.record.value = buffer_slice(&out);
    if (fill_keys_read(&world.record, &world.arena, &keys, &count, &world.err) != STATUS_OK)
        test_fail("%s", world.err.text);
    assert_int_equal(count, 2);
    assert_true(slice_is(keys[0].id, "a\"b"));
    assert_true(keys[0].digest == UINT64_MAX && keys[1].digest == 5);
    world.record.value = slice_of("{\"v\":1,\"keys\":[[\"crm\",\"1\",\"5\"]]}");
    assert_int_equal(fill_keys_read(&world.record, &world.arena, &keys, &count, NULL),
                     STATUS_REJECT);
    buffer_done(&out);
    arena_done(&world.arena);
}

static void an_end_reads_as_it_was_written(void **state)
{
    const int64_t filled_to[] = {104950, 0};
    const struct fill_end written = {10000000, UINT64_C(0xfedcba9876543210), filled_to, 2};
    struct fill_end end;
    struct world world;
    struct buffer out;
    (void)state;
    world_begin(&world, "");
    buffer_init(&out, FILL_RECORD_BYTES_MAX);
    fill_end_append(&written, &out);
    world.record.value = buffer_slice(&out);
    if (fill_end_read(&world.record, &world.arena, &end, &world.err) != STATUS_OK)
        test_fail("%s", world.err.text);
    assert_int_equal(end.rows, 10000000);
    assert_true(end.digest == written.digest);
    assert_int_equal(end.partition_count, 2);
    assert_int_equal(end.filled_to[0], 104950);
    buffer_done(&out);
    arena_done(&world.arena);
}

static void a_reason_can_be_read_whatever_is_in_it(void **state)
{
    const char *reason = NULL;
    struct world world;
    struct buffer out;
    (void)state;
    world_begin(&world, "");
    buffer_init(&out, FILL_RECORD_BYTES_MAX);
    fill_reason_append("order {\"id\":\"n\xc3\"} is set aside", &out);
    world.record.value = buffer_slice(&out);
    if (fill_reason_read(&world.record, &world.arena, &reason, &world.err) != STATUS_OK)
        test_fail("%s", world.err.text);
    assert_string_equal(reason, "order {\"id\":\"n?\"} is set aside");
    buffer_done(&out);
    arena_done(&world.arena);
}

static void the_order_of_rows_does_not_count_but_each_byte_does(void **state)
{
    const struct fill_row first = {.entity_type = slice_of("order"),
                                   .key = slice_of("{\"id\":1}"),
                                   .json = slice_of("{\"id\":1}")};
    const struct fill_row second = {.entity_type = slice_of("order"),
                                    .key = slice_of("{\"id\":2}"),
                                    .json = slice_of("{\"id\":2}")};
    const struct fill_key key = {slice_of("crm"), slice_of("1"), 1};
    struct fill_row changed = second;
    struct fill_sums one = {0};
    struct fill_sums other = {0};
    (void)state;
    fill_sums_add_row(&one, &first);
    fill_sums_add_row(&one, &second);
    fill_sums_add_key(&one, &key);
    fill_sums_add_row(&other, &second);
    fill_sums_add_key(&other, &key);
    fill_sums_add_row(&other, &first);
    struct fill_end end = {.rows = one.rows, .digest = one.digest};
    assert_true(fill_sums_match(&other, &end));
    changed.json = slice_of("{\"id\":3}");
    other = (struct fill_sums){0};
    fill_sums_add_row(&other, &changed);
    fill_sums_add_key(&other, &key);
    fill_sums_add_row(&other, &first);
    assert_false(fill_sums_match(&other, &end));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_begin_reads_as_it_was_written),
        TEST(digests_are_taken_along),
        TEST(a_begin_of_another_form_is_refused),
        TEST(the_headers_say_what_a_part_is),
        TEST(keys_read_as_they_were_written),
        TEST(an_end_reads_as_it_was_written),
        TEST(a_reason_can_be_read_whatever_is_in_it),
        TEST(the_order_of_rows_does_not_count_but_each_byte_does),
    };
    return TEST_RUN(tests);
}
