/* Parked change sets that stand one behind the other (rule 57), in each database: what it costs to
 * release one grows with its records alone. TEST_SET_RECORDS is their number, 700 unless set. */
#include "tests/support/set_case.h"

#include <stdlib.h>

#define RECORDS    700
#define READ_TIMES 12   /* how often a record of a set may be read until it is released */
#define PAGE_MAX   5000 /* records that are in memory at once */

static const char table_sql[] =
    "CREATE TABLE parents(name varchar(100) PRIMARY KEY);"
    "CREATE TABLE orders(id bigint NOT NULL PRIMARY KEY, a varchar(100), b varchar(100),"
    " FOREIGN KEY (a) REFERENCES parents(name));"
    "CREATE TABLE order_lines(id bigint NOT NULL PRIMARY KEY, a varchar(100), b varchar(100))";

static const char *const tables[] = {[DATABASE_SQLITE] = table_sql,
                                     [DATABASE_POSTGRESQL] = table_sql,
                                     [DATABASE_MARIADB] = table_sql};

static const struct store_ops *real_ops;
static int64_t read_calls;
static int64_t read_count;
static size_t read_most;
static int64_t read_in_order; /* of those: to give them their states */

static enum status counting_read(struct store *store, const struct parked_filter *filter,
                                 struct arena *arena, struct parked_records *ret_parked,
                                 struct error *err)
{
    enum status status = real_ops->read_parked(store, filter, arena, ret_parked, err);
    read_calls++;
    read_count += (int64_t)ret_parked->count;
    if (filter->blocking && filter->entity_type == NULL)
        read_in_order += (int64_t)ret_parked->count;
    if (ret_parked->count > read_most)
        read_most = ret_parked->count;
    return status;
}

static int set_records(void)
{
    const char *wanted = getenv("TEST_SET_RECORDS");
    return wanted == NULL ? RECORDS : (int)strtol(wanted, NULL, 10);
}

/* Sets of the same lines, each behind the one before. An order of the first one needs a parent. */
static struct copy *park_in_line(int sets, int size)
{
    static struct store_ops ops;
    struct copy *copy = copy_begin_two(tables);
    copy->config.limits.batch_bytes = 100000;
    copy->config.limits.changeset_bytes = 100000;
    copy->config.limits.parked_records = INT64_MAX;
    copy->config.limits.parked_entities = INT64_MAX;
    copy->config.limits.parked_bytes = INT64_MAX;
    for (int n = 0; n < sets; n++) {
        int first = n * size + 1;
        copy->changeset_end = first + size - 1;
        copy_add(copy, first, n + 1, "c", n == 0 ? ORPHAN : COPY_A_NULL COPY_B("fine"));
        for (int i = 1; i < size; i++)
            copy_add_line(copy, first + i, i, n == 0 ? "c" : "u",
                          test_format(COPY_A_NULL COPY_B("%d"), n));
        copy_apply(copy);
    }
    copy->changeset_end = 0;
    assert_int_equal(copy_parked(copy), sets * size);
    real_ops = copy->ops;
    ops = *real_ops;
    ops.read_parked = counting_read;
    copy_use(copy, &ops); /* an agent that begins anew brings them into their order */
    read_calls = 0;
    read_count = 0;
    read_most = 0;
    read_in_order = 0;
    return copy;
}

static void assert_released(struct copy *copy, int sets, int size)
{
    (void)copy_text(copy, "INSERT INTO parents VALUES ('p')");
    for (int i = 0; i < 10 && copy_parked(copy) > 0; i++)
        copy_retry_later(copy, INT64_MAX);
    assert_int_equal(copy_parked(copy), 0);
    assert_string_equal(copy_text(copy, "SELECT count(*), min(b), max(b) FROM order_lines"),
                        test_format("%d|%d|%d\n", size - 1, sets - 1, sets - 1));
    assert_int_equal(copy_where(copy)->parked_count, 0);
    assert_int_equal(copy_where(copy)->parked_bytes, 0);
    assert_int_equal(copy_where(copy)->waiting_count, 0);
    copy->ops = real_ops;
    copy_finish(copy);
}

/* Each entity of the first set had the second one judged anew: the square of their records was
 * read into memory, which did not suffice, so it was tried again for ever. */
static void a_large_set_is_released_with_another_one_of_its_entities_behind_it(void)
{
    int size = set_records();
    struct copy *copy = park_in_line(2, size);
    assert_released(copy, 2, size);
    assert_true(read_count <= READ_TIMES * 2 * (int64_t)size);
    assert_true(read_calls <= size / 4); /* nor is each entity asked for alone */
}

/* Few enough are looked for one by one, so that not all that is parked is read. */
static void a_set_that_stands_behind_two_others_goes_on_behind_the_last_of_them(void)
{
    struct copy *copy = park_in_line(3, 5);
    assert_released(copy, 3, 5);
}

/* Each of them gets another state. Each 64 of those had all before them read again. */
static void what_stands_alone_behind_a_large_set_is_brought_into_its_order_in_one_pass(void)
{
    int size = set_records();
    struct copy *copy = park_in_line(1, size);
    for (int i = 1; i < size; i++) {
        copy_add_line(copy, size + i, i, "u", COPY_A_NULL COPY_B("0"));
        if (i % 100 == 0 || i + 1 == size)
            copy_apply(copy);
    }
    assert_int_equal(copy_parked(copy), 2 * size - 1);
    assert_released(copy, 1, size);
    assert_true(read_in_order <= 4 * (int64_t)size);
}

/* All of its records, without their values, were in memory at once. Each of its entities was asked
 * for, although nothing stands behind any. */
static void a_set_of_any_number_of_records_is_released_a_page_at_a_time(void)
{
    int size = PAGE_MAX + 1000 > set_records() ? PAGE_MAX + 1000 : set_records();
    struct copy *copy = park_in_line(1, size);
    assert_released(copy, 1, size);
    assert_true(read_most <= PAGE_MAX);
    assert_true(read_calls <= size / 10);
}

int main(void)
{
    static const struct database_case cases[] = {
        DATABASE_CASE(a_large_set_is_released_with_another_one_of_its_entities_behind_it),
        DATABASE_CASE(a_set_that_stands_behind_two_others_goes_on_behind_the_last_of_them),
        DATABASE_CASE(what_stands_alone_behind_a_large_set_is_brought_into_its_order_in_one_pass),
        DATABASE_CASE(a_set_of_any_number_of_records_is_released_a_page_at_a_time),
    };
    return database_case_run(cases, sizeof cases / sizeof *cases);
}
