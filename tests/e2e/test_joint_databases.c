/* Joint transactions of services on three kinds of database over a real Kafka: whoever crashes, and
 * whatever the services write meanwhile, they happen in all of them or in none. */
#include "tests/support/joint_world.h"
#include "tests/support/load.h"
#include "tests/support/session.h"

#include "common/clock.h"

#include <stdio.h>

static const enum database_kind kinds[JOINT_SERVICES] = {DATABASE_POSTGRESQL, DATABASE_MARIADB,
                                                         DATABASE_SQLITE};

static const char *const moments[] = {
    "joint_before_note",     "joint_after_note",     "joint_before_vote",   "joint_after_vote",
    "joint_before_decision", "joint_after_decision", "joint_before_settle", "joint_after_settle",
};
#define MOMENTS (sizeof moments / sizeof *moments)

#define ROUNDS      60
#define ROUND_US    INT64_C(150000)
#define WRITES      300 /* transactions of each service */
#define SHARED_ROW  50  /* and the ones behind it: made and deleted by all */
#define SHARED_ROWS 4
#define SHORT_MS    2000
#define LONG_MS     20000

static void propose(const struct joint_world *world, const char *id, int shop, int bank, int web)
{
    joint_world_propose(world, id, &(struct joint_move){JOINT_SHOP, 60000, {shop, bank, web}});
}

static void what_all_can_do_happens_everywhere_and_what_one_cannot_nowhere(void **state)
{
    struct joint_world world;
    (void)state;
    joint_world_begin(&world, kinds, "");
    joint_world_start_all(&world);
    propose(&world, "first", -30, 20, 10);
    joint_world_expect_everywhere(&world, "first", "committed");
    joint_world_expect_amounts(&world, (const int[]){70, 120, 110});
    for (size_t i = 0; i < JOINT_SERVICES; i++) {
        const char *id = test_format("too-much-%zu", i);
        propose(&world, id, i == 0 ? -71 : 1, i == 1 ? -121 : 1, i == 2 ? -111 : 1);
        joint_world_expect_everywhere(&world, id, "aborted");
        const char *reason = database_text(
            world.all[0].url, test_format("SELECT reason FROM keepstep_joint WHERE id = '%s'", id));
        if (strstr(reason, test_format("%s: ", world.all[i].name)) == NULL ||
            strcasestr(reason, "constraint") == NULL)
            test_fail("the reason of %s is: %s", id, reason);
    }
    joint_world_expect_amounts(&world, (const int[]){70, 120, 110});
    joint_world_stop_all(&world);
}

static void expect_said(const struct sidecar *service, const char *command, const char *what)
{
    struct process_result result = PROCESS_RUN(KEEPSTEP_BINARY, command, "-c", service->config);
    if (strstr(result.output, what) == NULL)
        test_fail("keepstep %s: %s%s", command, result.output, result.errors);
}

/* A session of the service's own holds the row that the decision needs. */
static void who_waits_with_a_decision_says_what_for(void **state)
{
    struct joint_world world;
    (void)state;
    joint_world_begin(&world, kinds, "");
    joint_world_start_all(&world);
    const struct sidecar *bank = &world.all[JOINT_BANK];
    sidecar_stop(&world.all[JOINT_WEB]);
    propose(&world, "slow", -3, 2, 1);
    joint_world_expect(&world, JOINT_BANK, "slow", "reserved");
    struct session *holder = session_open(bank->url);
    session_run(holder, "BEGIN", NULL);
    session_run(
        holder,
        test_format("SELECT id FROM %s WHERE id = 1 FOR UPDATE", joint_world_tables[JOINT_BANK]),
        NULL);
    joint_world_start(&world, JOINT_WEB, NULL);
    if (!database_wait_for(bank->url,
                           "SELECT count(*) FROM keepstep_joint WHERE state = 'committing' AND "
                           "reason LIKE 'waits: %'",
                           "1\n", JOINT_WORLD_WAIT_MS))
        test_fail("%s", process_errors(bank->process));
    expect_said(bank, "joint", "committing");
    expect_said(bank, "joint", "; waits: ");
    expect_said(bank, "status", "0 undecided, 0 reserved, 1 settling, 0 held");
    session_run(holder, "ROLLBACK", NULL);
    session_close(holder);
    joint_world_expect_everywhere(&world, "slow", "committed");
    assert_string_equal(
        database_text(bank->url, "SELECT reason FROM keepstep_joint WHERE id = 'slow'"), "\n");
    joint_world_expect_amounts(&world, (const int[]){97, 102, 101});
    joint_world_stop_all(&world);
}

static void crash_at_each_moment(struct joint_world *world, size_t victim)
{
    struct sidecar *service = &world->all[victim];
    for (size_t i = 0; i < MOMENTS; i++) {
        const char *id = test_format("%s-%s", service->name, moments[i]);
        sidecar_start(service, moments[i]);
        propose(world, id, -2, 1, 1);
        if (process_wait(service->process, JOINT_WORLD_WAIT_MS) != 128 + 9)
            test_fail("%s: the crash point was not passed: %s", id,
                      process_errors(service->process));
        joint_world_start(world, victim, NULL);
        joint_world_expect_everywhere(world, id, "committed");
        sidecar_stop(service);
    }
    joint_world_start(world, victim, NULL);
}

static void a_crash_at_any_moment_changes_nothing_of_the_outcome(void **state)
{
    struct joint_world world;
    (void)state;
    joint_world_begin(&world, kinds, "");
    joint_world_start_all(&world);
    for (size_t i = 0; i < JOINT_SERVICES; i++) {
        if (kinds[i] == DATABASE_SQLITE)
            continue; /* test_joint.c */
        sidecar_stop(&world.all[i]);
        crash_at_each_moment(&world, i);
    }
    joint_world_expect_amounts(&world, (const int[]){68, 116, 116});
    joint_world_stop_all(&world);
}

/* Transactions of a service's own, which begin by reading all: money between its two rows, at any
 * isolation level, and a row that joint transactions want to make as well. */
static struct process *start_writer(const struct joint_world *world, size_t service)
{
    static const char *const begins[][3] = {
        [DATABASE_POSTGRESQL] = {"BEGIN ISOLATION LEVEL READ COMMITTED",
                                 "BEGIN ISOLATION LEVEL REPEATABLE READ",
                                 "BEGIN ISOLATION LEVEL SERIALIZABLE"},
        [DATABASE_MARIADB] = {"SET TRANSACTION ISOLATION LEVEL READ COMMITTED; BEGIN",
                              "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; BEGIN",
                              "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; BEGIN"},
        [DATABASE_SQLITE] = {"BEGIN IMMEDIATE", "BEGIN", "BEGIN"},
    };
    static const char *const pauses[] = {[DATABASE_POSTGRESQL] = "SELECT pg_sleep(0.01);",
                                         [DATABASE_MARIADB] = "DO SLEEP(0.01);",
                                         [DATABASE_SQLITE] = ""};
    const char *table = joint_world_tables[service];
    enum database_kind kind = kinds[service];
    unsigned seed = 7 + (unsigned)service;
    struct buffer script;
    buffer_init(&script, 1024 * 1024);
    for (int i = 0; i < WRITES; i++) {
        int amount = load_random(&seed, 21) - 10;
        int row = SHARED_ROW + load_random(&seed, SHARED_ROWS);
        buffer_append_format(&script, "%s; SELECT sum(amount) FROM %s; %s\n",
                             begins[kind][load_random(&seed, 3)], table, pauses[kind]);
        if (load_random(&seed, 5) == 0)
            buffer_append_format(&script,
                                 "INSERT INTO %s VALUES (%d, 'own', 0); %s\n"
                                 "DELETE FROM %s WHERE id = %d;\n",
                                 table, row, pauses[kind], table, row);
        else
            buffer_append_format(&script,
                                 "UPDATE %s SET amount = amount + CASE id WHEN 1 THEN %d ELSE %d "
                                 "END WHERE id IN (1, 2);\n",
                                 table, amount, -amount);
        buffer_append_format(&script, "%s COMMIT;\n", pauses[kind]);
    }
    struct process *writer = load_client(test_format("writer-%zu", service),
                                         world->all[service].url, &script);
    buffer_done(&script);
    return writer;
}

/* Money from one service to two others, and now and then a row that the services' own transactions
 * make and delete, too. */
static void propose_any(const struct joint_world *world, int round, unsigned *seed)
{
    static const char *const types[JOINT_SERVICES] = {"item", "extra", "item"};
    int other = load_random(seed, JOINT_SERVICES);
    int amount = 1 + load_random(seed, 12);
    const char *changes = "";
    for (int i = 0; i < JOINT_SERVICES; i++)
        changes = test_format("%s,{\"service\":\"%s\",\"type\":\"%s\",\"key\":{\"id\":1},\"op\":"
                              "\"u\",\"add\":{\"amount\":%d}}",
                              changes, world->all[i].name, types[i],
                              i == round % JOINT_SERVICES ? -2 * amount : amount);
    if (load_random(seed, 3) == 0) {
        bool creates = load_random(seed, 2) == 0;
        changes = test_format("%s,{\"service\":\"%s\",\"type\":\"%s\",\"key\":{\"id\":%d},\"op\":"
                              "\"%s\"%s}",
                              changes, world->all[other].name, types[other],
                              SHARED_ROW + load_random(seed, SHARED_ROWS), creates ? "c" : "d",
                              creates ? ",\"set\":{\"name\":\"joint\",\"amount\":0}" : "");
    }
    joint_world_propose_text(world, test_format("r%d", round), (size_t)load_random(seed, 3),
                             load_random(seed, 3) == 0 ? SHORT_MS : LONG_MS,
                             test_format("[%s]", changes + 1));
}

/* A promise that could not be kept is said there. */
static void expect_promises_kept(const struct sidecar *service)
{
    const char *said = strstr(process_errors(service->process),
                              "this database refuses its changes");
    if (said != NULL)
        test_fail("%s broke a promise: %.500s", service->name, said);
}

/* Start it anew: in most cases it will kill itself at one of the moments. */
static void kill_and_start(struct joint_world *world, size_t victim, const char *failpoint)
{
    process_kill(world->all[victim].process);
    expect_promises_kept(&world->all[victim]);
    sidecar_start(&world->all[victim], failpoint);
}

/* All of them decide alike, and soon after the last one is back. */
static void expect_all_settled(const struct joint_world *world, int64_t back_us)
{
    int committed = 0;
    for (int round = 0; round < ROUNDS; round++) {
        const char *outcome = joint_world_outcome(world, test_format("r%d", round));
        if (strcmp(outcome, "committed\n") == 0)
            committed++;
        else if (strcmp(outcome, "aborted\n") != 0)
            test_fail("r%d: %s\n%s", round, outcome, process_errors(world->all[0].process));
    }
    assert_in_range(committed, 1, ROUNDS);
    assert_in_range((clock_monotonic_us() - back_us) / 1000, 0, 10 * (LONG_MS + 5000));
}

static void expect_money_kept(const struct joint_world *world)
{
    int sum = 0;
    for (size_t i = 0; i < JOINT_SERVICES; i++) {
        expect_promises_kept(&world->all[i]);
        sum += joint_world_number(world, i,
                                  test_format("SELECT sum(amount) FROM %s", joint_world_tables[i]));
        assert_int_equal(joint_world_number(world, i, "SELECT count(*) FROM keepstep_reserved"), 0);
        assert_int_equal(
            joint_world_number(world, i, "SELECT count(*) FROM keepstep_joint WHERE late <> 0"), 0);
    }
    assert_int_equal(sum, 600);
}

static void whatever_happens_they_decide_alike_and_keep_their_promises(void **state)
{
    struct joint_world world;
    struct process *writers[JOINT_SERVICES];
    unsigned seed = 20261130;
    (void)state;
    load_need("psql");
    load_need("mariadb");
    load_need("sqlite3");
    joint_world_begin(&world, kinds, "");
    joint_world_start_all(&world);
    for (size_t i = 0; i < JOINT_SERVICES; i++)
        writers[i] = start_writer(&world, i);
    for (int round = 0; round < ROUNDS; round++) {
        propose_any(&world, round, &seed);
        if (load_random(&seed, 4) == 0)
            kill_and_start(&world, (size_t)load_random(&seed, JOINT_SERVICES),
                           test_format("%s:%d", moments[load_random(&seed, MOMENTS)],
                                       1 + load_random(&seed, 6)));
        clock_sleep_us(ROUND_US);
    }
    for (size_t i = 0; i < JOINT_SERVICES; i++)
        (void)load_client_end(writers[i], 2 * JOINT_WORLD_WAIT_MS);
    for (size_t i = 0; i < JOINT_SERVICES; i++)
        kill_and_start(&world, i, NULL);
    expect_all_settled(&world, clock_monotonic_us());
    expect_money_kept(&world);
    joint_world_stop_all(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(what_all_can_do_happens_everywhere_and_what_one_cannot_nowhere, 180),
        TEST_WITH_LIMIT(who_waits_with_a_decision_says_what_for, 300),
        TEST_WITH_LIMIT(a_crash_at_any_moment_changes_nothing_of_the_outcome, 400),
        TEST_WITH_LIMIT(whatever_happens_they_decide_alike_and_keep_their_promises, 500),
    };
    return TEST_RUN(tests);
}
