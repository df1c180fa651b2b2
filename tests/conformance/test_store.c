/* The store contract over every back end: fences, positions, keys, rows, commits. */
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

static void a_fence_with_another_offset_or_revision_is_told_to_reload(void)
{
    struct fence fence = store_case_fence(8);
    fence.old_offset = 4;
    store_case_assert_fence_lost(fence, 1);
    fence = store_case_fence(8);
    fence.revision = 3;
    store_case_assert_fence_lost(fence, 1);
    fence = store_case_fence(5);
    fence.revise = true; /* an operator's, once */
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

/* Sparse images, deletes and full ones, the same entities again and again: the last one counts. */
static void a_run_keeps_the_order_of_each_entity(void)
{
    enum { CHANGES = 400, ENTITIES = 7 };
    static struct value values[CHANGES][3];
    static struct change list[CHANGES];
    static const struct change *changes[CHANGES];
    const char *names[ENTITIES] = {NULL};
    const char *rows = "";
    size_t failed = 0;
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
                                    &failed, &store_case_err));
    assert_int_equal(failed, CHANGES);
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
    assert_int_equal(store_case_err.reject, REJECT_HELD);
    error_clear(&store_case_err);
    assert_int_equal(store_case_apply(CHANGE_UPDATE, 5, NULL, NULL), STATUS_REJECT);
    error_clear(&store_case_err);
    store_case_commit();
    store_case_assert_rows("1|one|1\n");
}

static void sequences_are_read_as_they_were_recorded(void)
{
    struct sequence_state sequences[2] = {
        {.source = "shop", .incarnation = "i1", .base = 1, .last = 300, .last_id = "e300"},
        {.source = "shop", .incarnation = "i2", .base = 40, .last = 40, .last_id = "e40"}};
    sequences[0].digests[300 % SEQUENCE_WINDOW] = UINT32_MAX;
    store_case_begin();
    assert_ok(store_case_ops->record_sequences(store_case_store, STORE_CASE_TOPIC, 0, sequences, 2,
                                               &store_case_err));
    assert_ok(store_case_ops->record_sequences(store_case_store, STORE_CASE_TOPIC, 1, sequences, 1,
                                               &store_case_err));
    sequences[0].last = 301;
    assert_ok(store_case_ops->record_sequences(store_case_store, STORE_CASE_TOPIC, 0, sequences, 2,
                                               &store_case_err));
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
    if (strcmp(store_case_back_end->url, "mysql:") == 0) /* every commit waits */
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
    assert_int_equal(meta.schema_version, 1);
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
                                    "UPDATE keepstep_meta SET value = '2' WHERE value = '1'");
    assert_not_opened("newer program");
    (void)store_case_back_end->text(store_case_database(), "DROP TABLE keepstep_meta");
    assert_not_opened("keepstep init");
}

#define UNREAD_TOPIC "unread"

/* The case's mapping with another topic, table and name for the column price. */
static const struct mapping *mapping_to(const char *topic, const char *table, const char *price)
{
    static char pair_name[] = "price";
    static struct mapping mapping;
    static struct config_entry entry;
    static struct config_pair pair;
    pair = (struct config_pair){.name = pair_name, .value = (char *)(uintptr_t)price};
    entry = *store_case_mapping.entry;
    entry.topic = (char *)(uintptr_t)topic;
    entry.table = (char *)(uintptr_t)table;
    entry.columns = &pair;
    entry.column_count = 1;
    mapping = store_case_mapping;
    mapping.entry = &entry;
    return &mapping;
}

/* @return a store with the right to change tables. */
static struct store *open_administrator(void)
{
    struct store *administrator = NULL;
    struct store_options options = {.path = store_case_database(), .service = "billing"};
    assert_ok(store_case_ops->open(&options, &administrator, &store_case_err));
    return administrator;
}

static void assert_taken(struct store *store, const char *topic, const char *table,
                         const char *price)
{
    assert_ok(store_prepare(store, mapping_to(topic, table, price), false, &store_case_err));
}

static void assert_refused(struct store *store, bool accept_moved, const struct mapping *mapping,
                           const char *words)
{
    enum status status = store_prepare(store, mapping, accept_moved, &store_case_err);
    if (status != STATUS_FATAL || store_case_err.exit_code != 78 ||
        strstr(store_case_err.text, words) == NULL)
        test_fail("wanted \"%s\", got %s with %d: %s", words, status_name(status),
                  store_case_err.exit_code, store_case_err.text);
    error_clear(&store_case_err);
}

/* @return the words of a refusal; both columns as the configuration has them. */
static const char *moved(const char *from, const char *to)
{
    const char *schema = store_case_back_end->schema;
    return test_format("was kept in %s%s and would be in %s%s", schema, from, schema, to);
}

static void no_table_is_made_anew_in_the_middle_of_its_topic(void)
{
    const struct mapping *absent = mapping_to(STORE_CASE_TOPIC, "Absent", "price");
    for (int i = 0; i < 2; i++) /* the first time makes none */
        assert_refused(store_case_store, false, absent,
                       "no table \"Absent\" for order, but 5 records");
    absent = mapping_to(UNREAD_TOPIC, "Absent", "price");
    store_case_prepare(absent);
    for (int i = 0; i < 2; i++) /* the first time records its columns */
        assert_taken(store_case_store, STORE_CASE_TOPIC, "Absent", "price");
}

static void a_column_in_another_place_is_refused_once_its_topic_was_read(void)
{
    struct store *administrator = open_administrator();
    for (int i = 0; i < 2; i++)
        assert_taken(store_case_store, STORE_CASE_TOPIC, "orders", "price");
    for (int i = 0; i < 2; i++) { /* in memory every column is there, the recorded one too */
        assert_refused(store_case_store, i == 1, mapping_to(STORE_CASE_TOPIC, "orders", "cost"),
                       test_format("column \"price\" of order %s, but 5 records of topic order were "
                                   "read",
                                   moved("orders.price", "orders.cost")));
        assert_refused(store_case_store, i == 1, mapping_to(STORE_CASE_TOPIC, "sold", "price"),
                       test_format("column \"id\" of order %s, ", moved("orders.id", "sold.id")));
    }
    assert_taken(store_case_store, STORE_CASE_TOPIC, "orders", "price");
    assert_taken(administrator, UNREAD_TOPIC, "orders", "cost");
    assert_taken(store_case_store, STORE_CASE_TOPIC, "orders", "cost");
    assert_refused(administrator, true, mapping_to(STORE_CASE_TOPIC, "orders", "price"),
                   moved("orders.cost", "orders.price"));
    store_case_ops->close(administrator);
}

static void the_place_of_a_new_column_is_recorded_and_kept_while_the_schema_lacks_it(void)
{
    struct entity_schema narrow = *store_case_mapping.schema;
    narrow.column_count = 2;
    for (int i = 0; i < 2; i++) {
        struct mapping without = *mapping_to(STORE_CASE_TOPIC, "orders", "price");
        without.schema = &narrow;
        assert_ok(store_prepare(store_case_store, &without, false, &store_case_err));
        if (i == 1)
            assert_refused(store_case_store, false, mapping_to(STORE_CASE_TOPIC, "orders", "cost"),
                           moved("orders.price", "orders.cost"));
        assert_taken(store_case_store, STORE_CASE_TOPIC, "orders", "price");
    }
}

static void execute(const char *sql)
{
    (void)store_case_back_end->text(store_case_database(), sql);
}

static void data_that_was_moved_is_accepted_where_only_its_new_place_is_there(void)
{
    struct store *administrator = open_administrator();
    const struct mapping *renamed = mapping_to(STORE_CASE_TOPIC, "orders", "price");
    assert_ok(store_prepare(store_case_store, renamed, false, &store_case_err));
    store_case_begin();
    assert_ok(store_case_apply(CHANGE_CREATE, 1, "one", "1.5"));
    store_case_commit();
    execute("ALTER TABLE orders RENAME COLUMN price TO cost");
    for (int i = 0; i < 2; i++) /* the first time makes none */
        assert_refused(administrator, true, renamed,
                       "table \"orders\" has lost the column \"price\" of order");
    assert_refused(administrator, true, mapping_to(STORE_CASE_TOPIC, "orders", "neither"),
                   moved("orders.price", "orders.neither"));
    assert_refused(store_case_store, false, mapping_to(STORE_CASE_TOPIC, "orders", "cost"),
                   "run `keepstep init`");
    renamed = mapping_to(STORE_CASE_TOPIC, "orders", "cost");
    assert_ok(store_prepare(administrator, renamed, true, &store_case_err));
    assert_ok(store_prepare(store_case_store, renamed, false, &store_case_err));
    execute("ALTER TABLE orders RENAME TO sold");
    renamed = mapping_to(STORE_CASE_TOPIC, "sold", "cost");
    assert_refused(store_case_store, false, renamed, moved("orders.id", "sold.id"));
    assert_ok(store_prepare(administrator, renamed, true, &store_case_err));
    store_case_prepare(renamed); /* rights on the new name */
    assert_ok(store_prepare(store_case_store, renamed, false, &store_case_err));
    assert_string_equal(
        store_case_trim(store_case_back_end->rows(store_case_store, store_case_database(), "sold")),
        "1|one|1.5\n");
    store_case_ops->close(administrator);
}

/* The mapping with the table and the column price written in another way. */
static const struct mapping *mapping_respelled(void)
{
    return mapping_to(STORE_CASE_TOPIC, store_case_back_end->table, store_case_back_end->column);
}

static void another_spelling_of_the_same_table_and_column_is_accepted(void)
{
    struct store *administrator = open_administrator();
    assert_taken(store_case_store, STORE_CASE_TOPIC, "orders", "price");
    for (int i = 0; i < 2; i++) { /* no record is changed by the agent, which may not */
        assert_ok(store_prepare(store_case_store, mapping_respelled(), false, &store_case_err));
        assert_ok(store_prepare(administrator, mapping_respelled(), i == 1, &store_case_err));
        assert_taken(store_case_store, STORE_CASE_TOPIC, "orders", "price");
    }
    if (store_case_back_end->is_server)
        assert_refused(administrator, true, mapping_to(STORE_CASE_TOPIC, "Orders", "price"),
                       moved("orders.id", "Orders.id"));
    execute("ALTER TABLE orders RENAME TO sold");
    assert_refused(administrator, true, mapping_to(STORE_CASE_TOPIC, "orders", "price"),
                   "there is no table \"orders\" for order, but 5 records");
    store_case_ops->close(administrator);
}

#define AS_WRITTEN                                                                                 \
    "UPDATE keepstep_meta SET value = replace(value, 'public.', '') WHERE value LIKE 'public.%'"
#define PLACES "SELECT value FROM keepstep_meta WHERE value LIKE '%.%' ORDER BY value"

static void a_place_that_was_recorded_as_it_was_written_is_understood_and_init_records_it_anew(void)
{
    struct store *administrator = open_administrator();
    const char *schema = store_case_back_end->schema;
    assert_taken(store_case_store, STORE_CASE_TOPIC, "orders", "price");
    execute(AS_WRITTEN);
    for (int i = 0; i < 2; i++) {
        assert_taken(store_case_store, STORE_CASE_TOPIC, "orders", "price");
        assert_ok(store_prepare(store_case_store, mapping_respelled(), false, &store_case_err));
    }
    assert_refused(administrator, true, mapping_to(STORE_CASE_TOPIC, "orders", "name"),
                   test_format("was kept in orders.price and would be in %sorders.name", schema));
    assert_string_equal(store_case_back_end->text(store_case_database(), PLACES),
                        "orders.id\norders.name\norders.price\n");
    assert_ok(store_prepare(administrator, mapping_to(STORE_CASE_TOPIC, "orders", "price"), true,
                            &store_case_err));
    assert_string_equal(
        store_case_back_end->text(store_case_database(), PLACES),
        test_format("%sorders.id\n%sorders.name\n%sorders.price\n", schema, schema, schema));
    store_case_ops->close(administrator);
}

static void a_table_with_triggers_is_written_in_another_way_by_init_alone(void)
{
    struct store *administrator = open_administrator();
    struct mapping before = *mapping_to(STORE_CASE_TOPIC, "orders", "price");
    struct config_entry entry = *before.entry;
    struct mapping after = *mapping_respelled();
    before.entry = &entry;
    entry.columns = NULL;
    entry.column_count = 0;
    before.published_here = after.published_here = true;
    if (strcmp(entry.table, after.entry->table) == 0)
        goto out; /* its tables have one spelling */
    assert_ok(store_prepare(store_case_store, &before, false, &store_case_err));
    for (int i = 0; i < 2; i++) {
        assert_refused(store_case_store, false, &after, "run `keepstep init`");
        assert_ok(store_prepare(store_case_store, &before, false, &store_case_err));
        /* Then as a version left it that recorded no table. */
        execute(AS_WRITTEN);
        execute("DELETE FROM keepstep_meta WHERE value = 'orders'");
    }
    assert_ok(store_prepare(administrator, &after, true, &store_case_err));
    assert_ok(store_prepare(store_case_store, &after, false, &store_case_err));
    assert_refused(store_case_store, false, &before, "run `keepstep init`");
out:
    store_case_ops->close(administrator);
}

int main(void)
{
    static struct store_case cases[] = {
        STORE_CASE(taking_a_partition_raises_its_epoch_and_keeps_its_position),
        STORE_CASE(a_fence_moves_the_position_and_its_anchor),
        STORE_CASE(a_fence_with_another_offset_or_revision_is_told_to_reload),
        STORE_CASE(a_fence_with_another_epoch_has_lost_the_partition),
        STORE_CASE(a_fence_by_epoch_alone_leaves_the_position_as_it_is),
        STORE_CASE(a_second_fence_that_fails_takes_the_first_one_back),
        STORE_CASE(another_owner_fences_the_first_one_out),
        STORE_CASE(two_writers_at_a_time_make_the_second_retry),
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
        STORE_CASE_OF_SQL(no_table_is_made_anew_in_the_middle_of_its_topic),
        STORE_CASE(a_column_in_another_place_is_refused_once_its_topic_was_read),
        STORE_CASE(the_place_of_a_new_column_is_recorded_and_kept_while_the_schema_lacks_it),
        STORE_CASE_OF_SQL(data_that_was_moved_is_accepted_where_only_its_new_place_is_there),
        STORE_CASE_OF_SQL(another_spelling_of_the_same_table_and_column_is_accepted),
        STORE_CASE_OF_SQL(
            a_place_that_was_recorded_as_it_was_written_is_understood_and_init_records_it_anew),
        STORE_CASE_OF_SQL(a_table_with_triggers_is_written_in_another_way_by_init_alone),
    };
    return store_case_run(cases, sizeof cases / sizeof cases[0]);
}
