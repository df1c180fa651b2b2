/* Fills over Kafka, which nobody asks for: a copy whose topic has lost its beginning, or that is
 * always filled, takes the rows of another one, whoever is killed meanwhile (rules 38 to 42). */
#include "tests/support/database.h"
#include "tests/support/load.h"
#include "tests/support/sidecar.h"

#define SHOP  "publish:\n  item: {table: items, partitions: 2}\n"
#define COPY  "apply:\n  item: {table: items}\n"
#define STAGE "SELECT stage FROM keepstep_fill"
#define ROWS  300

static const char *const ddl[] = {
    [DATABASE_SQLITE] = SIDECAR_ITEM_DDL,
    [DATABASE_POSTGRESQL] = "CREATE TABLE items (id bigint PRIMARY KEY, name text NOT NULL, "
                            "amount bigint)",
    [DATABASE_MARIADB] = "CREATE TABLE items (id BIGINT PRIMARY KEY, name VARCHAR(100) CHARACTER "
                         "SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL, amount BIGINT)"};

static void expect(const struct sidecar *service, const char *sql, const char *rows)
{
    if (!database_wait_for(service->url, sql, rows, 40000))
        test_fail("%s at %s: %s", sql, service->name, database_text(service->url, sql));
}

struct world {
    struct kafka *kafka;
    struct sidecar shop;
    struct sidecar billing;
};

static void write_rows(const struct world *world, int from, int count)
{
    for (int i = from; i < from + count; i += 100) {
        const char *values = "";
        for (int id = i; id < i + 100 && id < from + count; id++)
            values = test_format("%s%s(%d, 'n%d', %d)", values, id == i ? "" : ",", id, id, id);
        (void)database_text(world->shop.url, test_format("INSERT INTO items VALUES %s", values));
    }
}

/* The shop has published its rows and changed some; the log has lost its beginning. */
static void world_begin(struct world *world, enum database_kind kind)
{
    world->kafka = kafka_start();
    world->shop = sidecar_make_on(world->kafka, "shop", database_make(kind, "shop"), SHOP);
    (void)database_text(world->shop.url, ddl[kind]);
    sidecar_begin(&world->shop);
    write_rows(world, 1, ROWS);
    const struct sidecar *const publishers[] = {&world->shop, NULL};
    const struct sidecar *const nobody[] = {NULL};
    load_settle(world->kafka, "item", publishers, nobody, 30000);
    kafka_trim(world->kafka, sidecar_topic("item"), 0, 20);
    kafka_trim(world->kafka, sidecar_topic("item"), 1, 20);
}

static void a_copy_that_comes_late_is_filled_by_itself(enum database_kind of_shop,
                                                       enum database_kind of_billing)
{
    struct world world;
    world_begin(&world, of_shop);
    world.billing = sidecar_make_on(world.kafka, "billing", database_make(of_billing, "billing"),
                                    COPY);
    (void)database_text(world.billing.url, ddl[of_billing]);
    sidecar_begin(&world.billing);
    sidecar_assert_equal(&world.shop, &world.billing, "items", 60000);
    expect(&world.billing, STAGE, "done\n");
    (void)database_text(world.shop.url, "UPDATE items SET name = 'late' WHERE id = 7;"
                                        "DELETE FROM items WHERE id = 8");
    sidecar_assert_equal(&world.shop, &world.billing, "items", 30000);
    expect(&world.billing, "SELECT count(*) FROM keepstep_parked", "0\n");
    sidecar_stop(&world.billing);
    sidecar_stop(&world.shop);
}

static void sqlite_is_filled_from_postgresql(void **state)
{
    (void)state;
    a_copy_that_comes_late_is_filled_by_itself(DATABASE_POSTGRESQL, DATABASE_SQLITE);
}

static void postgresql_is_filled_from_mariadb(void **state)
{
    (void)state;
    a_copy_that_comes_late_is_filled_by_itself(DATABASE_MARIADB, DATABASE_POSTGRESQL);
}

static void mariadb_is_filled_from_sqlite(void **state)
{
    (void)state;
    a_copy_that_comes_late_is_filled_by_itself(DATABASE_SQLITE, DATABASE_MARIADB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(mariadb_is_filled_from_sqlite, 120),
        TEST_WITH_LIMIT(sqlite_is_filled_from_postgresql, 120),
        TEST_WITH_LIMIT(postgresql_is_filled_from_mariadb, 120),
    };
    return TEST_RUN(tests);
}
