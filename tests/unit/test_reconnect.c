/* A connection breaks before, during and after COMMIT. It is opened anew, fenced by epoch alone,
 * and nothing is lost or applied twice (rule 4). */
#include "tests/support/copy.h"

#include "common/clock.h"
#include "consumer/store/registry.h"

enum break_at {
    BREAK_NOWHERE,
    BREAK_BEGIN,
    BREAK_APPLY,
    BREAK_BEFORE_COMMIT, /* the database does not see it */
    BREAK_IN_COMMIT,     /* it succeeds, its answer is lost */
    BREAK_AFTER_COMMIT,
    BREAK_READ,
    BREAK_TAKE,
};

/* A store between the applier and SQLite, and what shall go wrong in it. */
static struct {
    enum break_at at;
    bool keep_connection; /* only the COMMIT's outcome is unknown */
    bool dead;            /* until it is opened anew */
    int refusals;         /* how often open() fails before it works */
    int opened;
    int by_epoch;
    bool was_exact; /* an exact fence came before one by epoch alone */
    bool unfenced;  /* connection lost, and not fenced by epoch alone since */
} line;

static enum status lost(struct error *err)
{
    line.dead = !line.keep_connection;
    line.unfenced = true;
    (void)error_set(err, STATUS_RETRY, "the server has gone away");
    err->connection_lost = line.dead;
    return STATUS_RETRY;
}

static bool breaks(enum break_at at)
{
    if (line.dead)
        return true;
    if (line.at != at)
        return false;
    line.at = BREAK_NOWHERE;
    return true;
}

static enum status line_open(const struct store_options *options, struct store **ret_store,
                             struct error *err)
{
    if (line.refusals > 0) {
        line.refusals--;
        return error_set(err, STATUS_RETRY, "the server is not there");
    }
    line.dead = false;
    line.opened++;
    return store_sqlite_ops.open(options, ret_store, err);
}

static enum status line_read(struct store *store, const char *topic, int32_t partition,
                             struct partition_state *ret_state, struct error *err)
{
    return breaks(BREAK_READ) ? lost(err)
                              : store_sqlite_ops.read(store, topic, partition, ret_state, err);
}

static enum status line_take(struct store *store, struct partition_state *state, struct error *err)
{
    return breaks(BREAK_TAKE) ? lost(err) : store_sqlite_ops.take(store, state, err);
}

static enum status line_begin(struct store *store, const struct fence *fences, size_t count,
                              struct error *err)
{
    if (breaks(BREAK_BEGIN))
        return lost(err);
    line.was_exact = line.was_exact || (line.unfenced && !fences[0].by_epoch_alone);
    if (fences[0].by_epoch_alone) {
        line.by_epoch++;
        line.unfenced = false;
    }
    return store_sqlite_ops.begin(store, fences, count, err);
}

static enum status line_apply(struct store *store, const struct mapping *mapping,
                              const struct change *const *changes, size_t count, struct error *err)
{
    if (breaks(BREAK_APPLY))
        return lost(err);
    return store_sqlite_ops.apply(store, mapping, changes, count, err);
}

static enum status line_commit(struct store *store, bool durable, struct error *err)
{
    if (breaks(BREAK_BEFORE_COMMIT)) {
        store_sqlite_ops.rollback(store);
        return lost(err);
    }
    enum status status = store_sqlite_ops.commit(store, durable, err);
    if (status == STATUS_OK && breaks(BREAK_IN_COMMIT))
        return lost(err);
    if (status == STATUS_OK && breaks(BREAK_AFTER_COMMIT))
        line.dead = true;
    return status;
}

static enum status line_read_parked(struct store *store, const struct parked_filter *filter,
                                    struct arena *arena, struct parked_records *ret_parked,
                                    struct error *err)
{
    if (breaks(BREAK_READ))
        return lost(err);
    return store_sqlite_ops.read_parked(store, filter, arena, ret_parked, err);
}

static struct store_ops line_ops;

static struct copy *begin(const char *table_sql)
{
    struct copy *copy = copy_begin(table_sql, false);
    memset(&line, 0, sizeof line);
    line_ops = store_sqlite_ops;
    line_ops.open = line_open;
    line_ops.read = line_read;
    line_ops.take = line_take;
    line_ops.begin = line_begin;
    line_ops.apply = line_apply;
    line_ops.commit = line_commit;
    line_ops.read_parked = line_read_parked;
    copy_use(copy, &line_ops);
    assert_int_equal(line.opened, 1);
    return copy;
}

static void expect(struct copy *copy, enum status status)
{
    error_clear(&copy->err);
    assert_int_equal(applier_apply(copy->applier, &copy->batch, &copy->err), status);
    error_clear(&copy->err);
}

/* Do what the agent does: follow the reloaded position, and read again from there. */
static void follow(struct copy *copy)
{
    assert_true(applier_is_reloaded(copy->applier, copy->index));
    batch_remove(&copy->batch, copy->index);
    copy->offset = copy_where(copy)->next_offset;
    applier_set_reloaded(copy->applier, copy->index, false);
}

static void add_second(struct copy *copy)
{
    copy_add(copy, 2, 1, "u", COPY_ROW("2", "2"));
}

/* Break the connection in the transaction of the second event. Then do what the agent would do. */
static void break_second(enum break_at at, bool keep_connection, bool went_through)
{
    struct copy *copy = begin("CREATE TABLE seen(b TEXT)");
    (void)sqlite_text(copy->database, "CREATE TRIGGER seen AFTER UPDATE ON orders "
                                      "BEGIN INSERT INTO seen VALUES(new.b); END");
    copy_add(copy, 1, 1, "c", COPY_ROW("1", "1"));
    copy_apply(copy);
    line.at = at;
    line.keep_connection = keep_connection;
    add_second(copy);
    expect(copy, STATUS_RETRY);
    assert_string_equal(copy_rows(copy), went_through ? "1|2|2\n" : "1|1|1\n");
    assert_int_equal(line.by_epoch, 0);
    expect(copy, STATUS_ABORT);
    follow(copy);
    assert_int_equal(copy->offset, went_through ? 2 : 1);
    assert_int_equal(line.by_epoch, 1);
    assert_int_equal(line.opened, keep_connection ? 1 : 2);
    if (!went_through) {
        add_second(copy);
        copy_apply(copy);
    }
    copy_add(copy, 3, 1, "u", COPY_ROW("3", "3"));
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|3|3\n");
    assert_string_equal(sqlite_text(copy->database, "SELECT b FROM seen"), "2\n3\n");
    assert_int_equal(copy_where(copy)->next_offset, 3);
    assert_false(line.was_exact);
    copy_finish(copy);
}

static void a_connection_lost_before_the_fence_is_opened_anew(void **state)
{
    (void)state;
    break_second(BREAK_BEGIN, false, false);
}

static void a_connection_lost_among_the_writes_is_opened_anew(void **state)
{
    (void)state;
    break_second(BREAK_APPLY, false, false);
}

static void a_connection_lost_before_commit_repeats_the_batch(void **state)
{
    (void)state;
    break_second(BREAK_BEFORE_COMMIT, false, false);
}

static void a_connection_lost_in_a_commit_that_went_through_repeats_nothing(void **state)
{
    (void)state;
    break_second(BREAK_IN_COMMIT, false, true);
}

static void an_unknown_commit_that_went_through_repeats_nothing(void **state)
{
    (void)state;
    break_second(BREAK_IN_COMMIT, true, true);
}

static void an_unknown_commit_that_did_not_go_through_loses_nothing(void **state)
{
    (void)state;
    break_second(BREAK_BEFORE_COMMIT, true, false);
}

static void a_connection_lost_after_commit_is_found_by_the_next_transaction(void **state)
{
    (void)state;
    struct copy *copy = begin("");
    line.at = BREAK_AFTER_COMMIT;
    copy_add(copy, 1, 1, "c", COPY_ROW("1", "1"));
    copy_apply(copy);
    add_second(copy);
    expect(copy, STATUS_RETRY);
    expect(copy, STATUS_ABORT);
    follow(copy);
    assert_int_equal(copy->offset, 1);
    add_second(copy);
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|2|2\n");
    copy_finish(copy);
}

static void a_database_that_stays_away_is_asked_again_for_ever(void **state)
{
    (void)state;
    struct copy *copy = begin("");
    line.at = BREAK_APPLY;
    copy_add(copy, 1, 1, "c", COPY_ROW("1", "1"));
    expect(copy, STATUS_RETRY);
    line.refusals = 7;
    expect(copy, STATUS_RETRY);
    assert_int_equal(applier_make_durable(copy->applier, false, &copy->err), STATUS_RETRY);
    error_clear(&copy->err);
    assert_int_equal(applier_refresh(copy->applier, &copy->err), STATUS_RETRY);
    error_clear(&copy->err);
    copy->config.limits.idempotency_window_s = 1;
    assert_int_equal(applier_prune(copy->applier, false, &copy->err), STATUS_RETRY);
    error_clear(&copy->err);
    struct partition_state seen = {0};
    assert_int_equal(
        applier_read(copy->applier, (struct topic_partition){COPY_TOPIC, 0}, &seen, &copy->err),
        STATUS_RETRY);
    error_clear(&copy->err);
    assert_int_equal(applier_stop(copy->applier, copy->index, "why", &copy->err), STATUS_RETRY);
    error_clear(&copy->err);
    expect(copy, STATUS_RETRY);
    assert_int_equal(line.refusals, 0);
    expect(copy, STATUS_ABORT);
    follow(copy);
    copy_finish(copy);
}

/* A server may lose commits that did not wait for its disk. */
static void what_a_crashed_server_lost_is_read_again(void **state)
{
    (void)state;
    struct copy *copy = begin("");
    for (int i = 1; i <= 3; i++)
        copy_add_from(copy, "tool", 0, test_format("k%d", i), "", NULL, i,
                      test_format("{\"op\":\"c\",\"before\":null,\"after\":{\"id\":%d,"
                                  "\"a\":\"x\",\"b\":\"x\"}}",
                                  i));
    copy_apply(copy);
    assert_int_equal(copy_where(copy)->next_offset, 3);
    (void)sqlite_text(copy->database,
                      "UPDATE keepstep_position SET next_offset = 1; DELETE FROM orders WHERE id > "
                      "1; DELETE FROM keepstep_idempotency_key WHERE id > 'k1'");
    line.at = BREAK_BEGIN;
    const char *fourth = "{\"op\":\"c\",\"before\":null,\"after\":{\"id\":4,\"a\":\"x\",\"b\":"
                         "\"x\"}}";
    copy_add_from(copy, "tool", 0, "k4", "", NULL, 4, fourth);
    expect(copy, STATUS_RETRY);
    expect(copy, STATUS_ABORT);
    applier_note_end(copy->applier, copy->index, 4); /* an end that was read before */
    expect(copy, STATUS_OK);                         /* its events do not count either */
    assert_string_equal(copy_rows(copy), "1|x|x\n");
    assert_int_equal(copy_where(copy)->next_offset, 1);
    follow(copy);
    assert_int_equal(copy->offset, 1);
    copy_finish(copy);
}

static void another_owner_found_after_the_connection_was_lost_is_an_abort(void **state)
{
    (void)state;
    struct copy *copy = begin("");
    line.at = BREAK_IN_COMMIT;
    copy_add(copy, 1, 1, "c", COPY_ROW("1", "1"));
    expect(copy, STATUS_RETRY);
    (void)sqlite_text(copy->database, "UPDATE keepstep_position SET epoch = epoch + 1");
    assert_int_equal(applier_apply(copy->applier, &copy->batch, &copy->err), STATUS_ABORT);
    assert_int_equal(copy->err.native_code, 0);
    copy_finish(copy);
}

static void a_database_that_became_another_copy_ends_the_agent(void **state)
{
    (void)state;
    struct copy *copy = begin("");
    line.at = BREAK_IN_COMMIT;
    copy_add(copy, 1, 1, "c", COPY_ROW("1", "1"));
    expect(copy, STATUS_RETRY);
    (void)sqlite_text(copy->database,
                      "UPDATE keepstep_meta SET value = 'another' WHERE key = 'copy_id'");
    expect(copy, STATUS_FATAL);
    copy_finish(copy);
}

static void a_partition_is_taken_over_a_new_connection(void **state)
{
    (void)state;
    struct copy *copy = begin("");
    struct partition_state position = {.topic = "another", .anchor_offset = -1};
    size_t index = 0;
    line.at = BREAK_TAKE;
    assert_int_equal(applier_take(copy->applier, &position, &index, &copy->err), STATUS_RETRY);
    error_clear(&copy->err);
    copy_must(copy, applier_take(copy->applier, &position, &index, &copy->err));
    assert_int_equal(line.opened, 2);
    copy_finish(copy);
}

static void parked_events_are_retried_over_a_new_connection(void **state)
{
    (void)state;
    struct copy *copy = begin("CREATE TABLE orders(id INTEGER NOT NULL PRIMARY KEY, a TEXT UNIQUE, "
                              "b TEXT)");
    copy_add(copy, 1, 1, "c", COPY_A("mail") COPY_B_NULL);
    copy_add(copy, 2, 2, "c", COPY_A("mail") COPY_B_NULL);
    copy_apply(copy);
    copy_add(copy, 3, 1, "d", "");
    copy_apply(copy);
    line.at = BREAK_READ;
    assert_int_equal(applier_retry_parked(copy->applier, clock_wall_us(), &copy->err),
                     STATUS_RETRY);
    error_clear(&copy->err);
    expect(copy, STATUS_ABORT);
    follow(copy);
    line.at = BREAK_IN_COMMIT;
    assert_int_equal(applier_retry_parked(copy->applier, INT64_MAX, &copy->err), STATUS_RETRY);
    error_clear(&copy->err);
    copy_must(copy, applier_make_durable(copy->applier, false, &copy->err));
    assert_string_equal(copy_rows(copy), "2|mail|NULL\n");
    assert_int_equal(sqlite_number(copy->database, "SELECT count(*) FROM keepstep_parked"), 0);
    copy_must(copy, applier_retry_parked(copy->applier, INT64_MAX, &copy->err));
    copy_finish(copy);
}

static void a_stop_that_could_not_be_recorded_is_recorded_later(void **state)
{
    (void)state;
    struct copy *copy = begin("");
    line.at = BREAK_BEFORE_COMMIT;
    assert_int_equal(applier_stop(copy->applier, copy->index, "recreated", &copy->err),
                     STATUS_RETRY);
    assert_true(applier_has_ends(copy->applier));
    expect(copy, STATUS_ABORT);
    follow(copy);
    expect(copy, STATUS_OK);
    assert_string_equal(sqlite_text(copy->database, "SELECT stopped FROM keepstep_position"),
                        "recreated\n");
    assert_string_equal(copy_where(copy)->stopped, "recreated");
    assert_false(applier_has_ends(copy->applier));
    copy_finish(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_connection_lost_before_the_fence_is_opened_anew),
        TEST(a_connection_lost_among_the_writes_is_opened_anew),
        TEST(a_connection_lost_before_commit_repeats_the_batch),
        TEST(a_connection_lost_in_a_commit_that_went_through_repeats_nothing),
        TEST(an_unknown_commit_that_went_through_repeats_nothing),
        TEST(an_unknown_commit_that_did_not_go_through_loses_nothing),
        TEST(a_connection_lost_after_commit_is_found_by_the_next_transaction),
        TEST(a_database_that_stays_away_is_asked_again_for_ever),
        TEST(what_a_crashed_server_lost_is_read_again),
        TEST(another_owner_found_after_the_connection_was_lost_is_an_abort),
        TEST(a_database_that_became_another_copy_ends_the_agent),
        TEST(a_partition_is_taken_over_a_new_connection),
        TEST(parked_events_are_retried_over_a_new_connection),
        TEST(a_stop_that_could_not_be_recorded_is_recorded_later),
    };
    return TEST_RUN(tests);
}
