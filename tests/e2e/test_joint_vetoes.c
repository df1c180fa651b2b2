/* Joint transactions over a real Kafka where a trigger of a service's on a server refuses what the
 * agent writes into keepstep_joint. */
#include "tests/support/joint_world.h"

static void propose(const struct joint_world *world, const char *id, int shop, int bank, int web)
{
    joint_world_propose(world, id, &(struct joint_move){JOINT_SHOP, 60000, {shop, bank, web}});
}

static void expect_refused(const struct joint_world *world, size_t service)
{
    if (!process_wait_for(world->all[service].process, "my veto", JOINT_WORLD_WAIT_MS))
        test_fail("%s", process_errors(world->all[service].process));
}

/* PostgreSQL writes the row without the trigger, for an operator too. MariaDB waits until it is
 * mended, and goes on by itself. */
static void a_trigger_that_refuses_rows_of_keepstep_joint_ends_nothing(void **state)
{
    static const enum database_kind kinds[JOINT_SERVICES] = {DATABASE_POSTGRESQL, DATABASE_MARIADB,
                                                             DATABASE_SQLITE};
    struct joint_world world;
    (void)state;
    joint_world_begin(&world, kinds, "");
    joint_world_start_all(&world);
    (void)database_text(world.all[JOINT_SHOP].url,
                        "CREATE FUNCTION x() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                        "RAISE EXCEPTION 'my veto'; END $$; CREATE TRIGGER x BEFORE UPDATE ON "
                        "keepstep_joint FOR EACH ROW EXECUTE FUNCTION x()");
    propose(&world, "first", -30, 20, 10);
    joint_world_expect_everywhere(&world, "first", "committed");
    expect_refused(&world, JOINT_SHOP);
    sidecar_stop(&world.all[JOINT_WEB]);
    propose(&world, "second", -2, 1, 1);
    joint_world_expect(&world, JOINT_SHOP, "second", "reserved");
    struct process_result result = PROCESS_RUN(KEEPSTEP_BINARY, "joint", "withdraw", "second", "-c",
                                               world.all[JOINT_SHOP].config);
    if (result.exit_code != 0 && strstr(result.errors, "withdrawn") == NULL) /* it was too slow */
        test_fail("%s", result.errors);
    joint_world_start(&world, JOINT_WEB, NULL);
    joint_world_expect_everywhere(&world, "second", "aborted");
    (void)database_text(world.all[JOINT_BANK].url,
                        "CREATE TRIGGER x BEFORE INSERT ON keepstep_joint FOR EACH ROW SIGNAL "
                        "SQLSTATE '45000' SET MESSAGE_TEXT = 'my veto'");
    propose(&world, "third", -2, 1, 1);
    expect_refused(&world, JOINT_BANK);
    (void)database_text(world.all[JOINT_BANK].url, "DROP TRIGGER x");
    joint_world_expect_everywhere(&world, "third", "committed");
    joint_world_expect_amounts(&world, (const int[]){68, 121, 111});
    joint_world_stop_all(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_trigger_that_refuses_rows_of_keepstep_joint_ends_nothing, 400),
    };
    return TEST_RUN(tests);
}
