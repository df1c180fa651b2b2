/* A new peer begins as a backup of another peer's database, taken while that one runs: it goes on
 * from the position in the backup, and ends equal. So docs/OPERATIONS.md tells it. */
#include "tests/support/database.h"
#include "tests/support/load.h"
#include "tests/support/verify.h"

#include <stdio.h>
#include <sysexits.h>

#define PUBLISH_ITEMS "publish:\n  item: {table: items, partitions: 2}\n"
#define APPLY_ITEMS   "apply:\n  item: {table: items, partitions: 2}\n"
#define COPY_ID       "SELECT value FROM keepstep_meta WHERE %s = 'copy_id'"

static void write_items(const struct sidecar *shop, int first_id, int count)
{
    for (int id = first_id; id < first_id + count; id++)
        (void)sqlite_format(shop->database,
                            "INSERT INTO items VALUES(%d,'x',0);"
                            "UPDATE items SET amount=amount+1 WHERE id%%3=%d%%3;"
                            "DELETE FROM items WHERE id=%d-2 AND id%%5=0;",
                            id, id, id);
}

static const char *name_of(const char *url)
{
    return strrchr(url, '/') + 1;
}

static const char *mariadb_program(const char *program, const char *url)
{
    const char *port = strrchr(url, ':') + 1;
    return test_format("%s --no-defaults --protocol=tcp --host=localhost --user=root --port=%.*s "
                       "--default-character-set=utf8mb4",
                       program, (int)strcspn(port, "/"), port);
}

/* Reads the one database in one snapshot, and writes the other. */
static void copy_database(enum database_kind kind, const char *from, const char *to)
{
    const char *const scripts[] = {
        [DATABASE_SQLITE] = test_format("rm -f '%s'; sqlite3 '%s' \".timeout 20000\" \".backup "
                                        "'%s'\"",
                                        to + strlen("sqlite:"), from + strlen("sqlite:"),
                                        to + strlen("sqlite:")),
        [DATABASE_POSTGRESQL] = test_format("pg_dump -d '%s' | psql -X -q -v ON_ERROR_STOP=1 "
                                            "-d '%s' > /dev/null",
                                            from, to),
        [DATABASE_MARIADB] = test_format("%s --single-transaction --routines %s | %s %s",
                                         mariadb_program("mariadb-dump", from), name_of(from),
                                         mariadb_program("mariadb", to), name_of(to))};
    struct process_result result = PROCESS_RUN("sh", "-c", scripts[kind]);
    if (result.exit_code != 0 || strstr(result.errors, "rror") != NULL)
        test_fail("%s: %d: %s", scripts[kind], result.exit_code, result.errors);
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
    copy_database(kind, url, copied);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_backup_of_a_peer_becomes_a_new_peer_in_sqlite, 120),
        TEST_WITH_LIMIT(a_backup_of_a_peer_becomes_a_new_peer_in_postgresql, 120),
        TEST_WITH_LIMIT(a_backup_of_a_peer_becomes_a_new_peer_in_mariadb, 120),
    };
    return TEST_RUN(tests);
}
