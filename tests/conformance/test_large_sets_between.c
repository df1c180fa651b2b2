/* What stands between the records of a change set that is not kept in memory, and what such a set
 * waits for (rule 58), in each database: it is as in a smaller set. */
#include "tests/support/set_case.h"

#include "consumer/apply/large.h"

#define PART   7
#define SIZE   50
#define CREATE "{\"op\":\"c\",\"before\":null,\"after\":{\"id\":%d,\"a\":null,\"b\":\"%s\"}}"

static const char unique_sql[] =
    "CREATE TABLE orders(id bigint NOT NULL PRIMARY KEY, a varchar(100) UNIQUE, b varchar(100));"
    "CREATE TABLE order_lines(id bigint NOT NULL PRIMARY KEY, a varchar(100), b varchar(100))";

static const char *const unique[] = {[DATABASE_SQLITE] = unique_sql,
                                     [DATABASE_POSTGRESQL] = unique_sql,
                                     [DATABASE_MARIADB] = unique_sql};

/* Read what is in the copy's batch as the agent reads a log. */
static void read_set(struct copy *copy, struct large_set *set)
{
    large_set_begin(copy->applier, &copy->batch.events[0].change, set);
    for (size_t i = 0; i < copy->batch.count && !set->is_read; i++)
        copy_must(copy, large_set_note(copy->applier, set, &copy->batch.events[i], &copy->err));
    assert_true(set->is_read);
}

/* Hand the set on in parts of PART records, to make room or to be written. */
static enum status read_again(struct copy *copy, const struct large_set *set, bool makes_room)
{
    struct batch part = {0};
    enum status status = STATUS_OK;
    copy_must(copy, batch_init(&part, PART, 1 << 20, 1000000, &copy->err));
    for (size_t i = 0; i < copy->batch.count && status == STATUS_OK; i++) {
        const struct record *record = &copy->batch.events[i].change.record;
        if (record->offset >= set->next_offset)
            break;
        copy_must(copy,
                  batch_add(&part, record, copy->index, applier_finder(copy->applier), &copy->err));
        if (part.count < PART && record->offset + 1 != set->next_offset &&
            i + 1 < copy->batch.count)
            continue;
        status = makes_room ? applier_make_large_room(copy->applier, set, &part, &copy->err)
                            : applier_write_large(copy->applier, set, &part, &copy->err);
        batch_reset(&part);
    }
    batch_done(&part);
    return status;
}

/* Write the set as the agent does, and commit. */
static enum status write_set(struct copy *copy, const struct large_set *set)
{
    enum status status = applier_begin_large(copy->applier, set, &copy->err);
    if (status == STATUS_OK && set->may_move)
        status = read_again(copy, set, true);
    if (status == STATUS_OK)
        status = read_again(copy, set, false);
    return status == STATUS_OK ? applier_end_large(copy->applier, set, &copy->err) : status;
}

static void apply_large(struct copy *copy)
{
    struct large_set set;
    read_set(copy, &set);
    copy_must(copy, write_set(copy, &set));
    batch_reset(&copy->batch);
}

/* A record that another program has written, without a sequence. */
static void add_alone(struct copy *copy, const char *id, int key, const char *b)
{
    copy_add_from(copy, "tool", 0, id, "", NULL, key, test_format(CREATE, key, b));
}

/* The set's partition stopped for ever: two writers, it said. */
static void sets_of_an_earlier_incarnation_that_come_late_are_judged_as_in_a_smaller_set(void)
{
    struct copy *copy = copy_begin_two(set_tables);
    copy_add(copy, 1, 100, "c", FINE);
    copy_apply(copy);
    for (int n = 1; n <= SIZE; n++) {
        copy->incarnation = COPY_LATER_INCARNATION;
        copy->changeset_end = SIZE;
        copy_add(copy, n, n, "c", FINE);
        copy->incarnation = COPY_INCARNATION;
        copy->changeset_end = 4;
        for (int late = 2; n == 20 && late <= 4; late++) /* whole */
            copy_add(copy, late, 100 + late, "c", FINE);
        copy->changeset_end = 7;
        for (int late = 5; n == 30 && late <= 6; late++) /* its end never comes */
            copy_add(copy, late, 100 + late, "c", FINE);
    }
    apply_large(copy);
    assert_int_equal(copy_number(copy, "SELECT count(*) FROM orders"), SIZE + 4);
    assert_int_equal(copy_number(copy, "SELECT count(*) FROM orders WHERE id > 104"), 0);
    assert_int_equal(atomic_load(&copy->metrics->changesets_abandoned), 1);
    copy_add(copy, 7, 107, "c", FINE); /* later still: it is passed */
    copy->changeset_end = 0;
    copy_add(copy, 8, 108, "c", FINE);
    copy_apply(copy);
    assert_string_equal(copy_where(copy)->stopped, "");
    assert_string_equal(copy_text(copy, "SELECT id FROM orders WHERE id > 104"), "108\n");
    copy_finish(copy);
}

static void a_void_in_an_earlier_incarnations_late_set_voids_that_one_alone(void)
{
    struct copy *copy = copy_begin_two(set_tables);
    copy_add(copy, 1, 100, "c", FINE);
    copy_apply(copy);
    for (int n = 1; n <= SIZE; n++) {
        copy->incarnation = COPY_LATER_INCARNATION;
        copy->changeset_end = SIZE;
        copy_add(copy, n, n, "c", FINE);
        copy->incarnation = COPY_INCARNATION;
        copy->changeset_end = 3;
        if (n == 20) {
            copy_add(copy, 2, 102, "c", FINE);
            copy_add_from(copy, "shop", 3, "e3", "e2", "void", 103, "nothing");
        }
    }
    apply_large(copy);
    assert_string_equal(copy_text(copy, "SELECT count(*), max(id) FROM orders"), "51|100\n");
    assert_int_equal(atomic_load(&copy->metrics->changesets_voided), 1);
    copy_finish(copy);
}

/* The whole set was refused for it. */
static void what_is_refused_between_the_records_of_a_large_set_is_parked_alone(void)
{
    struct copy *copy = copy_begin_two(set_tables);
    add_alone(copy, "k1", 70, "first");
    copy_apply(copy);
    copy->changeset_end = SIZE;
    for (int n = 1; n <= SIZE; n++) {
        copy_add(copy, n, n, "c", FINE);
        if (n == 20)
            add_alone(copy, "k1", 70, "another value under a used id");
        if (n == 30) {
            add_alone(copy, "k2", 71, "bad");
            add_alone(copy, "k4", 72, "fine");
        }
        if (n == 40)
            add_alone(copy, "k5", 71, "behind that");
    }
    apply_large(copy);
    assert_string_equal(copy_text(copy, "SELECT count(*), max(id) FROM orders"), "52|72\n");
    assert_string_equal(copy_text(copy, "SELECT b FROM orders WHERE id = 70"), "first\n");
    assert_int_equal(copy_parked(copy), 3);
    copy_retry_later(copy, INT64_MAX);
    assert_int_equal(copy_where(copy)->parked_count, 3);
    assert_int_equal(copy_where(copy)->held_count, 2);
    copy->changeset_end = 0;
    copy_add(copy, SIZE + 1, 71, "u", FINE);
    copy_apply(copy); /* it waits behind them */
    assert_int_equal(copy_parked(copy), 4);
    copy_finish(copy);
}

/* That ended the agent. */
static void a_parked_record_that_comes_twice_within_a_large_set_is_a_duplicate(void)
{
    static const char unreadable[] = "{\"op\":\"c\",\"before\":null,\"after\":{\"id\":70,\"a\":7}}";
    struct copy *copy = copy_begin_two(set_tables);
    copy_add_from(copy, "tool", 0, "k1", "", NULL, 70, unreadable);
    copy_apply(copy);
    assert_int_equal(copy_parked(copy), 1);
    copy->changeset_end = SIZE;
    for (int n = 1; n <= SIZE; n++) {
        copy_add(copy, n, n, "c", FINE);
        if (n == 20) {
            add_alone(copy, "k2", 71, "fine");
            copy_add_from(copy, "tool", 0, "k1", "", NULL, 70, unreadable);
        }
    }
    apply_large(copy);
    assert_int_equal(copy_parked(copy), 1);
    assert_string_equal(copy_text(copy, "SELECT count(*), max(id) FROM orders"), "51|71\n");
    copy_finish(copy);
}

/* That ended the agent too. */
static void a_large_set_between_whose_records_too_much_is_parked_is_refused(void)
{
    struct copy *copy = copy_begin_two(set_tables);
    struct large_set set;
    copy->config.limits.parked_records = 2;
    copy->changeset_end = SIZE;
    for (int n = 1; n <= SIZE; n++) {
        copy_add(copy, n, n, "c", FINE);
        if (n >= 20 && n < 23)
            add_alone(copy, test_format("k%d", n), 70 + n, "bad");
    }
    read_set(copy, &set);
    assert_int_equal(write_set(copy, &set), STATUS_STOP);
    assert_non_null(strstr(copy->err.text, "limits.parked_records"));
    assert_int_not_equal(copy->err.reject, REJECT_WAITING);
    error_clear(&copy->err);
    assert_string_equal(copy_rows(copy), "");
    assert_int_equal(copy_parked(copy), 0);
    copy_finish(copy);
}

static void a_refused_large_set_says_whether_it_may_heal(void)
{
    struct copy *copy = copy_begin_two(set_tables);
    struct large_set set;
    copy->changeset_end = SIZE;
    for (int n = 1; n <= SIZE; n++)
        copy_add(copy, n, n, "c", n == 30 ? COPY_ROW("p", "orphan") : FINE);
    read_set(copy, &set);
    assert_int_equal(write_set(copy, &set), STATUS_STOP);
    assert_int_equal(copy->err.reject, REJECT_WAITING);
    error_clear(&copy->err);
    assert_string_equal(copy_rows(copy), "");
    (void)copy_text(copy, "INSERT INTO parents VALUES ('p')");
    copy_must(copy, write_set(copy, &set));
    assert_int_equal(copy_number(copy, "SELECT count(*) FROM orders"), SIZE);
    copy_finish(copy);
}

/* It was refused for ever, while a smaller set's rows are made anew. */
static void rows_that_swap_unique_values_across_a_large_set_are_made_anew(void)
{
    struct copy *copy = copy_begin_two(unique);
    struct large_set set;
    for (int n = 1; n <= SIZE; n++)
        copy_add(copy, n, n, "c", test_format(COPY_ROW("v%d", "first"), n));
    copy_apply(copy);
    copy->changeset_end = 2 * SIZE;
    for (int n = 1; n <= SIZE; n++)
        copy_add(copy, SIZE + n, n, "u", test_format(COPY_ROW("v%d", "second"), 1 + SIZE - n));
    read_set(copy, &set);
    assert_int_equal(write_set(copy, &set), STATUS_STOP);
    assert_int_equal(copy->err.reject, REJECT_WAITING);
    error_clear(&copy->err);
    set.may_move = true;
    copy_must(copy, write_set(copy, &set));
    assert_string_equal(copy_text(copy, "SELECT count(*), min(b) FROM orders"), "50|second\n");
    assert_string_equal(copy_text(copy, "SELECT a FROM orders WHERE id = 1"), "v50\n");
    copy_finish(copy);
}

/* Its row was deleted, so that the first of its images found none: it stood still for good. */
static void a_row_that_a_large_set_begins_with_a_sparse_image_of_is_not_made_anew(void)
{
    struct copy *copy = copy_begin_two(unique);
    struct large_set set;
    for (int n = 1; n <= SIZE; n++)
        copy_add(copy, n, n, "c", test_format(COPY_ROW("v%d", "first"), n));
    copy_apply(copy);
    copy->changeset_end = 2 * SIZE + 1;
    copy_add(copy, SIZE + 1, 1, "u", COPY_B("sparse"));
    for (int n = 2; n <= SIZE; n++)
        copy_add(copy, SIZE + n, n, "u", test_format(COPY_ROW("v%d", "second"), 2 + SIZE - n));
    copy_add(copy, 2 * SIZE + 1, 1, "u", COPY_ROW("v1", "full"));
    read_set(copy, &set);
    set.may_move = true;
    copy->config.limits.changeset_events = 1; /* more are not remembered: no row is taken away */
    assert_int_equal(write_set(copy, &set), STATUS_STOP);
    assert_int_equal(copy->err.reject, REJECT_WAITING);
    error_clear(&copy->err);
    copy->config.limits.changeset_events = 2;
    copy_must(copy, write_set(copy, &set));
    assert_string_equal(copy_text(copy, "SELECT a, b FROM orders WHERE id = 1"), "v1|full\n");
    assert_string_equal(copy_text(copy, "SELECT a, b FROM orders WHERE id = 2"), "v50|second\n");
    copy_finish(copy);
}

/* Retention or compaction took its last record between the two readings: that ended the agent. */
static void a_large_set_whose_end_the_log_has_lost_is_read_anew(void)
{
    struct copy *copy = copy_begin_two(set_tables);
    struct large_set set;
    copy->changeset_end = SIZE;
    for (int n = 1; n <= SIZE; n++)
        copy_add(copy, n, n, "c", FINE);
    read_set(copy, &set);
    copy->batch.count--;
    assert_int_equal(write_set(copy, &set), STATUS_ABORT);
    assert_int_equal(copy->err.native_code, 1);
    error_clear(&copy->err);
    assert_string_equal(copy_rows(copy), "");
    copy->batch.count++;
    copy_must(copy, write_set(copy, &set));
    copy_finish(copy);
}

/* What says how long a statement may last, of each row that is written. */
static const char *const noted[] = {
    [DATABASE_POSTGRESQL] =
        "CREATE TABLE noted(bound varchar(100));"
        "CREATE TABLE orders(id bigint NOT NULL PRIMARY KEY, a varchar(100), b varchar(100));"
        "CREATE TABLE order_lines(id bigint NOT NULL PRIMARY KEY, a varchar(100), b varchar(100));"
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO noted "
        "VALUES (current_setting(''statement_timeout'')); RETURN NEW; END';"
        "CREATE TRIGGER note AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION note()",
    [DATABASE_MARIADB] =
        "CREATE TABLE noted(bound varchar(100));"
        "CREATE TABLE orders(id bigint NOT NULL PRIMARY KEY, a varchar(100), b varchar(100));"
        "CREATE TABLE order_lines(id bigint NOT NULL PRIMARY KEY, a varchar(100), b varchar(100));"
        "CREATE TRIGGER note AFTER INSERT ON orders FOR EACH ROW"
        " INSERT INTO noted VALUES (round(@@max_statement_time))",
};

/* What was deferred of a large set is checked in one statement, which had 60 s. */
static void a_large_sets_statements_last_as_long_as_they_need_and_no_others(void)
{
    struct copy *copy = copy_begin_two(noted);
    const char *bound = copy->kind == DATABASE_POSTGRESQL ? "1min\n" : "60\n";
    copy->changeset_end = SIZE;
    for (int n = 1; n <= SIZE; n++)
        copy_add(copy, n, n, "c", FINE);
    apply_large(copy);
    assert_string_equal(copy_text(copy, "SELECT DISTINCT bound FROM noted"), "0\n");
    (void)copy_text(copy, "DELETE FROM noted");
    copy->changeset_end = 0;
    copy_add(copy, SIZE + 1, SIZE + 1, "c", FINE);
    copy_apply(copy);
    assert_string_equal(copy_text(copy, "SELECT bound FROM noted"), bound);
    copy_finish(copy);
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE(sets_of_an_earlier_incarnation_that_come_late_are_judged_as_in_a_smaller_set),
        DATABASE_CASE(a_void_in_an_earlier_incarnations_late_set_voids_that_one_alone),
        DATABASE_CASE(what_is_refused_between_the_records_of_a_large_set_is_parked_alone),
        DATABASE_CASE(a_parked_record_that_comes_twice_within_a_large_set_is_a_duplicate),
        DATABASE_CASE(a_large_set_between_whose_records_too_much_is_parked_is_refused),
        DATABASE_CASE(a_refused_large_set_says_whether_it_may_heal),
        DATABASE_CASE(rows_that_swap_unique_values_across_a_large_set_are_made_anew),
        DATABASE_CASE(a_row_that_a_large_set_begins_with_a_sparse_image_of_is_not_made_anew),
        DATABASE_CASE(a_large_set_whose_end_the_log_has_lost_is_read_anew),
        DATABASE_CASE_SERVERS(a_large_sets_statements_last_as_long_as_they_need_and_no_others),
    };
    return database_case_run(cases, sizeof cases / sizeof *cases);
}
