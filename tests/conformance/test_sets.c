/* A copy applies a change set whole or not at all (rules 55 and 56), in each database. */
#include "tests/support/copy.h"

#define UNKNOWN "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":%d,\"a\":\"x\",\"c\":1}}"

static const char table_sql[] = "CREATE TABLE orders(id bigint NOT NULL PRIMARY KEY,"
                                " a varchar(100), b varchar(100))";

static struct copy *begin(void)
{
    return copy_begin(table_sql, false);
}

/** Add the events `first` to `last` of the set that ends at `end`; event n writes row n. */
static void add(struct copy *copy, int first, int last, int end)
{
    copy->changeset_end = end;
    for (int i = first; i <= last; i++)
        copy_add(copy, i, i, "c", test_format(COPY_ROW("%d", "x"), i));
    copy->changeset_end = 0;
}

static void add_void(struct copy *copy, int sequence, int end)
{
    copy->changeset_end = end;
    copy_add_from(copy, "shop", sequence, test_format("e%d", sequence),
                  test_format("e%d", sequence - 1), "void", sequence, "nothing that can be read");
    copy->changeset_end = 0;
}

/** @return the ids of the rows. */
static const char *ids(const struct copy *copy)
{
    return copy_text(copy, "SELECT id FROM orders ORDER BY id");
}

/** @return how many events of the batch stand in no open set. */
static size_t whole(struct copy *copy)
{
    copy_must(copy, batch_link_sets(&copy->batch, applier_ranges(copy->applier), &copy->err));
    return batch_whole(&copy->batch);
}

static void sets_of_any_size_are_applied(void)
{
    struct copy *copy = begin();
    add(copy, 1, 1, 0);
    add(copy, 2, 6, 6);
    add(copy, 7, 127, 127); /* more than a batch may have of single events */
    copy_apply(copy);
    assert_int_equal(copy_number(copy, "SELECT count(*) FROM orders"), 127);
    assert_int_equal(copy_where(copy)->next_offset, 127);
    assert_int_equal(atomic_load(&copy->metrics->changesets_applied), 2);
    copy_finish(copy);
}

static void a_void_takes_its_set_with_it_wherever_it_stands(void)
{
    struct copy *copy = begin();
    for (int place = 0; place < 3; place++) {
        int first = 4 * place + 1;
        for (int i = 0; i < 3; i++) {
            if (i == place)
                add_void(copy, first + i, first + 2);
            else
                add(copy, first + i, first + i, first + 2);
        }
        add(copy, first + 3, first + 3, 0);
    }
    copy_apply(copy);
    assert_string_equal(ids(copy), "4\n8\n12\n");
    assert_int_equal(copy_where(copy)->next_offset, 12);
    assert_int_equal(atomic_load(&copy->metrics->changesets_voided), 3);
    add(copy, 2, 2, 3); /* late */
    copy_apply(copy);
    assert_string_equal(ids(copy), "4\n8\n12\n");
    copy_finish(copy);
}

/* The copy may begin anew in between: what comes late is told by what is stored. */
static void what_a_restore_has_left_open_is_abandoned_and_so_is_what_comes_late(void)
{
    struct copy *copy = begin();
    add(copy, 1, 1, 0);
    add(copy, 2, 3, 6); /* two of five */
    assert_int_equal(whole(copy), 1);
    copy->incarnation = COPY_LATER_INCARNATION;
    copy_add(copy, 1, 100, "c", COPY_ROW("new", "x"));
    copy_apply(copy);
    assert_string_equal(ids(copy), "1\n100\n");
    assert_int_equal(atomic_load(&copy->metrics->changesets_abandoned), 1);
    copy_use(copy, copy->ops);
    copy->incarnation = COPY_INCARNATION;
    add(copy, 3, 3, 6); /* sent twice */
    add(copy, 4, 6, 6);
    copy_apply(copy);
    assert_string_equal(ids(copy), "1\n100\n");
    assert_string_equal(copy_where(copy)->stopped, "");
    assert_int_equal(copy_where(copy)->next_offset, 8);
    assert_int_equal(atomic_load(&copy->metrics->changesets_abandoned), 1);
    copy->incarnation = COPY_LATER_INCARNATION;
    copy_add(copy, 2, 101, "c", COPY_ROW("new", "x"));
    copy_apply(copy);
    assert_string_equal(ids(copy), "1\n100\n101\n");
    copy_finish(copy);
}

static void what_comes_late_may_stand_in_a_set_of_the_new_incarnation(void)
{
    struct copy *copy = begin();
    add(copy, 1, 2, 4);
    copy->incarnation = COPY_LATER_INCARNATION;
    copy->changeset_end = 2;
    copy_add(copy, 1, 100, "c", COPY_ROW("new", "x"));
    copy->incarnation = COPY_INCARNATION;
    add(copy, 3, 4, 4);
    assert_int_equal(whole(copy), 0);
    copy->incarnation = COPY_LATER_INCARNATION;
    copy->changeset_end = 2;
    copy_add(copy, 2, 101, "c", COPY_ROW("new", "x"));
    copy->changeset_end = 0;
    copy_apply(copy);
    assert_string_equal(ids(copy), "100\n101\n");
    assert_int_equal(copy_where(copy)->next_offset, 6);
    copy_finish(copy);
}

static void a_copy_that_begins_in_the_middle_passes_records_until_a_set_begins(void)
{
    struct copy *copy = begin();
    (void)copy_text(copy, "UPDATE keepstep_position SET partial = 1");
    copy_use(copy, copy->ops);
    add(copy, 12, 13, 14);
    copy_apply(copy);
    copy_use(copy, copy->ops);
    add(copy, 14, 14, 14);
    add(copy, 15, 16, 16);
    copy_apply(copy);
    assert_string_equal(ids(copy), "15\n16\n");
    assert_int_equal(copy_where(copy)->next_offset, 5);
    copy_finish(copy);
}

/* The rows of a fill are those at a position that may lie in a set: what is there of it is begun.
 */
static void a_set_whose_beginning_lies_before_a_fill_is_taken_as_begun(void)
{
    struct copy *copy = begin();
    add(copy, 1, 3, 0);
    copy_apply(copy);
    add(copy, 4, 5, 5); /* its sequences before 4 belong to the fill */
    copy_apply(copy);
    assert_string_equal(ids(copy), "1\n2\n3\n4\n5\n");
    copy_finish(copy);
}

static void assert_stands_in_front(struct copy *copy, const char *why)
{
    assert_string_equal(ids(copy), "1\n");
    assert_int_equal(copy_where(copy)->next_offset, 1);
    if (strstr(copy_where(copy)->stopped, why) == NULL)
        test_fail("'%s' does not say '%s'", copy_where(copy)->stopped, why);
    assert_int_equal(copy_number(copy, "SELECT count(*) FROM keepstep_parked"), 0);
    copy_finish(copy);
}

static void what_stops_a_partition_stops_it_in_front_of_its_set(void)
{
    struct copy *copy = begin();
    add(copy, 1, 1, 0);
    add(copy, 2, 3, 5);
    add(copy, 5, 5, 5);
    copy_apply(copy);
    assert_stands_in_front(copy, "offset 3: gap");

    copy = begin();
    add(copy, 1, 1, 0);
    add(copy, 2, 3, 5);
    copy->changeset_end = 5;
    copy_add_from(copy, "shop", 4, "e4", "e3", NULL, 4, test_format(UNKNOWN, 4));
    copy_apply(copy);
    assert_stands_in_front(copy, "offset 3: ");

    copy = begin();
    add(copy, 1, 1, 0);
    add(copy, 2, 3, 5);
    copy->changeset_end = 5;
    copy_add_from(copy, "shop", 4, "other", "e3", NULL, 4, "{}");
    copy_add_from(copy, "shop", 5, "e5", "e4", NULL, 5, "{}"); /* a fork */
    copy_apply(copy);
    assert_stands_in_front(copy, "offset 4: fork");

    copy = begin();
    add(copy, 1, 1, 0);
    add(copy, 2, 3, 5);
    add(copy, 4, 4, 6); /* it contradicts its set */
    copy_apply(copy);
    assert_stands_in_front(copy, "ce_changeset");
}

/* A foreign record may stand in the middle of a set. */
static void what_stops_a_partition_between_the_records_of_a_set_stops_it_in_front_of_that(void)
{
    struct copy *copy = begin();
    add(copy, 1, 1, 0);
    add(copy, 2, 3, 4);
    copy_add_from(copy, "tool", 0, "k1", "", NULL, 7, test_format(UNKNOWN, 7));
    add(copy, 4, 4, 4);
    copy_apply(copy);
    assert_stands_in_front(copy, "offset 3: ");
}

static void records_of_others_between_those_of_a_set_are_applied_with_it(void)
{
    struct copy *copy = begin();
    add(copy, 1, 2, 3);
    copy_add_from(copy, "tool", 0, "k1", "", NULL, 7,
                  "{\"op\":\"c\",\"before\":null,\"after\":{\"id\":7,\"a\":\"t\",\"b\":\"t\"}}");
    copy_add_from(copy, "tool", 0, "", "", "heartbeat", 8, "");
    copy_add_from(copy, "tool", 0, "", "", "barrier", 8, "");
    assert_int_equal(whole(copy), 0);
    add(copy, 3, 3, 3);
    copy_apply(copy);
    assert_string_equal(ids(copy), "1\n2\n3\n7\n");
    assert_int_equal(copy_where(copy)->next_offset, 6);
    copy_finish(copy);
}

/* At the origin's own copy each entity of a void set is as after a void of its own (rule 18). */
static void an_own_set_with_a_void_lets_what_it_had_superseded_be_written(void)
{
    struct copy *copy = copy_begin_with(copy_outbox_tables, true);
    (void)copy_text(copy, "INSERT INTO outbox(aggregatetype, aggregateid)"
                          " VALUES ('order', '{\"id\":1}')");
    copy_add(copy, 1, 1, "u", COPY_ROW("foreign", "foreign"));
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|own|own\n");
    (void)copy_text(copy, "UPDATE outbox SET kafka_partition = 0, sequence = 1");
    copy->changeset_end = 2;
    copy_add_from(
        copy, "billing", 1, "o1", "", NULL, 1,
        "{\"op\":\"u\",\"before\":null,\"after\":{\"id\":1,\"a\":\"own\",\"b\":\"own\"}}");
    copy_add_from(copy, "billing", 2, "o2", "o1", "void", 2, "nothing");
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|foreign|foreign\n");
    assert_int_equal(copy_number(copy, "SELECT count(*) FROM keepstep_superseded"), 0);
    copy_finish(copy);
}

int main(void)
{
    static const struct database_case all[] = {
        DATABASE_CASE(sets_of_any_size_are_applied),
        DATABASE_CASE(a_void_takes_its_set_with_it_wherever_it_stands),
        DATABASE_CASE(what_a_restore_has_left_open_is_abandoned_and_so_is_what_comes_late),
        DATABASE_CASE(what_comes_late_may_stand_in_a_set_of_the_new_incarnation),
        DATABASE_CASE(a_copy_that_begins_in_the_middle_passes_records_until_a_set_begins),
        DATABASE_CASE(a_set_whose_beginning_lies_before_a_fill_is_taken_as_begun),
        DATABASE_CASE(what_stops_a_partition_stops_it_in_front_of_its_set),
        DATABASE_CASE(
            what_stops_a_partition_between_the_records_of_a_set_stops_it_in_front_of_that),
        DATABASE_CASE(records_of_others_between_those_of_a_set_are_applied_with_it),
        DATABASE_CASE(an_own_set_with_a_void_lets_what_it_had_superseded_be_written),
    };
    return database_case_run(all, sizeof all / sizeof all[0]);
}
