/* Databases that let others write while the agent does: pending changes are read again after the
 * writes (rule 18). */
#include "consumer/store/registry.h"
#include "tests/support/copy.h"
#include "tests/support/test.h"
#include "tests/support/threads.h"

/* Plays a service whose transaction commits while the agent's transaction writes. */
static struct {
    bool commits;         /* the service commits during the agent's first run */
    struct slice entity;  /* its entity; data NULL: no commit yet */
    bool again_and_again; /* seen only after each transaction's first run */
    int runs;
    int pending_reads;
    int begins;
} writer;

static struct store_ops open_ops;

static enum status open_apply(struct store *store, const struct mapping *mapping,
                              const struct change *const *changes, size_t count, struct error *err)
{
    writer.runs++;
    if (writer.commits)
        writer.entity = slice_of("{\"id\":1}");
    return store_sqlite_ops.apply(store, mapping, changes, count, err);
}

static enum status open_begin(struct store *store, const struct fence *fences, size_t count,
                              struct error *err)
{
    writer.begins++;
    if (writer.again_and_again)
        writer.entity = (struct slice){0};
    return store_sqlite_ops.begin(store, fences, count, err);
}

static enum status open_read_pending(struct store *store, struct pending_read *pending,
                                     struct error *err)
{
    writer.pending_reads++;
    enum status status = store_sqlite_ops.read_pending(store, pending, err);
    for (size_t i = 0; i < pending->entity_count; i++) {
        if (writer.entity.data != NULL &&
            slice_equal(pending->entities[i].entity_key, writer.entity))
            pending->entities[i].sequence = OWN_UNNUMBERED;
    }
    return status;
}

static struct copy *begin(bool commits)
{
    struct copy *copy = copy_begin_with(copy_outbox_tables, true);
    memset(&writer, 0, sizeof writer);
    writer.commits = commits;
    open_ops = store_sqlite_ops;
    open_ops.excludes_writers = false;
    open_ops.begin = open_begin;
    open_ops.apply = open_apply;
    open_ops.read_pending = open_read_pending;
    copy_use(copy, &open_ops);
    return copy;
}

static void an_own_change_that_commits_during_the_write_is_not_written_over(void **state)
{
    (void)state;
    struct copy *copy = begin(true);
    copy_add(copy, 1, 1, "u", COPY_ROW("theirs", "theirs"));
    copy_add(copy, 2, 2, "c", COPY_ROW("other", "other"));
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|own|own\n2|other|other\n");
    assert_int_equal(atomic_load(&copy->metrics->events_superseded), 1);
    assert_int_equal(atomic_load(&copy->metrics->events_applied), 1);
    assert_string_equal(
        sqlite_text(copy->database, "SELECT entity_key, offset FROM keepstep_superseded"),
        "{\"id\":1}|0\n");
    assert_int_equal(copy_where(copy)->next_offset, 2);
    copy_finish(copy);
}

static void without_one_a_batch_is_written_in_one_run(void **state)
{
    (void)state;
    struct copy *copy = begin(false);
    copy_add(copy, 1, 1, "u", COPY_ROW("theirs", "theirs"));
    copy_add(copy, 2, 2, "c", COPY_ROW("other", "other"));
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|theirs|theirs\n2|other|other\n");
    assert_int_equal(writer.runs, 1);
    copy_finish(copy);
}

static void a_backlog_of_any_size_is_looked_through_twice_a_batch(void **state)
{
    (void)state;
    struct copy *copy = begin(false);
    (void)sqlite_text(copy->database,
                      "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n"
                      " WHERE i < 12099) INSERT INTO outbox(aggregatetype, aggregateid)"
                      " SELECT 'order', i FROM n");
    for (int i = 1; i <= 20; i++)
        copy_add(copy, i, i == 20 ? 12099 : i, "c", COPY_A("theirs") COPY_B_NULL);
    copy_apply(copy);
    assert_int_equal(writer.pending_reads, 2);
    assert_int_equal(atomic_load(&copy->metrics->events_applied), 19);
    assert_int_equal(atomic_load(&copy->metrics->events_superseded), 1);
    copy_finish(copy);
}

/* The time is compared with one full read of the backlog, so that neither the machine's speed nor
 * what its disk or others do meanwhile matters. */
static void a_backlog_that_was_read_once_costs_the_next_batches_nothing(void **state)
{
    enum { BATCHES = 200 };
    (void)state;
    struct copy *copy = copy_begin_with(copy_outbox_tables, true);
    (void)sqlite_text(copy->database,
                      "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n"
                      " WHERE i < 200999) INSERT INTO outbox(aggregatetype, aggregateid)"
                      " SELECT 'order', '{\"id\":' || i || '}' FROM n");
    copy_add(copy, 1, 200999, "c", COPY_A("theirs") COPY_B_NULL);
    int64_t begun = threads_used_us();
    copy_apply(copy);
    int64_t first = threads_used_us();
    for (int i = 2; i <= BATCHES; i++) {
        copy_add(copy, i, i, "c", COPY_A("theirs") COPY_B_NULL);
        copy_apply(copy);
    }
    int64_t others = threads_used_us() - first;
    print_message("the first batch %lld us, then %lld us each\n", (long long)(first - begun),
                  (long long)(others / (BATCHES - 1)));
    assert_true(others < (BATCHES / 4) * (first - begun));
    assert_int_equal(atomic_load(&copy->metrics->events_superseded), 1);
    copy_finish(copy);
}

static void what_is_written_singly_is_looked_for_once_behind_all_of_it(void **state)
{
    (void)state;
    struct copy *copy = begin(false);
    (void)sqlite_text(copy->database, "CREATE UNIQUE INDEX one_a ON orders (a)");
    for (int i = 2; i <= 9; i++)
        copy_add(copy, i - 1, i, "c", test_format(COPY_A("%d") COPY_B_NULL, i == 9 ? 8 : i));
    writer.commits = true; /* of order 1, which is not in the batch */
    copy_apply(copy);
    assert_int_equal(writer.runs, 9);
    assert_int_equal(writer.pending_reads, 2);
    assert_int_equal(atomic_load(&copy->metrics->events_applied), 7);
    assert_int_equal(atomic_load(&copy->metrics->events_parked), 1);
    copy_finish(copy);
}

static void an_own_change_behind_single_writes_is_not_written_over(void **state)
{
    (void)state;
    struct copy *copy = begin(true);
    (void)sqlite_text(copy->database, "CREATE UNIQUE INDEX one_a ON orders (a)");
    copy_add(copy, 1, 1, "u", COPY_ROW("theirs", "theirs"));
    copy_add(copy, 2, 2, "c", COPY_ROW("other", "other"));
    copy_add(copy, 3, 3, "c", COPY_ROW("other", "waits"));
    copy_apply(copy);
    assert_string_equal(copy_rows(copy), "1|own|own\n2|other|other\n");
    assert_int_equal(atomic_load(&copy->metrics->events_superseded), 1);
    assert_int_equal(atomic_load(&copy->metrics->events_parked), 1);
    copy_finish(copy);
}

static void a_service_that_is_always_faster_is_looked_for_behind_each_write(void **state)
{
    (void)state;
    struct copy *copy = begin(true);
    writer.again_and_again = true;
    writer.begins = 0;
    (void)sqlite_text(copy->database, "CREATE UNIQUE INDEX one_a ON orders (a)");
    copy_add(copy, 1, 1, "u", COPY_ROW("theirs", "theirs"));
    copy_add(copy, 2, 2, "c", COPY_ROW("other", "other"));
    copy_add(copy, 3, 3, "c", COPY_ROW("other", "waits"));
    copy_apply(copy);
    assert_int_equal(writer.begins, 3);
    assert_string_equal(copy_rows(copy), "1|own|own\n2|other|other\n");
    assert_int_equal(atomic_load(&copy->metrics->events_superseded), 1);
    assert_int_equal(atomic_load(&copy->metrics->events_parked), 1);
    copy_finish(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_own_change_that_commits_during_the_write_is_not_written_over),
        TEST(without_one_a_batch_is_written_in_one_run),
        TEST(a_backlog_of_any_size_is_looked_through_twice_a_batch),
        TEST(a_backlog_that_was_read_once_costs_the_next_batches_nothing),
        TEST(what_is_written_singly_is_looked_for_once_behind_all_of_it),
        TEST(an_own_change_behind_single_writes_is_not_written_over),
        TEST(a_service_that_is_always_faster_is_looked_for_behind_each_write),
    };
    return TEST_RUN(tests);
}
