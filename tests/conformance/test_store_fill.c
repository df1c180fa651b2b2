/* The contract of a store's fills (rules 38 to 42): stages follow each other, an attempt fences
 * agents and other attempts out, and what is installed replaces all that was known of a topic. */
#include "tests/support/store_case.h"

#include <inttypes.h>
#include <stdio.h>

#define FIRST      "0193c000-0000-7000-8000-000000000001"
#define SECOND     "0193c000-0000-7000-8000-000000000002"
#define KEYS       9000 /* more than a part of a scan */
#define PARTITIONS 2

static struct fill_state attempt(const char *id)
{
    struct fill_state fill = {.topic = STORE_CASE_TOPIC, .source = "shop", .asked_at_us = 77};
    (void)snprintf(fill.id, sizeof fill.id, "%s", id);
    return fill;
}

/* Write one edit in a transaction of its own. */
static enum status edit(enum fill_edit what, const struct fill_state *fill,
                        const struct fill_partitions *partitions)
{
    assert_ok(store_case_ops->begin(store_case_store, NULL, 0, &store_case_err));
    enum status status = store_case_ops->fill(store_case_store, what, fill, partitions,
                                              &store_case_err);
    if (status == STATUS_OK)
        status = store_case_ops->commit(store_case_store, true, &store_case_err);
    store_case_ops->rollback(store_case_store);
    return status;
}

static void assert_lost(enum fill_edit what, const struct fill_state *fill,
                        const struct fill_partitions *partitions)
{
    assert_int_equal(edit(what, fill, partitions), STATUS_ABORT);
    error_clear(&store_case_err);
}

static struct fill_state stored(void)
{
    struct fill_state fill;
    assert_ok(store_fill_read(store_case_store, STORE_CASE_TOPIC, &fill, &store_case_err));
    return fill;
}

static void assert_stage(const char *stage)
{
    assert_string_equal(fill_stage_name(stored().stage), stage);
}

static struct sequence_state sequences[] = {
    {.source = "shop", .incarnation = "i1", .base = 41, .last = 60, .last_id = "e60"},
    {.source = "web", .incarnation = "i2", .base = 1, .last = 7, .last_id = "e7"},
};

/* What a source has: partition 0, which is here, and partition 1, which is not. */
static struct fill_partitions source(void)
{
    static struct partition_state partitions[PARTITIONS];
    sequences[0].digests[60] = 6060;
    for (int32_t i = 0; i < PARTITIONS; i++)
        partitions[i] = (struct partition_state){.topic = STORE_CASE_TOPIC,
                                                 .partition = i,
                                                 .next_offset = 100 + i,
                                                 .anchor_offset = 99 + i,
                                                 .anchor_id = "anchor",
                                                 .cluster_id = "cluster",
                                                 .partition_count = PARTITIONS,
                                                 .filled_to = 200 + i};
    partitions[1].sequences = sequences;
    partitions[1].sequence_count = 2;
    return (struct fill_partitions){partitions, PARTITIONS};
}

static struct partition_state position(int32_t partition)
{
    struct partition_state state;
    assert_ok(store_case_ops->read(store_case_store, STORE_CASE_TOPIC, partition, &state,
                                   &store_case_err));
    return state;
}

static void load(const char *id)
{
    const struct fill_partitions all = source();
    const struct fill_state fill = attempt(id);
    assert_ok(edit(FILL_ASK, &fill, NULL));
    assert_ok(edit(FILL_CLEAR, &fill, NULL));
    assert_ok(edit(FILL_INSTALL, &fill, &all));
}

static void a_fill_goes_from_stage_to_stage_and_skips_none(void)
{
    const struct fill_partitions all = source();
    struct fill_state fill = attempt(FIRST);
    assert_stage("");
    assert_lost(FILL_CLEAR, &fill, NULL);
    fill.voids = 2;
    (void)snprintf(fill.reason, sizeof fill.reason, "the last one was void");
    assert_ok(edit(FILL_ASK, &fill, NULL));
    assert_stage("asked");
    assert_string_equal(stored().source, "shop");
    assert_string_equal(stored().reason, "the last one was void");
    assert_int_equal(stored().voids, 2);
    assert_int_equal(stored().asked_at_us, 77);
    assert_lost(FILL_INSTALL, &fill, &all);
    assert_lost(FILL_END, &fill, &all);
    assert_ok(edit(FILL_CLEAR, &fill, NULL));
    assert_stage("clearing");
    assert_ok(edit(FILL_CLEAR, &fill, NULL)); /* after a crash */
    assert_lost(FILL_PROGRESS, &fill, NULL);
    assert_ok(edit(FILL_INSTALL, &fill, &all));
    assert_stage("loading");
    assert_lost(FILL_INSTALL, &fill, &all);
    fill.rows_offset = fill.rows = 1000;
    fill.digest = UINT64_MAX - 4;
    assert_ok(edit(FILL_PROGRESS, &fill, NULL));
    assert_int_equal(stored().rows, 1000);
    assert_true(stored().digest == UINT64_MAX - 4);
    assert_ok(edit(FILL_END, &fill, &all));
    assert_stage("replaying");
    assert_lost(FILL_CLEAR, &fill, NULL);
    assert_lost(FILL_PROGRESS, &fill, NULL);
    assert_ok(edit(FILL_NOTE, &fill, NULL));
    assert_int_equal(stored().voids, 2);
}

static void a_row_is_counted_once_however_often_it_is_loaded(void)
{
    struct fill_state fill = attempt(FIRST);
    load(FIRST);
    fill.rows_offset = 10;
    assert_ok(edit(FILL_PROGRESS, &fill, NULL));
    assert_lost(FILL_PROGRESS, &fill, NULL);
    fill.rows_offset = 11;
    assert_ok(edit(FILL_PROGRESS, &fill, NULL));
}

static void a_fill_is_taken_back_only_while_it_is_asked(void)
{
    const struct fill_state first = attempt(FIRST);
    const struct fill_state second = attempt(SECOND);
    assert_lost(FILL_CANCEL, &first, NULL);
    assert_ok(edit(FILL_ASK, &first, NULL));
    assert_lost(FILL_CANCEL, &second, NULL);
    assert_ok(edit(FILL_CANCEL, &first, NULL));
    assert_stage("cancelled");
    assert_false(fill_is_under_way(stored().stage));
    assert_lost(FILL_CANCEL, &first, NULL);
    assert_lost(FILL_CLEAR, &first, NULL); /* of an agent that begins at this moment */
    assert_ok(edit(FILL_ASK, &second, NULL));
    assert_ok(edit(FILL_CLEAR, &second, NULL));
    assert_lost(FILL_CANCEL, &second, NULL);
    assert_stage("clearing");
}

static void a_fill_that_was_given_up_says_so_until_somebody_asks_anew(void)
{
    struct fill_state fill = attempt(FIRST);
    load(FIRST);
    assert_false(fill_is_given_up(&(struct fill_state){.stage = FILL_DONE, .given_up = true}));
    fill.voids = 3;
    fill.given_up = true;
    assert_ok(edit(FILL_NOTE, &fill, NULL));
    struct fill_state found = stored();
    assert_true(fill_is_given_up(&found));
    assert_int_equal(found.voids, 3);
    assert_stage("loading");
    fill = attempt(SECOND);
    fill.voids = 1;
    fill.given_up = true;
    assert_ok(edit(FILL_ASK, &fill, NULL));
    found = stored();
    assert_true(fill_is_given_up(&found));
    assert_int_equal(found.voids, 1);
    fill.given_up = false;
    assert_ok(edit(FILL_ASK, &fill, NULL));
    assert_false(stored().given_up);
}

static void another_attempt_fences_the_one_before(void)
{
    const struct fill_partitions all = source();
    struct fill_state old = attempt(FIRST);
    const struct fill_state next = attempt(SECOND);
    load(FIRST);
    assert_ok(edit(FILL_ASK, &next, NULL));
    old.rows_offset = 10;
    assert_lost(FILL_PROGRESS, &old, NULL);
    assert_lost(FILL_CLEAR, &old, NULL);
    assert_lost(FILL_NOTE, &old, NULL);
    assert_ok(edit(FILL_FINISH, &old, NULL));
    assert_string_equal(stored().id, SECOND);
    assert_stage("asked");
    assert_ok(edit(FILL_CLEAR, &next, NULL));
    assert_lost(FILL_END, &old, &all);
}

static void clearing_and_installing_fence_every_agent_out(void)
{
    const struct fill_partitions all = source();
    const struct fill_state fill = attempt(FIRST);
    struct fence by_epoch = store_case_fence(store_case_owned.next_offset);
    by_epoch.by_epoch_alone = true;
    assert_ok(edit(FILL_ASK, &fill, NULL));
    store_case_begin(); /* not yet */
    store_case_commit();
    assert_ok(edit(FILL_CLEAR, &fill, NULL));
    store_case_assert_fence_lost(store_case_fence(6), 0);
    store_case_assert_fence_lost(by_epoch, 0);
    store_case_reload();
    assert_ok(edit(FILL_INSTALL, &fill, &all));
    by_epoch.epoch = store_case_owned.epoch;
    store_case_assert_fence_lost(by_epoch, 0);
    int64_t revision = store_case_owned.revision;
    store_case_reload();
    assert_true(store_case_owned.revision > revision);
}

static void nothing_of_an_edit_stays_where_it_is_not_committed(void)
{
    const struct fill_partitions all = source();
    const struct fill_state fill = attempt(FIRST);
    struct store *other = store_case_open();
    struct fill_state seen;
    assert_ok(edit(FILL_ASK, &fill, NULL));
    assert_ok(edit(FILL_CLEAR, &fill, NULL));
    store_case_reload();
    assert_ok(store_case_ops->begin(store_case_store, NULL, 0, &store_case_err));
    assert_ok(store_case_ops->fill(store_case_store, FILL_INSTALL, &fill, &all, &store_case_err));
    assert_ok(store_fill_read(other, STORE_CASE_TOPIC, &seen, &store_case_err));
    assert_int_equal(seen.stage, FILL_CLEARING);
    store_case_ops->close(store_case_store); /* as when the process ends */
    store_case_store = other;
    assert_stage("clearing");
    struct partition_state state = position(0);
    assert_int_equal(state.next_offset, store_case_owned.next_offset);
    assert_int_equal(state.epoch, store_case_owned.epoch);
    partition_state_done(&state);
    state = position(1);
    assert_false(state.exists);
    partition_state_done(&state);
    assert_ok(edit(FILL_INSTALL, &fill, &all));
}

static void remember(const char *topic, const char *key)
{
    struct key_claim claim = {
        .topic = topic, .source = slice_of("s"), .id = slice_of(key), .digest = 1};
    struct parked_record parked = {.record = {.topic = topic, .offset = 3, .key = slice_of(key)},
                                   .entity_type = slice_of("order"),
                                   .entity_key = slice_of(key),
                                   .parked_at_us = 1};
    const struct superseded_image image = {
        .entity_type = slice_of("order"),
        .entity_key = slice_of(key),
        .record = {.topic = topic, .offset = 4, .key = slice_of(key)}};
    const struct sequence_state sequence = {
        .source = "old", .incarnation = "i", .base = 1, .last = 9, .last_id = "e9"};
    assert_ok(store_case_ops->claim_keys(store_case_store, &claim, 1, &store_case_err));
    assert_ok(store_case_ops->park(store_case_store, &parked, 1, &store_case_err));
    assert_ok(store_case_ops->keep_image(store_case_store, &image, &store_case_err));
    assert_ok(
        store_case_ops->record_sequence(store_case_store, topic, 0, &sequence, &store_case_err));
}

/* Of each kind, what is remembered of a topic: "1 1 1 1". */
static const char *remembered(const char *topic, const char *key)
{
    const struct parked_filter filter = {.topic = topic, .partition = -1};
    struct key_claim claim = {
        .topic = topic, .source = slice_of("s"), .id = slice_of(key), .digest = 1};
    const struct superseded_image wanted = {.entity_type = slice_of("order"),
                                            .entity_key = slice_of(key)};
    struct superseded_image image;
    struct parked_records parked = {0};
    struct partition_state state;
    assert_ok(store_case_ops->read_parked(store_case_store, &filter, &store_case_arena, &parked,
                                          &store_case_err));
    assert_ok(store_case_ops->read_image(store_case_store, &wanted, &store_case_arena, &image,
                                         &store_case_err));
    assert_ok(store_case_ops->read(store_case_store, topic, 0, &state, &store_case_err));
    assert_ok(store_case_ops->begin(store_case_store, NULL, 0, &store_case_err));
    assert_ok(store_case_ops->claim_keys(store_case_store, &claim, 1, &store_case_err));
    store_case_ops->rollback(store_case_store);
    const char *text = test_format(
        "%d %zu %d %" PRIu64, claim.verdict == KEY_DUPLICATE, parked.count,
        image.record.topic != NULL,
        sequences_last(state.sequences, state.sequence_count, "old", "i"));
    assert_int_equal(state.blocked.entity_count, parked.count);
    partition_state_done(&state);
    return text;
}

static void installing_replaces_all_that_was_known_of_the_topic_and_of_no_other(void)
{
    store_case_begin();
    remember(STORE_CASE_TOPIC, "a");
    remember("other", "b");
    store_case_commit();
    assert_string_equal(remembered(STORE_CASE_TOPIC, "a"), "1 1 1 9");
    load(FIRST);
    assert_string_equal(remembered(STORE_CASE_TOPIC, "a"), "0 0 0 0");
    assert_string_equal(remembered("other", "b"), "1 1 1 9");
    for (int32_t i = 0; i < PARTITIONS; i++) {
        struct partition_state state = position(i);
        assert_true(state.exists);
        assert_int_equal(state.next_offset, 100 + i);
        assert_int_equal(state.durable_offset, 100 + i);
        assert_int_equal(state.anchor_offset, 99 + i);
        assert_string_equal(state.anchor_id, "anchor");
        assert_string_equal(state.cluster_id, "cluster");
        assert_int_equal(state.partition_count, PARTITIONS);
        assert_int_equal(state.filled_to, 0);
        assert_int_equal(state.sequence_count, i == 0 ? 0 : 2);
        partition_state_done(&state);
    }
    struct partition_state state = position(1);
    assert_int_equal(state.sequences[0].base, 41);
    assert_int_equal(state.sequences[0].last, 60);
    assert_string_equal(state.sequences[0].last_id, "e60");
    assert_int_equal(state.sequences[0].digests[60], 6060);
    partition_state_done(&state);
}

static void a_copy_that_was_partial_and_stood_still_is_neither_when_it_is_filled(void)
{
    struct partition_state taken = position(0);
    taken.partial = true;
    memcpy(taken.token, FIRST, sizeof FIRST);
    assert_ok(store_case_ops->take(store_case_store, &taken, &store_case_err));
    struct fence fence = {.topic = STORE_CASE_TOPIC,
                          .old_offset = taken.next_offset,
                          .new_offset = taken.next_offset,
                          .epoch = taken.epoch,
                          .revision = taken.revision,
                          .anchor_offset = -1,
                          .stopped = "a gap"};
    assert_ok(store_case_ops->begin(store_case_store, &fence, 1, &store_case_err));
    store_case_commit();
    partition_state_done(&taken);
    load(FIRST);
    taken = position(0);
    assert_false(taken.partial);
    assert_string_equal(taken.stopped, "");
    assert_string_equal(taken.token, FIRST);
    partition_state_done(&taken);
}

/* Move the positions of both partitions. */
static void read_up_to(int64_t first, int64_t second)
{
    for (int32_t i = 0; i < PARTITIONS; i++) {
        struct partition_state state = position(i);
        const struct fence fence = {.topic = STORE_CASE_TOPIC,
                                    .partition = i,
                                    .old_offset = state.next_offset,
                                    .new_offset = i == 0 ? first : second,
                                    .epoch = state.epoch,
                                    .revision = state.revision,
                                    .anchor_offset = -1};
        assert_ok(store_case_ops->begin(store_case_store, &fence, 1, &store_case_err));
        store_case_commit();
        partition_state_done(&state);
    }
}

static void a_fill_is_done_when_every_partition_is_read_up_to_its_end(void)
{
    const struct fill_partitions all = source();
    const struct fill_state fill = attempt(FIRST);
    load(FIRST);
    assert_ok(edit(FILL_FINISH, &fill, NULL));
    assert_stage("loading");
    assert_ok(edit(FILL_END, &fill, &all));
    for (int32_t i = 0; i < PARTITIONS; i++) {
        struct partition_state state = position(i);
        assert_int_equal(state.filled_to, 200 + i);
        partition_state_done(&state);
    }
    read_up_to(200, 200);
    assert_ok(edit(FILL_FINISH, &fill, NULL));
    assert_stage("replaying");
    read_up_to(200, 201);
    assert_ok(edit(FILL_FINISH, &fill, NULL));
    assert_stage("done");
    assert_ok(edit(FILL_FINISH, &fill, NULL));
    const struct fill_state again = attempt(SECOND);
    assert_ok(edit(FILL_ASK, &again, NULL));
    assert_stage("asked");
}

struct seen_keys {
    size_t count;
    bool has_mine;
    bool has_unnamed;
    bool has_other;
};

static enum status note_key(void *context, const struct key_claim *key, struct error *err)
{
    struct seen_keys *seen = context;
    (void)err;
    assert_string_equal(key->topic, STORE_CASE_TOPIC);
    assert_int_equal(key->digest, 12345);
    seen->count++;
    seen->has_mine = seen->has_mine || slice_is(key->id, "k4711");
    seen->has_unnamed = seen->has_unnamed || slice_is(key->source, "unnamed");
    seen->has_other = seen->has_other || slice_is(key->source, "other");
    return STATUS_OK;
}

static enum status claim_many(void)
{
    struct key_claim *claims = calloc(KEYS, sizeof *claims);
    enum status status = STATUS_RETRY;
    for (size_t i = 0; claims != NULL && i < KEYS; i++)
        claims[i] = (struct key_claim){.topic = STORE_CASE_TOPIC,
                                       .source = slice_of(test_format("s%zu", i % 3)),
                                       .id = slice_of(test_format("k%zu", i)),
                                       .digest = 12345};
    if (claims != NULL)
        status = store_case_ops->claim_keys(store_case_store, claims, KEYS, &store_case_err);
    free(claims);
    return status;
}

static void the_single_keys_of_a_topic_are_handed_on(void)
{
    struct store *reader = NULL;
    struct seen_keys seen = {0};
    struct key_claim others[] = {
        {.topic = "other", .source = slice_of("other"), .id = slice_of("x"), .digest = 12345},
        {.source = slice_of("unnamed"), .id = slice_of("x"), .digest = 12345}};
    const struct store_options options = {
        .path = store_case_agent_database(), .service = "billing", .read_only = true};
    const struct store_scan scan = {
        .topic = STORE_CASE_TOPIC, .visit_key = note_key, .context = &seen};
    store_case_begin();
    assert_ok(claim_many());
    assert_ok(store_case_ops->claim_keys(store_case_store, others, 2, &store_case_err));
    store_case_commit();
    assert_ok(store_case_ops->open(&options, &reader, &store_case_err));
    assert_int_equal(store_case_ops->scan(reader, &scan, &store_case_err), STATUS_RETRY);
    error_clear(&store_case_err);
    assert_ok(store_case_ops->snapshot(reader, true, &store_case_err));
    assert_ok(store_case_ops->scan(reader, &scan, &store_case_err));
    store_case_ops->close(reader);
    assert_int_equal(seen.count, KEYS + 1);
    assert_true(seen.has_mine);
    assert_true(seen.has_unnamed);
    assert_false(seen.has_other);
}

static void keys_without_a_topic_go_only_where_the_topic_was_read_before(void)
{
    struct key_claim claim = {.source = slice_of("s"), .id = slice_of("old"), .digest = 1};
    store_case_begin();
    assert_ok(store_case_ops->claim_keys(store_case_store, &claim, 1, &store_case_err));
    store_case_commit();
    struct fill_state fill = attempt(FIRST);
    const struct fill_partitions none = {NULL, 0};
    (void)snprintf(fill.topic, sizeof fill.topic, "another");
    assert_ok(edit(FILL_ASK, &fill, NULL));
    assert_ok(edit(FILL_CLEAR, &fill, NULL));
    assert_ok(edit(FILL_INSTALL, &fill, &none));
    store_case_reload();
    store_case_begin();
    assert_ok(store_case_ops->claim_keys(store_case_store, &claim, 1, &store_case_err));
    assert_int_equal(claim.verdict, KEY_DUPLICATE);
    store_case_commit();
    load(FIRST);
    store_case_reload();
    store_case_begin();
    assert_ok(store_case_ops->claim_keys(store_case_store, &claim, 1, &store_case_err));
    assert_int_equal(claim.verdict, KEY_NEW);
    store_case_commit();
}

/* Take away what version 3 has added. */
static void to_version_2(void)
{
    if (!store_case_back_end->is_server)
        (void)store_case_back_end->text(store_case_database(),
                                        "DROP INDEX keepstep_parked_changeset");
    (void)store_case_back_end->text(store_case_database(),
                                    "ALTER TABLE keepstep_parked DROP COLUMN changeset_end;"
                                    "UPDATE keepstep_meta SET value = '2' WHERE value = '3'");
}

/* And what version 2 has added. */
static const char to_version_1[] = "DROP TABLE keepstep_fill;"
                                   "ALTER TABLE keepstep_position DROP COLUMN filled_to;"
                                   "ALTER TABLE keepstep_idempotency_key DROP COLUMN topic;"
                                   "ALTER TABLE keepstep_parked DROP COLUMN source;"
                                   "ALTER TABLE keepstep_parked DROP COLUMN incarnation;"
                                   "ALTER TABLE keepstep_parked DROP COLUMN sequence;"
                                   "UPDATE keepstep_meta SET value = '1' WHERE value = '2'";

static void tables_of_version_1_keep_what_they_hold_when_init_changes_them(void)
{
    struct store *refused = NULL;
    struct store_options options = {.path = store_case_agent_database(), .service = "billing"};
    struct key_claim claim = {.source = slice_of("s"), .id = slice_of("k"), .digest = 1};
    store_case_begin();
    assert_ok(store_case_ops->claim_keys(store_case_store, &claim, 1, &store_case_err));
    store_case_commit();
    store_case_ops->close(store_case_store);
    store_case_store = NULL;
    to_version_2();
    (void)store_case_back_end->text(store_case_database(), to_version_1);
    assert_int_equal(store_case_ops->open(&options, &refused, &store_case_err), STATUS_FATAL);
    assert_non_null(strstr(store_case_err.text, "schema version 1, this program needs 3"));
    assert_non_null(strstr(store_case_err.text, "keepstep init"));
    error_clear(&store_case_err);
    store_case_install();
    store_case_install(); /* nothing is left to do */
    store_case_store = store_case_open();
    struct partition_state state = position(0);
    assert_int_equal(state.next_offset, store_case_owned.next_offset);
    assert_int_equal(state.epoch, store_case_owned.epoch);
    assert_int_equal(state.filled_to, 0);
    partition_state_done(&state);
    store_case_begin();
    assert_ok(store_case_ops->claim_keys(store_case_store, &claim, 1, &store_case_err));
    assert_int_equal(claim.verdict, KEY_DUPLICATE);
    store_case_commit();
    load(FIRST);
    assert_stage("loading");
}

static void what_version_2_has_parked_stays_alone_when_init_changes_its_table(void)
{
    struct header header = {.name = slice_of("ce_changeset"),
                            .value = slice_of("00000000000000000009")};
    struct parked_record parked = {
        .record = {.topic = STORE_CASE_TOPIC, .offset = 3, .headers = &header, .header_count = 1},
        .entity_type = slice_of("order"),
        .entity_key = slice_of("k"),
        .state = PARKED_WAITING,
        .reason = slice_of("because"),
        .attempts = 4};
    struct parked_records read = {0};
    struct parked_filter filter = {.partition = -1};
    store_case_begin();
    assert_ok(store_case_ops->park(store_case_store, &parked, 1, &store_case_err));
    store_case_commit();
    store_case_ops->close(store_case_store);
    store_case_store = NULL;
    to_version_2();
    store_case_install();
    store_case_install(); /* nothing is left to do */
    store_case_store = store_case_open();
    assert_ok(store_case_ops->read_parked(store_case_store, &filter, &store_case_arena, &read,
                                          &store_case_err));
    assert_int_equal(read.count, 1);
    assert_int_equal(read.records[0].changeset_end, 0);
    assert_int_equal(read.records[0].attempts, 4);
    assert_true(slice_is(read.records[0].reason, "because"));
    store_case_reload();
    assert_int_equal(store_case_owned.waiting_count, 1);
    assert_true(block_set_has(
        &store_case_owned.blocked,
        &(struct block_key){.entity_type = slice_of("order"), .entity_key = slice_of("k")}));
}

int main(void)
{
    static struct store_case cases[] = {
        STORE_CASE(a_fill_goes_from_stage_to_stage_and_skips_none),
        STORE_CASE(a_fill_is_taken_back_only_while_it_is_asked),
        STORE_CASE(a_fill_that_was_given_up_says_so_until_somebody_asks_anew),
        STORE_CASE(a_row_is_counted_once_however_often_it_is_loaded),
        STORE_CASE(another_attempt_fences_the_one_before),
        STORE_CASE(clearing_and_installing_fence_every_agent_out),
        STORE_CASE(nothing_of_an_edit_stays_where_it_is_not_committed),
        STORE_CASE(installing_replaces_all_that_was_known_of_the_topic_and_of_no_other),
        STORE_CASE(a_copy_that_was_partial_and_stood_still_is_neither_when_it_is_filled),
        STORE_CASE(a_fill_is_done_when_every_partition_is_read_up_to_its_end),
        STORE_CASE(the_single_keys_of_a_topic_are_handed_on),
        STORE_CASE(keys_without_a_topic_go_only_where_the_topic_was_read_before),
        STORE_CASE_OF_SQL(what_version_2_has_parked_stays_alone_when_init_changes_its_table),
        STORE_CASE_OF_SQL(tables_of_version_1_keep_what_they_hold_when_init_changes_them),
    };
    return store_case_run(cases, sizeof cases / sizeof cases[0]);
}
