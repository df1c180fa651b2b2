/* A change set at a peer (rule 57), in each database: it is applied whole, or parked, tried again
 * and skipped whole. */
#include "tests/support/set_case.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define SETS 30

static const char *offset_column(const struct copy *copy)
{
    return copy->kind == DATABASE_MARIADB ? "`offset`" : "\"offset\"";
}

/* @return "offset|state\n" of what is parked. */
static const char *states(const struct copy *copy)
{
    const char *offset = offset_column(copy);
    return copy_text(
        copy, test_format("SELECT %s, state FROM keepstep_parked ORDER BY %s", offset, offset));
}

static const char *reason_at(const struct copy *copy, int offset)
{
    return copy_text(copy, test_format("SELECT reason FROM keepstep_parked WHERE %s = %d",
                                       offset_column(copy), offset));
}

static int64_t id_at(const struct copy *copy, int offset)
{
    return copy_number(copy, test_format("SELECT parked_id FROM keepstep_parked WHERE %s = %d",
                                         offset_column(copy), offset));
}

static const char *line_rows(const struct copy *copy)
{
    return copy_text(copy, "SELECT id, a, b FROM order_lines ORDER BY id");
}

/* What an agent does after an operator's command. */
static void refresh(struct copy *copy)
{
    copy_must(copy, applier_refresh(copy->applier, &copy->err));
    applier_set_reloaded(copy->applier, copy->index, false);
}

static void retry_until(struct copy *copy, int64_t count)
{
    for (int round = 0; round < 20 && copy_parked(copy) != count; round++)
        copy_retry_later(copy, INT64_MAX);
    assert_int_equal(copy_parked(copy), count);
}

/* No set is in keepstep_parked in part; all counts that the agent remembers are those stored. */
static void assert_whole(struct copy *copy)
{
    assert_string_equal(
        copy_text(copy, "SELECT changeset_end, count(*) FROM keepstep_parked WHERE changeset_end "
                        "IS NOT NULL GROUP BY topic, changeset_end HAVING count(DISTINCT CASE "
                        "state WHEN 3 THEN 1 ELSE 0 END) > 1"),
        "");
    assert_int_equal(copy_where(copy)->parked_count, copy_parked(copy));
    assert_int_equal(copy_where(copy)->waiting_count,
                     copy_number(copy, "SELECT count(*) FROM keepstep_parked WHERE state = 1"));
    assert_int_equal(copy_where(copy)->held_count,
                     copy_number(copy, "SELECT count(*) FROM keepstep_parked WHERE state = 0"));
}

/* Order 1 and order 2 are fine alone; a set of three of which one is bad stands between them. */
static struct copy *apply_with_bad(int bad)
{
    struct copy *copy = copy_begin_two(set_tables);
    copy_add(copy, 1, 1, "c", FINE);
    set_begin(copy, 2, 3);
    for (int i = 0; i < 3; i++)
        copy_add(copy, 2 + i, 10 + i, "c", i == bad ? BAD : FINE);
    set_end(copy);
    copy_add(copy, 5, 2, "c", FINE);
    copy_apply(copy);
    return copy;
}

static void a_set_of_which_one_change_is_rejected_is_parked_whole(void)
{
    for (int bad = 0; bad < 3; bad++) {
        struct copy *copy = apply_with_bad(bad);
        assert_string_equal(copy_rows(copy), "1|NULL|fine\n2|NULL|fine\n");
        assert_string_equal(states(copy), "1|0\n2|2\n3|2\n");
        assert_non_null(strstr(reason_at(copy, 1),
                               test_format("change %d of 3 of its transaction, order {\"id\":%d}: ",
                                           bad + 1, bad + 10)));
        assert_int_equal(copy_where(copy)->next_offset, 5);
        assert_int_equal(atomic_load(&copy->metrics->changesets_parked), 1);
        assert_int_equal(atomic_load(&copy->metrics->events_parked), 3);
        assert_int_equal(atomic_load(&copy->metrics->events_rejected), 1);
        assert_whole(copy);
        copy_finish(copy);
    }
}

static void each_entity_of_a_parked_set_blocks_and_so_does_what_waits_for_it(void)
{
    struct copy *copy = apply_with_bad(1);
    copy_add(copy, 6, 12, "u", COPY_B("later")); /* of the set's last entity */
    set_begin(copy, 7, 2);
    copy_add(copy, 7, 20, "c", FINE);
    copy_add(copy, 8, 10, "u", COPY_B("later")); /* of its first one */
    set_end(copy);
    copy_add(copy, 9, 20, "u", COPY_B("later")); /* of the second set */
    copy_add(copy, 10, 1, "u", COPY_B("free"));
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|NULL|free\n2|NULL|fine\n");
    assert_string_equal(states(copy), "1|0\n2|2\n3|2\n5|2\n6|2\n7|2\n8|2\n");
    assert_int_equal(atomic_load(&copy->metrics->changesets_parked), 2);
    assert_whole(copy);
    copy_finish(copy);
}

static void a_set_behind_a_parked_event_of_the_same_batch_is_parked_whole(void)
{
    struct copy *copy = copy_begin_two(set_tables);
    copy_add(copy, 1, 1, "c", BAD);
    set_begin(copy, 2, 3);
    copy_add(copy, 2, 2, "c", FINE);
    copy_add(copy, 3, 1, "u", COPY_B("fine"));
    copy_add(copy, 4, 3, "c", FINE);
    set_end(copy);
    copy_add(copy, 5, 3, "u", COPY_B("later"));
    copy_add(copy, 6, 4, "c", FINE);
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "4|NULL|fine\n");
    assert_string_equal(states(copy), "0|0\n1|2\n2|2\n3|2\n4|2\n");
    assert_whole(copy);
    copy_finish(copy);
}

/* The value of its second record is no row: that is known before the transaction begins. */
static void a_set_with_a_record_that_cannot_be_read_is_parked_whole(void)
{
    struct copy *copy = copy_begin_two(set_tables);
    set_begin(copy, 1, 3);
    copy_add(copy, 1, 1, "c", FINE);
    copy_add_from(copy, "shop", 2, "e2", "e1", NULL, 2,
                  "{\"op\":\"c\",\"before\":null,\"after\":{\"id\":2,\"a\":7}}");
    copy_add(copy, 3, 3, "c", FINE);
    set_end(copy);
    copy_add(copy, 4, 1, "u", COPY_B("later"));
    copy_add(copy, 5, 5, "c", FINE);
    copy_add_from(copy, "other", 0, "x1", NULL, NULL, 6, /* its key is claimed */
                  "{\"op\":\"d\",\"before\":null,\"after\":null}");
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "5|NULL|fine\n");
    assert_string_equal(states(copy), "0|0\n1|2\n2|2\n3|2\n");
    assert_int_equal(strncmp(reason_at(copy, 0), "change 2 of 3 of its", 20), 0);
    assert_whole(copy);
    copy_finish(copy);
}

/* {A}, {A, B}, {B}: B's change in the waiting set is not overtaken. */
static void what_waits_for_each_other_is_released_in_its_order(void)
{
    struct copy *copy = copy_begin_two(set_tables);
    copy_add(copy, 1, 1, "c", ORPHAN);
    set_begin(copy, 2, 2);
    copy_add(copy, 2, 1, "u", COPY_B("second"));
    copy_add(copy, 3, 2, "c", COPY_A_NULL COPY_B("second"));
    set_end(copy);
    copy_add(copy, 4, 2, "u", COPY_B("third"));
    copy_apply(copy);
    assert_string_equal(states(copy), "0|1\n1|2\n2|2\n3|2\n");
    copy_retry_later(copy, INT64_MAX);
    assert_int_equal(copy_parked(copy), 4);
    assert_whole(copy);
    (void)copy_text(copy, PARENT);
    retry_until(copy, 0);
    assert_string_equal(copy_rows(copy), "1|p|second\n2|NULL|third\n");
    assert_whole(copy);
    copy_add(copy, 5, 1, "u", COPY_B("free"));
    set_begin(copy, 6, 2);
    copy_add(copy, 6, 2, "u", COPY_B("free"));
    copy_add(copy, 7, 3, "c", FINE);
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|p|free\n2|NULL|free\n3|NULL|fine\n");
    copy_finish(copy);
}

/* The first one is rejected for good. A person mends it; the set behind is rejected then. */
static void a_set_that_is_mended_and_retried_lets_the_next_one_have_its_turn(void)
{
    struct copy *copy = copy_begin_two(set_tables);
    set_begin(copy, 1, 2);
    copy_add(copy, 1, 1, "c", BAD);
    copy_add(copy, 2, 2, "c", FINE);
    set_begin(copy, 3, 2);
    copy_add(copy, 3, 2, "u", ORPHAN);
    copy_add(copy, 4, 3, "c", FINE);
    set_end(copy);
    copy_apply(copy);
    assert_string_equal(states(copy), "0|0\n1|2\n2|2\n3|2\n");
    copy_retry_later(copy, INT64_MAX);
    assert_string_equal(states(copy), "0|0\n1|2\n2|2\n3|2\n");
    (void)copy_text(copy, copy->kind == DATABASE_SQLITE
                              ? "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = "
                                "replace(sql, '<> ''bad''', '<> ''x''') WHERE name = 'orders'"
                              : (copy->kind == DATABASE_POSTGRESQL
                                     ? "ALTER TABLE orders DROP CONSTRAINT orders_b_check"
                                     : "ALTER TABLE orders MODIFY b varchar(100)"));
    copy_operate(copy, id_at(copy, 0), PARKED_SET_WAITING);
    applier_free(copy->applier); /* an agent that begins anew finds the same */
    copy->applier = copy_open(copy);
    copy_retry_later(copy, INT64_MAX);
    assert_string_equal(copy_rows(copy), "1|NULL|bad\n2|NULL|fine\n");
    assert_string_equal(states(copy), "2|1\n3|2\n");
    assert_non_null(strstr(reason_at(copy, 2), "its transaction"));
    (void)copy_text(copy, PARENT);
    retry_until(copy, 0);
    assert_string_equal(copy_rows(copy), "1|NULL|bad\n2|p|orphan\n3|NULL|fine\n");
    assert_whole(copy);
    copy_finish(copy);
}

static void a_set_is_skipped_whole_and_what_waits_for_it_goes_on(void)
{
    struct copy *copy = copy_begin_two(set_tables);
    set_begin(copy, 1, 2);
    copy_add(copy, 1, 1, "c", BAD);
    copy_add(copy, 2, 2, "c", FINE);
    copy_apply(copy);
    set_begin(copy, 3, 2);
    copy_add(copy, 3, 2, "c", COPY_A_NULL COPY_B("second"));
    copy_add(copy, 4, 3, "c", FINE);
    set_end(copy);
    copy_add(copy, 5, 1, "c", COPY_A_NULL COPY_B("third"));
    copy_apply(copy);
    assert_int_equal(copy_parked(copy), 5);
    copy_operate(copy, id_at(copy, 1), PARKED_SET_SKIPPED); /* by its second record */
    refresh(copy);
    retry_until(copy, 0);
    assert_string_equal(copy_rows(copy), "1|NULL|third\n2|NULL|second\n3|NULL|fine\n");
    assert_string_equal(states(copy), "0|3\n1|3\n");
    assert_whole(copy);
    copy_finish(copy);
}

/* {A, B} and {B, A}: each entity is in both. */
static void two_sets_that_cross_are_released_one_after_the_other(void)
{
    struct copy *copy = copy_begin_two(set_tables);
    set_begin(copy, 1, 2);
    copy_add(copy, 1, 1, "c", ORPHAN);
    copy_add(copy, 2, 2, "c", COPY_A_NULL COPY_B("first"));
    set_begin(copy, 3, 2);
    copy_add(copy, 3, 2, "u", COPY_B("second"));
    copy_add(copy, 4, 1, "u", COPY_ROW("p", "second"));
    set_end(copy);
    copy_apply(copy);
    assert_string_equal(states(copy), "0|1\n1|2\n2|2\n3|2\n");
    copy_retry_later(copy, INT64_MAX);
    assert_int_equal(copy_parked(copy), 4);
    (void)copy_text(copy, PARENT);
    retry_until(copy, 0);
    assert_string_equal(copy_rows(copy), "1|p|second\n2|NULL|second\n");
    assert_whole(copy);
    copy_finish(copy);
}

/* Alone, a later image would replace what waits. */
static void no_later_image_replaces_a_part_of_a_set(void)
{
    struct copy *copy = copy_begin_two(set_tables);
    set_begin(copy, 1, 2);
    copy_add(copy, 1, 1, "c", ORPHAN);
    copy_add(copy, 2, 2, "c", FINE);
    set_end(copy);
    copy_apply(copy);
    copy_add(copy, 3, 1, "d", "");
    copy_apply(copy);
    copy_retry_later(copy, INT64_MAX);
    assert_string_equal(states(copy), "0|1\n1|2\n2|2\n");
    assert_string_equal(copy_rows(copy), "");
    copy_add(copy, 4, 10, "c", ORPHAN); /* and before a set nothing jumps over it */
    copy_apply(copy);
    set_begin(copy, 5, 2);
    copy_add(copy, 5, 10, "u", COPY_B("set"));
    copy_add(copy, 6, 11, "c", FINE);
    set_end(copy);
    copy_add(copy, 7, 10, "d", "");
    copy_apply(copy);
    copy_retry_later(copy, INT64_MAX);
    assert_int_equal(copy_parked(copy), 7);
    assert_string_equal(copy_rows(copy), "");
    (void)copy_text(copy, PARENT);
    retry_until(copy, 0);
    assert_string_equal(copy_rows(copy), "2|NULL|fine\n11|NULL|fine\n");
    assert_whole(copy);
    copy_finish(copy);
}

static void a_set_over_two_entity_types_is_parked_and_released_whole(void)
{
    struct copy *copy = copy_begin_two(set_tables);
    set_begin(copy, 1, 3);
    copy_add_line(copy, 1, 1, "c", FINE);
    copy_add(copy, 2, 1, "c", ORPHAN);
    copy_add_line(copy, 3, 2, "c", FINE);
    set_end(copy);
    copy_add_line(copy, 4, 2, "u", COPY_B("later"));
    copy_add_line(copy, 5, 3, "c", FINE);
    copy_apply(copy);
    assert_string_equal(line_rows(copy), "3|NULL|fine\n");
    assert_string_equal(copy_rows(copy), "");
    assert_whole(copy);
    (void)copy_text(copy, PARENT);
    retry_until(copy, 0);
    assert_string_equal(line_rows(copy), "1|NULL|fine\n2|NULL|later\n3|NULL|fine\n");
    assert_string_equal(copy_rows(copy), "1|p|orphan\n");
    copy_finish(copy);
}

static void a_set_of_any_size_is_parked_and_released(void)
{
    for (int size = 1; size <= 1000; size = size == 1 ? 5 : 200 * size) {
        struct copy *copy = copy_begin_two(set_tables);
        if (size > 1) /* one alone does not say that it is a set */
            set_begin(copy, 1, size);
        for (int k = 1; k <= size; k++)
            copy_add(copy, k, k, "c", k == size ? ORPHAN : FINE);
        set_end(copy);
        copy_apply(copy);
        assert_int_equal(copy_parked(copy), size);
        assert_whole(copy);
        (void)copy_text(copy, PARENT);
        retry_until(copy, 0);
        assert_int_equal(copy_number(copy, "SELECT count(*) FROM orders"), size);
        assert_whole(copy);
        copy_finish(copy);
    }
}

/* A line's a names an order's a. */
static const char *const deferrable[] = {
    [DATABASE_SQLITE] =
        "CREATE TABLE orders(id integer PRIMARY KEY, a text UNIQUE, b text);"
        "CREATE TABLE order_lines(id integer PRIMARY KEY, a text REFERENCES orders(a)"
        " DEFERRABLE INITIALLY DEFERRED, b text CHECK (b <> 'bad'))",
    [DATABASE_POSTGRESQL] =
        "CREATE TABLE orders(id bigint PRIMARY KEY, a text UNIQUE, b text);"
        "CREATE TABLE order_lines(id bigint PRIMARY KEY, a text REFERENCES orders(a)"
        " DEFERRABLE INITIALLY DEFERRED, b text CHECK (b <> 'bad'))",
    [DATABASE_MARIADB] =
        "CREATE TABLE orders(id bigint PRIMARY KEY, a varchar(100) UNIQUE, b varchar(100));"
        "CREATE TABLE order_lines(id bigint PRIMARY KEY, a varchar(100), b varchar(100)"
        " CHECK (b <> 'bad'), FOREIGN KEY (a) REFERENCES orders(a))",
};

static void add_line_and_order(struct copy *copy, int first, int id)
{
    set_begin(copy, first, 2);
    copy_add_line(copy, first, id, "c", test_format(COPY_ROW("o%d", "line"), id));
    copy_add(copy, first + 1, id, "c", test_format(COPY_ROW("o%d", "order"), id));
    set_end(copy);
}

/* Alone, the line would have to wait for its order. */
static void a_child_may_stand_before_its_parent_in_a_set(void)
{
    struct copy *copy = copy_begin_two(deferrable);
    add_line_and_order(copy, 1, 1);
    copy_apply(copy);
    assert_string_equal(line_rows(copy), "1|o1|line\n");
    add_line_and_order(copy, 3, 2);
    copy_add_line(copy, 5, 9, "c", COPY_A_NULL COPY_B("bad")); /* all are written singly now */
    add_line_and_order(copy, 6, 3);
    copy_apply(copy);
    assert_string_equal(line_rows(copy), "1|o1|line\n2|o2|line\n3|o3|line\n");
    assert_string_equal(copy_rows(copy), "1|o1|order\n2|o2|order\n3|o3|order\n");
    assert_string_equal(states(copy), "4|0\n");
    copy_finish(copy);
}

static void a_set_whose_deferred_constraint_is_violated_at_its_end_waits_whole(void)
{
    struct copy *copy = copy_begin_two(deferrable);
    set_begin(copy, 1, 2);
    copy_add_line(copy, 1, 1, "c", COPY_ROW("o2", "line"));
    copy_add(copy, 2, 1, "c", COPY_ROW("o1", "order"));
    set_end(copy);
    copy_add(copy, 3, 3, "c", COPY_ROW("o3", "order"));
    copy_apply(copy);
    assert_string_equal(line_rows(copy), "");
    assert_string_equal(copy_rows(copy), "3|o3|order\n");
    assert_string_equal(states(copy), "0|1\n1|2\n");
    copy_add(copy, 4, 2, "c", COPY_ROW("o2", "order"));
    copy_apply(copy);
    retry_until(copy, 0);
    assert_string_equal(line_rows(copy), "1|o2|line\n");
    assert_string_equal(copy_rows(copy), "1|o1|order\n2|o2|order\n3|o3|order\n");
    assert_whole(copy);
    copy_finish(copy);
}

/* One statement of the origin has swapped them. No order of the two is possible here. */
static void a_set_that_swaps_unique_values_is_released_by_making_its_rows_anew(void)
{
    struct copy *copy = copy_begin_two(deferrable);
    copy_add(copy, 1, 1, "c", COPY_ROW("x", "first"));
    copy_add(copy, 2, 2, "c", COPY_ROW("y", "first"));
    copy_apply(copy);
    set_begin(copy, 3, 2);
    copy_add(copy, 3, 1, "u", COPY_ROW("y", "second"));
    copy_add(copy, 4, 2, "u", COPY_ROW("x", "second"));
    set_end(copy);
    copy_apply(copy);
    retry_until(copy, 0);
    assert_string_equal(copy_rows(copy), "1|y|second\n2|x|second\n");
    assert_whole(copy);
    copy_finish(copy);
}

static void a_chain_of_many_sets_that_share_an_entity_is_released_in_order(void)
{
    struct copy *copy = copy_begin_two(set_tables);
    for (int i = 0; i < SETS; i++) {
        set_begin(copy, 1 + 2 * i, 2);
        copy_add(copy, 1 + 2 * i, 1, i == 0 ? "c" : "u", test_format(COPY_ROW("p", "%d"), i));
        copy_add_line(copy, 2 + 2 * i, 1 + i, "c", FINE);
    }
    set_end(copy);
    copy_apply(copy);
    assert_int_equal(copy_parked(copy), 2 * SETS);
    (void)copy_text(copy, PARENT);
    retry_until(copy, 0);
    assert_string_equal(copy_rows(copy), test_format("1|p|%d\n", SETS - 1));
    assert_int_equal(copy_number(copy, "SELECT count(*) FROM order_lines"), SETS);
    assert_whole(copy);
    copy_finish(copy);
}

static bool dies_before;

static enum status die_at_commit(struct store *store, bool durable, struct error *err)
{
    if (!dies_before)
        (void)store->ops->commit(store, durable, err);
    (void)raise(SIGKILL);
    return STATUS_FATAL;
}

/* Let another process do the work until it dies just before or after its commit. */
static void die(struct copy *copy, bool before, void (*work)(struct copy *copy))
{
    static struct store_ops ops;
    int status = 0;
    applier_free(copy->applier);
    pid_t child = fork();
    if (child == 0) {
        ops = *copy->ops;
        ops.commit = die_at_commit;
        copy->ops = &ops;
        dies_before = before;
        copy->applier = copy_open(copy);
        work(copy);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    copy->applier = copy_open(copy);
}

static void do_retry(struct copy *copy)
{
    copy_retry_later(copy, INT64_MAX);
}

/* @return a copy with an orphan and two more in the batch, which is not applied yet. */
static struct copy *begin_with_orphan(void)
{
    struct copy *copy = copy_begin_two(set_tables);
    set_begin(copy, 1, 3);
    copy_add(copy, 1, 1, "c", FINE);
    copy_add(copy, 2, 2, "c", ORPHAN);
    copy_add_line(copy, 3, 3, "c", FINE);
    set_end(copy);
    return copy;
}

static void a_crash_beside_the_commit_of_a_parked_set_leaves_it_whole(void)
{
    struct copy *copy = begin_with_orphan();
    die(copy, true, copy_apply);
    assert_int_equal(copy_parked(copy), 0);
    assert_int_equal(copy_where(copy)->next_offset, 0);
    die(copy, false, copy_apply);
    assert_string_equal(states(copy), "0|1\n1|2\n2|2\n");
    assert_int_equal(copy_where(copy)->next_offset, 3);
    assert_whole(copy);
    copy_finish(copy);
}

static void a_crash_beside_the_commit_of_a_released_set_leaves_it_whole(void)
{
    struct copy *copy = begin_with_orphan();
    copy_apply(copy);
    (void)copy_text(copy, PARENT);
    die(copy, true, do_retry);
    assert_int_equal(copy_parked(copy), 3);
    assert_string_equal(copy_rows(copy), "");
    assert_string_equal(line_rows(copy), "");
    die(copy, false, do_retry);
    assert_int_equal(copy_parked(copy), 0);
    assert_string_equal(copy_rows(copy), "1|NULL|fine\n2|p|orphan\n");
    assert_string_equal(line_rows(copy), "3|NULL|fine\n");
    assert_whole(copy);
    copy_finish(copy);
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE(a_set_of_which_one_change_is_rejected_is_parked_whole),
        DATABASE_CASE(each_entity_of_a_parked_set_blocks_and_so_does_what_waits_for_it),
        DATABASE_CASE(a_set_behind_a_parked_event_of_the_same_batch_is_parked_whole),
        DATABASE_CASE(a_set_with_a_record_that_cannot_be_read_is_parked_whole),
        DATABASE_CASE(what_waits_for_each_other_is_released_in_its_order),
        DATABASE_CASE(a_set_that_is_mended_and_retried_lets_the_next_one_have_its_turn),
        DATABASE_CASE(a_set_is_skipped_whole_and_what_waits_for_it_goes_on),
        DATABASE_CASE(two_sets_that_cross_are_released_one_after_the_other),
        DATABASE_CASE(no_later_image_replaces_a_part_of_a_set),
        DATABASE_CASE(a_set_over_two_entity_types_is_parked_and_released_whole),
        DATABASE_CASE(a_set_of_any_size_is_parked_and_released),
        DATABASE_CASE(a_child_may_stand_before_its_parent_in_a_set),
        DATABASE_CASE(a_set_whose_deferred_constraint_is_violated_at_its_end_waits_whole),
        DATABASE_CASE(a_set_that_swaps_unique_values_is_released_by_making_its_rows_anew),
        DATABASE_CASE(a_chain_of_many_sets_that_share_an_entity_is_released_in_order),
        DATABASE_CASE(a_crash_beside_the_commit_of_a_parked_set_leaves_it_whole),
        DATABASE_CASE(a_crash_beside_the_commit_of_a_released_set_leaves_it_whole),
    };
    return database_case_run(cases, sizeof cases / sizeof *cases);
}
