/* The contract of a store, over every back end: fences, positions, keys, rows, commits. */
#include "tests/support/store_case.h"

static void taking_a_partition_raises_its_epoch_and_keeps_its_position(void)
{
    struct partition_state again = {.topic = STORE_CASE_TOPIC, .next_offset = 999, .token = "t2"};
    assert_false(store_case_owned.exists);
    assert_int_equal(store_case_owned.epoch, 1);
    assert_int_equal(store_case_owned.next_offset, 5);
    assert_int_equal(store_case_owned.anchor_offset, -1);
    assert_ok(store_case_ops->take(store_case_store, &again, &store_case_err));
    assert_true(again.exists);
    assert_int_equal(again.epoch, 2);
    assert_int_equal(again.next_offset, 5);
    assert_string_equal(again.token, "t2");
    assert_string_equal(again.cluster_id, "cluster");
    partition_state_done(&again);
}

static void a_fence_moves_the_position_and_its_anchor(void)
{
    struct fence fence = store_case_fence(8);
    fence.anchor_offset = 7;
    fence.anchor_id = "e7";
    fence.stopped = "a gap";
    assert_ok(store_case_ops->begin(store_case_store, &fence, 1, &store_case_err));
    store_case_commit();
    store_case_reload();
    assert_int_equal(store_case_owned.next_offset, 8);
    assert_int_equal(store_case_owned.durable_offset,
                     strcmp(store_case_back_end->url, "mysql:") == 0 ? 8 : 5);
    assert_int_equal(store_case_owned.anchor_offset, 7);
    assert_string_equal(store_case_owned.anchor_id, "e7");
    assert_string_equal(store_case_owned.stopped, "a gap");
    store_case_begin();
    store_case_commit();
    store_case_reload();
    assert_int_equal(store_case_owned.anchor_offset, 7);
    assert_string_equal(store_case_owned.stopped, "");
}

static void taking_a_partition_forgets_why_it_stood_still(void)
{
    struct partition_state again = {.topic = STORE_CASE_TOPIC, .token = "t2"};
    struct fence fence = store_case_fence(8);
    fence.stopped = "a gap";
    assert_ok(store_case_ops->begin(store_case_store, &fence, 1, &store_case_err));
    store_case_commit();
    assert_ok(store_case_ops->take(store_case_store, &again, &store_case_err));
    assert_string_equal(again.stopped, "");
    partition_state_done(&again);
    store_case_reload();
    assert_string_equal(store_case_owned.stopped, "");
}

static void a_fence_with_another_offset_or_revision_is_told_to_reload(void)
{
    struct fence fence = store_case_fence(8);
    fence.old_offset = 4;
    store_case_assert_fence_lost(fence, 1);
    fence = store_case_fence(8);
    fence.revision = 3;
    store_case_assert_fence_lost(fence, 1);
    fence = store_case_fence(5);
    fence.revise = true; /* an operator's revision, valid once */
    assert_ok(store_case_ops->begin(store_case_store, &fence, 1, &store_case_err));
    store_case_commit();
    store_case_assert_fence_lost(fence, 1);
    store_case_reload();
    assert_int_equal(store_case_owned.next_offset, 5);
}

static void a_fence_with_another_epoch_has_lost_the_partition(void)
{
    struct fence fence = store_case_fence(8);
    fence.epoch = 9;
    store_case_assert_fence_lost(fence, 0);
    fence = store_case_fence(8);
    fence.topic = "nobody";
    store_case_assert_fence_lost(fence, 0);
}

static void a_fence_by_epoch_alone_leaves_the_position_as_it_is(void)
{
    struct fence fence = store_case_fence(77);
    fence.old_offset = 1;
    fence.revision = 9;
    fence.by_epoch_alone = true;
    assert_ok(store_case_ops->begin(store_case_store, &fence, 1, &store_case_err));
    store_case_commit();
    store_case_reload();
    assert_int_equal(store_case_owned.next_offset, 5);
    fence.epoch = 9;
    store_case_assert_fence_lost(fence, 0);
}

static void a_second_fence_that_fails_takes_the_first_one_back(void)
{
    struct fence fences[] = {store_case_fence(8), store_case_fence(8)};
    fences[1].partition = 1;
    assert_int_equal(store_case_ops->begin(store_case_store, fences, 2, &store_case_err),
                     STATUS_ABORT);
    store_case_ops->rollback(store_case_store);
    error_clear(&store_case_err);
    store_case_reload();
    assert_int_equal(store_case_owned.next_offset, 5);
}

static void another_owner_fences_the_first_one_out(void)
{
    struct store *another = store_case_open();
    struct partition_state theirs = {.topic = STORE_CASE_TOPIC, .token = "t2"};
    assert_ok(store_case_ops->take(another, &theirs, &store_case_err));
    store_case_assert_fence_lost(store_case_fence(8), 0);
    partition_state_done(&theirs);
    store_case_ops->close(another);
}

static void two_writers_at_a_time_make_the_second_retry(void)
{
    struct store *another = store_case_open();
    struct fence fence = store_case_fence(store_case_owned.next_offset);
    store_case_begin();
    assert_int_equal(store_case_ops->begin(another, &fence, 1, &store_case_err), STATUS_RETRY);
    store_case_ops->rollback(another);
    error_clear(&store_case_err);
    store_case_commit();
    assert_ok(store_case_ops->begin(another, &fence, 1, &store_case_err));
    store_case_ops->close(another);
    store_case_begin();
    store_case_commit();
}

static void without_a_savepoint_a_transaction_is_committed_or_undone_whole(void)
{
    struct fence fence = store_case_fence(8);
    assert_ok(store_case_ops->begin(store_case_store, &fence, 1, &store_case_err));
    assert_ok(store_case_ops->drop_savepoint(store_case_store, &store_case_err));
    assert_ok(store_case_apply(CHANGE_CREATE, 1, "one", "1"));
    store_case_ops->rollback(store_case_store);
    assert_ok(store_case_ops->begin(store_case_store, &fence, 1, &store_case_err));
    assert_ok(store_case_ops->savepoint(store_case_store, false, &store_case_err));
    assert_ok(store_case_ops->drop_savepoint(store_case_store, &store_case_err));
    assert_ok(store_case_apply(CHANGE_CREATE, 2, "two", "2"));
    store_case_commit();
    store_case_assert_rows("2|two|2\n");
    store_case_reload();
    assert_int_equal(store_case_owned.next_offset, 8);
}

static void going_back_to_the_savepoint_keeps_the_position(void)
{
    struct fence fence = store_case_fence(8);
    assert_ok(store_case_ops->begin(store_case_store, &fence, 1, &store_case_err));
    assert_ok(store_case_apply(CHANGE_CREATE, 1, "one", "1"));
    assert_ok(store_case_ops->savepoint(store_case_store, false, &store_case_err));
    assert_ok(store_case_apply(CHANGE_CREATE, 2, "two", "2"));
    struct key_claim claim = {.source = slice_of("s"), .id = slice_of("k"), .digest = 1};
    assert_ok(store_case_ops->claim_keys(store_case_store, &claim, 1, &store_case_err));
    assert_ok(store_case_ops->savepoint(store_case_store, true, &store_case_err));
    assert_ok(store_case_ops->claim_keys(store_case_store, &claim, 1, &store_case_err));
    assert_int_equal(claim.verdict, KEY_NEW);
    assert_ok(store_case_ops->savepoint(store_case_store, true, &store_case_err));
    store_case_commit();
    store_case_assert_rows("1|one|1\n");
    store_case_reload();
    assert_int_equal(store_case_owned.next_offset, 8);
}

/* Bytes that are no text take the most room. */
static void keys_of_the_greatest_length_are_kept_whole(void)
{
    char bytes[STORE_KEY_MAX];
    memset(bytes, 0xff, sizeof bytes);
    struct key_claim claims[] = {
        {.source = {bytes, sizeof bytes}, .id = {bytes, sizeof bytes}, .digest = 1},
        {.source = {bytes, sizeof bytes}, .id = {bytes, sizeof bytes - 1}, .digest = 2}};
    store_case_begin();
    assert_ok(store_case_ops->claim_keys(store_case_store, claims, 2, &store_case_err));
    store_case_commit();
    assert_int_equal(claims[0].verdict, KEY_NEW);
    assert_int_equal(claims[1].verdict, KEY_NEW);
    store_case_begin();
    assert_ok(store_case_ops->claim_keys(store_case_store, claims, 2, &store_case_err));
    store_case_commit();
    assert_int_equal(claims[0].verdict, KEY_DUPLICATE);
    assert_int_equal(claims[1].verdict, KEY_DUPLICATE);
}

static void keys_are_new_then_duplicates_and_conflicts_with_another_digest(void)
{
    struct key_claim claims[] = {
        {.source = slice_of("s"), .id = slice_of("a"), .digest = UINT64_MAX},
        {.source = slice_of("s"), .id = slice_of("b"), .digest = 2},
        {.source = slice_of("s"), .id = slice_of("a"), .digest = UINT64_MAX},
        {.source = slice_of("s"), .id = slice_of("b"), .digest = 3},
        {.source = slice_of("t"), .id = slice_of("a"), .digest = 9}};
    const struct prune old = {.keys_before_us = INT64_MAX, .limit = 2};
    size_t pruned = 0;
    store_case_begin();
    assert_ok(store_case_ops->claim_keys(store_case_store, claims, 5, &store_case_err));
    assert_int_equal(claims[0].verdict, KEY_NEW);
    assert_int_equal(claims[1].verdict, KEY_NEW);
    assert_int_equal(claims[2].verdict, KEY_DUPLICATE);
    assert_int_equal(claims[3].verdict, KEY_CONFLICT);
    assert_int_equal(claims[4].verdict, KEY_NEW);
    store_case_commit();
    assert_ok(store_case_ops->prune(store_case_store,
                                    &(struct prune){.keys_before_us = 1, .limit = 10}, &pruned,
                                    &store_case_err));
    assert_int_equal(pruned, 0);
    assert_ok(store_case_ops->prune(store_case_store, &old, &pruned, &store_case_err));
    assert_int_equal(pruned, 2);
    assert_ok(store_case_ops->prune(store_case_store, &old, &pruned, &store_case_err));
    assert_int_equal(pruned, 1);
}

static void keys_are_claimed_in_any_number_and_each_is_judged(void)
{
    enum { CLAIMS = 2500 };
    static struct key_claim claims[CLAIMS];
    const struct prune all = {.keys_before_us = INT64_MAX, .limit = 2 * CLAIMS};
    size_t pruned = 0;
    for (size_t i = 0; i < CLAIMS; i++)
        claims[i] = (struct key_claim){
            .source = slice_of("many"), .id = slice_of(test_format("k%zu", i)), .digest = i};
    store_case_begin();
    assert_ok(store_case_ops->claim_keys(store_case_store, claims, CLAIMS, &store_case_err));
    for (size_t i = 0; i < CLAIMS; i++)
        assert_int_equal(claims[i].verdict, KEY_NEW);
    for (size_t i = 0; i < CLAIMS; i += 2) {
        claims[i].id = slice_of(test_format("n%zu", i));
        claims[i + 1].digest += i % 3 == 0;
    }
    assert_ok(store_case_ops->claim_keys(store_case_store, claims, CLAIMS, &store_case_err));
    for (size_t i = 0; i < CLAIMS; i += 2) {
        assert_int_equal(claims[i].verdict, KEY_NEW);
        assert_int_equal(claims[i + 1].verdict, i % 3 == 0 ? KEY_CONFLICT : KEY_DUPLICATE);
    }
    store_case_commit();
    assert_ok(store_case_ops->prune(store_case_store, &all, &pruned, &store_case_err));
    assert_int_equal(pruned, CLAIMS + CLAIMS / 2);
}

static void rows_are_upserted_merged_and_deleted_twice(void)
{
    store_case_begin();
    assert_ok(store_case_apply(CHANGE_CREATE, 1, "one", "1.50"));
    assert_ok(store_case_apply(CHANGE_UPDATE, 2, "", "123456789012345678.10"));
    assert_ok(store_case_apply(CHANGE_CREATE, 1, "uno", "1.00"));
    assert_ok(store_case_apply(CHANGE_UPDATE, 1, NULL, "9"));
    assert_ok(store_case_apply(CHANGE_UPDATE, 1, NULL, NULL));
    assert_ok(store_case_apply(CHANGE_READ, 4, "four", NULL));
    assert_ok(store_case_apply(CHANGE_CREATE, 3, "three", "3"));
    assert_ok(store_case_apply(CHANGE_DELETE, 3, NULL, NULL));
    assert_ok(store_case_apply(CHANGE_DELETE, 3, NULL, NULL));
    store_case_commit();
    store_case_assert_rows("1|uno|9\n2||123456789012345678.10\n4|four|NULL\n");
}

/* Sparse images, full ones and deletes alternate on the same entities. The last one counts. */
static void a_run_keeps_the_order_of_each_entity(void)
{
    enum { CHANGES = 400, ENTITIES = 7 };
    static struct value values[CHANGES][3];
    static struct change list[CHANGES];
    static const struct change *changes[CHANGES];
    const char *names[ENTITIES] = {NULL};
    const char *rows = "";
    memset(values, 0, sizeof values);
    for (size_t i = 0; i < CHANGES; i++) {
        size_t id = (i * 5) % ENTITIES;
        bool removed = i % 11 == 0;
        bool sparse = i % 3 == 1 && names[id] != NULL;
        names[id] = removed ? NULL : test_format("%zu", i);
        values[i][0] = (struct value){.kind = VALUE_INTEGER, .integer = (int64_t)id};
        if (!removed)
            values[i][1] = (struct value){.kind = VALUE_TEXT, .text = slice_of(names[id])};
        if (!removed && !sparse)
            values[i][2] = (struct value){.kind = VALUE_TEXT, .text = slice_of("1.50")};
        list[i] = (struct change){.op = removed ? CHANGE_DELETE : CHANGE_UPDATE,
                                  .entity_type = slice_of("order"),
                                  .entity_key = slice_of(test_format("{\"id\":%zu}", id)),
                                  .schema = store_case_mapping.schema,
                                  .values = values[i]};
        changes[i] = &list[i];
    }
    store_case_begin();
    assert_ok(store_case_ops->apply(store_case_store, &store_case_mapping, changes, CHANGES,
                                    &store_case_err));
    store_case_commit();
    for (size_t id = 0; id < ENTITIES; id++) {
        if (names[id] != NULL)
            rows = test_format("%s%zu|%s|1.50\n", rows, id, names[id]);
    }
    store_case_assert_rows(rows);
}

static void an_update_that_lacks_columns_is_held_where_there_is_no_row(void)
{
    store_case_begin();
    assert_ok(store_case_apply(CHANGE_CREATE, 1, "one", "1"));
    assert_int_equal(store_case_apply(CHANGE_UPDATE, 5, NULL, "9"), STATUS_REJECT);
    assert_int_equal(store_case_err.reject, REJECT_NO_ROW);
    error_clear(&store_case_err);
    assert_int_equal(store_case_apply(CHANGE_UPDATE, 5, NULL, NULL), STATUS_REJECT);
    error_clear(&store_case_err);
    store_case_commit();
    store_case_assert_rows("1|one|1\n");
}

static void record_sequence(int32_t partition, const struct sequence_state *sequence)
{
    assert_ok(store_case_ops->record_sequence(store_case_store, STORE_CASE_TOPIC, partition,
                                              sequence, &store_case_err));
}

static void sequences_are_read_as_they_were_recorded(void)
{
    struct sequence_state sequences[2] = {
        {.source = "shop", .incarnation = "i1", .base = 1, .last = 300, .last_id = "e300"},
        {.source = "shop", .incarnation = "i2", .base = 40, .last = 40, .last_id = "e40"}};
    sequences[0].digests[300 % SEQUENCE_WINDOW] = UINT32_MAX;
    store_case_begin();
    record_sequence(0, &sequences[0]);
    record_sequence(0, &sequences[1]);
    record_sequence(1, &sequences[0]);
    sequences[0].last = 301;
    record_sequence(0, &sequences[0]);
    record_sequence(0, &sequences[1]);
    store_case_commit();
    store_case_reload();
    assert_int_equal(store_case_owned.sequence_count, 2);
    assert_memory_equal(&store_case_owned.sequences[0], &sequences[0], sizeof sequences[0]);
    assert_memory_equal(&store_case_owned.sequences[1], &sequences[1], sizeof sequences[1]);
}

static void a_durable_commit_brings_the_durable_position_up(void)
{
    struct fence fence = store_case_fence(8);
    assert_ok(store_case_ops->begin(store_case_store, &fence, 1, &store_case_err));
    store_case_commit();
    store_case_reload();
    if (strcmp(store_case_back_end->url, "mysql:") == 0) /* there every commit waits for the disk */
        assert_int_equal(store_case_owned.durable_offset, 8);
    else
        assert_int_equal(store_case_owned.durable_offset, 5);
    store_case_begin();
    assert_ok(store_case_ops->commit(store_case_store, true, &store_case_err));
    store_case_reload();
    assert_int_equal(store_case_owned.durable_offset, 8);
}

static void rollback_is_legal_in_any_state(void)
{
    store_case_ops->rollback(store_case_store);
    store_case_begin();
    assert_ok(store_case_apply(CHANGE_CREATE, 1, "one", "1"));
    store_case_ops->rollback(store_case_store);
    store_case_ops->rollback(store_case_store);
    store_case_assert_rows("");
    store_case_begin();
    store_case_commit();
    store_case_ops->rollback(store_case_store);
}

static void positions_are_listed_and_an_unknown_one_does_not_exist(void)
{
    struct partition_state *states = NULL;
    struct partition_state unknown;
    size_t count = 0;
    struct store_meta meta;
    assert_ok(store_case_ops->list(store_case_store, &states, &count, &store_case_err));
    assert_int_equal(count, 1);
    assert_string_equal(states[0].topic, STORE_CASE_TOPIC);
    free(states);
    assert_ok(
        store_case_ops->read(store_case_store, STORE_CASE_TOPIC, 3, &unknown, &store_case_err));
    assert_false(unknown.exists);
    partition_state_done(&unknown);
    assert_ok(store_case_ops->meta(store_case_store, &meta, &store_case_err));
    assert_int_equal(meta.schema_version, STORE_SCHEMA_VERSION);
    assert_int_equal(strlen(meta.copy_id), 36);
}

static void assert_not_opened(const char *reason)
{
    struct store *store = NULL;
    struct store_options options = {.path = store_case_agent_database(), .service = "billing"};
    assert_int_equal(store_case_ops->open(&options, &store, &store_case_err), STATUS_FATAL);
    assert_non_null(strstr(store_case_err.text, reason));
    error_clear(&store_case_err);
}

static void a_database_with_newer_tables_of_keepsteps_or_without_them_is_refused(void)
{
    (void)store_case_back_end->text(store_case_database(),
                                    "UPDATE keepstep_meta SET value = '4' WHERE value = '3'");
    assert_not_opened("newer program");
    (void)store_case_back_end->text(store_case_database(), "DROP TABLE keepstep_meta");
    assert_not_opened("keepstep init");
}

int main(void)
{
    static struct store_case cases[] = {
        STORE_CASE(taking_a_partition_raises_its_epoch_and_keeps_its_position),
        STORE_CASE(a_fence_moves_the_position_and_its_anchor),
        STORE_CASE(taking_a_partition_forgets_why_it_stood_still),
        STORE_CASE(a_fence_with_another_offset_or_revision_is_told_to_reload),
        STORE_CASE(a_fence_with_another_epoch_has_lost_the_partition),
        STORE_CASE(a_fence_by_epoch_alone_leaves_the_position_as_it_is),
        STORE_CASE(a_second_fence_that_fails_takes_the_first_one_back),
        STORE_CASE(another_owner_fences_the_first_one_out),
        STORE_CASE(two_writers_at_a_time_make_the_second_retry),
        STORE_CASE(without_a_savepoint_a_transaction_is_committed_or_undone_whole),
        STORE_CASE(going_back_to_the_savepoint_keeps_the_position),
        STORE_CASE(keys_of_the_greatest_length_are_kept_whole),
        STORE_CASE(keys_are_new_then_duplicates_and_conflicts_with_another_digest),
        STORE_CASE(keys_are_claimed_in_any_number_and_each_is_judged),
        STORE_CASE(rows_are_upserted_merged_and_deleted_twice),
        STORE_CASE(a_run_keeps_the_order_of_each_entity),
        STORE_CASE(an_update_that_lacks_columns_is_held_where_there_is_no_row),
        STORE_CASE(sequences_are_read_as_they_were_recorded),
        STORE_CASE(a_durable_commit_brings_the_durable_position_up),
        STORE_CASE(rollback_is_legal_in_any_state),
        STORE_CASE(positions_are_listed_and_an_unknown_one_does_not_exist),
        STORE_CASE_OF_SQL(a_database_with_newer_tables_of_keepsteps_or_without_them_is_refused),
    };
    return store_case_run(cases, sizeof cases / sizeof cases[0]);
}
