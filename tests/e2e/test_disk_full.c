/* The disk is full. The sidecars wait for space; nothing is parked and nothing is lost. */
#include "tests/support/load.h"
#include "tests/support/witness.h"

#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define PUBLISH_ITEMS "publish:\n  item: {table: items, partitions: 1}\n"
#define APPLY_ITEMS   "apply:\n  item: {table: items, partitions: 1}\n"

static void a_full_disk_is_waited_for_and_parks_nothing(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    const char *directory = test_directory();
    if (mount("tmpfs", directory, "tmpfs", 0, "size=8m") != 0)
        test_skip("a small tmpfs cannot be mounted here: %s", strerror(errno));
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    sidecar_init(&shop, NULL);
    sidecar_init(&billing, NULL);
    (void)sqlite_text(shop.database,
                      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<2000) "
                      "INSERT INTO items SELECT i, 'row', i FROM n");
    sidecar_start(&shop, NULL);
    assert_true(sqlite_wait_for(shop.database,
                                "SELECT acknowledged_sequence FROM keepstep_relay_partition",
                                "2000\n", 30000));
    sidecar_stop(&shop);
    (void)PROCESS_RUN("sh", "-c", test_format("cat /dev/zero >'%s/filler' 2>&1", directory));

    sidecar_start(&billing, NULL);
    sleep(4); /* its log is on the full disk too */
    bool full = PROCESS_RUN("sh", "-c",
                            test_format("head -c 100000 /dev/zero >'%s/probe' 2>&1", directory))
                    .exit_code != 0;
    bool waited = process_running(billing.process);
    (void)unlink(test_path("filler"));
    sidecar_assert_equal(&shop, &billing, "items", 30000);
    int64_t parked = sqlite_number(billing.database, "SELECT count(*) FROM keepstep_parked");
    process_kill(billing.process);
    (void)umount2(directory, MNT_DETACH);
    assert_true(full);
    assert_true(waited);
    assert_int_equal(parked, 0);
}

/* Only the service's database is on the small disk, so the service fails too. */
static void a_full_disk_of_a_service_is_waited_for_by_its_relay_and_loses_nothing(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    load_need("sqlite3");
    const char *small = test_path("small");
    assert_int_equal(mkdir(small, 0755), 0);
    if (mount("tmpfs", small, "tmpfs", 0, "size=8m") != 0)
        test_skip("a small tmpfs cannot be mounted here: %s", strerror(errno));
    struct sidecar shop = sidecar_make_on(kafka, "shop", test_format("sqlite:%s/shop.db", small),
                                          PUBLISH_ITEMS);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY_ITEMS);

    (void)sqlite_text(shop.database, SIDECAR_ITEM_DDL);
    sidecar_init(&shop, NULL);
    sidecar_init(&billing, NULL);
    witness_begin(&shop);
    witness_begin(&billing);
    sidecar_start(&shop, NULL);
    sidecar_start(&billing, NULL);
    struct process *load = witness_load(&shop, "load", 0, 3000);
    (void)witness_next_us(&billing, 50, 20000);
    (void)PROCESS_RUN("sh", "-c", test_format("cat /dev/zero >'%s/filler' 2>&1", small));
    bool told = process_wait_for(shop.process, "full", 20000);
    bool refused = process_wait_for(load, "full", 20000); /* the relay may be first */
    bool writing = process_running(load);
    (void)unlink(test_format("%s/filler", small));
    (void)load_client_end(load, 60000);
    bool waited = process_running(shop.process);
    if (waited) {
        (void)witness_assert_log(kafka, &shop);
        witness_assert_copy(kafka, &shop, &billing);
        sidecar_stop(&shop);
    }
    sidecar_stop(&billing);
    (void)umount2(small, MNT_DETACH);
    if (!told || !waited)
        test_fail("the relay: %s", process_errors(shop.process));
    assert_true(writing);
    assert_true(refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_full_disk_is_waited_for_and_parks_nothing, 120),
        TEST_WITH_LIMIT(a_full_disk_of_a_service_is_waited_for_by_its_relay_and_loses_nothing, 150),
    };
    return TEST_RUN(tests);
}
