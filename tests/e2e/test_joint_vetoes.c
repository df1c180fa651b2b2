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

/* Each service adds one to its row 2 where a transaction is committed. */
static const char *const actors[JOINT_SERVICES] = {
    "CREATE FUNCTION x() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE items SET amount = "
    "amount + 1 WHERE id = 2; RETURN NULL; END $$; CREATE TRIGGER x AFTER UPDATE ON keepstep_joint "
    "FOR EACH ROW WHEN (NEW.state = 'committed') EXECUTE FUNCTION x()",
    "CREATE TRIGGER x AFTER UPDATE ON keepstep_joint FOR EACH ROW IF NEW.state = 'committed' THEN "
    "UPDATE extras SET amount = amount + 1 WHERE id = 2; END IF",
    "CREATE TRIGGER x AFTER UPDATE ON keepstep_joint WHEN NEW.state = 'committed' BEGIN UPDATE "
    "items SET amount = amount + 1 WHERE id = 2; END"};

#define KEEPS(service, type)                                                                       \
    "{\"service\":\"" service "\",\"type\":\"" type "\",\"key\":{\"id\":2},\"op\":\"k\"},"
#define OPEN_MS 60000

/* The database of each service refuses to note that it is committed. */
static void expect_waiting(const struct joint_world *world, const char *id)
{
    const char *sql = test_format("SELECT count(*) FROM keepstep_joint WHERE id = '%s' AND state = "
                                  "'committing' AND reason LIKE 'waits: %%'",
                                  id);
    for (size_t i = 0; i < JOINT_SERVICES; i++) {
        if (!database_wait_for(world->all[i].url, sql, "1\n", JOINT_WORLD_WAIT_MS))
            test_fail("%s does not wait: %s", world->all[i].name,
                      process_errors(world->all[i].process));
    }
}

/* What it writes is reserved by a transaction that is open until it is withdrawn, because nobody of
 * that name votes. It is not passed over meanwhile, also not where the service has no part. */
static void a_trigger_that_acts_on_the_outcome_waits_for_what_is_reserved(void **state)
{
    static const enum database_kind kinds[JOINT_SERVICES] = {DATABASE_POSTGRESQL, DATABASE_MARIADB,
                                                             DATABASE_SQLITE};
    struct joint_world world;
    (void)state;
    joint_world_begin(&world, kinds, "");
    for (size_t i = 0; i < JOINT_SERVICES; i++)
        (void)database_text(world.all[i].url, actors[i]);
    joint_world_start_all(&world);
    joint_world_propose_text(
        &world, "open", JOINT_SHOP, OPEN_MS,
        "[" KEEPS("shop", "item") KEEPS("bank", "extra")
            KEEPS("web", "item") "{\"service\":\"nobody\",\"type\":\"item\",\"key\":{\"id\":1},"
                                 "\"op\":\"k\"}]");
    for (size_t i = 0; i < JOINT_SERVICES; i++)
        joint_world_expect(&world, i, "open", "reserved");
    propose(&world, "all", -30, 20, 10);
    propose(&world, "bank alone", 0, 5, 0);
    expect_waiting(&world, "all");
    struct process_result result = PROCESS_RUN(KEEPSTEP_BINARY, "joint", "withdraw", "open", "-c",
                                               world.all[JOINT_SHOP].config);
    if (result.exit_code != 0)
        test_fail("%s", result.errors);
    joint_world_expect_everywhere(&world, "open", "aborted");
    joint_world_expect_everywhere(&world, "all", "committed");
    joint_world_expect(&world, JOINT_SHOP, "bank alone", "committed");
    joint_world_expect(&world, JOINT_BANK, "bank alone", "committed");
    joint_world_expect_amounts(&world, (const int[]){70, 125, 110});
    for (size_t i = 0; i < JOINT_SERVICES; i++)
        assert_int_equal(joint_world_number(&world, i,
                                            test_format("SELECT amount FROM %s WHERE id = 2",
                                                        joint_world_tables[i])),
                         i == JOINT_WEB ? 101 : 102);
    joint_world_stop_all(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_trigger_that_refuses_rows_of_keepstep_joint_ends_nothing, 400),
        TEST_WITH_LIMIT(a_trigger_that_acts_on_the_outcome_waits_for_what_is_reserved, 400),
    };
    return TEST_RUN(tests);
}
