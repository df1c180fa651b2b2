/* Foreign images that arrive while an own change is pending are kept (rule 18). Every order of full
 * and sparse images is tried in each database, up to the end of the own change. */
#include "tests/support/copy.h"

enum gone { GONE_DROPPED, GONE_VOID };

struct images {
    const char *first_op; /* NULL: there is only the second */
    const char *first;
    const char *second_op;
    const char *second;
    const char *rows; /* after the end of the own change */
};

static const struct images cases[] = {
    {NULL, NULL, "u", COPY_A("2"), "1|2|own\n"},
    {NULL, NULL, "u", COPY_ROW("2", "2"), "1|2|2\n"},
    {"u", COPY_ROW("1", "1"), "u", COPY_A("2"), "1|2|1\n"},
    {"c", COPY_A("1") COPY_B_NULL, "u", COPY_A("2"), "1|2|NULL\n"},
    {"u", COPY_ROW("1", "1"), "u", COPY_A_NULL, "1|NULL|1\n"},
    {"u", COPY_B("1"), "u", COPY_A("2"), "1|2|1\n"},
    {"u", COPY_B("1"), "u", COPY_B("2"), "1|own|2\n"},
    {"u", COPY_B("1"), "u", COPY_ROW("2", "2"), "1|2|2\n"},
    {"u", COPY_B("1"), "d", "", ""},
    {"d", "", "u", COPY_A("2"), ""},
    {"d", "", "c", COPY_A("2"), "1|2|NULL\n"},
    {"d", "", "c", COPY_ROW("2", "2"), "1|2|2\n"},
};

static void own_change_goes(struct copy *copy, enum gone gone)
{
    if (gone == GONE_DROPPED) {
        (void)copy_text(copy, "DELETE FROM outbox");
        copy_must(copy, applier_write_images(copy->applier, &copy->err));
        return;
    }
    (void)copy_text(copy, "UPDATE outbox SET kafka_partition = 0, sequence = 1");
    copy_add_from(copy, "billing", 1, "o1", "", "void", 1, "nothing that can be read");
    copy_apply(copy);
}

/* @param apart each image has a batch of its own; otherwise one batch has as many as possible. */
static void check(const struct images *images, enum gone gone, bool apart)
{
    struct copy *copy = copy_begin_with(copy_outbox_tables, true);
    (void)copy_text(copy, "INSERT INTO outbox(aggregatetype, aggregateid)"
                          " VALUES ('order', '{\"id\":1}')");
    if (images->first_op != NULL)
        copy_add(copy, 1, 1, images->first_op, images->first);
    if (apart)
        copy_apply(copy);
    copy_add(copy, images->first_op == NULL ? 1 : 2, 1, images->second_op, images->second);
    if (apart || gone == GONE_DROPPED)
        copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|own|own\n");
    own_change_goes(copy, gone);
    const char *rows = copy_rows(copy);
    if (strcmp(rows, images->rows) != 0)
        test_fail("%s %s, %s %s, %s, %s: '%s' and not '%s'",
                  images->first_op == NULL ? "nothing" : images->first_op,
                  images->first_op == NULL ? "" : images->first, images->second_op, images->second,
                  gone == GONE_VOID ? "void" : "dropped", apart ? "apart" : "together", rows,
                  images->rows);
    assert_int_equal(copy_number(copy, "SELECT count(*) FROM keepstep_superseded"), 0);
    assert_int_equal(copy_number(copy, "SELECT count(*) FROM keepstep_parked"), 0);
    copy_finish(copy);
}

static void check_all(enum gone gone, bool apart)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check(&cases[i], gone, apart);
}

static void images_that_lack_columns_make_the_row_whole_once_the_own_change_is_dropped(void)
{
    check_all(GONE_DROPPED, true);
}

static void they_do_where_they_came_in_one_batch(void)
{
    check_all(GONE_DROPPED, false);
}

static void they_do_where_the_own_change_comes_back_as_void(void)
{
    check_all(GONE_VOID, true);
}

static void they_do_where_all_of_it_is_one_batch(void)
{
    check_all(GONE_VOID, false);
}

/* Another session of the service deletes the row while the agent's update waits for its lock. */
static void delete_own(struct copy *copy)
{
    (void)copy_text(copy, "BEGIN; DELETE FROM orders WHERE id = 1;"
                          "INSERT INTO outbox(aggregatetype, aggregateid)"
                          " VALUES ('order', '{\"id\":1}'); COMMIT");
}

static void an_update_that_meets_an_own_delete_under_way_is_superseded_and_not_held(void)
{
    struct copy *copy = copy_begin_with(copy_outbox_tables, true);
    copy_watch(copy);
    copy->at_apply = delete_own;
    copy_add(copy, 1, 1, "u", COPY_A("theirs"));
    copy_add(copy, 2, 2, "c", COPY_ROW("other", "other"));
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "2|other|other\n");
    assert_int_equal(copy_number(copy, "SELECT count(*) FROM keepstep_parked"), 0);
    assert_int_equal(atomic_load(&copy->metrics->events_superseded), 1);
    copy_add(copy, 3, 1, "c", COPY_ROW("later", "later")); /* nothing is blocked */
    copy_apply(copy);
    assert_int_equal(atomic_load(&copy->metrics->events_superseded), 2);
    copy_finish(copy);
}

static void delete_own_3(struct copy *copy)
{
    (void)copy_text(copy, "BEGIN; DELETE FROM orders WHERE id = 3;"
                          "INSERT INTO outbox(aggregatetype, aggregateid)"
                          " VALUES ('order', '{\"id\":3}'); COMMIT");
}

/* The same for a record that is retried. */
static void what_waits_and_meets_an_own_delete_under_way_is_superseded(void)
{
    struct copy *copy = copy_begin_with(copy_outbox_tables, true);
    copy_watch(copy);
    copy_add(copy, 1, 3, "u", COPY_A("theirs")); /* no such row: held */
    copy_apply(copy);
    copy_operate(copy, 1, PARKED_SET_WAITING);
    copy_must(copy, applier_refresh(copy->applier, &copy->err));
    (void)copy_text(copy, "INSERT INTO orders VALUES (3, 'own', 'own')");
    copy->at_apply = delete_own_3;
    copy_retry(copy, INT64_MAX);
    assert_int_equal(copy_number(copy, "SELECT count(*) FROM keepstep_parked"), 0);
    assert_int_equal(copy_number(copy, "SELECT count(*) FROM keepstep_superseded"), 1);
    copy_finish(copy);
}

/* The kept image of a row may be as large as a message. Each small update of the row is merged into
 * it. */
static void many_small_updates_of_a_large_image_are_merged_within_bounds(void)
{
    enum { SIZE = 500000, UPDATES = 90 };
    static char large[SIZE + 1];
    if (database_case_kind != DATABASE_SQLITE)
        test_skip("the merging is the same in all databases");
    struct copy *copy = copy_begin_with(copy_outbox_tables, true);
    (void)copy_text(copy, "INSERT INTO outbox(aggregatetype, aggregateid)"
                          " VALUES ('order', '{\"id\":1}')");
    memset(large, 'x', SIZE);
    copy_add(copy, 1, 1, "u", test_format(COPY_ROW("1", "%s"), large));
    copy_apply(copy);
    for (int i = 2; i < UPDATES + 2; i++)
        copy_add(copy, i, 1, "u", test_format(COPY_A("%d"), i));
    copy_apply(copy);
    own_change_goes(copy, GONE_DROPPED);
    assert_int_equal(
        copy_number(copy, "SELECT count(*) FROM orders WHERE a = '91' AND length(b) = 500000"), 1);
    copy_finish(copy);
}

int main(void)
{
    static const struct database_case all[] = {
        DATABASE_CASE(images_that_lack_columns_make_the_row_whole_once_the_own_change_is_dropped),
        DATABASE_CASE(they_do_where_they_came_in_one_batch),
        DATABASE_CASE(they_do_where_the_own_change_comes_back_as_void),
        DATABASE_CASE(they_do_where_all_of_it_is_one_batch),
        DATABASE_CASE(many_small_updates_of_a_large_image_are_merged_within_bounds),
        DATABASE_CASE_SERVERS(
            an_update_that_meets_an_own_delete_under_way_is_superseded_and_not_held),
        DATABASE_CASE_SERVERS(what_waits_and_meets_an_own_delete_under_way_is_superseded),
    };
    return database_case_run(all, sizeof all / sizeof all[0]);
}
