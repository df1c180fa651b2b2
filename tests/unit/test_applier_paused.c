/* What is kept for a topic that is paused stays as it is, and goes on when it is resumed (rule 49).
 */
#include "tests/support/copy.h"

#include "common/clock.h"

#define DAY_US (INT64_C(86400) * 1000 * 1000)

/* Another applier, as an agent that was told of a pause, or of its end, at its assignment. */
static void assign_anew(struct copy *f, bool is_paused)
{
    applier_free(f->applier);
    f->applier = copy_open(f);
    if (is_paused)
        applier_set_paused(f->applier, f->index);
}

static void a_kept_image_is_not_written_during_a_pause(void **state)
{
    (void)state;
    struct copy *f = copy_begin(
        test_format("%s;INSERT INTO outbox(id, aggregatetype, aggregateid, type, payload)"
                    " VALUES ('o1', 'order', '{\"id\":1}', 'order.updated', '{}')",
                    copy_outbox_tables[DATABASE_SQLITE]),
        true);
    copy_add(f, 1, 1, "u", COPY_ROW("theirs", "theirs"));
    copy_apply(f);
    assert_string_equal(copy_rows(f), "1|own|own\n");
    assign_anew(f, true);
    (void)copy_text(f, "DELETE FROM outbox");
    for (int i = 0; i < 3; i++)
        copy_must(f, applier_write_images(f->applier, &f->err));
    assert_string_equal(copy_rows(f), "1|own|own\n");
    assert_int_equal(copy_number(f, "SELECT count(*) FROM keepstep_superseded"), 1);
    assign_anew(f, false);
    for (int i = 0; i < 3; i++)
        copy_must(f, applier_write_images(f->applier, &f->err));
    assert_string_equal(copy_rows(f), "1|theirs|theirs\n");
    copy_finish(f);
}

static void what_is_parked_is_not_tried_during_a_pause(void **state)
{
    (void)state;
    struct copy *f = copy_begin(
        "CREATE TABLE orders(id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT)", false);
    copy_add(f, 1, 1, "c", COPY_ROW("same", "1"));
    copy_add(f, 2, 2, "c", COPY_ROW("same", "2"));
    copy_apply(f);
    assert_int_equal(copy_parked(f), 1);
    (void)copy_text(f, "UPDATE orders SET a = 'other' WHERE id = 1");
    assign_anew(f, true);
    copy_retry(f, clock_wall_us() + DAY_US);
    assert_int_equal(copy_parked(f), 1);
    assert_string_equal(copy_rows(f), "1|other|1\n");
    assign_anew(f, false);
    copy_retry(f, clock_wall_us() + DAY_US);
    assert_string_equal(copy_rows(f), "1|other|1\n2|same|2\n");
    copy_finish(f);
}

static void no_single_key_is_forgotten_during_a_pause(void **state)
{
    (void)state;
    struct copy *f = copy_begin("", false);
    copy_add_from(f, "import", 0, "a key", "", NULL, 1,
                  "{\"op\":\"c\",\"before\":null,\"after\":{\"id\":1,\"a\":\"x\",\"b\":\"y\"}}");
    copy_apply(f);
    f->config.limits.idempotency_window_s = 1;
    (void)copy_text(f, "UPDATE keepstep_idempotency_key SET applied_at = 1");
    copy_must(f, applier_prune(f->applier, true, &f->err));
    assert_int_equal(copy_number(f, "SELECT count(*) FROM keepstep_idempotency_key"), 1);
    copy_must(f, applier_prune(f->applier, false, &f->err));
    assert_int_equal(copy_number(f, "SELECT count(*) FROM keepstep_idempotency_key"), 0);
    copy_finish(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_kept_image_is_not_written_during_a_pause),
        TEST(what_is_parked_is_not_tried_during_a_pause),
        TEST(no_single_key_is_forgotten_during_a_pause),
    };
    return TEST_RUN(tests);
}
