/* Rows of a paused type wait in each outbox, and the rows of other types do not (rule 49). */
#include "common/buffer.h"
#include "common/clock.h"
#include "tests/support/outbox_case.h"

#include <stdio.h>

#define PAUSE_ORDER "INSERT INTO keepstep_paused VALUES ('order', 5, 'anna@host', 'rebuilt')"

static void assert_waiting(struct outbox *outbox, size_t count, const char *type)
{
    struct outbox_row *rows = NULL;
    assert_int_equal(outbox_case_waiting(outbox, &rows), count);
    for (size_t i = 0; i < count; i++) {
        assert_true(slice_is(rows[i].entity_type, type));
        assert_true(i == 0 || rows[i].position > rows[i - 1].position);
    }
}

static void rows_of_a_paused_type_are_not_loaded_until_it_is_resumed(void)
{
    struct outbox_counts counts = {0};
    struct error err = ERROR_INIT;
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    outbox_case_write("order", 1, 3);
    (void)outbox_case_ask(PAUSE_ORDER);
    assert_waiting(outbox, 0, "");
    outbox_case_write("note", 4, 5);
    outbox_case_write("order", 6, 6);
    assert_waiting(outbox, 2, "note");
    assert_int_equal(outbox->ops->count(outbox, &counts, &err), STATUS_OK);
    assert_int_equal(counts.waiting, 6);
    (void)outbox_case_ask("DELETE FROM outbox WHERE aggregatetype = 'note'");
    (void)outbox_case_ask("DELETE FROM keepstep_paused");
    assert_waiting(outbox, 4, "order");
    outbox->ops->close(outbox);
}

/* Rows above were loaded ahead; those that are paused below them have no number. */
static void nothing_is_complete_behind_a_row_that_is_paused(void)
{
    struct outbox_rows rows = {0};
    struct error err = ERROR_INIT;
    struct outbox_row *first = NULL;
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    outbox_case_write("order", 1, 1);
    outbox_case_write("note", 2, 3);
    (void)outbox_case_ask(PAUSE_ORDER);
    assert_int_equal(outbox_case_waiting(outbox, &first), 2);
    struct outbox_extent extent = outbox_case_extent;
    extent.after = first[0].position;
    extent.claimed = 1;
    assert_int_equal(outbox->ops->load_waiting(outbox, &extent, &outbox_case_arena, &rows, &err),
                     STATUS_OK);
    assert_int_equal(rows.count, 1);
    assert_false(rows.complete);
    outbox->ops->close(outbox);
}

static void the_relays_role_reads_who_has_paused_what_and_why(void)
{
    struct paused_types paused = {0};
    struct error err = ERROR_INIT;
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    assert_int_equal(outbox->ops->list_paused(outbox, &paused, &err), STATUS_OK);
    assert_int_equal(paused.count, 0);
    (void)outbox_case_ask(PAUSE_ORDER);
    if (outbox->ops->list_paused(outbox, &paused, &err) != STATUS_OK)
        test_fail("%s", err.text);
    assert_int_equal(paused.count, 1);
    assert_string_equal(paused.types[0].entity_type, "order");
    assert_int_equal(paused.types[0].at_us, 5);
    assert_string_equal(paused.types[0].by, "anna@host");
    assert_string_equal(paused.types[0].reason, "rebuilt");
    paused_types_done(&paused);
    outbox->ops->close(outbox);
}

/* Write rows of the type "order", many in one statement. */
static void write_orders(int count)
{
    struct buffer sql;
    buffer_init(&sql, (size_t)16 * 1024 * 1024);
    for (int i = 0; i < count; i++)
        buffer_append_format(&sql, "%s('order', '{\"id\":%d}', 'order.created', '{}')",
                             i == 0 ? "INSERT INTO outbox (aggregatetype, aggregateid, type, "
                                      "payload) VALUES "
                                    : ", ",
                             i);
    (void)outbox_case_ask(buffer_text(&sql));
    buffer_done(&sql);
}

/* TEST_PAUSED_ROWS=100000 measures what the rows that wait cost each look at the outbox. */
static void a_look_at_the_outbox_reads_past_what_is_paused(void)
{
    const char *wanted = getenv("TEST_PAUSED_ROWS");
    int count = wanted == NULL ? 2000 : (int)strtol(wanted, NULL, 10);
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    (void)outbox_case_ask(PAUSE_ORDER);
    write_orders(count);
    outbox_case_write("note", count + 1, count + 1);
    int64_t begun = clock_monotonic_us();
    assert_waiting(outbox, 1, "note");
    if (wanted != NULL)
        printf("%s: %d paused rows, %.1f ms\n", outbox_case_product->name, count,
               (double)(clock_monotonic_us() - begun) / 1000);
    outbox->ops->close(outbox);
}

/* The same of whole transactions, behind what was passed: all that waits up to there is counted. */
static void a_look_at_transactions_counts_what_was_passed(void)
{
    const char *wanted = getenv("TEST_PAUSED_ROWS");
    int count = wanted == NULL ? 2000 : (int)strtol(wanted, NULL, 10);
    struct outbox_extent extent = outbox_case_extent;
    outbox_case_whole = true;
    outbox_case_make();
    struct outbox *outbox = outbox_case_open("1");
    (void)outbox_case_ask(PAUSE_ORDER);
    write_orders(count);
    outbox_case_write("note", count + 1, count + 1);
    extent.after = count;
    for (int late = 0; late <= 1; late++) {
        struct outbox_rows rows = {0};
        struct error err = ERROR_INIT;
        extent.claimed = (size_t)(count - late);
        int64_t begun = clock_monotonic_us();
        if (outbox->ops->load_waiting(outbox, &extent, &outbox_case_arena, &rows, &err) !=
            STATUS_OK)
            test_fail("%s", err.text);
        if (wanted != NULL)
            printf("%s: behind %d paused rows, %.1f ms\n", outbox_case_product->name, count,
                   (double)(clock_monotonic_us() - begun) / 1000);
        assert_int_equal(rows.count, 1);
        assert_int_equal(rows.complete, !late);
    }
    outbox->ops->close(outbox);
}

CASE(rows_of_a_paused_type_are_not_loaded_until_it_is_resumed)
CASE(nothing_is_complete_behind_a_row_that_is_paused)
CASE(the_relays_role_reads_who_has_paused_what_and_why)
CASE(a_look_at_the_outbox_reads_past_what_is_paused)
CASE(a_look_at_transactions_counts_what_was_passed)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALL(rows_of_a_paused_type_are_not_loaded_until_it_is_resumed),
        ALL(nothing_is_complete_behind_a_row_that_is_paused),
        ALL(the_relays_role_reads_who_has_paused_what_and_why),
        ALL(a_look_at_the_outbox_reads_past_what_is_paused),
        ALL(a_look_at_transactions_counts_what_was_passed),
    };
    return TEST_RUN(tests);
}
