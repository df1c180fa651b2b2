/* A repair ends although the log moves as fast as it is read: it is followed, not read anew (rule
 * 43). The service writes thousands of events a second meanwhile. */
#include "tests/support/load.h"
#include "tests/support/repair.h"
#include "tests/support/verify.h"

#include "common/clock.h"

#include <stdio.h>
#include <sysexits.h>

#define PUBLISH    "publish:\n  item: {table: items, partitions: 2}\n"
#define APPLY      "apply:\n  item: {table: items, partitions: 2}\n"
#define ROWS       1000 /* that change all the time, in one transaction */
#define PAUSE_MS   100
#define ROUNDS     1000 /* more than there is time for: the writer is ended */
#define REPAIRS    2
#define SCRIPT_MAX ((size_t)1024 * 1024)

static struct process *write_hot_rows(const struct sidecar *shop)
{
    struct buffer script;
    buffer_init(&script, SCRIPT_MAX);
    for (int i = 0; i < ROUNDS; i++)
        buffer_append_format(&script,
                             "UPDATE items SET amount = amount + 1 WHERE id <= %d;\n"
                             ".shell sleep %d.%03d\n",
                             ROWS, PAUSE_MS / 1000, PAUSE_MS % 1000);
    struct process *writer = load_client("writer", shop->url, &script);
    buffer_done(&script);
    return writer;
}

static void a_repair_ends_beside_thousands_of_events_a_second(void **state)
{
    (void)state;
    load_need("sqlite3");
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH);
    struct sidecar billing = sidecar_make(kafka, "billing", NULL, APPLY);
    const struct sidecar *const both[] = {&shop, &billing, NULL};
    const struct sidecar *const publishers[] = {&shop, NULL};
    const struct sidecar *const appliers[] = {&billing, NULL};
    sidecar_begin(&shop);
    sidecar_begin(&billing);
    (void)sqlite_format(shop.database,
                        "WITH n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<%d) "
                        "INSERT INTO items SELECT i, 'hot', 0 FROM n",
                        ROWS);
    (void)sqlite_text(shop.database, "INSERT INTO items VALUES (100001, 'cold', 1), "
                                     "(100002, 'cold', 2), (100003, 'cold', 3)");
    load_settle(kafka, "item", publishers, appliers, 60000);
    struct process *writer = write_hot_rows(&shop);
    int64_t longest_us = 0;
    for (int i = 0; i < REPAIRS; i++) {
        (void)sqlite_text(billing.database, "UPDATE items SET amount = 99 WHERE id = 100001;"
                                            "DELETE FROM items WHERE id = 100002;"
                                            "INSERT INTO items VALUES (100009, 'planted', 0)");
        int64_t begun_us = clock_monotonic_us();
        struct process_result result = REPAIR(&billing, &shop, "item");
        int64_t took_us = clock_monotonic_us() - begun_us;
        longest_us = took_us > longest_us ? took_us : longest_us;
        static const char *const words[] = {"{\"id\":100001} repaired", "{\"id\":100002} created",
                                            "{\"id\":100009} deleted"};
        for (size_t k = 0; k < sizeof words / sizeof *words; k++) {
            if (strstr(repair_entities(&result), words[k]) == NULL)
                test_fail("no %s: exit code %d: %s%s", words[k], result.exit_code, result.output,
                          result.errors);
        }
    }
    assert_true(process_running(writer));
    int64_t events = sidecar_records(kafka, "item");
    process_kill(writer);
    print_message("%lld events in the log at the last repair; the longest took %.1f s\n",
                  (long long)events, (double)longest_us / 1e6);
    load_settle(kafka, "item", publishers, appliers, 120000);
    struct process_result result = VERIFY(both, "--json");
    assert_int_equal(result.exit_code, EX_OK);
    sidecar_stop(&billing);
    sidecar_stop(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_repair_ends_beside_thousands_of_events_a_second, 400),
    };
    return TEST_RUN(tests);
}
