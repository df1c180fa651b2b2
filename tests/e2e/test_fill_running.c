/* `keepstep fill --again` at a running agent: it cures a partition that has stopped, and a copy
 * that its own service writes to meanwhile, and outlives its broker (rules 38 to 42).
 * labels: early */
#include "common/clock.h"
#include "tests/support/http.h"
#include "tests/support/sidecar.h"
#include "tests/support/verify_tables.h"

#include <signal.h>
#include <stdio.h>

#define PUBLISH   "publish:\n  item: {table: items, partitions: 1}\n"
#define APPLY     "apply:\n  item: {table: items, partitions: 1}\n"
#define WAIT_MS   60000
#define ROWS      2000
#define KEYS      60 /* that both services write to */
#define WRITES    600
#define AFTERWARD 40

#define SESSION_US    3000000 /* of an agent that is lost soon */
#define SHORT_SESSION "session.timeout.ms: 3000, heartbeat.interval.ms: 500"

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

static void write_rows(const struct sidecar *service)
{
    (void)sqlite_format(service->database,
                        "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
                        "INSERT INTO items SELECT i, 'item', 0 FROM n",
                        ROWS);
}

/* The copy is brought to a state in which it stops. */
static void have_lost_an_event(struct pair *pair)
{
    (void)sqlite_text(pair->billing.database, "UPDATE keepstep_sequence SET last = last - 1");
    write_item(&pair->shop, 2, 10);
}

static void be_of_another_history(struct pair *pair)
{
    (void)sqlite_text(pair->billing.database, "UPDATE keepstep_sequence SET last_id = 'other'");
    write_item(&pair->shop, 2, 20);
}

static void be_overtaken_by_retention(struct pair *pair)
{
    for (int i = 0; i < 3; i++)
        write_item(&pair->shop, 2, 30 + i);
    sidecar_expect_published(&pair->shop);
    kafka_trim(pair->kafka, sidecar_topic("item"), 0, sidecar_records(pair->kafka, "item") - 1);
}

/* Somebody has deleted the topic and made it anew. */
static void lose_its_topic(struct pair *pair)
{
    const char *topic = sidecar_topic("item");
    sidecar_stop(&pair->shop);
    kafka_delete_topic(pair->kafka, topic);
    kafka_create_topic(pair->kafka, topic, 1, "message.timestamp.type=LogAppendTime");
    struct process_result result = PROCESS_RUN(KEEPSTEP_BINARY, "init", "-c", pair->shop.config,
                                               "--new-incarnation", "--existing-rows");
    if (result.exit_code != 0)
        test_fail("exit code %d: %s", result.exit_code, result.errors);
    sidecar_start(&pair->shop, NULL);
    write_item(&pair->shop, 2, 40);
    sidecar_expect_published(&pair->shop);
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
        void (*bring)(struct pair *pair);
    } cases[] = {{"gap", have_lost_an_event},
                 {"fork", be_of_another_history},
                 {"retention_overtook", be_overtaken_by_retention},
                 {"log_recreated", lose_its_topic}};
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
    write_rows(&pair.shop);
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

/* Who stops itself in the middle of a fill, to go on when the broker is away. */
static const struct outage {
    const char *source_at; /* failpoint of the shop, or NULL */
    const char *copy_at;   /* of billing, or NULL */
    bool is_frozen;        /* it answers nothing, for longer than a session; else it is killed */
} outages[] = {{"fill_source_row:1000:stop", NULL, false}, {NULL, "fill_after_rows:1:stop", true}};

static void have_an_outage(const struct pair *pair, const struct outage *outage,
                           struct process *stopped)
{
    (outage->is_frozen ? kafka_pause : kafka_kill)(pair->kafka);
    process_signal(stopped, SIGCONT);
    write_item(&pair->shop, 3, 1);
    (void)sqlite_text(pair->shop.database, "DELETE FROM items WHERE id = 1900");
    clock_sleep_us(outage->is_frozen ? SESSION_US * 3 / 2 : 300000);
    (outage->is_frozen ? kafka_continue : kafka_start_again)(pair->kafka);
}

static void fill_in_an_outage(struct pair *pair, const struct outage *outage)
{
    sidecar_stop(&pair->billing);
    sidecar_stop(&pair->shop);
    sidecar_start(&pair->shop, outage->source_at);
    sidecar_start(&pair->billing, outage->copy_at);
    struct process *fill = fill_again(&pair->billing);
    struct process *stopped = (outage->copy_at == NULL ? &pair->shop : &pair->billing)->process;
    if (!process_wait_stopped(stopped, WAIT_MS))
        test_fail("the failpoint was not reached: %s", process_errors(stopped));
    sidecar_expect(&pair->billing, "SELECT stage FROM keepstep_fill", "loading\n");
    write_item(&pair->shop, 2, 1);
    have_an_outage(pair, outage, stopped);
    expect_filled(fill);
    sidecar_assert_equal(&pair->shop, &pair->billing, "items", WAIT_MS);
    sidecar_expect(&pair->billing, "SELECT stage FROM keepstep_fill", "done\n");
    sidecar_expect(&pair->billing, "SELECT count(*) FROM keepstep_parked", "0\n");
}

static void a_fill_goes_on_behind_a_broker_that_was_killed_or_frozen(void **state)
{
    (void)state;
    struct pair pair = {.kafka = kafka_start()};
    pair.shop = sidecar_make(pair.kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH);
    pair.billing = sidecar_make(pair.kafka, "billing", SIDECAR_ITEM_DDL, APPLY);
    sidecar_set_kafka(&pair.billing, SHORT_SESSION);
    sidecar_begin(&pair.shop);
    sidecar_begin(&pair.billing);
    write_rows(&pair.shop);
    sidecar_assert_equal(&pair.shop, &pair.billing, "items", WAIT_MS);
    for (size_t i = 0; i < sizeof outages / sizeof *outages; i++)
        fill_in_an_outage(&pair, &outages[i]);
    sidecar_stop(&pair.billing);
    sidecar_stop(&pair.shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(each_reason_that_the_runbook_cures_by_a_fill_is_cured_by_it, 200),
        TEST_WITH_LIMIT(a_fill_goes_on_behind_a_broker_that_was_killed_or_frozen, 240),
        TEST_WITH_LIMIT(a_copy_that_its_own_service_writes_to_is_filled_while_both_write, 180),
    };
    return TEST_RUN(tests);
}
