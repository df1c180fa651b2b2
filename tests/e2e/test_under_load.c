/* What breaks while a service writes: what the copy's own triggers saw is the witness that no event
 * was applied twice and no row set back. */
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

/* Rule 8. The rows that are written here beside the load are there to be applied when it ends. */
static void a_killed_agent_applies_again_within_two_seconds(void **state)
{
    enum { KILLS = 8, LIMIT_US = 2000000 };
    (void)state;
    struct pair pair = pair_begin();
    unsigned seed = 3;
    int64_t longest = 0;

    struct process *load = witness_load(&pair.shop, "load", 0, 3000);
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
    witness_load_end(load);
    assert_int_equal(witness_assert_log(pair.kafka, &pair.shop), 0);
    witness_assert_copy(pair.kafka, &pair.shop, &pair.billing);
    assert_true(longest < LIMIT_US);
    sidecar_stop(&pair.billing);
    sidecar_stop(&pair.shop);
}

/* Holds the only write lock of a database; "held" is its output from then on. */
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

    struct process *load = witness_load(&pair.shop, "load", 0, 2000);
    (void)witness_next_us(&pair.billing, 50, 20000);
    struct process *holder = lock_for(&pair.shop, LEASE_S + 2);
    if (!process_wait_for(pair.shop.process, "locked|busy", 12000))
        test_fail("the relay met no lock: %s", process_errors(pair.shop.process));
    assert_true(process_running(load));
    assert_int_equal(process_wait(holder, 30000), 0);
    witness_load_end(load);
    (void)witness_assert_log(pair.kafka, &pair.shop);
    witness_assert_copy(pair.kafka, &pair.shop, &pair.billing);
    sidecar_stop(&pair.billing);
    sidecar_stop(&pair.shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_killed_agent_applies_again_within_two_seconds, 180),
        TEST_WITH_LIMIT(a_service_database_locked_for_longer_than_the_lease_is_waited_for, 180),
    };
    return TEST_RUN(tests);
}
