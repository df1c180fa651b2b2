/* A change set that is not kept in memory (rule 58), in each database: it is read to its end, read
 * again and applied in parts of one transaction, or nothing of it is written. */
#include "tests/support/set_case.h"

#include "consumer/apply/large.h"

#define PART 7
#define SIZE 50

static const char table_sql[] =
    "CREATE TABLE orders(id bigint NOT NULL PRIMARY KEY, a varchar(100), b varchar(100)"
    " CHECK (b <> 'bad'));"
    "CREATE TABLE order_lines(id bigint NOT NULL PRIMARY KEY, a varchar(100), b varchar(100))";

static const char *const tables[] = {[DATABASE_SQLITE] = table_sql,
                                     [DATABASE_POSTGRESQL] = table_sql,
                                     [DATABASE_MARIADB] = table_sql};

static void add_part(struct batch *part, struct copy *copy, const struct batch_event *event)
{
    copy_must(copy, batch_add(part, &event->change.record, copy->index,
                              applier_finder(copy->applier), &copy->err));
}

/* Read what is in the copy's batch as the agent reads a log. @return as large_set_note(). */
static enum status read_set(struct copy *copy, struct large_set *set)
{
    enum status status = STATUS_OK;
    large_set_begin(copy->applier, &copy->batch.events[0].change, set);
    for (size_t i = 0; i < copy->batch.count && status == STATUS_OK && !set->is_read; i++)
        status = large_set_note(copy->applier, set, &copy->batch.events[i], &copy->err);
    return status;
}

/* Write it in parts of PART records, and commit. */
static enum status write_set(struct copy *copy, const struct large_set *set)
{
    struct batch part = {0};
    copy_must(copy, batch_init(&part, PART, 1 << 20, 1000000, &copy->err));
    enum status status = applier_begin_large(copy->applier, set, &copy->err);
    for (size_t i = 0; i < copy->batch.count && status == STATUS_OK; i++) {
        const struct batch_event *event = &copy->batch.events[i];
        if (event->change.record.offset >= set->next_offset)
            break;
        add_part(&part, copy, event);
        bool is_last = event->change.record.offset + 1 == set->next_offset;
        if (part.count < PART && !is_last)
            continue;
        status = applier_write_large(copy->applier, set, &part, &copy->err);
        batch_reset(&part);
    }
    if (status == STATUS_OK)
        status = applier_end_large(copy->applier, set, &copy->err);
    batch_done(&part);
    return status;
}

static void apply_large(struct copy *copy)
{
    struct large_set set;
    copy_must(copy, read_set(copy, &set));
    assert_true(set.is_read);
    copy_must(copy, write_set(copy, &set));
    batch_reset(&copy->batch);
}

static void add_set(struct copy *copy, int first, int size, const char *text)
{
    copy->changeset_end = first + size - 1;
    for (int i = 0; i < size; i++)
        copy_add(copy, first + i, 1 + i % SIZE, "c", test_format(COPY_A_NULL COPY_B("%s"), text));
    copy->changeset_end = 0;
}

static void a_large_set_is_applied_in_parts_and_what_follows_as_ever(void)
{
    struct copy *copy = copy_begin_two(tables);
    add_set(copy, 1, SIZE, "first");
    apply_large(copy);
    assert_int_equal(copy_where(copy)->next_offset, SIZE);
    assert_int_equal(copy_where(copy)->anchor_offset, SIZE - 1);
    add_set(copy, SIZE + 1, 2 * SIZE, "second");
    apply_large(copy);
    assert_string_equal(copy_text(copy, "SELECT count(*), min(b), max(b) FROM orders"),
                        "50|second|second\n");
    assert_int_equal(atomic_load(&copy->metrics->events_applied), 3 * SIZE);
    assert_int_equal(atomic_load(&copy->metrics->changesets_applied), 2);
    copy_use(copy, copy->ops); /* an agent that begins anew knows where it is */
    copy_add(copy, 3 * SIZE + 1, 1, "u", COPY_B("third"));
    copy_apply(copy);
    assert_string_equal(copy_where(copy)->stopped, "");
    assert_int_equal(copy_number(copy, "SELECT count(*) FROM orders WHERE b = 'third'"), 1);
    copy_finish(copy);
}

static void a_large_set_with_a_bad_change_is_written_in_no_part_wherever_that_stands(void)
{
    static const int places[] = {1, PART + 1, SIZE};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct copy *copy = copy_begin_two(tables);
        struct large_set set;
        copy->changeset_end = SIZE;
        for (int n = 1; n <= SIZE; n++)
            copy_add(copy, n, n, "c", n == places[i] ? COPY_A_NULL COPY_B("bad") : FINE);
        copy_must(copy, read_set(copy, &set));
        assert_int_equal(write_set(copy, &set), STATUS_STOP);
        assert_non_null(strstr(copy->err.text, test_format("change %d of %d of its transaction, "
                                                           "order {\"id\":%d}",
                                                           places[i], SIZE, places[i])));
        assert_non_null(strstr(copy->err.text, "limits.changeset_events"));
        error_clear(&copy->err);
        assert_string_equal(copy_rows(copy), "");
        assert_int_equal(copy_parked(copy), 0);
        assert_int_equal(
            copy_number(copy, "SELECT next_offset FROM keepstep_position WHERE topic = 'order'"),
            0);
        copy_finish(copy);
    }
}

/* What is parked of one of its entities would be overtaken. */
static void a_large_set_behind_a_parked_record_is_not_written(void)
{
    struct copy *copy = copy_begin_two(tables);
    struct large_set set;
    copy_add(copy, 1, 30, "c", COPY_A_NULL COPY_B("bad"));
    copy_apply(copy);
    add_set(copy, 2, SIZE, "set");
    copy_must(copy, read_set(copy, &set));
    assert_int_equal(write_set(copy, &set), STATUS_STOP);
    assert_non_null(strstr(copy->err.text, "behind a parked event"));
    error_clear(&copy->err);
    assert_string_equal(copy_rows(copy), "");
    copy_finish(copy);
}

static void a_void_makes_a_large_set_void_wherever_it_stands(void)
{
    for (int place = 1; place <= SIZE; place += SIZE - 1) {
        struct copy *copy = copy_begin_two(tables);
        copy->changeset_end = SIZE;
        for (int n = 1; n <= SIZE; n++) {
            if (n == place)
                copy_add_from(copy, "shop", n, test_format("e%d", n), test_format("e%d", n - 1),
                              "void", n, "nothing");
            else
                copy_add(copy, n, n, "c", FINE);
        }
        apply_large(copy);
        assert_string_equal(copy_rows(copy), "");
        assert_int_equal(copy_where(copy)->next_offset, SIZE);
        assert_int_equal(atomic_load(&copy->metrics->changesets_voided), 1);
        copy->changeset_end = 0;
        copy_add(copy, SIZE + 1, 1, "c", FINE);
        copy_apply(copy);
        assert_string_equal(copy_rows(copy), "1|NULL|fine\n");
        copy_finish(copy);
    }
}

static void a_large_set_that_a_restore_has_cut_off_is_abandoned(void)
{
    struct copy *copy = copy_begin_two(tables);
    copy->changeset_end = 2 * SIZE;
    for (int n = 1; n <= SIZE; n++)
        copy_add(copy, n, n, "c", FINE);
    copy->changeset_end = 0;
    copy->incarnation = COPY_LATER_INCARNATION;
    copy_add(copy, 1, 100, "c", FINE);
    apply_large(copy);
    assert_int_equal(copy_where(copy)->next_offset, SIZE);
    assert_int_equal(atomic_load(&copy->metrics->changesets_abandoned), 1);
    copy->offset = SIZE;
    copy_add(copy, 1, 100, "c", FINE); /* it is read again */
    copy->incarnation = COPY_INCARNATION;
    copy->changeset_end = 2 * SIZE;
    copy_add(copy, SIZE + 1, 1, "c", FINE); /* late */
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "100|NULL|fine\n");
    assert_string_equal(copy_where(copy)->stopped, "");
    copy_finish(copy);
}

static void what_stands_between_the_records_of_a_large_set_goes_with_it(void)
{
    struct copy *copy = copy_begin_two(tables);
    copy->changeset_end = SIZE;
    for (int n = 1; n <= SIZE; n++) {
        copy_add(copy, n, n, "c", FINE);
        if (n == 20)
            copy_add_from(copy, "tool", 0, "k1", "", NULL, 70,
                          "{\"op\":\"c\",\"before\":null,\"after\":{\"id\":70,\"a\":null,"
                          "\"b\":\"tool\"}}");
        if (n == 30)
            copy_add(copy, 5, 5, "c", FINE); /* sent twice */
    }
    apply_large(copy);
    assert_int_equal(copy_where(copy)->next_offset, SIZE + 2);
    assert_int_equal(copy_number(copy, "SELECT count(*) FROM orders"), SIZE + 1);
    copy_finish(copy);
}

/* The transaction of an agent that has lost its partition, or that is left, leaves nothing. */
static void a_large_set_that_is_left_or_fenced_leaves_nothing(void)
{
    struct copy *copy = copy_begin_two(tables);
    struct large_set set;
    struct batch part = {0};
    add_set(copy, 1, SIZE, "set");
    copy_must(copy, read_set(copy, &set));
    copy_must(copy, batch_init(&part, PART, 1 << 20, 1000000, &copy->err));
    for (size_t i = 0; i < PART; i++)
        add_part(&part, copy, &copy->batch.events[i]);
    copy_must(copy, applier_begin_large(copy->applier, &set, &copy->err));
    copy_must(copy, applier_write_large(copy->applier, &set, &part, &copy->err));
    applier_undo_large(copy->applier);
    assert_string_equal(copy_rows(copy), "");
    (void)copy_text(copy, "UPDATE keepstep_position SET epoch = epoch + 1");
    assert_int_equal(write_set(copy, &set), STATUS_ABORT);
    error_clear(&copy->err);
    assert_string_equal(copy_rows(copy), "");
    batch_done(&part);
    copy_finish(copy);
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE(a_large_set_is_applied_in_parts_and_what_follows_as_ever),
        DATABASE_CASE(a_large_set_with_a_bad_change_is_written_in_no_part_wherever_that_stands),
        DATABASE_CASE(a_large_set_behind_a_parked_record_is_not_written),
        DATABASE_CASE(a_void_makes_a_large_set_void_wherever_it_stands),
        DATABASE_CASE(a_large_set_that_a_restore_has_cut_off_is_abandoned),
        DATABASE_CASE(what_stands_between_the_records_of_a_large_set_goes_with_it),
        DATABASE_CASE(a_large_set_that_is_left_or_fenced_leaves_nothing),
    };
    return database_case_run(cases, sizeof cases / sizeof *cases);
}
