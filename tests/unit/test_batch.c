/* How large a batch may grow. */
#include "tests/support/test.h"

#include "consumer/apply/batch.h"

static struct batch batch;
static struct error err;

static void a_batch_beside_an_outbox_begins_small_and_follows_the_time_it_takes(void **state)
{
    (void)state;
    assert_int_equal(batch_init(&batch, 1000, 1 << 20, 1 << 20, &err), STATUS_OK);
    assert_int_equal(batch.count_max, 1000);
    batch_begin_small(&batch);
    assert_int_equal(batch.count_max, 256);

    batch.count = 255; /* it was not full, so larger batches are untried */
    batch_adapt(&batch, 1000, 10000);
    assert_int_equal(batch.count_max, 256);
    batch.count = 256;
    batch_adapt(&batch, 6000, 10000);
    assert_int_equal(batch.count_max, 256);
    batch_adapt(&batch, 1000, 10000);
    assert_int_equal(batch.count_max, 321);
    for (int i = 0; i < 20; i++) {
        batch.count = batch.count_max;
        batch_adapt(&batch, 1000, 10000);
    }
    assert_int_equal(batch.count_max, 1000);
    batch_adapt(&batch, 10001, 10000);
    assert_int_equal(batch.count_max, 500);
    for (int i = 0; i < 20; i++)
        batch_adapt(&batch, 50000, 10000);
    assert_int_equal(batch.count_max, 15); /* a few rows are written in any case */
    batch.count = 0;
    batch_done(&batch);
}

static void a_batch_that_is_bounded_below_that_stays_so(void **state)
{
    (void)state;
    assert_int_equal(batch_init(&batch, 7, 1 << 20, 1 << 20, &err), STATUS_OK);
    batch_begin_small(&batch);
    assert_int_equal(batch.count_max, 7);
    batch.count = 7;
    batch_adapt(&batch, 1, 10000);
    assert_int_equal(batch.count_max, 7);
    batch_done(&batch);
}

static const struct entity_schema *find_none(void *context, struct slice entity_type)
{
    (void)context;
    (void)entity_type;
    return NULL;
}

static void add(size_t partition_index, const char *kind)
{
    const struct header headers[] = {{slice_of("ce_protocol"), slice_of("1")},
                                     {slice_of("ce_kind"), slice_of(kind)}};
    const struct record record = {
        .topic = "item", .value = slice_of("0123456789"), .headers = headers, .header_count = 2};
    const struct schema_finder finder = {find_none, NULL};
    assert_int_equal(batch_add(&batch, &record, partition_index, finder, &err), STATUS_OK);
}

/* Otherwise nothing would ever be read again: an empty batch is not applied. */
static void a_full_batch_that_loses_all_its_events_may_be_filled_again(void **state)
{
    (void)state;
    assert_int_equal(batch_init(&batch, 100, 20, 1 << 20, &err), STATUS_OK);
    add(0, "heartbeat");
    assert_false(batch_is_full(&batch));
    add(1, "heartbeat"); /* its bytes fill the batch */
    assert_true(batch_is_full(&batch));
    batch_remove(&batch, 0);
    assert_int_equal(batch.count, 1);
    batch_remove(&batch, 1);
    assert_int_equal(batch.count, 0);
    assert_false(batch_is_full(&batch));

    add(0, "barrier"); /* it ends the batch */
    assert_true(batch_is_full(&batch));
    batch_remove(&batch, 0);
    assert_false(batch_is_full(&batch));
    batch_done(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_batch_beside_an_outbox_begins_small_and_follows_the_time_it_takes),
        TEST(a_batch_that_is_bounded_below_that_stays_so),
        TEST(a_full_batch_that_loses_all_its_events_may_be_filled_again),
    };
    return TEST_RUN(tests);
}
