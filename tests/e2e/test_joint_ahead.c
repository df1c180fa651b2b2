/* Joint transactions over a real Kafka where MariaDB cannot write a row of keepstep_joint yet, and
 * the log is read on; and where the agent takes all anew, again and again. */
#include "tests/support/joint_world.h"
#include "tests/support/mariadb.h"
#include "tests/support/postgresql.h"

#include "common/clock.h"

#include <signal.h>

#define KEEPS(service, type)                                                                       \
    "{\"service\":\"" service "\",\"type\":\"" type "\",\"key\":{\"id\":2},\"op\":\"k\"},"
#define NOBODY "{\"service\":\"nobody\",\"type\":\"item\",\"key\":{\"id\":1},\"op\":\"k\"}"

static const enum database_kind kinds[JOINT_SERVICES] = {DATABASE_SQLITE, DATABASE_MARIADB,
                                                         DATABASE_SQLITE};

/* It writes what the open ones reserve, whatever the row says. */
#define CARELESS                                                                                   \
    "CREATE TRIGGER c AFTER INSERT ON keepstep_joint FOR EACH ROW IF NEW.id NOT LIKE 'open%' "     \
    "THEN UPDATE extras SET amount = amount + 1 WHERE id = 2; END IF"

/* The bank reserves what it keeps, until it is withdrawn: nobody of a name that it has votes. */
static void open_at_bank(const struct joint_world *world, const char *id)
{
    joint_world_propose_text(world, id, JOINT_SHOP, 60000, "[" KEEPS("bank", "extra") NOBODY "]");
    joint_world_expect(world, JOINT_BANK, id, "reserved");
    joint_world_expect_vote(world, JOINT_BANK, id, JOINT_BANK);
}

static void withdraw(const struct joint_world *world, const char *id)
{
    struct process_result result = PROCESS_RUN(KEEPSTEP_BINARY, "joint", "withdraw", id, "-c",
                                               world->all[JOINT_SHOP].config);
    if (result.exit_code != 0 && strstr(result.errors, "withdrawn") == NULL) /* it was too slow */
        test_fail("%s", result.errors);
}

static void expect_said(const struct joint_world *world, const char *words)
{
    if (!process_wait_for(world->all[JOINT_BANK].process, words, JOINT_WORLD_WAIT_MS))
        test_fail("\"%s\" was not said: %s", words, process_errors(world->all[JOINT_BANK].process));
}

static void a_crash_while_the_log_is_read_ahead_changes_nothing_of_the_outcome(void **state)
{
    static const char *const moments[] = {"joint_before_row", "joint_after_row",
                                          "joint_before_position", "joint_after_position"};
    struct joint_world world;
    (void)state;
    joint_world_begin(&world, kinds, "");
    (void)database_text(world.all[JOINT_BANK].url, CARELESS);
    joint_world_start(&world, JOINT_SHOP, NULL);
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
        const char *open = test_format("open %zu", i);
        joint_world_start(&world, JOINT_BANK, moments[i]);
        open_at_bank(&world, open);
        joint_world_propose(&world, moments[i],
                            &(struct joint_move){JOINT_SHOP, 60000, {-2, 2, 0}});
        expect_said(&world, "the log is read on");
        withdraw(&world, open);
        if (process_wait(world.all[JOINT_BANK].process, JOINT_WORLD_WAIT_MS) != 128 + SIGKILL)
            test_fail("%s: the crash point was not passed: %s", moments[i],
                      process_errors(world.all[JOINT_BANK].process));
        joint_world_start(&world, JOINT_BANK, NULL);
        joint_world_expect(&world, JOINT_SHOP, moments[i], "committed");
        joint_world_expect(&world, JOINT_BANK, moments[i], "committed");
        joint_world_expect(&world, JOINT_BANK, open, "aborted");
        sidecar_stop(&world.all[JOINT_BANK]);
    }
    joint_world_expect_amounts(&world, (const int[]){92, 108, 100});
    assert_int_equal(
        joint_world_number(&world, JOINT_BANK, "SELECT amount FROM extras WHERE id = 2"), 104);
    sidecar_stop(&world.all[JOINT_SHOP]);
}

#define STRANGERS 1100 /* more than wait at a time */

/* Proposals that ask nothing of anybody here, whose names are used up all the same. */
static void produce_strangers(const struct joint_world *world)
{
    for (int i = 1; i <= STRANGERS; i++) {
        const char *const headers[] = {"ce_id",
                                       test_format("m-%d", i),
                                       "ce_source",
                                       "stranger",
                                       "ce_incarnation",
                                       "first",
                                       "ce_sequence",
                                       test_format("%020d", i),
                                       "ce_previousid",
                                       test_format("m-%d", i - 1),
                                       "ce_protocol",
                                       "1",
                                       "ce_kind",
                                       "proposal",
                                       NULL};
        (void)kafka_produce(world->kafka, sidecar_topic("keepstep-joint"), 0,
                            test_format("{\"id\":\"s%d\",\"proposer\":\"stranger\"}", i), "{}",
                            headers);
    }
}

/* What they wait for is decided behind all of them. Its timeout counts from the bank's start. */
static void however_many_rows_wait_the_log_is_read_to_what_frees_them(void **state)
{
    struct joint_world world;
    (void)state;
    joint_world_begin(&world, kinds, "");
    (void)database_text(world.all[JOINT_BANK].url, CARELESS);
    joint_world_start(&world, JOINT_SHOP, NULL);
    joint_world_start(&world, JOINT_BANK, NULL);
    open_at_bank(&world, "open");
    joint_world_expect_published(&world, JOINT_BANK);
    sidecar_stop(&world.all[JOINT_SHOP]);
    sidecar_stop(&world.all[JOINT_BANK]);
    produce_strangers(&world);
    joint_world_start(&world, JOINT_BANK, NULL);
    expect_said(&world, "read again behind them");
    joint_world_start(&world, JOINT_SHOP, NULL);
    withdraw(&world, "open");
    joint_world_expect(&world, JOINT_BANK, "open", "aborted");
    if (!database_wait_for(world.all[JOINT_BANK].url,
                           "SELECT count(*) FROM keepstep_joint WHERE state = 'elsewhere'",
                           test_format("%d\n", STRANGERS), 4 * JOINT_WORLD_WAIT_MS))
        test_fail("%s", process_errors(world.all[JOINT_BANK].process));
    joint_world_propose(&world, "next", &(struct joint_move){JOINT_SHOP, 60000, {-1, 1, 0}});
    joint_world_expect(&world, JOINT_SHOP, "next", "committed");
    joint_world_expect(&world, JOINT_BANK, "next", "committed");
    assert_int_equal(
        joint_world_number(&world, JOINT_BANK, "SELECT amount FROM extras WHERE id = 2"),
        100 + STRANGERS + 1);
    sidecar_stop(&world.all[JOINT_SHOP]);
    sidecar_stop(&world.all[JOINT_BANK]);
}

/* Let the shop, which stops itself before its vote, go on: a sign that comes before the stop is
 * lost. */
static void go_on_until_committed(const struct joint_world *world, const char *id)
{
    const char *sql = test_format("SELECT state FROM keepstep_joint WHERE id = '%s'", id);
    for (int i = 0; i < JOINT_WORLD_WAIT_MS / 500; i++) {
        process_signal(world->all[JOINT_SHOP].process, SIGCONT);
        if (database_wait_for(world->all[JOINT_SHOP].url, sql, "committed\n", 500))
            return;
    }
    joint_world_expect(world, JOINT_SHOP, id, "committed");
}

#define ACTOR                                                                                      \
    "CREATE TRIGGER c AFTER UPDATE ON keepstep_joint FOR EACH ROW IF NEW.state = 'committed' "     \
    "THEN UPDATE extras SET amount = amount + 1 WHERE id = 2; END IF"

/* As `keepstep joint adopt` leaves it in a database that has made the change: nothing of it is
 * reserved, and its own vote is known from the log alone. */
#define ADOPTED                                                                                    \
    "DELETE FROM keepstep_reserved WHERE id = 'all';"                                              \
    "UPDATE keepstep_joint SET state = 'queued' WHERE id = 'all';"                                 \
    "REPLACE INTO keepstep_meta (`key`, value) VALUES ('joint_history_end', '1000'), "             \
    "('joint_history_made', '1')"

/* A trigger that acts on the outcome meets what another one reserves: the row alone waits. */
static void what_an_adopted_database_has_made_is_not_made_again_where_its_row_waits(void **state)
{
    struct joint_world world;
    (void)state;
    joint_world_begin(&world, kinds, "");
    (void)database_text(world.all[JOINT_BANK].url, ACTOR);
    joint_world_start(&world, JOINT_SHOP, NULL);
    joint_world_start(&world, JOINT_BANK, NULL);
    open_at_bank(&world, "open");
    sidecar_stop(&world.all[JOINT_SHOP]);
    joint_world_start(&world, JOINT_SHOP, "joint_before_vote:stop");
    joint_world_propose(&world, "all", &(struct joint_move){JOINT_SHOP, 60000, {-10, 10, 0}});
    joint_world_expect_vote(&world, JOINT_BANK, "all", JOINT_BANK);
    joint_world_expect_published(&world, JOINT_BANK);
    sidecar_stop(&world.all[JOINT_BANK]);
    (void)database_text(world.all[JOINT_BANK].url, ADOPTED);
    go_on_until_committed(&world, "all");
    joint_world_start(&world, JOINT_BANK, NULL);
    expect_said(&world, "the log is read on");
    withdraw(&world, "open");
    joint_world_expect(&world, JOINT_BANK, "all", "committed");
    joint_world_expect(&world, JOINT_BANK, "open", "aborted");
    joint_world_expect_amounts(&world, (const int[]){90, 100, 100});
    assert_int_equal(
        joint_world_number(&world, JOINT_BANK, "SELECT amount FROM extras WHERE id = 2"), 101);
    sidecar_stop(&world.all[JOINT_SHOP]);
    sidecar_stop(&world.all[JOINT_BANK]);
}

static int taken(const struct sidecar *service)
{
    static const char words[] = "transactions are open";
    int count = 0;
    const char *at = process_errors(service->process);
    for (; (at = strstr(at, words)) != NULL; at += sizeof words - 1)
        count++;
    return count;
}

struct taking {
    const struct sidecar *service;
    int before;
};

static bool is_taken_again(void *context)
{
    const struct taking *taking = context;
    return taken(taking->service) > taking->before;
}

#define RETRY_TIMEOUT_MS 15000
#define RETRIES_MAX      200
#define A_ROUND_US       INT64_C(300000) /* enough to withdraw, where nothing begins anew */

/* Its sessions are ended again and again, and each time the partition is taken anew. */
static void expect_withdrawn_beside_retries(struct joint_world *world, size_t service,
                                            void (*kill)(const char *url))
{
    const struct sidecar *sidecar = &world->all[service];
    const char *done = test_format("SELECT count(*) FROM keepstep_joint WHERE id = 'of %s' AND "
                                   "(withdrawn = 1 OR state = 'aborted')",
                                   sidecar->name);
    joint_world_propose_text(world, test_format("of %s", sidecar->name), service, RETRY_TIMEOUT_MS,
                             "[" NOBODY "]");
    joint_world_expect(world, service, test_format("of %s", sidecar->name), "queued");
    for (int i = 0; strcmp(database_text(sidecar->url, done), "1\n") != 0; i++) {
        struct taking taking = {sidecar, taken(sidecar)};
        if (i == RETRIES_MAX)
            test_fail("%s has not withdrawn: %s", sidecar->name, process_errors(sidecar->process));
        kill(sidecar->url);
        if (!test_wait(is_taken_again, &taking, JOINT_WORLD_WAIT_MS))
            test_fail("%s does not go on: %s", sidecar->name, process_errors(sidecar->process));
        clock_sleep_us(A_ROUND_US);
    }
    joint_world_expect(world, service, test_format("of %s", sidecar->name), "aborted");
}

static void no_retry_lets_a_timeout_begin_anew(void **state)
{
    static const enum database_kind servers[JOINT_SERVICES] = {DATABASE_POSTGRESQL,
                                                               DATABASE_MARIADB, DATABASE_SQLITE};
    struct joint_world world;
    (void)state;
    joint_world_begin(&world, servers, "");
    joint_world_start(&world, JOINT_SHOP, NULL);
    expect_withdrawn_beside_retries(&world, JOINT_SHOP, postgresql_kill_backends);
    sidecar_stop(&world.all[JOINT_SHOP]);
    joint_world_start(&world, JOINT_BANK, NULL);
    expect_withdrawn_beside_retries(&world, JOINT_BANK, mariadb_kill_backends);
    sidecar_stop(&world.all[JOINT_BANK]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(a_crash_while_the_log_is_read_ahead_changes_nothing_of_the_outcome, 400),
        TEST_WITH_LIMIT(however_many_rows_wait_the_log_is_read_to_what_frees_them, 400),
        TEST_WITH_LIMIT(what_an_adopted_database_has_made_is_not_made_again_where_its_row_waits,
                        400),
        TEST_WITH_LIMIT(no_retry_lets_a_timeout_begin_anew, 400),
    };
    return TEST_RUN(tests);
}
