/* A copy of a database goes on from the position that is in it, as docs/OPERATIONS.md tells: a
 * backup of a running peer becomes a new peer, and a service moves to another host. */
#include "tests/support/database.h"
#include "tests/support/load.h"
#include "tests/support/verify.h"

#include <stdio.h>
#include <sysexits.h>

#define PUBLISH_ITEMS "publish:\n  item: {table: items, partitions: 2}\n"
#define APPLY_ITEMS   "apply:\n  item: {table: items, partitions: 2}\n"
#define MOVED_ENTRIES PUBLISH_ITEMS "apply:\n  extra: {table: extras}\n"
#define MOVED_EXTRA_DDL                                                                            \
    "CREATE TABLE extras(id INTEGER PRIMARY KEY, name TEXT NOT NULL, amount INTEGER);"
#define COPY_ID "SELECT value FROM keepstep_meta WHERE %s = 'copy_id'"

static void write_items(const struct sidecar *shop, int first_id, int count)
{
    for (int id = first_id; id < first_id + count; id++)
        (void)sqlite_format(shop->database,
                            "INSERT INTO items VALUES(%d,'x',0);"
                            "UPDATE items SET amount=amount+1 WHERE id%%3=%d%%3;"
                            "DELETE FROM items WHERE id=%d-2 AND id%%5=0;",
                            id, id, id);
}

static void a_backup_of_a_peer_becomes_a_new_peer(enum database_kind kind)
{
    load_need("sqlite3");
    load_need(kind == DATABASE_MARIADB ? "mariadb-dump" : "pg_dump");
    struct kafka *kafka = kafka_start();
    struct sidecar shop = sidecar_make(kafka, "shop", SIDECAR_ITEM_DDL, PUBLISH_ITEMS);
    const char *url = database_make(kind, "billing");
    (void)database_text(url, SIDECAR_ITEM_DDL);
    struct sidecar billing = sidecar_make_on(kafka, "billing", url, APPLY_ITEMS);
    sidecar_begin(&shop);
    sidecar_begin(&billing);
    write_items(&shop, 1, 50);
    sidecar_assert_equal(&shop, &billing, "items", 30000);
    write_items(&shop, 100, 50);
    const char *copied = database_make(kind, "archive");
    database_copy(kind, url, copied);
    write_items(&shop, 200, 50);

    struct sidecar archive = sidecar_make_on(kafka, "archive", copied, APPLY_ITEMS);
    sidecar_init(&archive, "--new-copy");
    const char *copy_id = test_format(COPY_ID, kind == DATABASE_MARIADB ? "`key`" : "key");
    assert_string_not_equal(database_text(url, copy_id), database_text(copied, copy_id));
    sidecar_start(&archive, NULL);
    write_items(&shop, 300, 50);
    const struct sidecar *const publishers[] = {&shop, NULL};
    const struct sidecar *const appliers[] = {&billing, &archive, NULL};
    load_settle(kafka, "item", publishers, appliers, 60000);
    const struct sidecar *const three[] = {&shop, &billing, &archive, NULL};
    struct process_result result = VERIFY(three, "item", "--json");
    if (result.exit_code != EX_OK || verify_count(&result, "equal") != 2)
        test_fail("exit code %d: %s%s", result.exit_code, result.output, result.errors);
    sidecar_stop(&archive);
    sidecar_stop(&billing);
    sidecar_stop(&shop);
}

static void a_backup_of_a_peer_becomes_a_new_peer_in_sqlite(void **state)
{
    (void)state;
    a_backup_of_a_peer_becomes_a_new_peer(DATABASE_SQLITE);
}

static void a_backup_of_a_peer_becomes_a_new_peer_in_postgresql(void **state)
{
    (void)state;
    a_backup_of_a_peer_becomes_a_new_peer(DATABASE_POSTGRESQL);
}

static void a_backup_of_a_peer_becomes_a_new_peer_in_mariadb(void **state)
{
    (void)state;
    a_backup_of_a_peer_becomes_a_new_peer(DATABASE_MARIADB);
}

/* The same service with another database: its copy keeps its id, its outbox its history. */
static struct sidecar move(struct kafka *kafka, const struct sidecar *service,
                           enum database_kind kind)
{
    const char *url = database_make(kind, "moved");
    database_copy(kind, service->url, url);
    struct sidecar moved = sidecar_make_on(kafka, "moved", url, MOVED_ENTRIES);
    const char *config = test_read_file(moved.config);
    const char *rest = strstr(config, "service: moved\n");
    assert_non_null(rest);
    test_write_file(moved.config, test_format("%.*sservice: %s\n%s", (int)(rest - config), config,
                                              service->name, rest + strlen("service: moved\n")));
    sidecar_grant(&moved);
    return moved;
}

static void expect_extras(const struct sidecar *service, const char *rows)
{
    const char *sql = "SELECT id, name FROM extras ORDER BY id";
    if (!database_wait_for(service->url, sql, rows, 20000))
        test_fail("%s has %s", service->name, database_text(service->url, sql));
}

static void a_service_moves_to_another_database(enum database_kind kind)
{
    load_need("sqlite3");
    load_need(kind == DATABASE_MARIADB ? "mariadb-dump" : "pg_dump");
    struct kafka *kafka = kafka_start();
    const char *url = database_make(kind, "shop");
    (void)database_text(url, SIDECAR_ITEM_DDL MOVED_EXTRA_DDL);
    struct sidecar shop = sidecar_make_on(kafka, "shop", url, MOVED_ENTRIES);
    struct sidecar billing = sidecar_make(kafka, "billing", SIDECAR_ITEM_DDL MOVED_EXTRA_DDL,
                                          "publish:\n  extra: {table: extras}\n" APPLY_ITEMS);
    sidecar_begin(&shop);
    sidecar_begin(&billing);
    (void)database_text(url, "INSERT INTO items VALUES(1,'x',0)");
    (void)sqlite_text(billing.database, "INSERT INTO extras VALUES(1,'y',0)");
    sidecar_expect(&billing, "SELECT id, name FROM items", "1|x\n");
    expect_extras(&shop, "1|y\n");
    sidecar_stop(&shop);
    (void)database_text(url, "INSERT INTO items VALUES(2,'waits in the outbox',0)");
    (void)sqlite_text(billing.database, "INSERT INTO extras VALUES(2,'written meanwhile',0)");

    struct sidecar moved = move(kafka, &shop, kind);
    sidecar_start(&moved, NULL);
    (void)database_text(moved.url, "INSERT INTO items VALUES(3,'new place',0)");
    sidecar_expect(&billing, "SELECT id, name FROM items ORDER BY id",
                   "1|x\n2|waits in the outbox\n3|new place\n");
    expect_extras(&moved, "1|y\n2|written meanwhile\n");
    sidecar_stop(&moved);
    sidecar_stop(&billing);
}

static void a_service_moves_to_another_file(void **state)
{
    (void)state;
    a_service_moves_to_another_database(DATABASE_SQLITE);
}

static void a_service_moves_to_another_postgresql(void **state)
{
    (void)state;
    a_service_moves_to_another_database(DATABASE_POSTGRESQL);
}

static void a_service_moves_to_another_mariadb(void **state)
{
    (void)state;
    a_service_moves_to_another_database(DATABASE_MARIADB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_service_moves_to_another_file, 120),
        TEST_WITH_LIMIT(a_service_moves_to_another_postgresql, 120),
        TEST_WITH_LIMIT(a_service_moves_to_another_mariadb, 120),
        TEST_WITH_LIMIT(a_backup_of_a_peer_becomes_a_new_peer_in_sqlite, 120),
        TEST_WITH_LIMIT(a_backup_of_a_peer_becomes_a_new_peer_in_postgresql, 120),
        TEST_WITH_LIMIT(a_backup_of_a_peer_becomes_a_new_peer_in_mariadb, 120),
    };
    return TEST_RUN(tests);
}
