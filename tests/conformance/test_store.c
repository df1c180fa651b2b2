/* The store contract, run over every back end. */
#include "common/buffer.h"
#include "consumer/store.h"
#include "consumer/store_memory.h"
#include "tests/support/sql.h"
#include "tests/support/test.h"

#include <stdio.h>

#define TOPIC "order"

static struct column columns[] = {
    {.name = (char[]){"id"}, .type = COLUMN_INTEGER, .is_key = true},
    {.name = (char[]){"name"}, .type = COLUMN_TEXT, .nullable = true},
    {.name = (char[]){"price"}, .type = COLUMN_DECIMAL, .nullable = true},
};
static size_t key_columns[] = {0};
static const struct entity_schema schema = {.entity_type = (char[]){"order"},
                                            .columns = columns,
                                            .column_count = 3,
                                            .key_columns = key_columns,
                                            .key_count = 1};
static const struct config_entry entry = {.entity_type = (char[]){"order"},
                                          .table = (char[]){"orders"}};
static const struct mapping mapping = {.schema = &schema, .entry = &entry};

static const struct store_ops *ops;
static struct store *store;
static struct partition_state owned;
static struct error err;
static struct arena arena;

#define assert_ok(call) check_ok(call, __LINE__)
static void check_ok(enum status status, int line)
{
    if (status != STATUS_OK)
        test_fail("line %d: %s: %s", line, status_name(status), err.text);
}

static struct store *open_another(void)
{
    struct store *another = NULL;
    struct store_options options = {
        .path = test_path("copy.db"), .service = "billing", .install = true};
    assert_ok(ops->open(&options, &another, &err));
    return another;
}

static struct fence fence_to(int64_t new_offset)
{
    return (struct fence){.topic = TOPIC,
                          .partition = 0,
                          .old_offset = owned.next_offset,
                          .new_offset = new_offset,
                          .epoch = owned.epoch,
                          .revision = owned.revision,
                          .anchor_offset = -1};
}

static void begin(void)
{
    struct fence fence = fence_to(owned.next_offset);
    assert_ok(ops->begin(store, &fence, 1, &err));
}

static void commit(void)
{
    assert_ok(ops->commit(store, false, &err));
}

static void reload(void)
{
    partition_state_done(&owned);
    assert_ok(ops->read(store, TOPIC, 0, &owned, &err));
}

static void assert_rows(const char *expected)
{
    if (ops == &store_memory_ops) {
        struct buffer rows;
        buffer_init(&rows, 65536);
        store_memory_rows(store, "order", &rows);
        assert_string_equal(buffer_text(&rows), expected);
        buffer_done(&rows);
    } else {
        assert_string_equal(sqlite_text(test_path("copy.db"), "SELECT * FROM orders ORDER BY id"),
                            expected);
    }
}

/* NULL leaves the column out. */
static enum status apply_one(enum change_op op, int64_t id, const char *name, const char *price)
{
    struct value values[3] = {{.kind = VALUE_INTEGER, .integer = id}};
    struct change change = {
        .op = op, .entity_type = slice_of("order"), .schema = &schema, .values = values};
    const struct change *changes[] = {&change};
    size_t failed = 99;
    if (name != NULL)
        values[1] = (struct value){.kind = VALUE_TEXT, .text = slice_of(name)};
    if (price != NULL)
        values[2] = (struct value){.kind = VALUE_TEXT, .text = slice_of(price)};
    enum status status = ops->apply(store, &mapping, changes, 1, &failed, &err);
    assert_int_equal(failed, status == STATUS_OK ? 1 : 0);
    return status;
}

static int64_t park_at(int64_t offset, const char *key, enum parked_state state)
{
    struct header header = {.name = slice_of("ce_id"), .value = slice_of("e1")};
    struct parked_record parked = {.record = {.topic = TOPIC,
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
    assert_ok(ops->park(store, &parked, 1, &err));
    return parked.parked_id;
}

static size_t read_parked(struct parked_filter filter, struct parked_record **ret_records)
{
    size_t count = 0;
    filter.partition = -1;
    assert_ok(ops->read_parked(store, &filter, &arena, ret_records, &count, &err));
    return count;
}

static void assert_fence_lost(struct fence fence, int native_code)
{
    error_clear(&err);
    assert_int_equal(ops->begin(store, &fence, 1, &err), STATUS_ABORT);
    assert_int_equal(err.native_code, native_code);
    ops->rollback(store);
    error_clear(&err);
}

static void taking_a_partition_raises_its_epoch_and_keeps_its_position(void **state)
{
    (void)state;
    struct partition_state again = {.topic = TOPIC, .next_offset = 999, .token = "t2"};
    assert_false(owned.exists);
    assert_int_equal(owned.epoch, 1);
    assert_int_equal(owned.next_offset, 5);
    assert_int_equal(owned.anchor_offset, -1);
    assert_ok(ops->take(store, &again, &err));
    assert_true(again.exists);
    assert_int_equal(again.epoch, 2);
    assert_int_equal(again.next_offset, 5);
    assert_string_equal(again.token, "t2");
    assert_string_equal(again.cluster_id, "cluster");
    partition_state_done(&again);
}

static void a_fence_moves_the_position_and_its_anchor(void **state)
{
    (void)state;
    struct fence fence = fence_to(8);
    fence.anchor_offset = 7;
    fence.anchor_id = "e7";
    fence.stopped = "a gap";
    assert_ok(ops->begin(store, &fence, 1, &err));
    commit();
    reload();
    assert_int_equal(owned.next_offset, 8);
    assert_int_equal(owned.durable_offset, 5);
    assert_int_equal(owned.anchor_offset, 7);
    assert_string_equal(owned.anchor_id, "e7");
    assert_string_equal(owned.stopped, "a gap");
    begin();
    commit();
    reload();
    assert_int_equal(owned.anchor_offset, 7);
    assert_string_equal(owned.stopped, "");
}

static void a_fence_with_another_offset_or_revision_is_told_to_reload(void **state)
{
    (void)state;
    struct fence fence = fence_to(8);
    fence.old_offset = 4;
    assert_fence_lost(fence, 1);
    fence = fence_to(8);
    fence.revision = 3;
    assert_fence_lost(fence, 1);
    fence = fence_to(5);
    fence.revise = true; /* an operator's, once */
    assert_ok(ops->begin(store, &fence, 1, &err));
    commit();
    assert_fence_lost(fence, 1);
    reload();
    assert_int_equal(owned.next_offset, 5);
}

static void a_fence_with_another_epoch_has_lost_the_partition(void **state)
{
    (void)state;
    struct fence fence = fence_to(8);
    fence.epoch = 9;
    assert_fence_lost(fence, 0);
    fence = fence_to(8);
    fence.topic = "nobody";
    assert_fence_lost(fence, 0);
}

static void a_fence_by_epoch_alone_leaves_the_position_as_it_is(void **state)
{
    (void)state;
    struct fence fence = fence_to(77);
    fence.old_offset = 1;
    fence.revision = 9;
    fence.by_epoch_alone = true;
    assert_ok(ops->begin(store, &fence, 1, &err));
    commit();
    reload();
    assert_int_equal(owned.next_offset, 5);
    fence.epoch = 9;
    assert_fence_lost(fence, 0);
}

static void a_second_fence_that_fails_takes_the_first_one_back(void **state)
{
    (void)state;
    struct fence fences[] = {fence_to(8), fence_to(8)};
    fences[1].partition = 1;
    assert_int_equal(ops->begin(store, fences, 2, &err), STATUS_ABORT);
    ops->rollback(store);
    error_clear(&err);
    reload();
    assert_int_equal(owned.next_offset, 5);
}

static void another_owner_fences_the_first_one_out(void **state)
{
    (void)state;
    struct store *another = open_another();
    struct partition_state theirs = {.topic = TOPIC, .token = "t2"};
    assert_ok(ops->take(another, &theirs, &err));
    assert_fence_lost(fence_to(8), 0);
    partition_state_done(&theirs);
    ops->close(another);
}

static void two_writers_at_a_time_make_the_second_retry(void **state)
{
    (void)state;
    struct store *another = open_another();
    begin();
    assert_int_equal(ops->begin(another, NULL, 0, &err), STATUS_RETRY);
    ops->rollback(another);
    error_clear(&err);
    commit();
    assert_ok(ops->begin(another, NULL, 0, &err));
    ops->close(another);
    begin();
    commit();
}

static void going_back_to_the_savepoint_keeps_the_position(void **state)
{
    (void)state;
    struct fence fence = fence_to(8);
    assert_ok(ops->begin(store, &fence, 1, &err));
    assert_ok(apply_one(CHANGE_CREATE, 1, "one", "1"));
    assert_ok(ops->savepoint(store, false, &err));
    assert_ok(apply_one(CHANGE_CREATE, 2, "two", "2"));
    struct key_claim claim = {.source = slice_of("s"), .id = slice_of("k"), .digest = 1};
    assert_ok(ops->claim_keys(store, &claim, 1, &err));
    assert_ok(ops->savepoint(store, true, &err));
    assert_ok(ops->claim_keys(store, &claim, 1, &err));
    assert_int_equal(claim.verdict, KEY_NEW);
    assert_ok(ops->savepoint(store, true, &err));
    commit();
    assert_rows("1|one|1\n");
    reload();
    assert_int_equal(owned.next_offset, 8);
}

static void keys_are_new_then_duplicates_and_conflicts_with_another_digest(void **state)
{
    (void)state;
    struct key_claim claims[] = {
        {.source = slice_of("s"), .id = slice_of("a"), .digest = UINT64_MAX},
        {.source = slice_of("s"), .id = slice_of("b"), .digest = 2},
        {.source = slice_of("s"), .id = slice_of("a"), .digest = UINT64_MAX},
        {.source = slice_of("s"), .id = slice_of("b"), .digest = 3},
        {.source = slice_of("t"), .id = slice_of("a"), .digest = 9}};
    size_t pruned = 0;
    begin();
    assert_ok(ops->claim_keys(store, claims, 5, &err));
    assert_int_equal(claims[0].verdict, KEY_NEW);
    assert_int_equal(claims[1].verdict, KEY_NEW);
    assert_int_equal(claims[2].verdict, KEY_DUPLICATE);
    assert_int_equal(claims[3].verdict, KEY_CONFLICT);
    assert_int_equal(claims[4].verdict, KEY_NEW);
    commit();
    assert_ok(ops->prune(store, 1, 10, &pruned, &err));
    assert_int_equal(pruned, 0);
    assert_ok(ops->prune(store, INT64_MAX, 2, &pruned, &err));
    assert_int_equal(pruned, 2);
    assert_ok(ops->prune(store, INT64_MAX, 2, &pruned, &err));
    assert_int_equal(pruned, 1);
}

static void rows_are_upserted_merged_and_deleted_twice(void **state)
{
    (void)state;
    begin();
    assert_ok(apply_one(CHANGE_CREATE, 1, "one", "1.50"));
    assert_ok(apply_one(CHANGE_UPDATE, 2, "", "123456789012345678.10"));
    assert_ok(apply_one(CHANGE_CREATE, 1, "uno", "1.00"));
    assert_ok(apply_one(CHANGE_UPDATE, 1, NULL, "9"));
    assert_ok(apply_one(CHANGE_UPDATE, 1, NULL, NULL));
    assert_ok(apply_one(CHANGE_READ, 4, "four", NULL));
    assert_ok(apply_one(CHANGE_CREATE, 3, "three", "3"));
    assert_ok(apply_one(CHANGE_DELETE, 3, NULL, NULL));
    assert_ok(apply_one(CHANGE_DELETE, 3, NULL, NULL));
    commit();
    assert_rows("1|uno|9\n2||123456789012345678.10\n4|four|NULL\n");
}

static void an_update_that_lacks_columns_is_held_where_there_is_no_row(void **state)
{
    (void)state;
    begin();
    assert_ok(apply_one(CHANGE_CREATE, 1, "one", "1"));
    assert_int_equal(apply_one(CHANGE_UPDATE, 5, NULL, "9"), STATUS_REJECT);
    assert_int_equal(err.reject, REJECT_HELD);
    error_clear(&err);
    assert_int_equal(apply_one(CHANGE_UPDATE, 5, NULL, NULL), STATUS_REJECT);
    error_clear(&err);
    commit();
    assert_rows("1|one|1\n");
}

static void sequences_are_read_as_they_were_recorded(void **state)
{
    (void)state;
    struct sequence_state sequences[2] = {
        {.source = "shop", .incarnation = "i1", .base = 1, .last = 300, .last_id = "e300"},
        {.source = "shop", .incarnation = "i2", .base = 40, .last = 40, .last_id = "e40"}};
    sequences[0].digests[300 % SEQUENCE_WINDOW] = UINT32_MAX;
    begin();
    assert_ok(ops->record_sequences(store, TOPIC, 0, sequences, 2, &err));
    assert_ok(ops->record_sequences(store, TOPIC, 1, sequences, 1, &err));
    sequences[0].last = 301;
    assert_ok(ops->record_sequences(store, TOPIC, 0, sequences, 2, &err));
    commit();
    reload();
    assert_int_equal(owned.sequence_count, 2);
    assert_memory_equal(&owned.sequences[0], &sequences[0], sizeof sequences[0]);
    assert_memory_equal(&owned.sequences[1], &sequences[1], sizeof sequences[1]);
}

static void a_parked_record_is_read_back_whole_and_blocks_its_entity(void **state)
{
    (void)state;
    struct parked_record *records = NULL;
    begin();
    int64_t id = park_at(5, "k", PARKED_HELD);
    commit();
    assert_int_equal(read_parked((struct parked_filter){.parked_id = id}, &records), 1);
    assert_string_equal(records[0].record.topic, TOPIC);
    assert_int_equal(records[0].record.offset, 5);
    assert_true(slice_is(records[0].record.key, "k"));
    assert_null(records[0].record.value.data);
    assert_int_equal(records[0].record.header_count, 1);
    assert_true(slice_is(records[0].record.headers[0].value, "e1"));
    assert_true(slice_is(records[0].reason, "because"));
    assert_int_equal(records[0].code, 7);
    reload();
    assert_int_equal(owned.parked_count, 1);
    assert_int_equal(owned.waiting_count, 0);
    assert_int_equal(owned.blocked_count, 1);
    assert_string_equal(owned.blocked[0].entity_key, "k");
}

static void heads_and_due_records_are_the_oldest_of_each_entity(void **state)
{
    (void)state;
    struct parked_record *records = NULL;
    begin();
    park_at(9, "a", PARKED_BEHIND);
    park_at(7, "a", PARKED_WAITING);
    park_at(8, "b", PARKED_HELD);
    commit();
    assert_int_equal(read_parked((struct parked_filter){.topic = TOPIC}, &records), 3);
    assert_int_equal(records[0].record.offset, 7);
    assert_int_equal(records[2].record.offset, 9);
    assert_int_equal(read_parked((struct parked_filter){.heads_only = true}, &records), 2);
    assert_int_equal(records[1].record.offset, 8);
    assert_int_equal(read_parked((struct parked_filter){.due_us = 49}, &records), 0);
    assert_int_equal(read_parked((struct parked_filter){.due_us = 50}, &records), 1);
    assert_int_equal(records[0].record.offset, 7);
    assert_int_equal(read_parked((struct parked_filter){.entity_key = "a", .limit = 1}, &records),
                     1);
    reload();
    assert_int_equal(owned.parked_count, 3);
    assert_int_equal(owned.waiting_count, 1);
    assert_int_equal(owned.blocked_count, 2);
}

static void the_next_record_of_an_entity_waits_once_its_head_is_gone(void **state)
{
    (void)state;
    struct parked_record *records = NULL;
    begin();
    struct parked_record first = {.parked_id = park_at(7, "a", PARKED_HELD)};
    struct parked_record second = {.parked_id = park_at(8, "a", PARKED_BEHIND)};
    park_at(9, "a", PARKED_BEHIND);
    commit();
    begin();
    assert_ok(ops->edit_parked(store, &first, PARKED_SET_SKIPPED, &err));
    commit();
    assert_int_equal(read_parked((struct parked_filter){.due_us = 1}, &records), 1);
    assert_int_equal(records[0].parked_id, second.parked_id);
    struct fence stale = fence_to(owned.next_offset);
    assert_fence_lost(stale, 1);
    reload();
    assert_int_equal(owned.revision, 1);
    assert_int_equal(owned.parked_count, 2);
    begin();
    assert_ok(ops->edit_parked(store, &second, PARKED_DELETE, &err));
    commit();
    assert_int_equal(read_parked((struct parked_filter){.due_us = 1}, &records), 1);
    assert_int_equal(records[0].record.offset, 9);
    reload();
    assert_int_equal(owned.revision, 1);
    begin();
    assert_int_equal(ops->edit_parked(store, &second, PARKED_DELETE, &err), STATUS_ABORT);
    ops->rollback(store);
    error_clear(&err);
}

static void a_failed_attempt_and_a_retry_are_written(void **state)
{
    (void)state;
    struct parked_record *records = NULL;
    begin();
    struct parked_record attempt = {.parked_id = park_at(7, "a", PARKED_HELD),
                                    .state = PARKED_WAITING,
                                    .reason = slice_of("again"),
                                    .attempts = 3,
                                    .next_attempt_us = 900};
    assert_ok(ops->edit_parked(store, &attempt, PARKED_ATTEMPT, &err));
    assert_int_equal(read_parked((struct parked_filter){0}, &records), 1);
    assert_int_equal(records[0].state, PARKED_WAITING);
    assert_int_equal(records[0].attempts, 3);
    assert_int_equal(records[0].next_attempt_us, 900);
    assert_true(slice_is(records[0].reason, "again"));
    assert_ok(ops->edit_parked(store, &attempt, PARKED_SET_WAITING, &err));
    commit();
    assert_int_equal(read_parked((struct parked_filter){.due_us = 1}, &records), 1);
    reload();
    assert_int_equal(owned.revision, 1);
}

static void the_last_superseded_image_is_kept_until_it_is_dropped(void **state)
{
    (void)state;
    struct superseded_image image = {
        .entity_type = slice_of("order"),
        .entity_key = slice_of("k"),
        .record = {.topic = TOPIC, .offset = 3, .value = slice_of("old")}};
    struct superseded_image read;
    begin();
    assert_ok(ops->superseded(store, SUPERSEDED_KEEP, &image, &arena, NULL, &err));
    image.record.offset = 4;
    image.record.value = slice_of("new");
    assert_ok(ops->superseded(store, SUPERSEDED_KEEP, &image, &arena, NULL, &err));
    assert_ok(ops->superseded(store, SUPERSEDED_READ, &image, &arena, &read, &err));
    assert_int_equal(read.record.offset, 4);
    assert_true(slice_is(read.record.value, "new"));
    assert_ok(ops->superseded(store, SUPERSEDED_DROP, &image, &arena, NULL, &err));
    assert_ok(ops->superseded(store, SUPERSEDED_READ, &image, &arena, &read, &err));
    assert_null(read.record.topic);
    commit();
}

static void a_durable_commit_brings_the_durable_position_up(void **state)
{
    (void)state;
    struct fence fence = fence_to(8);
    assert_ok(ops->begin(store, &fence, 1, &err));
    commit();
    reload();
    assert_int_equal(owned.durable_offset, 5);
    begin();
    assert_ok(ops->commit(store, true, &err));
    reload();
    assert_int_equal(owned.durable_offset, 8);
}

static void rollback_is_legal_in_any_state(void **state)
{
    (void)state;
    ops->rollback(store);
    begin();
    assert_ok(apply_one(CHANGE_CREATE, 1, "one", "1"));
    ops->rollback(store);
    ops->rollback(store);
    assert_rows("");
    begin();
    commit();
    ops->rollback(store);
}

static void positions_are_listed_and_an_unknown_one_does_not_exist(void **state)
{
    (void)state;
    struct partition_state *states = NULL;
    struct partition_state unknown;
    size_t count = 0;
    struct store_meta meta;
    assert_ok(ops->list(store, &states, &count, &err));
    assert_int_equal(count, 1);
    assert_string_equal(states[0].topic, TOPIC);
    free(states);
    assert_ok(ops->read(store, TOPIC, 3, &unknown, &err));
    assert_false(unknown.exists);
    partition_state_done(&unknown);
    assert_ok(ops->meta(store, &meta, &err));
    assert_int_equal(meta.schema_version, 1);
    assert_int_equal(strlen(meta.copy_id), 36);
}

static int begin_test(void **state)
{
    int result = test_begin(state);
    error_clear(&err);
    arena_init(&arena, (size_t)1024 * 1024);
    store = open_another();
    assert_ok(ops->prepare(store, &mapping, &err));
    owned = (struct partition_state){.topic = TOPIC,
                                     .next_offset = 5,
                                     .token = "t1",
                                     .cluster_id = "cluster",
                                     .partition_count = 6};
    assert_ok(ops->take(store, &owned, &err));
    return result;
}

static int end_test(void **state)
{
    ops->close(store);
    partition_state_done(&owned);
    arena_done(&arena);
    return test_end(state);
}

#define CASE(function)                                                                             \
    {                                                                                              \
#function, function, begin_test, end_test, &(struct test_case)                             \
        {                                                                                          \
#function, TEST_LIMIT_SECONDS                                                          \
        }                                                                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(taking_a_partition_raises_its_epoch_and_keeps_its_position),
        CASE(a_fence_moves_the_position_and_its_anchor),
        CASE(a_fence_with_another_offset_or_revision_is_told_to_reload),
        CASE(a_fence_with_another_epoch_has_lost_the_partition),
        CASE(a_fence_by_epoch_alone_leaves_the_position_as_it_is),
        CASE(a_second_fence_that_fails_takes_the_first_one_back),
        CASE(another_owner_fences_the_first_one_out),
        CASE(two_writers_at_a_time_make_the_second_retry),
        CASE(going_back_to_the_savepoint_keeps_the_position),
        CASE(keys_are_new_then_duplicates_and_conflicts_with_another_digest),
        CASE(rows_are_upserted_merged_and_deleted_twice),
        CASE(an_update_that_lacks_columns_is_held_where_there_is_no_row),
        CASE(sequences_are_read_as_they_were_recorded),
        CASE(a_parked_record_is_read_back_whole_and_blocks_its_entity),
        CASE(heads_and_due_records_are_the_oldest_of_each_entity),
        CASE(the_next_record_of_an_entity_waits_once_its_head_is_gone),
        CASE(a_failed_attempt_and_a_retry_are_written),
        CASE(the_last_superseded_image_is_kept_until_it_is_dropped),
        CASE(a_durable_commit_brings_the_durable_position_up),
        CASE(rollback_is_legal_in_any_state),
        CASE(positions_are_listed_and_an_unknown_one_does_not_exist),
    };
    static const char *const urls[] = {"sqlite:", "memory:"};
    int failures = 0;
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        ops = store_find(urls[i]);
        (void)printf("# %s\n", urls[i]);
        (void)fflush(stdout);
        failures += TEST_RUN(tests);
    }
    return failures;
}
