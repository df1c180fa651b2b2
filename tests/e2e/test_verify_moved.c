/* `keepstep verify` while a lease and partitions move from one running sidecar of a service to
 * another: a snapshot is of the database, whoever writes to it (interleaving 6). */
#include "common/clock.h"
#include "tests/support/database.h"
#include "tests/support/load.h"
#include "tests/support/verify.h"
#include "tests/support/verify_tables.h"

#include <signal.h>
#include <sysexits.h>

#define PUBLISH "publish:\n  item: {table: items, partitions: 2}\n"
#define APPLY   "apply:\n  item: {table: items, partitions: 2}\n"
#define WAIT_MS 60000

static const char ddl[] = "CREATE TABLE items (id INTEGER PRIMARY KEY, name VARCHAR(100) NOT NULL, "
                          "amount INTEGER)";

/* Two sidecars beside each of two databases. */
struct world {
    enum database_kind kind; /* of billing's */
    struct kafka *kafka;
    struct sidecar shops[2];
    struct sidecar billings[2];
};

static struct sidecar second_of(const struct sidecar *first)
{
    struct sidecar second = *first;
    second.name = test_format("%s-second", first->name);
    second.config = test_path("%s.yaml", second.name);
    test_write_file(second.config,
                    test_format("%sinstance: \"2\"\n", test_read_file(first->config)));
    return second;
}

static const char *epochs(const struct world *world)
{
    return database_text(world->billings[0].url, "SELECT sum(epoch) FROM keepstep_position");
}

static void wait_for_row(const struct world *world, int id)
{
    if (!database_wait_for(world->billings[0].url,
                           test_format("SELECT name FROM items WHERE id = %d", id), "new\n",
                           WAIT_MS))
        test_fail("row %d did not arrive", id);
}

/* Only who has reported can be asked. */
static bool billing_is_complete(void *context)
{
    const struct world *world = context;
    const char *said = sidecar_run(&world->shops[0], "copies", "item", NULL).output;
    return strstr(said, "billing") != NULL && strstr(said, "complete") != NULL;
}

static void begin(struct world *world, enum database_kind kind)
{
    load_need("psql");
    load_need("mariadb");
    *world = (struct world){.kind = kind, .kafka = kafka_start()};
    const char *url = database_make(kind, "billing");
    (void)database_text(url, ddl);
    world->shops[0] = sidecar_make(world->kafka, "shop", ddl, PUBLISH);
    world->billings[0] = sidecar_make_on(world->kafka, "billing", url, APPLY);
    sidecar_begin(&world->shops[0]);
    if (!process_wait_for(world->shops[0].process, "holds the lease", WAIT_MS))
        test_fail("%s", process_errors(world->shops[0].process));
    world->shops[1] = second_of(&world->shops[0]);
    sidecar_start(&world->shops[1], NULL);
    sidecar_begin(&world->billings[0]);
    world->billings[1] = second_of(&world->billings[0]);
    (void)sqlite_text(world->shops[0].database,
                      "INSERT INTO items VALUES (1,'a',1),(2,'b',2),(3,'c',3),(4,'d',4),(5,'e',5)");
    sidecar_assert_equal(&world->shops[0], &world->billings[0], "items", WAIT_MS);
    sidecar_expect_published(&world->shops[0]);
    if (!process_wait_for(world->shops[1].process, "stands by", WAIT_MS))
        test_fail("%s", process_errors(world->shops[1].process));
    assert_true(test_wait(billing_is_complete, world, WAIT_MS));
}

/* What happens behind the stamps: the relay that holds the lease stands still, so that the other
 * one takes it over and publishes, and the agents' partitions move. */
static void move(struct world *world, int round)
{
    const char *before = epochs(world);
    process_signal(world->shops[round].process, SIGSTOP);
    (void)sqlite_format(world->shops[0].database,
                        "UPDATE items SET amount = %d WHERE id < 4;"
                        "INSERT INTO items VALUES (%d, 'new', 0)",
                        100 + round, 1000 + round);
    if (round == 0)
        sidecar_start(&world->billings[1], NULL);
    else
        sidecar_stop(&world->billings[0]);
    wait_for_row(world, 1000 + round);
    for (int i = 0; strcmp(epochs(world), before) == 0; i++) {
        assert_true(i < WAIT_MS / 100);
        clock_sleep_us(100000);
    }
}

static void change_by_hand(const struct world *world, const char *name)
{
    verify_write_silently(world->kind, world->billings[0].url, "items",
                          test_format("UPDATE items SET name = '%s' WHERE id = 5", name));
}

/* @param others  "--with" and a configuration, or "--of" and a service. */
static void compare_while_all_moves(struct world *world, int round, const char *const others[2],
                                    const char *expected)
{
    const char *const argv[] = {KEEPSTEP_BINARY, "verify",  "item",   "-c", world->shops[0].config,
                                others[0],       others[1], "--json", NULL};
    const char *const environment[] = {"KEEPSTEP_FAILPOINT=verify_stamped:1:stop", NULL};
    struct process *verify = process_start(test_format("verify-%d", round), argv, environment);
    if (!process_wait_stopped(verify, WAIT_MS))
        test_fail("%s%s", process_output(verify), process_errors(verify));
    move(world, round);
    change_by_hand(world, round == 0 ? "planted" : "e");
    process_signal(verify, SIGCONT);
    struct process_result result = {.exit_code = process_wait(verify, WAIT_MS),
                                    .output = process_output(verify),
                                    .errors = process_errors(verify)};
    const char *said = verify_copy(&result, "item", "billing");
    if (strcmp(said, expected) != 0)
        test_fail("\"%s\" instead of \"%s\": %s%s", said, expected, result.output, result.errors);
    process_signal(world->shops[round].process, SIGCONT);
}

/* What was changed by hand behind the stamps is not seen, and what was mended there is. */
static void rows_are_those_of_the_stamps_whoever_owns_the_partitions(enum database_kind kind)
{
    struct world world;
    begin(&world, kind);
    const char *const asked[] = {"--of", "billing"};
    const char *const opened[] = {"--with", world.billings[0].config};
    compare_while_all_moves(&world, 0, asked, "equal");
    compare_while_all_moves(&world, 1, opened, "different: {\"id\":5} differs");
    sidecar_assert_equal(&world.shops[0], &world.billings[0], "items", WAIT_MS);
    sidecar_expect_published(&world.shops[0]);
    const struct sidecar *const all[] = {&world.shops[0], &world.billings[0], NULL};
    struct process_result result = VERIFY(all, "--json");
    if (result.exit_code != EX_OK || verify_count(&result, "equal") != 1)
        test_fail("exit code %d: %s%s", result.exit_code, result.output, result.errors);
    sidecar_stop(&world.shops[0]);
    sidecar_stop(&world.shops[1]);
    sidecar_stop(&world.billings[1]);
}

static void in_sqlite_partitions_move_behind_the_stamps(void **state)
{
    (void)state;
    rows_are_those_of_the_stamps_whoever_owns_the_partitions(DATABASE_SQLITE);
}

static void in_postgresql_partitions_move_behind_the_stamps(void **state)
{
    (void)state;
    rows_are_those_of_the_stamps_whoever_owns_the_partitions(DATABASE_POSTGRESQL);
}

static void in_mariadb_partitions_move_behind_the_stamps(void **state)
{
    (void)state;
    rows_are_those_of_the_stamps_whoever_owns_the_partitions(DATABASE_MARIADB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(in_sqlite_partitions_move_behind_the_stamps, 300),
        TEST_WITH_LIMIT(in_postgresql_partitions_move_behind_the_stamps, 300),
        TEST_WITH_LIMIT(in_mariadb_partitions_move_behind_the_stamps, 300),
    };
    return TEST_RUN(tests);
}
