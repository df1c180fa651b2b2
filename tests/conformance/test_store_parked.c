/* The contract of a store, over every back end: parked records, and kept superseded images. */
#include "tests/support/store_case.h"

#include <stdlib.h>

static int64_t park_at(int64_t offset, const char *key, enum parked_state state)
{
    struct header header = {.name = slice_of("ce_id"), .value = slice_of("e1")};
    struct parked_record parked = {.record = {.topic = STORE_CASE_TOPIC,
                                              .offset = offset,
                                              .key = slice_of(key),
                                              .headers = &header,
                                              .header_count = 1},
                                   .entity_type = slice_of("order"),
                                   .entity_key = slice_of(key),
                                   .state = state,
                                   .reason = slice_of("because"),
                                   .code = 7,
                                   .next_attempt_us = 50};
    assert_ok(store_case_ops->park(store_case_store, &parked, 1, &store_case_err));
    return parked.parked_id;
}

static size_t read_parked(struct parked_filter filter, struct parked_record **ret_records)
{
    struct parked_records parked = {0};
    filter.partition = -1; /* any */
    assert_ok(store_case_ops->read_parked(store_case_store, &filter, &store_case_arena, &parked,
                                          &store_case_err));
    *ret_records = parked.records;
    return parked.count;
}

static void a_parked_record_is_read_back_whole_and_blocks_its_entity(void)
{
    struct parked_record *records = NULL;
    store_case_begin();
    int64_t id = park_at(5, "k", PARKED_HELD);
    store_case_commit();
    assert_int_equal(read_parked((struct parked_filter){.parked_id = id}, &records), 1);
    assert_string_equal(records[0].record.topic, STORE_CASE_TOPIC);
    assert_int_equal(records[0].record.offset, 5);
    assert_true(slice_is(records[0].record.key, "k"));
    assert_null(records[0].record.value.data);
    assert_int_equal(records[0].record.header_count, 1);
    assert_true(slice_is(records[0].record.headers[0].value, "e1"));
    assert_true(slice_is(records[0].reason, "because"));
    assert_int_equal(records[0].code, 7);
    store_case_reload();
    assert_int_equal(store_case_owned.parked_count, 1);
    assert_int_equal(store_case_owned.waiting_count, 0);
    assert_int_equal(store_case_owned.held_count, 1);
    assert_int_equal(store_case_owned.blocked.entity_count, 1);
    assert_true(slice_is(store_case_owned.blocked.entries[0].key.entity_key, "k"));
}

static void parked_records_are_read_in_order_by_entity_by_time_and_from_an_offset_on(void)
{
    struct parked_record *records = NULL;
    const struct parked_filter entity = {.topic = STORE_CASE_TOPIC,
                                         .entity_type = "order",
                                         .entity_key = slice_of("a"),
                                         .from_offset = 8,
                                         .blocking = true};
    store_case_begin();
    park_at(9, "a", PARKED_BEHIND);
    park_at(7, "a", PARKED_WAITING);
    park_at(8, "b", PARKED_HELD);
    store_case_commit();
    assert_int_equal(read_parked((struct parked_filter){.topic = STORE_CASE_TOPIC}, &records), 3);
    assert_int_equal(records[0].record.offset, 7);
    assert_int_equal(records[2].record.offset, 9);
    assert_int_equal(read_parked((struct parked_filter){.from_offset = 8}, &records), 2);
    assert_int_equal(read_parked((struct parked_filter){.due_us = 49}, &records), 0);
    assert_int_equal(read_parked((struct parked_filter){.due_us = 50}, &records), 1);
    assert_int_equal(records[0].record.offset, 7);
    assert_int_equal(read_parked((struct parked_filter){.due_us = 50, .from_offset = 8}, &records),
                     0);
    assert_int_equal(
        read_parked((struct parked_filter){.entity_key = slice_of("a"), .limit = 1}, &records), 1);
    assert_int_equal(records[0].record.offset, 7);
    struct parked_records parked = {0};
    assert_ok(store_case_ops->read_parked(store_case_store, &entity, &store_case_arena, &parked,
                                          &store_case_err));
    assert_int_equal(parked.count, 1);
    assert_int_equal(parked.records[0].record.offset, 9);
    store_case_reload();
    assert_int_equal(store_case_owned.parked_count, 3);
    assert_int_equal(store_case_owned.waiting_count, 1);
    assert_int_equal(store_case_owned.held_count, 1);
    assert_int_equal(store_case_owned.blocked.entity_count, 2);
}

static void parked_records_are_read_page_by_page_in_the_order_of_their_ids(void)
{
    struct parked_record *records = NULL;
    store_case_begin();
    park_at(9, "a", PARKED_SKIPPED);
    park_at(7, "a", PARKED_WAITING);
    park_at(8, "b", PARKED_HELD);
    store_case_commit();
    assert_int_equal(
        read_parked((struct parked_filter){.by_id = true, .without_value = true, .limit = 2},
                    &records),
        2);
    assert_int_equal(records[0].record.offset, 9);
    assert_int_equal(records[0].state, PARKED_SKIPPED);
    assert_int_equal(records[1].record.offset, 7);
    assert_true(slice_is(records[1].entity_key, "a"));
    assert_true(slice_is(records[1].entity_type, "order"));
    assert_null(records[1].record.value.data);
    int64_t after = records[1].parked_id;
    assert_int_equal(
        read_parked((struct parked_filter){.by_id = true, .after_id = after, .limit = 2}, &records),
        1);
    assert_int_equal(records[0].record.offset, 8);
    assert_true(records[0].parked_id > after);
}

static void the_bytes_of_parked_records_are_counted_and_their_values_can_be_left_out(void)
{
    struct parked_record *records = NULL;
    char *large = calloc(1, 300001);
    memset(large, 'x', 300000);
    struct parked_record parked[] = {
        {.record = {.topic = STORE_CASE_TOPIC, .offset = 1, .key = slice_of("k")},
         .entity_type = slice_of("order"),
         .entity_key = slice_of("a")},
        {.record = {.topic = STORE_CASE_TOPIC,
                    .offset = 2,
                    .key = slice_of("k"),
                    .value = slice_of(large)},
         .entity_type = slice_of("order"),
         .entity_key = slice_of("a")},
        {.record = {.topic = STORE_CASE_TOPIC, .offset = 3, .value = slice_of(large)},
         .entity_type = slice_of("order"),
         .entity_key = slice_of("a"),
         .state = PARKED_SKIPPED}};
    store_case_begin();
    assert_ok(store_case_ops->park(store_case_store, parked, 3, &store_case_err));
    store_case_commit();
    free(large);
    store_case_reload();
    assert_int_equal(store_case_owned.parked_bytes, 300002);
    assert_int_equal(read_parked((struct parked_filter){.blocking = true}, &records), 2);
    assert_int_equal(records[1].record.value.length, 300000);
    assert_int_equal(records[1].bytes, 300001);
    assert_int_equal(
        read_parked((struct parked_filter){.blocking = true, .without_value = true}, &records), 2);
    assert_null(records[1].record.value.data);
    assert_true(slice_is(records[1].record.key, "k"));
    assert_int_equal(read_parked((struct parked_filter){.by_id = true}, &records), 3);
    assert_int_equal(records[1].record.value.length, 300000);
    assert_int_equal(
        read_parked((struct parked_filter){.by_id = true, .without_value = true}, &records), 3);
    assert_null(records[1].record.value.data);
    assert_int_equal(records[2].record.offset, 3);
}

/* @return the first record of the partition for which a key must wait; INT64_MAX: none. */
static int64_t first_of(const char *type, const char *key, struct slice record_key)
{
    struct block_key wanted = block_key_stored(slice_of(type), slice_of(key), record_key);
    return block_set_first(&store_case_owned.blocked, &wanted);
}

/* All forms of a key, with a readable entity and without: after a reload each blocks what it
 * blocked before. */
static void what_is_parked_blocks_the_same_after_a_restart_whatever_its_key_is(void)
{
    static char longest[5001];
    memset(longest, 'k', sizeof longest - 1);
    const struct slice keys[] = {
        slice_of("{\"id\":1}"), {"a\0b", 3},       {"a\0c", 3}, {"\xff\xfe", 2},
        slice_of(longest),      slice_of("\\x61"), {NULL, 0}};
    const size_t count = sizeof keys / sizeof keys[0];
    store_case_begin();
    for (size_t i = 0; i < count; i++) {
        struct parked_record parked[] = {
            {.record = {.topic = STORE_CASE_TOPIC, .offset = (int64_t)(2 * i), .key = keys[i]},
             .entity_key = keys[i],
             .state = PARKED_HELD},
            {.record = {.topic = STORE_CASE_TOPIC,
                        .offset = (int64_t)(2 * i + 1),
                        .key = slice_of("another")},
             .entity_type = slice_of("order"),
             .entity_key = keys[i].data == NULL ? slice_of("none") : keys[i],
             .state = PARKED_HELD}};
        assert_ok(store_case_ops->park(store_case_store, parked, 2, &store_case_err));
    }
    store_case_commit();
    store_case_reload();
    assert_int_equal(store_case_owned.blocked.entity_count, 2 * count);
    for (size_t i = 0; i < count; i++) {
        struct block_key entity = block_key_stored(slice_of("order"), keys[i], slice_of("third"));
        assert_int_equal(first_of("order", "elsewhere", keys[i]), 2 * (int64_t)i);
        assert_int_equal(first_of("", "", keys[i]), 2 * (int64_t)i);
        if (keys[i].data != NULL)
            assert_int_equal(block_set_first(&store_case_owned.blocked, &entity),
                             2 * (int64_t)i + 1);
    }
    assert_int_equal(first_of("", "", slice_of("another")), 1);
    assert_int_equal(first_of("order", "elsewhere", slice_of("another")), INT64_MAX);
    assert_int_equal(first_of("order", "elsewhere", slice_of("a")), INT64_MAX);
    assert_int_equal(first_of("order", "elsewhere", slice_of("")), 2 * (int64_t)(count - 1));
    for (size_t i = 0; i < count; i++) { /* each is found by its key */
        struct parked_records found = {0};
        const struct parked_filter filter = {.topic = STORE_CASE_TOPIC,
                                             .entity_type = "",
                                             .entity_key = keys[i].data == NULL ? slice_of("")
                                                                                : keys[i]};
        assert_ok(store_case_ops->read_parked(store_case_store, &filter, &store_case_arena, &found,
                                              &store_case_err));
        assert_int_equal(found.count, 1);
        assert_int_equal(found.records[0].record.offset, 2 * (int64_t)i);
    }
}

static void an_operators_edit_raises_the_revision_and_one_of_what_is_gone_aborts(void)
{
    struct parked_record *records = NULL;
    store_case_begin();
    struct parked_record first = {.parked_id = park_at(7, "a", PARKED_HELD)};
    struct parked_record second = {.parked_id = park_at(8, "a", PARKED_BEHIND)};
    store_case_commit();
    store_case_begin();
    assert_ok(
        store_case_ops->edit_parked(store_case_store, &first, PARKED_SET_SKIPPED, &store_case_err));
    store_case_commit();
    struct fence stale = store_case_fence(store_case_owned.next_offset);
    store_case_assert_fence_lost(stale, 1);
    store_case_reload();
    assert_int_equal(store_case_owned.revision, 1);
    assert_int_equal(store_case_owned.parked_count, 1);
    assert_int_equal(read_parked((struct parked_filter){.blocking = true}, &records), 1);
    assert_int_equal(records[0].state, PARKED_BEHIND); /* only the agent decides whose turn it is */
    store_case_begin();
    assert_ok(
        store_case_ops->edit_parked(store_case_store, &second, PARKED_DELETE, &store_case_err));
    store_case_commit();
    store_case_reload();
    assert_int_equal(store_case_owned.revision, 1);
    assert_int_equal(store_case_owned.parked_count, 0);
    store_case_begin();
    assert_int_equal(
        store_case_ops->edit_parked(store_case_store, &second, PARKED_DELETE, &store_case_err),
        STATUS_ABORT);
    store_case_ops->rollback(store_case_store);
    error_clear(&store_case_err);
}

static void skip_at(int64_t parked_id, int64_t time_us)
{
    const struct parked_record skipped = {.parked_id = parked_id, .next_attempt_us = time_us};
    assert_ok(store_case_ops->edit_parked(store_case_store, &skipped, PARKED_SET_SKIPPED,
                                          &store_case_err));
}

static void prune_skipped(int64_t before_us, size_t limit)
{
    const struct prune old = {.skipped_before_us = before_us, .limit = limit};
    size_t keys = 0;
    assert_ok(store_case_ops->prune(store_case_store, &old, &keys, &store_case_err));
    assert_int_equal(keys, 0);
}

static void only_skipped_records_are_pruned_and_not_before_their_time(void)
{
    struct parked_record *records = NULL;
    const struct parked_filter all = {.topic = STORE_CASE_TOPIC};
    store_case_begin();
    skip_at(park_at(5, "a", PARKED_HELD), 100);
    skip_at(park_at(6, "b", PARKED_HELD), 101);
    skip_at(park_at(7, "c", PARKED_HELD), 102);
    park_at(8, "a", PARKED_HELD);
    park_at(9, "d", PARKED_WAITING);
    store_case_commit();
    prune_skipped(0, 10);
    prune_skipped(100, 10);
    assert_int_equal(read_parked(all, &records), 5);
    prune_skipped(102, 1);
    assert_int_equal(read_parked(all, &records), 4);
    prune_skipped(102, 1);
    assert_int_equal(read_parked(all, &records), 3);
    assert_int_equal(records[0].record.offset, 7);
    prune_skipped(INT64_MAX, 10);
    assert_int_equal(read_parked(all, &records), 2);
    assert_int_equal(records[0].record.offset, 8);
    store_case_reload();
    assert_int_equal(store_case_owned.parked_count, 2);
    assert_int_equal(store_case_owned.waiting_count, 1);
    assert_int_equal(store_case_owned.blocked.entity_count, 2);
}

static void a_skipped_record_that_is_to_be_retried_is_not_pruned(void)
{
    struct parked_record *records = NULL;
    store_case_begin();
    struct parked_record parked = {.parked_id = park_at(5, "a", PARKED_HELD)};
    skip_at(parked.parked_id, 100);
    assert_ok(store_case_ops->edit_parked(store_case_store, &parked, PARKED_SET_WAITING,
                                          &store_case_err));
    store_case_commit();
    prune_skipped(INT64_MAX, 10);
    assert_int_equal(read_parked((struct parked_filter){.due_us = 1}, &records), 1);
}

/* Park an event of a set of the origin "shop", of which two incarnations use the same numbers. */
static int64_t park_of_set(int64_t offset, char incarnation, uint64_t changeset_end)
{
    char uuid[] = "00000000-0000-7000-8000-00000000000?";
    uuid[35] = incarnation;
    const struct header headers[] = {
        {.name = slice_of("ce_source"), .value = slice_of("shop")},
        {.name = slice_of("ce_incarnation"), .value = slice_of(uuid)},
        {.name = slice_of("ce_sequence"), .value = slice_of("00000000000000000007")}};
    struct parked_record parked = {.record = {.topic = STORE_CASE_TOPIC,
                                              .offset = offset,
                                              .key = slice_of("k"),
                                              .headers = headers,
                                              .header_count = 3},
                                   .entity_type = slice_of("order"),
                                   .entity_key = slice_of(test_format("%d", (int)offset)),
                                   .state = PARKED_BEHIND,
                                   .changeset_end = changeset_end};
    assert_ok(store_case_ops->park(store_case_store, &parked, 1, &store_case_err));
    return parked.parked_id;
}

static struct parked_record parked_of(int64_t parked_id)
{
    struct parked_record *records = NULL;
    assert_int_equal(read_parked((struct parked_filter){.parked_id = parked_id}, &records), 1);
    return records[0];
}

static void park_two_sets_and_others(int64_t *ret_first, int64_t *ret_second)
{
    store_case_begin();
    park_of_set(1, 'a', 0);
    *ret_first = park_of_set(2, 'a', 9);
    park_of_set(3, 'b', 9);
    park_of_set(4, 'a', 9);
    *ret_second = park_of_set(5, 'a', 11);
    park_of_set(6, 'a', 9);
    store_case_commit();
}

static void the_records_of_a_set_are_found_by_one_of_them_and_taken_away_together(void)
{
    struct parked_record *records = NULL;
    int64_t first = 0;
    int64_t second = 0;
    park_two_sets_and_others(&first, &second);
    struct parked_record one = parked_of(first);
    assert_int_equal(one.changeset_end, 9);
    assert_int_equal(read_parked((struct parked_filter){.set_of = &one}, &records), 3);
    assert_int_equal(records[0].record.offset, 2);
    assert_int_equal(records[1].record.offset, 4);
    assert_int_equal(records[2].record.offset, 6);
    assert_int_equal(
        read_parked((struct parked_filter){.set_of = &one, .from_offset = 3, .limit = 1}, &records),
        1);
    assert_int_equal(records[0].record.offset, 4);
    store_case_begin();
    assert_ok(store_case_ops->edit_parked(store_case_store, &one, PARKED_DELETE, &store_case_err));
    store_case_commit();
    assert_int_equal(read_parked((struct parked_filter){0}, &records), 3);
    assert_int_equal(records[0].record.offset, 1);
    assert_int_equal(records[0].changeset_end, 0);
    assert_int_equal(records[1].record.offset, 3);
    assert_int_equal(records[2].record.offset, 5);
    store_case_reload();
    assert_int_equal(store_case_owned.parked_count, 3);
    assert_int_equal(store_case_owned.blocked.entity_count, 3);
}

static void a_set_is_skipped_whole_and_not_taken_back(void)
{
    struct parked_record *records = NULL;
    int64_t first = 0;
    int64_t second = 0;
    park_two_sets_and_others(&first, &second);
    struct parked_record one = parked_of(first);
    struct parked_record other = parked_of(second);
    one.next_attempt_us = 100;
    store_case_begin();
    assert_ok(
        store_case_ops->edit_parked(store_case_store, &one, PARKED_SET_SKIPPED, &store_case_err));
    assert_ok(
        store_case_ops->edit_parked(store_case_store, &other, PARKED_SET_WAITING, &store_case_err));
    store_case_commit();
    store_case_reload();
    assert_int_equal(store_case_owned.revision, 2);
    assert_int_equal(store_case_owned.parked_count, 3);
    assert_int_equal(store_case_owned.waiting_count, 1);
    assert_int_equal(read_parked((struct parked_filter){.blocking = true}, &records), 3);
    assert_int_equal(records[0].record.offset, 1);
    assert_int_equal(records[1].record.offset, 3);
    assert_int_equal(records[2].record.offset, 5);
    store_case_begin();
    assert_int_equal(
        store_case_ops->edit_parked(store_case_store, &one, PARKED_SET_WAITING, &store_case_err),
        STATUS_ABORT);
    store_case_ops->rollback(store_case_store);
    error_clear(&store_case_err);
    prune_skipped(INT64_MAX, 10);
    assert_int_equal(read_parked((struct parked_filter){0}, &records), 3);
}

static void a_failed_attempt_and_a_retry_are_written(void)
{
    struct parked_record *records = NULL;
    store_case_begin();
    struct parked_record attempt = {.parked_id = park_at(7, "a", PARKED_HELD),
                                    .state = PARKED_WAITING,
                                    .reason = slice_of("again"),
                                    .attempts = 3,
                                    .next_attempt_us = 900};
    assert_ok(
        store_case_ops->edit_parked(store_case_store, &attempt, PARKED_ATTEMPT, &store_case_err));
    assert_int_equal(read_parked((struct parked_filter){0}, &records), 1);
    assert_int_equal(records[0].state, PARKED_WAITING);
    assert_int_equal(records[0].attempts, 3);
    assert_int_equal(records[0].next_attempt_us, 900);
    assert_true(slice_is(records[0].reason, "again"));
    assert_ok(store_case_ops->edit_parked(store_case_store, &attempt, PARKED_SET_WAITING,
                                          &store_case_err));
    store_case_commit();
    assert_int_equal(read_parked((struct parked_filter){.due_us = 1}, &records), 1);
    store_case_reload();
    assert_int_equal(store_case_owned.revision, 1);
}

static void the_last_superseded_image_is_kept_until_it_is_dropped(void)
{
    struct superseded_image image = {
        .entity_type = slice_of("order"),
        .entity_key = slice_of("k"),
        .record = {.topic = STORE_CASE_TOPIC, .offset = 3, .value = slice_of("old")}};
    struct superseded_image read;
    store_case_begin();
    assert_ok(store_case_ops->keep_image(store_case_store, &image, &store_case_err));
    image.record.offset = 4;
    image.record.value = slice_of("new");
    assert_ok(store_case_ops->keep_image(store_case_store, &image, &store_case_err));
    assert_ok(store_case_ops->read_image(store_case_store, &image, &store_case_arena, &read,
                                         &store_case_err));
    assert_int_equal(read.record.offset, 4);
    assert_true(slice_is(read.record.value, "new"));
    assert_ok(store_case_ops->drop_image(store_case_store, &image, &store_case_err));
    assert_ok(store_case_ops->read_image(store_case_store, &image, &store_case_arena, &read,
                                         &store_case_err));
    assert_null(read.record.topic);
    store_case_commit();
}

static void kept_images_are_read_one_behind_the_other_in_the_order_of_the_log(void)
{
    struct superseded_image from = {.record = {.topic = STORE_CASE_TOPIC, .offset = -1}};
    struct superseded_image read;
    static const struct {
        const char *key;
        int64_t offset;
    } kept[] = {{"a", 9}, {"b", 3}, {"c", 12}};
    store_case_begin();
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        struct superseded_image image = {
            .entity_type = slice_of("order"),
            .entity_key = slice_of(kept[i].key),
            .record = {.topic = i == 2 ? "another" : STORE_CASE_TOPIC, .offset = kept[i].offset}};
        assert_ok(store_case_ops->keep_image(store_case_store, &image, &store_case_err));
    }
    store_case_commit();
    assert_ok(store_case_ops->read_image(store_case_store, &from, &store_case_arena, &read,
                                         &store_case_err));
    assert_true(slice_is(read.entity_type, "order"));
    assert_true(slice_is(read.entity_key, "b"));
    assert_int_equal(read.record.offset, 3);
    from.record.offset = 3;
    assert_ok(store_case_ops->read_image(store_case_store, &from, &store_case_arena, &read,
                                         &store_case_err));
    assert_true(slice_is(read.entity_key, "a"));
    from.record.offset = 9;
    assert_ok(store_case_ops->read_image(store_case_store, &from, &store_case_arena, &read,
                                         &store_case_err));
    assert_null(read.record.topic);
}

static void bytes_that_are_no_text_are_kept_and_found_again(void)
{
    static const char raw[] = "\xff\x00k";
    struct parked_record *records = NULL;
    struct key_claim claims[] = {
        {.source = {raw, 3}, .id = {raw, 2}, .digest = 1},
        {.source = {raw, 3}, .id = slice_of("\\xff00"), .digest = 2},
    };
    struct parked_record parked = {.record = {.topic = STORE_CASE_TOPIC, .key = {raw, 3}},
                                   .entity_key = {raw, 3},
                                   .reason = {raw, 3}};
    store_case_begin();
    assert_ok(store_case_ops->claim_keys(store_case_store, claims, 2, &store_case_err));
    assert_int_equal(claims[0].verdict, KEY_NEW);
    assert_int_equal(claims[1].verdict, KEY_NEW);
    assert_ok(store_case_ops->claim_keys(store_case_store, claims, 2, &store_case_err));
    assert_int_equal(claims[0].verdict, KEY_DUPLICATE);
    assert_int_equal(claims[1].verdict, KEY_DUPLICATE);
    assert_ok(store_case_ops->park(store_case_store, &parked, 1, &store_case_err));
    store_case_commit();
    assert_int_equal(read_parked((struct parked_filter){.topic = STORE_CASE_TOPIC}, &records), 1);
    assert_true(slice_equal(records[0].entity_key, (struct slice){raw, 3}));
    assert_true(slice_equal(records[0].record.key, (struct slice){raw, 3}));
    assert_true(slice_equal(records[0].reason, (struct slice){raw, 3}));
}

/* Some databases begin a transaction with any statement. A read must not leave it open. */
static void what_is_read_outside_a_transaction_leaves_none_open(void)
{
    struct superseded_image image = {.entity_type = slice_of("order"),
                                     .entity_key = slice_of("k"),
                                     .record = {.topic = STORE_CASE_TOPIC, .offset = -1}};
    const struct entity_schema order = {.entity_type = (char[]){"order"}};
    struct pending_range range = {.schema = &order};
    struct own_change entity = {.entity_type = slice_of("order"), .entity_key = slice_of("k")};
    struct pending_read pending = {
        .ranges = &range, .range_count = 1, .entities = &entity, .entity_count = 1};
    struct superseded_image read;
    struct parked_record *records = NULL;
    size_t count = 0;
    struct partition_state *states = NULL;
    store_case_reload();
    assert_ok(store_case_ops->read_pending(store_case_store, &pending, &store_case_err));
    store_case_reload();
    assert_ok(store_case_ops->read_image(store_case_store, &image, &store_case_arena, &read,
                                         &store_case_err));
    store_case_reload();
    image.entity_type = (struct slice){0};
    assert_ok(store_case_ops->read_image(store_case_store, &image, &store_case_arena, &read,
                                         &store_case_err));
    store_case_reload();
    (void)read_parked((struct parked_filter){0}, &records);
    store_case_reload();
    assert_ok(store_case_ops->list(store_case_store, &states, &count, &store_case_err));
    free(states);
    store_case_reload();
}

int main(void)
{
    static struct store_case cases[] = {
        STORE_CASE(a_parked_record_is_read_back_whole_and_blocks_its_entity),
        STORE_CASE(parked_records_are_read_in_order_by_entity_by_time_and_from_an_offset_on),
        STORE_CASE(parked_records_are_read_page_by_page_in_the_order_of_their_ids),
        STORE_CASE(the_bytes_of_parked_records_are_counted_and_their_values_can_be_left_out),
        STORE_CASE(what_is_parked_blocks_the_same_after_a_restart_whatever_its_key_is),
        STORE_CASE(an_operators_edit_raises_the_revision_and_one_of_what_is_gone_aborts),
        STORE_CASE(only_skipped_records_are_pruned_and_not_before_their_time),
        STORE_CASE(a_skipped_record_that_is_to_be_retried_is_not_pruned),
        STORE_CASE(the_records_of_a_set_are_found_by_one_of_them_and_taken_away_together),
        STORE_CASE(a_set_is_skipped_whole_and_not_taken_back),
        STORE_CASE(a_failed_attempt_and_a_retry_are_written),
        STORE_CASE(the_last_superseded_image_is_kept_until_it_is_dropped),
        STORE_CASE(kept_images_are_read_one_behind_the_other_in_the_order_of_the_log),
        STORE_CASE(bytes_that_are_no_text_are_kept_and_found_again),
        STORE_CASE(what_is_read_outside_a_transaction_leaves_none_open),
    };
    return store_case_run(cases, sizeof cases / sizeof cases[0]);
}
