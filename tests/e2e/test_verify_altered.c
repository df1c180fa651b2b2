/* Tables that are altered just before they are compared, repaired or handed on, or while somebody
 * waits for them: the snapshot is taken anew (rule 32). */
#include "tests/support/database.h"
#include "tests/support/fill.h"
#include "tests/support/load.h"
#include "tests/support/repair.h"
#include "tests/support/session.h"
#include "tests/support/verify.h"
#include "tests/support/verify_tables.h"

#include <sysexits.h>

#define PUBLISH "publish:\n  item: {table: items, partitions: 1}\n"
#define APPLY   "apply:\n  item: {table: items, partitions: 1}\n"
#define WAIT_MS 60000
#define ROUNDS  2 /* a table is not always altered in the second in which it is read */

static const char ddl[] = "CREATE TABLE items (id INTEGER PRIMARY KEY, name VARCHAR(100) NOT NULL, "
                          "amount INTEGER)";

/** How each kind of database gives a table another file or another definition. */
static const struct altering {
    const char *alter;
    const char *lock[2]; /* what keeps everybody from the table; NULL: no such statement */
    const char *unlock;
    const char *waiting; /* how many wait for it */
} altering[VERIFY_KINDS] = {
    [DATABASE_SQLITE] = {"CREATE INDEX again ON items(name); DROP INDEX again", {NULL}, NULL, NULL},
    [DATABASE_POSTGRESQL] = {"CLUSTER items USING items_pkey",
                             {"BEGIN", "LOCK TABLE items IN ACCESS EXCLUSIVE MODE"},
                             "COMMIT",
                             "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted "
                             "AND relation = 'items'::regclass"},
    [DATABASE_MARIADB] = {"ALTER TABLE items FORCE",
                          {"LOCK TABLES items WRITE"},
                          "UNLOCK TABLES",
                          "SELECT count(*) > 0 FROM information_schema.processlist "
                          "WHERE state LIKE 'Waiting for table metadata lock'"},
};

struct world {
    enum database_kind kind;
    struct kafka *kafka;
    struct sidecar shop;
    struct sidecar billing;
    const struct sidecar *all[3];
};

static void begin(struct world *world, enum database_kind kind)
{
    load_need("psql");
    load_need("mariadb");
    *world = (struct world){.kind = kind, .kafka = kafka_start()};
    const char *urls[] = {database_make(kind, "shop"), database_make(kind, "billing")};
    for (size_t i = 0; i < 2; i++)
        (void)database_text(urls[i], ddl);
    world->shop = sidecar_make_on(world->kafka, "shop", urls[0], PUBLISH);
    world->billing = sidecar_make_on(world->kafka, "billing", urls[1], APPLY);
    world->all[0] = &world->shop;
    world->all[1] = &world->billing;
    sidecar_begin(&world->shop);
    sidecar_begin(&world->billing);
    const struct sidecar *const publishers[] = {&world->shop, NULL};
    const struct sidecar *const appliers[] = {&world->billing, NULL};
    (void)database_text(world->shop.url, "INSERT INTO items VALUES (1,'a',1),(2,'b',2)");
    load_settle(world->kafka, "item", publishers, appliers, WAIT_MS);
}

static void end(struct world *world)
{
    sidecar_stop(&world->shop);
    sidecar_stop(&world->billing);
}

static void alter_all(const struct world *world)
{
    for (size_t i = 0; i < 2; i++)
        (void)database_text(world->all[i]->url, altering[world->kind].alter);
}

static void compare(const struct world *world)
{
    alter_all(world);
    struct process_result result = VERIFY(world->all, "--json");
    if (result.exit_code != EX_OK || verify_count(&result, "equal") != 1)
        test_fail("exit code %d: %s%s", result.exit_code, result.output, result.errors);
}

static void repair(const struct world *world)
{
    verify_write_silently(world->kind, world->billing.url, "items",
                          "UPDATE items SET name = 'z' WHERE id = 2");
    alter_all(world);
    struct process_result result = REPAIR(&world->billing, &world->shop, "item");
    assert_string_equal(repair_entities(&result), "{\"id\":2} repaired");
}

static void fill_from(const struct world *world, const struct sidecar *source, int round)
{
    const char *name = test_format("%s-%d", source == &world->shop ? "ware" : "archive", round);
    const char *url = database_make(DATABASE_SQLITE, name);
    struct sidecar copy = sidecar_make_on(world->kafka, name, url, APPLY);
    (void)database_text(url, ddl);
    sidecar_init(&copy, NULL);
    alter_all(world);
    struct process_result result = FILL_OK(&copy, source, "item");
    assert_int_equal(fill_number(&result, "rows"), 2);
    if (strstr(result.errors, "attempt") != NULL)
        test_fail("an attempt came to nothing: %s", result.errors);
}

static void tables_altered_a_moment_before_are_read(enum database_kind kind)
{
    struct world world;
    begin(&world, kind);
    for (int round = 0; round < ROUNDS; round++) {
        compare(&world);
        repair(&world);
        fill_from(&world, &world.shop, round);
        fill_from(&world, &world.billing, round);
    }
    end(&world);
}

static void tables_of_sqlite_altered_a_moment_before_are_read(void **state)
{
    (void)state;
    tables_altered_a_moment_before_are_read(DATABASE_SQLITE);
}

static void tables_of_postgresql_altered_a_moment_before_are_read(void **state)
{
    (void)state;
    tables_altered_a_moment_before_are_read(DATABASE_POSTGRESQL);
}

static void tables_of_mariadb_altered_a_moment_before_are_read(void **state)
{
    (void)state;
    tables_altered_a_moment_before_are_read(DATABASE_MARIADB);
}

/* The snapshot has begun when the first statement on the table has to wait. */
static void alter_while_it_is_waited_for(const struct world *world, const struct sidecar *service)
{
    const struct altering *how = &altering[world->kind];
    const char *const argv[] = {
        KEEPSTEP_BINARY,       "verify", "-c", world->all[0]->config, "--with",
        world->all[1]->config, "--json", NULL};
    struct session *session = session_open(service->url);
    for (size_t i = 0; i < 2 && how->lock[i] != NULL; i++)
        session_run(session, how->lock[i], NULL);
    struct process *verify = process_start(test_format("verify-%s", service->name), argv, NULL);
    if (!database_wait_for(service->url, how->waiting,
                           world->kind == DATABASE_POSTGRESQL ? "t\n" : "1\n", WAIT_MS))
        test_fail("%s%s", process_output(verify), process_errors(verify));
    session_run(session, how->alter, NULL);
    session_run(session, how->unlock, NULL);
    session_close(session);
    struct process_result result = {.exit_code = process_wait(verify, WAIT_MS),
                                    .output = process_output(verify),
                                    .errors = process_errors(verify)};
    if (result.exit_code != EX_OK || verify_count(&result, "equal") != 1)
        test_fail("%s: exit code %d: %s%s", service->name, result.exit_code, result.output,
                  result.errors);
}

static void a_table_that_is_altered_while_a_snapshot_waits_for_it_is_read(void **state)
{
    (void)state;
    for (int kind = DATABASE_POSTGRESQL; kind <= DATABASE_MARIADB; kind++) {
        struct world world;
        begin(&world, (enum database_kind)kind);
        alter_while_it_is_waited_for(&world, &world.shop);
        alter_while_it_is_waited_for(&world, &world.billing);
        end(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(tables_of_sqlite_altered_a_moment_before_are_read, 300),
        TEST_WITH_LIMIT(tables_of_postgresql_altered_a_moment_before_are_read, 300),
        TEST_WITH_LIMIT(tables_of_mariadb_altered_a_moment_before_are_read, 300),
        TEST_WITH_LIMIT(a_table_that_is_altered_while_a_snapshot_waits_for_it_is_read, 300),
    };
    return TEST_RUN(tests);
}
