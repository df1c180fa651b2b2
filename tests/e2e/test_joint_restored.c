/* A service on a server is restored from a backup that does not know its vote: what was committed
 * with it is made late, once, and joint transactions go on (rule 69). test_joint.c has SQLite. */
#include "tests/support/joint_world.h"
#include "tests/support/load.h"

#include <stdio.h>

static const enum database_kind kinds[JOINT_SERVICES] = {DATABASE_POSTGRESQL, DATABASE_MARIADB,
                                                         DATABASE_SQLITE};

static void commit(const struct joint_world *world, const char *id, const int amounts[static 3])
{
    joint_world_propose(
        world, id, &(struct joint_move){JOINT_WEB, 60000, {amounts[0], amounts[1], amounts[2]}});
    joint_world_expect_everywhere(world, id, "committed");
}

static const char *lateness(const char *id)
{
    return test_format("SELECT late FROM keepstep_joint WHERE id = '%s'", id);
}

static void what_was_committed_without_it_is_made(size_t victim)
{
    struct joint_world world;
    load_need(kinds[victim] == DATABASE_MARIADB ? "mariadb-dump" : "pg_dump");
    joint_world_begin(&world, kinds, "");
    joint_world_start_all(&world);
    commit(&world, "before", (const int[]){-1, -1, 2});
    joint_world_expect_published(&world, victim);
    const char *backup = database_make(kinds[victim], "backup");
    database_copy(kinds[victim], world.all[victim].url, backup);
    commit(&world, "lost", (const int[]){10, 10, -20});
    commit(&world, "lost-too", (const int[]){-5, -5, 10});
    joint_world_expect_published(&world, victim);
    sidecar_stop(&world.all[victim]);
    joint_world_restore(&world, victim, backup);
    joint_world_start(&world, victim, NULL);
    joint_world_expect(&world, victim, "lost", "committed");
    joint_world_expect(&world, victim, "lost-too", "committed");
    assert_int_equal(joint_world_number(&world, victim, lateness("before")), 0);
    assert_int_equal(joint_world_number(&world, victim, lateness("lost")), 1);
    assert_int_equal(joint_world_number(&world, victim, lateness("lost-too")), 1);
    joint_world_expect_amounts(&world, (const int[]){104, 104, 92});
    commit(&world, "after", (const int[]){1, 1, -2});
    joint_world_expect_amounts(&world, (const int[]){105, 105, 90});
    joint_world_stop_all(&world);
}

static void what_was_committed_without_it_is_made_in_postgresql(void **state)
{
    (void)state;
    what_was_committed_without_it_is_made(JOINT_SHOP);
}

static void what_was_committed_without_it_is_made_in_mariadb(void **state)
{
    (void)state;
    what_was_committed_without_it_is_made(JOINT_BANK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(what_was_committed_without_it_is_made_in_postgresql, 300),
        TEST_WITH_LIMIT(what_was_committed_without_it_is_made_in_mariadb, 300),
    };
    return TEST_RUN(tests);
}
