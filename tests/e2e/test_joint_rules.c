/* What four rules of joint transactions are for: each interleaving ends alike in all services, and
 * with its rule switched off it does not. */
#include "tests/support/joint_world.h"

#include <stdio.h>
#include <stdlib.h>

static const enum database_kind files[JOINT_SERVICES] = {DATABASE_SQLITE, DATABASE_SQLITE,
                                                         DATABASE_SQLITE};
static const enum database_kind servers[JOINT_SERVICES] = {DATABASE_POSTGRESQL, DATABASE_MARIADB,
                                                           DATABASE_SQLITE};

/* Start a sidecar without a rule; NULL: with all of them. */
static void start_without(struct joint_world *world, size_t service, const char *rule,
                          const char *failpoint)
{
    assert_int_equal(rule == NULL ? 0 : setenv("KEEPSTEP_RULE_OFF", rule, 1), 0);
    sidecar_start(&world->all[service], failpoint);
    assert_int_equal(unsetenv("KEEPSTEP_RULE_OFF"), 0);
}

static void use_up(const struct joint_world *world, size_t service)
{
    const char *error = joint_world_write(
        world, service,
        test_format("UPDATE %s SET amount = 0 WHERE id = 1", joint_world_tables[service]));
    if (error != NULL)
        test_fail("%s: %s", world->all[service].name, error);
}

static void expect_outcome(const struct joint_world *world, const char *outcome)
{
    assert_string_equal(joint_world_outcome(world, "one"), outcome);
}

static void expect_broken(const struct joint_world *world)
{
    const char *outcome = joint_world_outcome(world, "one");
    if (strstr(outcome, "they differ") == NULL)
        test_fail("without its rule it ends well: %s", outcome);
}

static void expect_soon(const struct joint_world *world, size_t service, const char *sql,
                        int number)
{
    const struct sidecar *sidecar = &world->all[service];
    if (!database_wait_for(sidecar->url, sql, test_format("%d\n", number), 2 * JOINT_WORLD_WAIT_MS))
        test_fail("%s: %s is not %d: %s", sidecar->name, sql, number,
                  process_errors(sidecar->process));
}

static void end(struct joint_world *world)
{
    for (size_t i = 0; i < JOINT_SERVICES; i++)
        process_kill(world->all[i].process);
}

/* A service writes a row behind its own yes. The log waits for web meanwhile.
 * @return what the service was told. */
static const char *write_behind_the_vote(struct joint_world *world, size_t victim, const char *rule)
{
    const struct joint_move move = {JOINT_SHOP, 60000, {-50, -50, 100}};
    joint_world_begin(world, servers, "");
    for (size_t i = 0; i < JOINT_WEB; i++)
        start_without(world, i, i == victim ? rule : NULL, NULL);
    joint_world_propose(world, "one", &move);
    joint_world_expect_vote(world, JOINT_SHOP, "one", victim);
    const char *error = joint_world_write(
        world, victim,
        test_format("UPDATE %s SET amount = 0 WHERE id = 1", joint_world_tables[victim]));
    joint_world_start(world, JOINT_WEB, NULL);
    return error;
}

static void nobody_writes_what_is_promised(size_t victim)
{
    struct joint_world world;
    const char *error = write_behind_the_vote(&world, victim, NULL);
    assert_non_null(error);
    assert_non_null(strstr(error, "one"));
    expect_outcome(&world, "committed\n");
    joint_world_expect_amounts(&world, (const int[]){50, 50, 200});
    end(&world);
}

static void a_promise_holds_in_postgresql(void **state)
{
    (void)state;
    nobody_writes_what_is_promised(JOINT_SHOP);
}

static void a_promise_holds_in_mariadb(void **state)
{
    (void)state;
    nobody_writes_what_is_promised(JOINT_BANK);
}

static void without_the_guard_postgresql_breaks_a_promise(void **state)
{
    struct joint_world world;
    (void)state;
    assert_null(write_behind_the_vote(&world, JOINT_SHOP, "no_guard"));
    expect_broken(&world);
    joint_world_expect(&world, JOINT_SHOP, "one", "held");
    end(&world);
}

static void without_the_guard_mariadb_breaks_a_promise(void **state)
{
    struct joint_world world;
    (void)state;
    assert_null(write_behind_the_vote(&world, JOINT_BANK, "no_guard"));
    expect_broken(&world);
    joint_world_expect(&world, JOINT_BANK, "one", "held");
    end(&world);
}

/* The bank is killed where its vote and its reservation are about to be committed, and its service
 * uses up what it has tried. */
static void die_at_the_vote(struct joint_world *world, const char *rule)
{
    const struct joint_move move = {JOINT_SHOP, 60000, {20, -50, 30}};
    joint_world_begin(world, files, "");
    joint_world_start(world, JOINT_SHOP, NULL);
    start_without(world, JOINT_BANK, rule, "joint_before_vote");
    joint_world_propose(world, "one", &move);
    assert_int_equal(process_wait(world->all[JOINT_BANK].process, JOINT_WORLD_WAIT_MS), 128 + 9);
    use_up(world, JOINT_BANK);
    joint_world_start(world, JOINT_BANK, NULL);
    joint_world_start(world, JOINT_WEB, NULL);
}

static void a_vote_is_never_out_without_its_reservation(void **state)
{
    struct joint_world world;
    (void)state;
    die_at_the_vote(&world, NULL);
    expect_outcome(&world, "aborted\n");
    joint_world_expect_amounts(&world, (const int[]){100, 0, 100});
    end(&world);
}

static void with_the_vote_apart_a_promise_is_broken(void **state)
{
    struct joint_world world;
    (void)state;
    die_at_the_vote(&world, "vote_apart");
    expect_broken(&world);
    joint_world_expect(&world, JOINT_SHOP, "one", "committed");
    end(&world);
}

#define CLOCK_MS 20000

/* All but web have voted yes, and the time is over at the bank alone: the shop was killed. Then web
 * votes. */
static void let_the_time_pass_at_the_bank(struct joint_world *world, const char *rule)
{
    const struct joint_move move = {JOINT_SHOP, CLOCK_MS, {-50, 20, 30}};
    joint_world_begin(world, files, "");
    joint_world_start(world, JOINT_SHOP, NULL);
    joint_world_propose(world, "one", &move);
    joint_world_expect_vote(world, JOINT_SHOP, "one", JOINT_SHOP);
    process_kill(world->all[JOINT_SHOP].process);
    start_without(world, JOINT_BANK, rule, NULL);
    joint_world_expect_vote(world, JOINT_BANK, "one", JOINT_BANK);
    joint_world_expect(world, JOINT_BANK, "one", "aborted");
    joint_world_start(world, JOINT_WEB, NULL);
    expect_soon(world, JOINT_WEB,
                "SELECT count(*) FROM keepstep_joint WHERE id = 'one' AND state IN ('committed', "
                "'aborted')",
                1);
    joint_world_start(world, JOINT_SHOP, NULL);
}

static void no_clock_decides(void **state)
{
    struct joint_world world;
    (void)state;
    let_the_time_pass_at_the_bank(&world, NULL);
    expect_outcome(&world, "aborted\n");
    joint_world_expect_amounts(&world, (const int[]){100, 100, 100});
    end(&world);
}

static void with_a_clock_that_decides_they_differ(void **state)
{
    struct joint_world world;
    (void)state;
    let_the_time_pass_at_the_bank(&world, "clock");
    expect_broken(&world);
    joint_world_expect(&world, JOINT_WEB, "one", "committed");
    end(&world);
}

#define FILLERS                                                                                    \
    200 /* proposals, so that no batch of records has the bank's vote and the first one */

/* Transactions of the shop alone. */
static void fill_the_log(const struct joint_world *world)
{
    const char *sql = "INSERT INTO keepstep_joint (id, changes) VALUES ";
    for (int i = 0; i < FILLERS; i++)
        sql = test_format("%s%s('filler-%d','[{\"service\":\"shop\",\"type\":\"item\",\"key\":"
                          "{\"id\":%d},\"op\":\"c\",\"set\":{\"name\":\"f\",\"amount\":0}}]')",
                          sql, i == 0 ? "" : ",", i, 1000 + i);
    (void)database_text(world->all[JOINT_SHOP].url, sql);
    expect_soon(world, JOINT_SHOP,
                "SELECT count(*) FROM keepstep_joint WHERE id LIKE 'filler%' AND state = "
                "'committed'",
                FILLERS);
}

/* The bank is restored to before its vote of yes, and its service uses up what that has promised.
 * Then web votes. */
static void restore_the_bank(struct joint_world *world, const char *rule)
{
    const struct joint_move move = {JOINT_SHOP, 60000, {20, -50, 30}};
    struct sidecar *bank = &world->all[JOINT_BANK];
    joint_world_begin(world, files, "");
    joint_world_start(world, JOINT_SHOP, NULL);
    joint_world_start(world, JOINT_BANK, NULL);
    joint_world_propose(world, "before", &(struct joint_move){JOINT_SHOP, 60000, {-1, 1, 0}});
    joint_world_expect(world, JOINT_BANK, "before", "committed");
    joint_world_expect_published(world, JOINT_BANK);
    sidecar_stop(bank);
    const char *backup = sidecar_back_up(bank);
    joint_world_propose(world, "one", &move);
    fill_the_log(world);
    joint_world_start(world, JOINT_BANK, NULL);
    joint_world_expect_vote(world, JOINT_SHOP, "one", JOINT_BANK);
    joint_world_expect_published(world, JOINT_BANK);
    sidecar_stop(bank);
    sidecar_restore(bank, backup);
    use_up(world, JOINT_BANK);
    struct process_result init = PROCESS_RUN(KEEPSTEP_BINARY, "init", "-c", bank->config,
                                             "--restored", "--new-incarnation", "--existing-rows");
    if (init.exit_code != 0)
        test_fail("%s", init.errors);
    start_without(world, JOINT_BANK, rule, NULL);
    expect_soon(world, JOINT_BANK,
                "SELECT count(*) FROM keepstep_joint WHERE id = 'one' AND (withdrawn <> 0 OR state "
                "= 'refused')",
                1);
    joint_world_start(world, JOINT_WEB, NULL);
}

static void a_restored_service_reads_its_own_votes_before_it_votes(void **state)
{
    struct joint_world world;
    (void)state;
    restore_the_bank(&world, NULL);
    expect_outcome(&world, "aborted\n");
    joint_world_expect_amounts(&world, (const int[]){99, 0, 100});
    end(&world);
}

static void a_restored_service_that_votes_at_once_breaks_its_promise(void **state)
{
    struct joint_world world;
    (void)state;
    restore_the_bank(&world, "no_catchup");
    expect_broken(&world);
    joint_world_expect(&world, JOINT_SHOP, "one", "committed");
    joint_world_expect(&world, JOINT_BANK, "one", "held");
    end(&world);
}

static void a_rule_that_does_not_exist_ends_the_process(void **state)
{
    struct joint_world world;
    (void)state;
    joint_world_begin(&world, files, "");
    start_without(&world, JOINT_BANK, "no_such_rule", NULL);
    joint_world_start(&world, JOINT_SHOP, NULL);
    joint_world_propose(&world, "one", &(struct joint_move){JOINT_SHOP, 60000, {-1, 1, 0}});
    assert_int_equal(process_wait(world.all[JOINT_BANK].process, JOINT_WORLD_WAIT_MS), 78);
    process_kill(world.all[JOINT_SHOP].process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_promise_holds_in_postgresql, 200),
        TEST_WITH_LIMIT(without_the_guard_postgresql_breaks_a_promise, 200),
        TEST_WITH_LIMIT(a_promise_holds_in_mariadb, 200),
        TEST_WITH_LIMIT(without_the_guard_mariadb_breaks_a_promise, 200),
        TEST_WITH_LIMIT(a_vote_is_never_out_without_its_reservation, 200),
        TEST_WITH_LIMIT(with_the_vote_apart_a_promise_is_broken, 200),
        TEST_WITH_LIMIT(no_clock_decides, 240),
        TEST_WITH_LIMIT(with_a_clock_that_decides_they_differ, 240),
        TEST_WITH_LIMIT(a_restored_service_reads_its_own_votes_before_it_votes, 300),
        TEST_WITH_LIMIT(a_restored_service_that_votes_at_once_breaks_its_promise, 300),
        TEST_WITH_LIMIT(a_rule_that_does_not_exist_ends_the_process, 200),
    };
    return TEST_RUN(tests);
}
