/* A server comes back without its last commits. The relay goes on only if the database still has
 * what the relay remembers (rule 10). labels: threads */
#include "tests/support/database.h"
#include "tests/support/mariadb.h"
#include "tests/support/outbox_case.h"
#include "tests/support/postgresql.h"
#include "tests/support/relay_shop.h"

#include "common/clock.h"

#define WAIT_US (INT64_C(60) * 1000 * 1000)

static void write_order(int id)
{
    (void)outbox_case_ask(test_format(
        "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', "
        "'{\"id\":%d}', 'order.created', '{\"op\":\"c\",\"before\":null,\"after\":{\"id\":%d}}')",
        id, id));
}

static void expect_acknowledged(const struct relay_shop *shop, int count)
{
    int64_t until = clock_monotonic_us() + WAIT_US;
    while (atomic_load(&shop->metrics.acknowledged) < count && clock_monotonic_us() < until)
        clock_sleep_us(20000);
    if (atomic_load(&shop->metrics.acknowledged) != count)
        test_fail("acknowledged %d: %s", (int)atomic_load(&shop->metrics.acknowledged),
                  shop->err.text);
}

static void expect_written(const char *count)
{
    static const char sql[] = "SELECT sum(acknowledged_sequence) FROM keepstep_relay_partition";
    if (!database_wait_for(outbox_case_url, sql, count, 60000))
        test_fail("acknowledged %s", outbox_case_ask(sql));
}

static void crash_and(const char *command)
{
    bool postgresql = strncmp(outbox_case_url, "postgresql:", 11) == 0;
    const char *directory = postgresql ? postgresql_directory() : mariadb_directory();
    if (postgresql)
        postgresql_stop();
    else
        mariadb_stop();
    if (system(test_format("cd '%s' && %s", directory, command)) != 0)
        test_fail("%s", command);
    if (postgresql)
        postgresql_start();
    else
        mariadb_start();
}

static void a_relay_beside_a_server_that_lost_commits_numbers_nothing_anew(void)
{
    struct relay_shop shop = {.status = STATUS_OK};
    outbox_case_make();
    relay_shop_prepare(&shop, outbox_case_url, 1);
    relay_shop_start(&shop);
    write_order(1);
    expect_acknowledged(&shop, 1);
    (void)outbox_case_ask("UPDATE keepstep_relay_partition SET acknowledged_sequence = 0");
    crash_and("cp -a data older"); /* no number is lost, so the relay goes on */
    expect_written("1\n");         /* and writes the acknowledgement once more */
    write_order(2);
    expect_acknowledged(&shop, 2);
    assert_int_equal(atomic_load(&shop.metrics.rebuilt), 0);
    crash_and("rm -rf data && mv older data");
    write_order(3);
    (void)pthread_join(shop.thread, NULL);
    assert_int_equal(shop.status, STATUS_FATAL);
    if (strstr(shop.err.text, "rewound or cloned") == NULL)
        test_fail("%s", shop.err.text);
    assert_int_equal(atomic_load(&shop.metrics.published), 2);
    assert_string_equal(outbox_case_ask("SELECT count(*) FROM outbox WHERE sequence IS NULL"),
                        "1\n");
    relay_shop_done(&shop);
}

/* Rows stay, and what the relay wrote about them is lost. */
static void lose_claims(struct relay_shop *shop)
{
    outbox_case_make();
    relay_shop_prepare(shop, outbox_case_url, 1);
    for (int id = 1; id <= 3; id++)
        write_order(id);
    (void)outbox_case_ask("UPDATE outbox SET aggregateid = '2' WHERE position = 2");
    crash_and("cp -a data older");
    relay_shop_start(shop);
    expect_acknowledged(shop, 3);
    crash_and("rm -rf data && mv older data");
}

static void a_relay_that_sent_what_the_server_forgot_takes_the_numbers_from_the_log(void)
{
    struct relay_shop shop = {.status = STATUS_OK};
    lose_claims(&shop);
    expect_written("3\n");
    assert_int_equal(atomic_load(&shop.metrics.adopted), 3);
    assert_int_equal(atomic_load(&shop.metrics.published), 3);
    write_order(4);
    expect_written("4\n");
    assert_int_equal(atomic_load(&shop.metrics.published), 4);
    assert_string_equal(outbox_case_ask("SELECT count(DISTINCT sequence) FROM outbox"), "4\n");
    assert_string_equal(outbox_case_ask("SELECT aggregateid FROM outbox WHERE position = 2"),
                        "{\"id\":2}\n");
    relay_shop_stop(&shop);
    relay_shop_done(&shop);
}

/* The server came back with a delete of another entity at the position, under the same time. */
static void a_relay_gives_no_number_to_another_entity_than_it_sent(void)
{
    struct relay_shop shop = {.status = STATUS_OK};
    outbox_case_make();
    relay_shop_prepare(&shop, outbox_case_url, 1);
    (void)outbox_case_ask(
        "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', "
        "'{\"id\":77}', 'order.deleted', '{\"op\":\"d\",\"before\":null,\"after\":null}')");
    crash_and("cp -a data older");
    (void)outbox_case_ask("UPDATE outbox SET aggregateid = '{\"id\":1}'");
    relay_shop_start(&shop);
    expect_acknowledged(&shop, 1);
    crash_and("rm -rf data && mv older data");
    (void)pthread_join(shop.thread, NULL);
    assert_int_equal(shop.status, STATUS_FATAL);
    if (strstr(shop.err.text, "rewound or cloned") == NULL)
        test_fail("%s", shop.err.text);
    assert_string_equal(outbox_case_ask("SELECT aggregateid FROM outbox WHERE sequence IS NULL"),
                        "{\"id\":77}\n");
    relay_shop_done(&shop);
}

/* It cannot tell the records from those of a clone. */
static void a_relay_that_does_not_remember_what_the_server_forgot_stops(void)
{
    struct relay_shop shop = {.status = STATUS_OK};
    outbox_case_make();
    relay_shop_prepare(&shop, outbox_case_url, 1);
    write_order(1);
    crash_and("cp -a data older");
    relay_shop_start(&shop);
    expect_acknowledged(&shop, 1);
    relay_shop_stop(&shop);
    crash_and("rm -rf data && mv older data");
    relay_shop_start(&shop);
    (void)pthread_join(shop.thread, NULL);
    assert_int_equal(shop.status, STATUS_FATAL);
    if (strstr(shop.err.text, "rewound or cloned") == NULL)
        test_fail("%s", shop.err.text);
    assert_int_equal(atomic_load(&shop.metrics.published), 1);
    relay_shop_done(&shop);
}

CASE_OF_SERVERS(a_relay_that_sent_what_the_server_forgot_takes_the_numbers_from_the_log)
CASE_OF_SERVERS(a_relay_gives_no_number_to_another_entity_than_it_sent)
CASE_OF_SERVERS(a_relay_that_does_not_remember_what_the_server_forgot_stops)
CASE_OF_SERVERS(a_relay_beside_a_server_that_lost_commits_numbers_nothing_anew)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_relay_beside_a_server_that_lost_commits_numbers_nothing_anew_postgresql,
                        180),
        TEST_WITH_LIMIT(a_relay_beside_a_server_that_lost_commits_numbers_nothing_anew_mariadb,
                        180),
        TEST_WITH_LIMIT(
            a_relay_that_sent_what_the_server_forgot_takes_the_numbers_from_the_log_postgresql,
            180),
        TEST_WITH_LIMIT(
            a_relay_that_sent_what_the_server_forgot_takes_the_numbers_from_the_log_mariadb, 180),
        TEST_WITH_LIMIT(a_relay_gives_no_number_to_another_entity_than_it_sent_postgresql, 180),
        TEST_WITH_LIMIT(a_relay_gives_no_number_to_another_entity_than_it_sent_mariadb, 180),
        TEST_WITH_LIMIT(a_relay_that_does_not_remember_what_the_server_forgot_stops_postgresql,
                        180),
        TEST_WITH_LIMIT(a_relay_that_does_not_remember_what_the_server_forgot_stops_mariadb, 180),
    };
    return TEST_RUN(tests);
}
