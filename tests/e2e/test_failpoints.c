/* SIGKILL at every step of relay and agent, then a restart: the copies end equal all the same. */
#include "common/failpoint.h"
#include "tests/support/sidecar.h"

#include <signal.h>

#define PUBLISH_ITEMS "publish:\n  item: {table: items, partitions: 2}\n"
#define APPLY_ITEMS   "apply:\n  item: {table: items, partitions: 2}\n"

/* These need a parked or a stopped partition; tests of their own reach them. */
static bool reached_by_the_main_path(const char *name)
{
    return strcmp(name, "agent_parked_before_commit") != 0 &&
           strcmp(name, "agent_stop_recorded") != 0 && strcmp(name, "relay_after_purge") != 0;
}

static void write_some(const struct sidecar *shop, int first_id)
{
    for (int i = 0; i < 5; i++)
        (void)sqlite_format(shop->database,
                            "INSERT INTO items VALUES(%d,'x',0);"
                            "UPDATE items SET amount=amount+1 WHERE id<=%d;"
                            "DELETE FROM items WHERE id=%d;",
                            first_id + i, first_id + i, first_id - 7);
}

static void every_failpoint_fires_and_the_copies_end_equal(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);
    int id = 1;

    sidecar_init(&shop, NULL);
    sidecar_init(&billing, NULL);
    for (size_t i = 0; i < FAILPOINT_COUNT; i++) {
        const char *name = failpoint_names[i];
        if (!reached_by_the_main_path(name))
            continue;
        bool relay = strncmp(name, "relay", 5) == 0;
        struct sidecar *victim = relay ? &shop : &billing;
        struct sidecar *other = relay ? &billing : &shop;
        sidecar_start(other, NULL);
        sidecar_start(victim, name);
        write_some(&shop, id);
        id += 5;
        int code = process_wait(victim->process, 30000);
        if (code != 128 + SIGKILL)
            test_fail("failpoint %s did not fire (%d): %s", name, code,
                      process_errors(victim->process));
        sidecar_start(victim, NULL);
        write_some(&shop, id);
        id += 5;
        sidecar_assert_equal(&shop, &billing, "items", 30000);
        sidecar_stop(victim);
        sidecar_stop(other);
    }
    assert_int_equal(sqlite_number(billing.database, "SELECT count(*) FROM keepstep_parked"), 0);
    assert_int_equal(
        sqlite_number(shop.database, "SELECT count(*) FROM outbox WHERE sequence IS NULL"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(every_failpoint_fires_and_the_copies_end_equal, 400),
    };
    return TEST_RUN(tests);
}
