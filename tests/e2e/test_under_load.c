/* Something fails while a service writes. Triggers of the copy record each write. They prove that
 * no event was applied twice and no row got an older value. labels: alone */
#include "tests/support/load.h"
#include "tests/support/witness.h"

#include "common/clock.h"

#define PUBLISH_ITEMS "publish:\n  item: {table: items, partitions: 2}\n"
#define APPLY_ITEMS   "apply:\n  item: {table: items, partitions: 2}\n"

static struct pair {
    struct kafka *kafka;
    struct sidecar shop;
    struct sidecar billing;
} pair_begin(void)
{
    struct pair pair = {.kafka = kafka_start()};
    pair.shop = sidecar_make(pair.kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    pair.billing = sidecar_make(pair.kafka, "billing", NULL, APPLY_ITEMS);
    load_need("sqlite3");
    sidecar_init(&pair.shop, NULL);
    sidecar_init(&pair.billing, NULL);
    witness_begin(&pair.shop);
    witness_begin(&pair.billing);
    sidecar_start(&pair.shop, NULL);
    sidecar_start(&pair.billing, NULL);
    return pair;
}

/* Rule 8. The rows written here are still unapplied when the load ends. */
static void a_killed_agent_applies_again_within_two_seconds(void **state)
{
    enum { KILLS = 8, LIMIT_US = 2000000 };
    (void)state;
    struct pair pair = pair_begin();
    unsigned seed = 3;
    int64_t longest = 0;

    struct process *load = witness_load(&pair.shop, "load", 0, WITNESS_ENDLESS);
    (void)witness_next_us(&pair.billing, 0, 20000);
    for (int kill = 1; kill <= KILLS; kill++) {
        clock_sleep_us(50000 + load_random(&seed, 200000));
        assert_true(process_running(load));
        process_kill(pair.billing.process);
        (void)sqlite_format(pair.shop.database, "INSERT INTO items VALUES(%d,'beside',1)",
                            1000 + kill);
        int64_t seen = witness_count(&pair.billing);
        int64_t begun = clock_wall_us();
        sidecar_start(&pair.billing, NULL);
        int64_t taken = witness_next_us(&pair.billing, seen, 30000) - begun;
        longest = taken > longest ? taken : longest;
    }
    print_message("applied again after at most %lld ms\n", (long long)longest / 1000);
    witness_load_stop(load, "load");
    assert_int_equal(witness_assert_log(pair.kafka, &pair.shop), 0);
    witness_assert_copy(pair.kafka, &pair.shop, &pair.billing);
    assert_true(longest < LIMIT_US);
    sidecar_stop(&pair.billing);
    sidecar_stop(&pair.shop);
}

/* The broker is killed, then stopped cleanly. It is away longer than a request's retry and shorter
 * than a session. The relay may have to send some records twice. */
static void a_broker_that_goes_and_comes_back_costs_nothing(void **state)
{
    (void)state;
    struct pair pair = pair_begin();

    struct process *load = witness_load(&pair.shop, "load", 0, WITNESS_ENDLESS);
    for (int round = 0; round < 2; round++) {
        (void)witness_next_us(&pair.billing, witness_count(&pair.billing) + 50, 60000);
        if (round == 0)
            kafka_kill(pair.kafka);
        else
            kafka_stop(pair.kafka);
        assert_true(process_running(load));
        clock_sleep_us(3000000);
        kafka_start_again(pair.kafka);
    }
    (void)witness_next_us(&pair.billing, witness_count(&pair.billing) + 50, 60000);
    witness_load_stop(load, "load");
    print_message("%d records published twice\n", witness_assert_log(pair.kafka, &pair.shop));
    witness_assert_copy(pair.kafka, &pair.shop, &pair.billing);
    sidecar_stop(&pair.billing);
    sidecar_stop(&pair.shop);
}

/* Hold the only write lock of a database. The program prints "held" once it has it. */
static struct process *lock_for(const struct sidecar *service, int seconds)
{
    struct process *holder = process_start(
        "holder",
        (const char *const[]){
            "sh", "-c",
            test_format("(echo \"BEGIN IMMEDIATE; SELECT 'held';\"; sleep %d; echo 'COMMIT;') | "
                        "sqlite3 -cmd '.timeout 20000' '%s'",
                        seconds, service->database),
            NULL},
        NULL);
    if (!process_wait_for(holder, "^held$", 20000))
        test_fail("%s cannot be locked: %s", service->name, process_errors(holder));
    return holder;
}

static void a_service_database_locked_for_longer_than_the_lease_is_waited_for(void **state)
{
    enum { LEASE_S = 10 };
    (void)state;
    struct pair pair = pair_begin();

    struct process *load = witness_load(&pair.shop, "load", 0, WITNESS_ENDLESS);
    (void)witness_next_us(&pair.billing, 50, 20000);
    struct process *holder = lock_for(&pair.shop, LEASE_S + 2);
    if (!process_wait_for(pair.shop.process, "locked|busy", 12000))
        test_fail("the relay met no lock: %s", process_errors(pair.shop.process));
    assert_true(process_running(load));
    assert_int_equal(process_wait(holder, 30000), 0);
    (void)witness_next_us(&pair.billing, witness_count(&pair.billing) + 50, 60000);
    witness_load_stop(load, "load");
    (void)witness_assert_log(pair.kafka, &pair.shop);
    witness_assert_copy(pair.kafka, &pair.shop, &pair.billing);
    sidecar_stop(&pair.billing);
    sidecar_stop(&pair.shop);
}

/* @return the longest statement of an sqlite3 with ".timer on", in milliseconds. */
/* @return how many of a client's statements took longer than `limit_ms`. */
static size_t statements_over(const struct process *client, double limit_ms, double *ret_longest_ms)
{
    size_t count = 0;
    const char *at = process_output(client);
    *ret_longest_ms = 0;
    while ((at = strstr(at, "Run Time: real ")) != NULL) {
        at += strlen("Run Time: real ");
        double taken = strtod(at, NULL) * 1000;
        *ret_longest_ms = taken > *ret_longest_ms ? taken : *ret_longest_ms;
        count += taken > limit_ms;
    }
    return count;
}

/* Rule 19: beside an outbox the agent's transactions are short, with a pause between them. */
static void a_service_that_writes_beside_a_backlog_has_no_failed_statement(void **state)
{
    enum { BACKLOG = 150000, TRANSACTIONS = 1000, BESIDE = 10, LIMIT_MS = 2000 };
    (void)state;
    struct kafka *kafka = kafka_start();
    load_need("sqlite3");
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(
        kafka, "billing",
        "CREATE TABLE extras(id INTEGER PRIMARY KEY, "
        "name TEXT NOT NULL, amount INTEGER);",
        "publish:\n  extra: {table: extras, partitions: 1}\n" APPLY_ITEMS);
    struct buffer script;
    sidecar_begin(&shop);
    sidecar_init(&billing, NULL);
    witness_begin(&billing);
    (void)sqlite_format(shop.database,
                        "WITH n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<%d) "
                        "INSERT INTO items SELECT i,'backlog',1 FROM n",
                        BACKLOG);
    const char *acknowledged = "SELECT sum(acknowledged_sequence) FROM keepstep_relay_partition";
    assert_true(sqlite_wait_for(shop.database, acknowledged, test_format("%d\n", BACKLOG), 60000));

    buffer_init(&script, (size_t)1024 * 1024);
    buffer_append_text(&script, ".timeout 5000\n.timer on\n");
    for (int i = 1; i <= TRANSACTIONS; i++)
        buffer_append_format(&script,
                             "BEGIN IMMEDIATE; INSERT INTO extras VALUES(%d,'beside',"
                             "(julianday('now') - 2440587.5) * 86400e6); COMMIT;\n"
                             ".shell sleep 0.001\n",
                             i);
    struct process *service = load_client("service", billing.url, &script);
    sidecar_start(&billing, NULL);
    buffer_done(&script);
    if (load_client_end(service, 60000) > 0)
        test_fail("statements failed: %.2000s", process_errors(service));
    sidecar_assert_equal(&shop, &billing, "items", 60000);
    int64_t beside = sqlite_number(billing.database,
                                   "SELECT count(*) FROM extras "
                                   "WHERE amount BETWEEN (SELECT min(at_us) FROM witness) "
                                   "AND (SELECT max(at_us) FROM witness)");
    double longest_ms = 0;
    size_t over = statements_over(service, LIMIT_MS, &longest_ms);
    print_message("%lld transactions beside the backlog, the longest statement took %.1f ms\n",
                  (long long)beside, longest_ms);
    assert_true(beside >= BESIDE);
    /* SQLite's lock has no queue: a waiting writer tries again every 100 ms, and may have bad luck.
     */
    assert_in_range(over, 0, 1);
    sidecar_stop(&billing);
    sidecar_stop(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_killed_agent_applies_again_within_two_seconds, 180),
        TEST_WITH_LIMIT(a_broker_that_goes_and_comes_back_costs_nothing, 240),
        TEST_WITH_LIMIT(a_service_database_locked_for_longer_than_the_lease_is_waited_for, 180),
        TEST_WITH_LIMIT(a_service_that_writes_beside_a_backlog_has_no_failed_statement, 180),
    };
    return TEST_RUN(tests);
}
