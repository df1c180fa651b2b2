/* Parked change sets as `keepstep parked` and the page see them: one line each, retried by
 * whichever of their records in the order of all, and skipped whole (rule 57). */
#include "operate/parked_edit.h"
#include "tests/support/copy.h"

static const char tables[] =
    "CREATE TABLE orders(id INTEGER NOT NULL PRIMARY KEY, a TEXT, b TEXT CHECK (b <> 'bad'));"
    "CREATE TABLE order_lines(id INTEGER NOT NULL PRIMARY KEY, a TEXT, b TEXT)";

static const char *const all_tables[] = {[DATABASE_SQLITE] = tables};

#define FINE COPY_ROW("x", "fine")
#define BAD  COPY_ROW("x", "bad")

static atomic_bool never;

/* Parked: 0 {order 1}, 1 to 3 {line 1, order 1, order 2}, 4 {order 3}, 5 and 6 {order 2, order 4}.
 */
static struct copy *begin(struct store **ret_store, struct parked_list *ret_list)
{
    struct copy *copy = copy_begin_two(all_tables);
    struct store_options options = {.path = copy->database, .service = "billing"};
    copy_add(copy, 1, 1, "c", BAD);
    copy->changeset_end = 4;
    copy_add_line(copy, 2, 1, "c", FINE);
    copy_add(copy, 3, 1, "c", FINE);
    copy_add(copy, 4, 2, "c", FINE);
    copy->changeset_end = 0;
    copy_add(copy, 5, 3, "c", BAD);
    copy->changeset_end = 7;
    copy_add(copy, 6, 2, "u", COPY_B("later"));
    copy_add(copy, 7, 4, "c", FINE);
    copy_apply(copy);
    assert_int_equal(copy_parked(copy), 7);
    copy_must(copy, copy->ops->open(&options, ret_store, &copy->err));
    parked_list_init(ret_list);
    return copy;
}

static void end(struct copy *copy, struct store *store, struct parked_list *list)
{
    parked_list_done(list);
    copy->ops->close(store);
    copy_finish(copy);
}

static void assert_listed(const struct parked_list *list, size_t index, int64_t offset, size_t size)
{
    assert_int_equal(list->read.records[index].record.offset, offset);
    assert_int_equal(list->read.records[index].set_size, size);
}

static void a_set_is_one_line_of_a_list(void **state)
{
    struct store *store = NULL;
    struct parked_list list;
    const struct parked_filter all = {.partition = -1, .without_value = true};
    (void)state;
    struct copy *copy = begin(&store, &list);
    copy_must(copy, parked_read(store, &all, &list, &copy->err));
    copy_must(copy, parked_fold(store, &list, &copy->err));
    assert_int_equal(list.read.count, 4);
    assert_listed(&list, 0, 0, 1);
    assert_listed(&list, 1, 1, 3);
    assert_listed(&list, 2, 4, 1);
    assert_listed(&list, 3, 5, 2);
    end(copy, store, &list);
}

/* A page may begin or end in a set. */
static void a_set_is_on_one_page_of_a_list_alone(void **state)
{
    struct store *store = NULL;
    struct parked_list list;
    struct parked_filter page = {
        .partition = -1, .by_id = true, .without_value = true, .limit = 2, .after_id = 0};
    (void)state;
    struct copy *copy = begin(&store, &list);
    static const int64_t first[][2] = {{0, 1}, {-1, -1}, {4, 5}, {-1, -1}};
    for (size_t i = 0; i < 4; i++) {
        copy_must(copy, parked_read(store, &page, &list, &copy->err));
        page.after_id = list.read.records[list.read.count - 1].parked_id;
        copy_must(copy, parked_fold(store, &list, &copy->err));
        size_t count = first[i][0] < 0 ? 0 : 2;
        assert_int_equal(list.read.count, count);
        for (size_t k = 0; k < count; k++)
            assert_int_equal(list.read.records[k].record.offset, first[i][k]);
    }
    end(copy, store, &list);
}

static const struct parked_record *said[2];

static void say(const struct parked_record *parked, const struct parked_record *head)
{
    said[0] = parked;
    said[1] = head;
}

/* @return the only record that is to be retried for a parked one. */
static const struct parked_record *head_of(struct copy *copy, struct store *store,
                                           struct parked_list *list, int offset)
{
    const struct parked_request request = {
        .verb = "retry",
        .filter = {.partition = -1,
                   .parked_id = copy_number(copy, test_format("SELECT parked_id FROM "
                                                              "keepstep_parked WHERE offset = %d",
                                                              offset))}};
    said[0] = NULL;
    copy_must(copy, parked_find_heads(store, &request, list, say, &copy->err));
    assert_int_equal(list->read.count, 1);
    return list->read.records;
}

static void what_is_to_be_retried_of_a_set_is_what_its_whole_set_waits_for(void **state)
{
    struct store *store = NULL;
    struct parked_list list;
    (void)state;
    struct copy *copy = begin(&store, &list);
    assert_int_equal(head_of(copy, store, &list, 0)->record.offset, 0);
    assert_null(said[0]);
    assert_int_equal(head_of(copy, store, &list, 1)->record.offset,
                     0); /* its line blocks nothing */
    assert_non_null(said[0]);
    assert_int_equal(head_of(copy, store, &list, 6)->record.offset,
                     0); /* by way of the set before */
    assert_int_equal(head_of(copy, store, &list, 4)->record.offset, 4);
    (void)copy_text(copy, "UPDATE keepstep_parked SET state = 3 WHERE offset = 0");
    assert_int_equal(head_of(copy, store, &list, 3)->record.offset, 1);
    assert_int_equal(list.read.records[0].set_size, 3);
    assert_null(said[0]);
    end(copy, store, &list);
}

static void a_set_is_skipped_by_whichever_of_its_records(void **state)
{
    struct store *store = NULL;
    struct parked_list list;
    const struct parked_filter one = {
        .partition = -1, .topic = COPY_TOPIC, .from_offset = 2, .limit = 1};
    (void)state;
    struct copy *copy = begin(&store, &list);
    copy_must(copy, parked_read(store, &one, &list, &copy->err));
    copy_must(copy, parked_note_set(store, list.read.records, &copy->err));
    assert_listed(&list, 0, 2, 3);
    copy_must(copy, parked_edit_all(store, &list, PARKED_SET_SKIPPED, &never, &copy->err));
    assert_string_equal(
        copy_text(copy, "SELECT offset FROM keepstep_parked WHERE state = 3 ORDER BY 1"),
        "1\n2\n3\n");
    end(copy, store, &list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_set_is_one_line_of_a_list),
        TEST(a_set_is_on_one_page_of_a_list_alone),
        TEST(what_is_to_be_retried_of_a_set_is_what_its_whole_set_waits_for),
        TEST(a_set_is_skipped_by_whichever_of_its_records),
    };
    return TEST_RUN(tests);
}
