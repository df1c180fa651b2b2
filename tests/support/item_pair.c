/* A service on a server that publishes its table "items", and a copy of it in SQLite. */
#include "tests/support/item_pair.h"

#include "tests/support/sql.h"

struct item_pair item_pair_make(enum database_kind kind, const char *ddl, const char *before)
{
    struct item_pair pair = {.url = database_make(kind, "shop")};
    struct kafka *kafka = kafka_start();
    pair.shop = sidecar_make_on(kafka, "shop", pair.url,
                                "publish:\n  item: {table: items, partitions: 2}\n");
    pair.billing = sidecar_make(kafka, "billing", NULL,
                                "apply:\n  item: {table: items, partitions: 2}\n");
    (void)database_text(pair.url, ddl);
    (void)database_text(pair.url, before);
    sidecar_init(&pair.shop, NULL);
    sidecar_init(&pair.billing, NULL);
    return pair;
}

void item_pair_start(struct item_pair *pair)
{
    sidecar_start(&pair->shop, NULL);
    sidecar_start(&pair->billing, NULL);
}

void item_pair_stop(struct item_pair *pair)
{
    sidecar_stop(&pair->shop);
    sidecar_stop(&pair->billing);
}

void item_pair_assert_equal(const struct item_pair *pair, int64_t limit_ms)
{
    static const char rows[] = "SELECT id, name, amount FROM items ORDER BY id";
    const char *expected = database_text(pair->url, rows);
    if (!sqlite_wait_for(pair->billing.database, rows, expected, limit_ms))
        test_fail("billing has %.2000s\nshop says %s\nbilling says %s",
                  sqlite_text(pair->billing.database, rows), process_errors(pair->shop.process),
                  process_errors(pair->billing.process));
}
