/* The outbox on SQLite: the lease, waiting for a commit, setting aside, the purge. */
#include "tests/support/sql.h"
#include "tests/support/threads.h"

#include "common/clock.h"
#include "producer/init/init.h"
#include "producer/outbox/outbox.h"
#include "producer/registry.h"

#include <pthread.h>
#include <sqlite3.h>
#include <sysexits.h>

#define LEASE_US (INT64_C(10) * 1000 * 1000)

/* Open an outbox made by init, as one instance of a relay. */
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
    if (outbox->ops->wait(outbox, &(struct outbox_wait){timeout_us, -1}, &is, &err) != STATUS_OK)
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
    (void)changed(outbox, 0);
    int64_t before_us = threads_used_us();
    assert_false(changed(outbox, INT64_C(3) * 1000 * 1000));
    int64_t used_us = threads_used_us() - before_us;
    assert_in_range(used_us, 0, 150 * 1000); /* 5 % of a core; usual is 0.1 % */
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
    assert_int_equal(two->ops->take_lease(two, LEASE_US, &second, &err), STATUS_ABORT);
    error_clear(&err);
    assert_int_equal(one->ops->release_lease(one, &first, &err), STATUS_OK);
    assert_int_equal(two->ops->take_lease(two, LEASE_US, &second, &err), STATUS_OK);
    assert_true(second.epoch > first.epoch);

    assert_int_equal(one->ops->release_lease(one, &first, &err), STATUS_OK);
    assert_int_equal(one->ops->take_lease(one, LEASE_US, &first, &err), STATUS_ABORT);
    one->ops->close(one);
    two->ops->close(two);
}

/* SQLite calls this for each connection. The tests use it to watch the outbox's own one. */
static sqlite3 *opened;

static int note_opened(sqlite3 *db, char **ret_text, const void *functions)
{
    (void)ret_text;
    (void)functions;
    opened = db;
    return SQLITE_OK;
}

static int count_steps(void *context)
{
    ++*(int *)context;
    return 0;
}

/* Make acknowledged rows of one partition, one an hour. The newest is of now. */
static void keep_rows(int count)
{
    (void)sqlite_format(
        test_path("shop.db"),
        "BEGIN; WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO "
        "outbox(aggregatetype,aggregateid,type,payload,kafka_partition,sequence,created_at) SELECT "
        "'order', i, 'order.created', printf('%%200d', i), 0, i, "
        "strftime('%%Y-%%m-%%dT%%H:%%M:%%fZ', "
        "'now', (i - %d) || ' hours') FROM n;"
        "INSERT INTO keepstep_relay_type VALUES('order', 'order');"
        "INSERT INTO keepstep_relay_partition VALUES('order', 0, %d, 'x', %d, %d, 'x'); COMMIT",
        count, count, count, count, count);
}

static size_t purge(struct outbox *outbox, int64_t age_hours, size_t limit)
{
    struct error err = ERROR_INIT;
    struct lease lease = {0};
    size_t purged = 0;
    const struct outbox_purge what = {.before_us = clock_wall_us() - age_hours * 3600 * 1000 * 1000,
                                      .read_topics = slice_of("[]"),
                                      .limit = limit};
    if (outbox->ops->take_lease(outbox, LEASE_US, &lease, &err) != STATUS_OK ||
        outbox->ops->purge(outbox, &lease, &what, &purged, &err) != STATUS_OK)
        test_fail("%s", err.text);
    return purged;
}

static void a_purge_of_nothing_reads_next_to_nothing_of_many_kept_rows(void **state)
{
    enum { KEPT = 200000 };
    (void)state;
    int steps = 0;
    int pages = 0;
    int peak = 0;
    (void)sqlite3_auto_extension((void (*)(void))note_opened);
    struct outbox *outbox = open_outbox("1");
    sqlite3 *db = opened;
    sqlite3_reset_auto_extension();
    keep_rows(KEPT);
    sqlite3_progress_handler(db, 100, count_steps, &steps);
    (void)sqlite3_db_status(db, SQLITE_DBSTATUS_CACHE_MISS, &pages, &peak, 1);
    assert_int_equal(purge(outbox, KEPT + 1, 1000), 0);
    (void)sqlite3_db_status(db, SQLITE_DBSTATUS_CACHE_MISS, &pages, &peak, 1);
    assert_in_range(steps, 0, 20); /* in hundreds of SQLite's steps */
    assert_in_range(pages, 1, 60);

    steps = 0;
    assert_int_equal(purge(outbox, KEPT - 50, 1000), 50);
    assert_in_range(steps, 0, 100);
    assert_int_equal(sqlite_number(test_path("shop.db"), "SELECT min(position) FROM outbox"), 51);
    outbox->ops->close(outbox);
}

static void a_purge_passes_over_what_waits_and_goes_on_behind_it(void **state)
{
    (void)state;
    struct outbox *outbox = open_outbox("1");
    const char *path = test_path("shop.db");
    keep_rows(12000);
    /* These rows must stay: set aside, not acknowledged, or dated in the future. They are more than
     * one purge reads. */
    (void)sqlite_text(path,
                      "UPDATE outbox SET sequence = NULL, set_aside = 'x' WHERE position <= 2;"
                      "UPDATE outbox SET sequence = 99999 WHERE position BETWEEN 3 AND 10500;"
                      "UPDATE outbox SET created_at = '2999-01-01T00:00:00Z' WHERE position "
                      "BETWEEN 10501 AND 10600");
    assert_int_equal(purge(outbox, 1000, 1000), 0);
    assert_int_equal(purge(outbox, 1000, 1000), 12000 - 1000 - 10600);
    assert_int_equal(sqlite_number(path, "SELECT count(*) FROM outbox WHERE position <= 10600"),
                     10600);
    assert_int_equal(sqlite_number(path, "SELECT min(position) FROM outbox WHERE position > 10600"),
                     11001);
    outbox->ops->close(outbox);
}

/* As before an upgrade: `keepstep init` of this version has not run yet. */
static void an_outbox_that_lacks_a_table_is_refused_at_its_opening(void **state)
{
    static const char *const tables[] = {"outbox", "keepstep_relay_partition",
                                         "keepstep_relay_type", "keepstep_relay_read",
                                         "keepstep_relay_moved"};
    (void)state;
    struct outbox *initial = open_outbox("1");
    initial->ops->close(initial);
    const char *path = test_path("shop.db");
    const struct outbox_options options = {.path = path, .service = "shop", .instance = "1"};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        struct error err = ERROR_INIT;
        struct outbox *outbox = NULL;
        (void)sqlite_format(path, "ALTER TABLE %s RENAME TO hidden", tables[i]);
        assert_int_equal(outbox_sqlite_ops.open(&options, &outbox, &err), STATUS_FATAL);
        assert_int_equal(err.exit_code, EX_CONFIG);
        assert_non_null(strstr(err.text, "keepstep init"));
        assert_null(outbox);
        (void)sqlite_format(path, "ALTER TABLE hidden RENAME TO %s", tables[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_commit_of_another_connection_is_seen_once),
        TEST(waiting_ends_at_the_commit_and_at_the_limit),
        TEST(waiting_while_nothing_happens_costs_next_to_nothing),
        TEST(a_released_lease_is_free_at_once_and_only_its_holder_releases_it),
        TEST(a_purge_of_nothing_reads_next_to_nothing_of_many_kept_rows),
        TEST(a_purge_passes_over_what_waits_and_goes_on_behind_it),
        TEST(an_outbox_that_lacks_a_table_is_refused_at_its_opening),
    };
    return TEST_RUN(tests);
}
