/* `keepstep verify` while a relay, an agent or the comparison itself stands still in the middle of
 * something: what is under way is no difference, and a row that was changed by hand is one. */
#include "tests/support/database.h"
#include "tests/support/load.h"
#include "tests/support/verify.h"
#include "tests/support/verify_tables.h"

#include <signal.h>
#include <sysexits.h>

#define PUBLISH "publish:\n  item: {table: items, partitions: 1}\n"
#define APPLY   "apply:\n  item: {table: items, partitions: 1}\n"
#define WAIT_MS 120000

/* Of billing a database of each kind. */
static const char ddl[] = "CREATE TABLE items (id INTEGER PRIMARY KEY, name VARCHAR(100) NOT NULL, "
                          "amount INTEGER)";

struct world {
    struct kafka *kafka;
    struct sidecar shop;
    struct sidecar billing;
    const struct sidecar *all[3]; /* the reference first */
};

static void begin(struct world *world, enum database_kind billing, const char *entries)
{
    load_need("psql");
    load_need("mariadb");
    world->kafka = kafka_start();
    const char *url = database_make(billing, "billing");
    (void)database_text(url, ddl);
    world->shop = sidecar_make(world->kafka, "shop", ddl,
                               strcmp(entries, APPLY) == 0 ? PUBLISH : entries);
    world->billing = sidecar_make_on(world->kafka, "billing", url, entries);
    world->all[0] = &world->billing;
    world->all[1] = &world->shop;
    world->all[2] = NULL;
    sidecar_begin(&world->shop);
    sidecar_begin(&world->billing);
    (void)sqlite_text(world->shop.database,
                      "INSERT INTO items VALUES (1,'a',1),(2,'b',2),(3,'c',3),(4,'d',4),(5,'e',5)");
    sidecar_assert_equal(&world->shop, &world->billing, "items", WAIT_MS);
    sidecar_expect_published(&world->shop);
}

static void end(struct world *world)
{
    sidecar_stop(&world->shop);
    sidecar_stop(&world->billing);
}

static void change_by_hand(const struct world *world, enum database_kind kind, const char *name)
{
    verify_write_silently(kind, world->billing.url, "items",
                          test_format("UPDATE items SET name = '%s' WHERE id = 5", name));
}

/* All is published, read back and applied. */
static void settle(const struct world *world)
{
    sidecar_assert_equal(&world->shop, &world->billing, "items", WAIT_MS);
    sidecar_expect_published(&world->shop);
}

static void expect_equal(const struct world *world)
{
    struct process_result result = VERIFY(world->all, "--json");
    if (result.exit_code != EX_OK || verify_count(&result, "equal") != 1)
        test_fail("exit code %d: %s%s", result.exit_code, result.output, result.errors);
}

/* Where a process stops itself. */
struct point {
    const char *name;
    bool is_open; /* its own agent cannot have the changes yet */
};

/* Interleavings 2 and 3, both ways: the shop has changed rows and stands still. */
static void compare_at(struct world *world, const struct point *point, int round)
{
    sidecar_stop(&world->shop);
    (void)sqlite_format(world->shop.database,
                        "UPDATE items SET amount = %d WHERE id = 1;"
                        "DELETE FROM items WHERE id = %d;"
                        "INSERT INTO items VALUES (%d, 'new', 0)",
                        100 + round, 1000 + round - 1, 1000 + round);
    sidecar_start(&world->shop, test_format("%s:1:stop", point->name));
    if (!process_wait_stopped(world->shop.process, WAIT_MS))
        test_fail("%s was not passed: %s", point->name, process_errors(world->shop.process));
    change_by_hand(world, DATABASE_SQLITE, "planted");
    struct process_result result = VERIFY(world->all, "--json");
    const char *said = verify_copy(&result, "item", "shop");
    const char *left = verify_left(&result, "item");
    if (strcmp(said, "different: {\"id\":5} differs") != 0)
        test_fail("%s: \"%s\", left out: %s", point->name, said, left);
    if (point->is_open && (strstr(left, "{\"id\":1} ") == NULL ||
                           strstr(left, test_format("{\"id\":%d} ", 1000 + round)) == NULL))
        test_fail("%s: left out: %s", point->name, left);
    change_by_hand(world, DATABASE_SQLITE, "e");
    process_signal(world->shop.process, SIGCONT);
    settle(world);
    expect_equal(world);
}

static void a_change_on_its_way_through_log_and_back_is_no_difference(void **state)
{
    static const struct point points[] = {
        {"relay_before_claim", true},       {"relay_after_claim", true},
        {"relay_after_publish", false},     {"relay_before_acknowledge", false},
        {"relay_after_acknowledge", false}, {"agent_before_begin", true},
        {"agent_after_apply", true},        {"agent_before_commit", true},
        {"agent_before_hint", false}};
    (void)state;
    struct world world;
    begin(&world, DATABASE_SQLITE, PUBLISH APPLY);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        compare_at(&world, &points[i], (int)i);
    end(&world);
}

/* Interleavings 3 and 6: a snapshot asks no process for anything. */
static void go_on_behind_the_stamps(struct world *world, enum database_kind kind, int round)
{
    const char *const argv[] = {
        KEEPSTEP_BINARY,       "verify", "-c", world->all[0]->config, "--with",
        world->all[1]->config, "--json", NULL};
    const char *const environment[] = {"KEEPSTEP_FAILPOINT=verify_stamped:1:stop", NULL};
    struct process *verify = process_start(test_format("verify-%d", round), argv, environment);
    if (!process_wait_stopped(verify, WAIT_MS))
        test_fail("%s%s", process_output(verify), process_errors(verify));
    load_kill(&world->shop); /* another relay takes over, and another agent */
    load_kill(&world->billing);
    (void)sqlite_format(world->shop.database,
                        "UPDATE items SET amount = %d WHERE id < 4;"
                        "DELETE FROM items WHERE id = 4;"
                        "INSERT INTO items VALUES (%d, 'new', 0)",
                        200 + round, 2000 + round);
    if (!database_wait_for(world->billing.url,
                           test_format("SELECT name FROM items WHERE id = %d", 2000 + round),
                           "new\n", WAIT_MS))
        test_fail("%s", process_errors(world->billing.process));
    change_by_hand(world, kind, round % 2 == 0 ? "planted" : "e");
    process_signal(verify, SIGCONT);
    const char *expected = round % 2 == 0 ? "equal" : "different: {\"id\":5} differs";
    struct process_result result = {.exit_code = process_wait(verify, WAIT_MS),
                                    .output = process_output(verify),
                                    .errors = process_errors(verify)};
    const char *said = verify_copy(&result, "item", "billing");
    if (strcmp(said, expected) != 0)
        test_fail("\"%s\" instead of \"%s\": %s%s", said, expected, result.output, result.errors);
}

/* What was changed by hand behind the stamps is not seen, what was mended behind them is. */
static void rows_are_those_of_the_stamps_whatever_happens_behind_them(enum database_kind kind)
{
    struct world world;
    begin(&world, kind, APPLY);
    const struct sidecar *billing = world.all[0];
    world.all[0] = world.all[1];
    world.all[1] = billing;
    for (int round = 0; round < 2; round++)
        go_on_behind_the_stamps(&world, kind, round);
    settle(&world);
    expect_equal(&world);
    end(&world);
}

static void in_sqlite_rows_are_those_of_the_stamps(void **state)
{
    (void)state;
    rows_are_those_of_the_stamps_whatever_happens_behind_them(DATABASE_SQLITE);
}

static void in_postgresql_rows_are_those_of_the_stamps(void **state)
{
    (void)state;
    rows_are_those_of_the_stamps_whatever_happens_behind_them(DATABASE_POSTGRESQL);
}

static void in_mariadb_rows_are_those_of_the_stamps(void **state)
{
    (void)state;
    rows_are_those_of_the_stamps_whatever_happens_behind_them(DATABASE_MARIADB);
}

/* Interleaving 6: an event was lost, so the agent stands still. */
static void a_copy_that_stands_still_is_not_compared(void **state)
{
    (void)state;
    struct world world;
    begin(&world, DATABASE_SQLITE, APPLY);
    world.all[0] = &world.shop;
    world.all[1] = &world.billing;
    sidecar_stop(&world.billing);
    (void)database_text(world.billing.url, "UPDATE keepstep_sequence SET last = last - 1");
    (void)sqlite_text(world.shop.database, "UPDATE items SET amount = 10 WHERE id = 1");
    sidecar_start(&world.billing, NULL);
    if (!database_wait_for(world.billing.url, "SELECT stopped <> '' FROM keepstep_position", "1\n",
                           WAIT_MS))
        test_fail("%s", process_errors(world.billing.process));
    struct process_result result = VERIFY(world.all, "--json");
    const char *said = verify_copy(&result, "item", "billing");
    const char *expected = test_format("not compared: %s [0] is stopped: ", sidecar_topic("item"));
    if (result.exit_code != EX_TEMPFAIL || strstr(said, expected) != said)
        test_fail("exit code %d: \"%s\" instead of \"%s\"", result.exit_code, said, expected);
    end(&world);
}

/* Interleaving 7: its own agent has not read yet what the log had before. */
static void a_new_incarnation_that_publishes_nothing_yet_is_not_compared(void **state)
{
    (void)state;
    struct world world;
    begin(&world, DATABASE_SQLITE, PUBLISH APPLY);
    sidecar_stop(&world.shop);
    (void)database_text(world.billing.url, "UPDATE items SET amount = 10 WHERE id = 1");
    sidecar_expect_published(&world.billing);
    sidecar_init(&world.shop, "--new-incarnation");
    struct process_result result = VERIFY(world.all, "--json");
    const char *said = verify_copy(&result, "item", "shop");
    if (result.exit_code != EX_TEMPFAIL ||
        strstr(said, "not compared: a new incarnation of it publishes nothing yet") != said)
        test_fail("exit code %d: \"%s\"", result.exit_code, said);
    sidecar_start(&world.shop, NULL);
    settle(&world);
    expect_equal(&world);
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_change_on_its_way_through_log_and_back_is_no_difference, 600),
        TEST_WITH_LIMIT(in_sqlite_rows_are_those_of_the_stamps, 400),
        TEST_WITH_LIMIT(in_postgresql_rows_are_those_of_the_stamps, 400),
        TEST_WITH_LIMIT(in_mariadb_rows_are_those_of_the_stamps, 400),
        TEST_WITH_LIMIT(a_copy_that_stands_still_is_not_compared, 300),
        TEST_WITH_LIMIT(a_new_incarnation_that_publishes_nothing_yet_is_not_compared, 300),
    };
    return TEST_RUN(tests);
}
