/* The contract of the outbox (outbox.h): a claim that knows what is loaded next may read those rows
 * along. Nobody can tell, but that they are as they were at the claim's end. */
#include "tests/support/outbox_case.h"
#include "tests/support/session.h"

#include "common/clock.h"

#define ATTEMPTS 20 /* of what a busy machine may be too slow for */

static struct outbox *outbox;
static struct lease lease;

/* Write the orders 1 and 2, and load both. */
static struct outbox_rows begin(void)
{
    struct outbox_rows rows = {0};
    outbox_case_make();
    outbox = outbox_case_open("1");
    lease = outbox_case_lease(outbox);
    outbox_case_write("order", 1, 2);
    rows.count = outbox_case_waiting(outbox, &rows.rows);
    assert_int_equal(rows.count, 2);
    return rows;
}

/* Claim the first row of those. */
static enum status claim_first(const struct outbox_rows *rows, struct error *err)
{
    struct relay_partition partition = {.topic = "orders", .partition = 1, .last_sequence = 1};
    rows->rows[0].topic = "orders";
    rows->rows[0].partition = 1;
    rows->rows[0].sequence = 1;
    const struct outbox_claim claim = {rows->rows, 1, &partition, 1, &outbox_case_extent};
    return outbox->ops->claim(outbox, &lease, &claim, err);
}

static void claimed(const struct outbox_rows *rows)
{
    struct error err = ERROR_INIT;
    if (claim_first(rows, &err) != STATUS_OK)
        test_fail("%s", err.text);
}

/* Load, and expect the orders from 2 up to `last`. */
static void expect_up_to(int last)
{
    struct outbox_row *rows = NULL;
    assert_int_equal(outbox_case_waiting(outbox, &rows), last - 1);
    for (int i = 2; i <= last; i++) {
        const struct outbox_row *row = &rows[i - 2];
        if (!slice_is(row->entity_key, test_format("{\"id\":%d}", i)))
            test_fail("%.*s is not order %d", SLICE_ARGS(row->entity_key), i);
        assert_true(slice_is(row->payload, "{\"op\":\"c\"}"));
    }
    assert_false(outbox->has_next);
}

static void the_rows_behind_a_claim_are_those_that_it_left(void)
{
    struct outbox_rows rows = begin();
    claimed(&rows);
    expect_up_to(2);
    outbox_case_write("order", 3, 3);
    expect_up_to(3);
    outbox->ops->close(outbox);
}

/* Whether rows were read along is seen by one that was committed later, and does not wait for the
 * disk. On a busy machine they may be too old by then: they are so after 20 ms. */
static void a_claim_reads_the_next_rows_along(void)
{
    struct outbox_row *loaded = NULL;
    size_t count = 0;
    for (int attempt = 0; attempt < ATTEMPTS && count != 1; attempt++) {
        if (attempt > 0)
            outbox->ops->close(outbox);
        struct outbox_rows rows = begin();
        struct session *writer = session_open(outbox_case_url);
        session_run(writer, "SET synchronous_commit = off", NULL);
        session_run(writer, "BEGIN", NULL);
        session_run(writer,
                    "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES "
                    "('order', '{\"id\":3}', 'order.created', '{\"op\":\"c\"}')",
                    NULL);
        claimed(&rows);
        assert_true(outbox->has_next);
        session_run(writer, "COMMIT", NULL);
        count = outbox_case_waiting(outbox, &loaded);
        session_close(writer);
    }
    assert_int_equal(count, 1);
    assert_true(slice_is(loaded[0].entity_key, "{\"id\":2}"));
    assert_false(outbox->has_next);
    expect_up_to(3);
    outbox->ops->close(outbox);
}

static void rows_that_were_read_along_are_dropped_by_any_other_call(void)
{
    struct outbox_rows rows = begin();
    claimed(&rows);
    outbox_case_write("order", 3, 3);
    outbox_case_acknowledged(outbox, &lease, 1);
    expect_up_to(3);
    outbox->ops->close(outbox);
}

static void rows_that_were_read_along_are_dropped_once_they_are_old(void)
{
    struct outbox_rows rows = begin();
    claimed(&rows);
    outbox_case_write("order", 3, 3);
    clock_sleep_us(200000);
    expect_up_to(3);
    outbox->ops->close(outbox);
}

static void rows_are_not_read_along_for_another_load(void)
{
    struct error err = ERROR_INIT;
    struct outbox_rows rows = begin();
    struct outbox_extent extent = outbox_case_extent;
    claimed(&rows);
    extent.rows = 1;
    outbox_case_write("order", 3, 3);
    assert_int_equal(outbox->ops->load_waiting(outbox, &extent, &outbox_case_arena, &rows, &err),
                     STATUS_OK);
    assert_int_equal(rows.count, 1);
    expect_up_to(3);
    outbox->ops->close(outbox);
}

static void a_claim_that_fails_reads_nothing_along(void)
{
    struct error err = ERROR_INIT;
    struct outbox_rows rows = begin();
    struct lease valid = outbox_case_lease(outbox);
    assert_int_equal(claim_first(&rows, &err), STATUS_ABORT); /* by the old lease */
    assert_false(outbox->has_next);
    lease = valid;
    claimed(&rows);
    expect_up_to(2);
    outbox->ops->close(outbox);
}

/* The claim is durable. The rows are gone with the connection, and are loaded through the next one.
 */
static void a_connection_that_is_lost_behind_a_claim_loses_no_row(void)
{
    struct error err = ERROR_INIT;
    struct outbox_rows rows = begin();
    claimed(&rows);
    outbox_case_product->kill(outbox_case_url);
    enum status status = outbox->ops->load_waiting(outbox, &outbox_case_extent, &outbox_case_arena,
                                                   &rows, &err);
    assert_true(status == STATUS_OK || (status == STATUS_RETRY && err.connection_lost));
    outbox_case_write("order", 3, 3);
    error_clear(&err);
    status = outbox->ops->read_lease(outbox, &lease, &err); /* meets the loss, if nobody has yet */
    assert_true(status == STATUS_OK || (status == STATUS_RETRY && err.connection_lost));
    assert_int_equal(outbox->session, 1);
    expect_up_to(3);
    outbox->ops->close(outbox);
}

/* Load again what waits. */
static void load_again(struct outbox_rows *rows, size_t count)
{
    rows->count = outbox_case_waiting(outbox, &rows->rows);
    assert_int_equal(rows->count, count);
}

/* The COMMIT itself fails; the server still executes what stands behind it. */
static void a_claim_whose_commit_is_refused_reads_nothing_along(void)
{
    struct error err = ERROR_INIT;
    struct outbox_rows rows = begin();
    (void)outbox_case_ask(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE 'not now' USING ERRCODE = '40001'; END $$;"
        "CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON outbox DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION refuse()");
    assert_int_equal(claim_first(&rows, &err), STATUS_RETRY);
    assert_non_null(strstr(err.text, "not now"));
    assert_false(outbox->has_next);
    (void)outbox_case_ask("DROP TRIGGER refuse ON outbox");
    load_again(&rows, 2);
    claimed(&rows);
    expect_up_to(2);
    assert_int_equal(outbox->session, 0);
    outbox->ops->close(outbox);
}

/* A statement in the middle fails: the row is not there any more. */
static void a_claim_that_misses_a_row_reads_nothing_along(void)
{
    struct error err = ERROR_INIT;
    struct outbox_rows rows = begin();
    (void)outbox_case_ask("UPDATE outbox SET set_aside = 'x' WHERE position = 1");
    assert_int_equal(claim_first(&rows, &err), STATUS_ABORT);
    assert_false(outbox->has_next);
    outbox_case_write("order", 3, 3);
    expect_up_to(3);
    (void)outbox_case_ask("UPDATE outbox SET set_aside = NULL WHERE position = 1");
    load_again(&rows, 3);
    claimed(&rows);
    expect_up_to(3);
    assert_int_equal(outbox->session, 0);
    outbox->ops->close(outbox);
}

CASE(the_rows_behind_a_claim_are_those_that_it_left)
CASE_OF(a_claim_whose_commit_is_refused_reads_nothing_along, 1, postgresql)
CASE(a_claim_that_misses_a_row_reads_nothing_along)
CASE_OF(a_claim_reads_the_next_rows_along, 1, postgresql)
CASE(rows_that_were_read_along_are_dropped_by_any_other_call)
CASE(rows_that_were_read_along_are_dropped_once_they_are_old)
CASE(rows_are_not_read_along_for_another_load)
CASE(a_claim_that_fails_reads_nothing_along)
CASE_OF_SERVERS(a_connection_that_is_lost_behind_a_claim_loses_no_row)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALL(the_rows_behind_a_claim_are_those_that_it_left),
        TEST(a_claim_reads_the_next_rows_along_postgresql),
        TEST(a_claim_whose_commit_is_refused_reads_nothing_along_postgresql),
        ALL(a_claim_that_misses_a_row_reads_nothing_along),
        ALL(rows_that_were_read_along_are_dropped_by_any_other_call),
        ALL(rows_that_were_read_along_are_dropped_once_they_are_old),
        ALL(rows_are_not_read_along_for_another_load),
        ALL(a_claim_that_fails_reads_nothing_along),
        SERVERS(a_connection_that_is_lost_behind_a_claim_loses_no_row),
    };
    return TEST_RUN(tests);
}
