/* What each outbox has for joint transactions: records that are found by themselves (rule 71), and
 * changes that name the transaction that made them (rule 75). */
#include "producer/registry.h"
#include "tests/support/outbox_case.h"

static struct outbox_rows load_joint(struct outbox *outbox)
{
    struct error err = ERROR_INIT;
    struct outbox_rows rows = {0};
    arena_reset(&outbox_case_arena);
    if (outbox->ops->load_joint(outbox, &outbox_case_extent, &outbox_case_arena, &rows, &err) !=
        STATUS_OK)
        test_fail("%s", err.text);
    return rows;
}

static void make(void)
{
    outbox_case_joint = true;
    outbox_case_make();
}

static void records_are_found_among_data_in_the_order_of_their_positions(void)
{
    make();
    struct outbox *outbox = outbox_case_open("1");
    assert_int_equal(load_joint(outbox).count, 0);
    outbox_case_write("order", 1, 2);
    outbox_case_propose(2);
    outbox_case_write("order", 3, 3);
    outbox_case_propose(1);
    struct outbox_rows rows = load_joint(outbox);
    assert_int_equal(rows.count, 2);
    assert_true(slice_is(rows.rows[0].entity_key, "{\"id\":\"t2\",\"proposer\":\"shop\"}"));
    assert_true(slice_is(rows.rows[0].entity_type, "keepstep.joint"));
    assert_true(slice_is(rows.rows[0].type, "keepstep.joint.proposal"));
    assert_true(rows.rows[0].payload.length > 0 && rows.rows[0].created_at.length > 0);
    assert_true(rows.rows[0].position < rows.rows[1].position);
    assert_int_equal(rows.rows[0].changeset_end, 0);
    assert_int_equal(rows.rows[0].joint.length, 0);
    outbox->ops->close(outbox);
}

static void a_record_that_is_claimed_or_set_aside_is_not_found(void)
{
    struct lease lease;
    struct outbox_row *all = NULL;
    make();
    struct outbox *outbox = outbox_case_open("1");
    lease = outbox_case_lease(outbox);
    outbox_case_propose(1);
    outbox_case_propose(2);
    outbox_case_claimed(outbox, &lease, 0);
    assert_int_equal(load_joint(outbox).count, 0);
    outbox_case_propose(3);
    outbox_case_propose(4);
    outbox_case_propose(3);
    (void)outbox_case_ask("UPDATE outbox SET set_aside = 'x' WHERE position = (SELECT p FROM ("
                          "SELECT min(position) AS p FROM outbox WHERE sequence IS NULL) AS t)");
    struct outbox_rows rows = load_joint(outbox);
    assert_int_equal(rows.count, 1);
    assert_true(slice_is(rows.rows[0].entity_key, "{\"id\":\"t4\",\"proposer\":\"shop\"}"));
    assert_int_equal(outbox_case_waiting(outbox, &all), 1);
    outbox->ops->close(outbox);
}

static void a_new_incarnation_finds_the_records_that_wait_again(void)
{
    struct error err = ERROR_INIT;
    struct origin *origin = NULL;
    struct origin_restarted restarted;
    const struct origin_restart restart = {.service = "shop",
                                           .incarnation = "018f0000-0000-7000-8000-000000000001"};
    make();
    const struct config config = {
        .service = (char *)"shop",
        .database = (char *)(uintptr_t)outbox_case_url,
        .database_path = (char *)(uintptr_t)outbox_case_path(outbox_case_url)};
    struct outbox *outbox = outbox_case_open("1");
    struct lease lease = outbox_case_lease(outbox);
    outbox_case_write("order", 1, 1);
    outbox_case_propose(1);
    outbox_case_claimed(outbox, &lease, 0);
    assert_int_equal(load_joint(outbox).count, 0);
    outbox->ops->close(outbox);
    const struct origin_ops *ops = origin_find(outbox_case_url);
    if (ops->open(&config, ORIGIN_INSTALL, &origin, &err) != STATUS_OK ||
        ops->begin(origin, &err) != STATUS_OK ||
        ops->restart(origin, &restart, &restarted, &err) != STATUS_OK ||
        ops->commit(origin, &err) != STATUS_OK)
        test_fail("%s", err.text);
    ops->close(origin);
    outbox = outbox_case_open("1");
    assert_int_equal(load_joint(outbox).count, 1);
    outbox->ops->close(outbox);
}

static void an_outbox_that_is_not_prepared_for_joint_transactions_is_refused(void)
{
    struct error err = ERROR_INIT;
    struct outbox *outbox = NULL;
    outbox_case_make();
    outbox_case_write("order", 1, 1);
    outbox_case_joint = true;
    assert_int_equal(outbox_case_open_as("1", &outbox, &err), STATUS_FATAL);
    assert_int_equal(err.exit_code, 78);
    assert_non_null(strstr(err.text, "run `keepstep init`"));
    assert_non_null(strstr(outbox_case_init(), "outbox_joint"));
    outbox = outbox_case_open("1");
    outbox_case_propose(1);
    assert_int_equal(load_joint(outbox).count, 1);
    outbox->ops->close(outbox);
}

static void a_change_names_the_joint_transaction_that_made_it_until_it_is_purged(void)
{
    struct error err = ERROR_INIT;
    struct outbox_row *rows = NULL;
    struct outbox_row found = {0};
    struct outbox_rows claimed = {0};
    make();
    struct outbox *outbox = outbox_case_open("1");
    struct lease lease = outbox_case_lease(outbox);
    outbox_case_write("order", 1, 2);
    (void)outbox_case_ask("UPDATE outbox SET joint = '{\"id\":\"t\"}' WHERE aggregateid = "
                          "'{\"id\":2}'");
    assert_int_equal(outbox_case_waiting(outbox, &rows), 2);
    assert_int_equal(rows[0].joint.length, 0);
    assert_true(slice_is(rows[1].joint, "{\"id\":\"t\"}"));
    outbox_case_claimed(outbox, &lease, 0);
    struct relay_partition partition = {.topic = "orders", .partition = 1, .last_sequence = 2};
    assert_int_equal(outbox_case_waiting(outbox, &rows), 0);
    if (outbox->ops->load_claimed(outbox, &partition, &outbox_case_arena, &claimed, &err) !=
        STATUS_OK)
        error_clear(&err); /* the last id is not what it says; the rows are there all the same */
    assert_int_equal(claimed.count, 2);
    assert_true(slice_is(claimed.rows[1].joint, "{\"id\":\"t\"}"));
    assert_int_equal(
        outbox->ops->find(outbox, claimed.rows[1].id, &outbox_case_arena, &found, &err), STATUS_OK);
    assert_true(slice_is(found.joint, "{\"id\":\"t\"}"));
    assert_string_equal(found.topic, "orders");
    outbox->ops->close(outbox);
}

CASE(records_are_found_among_data_in_the_order_of_their_positions)
CASE(a_record_that_is_claimed_or_set_aside_is_not_found)
CASE(a_new_incarnation_finds_the_records_that_wait_again)
CASE(an_outbox_that_is_not_prepared_for_joint_transactions_is_refused)
CASE(a_change_names_the_joint_transaction_that_made_it_until_it_is_purged)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALL(records_are_found_among_data_in_the_order_of_their_positions),
        ALL(a_record_that_is_claimed_or_set_aside_is_not_found),
        ALL(a_new_incarnation_finds_the_records_that_wait_again),
        ALL(an_outbox_that_is_not_prepared_for_joint_transactions_is_refused),
        ALL(a_change_names_the_joint_transaction_that_made_it_until_it_is_purged),
    };
    return TEST_RUN(tests);
}
