/* A copy that was filled at a stamp and reads on, in each database (rule 39): an update of a row
 * that the rows of the stamp lack is passed up to filled_to, and held from there on. */
#include "tests/support/copy.h"

#define ATTEMPT "0193c000-0000-7000-8000-000000000001"

static const char *const orders[] = {
    [DATABASE_SQLITE] =
        "CREATE TABLE orders(id bigint PRIMARY KEY, a varchar(100), b varchar(100))",
    [DATABASE_POSTGRESQL] =
        "CREATE TABLE orders(id bigint PRIMARY KEY, a varchar(100), b varchar(100))",
    [DATABASE_MARIADB] =
        "CREATE TABLE orders(id bigint PRIMARY KEY, a varchar(100), b varchar(100))",
};

/* As a loader does: the position goes to offset 0, and the copy is complete from `filled_to` on. */
static struct copy *filled_copy(int64_t filled_to)
{
    struct copy *copy = copy_begin_with(orders, false);
    const enum fill_edit edits[] = {FILL_ASK, FILL_CLEAR, FILL_INSTALL, FILL_END};
    const struct fill_state fill = {.topic = COPY_TOPIC, .id = ATTEMPT, .source = "shop"};
    const struct partition_state partition = {
        .topic = COPY_TOPIC, .anchor_offset = -1, .partition_count = 1, .filled_to = filled_to};
    const struct fill_partitions all = {&partition, 1};
    const struct store_options options = {.path = copy->database, .service = "billing"};
    struct store *store = NULL;
    copy_must(copy, copy->ops->open(&options, &store, &copy->err));
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        copy_must(copy, copy->ops->begin(store, NULL, 0, &copy->err));
        copy_must(copy, copy->ops->fill(store, edits[i], &fill, &all, &copy->err));
        copy_must(copy, copy->ops->commit(store, true, &copy->err));
    }
    copy->ops->close(store);
    applier_free(copy->applier);
    copy->applier = copy_open(copy);
    return copy;
}

static void an_update_of_a_row_that_is_deleted_before_filled_to_is_passed(void)
{
    struct copy *copy = filled_copy(4);
    copy_add(copy, 1, 1, "u", COPY_A("one"));
    copy_add(copy, 2, 2, "c", COPY_ROW("two", "2"));
    copy_add(copy, 3, 2, "u", COPY_B("2b"));
    copy_apply(copy);
    copy_add(copy, 4, 1, "u", COPY_B("1b"));
    copy_apply(copy);
    assert_int_equal(copy_parked(copy), 0);
    assert_string_equal(copy_rows(copy), "2|two|2b\n");
    assert_int_equal(atomic_load(&copy->metrics->events_passed_absent), 2);
    assert_int_equal(copy_where(copy)->next_offset, 4);
    assert_int_equal(copy_where(copy)->sequences[0].last, 4);
    copy_finish(copy);
}

static void an_update_of_an_absent_row_is_held_from_filled_to_on(void)
{
    struct copy *copy = filled_copy(1);
    copy_add(copy, 1, 1, "u", COPY_A("one"));
    copy_add(copy, 2, 1, "u", COPY_A("two"));
    copy_add(copy, 3, 3, "c", COPY_ROW("three", "3"));
    copy_apply(copy);
    assert_int_equal(copy_parked(copy), 1);
    assert_string_equal(copy_rows(copy), "3|three|3\n");
    assert_int_equal(atomic_load(&copy->metrics->events_passed_absent), 1);
    assert_int_equal(atomic_load(&copy->metrics->events_rejected), 1);
    copy_finish(copy);
}

static void what_waited_and_was_released_passes_an_absent_row_too(void)
{
    struct copy *copy = filled_copy(3);
    (void)copy_text(copy, "INSERT INTO orders VALUES (9, 'same', '9')");
    (void)copy_text(copy, "CREATE UNIQUE INDEX orders_a ON orders(a)");
    copy_add(copy, 1, 1, "c", COPY_ROW("same", "1")); /* waits until row 9 has another value */
    copy_add(copy, 2, 1, "d", "");
    copy_add(copy, 3, 1, "u", COPY_B("1b"));
    copy_apply(copy);
    assert_int_equal(copy_parked(copy), 3);
    (void)copy_text(copy, "DELETE FROM orders WHERE id = 9");
    copy_retry_later(copy, INT64_MAX);
    assert_int_equal(copy_parked(copy), 0);
    assert_string_equal(copy_rows(copy), "");
    copy_add(copy, 4, 1, "c", COPY_ROW("new", "4"));
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|new|4\n");
    copy_finish(copy);
}

static void a_value_that_the_database_refuses_is_held_below_filled_to_as_ever(void)
{
    struct copy *copy = filled_copy(10);
    copy_add(copy, 1, 1, "c", COPY_A("no b"));
    (void)copy_text(copy, "CREATE UNIQUE INDEX orders_b ON orders(b)");
    copy_add(copy, 2, 2, "c", COPY_ROW("two", "2"));
    copy_add(copy, 3, 3, "c", COPY_ROW("three", "2"));
    copy_apply(copy);
    assert_int_equal(copy_parked(copy), 1);
    copy_finish(copy);
}

/* The loaded rows are newer than the position: row 2 has the value that row 1 gives up later. What
 * is refused waits, and what stands up to filled_to cures it: there the rows are the log's. */
static void a_value_that_a_newer_row_has_already_waits_and_is_cured_below_filled_to(void)
{
    struct copy *copy = filled_copy(3);
    (void)copy_text(copy, "INSERT INTO orders VALUES (1, 'y', '1'), (2, 'x', '2')");
    (void)copy_text(copy, "CREATE UNIQUE INDEX orders_a ON orders(a)");
    copy_add(copy, 1, 1, "c", COPY_ROW("x", "1"));
    copy_apply(copy);
    assert_int_equal(copy_parked(copy), 1);
    copy_add(copy, 2, 1, "u", COPY_ROW("y", "1"));
    copy_apply(copy);
    copy_add(copy, 3, 2, "c", COPY_ROW("x", "2"));
    copy_apply(copy);
    copy_retry_later(copy, INT64_MAX);
    assert_int_equal(copy_parked(copy), 0);
    assert_string_equal(copy_rows(copy), "1|y|1\n2|x|2\n");
    copy_finish(copy);
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE(an_update_of_a_row_that_is_deleted_before_filled_to_is_passed),
        DATABASE_CASE(an_update_of_an_absent_row_is_held_from_filled_to_on),
        DATABASE_CASE(what_waited_and_was_released_passes_an_absent_row_too),
        DATABASE_CASE(a_value_that_the_database_refuses_is_held_below_filled_to_as_ever),
        DATABASE_CASE(a_value_that_a_newer_row_has_already_waits_and_is_cured_below_filled_to),
    };
    return database_case_run(cases, sizeof cases / sizeof cases[0]);
}
