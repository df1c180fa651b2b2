/* Runs a relay whose outbox calls go through functions of the test, and writes what it finds. */
#include "tests/support/relay_watched.h"

#include "tests/support/database.h"

#include "producer/relay/internal.h"

#include <string.h>

#define LIMIT_MS 120000

const struct outbox_ops *relay_watched_ops;

static void (*change_ops)(struct outbox_ops *ops);

static void *run_relay(void *context)
{
    struct relay_shop *shop = context;
    const struct entity_schema *schemas[] = {shop->schema, shop->schema, NULL};
    const struct relay_options options = {
        .config = &shop->config, .schemas = schemas, .metrics = &shop->metrics};
    struct relay *relay = NULL;
    struct outbox_ops ops;
    shop->status = relay_new(&options, &relay, &shop->err);
    if (shop->status == STATUS_OK) {
        relay->outbox = outbox_case_open("1");
        relay_watched_ops = relay->outbox->ops;
        ops = *relay_watched_ops;
        change_ops(&ops);
        relay->outbox->ops = &ops;
        relay_set_state(relay, RELAY_WITHOUT_LEASE);
        shop->status = relay_run(relay, &shop->stop, &shop->err);
    }
    relay_free(relay);
    return NULL;
}

void relay_watched_start(struct relay_shop *shop, void (*change)(struct outbox_ops *ops))
{
    change_ops = change;
    assert_int_equal(pthread_create(&shop->thread, NULL, run_relay, shop), 0);
}

void relay_watched_write(int first, int count, const char *changeset)
{
    const char *product = outbox_case_product->name;
    const char *numbers =
        strcmp(product, "mariadb") == 0 ? "SELECT seq AS i FROM seq_%d_to_%d"
        : strcmp(product, "postgresql") == 0
            ? "SELECT i FROM generate_series(%d, %d) AS g(i)"
            : "WITH RECURSIVE g(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM g WHERE i < %d) "
              "SELECT i FROM g";
    (void)outbox_case_ask(test_format(
        "INSERT INTO outbox (aggregatetype, aggregateid, type, payload, changeset) SELECT 'order', "
        "'{\"id\":' || i || '}', 'order.updated', '{\"op\":\"u\",\"before\":null,\"after\":{"
        "\"id\":' || i || ',\"name\":\"x\"}}', '%s' FROM (%s) AS n ORDER BY i",
        changeset, test_format(numbers, first, first + count - 1)));
}

void relay_watched_give_entity(int position, int of)
{
    (void)outbox_case_ask(
        test_format("UPDATE outbox SET aggregateid = '{\"id\":%d}', payload = replace(payload, "
                    "'\"id\":%d,', '\"id\":%d,') WHERE position = %d",
                    of, position, of, position));
}

void relay_watched_expect(const struct relay_shop *shop, const char *sql, const char *rows)
{
    if (!database_wait_for(outbox_case_url, sql, rows, LIMIT_MS))
        test_fail("%s is %s, not %s: %s", sql, outbox_case_ask(sql), rows, shop->err.text);
}

void relay_watched_expect_order(void)
{
    assert_string_equal(
        outbox_case_ask("SELECT count(*) FROM (SELECT sequence, lag(sequence) OVER (PARTITION BY "
                        "aggregatetype, aggregateid ORDER BY position) AS earlier FROM outbox) AS "
                        "t WHERE sequence < earlier OR sequence IS NULL"),
        "0\n");
}
