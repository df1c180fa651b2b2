/* The agent and change sets that are not kept in memory, on librdkafka's mock cluster (rule 58).
 * labels: threads */
#include "tests/support/agent_world.h"

#include <stdlib.h>

#define LARGE    20 /* so many records are kept in memory */
#define SIZE     300
#define LIMIT_MS 60000

static struct agent_world world;

static void begin(int partitions)
{
    agent_world_make(&world, partitions);
    world.config.limits.batch_events = 10;
    world.config.limits.changeset_events = LARGE;
}

static void finish(void)
{
    agent_world_end(&world);
    agent_world_done(&world);
}

static void wait_for(const char *sql, const char *expected)
{
    if (!sqlite_wait_for(world.database, sql, expected, LIMIT_MS))
        test_fail("%s: '%s' and not '%s'", sql, sqlite_text(world.database, sql), expected);
}

/* Send the first set, of SIZE records of `rows` rows; 0: of the partition's own one. They are sent
 * together, because the mock cluster answers with no more at a time than was sent so. */
static void send_set(int rows, const char *text)
{
    for (int i = 1; i <= SIZE; i++)
        agent_world_put(&world, &(struct agent_world_event){.sequence = i,
                                                            .text = text,
                                                            .id = rows == 0 ? 0 : 1 + i % rows,
                                                            .changeset_end = SIZE});
    agent_world_flush(&world);
}

/* Each of its records was a batch of its own. */
static void what_comes_late_of_an_applied_large_set_is_passed_in_few_batches(void **state)
{
    (void)state;
    begin(1);
    send_set(SIZE, "1");
    agent_world_start(&world);
    wait_for("SELECT next_offset FROM keepstep_position", test_format("%d\n", SIZE));
    agent_world_end(&world); /* so that all of it waits in the log */
    send_set(SIZE, "1");
    agent_world_send(&world,
                     &(struct agent_world_event){.sequence = SIZE + 1, .text = "2", .id = 1});
    unsigned long long before = atomic_load(&world.metrics->commits);
    agent_world_start(&world);
    wait_for("SELECT a FROM orders WHERE id = 1", "2\n");
    agent_world_end(&world);
    unsigned long long commits = atomic_load(&world.metrics->commits) - before;
    assert_int_equal(atomic_load(&world.metrics->events_duplicate), SIZE);
    if (commits > SIZE / 2)
        test_fail("%llu commits for %d late records", commits, SIZE);
    assert_int_equal(atomic_load(&world.metrics->changesets_applied), 1);
    agent_world_done(&world);
}

/* An operator had to resume it. */
static void a_large_set_that_waits_for_a_row_goes_on_by_itself(void **state)
{
    (void)state;
    begin(1);
    (void)sqlite_text(world.database,
                      "CREATE TABLE parents(name TEXT PRIMARY KEY); DROP TABLE IF EXISTS orders; "
                      "CREATE TABLE orders(id INTEGER NOT NULL PRIMARY KEY, a TEXT REFERENCES "
                      "parents(name))");
    send_set(SIZE, "p");
    agent_world_start(&world);
    wait_for("SELECT count(*) FROM keepstep_position WHERE stopped LIKE '%foreign key%' AND "
             "stopped LIKE '%tried again by itself'",
             "1\n");
    assert_int_equal(sqlite_number(world.database, "SELECT count(*) FROM orders"), 0);
    (void)sqlite_text(world.database, "INSERT INTO parents VALUES ('p')");
    wait_for("SELECT next_offset, stopped FROM keepstep_position", test_format("%d|\n", SIZE));
    assert_int_equal(sqlite_number(world.database, "SELECT count(*) FROM orders"), SIZE);
    finish();
}

/* A person has to act: it stays where it is, and the other partition goes on. */
static void a_large_set_that_cannot_heal_stays_stopped(void **state)
{
    (void)state;
    begin(2);
    (void)sqlite_text(world.database, "DROP TABLE IF EXISTS orders; CREATE TABLE orders(id INTEGER "
                                      "NOT NULL PRIMARY KEY, a TEXT CHECK (a <> 'bad'))");
    send_set(0, "bad");
    agent_world_start(&world);
    wait_for("SELECT count(*) FROM keepstep_position WHERE stopped LIKE '%CHECK%'", "1\n");
    agent_world_send(&world,
                     &(struct agent_world_event){.partition = 1, .sequence = 1, .text = "fine"});
    wait_for("SELECT a FROM orders", "fine\n");
    assert_int_equal(sqlite_number(world.database,
                                   "SELECT count(*) FROM keepstep_position WHERE stopped LIKE "
                                   "'%CHECK%' AND stopped NOT LIKE '%by itself%'"),
                     1);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(what_comes_late_of_an_applied_large_set_is_passed_in_few_batches, 240),
        TEST_WITH_LIMIT(a_large_set_that_waits_for_a_row_goes_on_by_itself, 240),
        TEST_WITH_LIMIT(a_large_set_that_cannot_heal_stays_stopped, 240),
    };
    return TEST_RUN(tests);
}
