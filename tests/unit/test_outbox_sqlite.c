/* The outbox seam on SQLite: the lease, waiting for a commit, setting aside, the purge. */
#include "tests/support/sql.h"

#include "common/clock.h"
#include "producer/init.h"
#include "producer/outbox.h"

#include <pthread.h>
#include <time.h>

#define LEASE_US (INT64_C(10) * 1000 * 1000)

/* An outbox made by init, opened by one instance of a relay. */
static struct outbox *open_outbox(const char *instance)
{
    struct error err = ERROR_INIT;
    const char *path = test_path("shop.db");
    struct config config = {.service = (char *)"shop",
                            .database = (char *)(uintptr_t)test_format("sqlite:%s", path),
                            .database_path = (char *)(uintptr_t)path};
    FILE *out = fopen(test_path("init.txt"), "w");
    struct init_options init = {.out = out};
    (void)sqlite_text(path, "PRAGMA journal_mode=WAL");
    if (init_service(&config, NULL, &init, &err) != STATUS_OK)
        test_fail("%s", err.text);
    (void)fclose(out);
    struct outbox_options options = {.path = path, .service = "shop", .instance = instance};
    struct outbox *outbox = NULL;
    if (outbox_sqlite_ops.open(&options, &outbox, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return outbox;
}

static void write_row(const char *key)
{
    (void)sqlite_format(test_path("shop.db"),
                        "INSERT INTO outbox(aggregatetype,aggregateid,type,payload) VALUES"
                        "('order','%s','order.created','{}')",
                        key);
}

static bool changed(struct outbox *outbox, int64_t timeout_us)
{
    struct error err = ERROR_INIT;
    bool is = false;
    if (outbox->ops->wait(outbox, timeout_us, &is, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return is;
}

static void a_commit_of_another_connection_is_seen_once(void **state)
{
    (void)state;
    struct outbox *outbox = open_outbox("1");
    (void)changed(outbox, 0);
    assert_false(changed(outbox, 0));
    write_row("1");
    assert_true(changed(outbox, 0));
    assert_false(changed(outbox, 0));
    outbox->ops->close(outbox);
}

static void *write_later(void *path)
{
    clock_sleep_us(300 * 1000);
    (void)sqlite_text(path, "INSERT INTO outbox(aggregatetype,aggregateid,type,payload) VALUES"
                            "('order','2','order.created','{}')");
    return NULL;
}

static void waiting_ends_at_the_commit_and_at_the_limit(void **state)
{
    (void)state;
    struct outbox *outbox = open_outbox("1");
    pthread_t writer;
    (void)changed(outbox, 0);
    int64_t begun = clock_monotonic_us();
    assert_false(changed(outbox, 100 * 1000));
    assert_true(clock_monotonic_us() - begun >= 100 * 1000);
    assert_int_equal(
        pthread_create(&writer, NULL, write_later, (void *)(uintptr_t)test_path("shop.db")), 0);
    begun = clock_monotonic_us();
    assert_true(changed(outbox, INT64_C(20) * 1000 * 1000));
    assert_true(clock_monotonic_us() - begun < INT64_C(10) * 1000 * 1000);
    assert_int_equal(pthread_join(writer, NULL), 0);
    outbox->ops->close(outbox);
}

static void waiting_while_nothing_happens_costs_next_to_nothing(void **state)
{
    (void)state;
    struct outbox *outbox = open_outbox("1");
    struct timespec before;
    struct timespec after;
    (void)changed(outbox, 0);
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    assert_false(changed(outbox, INT64_C(3) * 1000 * 1000));
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    int64_t used_us = (after.tv_sec - before.tv_sec) * 1000000 +
                      (after.tv_nsec - before.tv_nsec) / 1000;
    assert_in_range(used_us, 0, 150 * 1000); /* 5 % of a core; it takes 0.1 % */
    outbox->ops->close(outbox);
}

static void a_released_lease_is_free_at_once_and_only_its_holder_releases_it(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct lease first = {0};
    struct lease second = {0};
    struct outbox *one = open_outbox("1");
    struct outbox *two = open_outbox("2");
    assert_int_equal(one->ops->take_lease(one, LEASE_US, &first, &err), STATUS_OK);
    assert_int_equal(two->ops->take_lease(two, LEASE_US, &second, &err), STATUS_RETRY);
    error_clear(&err);
    assert_int_equal(one->ops->release_lease(one, &first, &err), STATUS_OK);
    assert_int_equal(two->ops->take_lease(two, LEASE_US, &second, &err), STATUS_OK);
    assert_true(second.epoch > first.epoch);

    assert_int_equal(one->ops->release_lease(one, &first, &err), STATUS_OK);
    assert_int_equal(one->ops->take_lease(one, LEASE_US, &first, &err), STATUS_RETRY);
    one->ops->close(one);
    two->ops->close(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_commit_of_another_connection_is_seen_once),
        TEST(waiting_ends_at_the_commit_and_at_the_limit),
        TEST(waiting_while_nothing_happens_costs_next_to_nothing),
        TEST(a_released_lease_is_free_at_once_and_only_its_holder_releases_it),
    };
    return TEST_RUN(tests);
}
