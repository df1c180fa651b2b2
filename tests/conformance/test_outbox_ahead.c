/* The contract of the outbox (outbox.h): rows are loaded behind a claim that another session may
 * not have committed yet, and the load says whether all rows up to there are accounted for. */
#include "tests/support/outbox_case.h"
#include "tests/support/session.h"

#define CLAIMED 3 /* rows of the batch: the first load takes that many */

/* The relay's two sessions, and the batch that the first one has loaded. */
struct sessions {
    struct outbox *relay;
    struct outbox *loader;
    struct lease lease;
    struct outbox_rows batch;
};

static struct sessions open_sessions(void)
{
    struct sessions sessions = {0};
    outbox_case_make();
    sessions.relay = outbox_case_open("1");
    sessions.loader = outbox_case_open("1");
    sessions.lease = outbox_case_lease(sessions.relay);
    return sessions;
}

static void close_sessions(struct sessions *sessions)
{
    sessions->relay->ops->close(sessions->relay);
    sessions->loader->ops->close(sessions->loader);
}

static void load_batch(struct sessions *sessions, size_t limit)
{
    struct error err = ERROR_INIT;
    struct outbox_extent extent = outbox_case_extent;
    extent.rows = limit;
    if (sessions->relay->ops->load_waiting(sessions->relay, &extent, &outbox_case_arena,
                                           &sessions->batch, &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_int_equal(sessions->batch.count, limit);
}

static void claim_batch(struct sessions *sessions)
{
    struct error err = ERROR_INIT;
    struct relay_partition partition = {.topic = "orders", .partition = 1};
    struct outbox_rows *batch = &sessions->batch;
    for (size_t i = 0; i < batch->count; i++) {
        batch->rows[i].topic = "orders";
        batch->rows[i].partition = 1;
        batch->rows[i].sequence = i + 1;
    }
    partition.last_sequence = batch->count;
    const struct outbox_claim claim = {batch->rows, batch->count, &partition, 1, NULL};
    if (sessions->relay->ops->claim(sessions->relay, &sessions->lease, &claim, &err) != STATUS_OK)
        test_fail("%s", err.text);
}

/* Load what is behind the batch. @return how many rows. */
static size_t load_behind(struct sessions *sessions, struct outbox_rows *ret_rows)
{
    struct error err = ERROR_INIT;
    const struct outbox_rows *batch = &sessions->batch;
    struct outbox_extent extent = outbox_case_extent;
    extent.after = batch->rows[batch->count - 1].position;
    extent.claimed = batch->count;
    if (sessions->loader->ops->load_waiting(sessions->loader, &extent, &outbox_case_arena, ret_rows,
                                            &err) != STATUS_OK)
        test_fail("%s", err.text);
    for (size_t i = 0; i < ret_rows->count; i++)
        assert_true(ret_rows->rows[i].position > extent.after);
    return ret_rows->count;
}

static void expect_behind(struct sessions *sessions, size_t count, bool complete)
{
    struct outbox_rows rows;
    assert_int_equal(load_behind(sessions, &rows), count);
    assert_int_equal(rows.complete, complete);
}

static void rows_behind_a_claim_are_loaded_before_and_after_its_commit(void)
{
    struct sessions sessions = open_sessions();
    outbox_case_write("order", 1, 5);
    load_batch(&sessions, CLAIMED);
    expect_behind(&sessions, 2, true);
    claim_batch(&sessions);
    expect_behind(&sessions, 2, true);
    close_sessions(&sessions);
}

static void with_no_row_behind_a_claim_nothing_is_said(void)
{
    struct sessions sessions = open_sessions();
    outbox_case_write("order", 1, CLAIMED);
    load_batch(&sessions, CLAIMED);
    expect_behind(&sessions, 0, false);
    close_sessions(&sessions);
}

/* Its writer got the position before others, and commits after them. */
static void a_lower_position_that_became_visible_later_is_noticed(bool claimed)
{
    struct sessions sessions = open_sessions();
    struct session *writer = session_open(outbox_case_url);
    outbox_case_write("order", 1, 1);
    session_run(writer, "START TRANSACTION", NULL);
    session_run(writer,
                "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES "
                "('order', '{\"id\":9}', 'order.created', '{}')",
                NULL);
    outbox_case_write("order", 2, CLAIMED);
    load_batch(&sessions, CLAIMED);
    outbox_case_write("order", 5, 6);
    expect_behind(&sessions, 2, true); /* its entity can have no later row yet */
    session_run(writer, "COMMIT", NULL);
    outbox_case_write("order", 9, 9); /* and now it has */
    if (claimed)
        claim_batch(&sessions);
    expect_behind(&sessions, 3, false);
    session_close(writer);
    close_sessions(&sessions);
}

static void a_straggler_beside_a_claim_under_way_is_noticed(void)
{
    a_lower_position_that_became_visible_later_is_noticed(false);
}

static void a_straggler_beside_a_committed_claim_is_noticed(void)
{
    a_lower_position_that_became_visible_later_is_noticed(true);
}

/* As many rows as the claim has: their number alone would not tell. */
static void as_many_stragglers_as_claimed_rows_are_noticed(void)
{
    struct sessions sessions = open_sessions();
    outbox_case_write("order", 1, 5);
    (void)outbox_case_ask("UPDATE outbox SET set_aside = 'no' WHERE position <= 2");
    load_batch(&sessions, 2);
    claim_batch(&sessions);
    (void)outbox_case_ask("UPDATE outbox SET set_aside = NULL WHERE position <= 2");
    expect_behind(&sessions, 1, false);
    close_sessions(&sessions);
}

/* An operator lets a row wait again, between the two loads. */
static void a_row_that_was_set_aside_counts_before_and_after_it_is_released(void)
{
    struct error err = ERROR_INIT;
    struct sessions sessions = open_sessions();
    outbox_case_write("order", 1, 6);
    (void)outbox_case_ask("UPDATE outbox SET set_aside = 'no' WHERE position = 2");
    load_batch(&sessions, CLAIMED);
    expect_behind(&sessions, 2, false);
    if (sessions.relay->ops->resolve_set_aside(sessions.relay, 2, OUTBOX_RETRY, &err) != STATUS_OK)
        test_fail("%s", err.text);
    expect_behind(&sessions, 2, false);
    claim_batch(&sessions);
    expect_behind(&sessions, 2, false);
    close_sessions(&sessions);
}

CASE(rows_behind_a_claim_are_loaded_before_and_after_its_commit)
CASE(with_no_row_behind_a_claim_nothing_is_said)
CASE_OF_SERVERS(a_straggler_beside_a_claim_under_way_is_noticed)
CASE_OF_SERVERS(a_straggler_beside_a_committed_claim_is_noticed)
CASE(as_many_stragglers_as_claimed_rows_are_noticed)
CASE(a_row_that_was_set_aside_counts_before_and_after_it_is_released)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALL(rows_behind_a_claim_are_loaded_before_and_after_its_commit),
        ALL(with_no_row_behind_a_claim_nothing_is_said),
        SERVERS(a_straggler_beside_a_claim_under_way_is_noticed),
        SERVERS(a_straggler_beside_a_committed_claim_is_noticed),
        ALL(as_many_stragglers_as_claimed_rows_are_noticed),
        ALL(a_row_that_was_set_aside_counts_before_and_after_it_is_released),
    };
    return TEST_RUN(tests);
}
