/* How large a change set may be that is parked, and how one that is larger than memory is released
 * (rule 57), in each database. */
#include "tests/support/set_case.h"

#include "consumer/apply/internal.h"

#include <stdlib.h>

#define LONG_ROWS 400

/* @return an expression of the parked record that speaks for its set. */
static const char *head(const struct copy *copy, const char *expression)
{
    const char *offset = copy->kind == DATABASE_MARIADB ? "`offset`" : "\"offset\"";
    return copy_text(copy, test_format("SELECT %s FROM keepstep_parked ORDER BY %s LIMIT 1",
                                       expression, offset));
}

/* A set is one thing to park: it counts as its first record does. */
static void a_set_beyond_a_limit_stops_its_partition_in_front_of_it(void)
{
    struct copy *copy = copy_begin_two(set_tables);
    copy->config.limits.parked_records = 2;
    copy_add(copy, 1, 1, "c", FINE);
    set_begin(copy, 2, 2);
    copy_add(copy, 2, 2, "c", FINE);
    copy_add(copy, 3, 3, "c", BAD);
    set_begin(copy, 4, 3);
    copy_add(copy, 4, 4, "c", FINE);
    copy_add(copy, 5, 5, "c", FINE);
    copy_add(copy, 6, 6, "c", BAD);
    set_end(copy);
    copy_add(copy, 7, 7, "c", FINE);
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|NULL|fine\n");
    assert_int_equal(copy_parked(copy), 2);
    assert_int_equal(copy_where(copy)->next_offset, 3);
    assert_non_null(strstr(copy_where(copy)->stopped, "limits.parked_records"));
    copy_finish(copy);
}

static void a_set_larger_than_the_limits_of_single_records_is_parked_whole(void)
{
    struct copy *copy = copy_begin_two(set_tables);
    copy->config.limits.parked_records = 4;
    copy->config.limits.parked_entities = 4;
    set_begin(copy, 1, 10);
    for (int i = 1; i <= 10; i++) /* what cannot be read is parked before the others are */
        copy_add(copy, i, i, "c", i == 5 || i == 8 ? ",\"a\":7" : FINE);
    set_end(copy);
    copy_add(copy, 11, 11, "c", FINE);
    copy_apply(copy);
    assert_string_equal(copy_where(copy)->stopped, "");
    assert_int_equal(copy_parked(copy), 10);
    assert_int_equal(copy_where(copy)->parked_count, 10);
    assert_string_equal(copy_rows(copy), "11|NULL|fine\n");
    copy_add(copy, 12, 12, "c", BAD); /* now it is more than the limits allow */
    copy_apply(copy);
    assert_non_null(strstr(copy_where(copy)->stopped, "limits.parked_records"));
    assert_int_equal(copy_parked(copy), 10);
    copy_finish(copy);
}

static void a_set_that_would_exceed_the_parked_bytes_stops_its_partition(void)
{
    struct copy *copy = copy_begin_two(set_tables);
    copy->config.limits.parked_bytes = 1000;
    set_begin(copy, 1, 10);
    for (int i = 1; i <= 10; i++)
        copy_add(copy, i, i, "c", i == 5 ? BAD : FINE);
    set_end(copy);
    copy_apply(copy);
    assert_non_null(strstr(copy_where(copy)->stopped, "limits.parked_bytes"));
    assert_int_equal(copy_parked(copy), 0);
    assert_int_equal(copy_where(copy)->next_offset, 0);
    copy_finish(copy);
}

/* A set of two thousand bytes a record, which is tried in parts. Its last line may be bad. */
static struct copy *park_long_set(bool is_bad)
{
    static char value[2001];
    struct copy *copy = copy_begin_two(set_tables);
    memset(value, 'x', sizeof value - 1);
    copy->config.limits.batch_bytes = 50000;
    copy->config.limits.changeset_bytes = 50000;
    set_begin(copy, 1, LONG_ROWS + 1);
    copy_add(copy, 1, 1, "c", ORPHAN);
    for (int i = 1; i <= LONG_ROWS; i++)
        copy_add_line(
            copy, 1 + i, i, "c",
            test_format(COPY_ROW("%s", "%s"), value, is_bad && i == LONG_ROWS ? "bad" : "fine"));
    set_end(copy);
    copy_apply(copy);
    assert_int_equal(copy_parked(copy), LONG_ROWS + 1);
    /* What a larger set would find with the memory that there is. */
    copy->applier->arena.size_max = 1 << 19;
    return copy;
}

/* It was tried for ever, and all that its agent had to do stood still meanwhile. */
static void a_parked_set_without_room_in_memory_is_released_in_parts(void)
{
    struct copy *copy = park_long_set(false);
    copy_retry_later(copy, INT64_MAX);
    assert_int_equal(copy_parked(copy), LONG_ROWS + 1);
    (void)copy_text(copy, "INSERT INTO parents VALUES ('p')");
    copy_retry_later(copy, INT64_MAX);
    assert_int_equal(copy_parked(copy), 0);
    assert_string_equal(copy_rows(copy), "1|p|orphan\n");
    assert_int_equal(copy_number(copy, "SELECT count(*) FROM order_lines"), LONG_ROWS);
    assert_int_equal(atomic_load(&copy->metrics->events_healed), LONG_ROWS + 1);
    copy_finish(copy);
}

static void a_parked_set_whose_last_part_is_refused_is_written_in_no_part(void)
{
    struct copy *copy = park_long_set(true);
    (void)copy_text(copy, "INSERT INTO parents VALUES ('p')");
    copy_operate(copy, strtoll(head(copy, "parked_id"), NULL, 10), PARKED_SET_WAITING);
    copy_must(copy, applier_refresh(copy->applier, &copy->err));
    applier_set_reloaded(copy->applier, copy->index, false);
    copy_retry_later(copy, INT64_MAX);
    assert_int_equal(copy_number(copy, "SELECT count(*) FROM order_lines"), 0);
    assert_string_equal(copy_rows(copy), "");
    assert_int_equal(copy_parked(copy), LONG_ROWS + 1);
    const char *reason = test_format("change %d of %d of its transaction, line", LONG_ROWS + 1,
                                     LONG_ROWS + 1);
    assert_non_null(strstr(head(copy, "reason"), reason));
    assert_string_equal(head(copy, "attempts"), "2\n");
    copy_finish(copy);
}

static const char unique_sql[] =
    "CREATE TABLE orders(id bigint NOT NULL PRIMARY KEY, a varchar(100) UNIQUE, b varchar(100));"
    "CREATE TABLE order_lines(id bigint NOT NULL PRIMARY KEY, a varchar(100), b varchar(100))";

static const char *const unique[] = {[DATABASE_SQLITE] = unique_sql,
                                     [DATABASE_POSTGRESQL] = unique_sql,
                                     [DATABASE_MARIADB] = unique_sql};

/* Each waited for ever, and nothing told why. */
static void two_sets_that_swap_unique_values_say_that_each_is_tried_alone(void)
{
    struct copy *copy = copy_begin_two(unique);
    copy_add(copy, 1, 1, "c", COPY_ROW("x", "first"));
    copy_add(copy, 2, 2, "c", COPY_ROW("y", "first"));
    copy_apply(copy);
    set_begin(copy, 3, 2);
    copy_add(copy, 3, 1, "u", COPY_ROW("y", "second"));
    copy_add_line(copy, 4, 1, "c", FINE);
    set_begin(copy, 5, 2);
    copy_add(copy, 5, 2, "u", COPY_ROW("x", "second"));
    copy_add_line(copy, 6, 2, "c", FINE);
    set_end(copy);
    copy_apply(copy);
    for (int i = 0; i < 3; i++)
        copy_retry_later(copy, INT64_MAX);
    assert_int_equal(copy_parked(copy), 4);
    assert_string_equal(copy_text(copy, "SELECT count(*) FROM keepstep_parked WHERE state = 1 AND "
                                        "reason LIKE '%a transaction is tried alone%'"),
                        "2\n");
    assert_string_equal(copy_rows(copy), "1|x|first\n2|y|first\n");
    copy_finish(copy);
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE(a_set_beyond_a_limit_stops_its_partition_in_front_of_it),
        DATABASE_CASE(a_set_larger_than_the_limits_of_single_records_is_parked_whole),
        DATABASE_CASE(a_set_that_would_exceed_the_parked_bytes_stops_its_partition),
        DATABASE_CASE(a_parked_set_without_room_in_memory_is_released_in_parts),
        DATABASE_CASE(a_parked_set_whose_last_part_is_refused_is_written_in_no_part),
        DATABASE_CASE(two_sets_that_swap_unique_values_say_that_each_is_tried_alone),
    };
    return database_case_run(cases, sizeof cases / sizeof *cases);
}
