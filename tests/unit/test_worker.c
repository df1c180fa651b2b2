/* The worker: one job at a time, in its own thread, and all that it wrote is there after the wait.
 */
#include "common/clock.h"
#include "common/worker.h"
#include "tests/support/test.h"

#include <pthread.h>
#include <stdatomic.h>

struct counted {
    int jobs;
    atomic_bool is_held; /* the job does not end before it is not */
    int64_t takes_us;    /* from then on */
    pthread_t thread;
};

static void count(void *context)
{
    struct counted *counted = context;
    while (atomic_load(&counted->is_held))
        clock_sleep_us(1000);
    clock_sleep_us(counted->takes_us);
    counted->thread = pthread_self();
    counted->jobs++;
}

static struct worker *worker_of(struct counted *counted)
{
    struct error err = ERROR_INIT;
    struct worker *worker = NULL;
    assert_int_equal(worker_new(count, counted, &worker, &err), STATUS_OK);
    return worker;
}

static void a_job_is_done_each_time_that_it_is_begun(void **state)
{
    struct counted counted = {0};
    struct worker *worker = worker_of(&counted);
    (void)state;
    worker_wait(worker);
    assert_int_equal(counted.jobs, 0);
    for (int i = 1; i <= 1000; i++) {
        worker_begin(worker);
        worker_wait(worker);
        assert_int_equal(counted.jobs, i);
        assert_false(worker_is_busy(worker));
    }
    assert_false(pthread_equal(counted.thread, pthread_self()));
    worker_free(worker);
}

static void who_frees_a_worker_waits_for_its_job(void **state)
{
    struct counted counted = {.is_held = true, .takes_us = 50000};
    struct worker *worker = worker_of(&counted);
    (void)state;
    worker_begin(worker);
    assert_true(worker_is_busy(worker));
    atomic_store(&counted.is_held, false);
    worker_free(worker);
    assert_int_equal(counted.jobs, 1);
    worker_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_is_done_each_time_that_it_is_begun),
        cmocka_unit_test(who_frees_a_worker_waits_for_its_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
