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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_batch_beside_an_outbox_begins_small_and_follows_the_time_it_takes),
        TEST(a_batch_that_is_bounded_below_that_stays_so),
    };
    return TEST_RUN(tests);
}
