/* The contract of a store on a server: connections that break at any step, locks of other sessions,
 * restarts. labels: threads */
#include "common/clock.h"
#include "tests/support/cutting_proxy.h"
#include "tests/support/store_case.h"

#include <pthread.h>
#include <sysexits.h>

/* Open another store of the partition's owner, behind the proxy. */
static struct store *open_behind_proxy(void)
{
    struct store *store = NULL;
    struct store_options options = {.path = cutting_proxy_start(store_case_agent_database()),
                                    .service = "billing"};
    assert_ok(store_case_ops->open(&options, &store, &store_case_err));
    assert_ok(store_case_ops->prepare(store, &store_case_mapping, &store_case_err));
    assert_ok(store_case_ops->take(store, &store_case_owned, &store_case_err));
    return store;
}

/* Do what rule 4 says: open another session, fence by epoch alone, read everything again. */
static int64_t read_back(void)
{
    struct fence fence = store_case_fence(0);
    fence.by_epoch_alone = true;
    assert_ok(store_case_ops->begin(store_case_store, &fence, 1, &store_case_err));
    store_case_reload();
    store_case_commit();
    return store_case_owned.next_offset;
}

static void assert_lost(enum status status)
{
    if (status != STATUS_RETRY || !store_case_err.connection_lost)
        test_fail("%s%s: %s", status_name(status),
                  store_case_err.connection_lost ? " and lost" : "", store_case_err.text);
    error_clear(&store_case_err);
}

/* Apply a batch whose COMMIT is cut. @return the position after it. */
static int64_t commit_through_cut(enum proxy_cut cut, bool durable)
{
    struct store *behind = open_behind_proxy();
    struct store *direct = store_case_store;
    struct fence fence = store_case_fence(8);
    assert_ok(store_case_ops->begin(behind, &fence, 1, &store_case_err));
    store_case_store = behind;
    assert_ok(store_case_apply(CHANGE_CREATE, 1, "one", "1"));
    store_case_store = direct;
    cutting_proxy_cut(cut, "COMMIT");
    assert_lost(store_case_ops->commit(behind, durable, &store_case_err));
    store_case_ops->rollback(behind);
    store_case_ops->close(behind);
    cutting_proxy_stop();
    return read_back();
}

static void a_connection_lost_before_commit_has_changed_nothing(void)
{
    assert_int_equal(commit_through_cut(PROXY_CUT_BEFORE, false), 5);
    store_case_assert_rows("");
}

static void a_connection_lost_while_commit_is_answered_has_changed_all(void)
{
    assert_int_equal(commit_through_cut(PROXY_CUT_AFTER, false), 8);
    store_case_assert_rows("1|one|1\n");
}

static void a_durable_commit_that_was_not_heard_of_is_there(void)
{
    assert_int_equal(commit_through_cut(PROXY_CUT_AFTER, true), 8);
    assert_int_equal(store_case_owned.durable_offset, 8);
    store_case_assert_rows("1|one|1\n");
}

static void a_connection_lost_after_commit_is_found_at_the_next_step(void)
{
    struct store *another = store_case_open();
    struct fence fence = store_case_fence(8);
    assert_ok(store_case_ops->begin(store_case_store, &fence, 1, &store_case_err));
    assert_ok(store_case_apply(CHANGE_CREATE, 1, "one", "1"));
    store_case_commit();
    store_case_back_end->kill_sessions(store_case_database());
    fence = store_case_fence(9);
    fence.old_offset = 8;
    assert_lost(store_case_ops->begin(store_case_store, &fence, 1, &store_case_err));
    store_case_ops->rollback(store_case_store);
    store_case_ops->close(store_case_store);
    store_case_ops->close(another);
    store_case_store = store_case_open();
    assert_int_equal(read_back(), 8);
    store_case_assert_rows("1|one|1\n");
}

static void a_session_killed_within_a_batch_loses_it_and_every_slot_says_so(void)
{
    struct fence fence = store_case_fence(8);
    struct partition_state unread;
    struct key_claim claim = {.source = slice_of("s"), .id = slice_of("a"), .digest = 1};
    assert_ok(store_case_ops->begin(store_case_store, &fence, 1, &store_case_err));
    assert_ok(store_case_apply(CHANGE_CREATE, 1, "one", "1"));
    store_case_back_end->kill_sessions(store_case_database());
    assert_lost(store_case_apply(CHANGE_CREATE, 2, "two", "2"));
    store_case_ops->rollback(store_case_store);
    store_case_ops->rollback(store_case_store);
    assert_lost(store_case_ops->begin(store_case_store, &fence, 1, &store_case_err));
    store_case_ops->rollback(store_case_store);
    assert_lost(store_case_ops->claim_keys(store_case_store, &claim, 1, &store_case_err));
    assert_lost(
        store_case_ops->read(store_case_store, STORE_CASE_TOPIC, 0, &unread, &store_case_err));
    assert_lost(store_case_ops->take(store_case_store, &store_case_owned, &store_case_err));
    store_case_ops->close(store_case_store);
    store_case_store = store_case_open();
    assert_int_equal(read_back(), 5);
    store_case_assert_rows("");
}

static void after_a_crash_of_the_server_rows_and_position_are_of_one_moment(void)
{
    struct fence fence = store_case_fence(8);
    assert_ok(store_case_ops->begin(store_case_store, &fence, 1, &store_case_err));
    assert_ok(store_case_apply(CHANGE_CREATE, 1, "one", "1"));
    assert_ok(store_case_ops->commit(store_case_store, true, &store_case_err));
    fence = store_case_fence(9);
    fence.old_offset = 8;
    assert_ok(store_case_ops->begin(store_case_store, &fence, 1, &store_case_err));
    assert_ok(store_case_apply(CHANGE_CREATE, 2, "two", "2"));
    store_case_commit(); /* it did not wait for the disk: all or nothing of it may be lost */
    store_case_back_end->crash();
    assert_lost(store_case_ops->begin(store_case_store, NULL, 0, &store_case_err));
    store_case_ops->close(store_case_store);
    store_case_store = store_case_open();
    assert_ok(store_case_ops->prepare(store_case_store, &store_case_mapping, &store_case_err));
    if (read_back() == 9)
        store_case_assert_rows("1|one|1\n2|two|2\n");
    else
        store_case_assert_rows("1|one|1\n");
    assert_true(store_case_owned.next_offset >= 8);
    assert_true(store_case_owned.durable_offset >= 8);
}

/* Apply a change with another session's store. */
static enum status apply_on(struct store *store, int64_t id)
{
    struct store *usual = store_case_store;
    store_case_store = store;
    enum status status = store_case_apply(CHANGE_UPDATE, id, "other", "9");
    store_case_store = usual;
    return status;
}

static struct store *open_other_owner(struct partition_state *state, struct fence *ret_fence)
{
    struct store *other = store_case_open();
    *state = (struct partition_state){.topic = STORE_CASE_TOPIC, .partition = 1, .token = "o"};
    assert_ok(store_case_ops->prepare(other, &store_case_mapping, &store_case_err));
    assert_ok(store_case_ops->take(other, state, &store_case_err));
    *ret_fence = (struct fence){
        .topic = STORE_CASE_TOPIC, .partition = 1, .epoch = state->epoch, .anchor_offset = -1};
    return other;
}

static void a_row_that_stays_locked_makes_the_batch_retry(void)
{
    struct partition_state state;
    struct fence fence;
    struct store *other = open_other_owner(&state, &fence);
    assert_ok(store_case_ops->begin(other, &fence, 1, &store_case_err));
    assert_ok(apply_on(other, 1));
    store_case_begin();
    assert_int_equal(store_case_apply(CHANGE_UPDATE, 1, "one", "1"), STATUS_RETRY);
    assert_false(store_case_err.connection_lost);
    error_clear(&store_case_err);
    store_case_ops->rollback(store_case_store);
    assert_ok(store_case_ops->commit(other, false, &store_case_err));
    store_case_begin();
    assert_ok(store_case_apply(CHANGE_UPDATE, 1, "one", "1"));
    store_case_commit();
    store_case_assert_rows("1|one|1\n");
    store_case_ops->close(other);
    partition_state_done(&state);
}

struct waiting {
    struct store *store;
    enum status status;
    struct error err;
};

static void *apply_and_wait(void *context)
{
    struct waiting *waiting = context;
    struct value values[3] = {{.kind = VALUE_INTEGER, .integer = 1},
                              {.kind = VALUE_TEXT, .text = slice_of("theirs")},
                              {.kind = VALUE_TEXT, .text = slice_of("3")}};
    struct change change = {.op = CHANGE_UPDATE,
                            .entity_type = slice_of("order"),
                            .schema = store_case_mapping.schema,
                            .values = values};
    const struct change *changes[] = {&change};
    waiting->status = store_case_ops->apply(waiting->store, &store_case_mapping, changes, 1,
                                            &waiting->err);
    if (waiting->status != STATUS_OK)
        store_case_ops->rollback(waiting->store);
    return NULL;
}

static void of_two_batches_in_a_deadlock_one_retries_and_one_goes_on(void)
{
    struct partition_state state;
    struct fence fence;
    struct store *other = open_other_owner(&state, &fence);
    struct waiting waiting = {.store = other};
    pthread_t thread;
    assert_ok(store_case_ops->begin(other, &fence, 1, &store_case_err));
    assert_ok(apply_on(other, 2));
    store_case_begin();
    assert_ok(store_case_apply(CHANGE_UPDATE, 1, "ours", "1"));
    assert_int_equal(pthread_create(&thread, NULL, apply_and_wait, &waiting), 0);
    enum status status = store_case_apply(CHANGE_UPDATE, 2, "ours", "2");
    if (status != STATUS_OK)
        store_case_ops->rollback(store_case_store);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true((status == STATUS_OK) != (waiting.status == STATUS_OK));
    assert_true(status == STATUS_OK || status == STATUS_RETRY);
    assert_true(waiting.status == STATUS_OK || waiting.status == STATUS_RETRY);
    assert_false(store_case_err.connection_lost);
    error_clear(&store_case_err);
    assert_ok(store_case_ops->commit(status == STATUS_OK ? store_case_store : other, false,
                                     &store_case_err));
    store_case_assert_rows(status == STATUS_OK ? "1|ours|1\n2|ours|2\n"
                                               : "1|theirs|3\n2|other|9\n");
    store_case_ops->close(other);
    partition_state_done(&state);
}

static void a_statement_that_is_cancelled_makes_the_batch_retry(void)
{
    struct partition_state state;
    struct fence fence;
    struct store *other = open_other_owner(&state, &fence);
    struct waiting waiting = {.store = other};
    pthread_t thread;
    assert_ok(store_case_ops->begin(other, &fence, 1, &store_case_err));
    store_case_begin();
    assert_ok(store_case_apply(CHANGE_UPDATE, 1, "ours", "1"));
    assert_int_equal(pthread_create(&thread, NULL, apply_and_wait, &waiting), 0);
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        clock_sleep_us(50000);
        store_case_back_end->cancel(store_case_database());
    }
    assert_int_equal(waiting.status, STATUS_RETRY);
    assert_non_null(strstr(waiting.err.text, store_case_back_end->cancelled));
    assert_false(waiting.err.connection_lost);
    store_case_commit();
    assert_ok(store_case_ops->begin(other, &fence, 1, &store_case_err));
    assert_ok(apply_on(other, 1));
    assert_ok(store_case_ops->commit(other, false, &store_case_err));
    store_case_assert_rows("1|other|9\n");
    store_case_ops->close(other);
    partition_state_done(&state);
}

/* Each attempt asks for another connection until a session can write again. */
static void a_server_that_became_read_only_is_left_until_it_writes_again(void)
{
    struct fence fence = store_case_fence(8);
    assert_ok(store_case_ops->begin(store_case_store, &fence, 1, &store_case_err));
    assert_ok(store_case_apply(CHANGE_CREATE, 1, "one", "1"));
    assert_ok(store_case_ops->commit(store_case_store, true, &store_case_err));
    store_case_back_end->read_only(store_case_database(), true);
    for (int i = 0; i < 2; i++) {
        fence = store_case_fence(9);
        fence.old_offset = 8;
        enum status status = store_case_ops->begin(store_case_store, &fence, 1, &store_case_err);
        store_case_ops->rollback(store_case_store);
        store_case_ops->close(store_case_store);
        store_case_store = NULL;
        if (i == 1) /* before any assertion: other cases use this server too */
            store_case_back_end->read_only(store_case_database(), false);
        assert_lost(status);
        store_case_store = store_case_open();
    }
    store_case_prepare(&store_case_mapping);
    assert_int_equal(read_back(), 8);
    store_case_begin();
    assert_ok(store_case_apply(CHANGE_CREATE, 2, "two", "2"));
    store_case_commit();
    store_case_assert_rows("1|one|1\n2|two|2\n");
}

struct late_begin {
    struct store *store;
    struct fence fence;
    enum status status;
    struct error err;
};

static void *begin_late(void *context)
{
    struct late_begin *late = context;
    late->status = store_case_ops->begin(late->store, &late->fence, 1, &late->err);
    return NULL;
}

static void a_fence_that_waited_for_another_is_judged_by_what_it_then_finds(void)
{
    struct late_begin late = {.store = store_case_open(), .fence = store_case_fence(8)};
    struct fence fence = store_case_fence(9);
    pthread_t thread;
    assert_ok(store_case_ops->begin(store_case_store, &fence, 1, &store_case_err));
    assert_int_equal(pthread_create(&thread, NULL, begin_late, &late), 0);
    clock_sleep_us(300000); /* it waits for the row; if it comes later, it finds the same */
    store_case_commit();
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(late.status, STATUS_ABORT);
    assert_int_equal(late.err.native_code, 1);
    store_case_ops->close(late.store);
    store_case_reload();
    assert_int_equal(store_case_owned.next_offset, 9);
}

static void a_batch_that_was_rejected_goes_on_from_its_savepoint(void)
{
    const char *database = store_case_database();
    (void)store_case_back_end->text(database,
                                    "ALTER TABLE orders ADD CONSTRAINT one_name UNIQUE (name)");
    store_case_begin();
    assert_ok(store_case_apply(CHANGE_CREATE, 1, "same", "1"));
    assert_ok(store_case_ops->savepoint(store_case_store, false, &store_case_err));
    assert_int_equal(store_case_apply(CHANGE_CREATE, 2, "same", "2"), STATUS_REJECT);
    assert_int_equal(store_case_err.reject, REJECT_WAITING);
    error_clear(&store_case_err);
    assert_ok(store_case_ops->savepoint(store_case_store, true, &store_case_err));
    assert_ok(store_case_apply(CHANGE_CREATE, 3, "else", "3"));
    store_case_commit();
    store_case_assert_rows("1|same|1\n3|else|3\n");
}

static void the_grants_are_enough_for_each_role_and_no_more(void)
{
    struct fence fence = store_case_fence(8);
    struct key_claim claim = {.source = slice_of("s"), .id = slice_of("a"), .digest = 1};
    struct parked_record parked = {.record = {.topic = STORE_CASE_TOPIC, .offset = 1}};
    struct sequence_state sequence = {.source = "s", .incarnation = "i", .last_id = "e"};
    struct superseded_image image = {.record = {.topic = STORE_CASE_TOPIC},
                                     .entity_type = slice_of("order"),
                                     .entity_key = slice_of("k")};
    const struct prune old = {
        .keys_before_us = INT64_MAX, .skipped_before_us = INT64_MAX, .limit = 10};
    size_t pruned = 0;
    const struct store_ops *ops = store_case_ops;
    struct store *store = store_case_store;
    assert_ok(ops->begin(store, &fence, 1, &store_case_err));
    assert_ok(ops->claim_keys(store, &claim, 1, &store_case_err));
    assert_ok(store_case_apply(CHANGE_CREATE, 1, "one", "1"));
    assert_ok(store_case_apply(CHANGE_DELETE, 1, NULL, NULL));
    assert_ok(ops->record_sequence(store, STORE_CASE_TOPIC, 0, &sequence, &store_case_err));
    assert_ok(ops->keep_image(store, &image, &store_case_err));
    assert_ok(ops->drop_image(store, &image, &store_case_err));
    assert_ok(ops->park(store, &parked, 1, &store_case_err));
    assert_ok(ops->edit_parked(store, &parked, PARKED_SET_WAITING, &store_case_err));
    assert_ok(ops->edit_parked(store, &parked, PARKED_DELETE, &store_case_err));
    assert_ok(ops->commit(store, true, &store_case_err));
    assert_ok(ops->prune(store, &old, &pruned, &store_case_err));
    assert_int_equal(pruned, 1);

    struct store_options lag = {.path = store_case_user_database(store_case_back_end->lag),
                                .service = "billing",
                                .read_only = true};
    assert_ok(ops->open(&lag, &store, &store_case_err));
    partition_state_done(&store_case_owned);
    assert_ok(ops->read(store, STORE_CASE_TOPIC, 0, &store_case_owned, &store_case_err));
    assert_int_equal(store_case_owned.next_offset, 8);
    assert_int_equal(ops->begin(store, &fence, 1, &store_case_err), STATUS_RETRY);
    error_clear(&store_case_err);
    ops->close(store);
}

static void a_table_that_the_role_may_not_make_ends_with_what_an_administrator_does(void)
{
    struct config_entry entry = *store_case_mapping.entry;
    struct mapping mapping = store_case_mapping;
    entry.table = "not_made";
    mapping.entry = &entry;
    assert_int_equal(store_case_ops->prepare(store_case_store, &mapping, &store_case_err),
                     STATUS_FATAL);
    assert_int_equal(store_case_err.exit_code, EX_CONFIG);
    assert_non_null(strstr(store_case_err.text, "not_made"));
    assert_non_null(strstr(store_case_err.text, "let `keepstep init` do this"));
    assert_non_null(strstr(store_case_err.text, "`keepstep init --print-roles` prints"));
}

int main(void)
{
    static struct store_case cases[] = {
        STORE_CASE_OF_SERVERS(a_connection_lost_before_commit_has_changed_nothing),
        STORE_CASE_OF_SERVERS(a_connection_lost_while_commit_is_answered_has_changed_all),
        STORE_CASE_OF_SERVERS(a_durable_commit_that_was_not_heard_of_is_there),
        STORE_CASE_OF_SERVERS(a_connection_lost_after_commit_is_found_at_the_next_step),
        STORE_CASE_OF_SERVERS(a_session_killed_within_a_batch_loses_it_and_every_slot_says_so),
        STORE_CASE_OF_SERVERS(after_a_crash_of_the_server_rows_and_position_are_of_one_moment),
        STORE_CASE_OF_SERVERS(a_row_that_stays_locked_makes_the_batch_retry),
        STORE_CASE_OF_SERVERS(of_two_batches_in_a_deadlock_one_retries_and_one_goes_on),
        STORE_CASE_OF_SERVERS(a_statement_that_is_cancelled_makes_the_batch_retry),
        STORE_CASE_OF_SERVERS(a_server_that_became_read_only_is_left_until_it_writes_again),
        STORE_CASE_OF_SERVERS(a_fence_that_waited_for_another_is_judged_by_what_it_then_finds),
        STORE_CASE_OF_SERVERS(a_batch_that_was_rejected_goes_on_from_its_savepoint),
        STORE_CASE_OF_SERVERS(the_grants_are_enough_for_each_role_and_no_more),
        STORE_CASE_OF_SERVERS(
            a_table_that_the_role_may_not_make_ends_with_what_an_administrator_does),
    };
    return store_case_run(cases, sizeof cases / sizeof cases[0]);
}
