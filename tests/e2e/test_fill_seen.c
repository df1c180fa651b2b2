/* A copy that is being filled, on a real Kafka: everybody sees it, nobody compares or repairs it,
 * and a relay beside it waits (rules 39 and 41). The test writes the stages as a loader would. */
#include "common/clock.h"
#include "operate/http_client.h"
#include "tests/support/repair.h"
#include "tests/support/verify.h"
#include "tests/support/verify_tables.h"

#include "consumer/store/registry.h"

#include <signal.h>
#include <stdio.h>
#include <sysexits.h>

#define ATTEMPT "0193c000-0000-7000-8000-000000000001"
#define WAIT_MS 30000

#define SESSION_US 3000000 /* of an agent that is lost soon */

#define PUBLISH "publish:\n  item: {table: items, partitions: 1}\n"
#define APPLY   "apply:\n  item: {table: items, partitions: 1}\n"

struct pair {
    struct kafka *kafka;
    struct sidecar shop;
    struct sidecar billing; /* it publishes items too */
    int port;               /* of billing's page */
    struct fill_state fill;
    struct partition_state partition;
};

static void pair_begin(struct pair *pair)
{
    *pair = (struct pair){.kafka = kafka_start(), .fill = {.id = ATTEMPT, .source = "shop"}};
    pair->shop = sidecar_make(pair->kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH APPLY);
    pair->billing = sidecar_make(pair->kafka, "billing", SIDECAR_ITEM_DDL, PUBLISH APPLY);
    pair->port = sidecar_listen(&pair->billing);
    sidecar_begin(&pair->shop);
    sidecar_begin(&pair->billing);
    (void)sqlite_text(pair->shop.database, "INSERT INTO items VALUES (1, 'one', 1)");
    sidecar_expect(&pair->billing, "SELECT name FROM items", "one\n");
    (void)snprintf(pair->fill.topic, sizeof pair->fill.topic, "%s", sidecar_topic("item"));
}

/* The stamp of shop's copy. */
static void stamp(struct pair *pair)
{
    struct error err = ERROR_INIT;
    struct store *store = NULL;
    const struct store_options options = {
        .path = pair->shop.database, .service = "shop", .read_only = true};
    if (store_sqlite_ops.open(&options, &store, &err) != STATUS_OK ||
        store_sqlite_ops.read(store, pair->fill.topic, 0, &pair->partition, &err) != STATUS_OK)
        test_fail("%s", err.text);
    pair->partition.filled_to = pair->partition.next_offset + 1;
    store_sqlite_ops.close(store);
}

/* Write an edit, as a loader beside the agent. */
static void fill(struct pair *pair, enum fill_edit edit)
{
    struct error err = ERROR_INIT;
    struct store *store = NULL;
    const struct store_options options = {.path = pair->billing.database, .service = "billing"};
    const struct fill_partitions all = {&pair->partition, 1};
    if (edit == FILL_INSTALL)
        stamp(pair);
    enum status status = store_sqlite_ops.open(&options, &store, &err);
    if (status == STATUS_OK)
        status = store_sqlite_ops.begin(store, NULL, 0, &err);
    if (status == STATUS_OK)
        status = store_sqlite_ops.fill(store, edit, &pair->fill, &all, &err);
    if (status == STATUS_OK)
        status = store_sqlite_ops.commit(store, true, &err);
    if (status != STATUS_OK)
        test_fail("%s", err.text);
    store_sqlite_ops.close(store);
}

struct said {
    const struct pair *pair;
    const char *path;    /* of billing's page; NULL: */
    const char *command; /* of billing */
    const char *flag;
    const char *text;
    const char *seen;
};

static bool is_said(void *context)
{
    struct said *said = context;
    if (said->path == NULL) {
        struct process_result result = sidecar_run(&said->pair->billing, said->command, said->flag,
                                                   NULL);
        said->seen = test_format("%s%s", result.output, result.errors);
    } else {
        struct buffer page;
        buffer_init(&page, (size_t)1 << 20);
        (void)http_get("127.0.0.1", test_format("%d", said->pair->port), said->path, &page);
        said->seen = test_format("%s", buffer_text(&page));
        buffer_done(&page);
    }
    return strstr(said->seen, said->text) != NULL;
}

static void expect_page(const struct pair *pair, const char *path, const char *text)
{
    struct said said = {.pair = pair, .path = path, .text = text};
    if (!test_wait(is_said, &said, WAIT_MS))
        test_fail("no \"%s\" in %s: %s", text, path, said.seen);
}

static void expect_said(const struct pair *pair, const char *command, const char *flag,
                        const char *text)
{
    struct said said = {.pair = pair, .command = command, .flag = flag, .text = text};
    if (!test_wait(is_said, &said, WAIT_MS))
        test_fail("no \"%s\" in %s: %s", text, command, said.seen);
}

static void expect_not_compared(const struct pair *pair, const char *reason)
{
    const struct sidecar *all[] = {&pair->shop, &pair->billing, NULL};
    struct process_result result = VERIFY(all, "item", "--from", "shop", "--json");
    if (result.exit_code != EX_TEMPFAIL ||
        strstr(verify_copy(&result, "item", "billing"), reason) == NULL)
        test_fail("exit code %d: %s%s", result.exit_code, result.output, result.errors);
    result = REPAIR(&pair->billing, &pair->shop, "item");
    if (result.exit_code == EX_OK || strstr(result.output, reason) == NULL)
        test_fail("exit code %d: %s%s", result.exit_code, result.output, result.errors);
}

static void while_its_rows_come_a_copy_is_filling_for_everybody(void **state)
{
    (void)state;
    struct pair pair;
    pair_begin(&pair);
    expect_said(&pair, "copies", "item", "complete");
    sidecar_stop(&pair.shop); /* so that nobody answers when the agent asks for the rows */
    fill(&pair, FILL_ASK);
    expect_page(&pair, "/readyz", ".item is being filled: asked, 0 rows");
    expect_page(&pair, "/readyz",
                "relay: publishes nothing until this service's own copy of topic");
    (void)sqlite_text(pair.billing.database, "INSERT INTO items VALUES (2, 'two', 2)");
    fill(&pair, FILL_CLEAR);
    fill(&pair, FILL_INSTALL);
    pair.fill.rows_offset = pair.fill.rows = 12;
    fill(&pair, FILL_PROGRESS);
    expect_page(&pair, "/metrics", "\"} 12\n");
    expect_page(&pair, "/metrics", "keepstep_fill_stage{service=\"billing\",topic=");
    expect_said(&pair, "status", NULL, "is being FILLED from shop: loading, 12 rows");
    expect_said(&pair, "status", NULL, "WAITS      publishes nothing");
    expect_said(&pair, "status", "--json", "\"stage\":\"loading\"");
    expect_said(&pair, "lag", NULL, "it is being filled from shop: loading, 12 rows");
    expect_said(&pair, "copies", "item", "filling");
    expect_not_compared(&pair, "it is being filled from shop");
    sidecar_expect(&pair.billing, "SELECT count(*) FROM outbox WHERE sequence IS NULL", "1\n");
    fill(&pair, FILL_END);
    sidecar_start(&pair.shop, NULL);
    sidecar_expect(&pair.shop, "SELECT name FROM items WHERE id = 2", "two\n");
    sidecar_expect(&pair.billing, "SELECT stage FROM keepstep_fill", "done\n");
    expect_page(&pair, "/readyz", "ready");
    expect_said(&pair, "copies", "item", "complete");
    sidecar_assert_equal(&pair.shop, &pair.billing, "items", WAIT_MS);
    sidecar_stop(&pair.billing);
    sidecar_stop(&pair.shop);
}

static void write_shop(const struct pair *pair, int id)
{
    (void)sqlite_format(pair->shop.database, "INSERT INTO items VALUES (%d, 'of the log', 1)", id);
    sidecar_expect(&pair->shop,
                   "SELECT count(*) FROM outbox o JOIN keepstep_relay_partition p JOIN "
                   "keepstep_position k WHERE o.sequence = p.acknowledged_sequence AND "
                   "k.next_offset > p.acknowledged_offset AND o.aggregateid = "
                   "(SELECT aggregateid FROM outbox ORDER BY position DESC LIMIT 1)",
                   "1\n");
}

/* The agent has read item 2 and stops itself before it writes it. Meanwhile the copy is filled as
 * of a moment at which item 2 was gone. */
static void an_agent_that_comes_back_after_a_fill_writes_nothing_of_before(void **state)
{
    (void)state;
    struct pair pair;
    pair_begin(&pair);
    sidecar_stop(&pair.billing);
    write_shop(&pair, 2);
    sidecar_start(&pair.billing, "agent_before_begin:1:stop");
    if (!process_wait_for(pair.billing.process, "goes on at", WAIT_MS) ||
        !process_wait_stopped(pair.billing.process, WAIT_MS))
        test_fail("%s", process_errors(pair.billing.process));
    fill(&pair, FILL_ASK);
    fill(&pair, FILL_CLEAR);
    verify_write_silently(DATABASE_SQLITE, pair.billing.url, "items", "DELETE FROM items");
    fill(&pair, FILL_INSTALL);
    pair.fill.rows_offset = 1;
    fill(&pair, FILL_END);
    process_signal(pair.billing.process, SIGCONT);
    write_shop(&pair, 3);
    sidecar_expect(&pair.billing, "SELECT id FROM items", "3\n");
    sidecar_expect(&pair.billing, "SELECT stage FROM keepstep_fill", "done\n");
    sidecar_stop(&pair.billing);
    sidecar_stop(&pair.shop);
}

/* Another agent on the same copy. */
static struct sidecar make_second(const struct sidecar *first)
{
    struct sidecar second = *first;
    second.config = test_path("second.yaml");
    test_write_file(second.config,
                    test_format("%sinstance: \"2\"\n", test_read_file(first->config)));
    return second;
}

static void write_both_partitions(const struct pair *pair, int first, int last)
{
    for (int id = first; id <= last; id++)
        (void)sqlite_format(pair->shop.database,
                            "INSERT INTO items VALUES (%d, 'item', 0);"
                            "UPDATE items SET amount = amount + 1 WHERE id > %d",
                            id, id - 20);
}

/* One of the two has partition 0 and loads; the other one has partition 1 and must not read it. */
static void two_agents_of_a_copy_give_it_up_and_go_on_together(void **state)
{
    (void)state;
    struct pair pair = {.kafka = kafka_start(), .fill = {.id = ATTEMPT, .source = "shop"}};
    static const char two[] = "%s:\n  item: {table: items, partitions: 2}\n";
    pair.shop = sidecar_make(pair.kafka, "shop", SIDECAR_ITEM_DDL, test_format(two, "publish"));
    pair.billing = sidecar_make(pair.kafka, "billing", NULL, test_format(two, "apply"));
    struct sidecar second = make_second(&pair.billing);
    (void)snprintf(pair.fill.topic, sizeof pair.fill.topic, "%s", sidecar_topic("item"));
    sidecar_begin(&pair.shop);
    sidecar_begin(&pair.billing);
    sidecar_start(&second, NULL);
    if (!process_wait_for(second.process, "item/[01] goes on at", WAIT_MS))
        test_fail("%s", process_errors(second.process));
    write_both_partitions(&pair, 1, 50);
    sidecar_assert_equal(&pair.shop, &pair.billing, "items", WAIT_MS);
    sidecar_expect(&pair.billing, "SELECT count(*) FROM keepstep_position", "2\n");
    (void)sqlite_text(pair.billing.database, "UPDATE items SET name = 'by hand'");
    fill(&pair, FILL_ASK);
    write_both_partitions(&pair, 51, 150);
    sidecar_expect(&pair.billing, "SELECT stage FROM keepstep_fill", "done\n");
    sidecar_assert_equal(&pair.shop, &pair.billing, "items", WAIT_MS);
    sidecar_expect(&pair.billing, "SELECT count(*) FROM keepstep_parked", "0\n");
    if (!process_wait_for(second.process, "item waits: it is being filled from shop", WAIT_MS) ||
        !process_wait_for(pair.billing.process, "item waits: it is being filled", WAIT_MS))
        test_fail("%s%s", process_errors(second.process), process_errors(pair.billing.process));
    sidecar_stop(&second);
    sidecar_stop(&pair.billing);
    sidecar_stop(&pair.shop);
}

/* Of a copy that is complete: an agent that joins, or is gone, does not matter to it. */
static void expect_compared(const struct pair *pair)
{
    const struct sidecar *all[] = {&pair->shop, &pair->billing, NULL};
    struct process_result result = VERIFY(all, "item", "--json");
    if (result.exit_code != EX_OK)
        test_fail("exit code %d: %s%s", result.exit_code, result.output, result.errors);
}

/* The source stands still in the middle of the rows while another agent joins, or is lost. */
static void fill_in_a_rebalance(struct pair *pair, struct sidecar *second, bool joins)
{
    static int asked;
    const char *const argv[] = {KEEPSTEP_BINARY, "fill", "item",    "-c", pair->billing.config,
                                "--from",        "shop", "--again", NULL};
    sidecar_stop(&pair->shop);
    sidecar_start(&pair->shop, "fill_source_row:100:stop");
    struct process *command = process_start(test_format("fill-%d", ++asked), argv, NULL);
    assert_true(process_wait_stopped(pair->shop.process, WAIT_MS));
    if (joins) {
        sidecar_start(second, NULL);
        assert_true(process_wait_for(second->process, "applying", WAIT_MS));
    } else {
        process_kill(second->process);
        clock_sleep_us(SESSION_US * 3 / 2);
    }
    process_signal(pair->shop.process, SIGCONT);
    if (process_wait(command, 2 * WAIT_MS) != EX_OK)
        test_fail("%s", process_errors(command));
    (void)sqlite_text(pair->shop.database, "UPDATE items SET amount = amount + 1 WHERE id % 9 = 0");
    sidecar_assert_equal(&pair->shop, &pair->billing, "items", WAIT_MS);
    sidecar_expect(&pair->billing, "SELECT stage FROM keepstep_fill", "done\n");
    sidecar_expect(&pair->billing, "SELECT count(*) FROM keepstep_parked", "0\n");
}

/* Interleaving 3, of a fill, and of a comparison behind it. */
static void agents_come_and_go_while_a_copy_is_filled_and_compared(void **state)
{
    (void)state;
    struct pair pair = {.kafka = kafka_start()};
    static const char two[] = "%s:\n  item: {table: items, partitions: 2}\n";
    pair.shop = sidecar_make(pair.kafka, "shop", SIDECAR_ITEM_DDL, test_format(two, "publish"));
    pair.billing = sidecar_make(pair.kafka, "billing", NULL, test_format(two, "apply"));
    sidecar_set_kafka(&pair.billing, "session.timeout.ms: 3000, heartbeat.interval.ms: 500");
    struct sidecar second = make_second(&pair.billing);
    sidecar_begin(&pair.shop);
    sidecar_begin(&pair.billing);
    write_both_partitions(&pair, 1, 200);
    sidecar_assert_equal(&pair.shop, &pair.billing, "items", WAIT_MS);
    fill_in_a_rebalance(&pair, &second, true);
    fill_in_a_rebalance(&pair, &second, false);
    sidecar_start(&second, NULL);
    for (int i = 0; i < 3; i++)
        expect_compared(&pair);
    sidecar_stop(&second);
    sidecar_stop(&pair.billing);
    expect_compared(&pair); /* its partitions are nobody's */
    sidecar_stop(&pair.shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(while_its_rows_come_a_copy_is_filling_for_everybody, 180),
        TEST_WITH_LIMIT(two_agents_of_a_copy_give_it_up_and_go_on_together, 180),
        TEST_WITH_LIMIT(agents_come_and_go_while_a_copy_is_filled_and_compared, 240),
        TEST_WITH_LIMIT(an_agent_that_comes_back_after_a_fill_writes_nothing_of_before, 180),
    };
    return TEST_RUN(tests);
}
