/* A full disk is waited for: nothing is parked, nothing is lost. */
#include "tests/support/sidecar.h"

#include <errno.h>
#include <sys/mount.h>
#include <unistd.h>

static void a_full_disk_is_waited_for_and_parks_nothing(void **state)
{
    (void)state;
    struct kafka *kafka = kafka_start();
    const char *directory = test_directory();
    if (mount("tmpfs", directory, "tmpfs", 0, "size=8m") != 0)
        test_skip("a small tmpfs cannot be mounted here: %s", strerror(errno));
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL,
                                       "publish:\n  item: {table: items, partitions: 1}\n");
    struct sidecar billing = sidecar_make(kafka, "billing", NULL,
                                          "apply:\n  item: {table: items, partitions: 1}\n");

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_full_disk_is_waited_for_and_parks_nothing, 120),
    };
    return TEST_RUN(tests);
}
