/* `keepstep fill --again` at a running agent: it cures a partition that has stopped, and a copy
 * that its own service writes to meanwhile (rules 38 to 42). labels: early */
#include "tests/support/http.h"
#include "tests/support/sidecar.h"
#include "tests/support/verify_tables.h"

#include <stdio.h>

#define PUBLISH   "publish:\n  item: {table: items, partitions: 1}\n"
#define APPLY     "apply:\n  item: {table: items, partitions: 1}\n"
#define WAIT_MS   60000
#define ROWS      2000
#define KEYS      60 /* that both services write to */
#define WRITES    600
#define AFTERWARD 40

static struct process *fill_again(const struct sidecar *copy)
{
    static int asked;
    const char *const argv[] = {KEEPSTEP_BINARY, "fill", "item",    "-c", copy->config,
                                "--from",        "shop", "--again", NULL};
    return process_start(test_format("fill-%d", ++asked), argv, NULL);
}

static void expect_filled(struct process *fill)
{
    int code = process_wait(fill, WAIT_MS);
    if (code != 0)
        test_fail("exit code %d: %s%s", code, process_output(fill), process_errors(fill));
}

struct pair {
    struct kafka *kafka;
    struct sidecar shop;
    struct sidecar billing;
};

static void write_item(const struct sidecar *service, int id, int amount)
{
    (void)sqlite_format(service->database,
                        "INSERT INTO items VALUES (%d, '%s', %d) ON CONFLICT (id) DO UPDATE SET "
                        "name = excluded.name, amount = excluded.amount",
                        id, service->name, amount);
}

/* The copy is brought to a state in which it stops. */
static void have_lost_an_event(const struct pair *pair)
{
    (void)sqlite_text(pair->billing.database, "UPDATE keepstep_sequence SET last = last - 1");
    write_item(&pair->shop, 2, 10);
}

static void be_of_another_history(const struct pair *pair)
{
    (void)sqlite_text(pair->billing.database, "UPDATE keepstep_sequence SET last_id = 'other'");
    write_item(&pair->shop, 2, 20);
}

static void be_overtaken_by_retention(const struct pair *pair)
{
    for (int i = 0; i < 3; i++)
        write_item(&pair->shop, 2, 30 + i);
    sidecar_expect_published(&pair->shop);
    kafka_trim(pair->kafka, sidecar_topic("item"), 0, sidecar_records(pair->kafka, "item") - 1);
}

struct stop {
    int port;
    const char *reason;
    const char *page;
};

static bool is_stopped(void *context)
{
    struct stop *stop = context;
    stop->page = http_send_request(stop->port, "GET", "/metrics", "").body;
    return strstr(stop->page, test_format("reason=\"%s\"} 1\n", stop->reason)) != NULL;
}

static void expect_stopped(int port, const char *reason)
{
    struct stop stop = {.port = port, .reason = reason};
    if (!test_wait(is_stopped, &stop, WAIT_MS))
        test_fail("no partition has stopped by %s: %s", reason, stop.page);
}

static void each_reason_that_the_runbook_cures_by_a_fill_is_cured_by_it(void **state)
{
    static const struct {
        const char *reason;
        void (*bring)(const struct pair *pair);
    } cases[] = {{"gap", have_lost_an_event},
                 {"fork", be_of_another_history},
                 {"retention_overtook", be_overtaken_by_retention}};
    (void)state;
    struct pair pair = {.kafka = kafka_start()};
    pair.shop = sidecar_make(pair.kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH);
    pair.billing = sidecar_make(pair.kafka, "billing", SIDECAR_ITEM_DDL, APPLY);
    int port = sidecar_listen(&pair.billing);
    sidecar_begin(&pair.shop);
    sidecar_begin(&pair.billing);
    write_item(&pair.shop, 1, 1);
    sidecar_assert_equal(&pair.shop, &pair.billing, "items", WAIT_MS);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sidecar_stop(&pair.billing);
        cases[i].bring(&pair);
        sidecar_start(&pair.billing, NULL);
        sidecar_expect(&pair.billing, "SELECT stopped <> '' FROM keepstep_position", "1\n");
        expect_stopped(port, cases[i].reason);
        expect_filled(fill_again(&pair.billing));
        write_item(&pair.shop, 3, (int)i);
        sidecar_assert_equal(&pair.shop, &pair.billing, "items", WAIT_MS);
        sidecar_expect(&pair.billing, "SELECT stopped, filled_to > 0 FROM keepstep_position",
                       "|1\n");
        sidecar_expect(&pair.billing, "SELECT stage FROM keepstep_fill", "done\n");
    }
    sidecar_stop(&pair.billing);
    sidecar_stop(&pair.shop);
}

/* Own changes that are under way stay; all others are replaced by the shop's rows. */
static void a_copy_that_its_own_service_writes_to_is_filled_while_both_write(void **state)
{
    (void)state;
    struct pair pair = {.kafka = kafka_start()};
    pair.shop = sidecar_make(pair.kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH APPLY);
    pair.billing = sidecar_make(pair.kafka, "billing", SIDECAR_ITEM_DDL, PUBLISH APPLY);
    sidecar_begin(&pair.shop);
    sidecar_begin(&pair.billing);
    (void)sqlite_format(pair.shop.database,
                        "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
                        "INSERT INTO items SELECT i, 'item', 0 FROM n",
                        ROWS);
    sidecar_assert_equal(&pair.shop, &pair.billing, "items", WAIT_MS);
    verify_write_silently(DATABASE_SQLITE, pair.billing.url, "items",
                          "DELETE FROM items WHERE id % 7 = 0 AND id > 100");
    struct process *fill = fill_again(&pair.billing);
    int written = 0;
    for (; written < WRITES && process_running(fill); written++) {
        write_item(&pair.shop, 1 + written % KEYS, written);
        write_item(&pair.billing, 1 + (written * 7) % KEYS, -written);
    }
    expect_filled(fill);
    assert_true(written > 0);
    for (int i = 0; i < AFTERWARD; i++)
        write_item(i % 2 == 0 ? &pair.shop : &pair.billing, 1 + i, 1000 + i);
    write_item(&pair.billing, ROWS + 1, 1);
    sidecar_expect(&pair.shop, test_format("SELECT name FROM items WHERE id = %d", ROWS + 1),
                   "billing\n");
    sidecar_assert_equal(&pair.shop, &pair.billing, "items", WAIT_MS);
    sidecar_expect(&pair.billing, "SELECT stage FROM keepstep_fill", "done\n");
    sidecar_expect(&pair.billing, "SELECT count(*) FROM keepstep_parked", "0\n");
    assert_int_equal(sqlite_number(pair.billing.database, "SELECT count(*) FROM items"), ROWS + 1);
    sidecar_stop(&pair.billing);
    sidecar_stop(&pair.shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(each_reason_that_the_runbook_cures_by_a_fill_is_cured_by_it, 200),
        TEST_WITH_LIMIT(a_copy_that_its_own_service_writes_to_is_filled_while_both_write, 180),
    };
    return TEST_RUN(tests);
}
