/* Joint transactions over a real Kafka where a trigger of a service's on a server refuses what the
 * agent writes into keepstep_joint. */
#include "tests/support/joint_world.h"
#include "tests/support/session.h"

#include "common/clock.h"

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
#define NOBODY   "{\"service\":\"nobody\",\"type\":\"item\",\"key\":{\"id\":1},\"op\":\"k\"}"
#define OPEN     "[" KEEPS("shop", "item") KEEPS("bank", "extra") KEEPS("web", "item") NOBODY "]"
#define OPEN_MS  60000
#define LIMIT_MS 12000
#define LONG_MS  30000

/* All three reserve what it wants, until it is withdrawn: nobody of a name that it has votes. */
static void propose_open(const struct joint_world *world, int timeout_ms)
{
    joint_world_propose_text(world, "open", JOINT_SHOP, timeout_ms, OPEN);
    for (size_t i = 0; i < JOINT_SERVICES; i++)
        joint_world_expect(world, i, "open", "reserved");
}

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
    propose_open(&world, OPEN_MS);
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

/* The relay does not send it. */
static void drop_proposal(const struct sidecar *sidecar)
{
    static const char position[] = "SELECT position FROM outbox WHERE set_aside IS NOT NULL";
    if (!database_wait_for(sidecar->url, test_format("SELECT count(*) FROM (%s) AS s", position),
                           "1\n", JOINT_WORLD_WAIT_MS))
        test_fail("%s: %s", sidecar->name, process_errors(sidecar->process));
    const char *row = database_text(sidecar->url, position);
    struct process_result result = sidecar_run(sidecar, "outbox", "drop",
                                               test_format("%.*s", (int)strcspn(row, "\n"), row));
    if (result.exit_code != 0)
        test_fail("%s", result.errors);
}

/* As an earlier version of the service may have written it, or somebody in its name. */
static void produce_malformed(const struct joint_world *world, const char *service)
{
    const char *const headers[] = {"ce_id",
                                   test_format("m-%s", service),
                                   "ce_source",
                                   service,
                                   "ce_incarnation",
                                   "earlier",
                                   "ce_sequence",
                                   "00000000000000000001",
                                   "ce_protocol",
                                   "1",
                                   "ce_kind",
                                   "proposal",
                                   NULL};
    (void)kafka_produce(world->kafka, sidecar_topic("keepstep-joint"), 0,
                        test_format("{\"id\":\"of %s\",\"proposer\":\"%s\"}", service, service),
                        "{}", headers);
}

/* Of a proposal that cannot be read its proposer alone keeps a row. */
static void a_trigger_that_acts_on_a_malformed_proposal_waits_for_what_is_reserved_too(void **state)
{
    static const enum database_kind kinds[JOINT_SERVICES] = {DATABASE_POSTGRESQL, DATABASE_MARIADB,
                                                             DATABASE_SQLITE};
    struct joint_world world;
    (void)state;
    joint_world_begin(&world, kinds, "");
    for (size_t i = 0; i < JOINT_SERVICES; i++)
        (void)database_text(world.all[i].url, test_replace(actors[i], "'committed'", "'aborted'"));
    joint_world_start_all(&world);
    propose_open(&world, LONG_MS);
    for (size_t i = 0; i < JOINT_SERVICES; i++) {
        const char *id = test_format("of %s", world.all[i].name);
        joint_world_propose_text(&world, id, i, OPEN_MS,
                                 "[{\"service\":\"shop\",\"type\":\"item\",\"key\":{\"id\":1},"
                                 "\"op\":\"k\",\"set\":{\"amount\":1}}]");
        drop_proposal(&world.all[i]);
        produce_malformed(&world, world.all[i].name);
        joint_world_expect(&world, i, id, "aborting");
    }
    joint_world_expect_everywhere(&world, "open", "aborted");
    for (size_t i = 0; i < JOINT_SERVICES; i++) {
        joint_world_expect(&world, i, test_format("of %s", world.all[i].name), "aborted");
        assert_int_equal(joint_world_number(&world, i,
                                            test_format("SELECT amount FROM %s WHERE id = 2",
                                                        joint_world_tables[i])),
                         102);
    }
    joint_world_stop_all(&world);
}

/* Each waits for a row before it knows of another transaction. */
static const char *const noters[JOINT_SERVICES] = {
    NULL,
    "CREATE TRIGGER n AFTER INSERT ON keepstep_joint FOR EACH ROW IF NEW.id = 'next' THEN UPDATE "
    "extras SET amount = amount + 1 WHERE id = 1; END IF",
    "CREATE FUNCTION n() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE items SET amount = "
    "amount + 1 WHERE id = 1; RETURN NULL; END $$; CREATE TRIGGER n AFTER INSERT ON keepstep_joint "
    "FOR EACH ROW WHEN (NEW.id = 'next') EXECUTE FUNCTION n()"};

/* SQLite has one writer: there whoever writes anything, or nothing, holds all. */
static const char *const holds[JOINT_SERVICES] = {"UPDATE items SET amount = amount WHERE id = 77",
                                                  "UPDATE extras SET amount = 99 WHERE id = 1",
                                                  "UPDATE items SET amount = 99 WHERE id = 1"};

/* While the log waits at a lock, the clocks of those that were read before go on. */
static void a_lock_that_is_not_had_while_the_log_is_read_lets_no_timeout_begin_anew(void **state)
{
    static const enum database_kind kinds[JOINT_SERVICES] = {DATABASE_SQLITE, DATABASE_MARIADB,
                                                             DATABASE_POSTGRESQL};
    struct session *holders[JOINT_SERVICES];
    struct joint_world world;
    (void)state;
    joint_world_begin(&world, kinds, "");
    for (size_t i = 1; i < JOINT_SERVICES; i++)
        (void)database_text(world.all[i].url, noters[i]);
    joint_world_start_all(&world);
    propose_open(&world, LIMIT_MS);
    for (size_t i = 0; i < JOINT_SERVICES; i++)
        holders[i] = session_open(world.all[i].url);
    for (size_t i = JOINT_SERVICES; i-- > 0;) {
        if (i == JOINT_SHOP)
            propose(&world, "next", -1, 1, 1); /* which the shop can do no more once it is held */
        session_run(holders[i], "BEGIN", NULL);
        session_run(holders[i], holds[i], NULL);
    }
    clock_sleep_us(LIMIT_MS * INT64_C(1000));
    session_run(holders[JOINT_SHOP], "COMMIT", NULL);
    /* The others' withdrawal is an end too. */
    for (size_t i = 0; i < JOINT_SERVICES; i++) {
        if (!database_wait_for(world.all[i].url,
                               "SELECT count(*) FROM keepstep_joint WHERE id = 'open' AND "
                               "(withdrawn = 1 OR state = 'aborted')",
                               "1\n", LIMIT_MS * 3 / 4))
            test_fail("%s has not withdrawn: %s", world.all[i].name,
                      process_errors(world.all[i].process));
    }
    for (size_t i = 1; i < JOINT_SERVICES; i++)
        session_run(holders[i], "ROLLBACK", NULL);
    for (size_t i = 0; i < JOINT_SERVICES; i++)
        session_close(holders[i]);
    joint_world_expect_everywhere(&world, "next", "committed");
    joint_world_expect_everywhere(&world, "open", "aborted");
    joint_world_stop_all(&world);
}

/* It acts whatever the state is, so that the log must be read on for what it meets to go away. */
static const char *const careless[JOINT_SERVICES] = {
    "CREATE TRIGGER c AFTER UPDATE ON keepstep_joint FOR EACH ROW IF NEW.id <> 'open' THEN UPDATE "
    "items SET amount = amount + 1 WHERE id = 2; END IF",
    "CREATE TRIGGER c AFTER INSERT ON keepstep_joint FOR EACH ROW IF NEW.id <> 'open' THEN UPDATE "
    "extras SET amount = amount + 1 WHERE id = 2; END IF",
    NULL};

/* MariaDB writes no row without its triggers. Whoever is killed meanwhile reads all of it again. */
static void a_trigger_without_a_condition_does_not_keep_the_log_from_being_read(void **state)
{
    static const enum database_kind kinds[JOINT_SERVICES] = {DATABASE_MARIADB, DATABASE_MARIADB,
                                                             DATABASE_SQLITE};
    struct joint_world world;
    (void)state;
    joint_world_begin(&world, kinds, "");
    for (size_t i = 0; careless[i] != NULL; i++)
        (void)database_text(world.all[i].url, careless[i]);
    joint_world_start_all(&world);
    joint_world_propose_text(&world, "open", JOINT_SHOP, LONG_MS, OPEN);
    for (size_t i = 0; i < JOINT_SERVICES; i++) {
        joint_world_expect(&world, i, "open", "reserved");
        for (size_t voter = 0; voter < JOINT_SERVICES; voter++)
            joint_world_expect_vote(&world, i, "open", voter);
    }
    propose(&world, "all", -30, 20, 10);
    joint_world_propose(&world, "elsewhere", &(struct joint_move){JOINT_WEB, 60000, {0, 0, 1}});
    for (size_t i = 0; careless[i] != NULL; i++) {
        if (!process_wait_for(world.all[i].process, "the log is read on", JOINT_WORLD_WAIT_MS))
            test_fail("%s", process_errors(world.all[i].process));
    }
    process_kill(world.all[JOINT_BANK].process);
    joint_world_start(&world, JOINT_BANK, NULL);
    joint_world_expect_everywhere(&world, "open", "aborted");
    joint_world_expect_everywhere(&world, "all", "committed");
    for (size_t i = 0; careless[i] != NULL; i++) {
        joint_world_expect(&world, i, "elsewhere", "elsewhere");
        if (i != JOINT_BANK &&
            !process_wait_for(world.all[i].process, "all that was read is stored",
                              JOINT_WORLD_WAIT_MS))
            test_fail("%s", process_errors(world.all[i].process));
        sidecar_stop(&world.all[i]);
        joint_world_start(&world, i, NULL);
    }
    propose(&world, "next", -1, 1, 0);
    joint_world_expect(&world, JOINT_SHOP, "next", "committed");
    joint_world_expect(&world, JOINT_BANK, "next", "committed");
    joint_world_expect_amounts(&world, (const int[]){69, 121, 111});
    joint_world_stop_all(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_trigger_that_acts_on_a_malformed_proposal_waits_for_what_is_reserved_too,
                        400),
        TEST_WITH_LIMIT(a_trigger_without_a_condition_does_not_keep_the_log_from_being_read, 400),
        TEST_WITH_LIMIT(a_trigger_that_refuses_rows_of_keepstep_joint_ends_nothing, 400),
        TEST_WITH_LIMIT(a_trigger_that_acts_on_the_outcome_waits_for_what_is_reserved, 400),
        TEST_WITH_LIMIT(a_lock_that_is_not_had_while_the_log_is_read_lets_no_timeout_begin_anew,
                        400),
    };
    return TEST_RUN(tests);
}
