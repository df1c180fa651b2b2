/* Joint transactions over a real Kafka: changes of several services' databases happen in all of
 * them or in none, whoever is away, crashes or is refused by a constraint. */
#include "tests/support/sidecar.h"

#include <stdio.h>

#define CHECKED_DDL(table)                                                                         \
    "CREATE TABLE " table "(id INTEGER PRIMARY KEY, name TEXT NOT NULL, amount INTEGER CHECK "     \
    "(amount >= 0));INSERT INTO " table " VALUES(1,'one',100);"
#define LIMIT_MS 60000

/* Three services, each the only writer of its type: shop of items, bank of extras, web of items of
 * its own topic. */
struct world {
    struct kafka *kafka;
    struct sidecar shop;
    struct sidecar bank;
    struct sidecar web;
    struct sidecar *all[3];
};

/* @param shop  who may propose changes of the shop's items. */
static void begin_with(struct world *world, const char *shop)
{
    world->kafka = kafka_start();
    world->shop = sidecar_make(
        world->kafka, "shop", CHECKED_DDL("items"),
        test_format("publish:\n  item: {table: items, joint: [%s]}\n", shop));
    world->bank = sidecar_make(world->kafka, "bank", CHECKED_DDL("extras"),
                               "publish:\n  extra: {table: extras, joint: [shop]}\n");
    world->web = sidecar_make(
        world->kafka, "web", CHECKED_DDL("items"),
        test_format("publish:\n  item: {table: items, topic: %s, joint: [shop]}\n",
                    sidecar_topic("web")));
    world->all[0] = &world->shop;
    world->all[1] = &world->bank;
    world->all[2] = &world->web;
    for (size_t i = 0; i < 3; i++)
        sidecar_init(world->all[i], NULL);
}

static void begin(struct world *world)
{
    begin_with(world, "");
}

static void start_all(struct world *world)
{
    for (size_t i = 0; i < 3; i++)
        sidecar_start(world->all[i], NULL);
}

static void stop_all(struct world *world)
{
    for (size_t i = 0; i < 3; i++)
        sidecar_stop(world->all[i]);
}

#define ADD(service, type, amount)                                                                 \
    "{\"service\":\"" service "\",\"type\":\"" type "\",\"key\":{\"id\":1},\"op\":\"u\","          \
    "\"add\":{\"amount\":" amount "}}"
#define MOVE(shop, bank, web)                                                                      \
    "[" ADD("shop", "item", shop) "," ADD("bank", "extra", bank) "," ADD("web", "item", web) "]"

static void propose(const struct sidecar *proposer, const char *id, int timeout_ms,
                    const char *changes)
{
    (void)sqlite_format(proposer->database,
                        "INSERT INTO keepstep_joint(id, timeout_ms, changes) VALUES('%s',%d,'%s')",
                        id, timeout_ms, changes);
}

static const char *state_of(const char *id)
{
    return test_format("SELECT state FROM keepstep_joint WHERE id='%s'", id);
}

static void expect_state(const struct sidecar *service, const char *id, const char *state)
{
    if (sqlite_wait_for(service->database, state_of(id), test_format("%s\n", state), LIMIT_MS))
        return;
    test_fail("%s: %s is %s, not %s: %s\n%s", service->name, id,
              sqlite_text(service->database, state_of(id)), state,
              sqlite_text(service->database,
                          test_format("SELECT reason,votes FROM keepstep_joint WHERE id='%s'", id)),
              process_errors(service->process));
}

static void expect_amounts(const struct world *world, const char *shop, const char *bank,
                           const char *web)
{
    const char *const amounts[] = {shop, bank, web};
    for (size_t i = 0; i < 3; i++) {
        const char *table = i == 1 ? "extras" : "items";
        const char *database = world->all[i]->database;
        assert_string_equal(
            sqlite_text(database, test_format("SELECT amount FROM %s WHERE id=1", table)),
            test_format("%s\n", amounts[i]));
        assert_int_equal(sqlite_number(database, "SELECT count(*) FROM keepstep_reserved"), 0);
    }
}

static void expect_reason(const struct sidecar *service, const char *id, const char *reason)
{
    const char *found = sqlite_text(
        service->database, test_format("SELECT reason FROM keepstep_joint WHERE id='%s'", id));
    if (strstr(found, reason) == NULL)
        test_fail("the reason of %s is: %s", id, found);
}

static void expect_everywhere(const struct world *world, const char *id, const char *state)
{
    for (size_t i = 0; i < 3; i++)
        expect_state(world->all[i], id, state);
}

static void what_all_can_do_happens_everywhere_and_what_one_cannot_nowhere(void **state)
{
    struct world world;
    (void)state;
    begin(&world);
    start_all(&world);
    propose(&world.shop, "first", 60000, MOVE("-30", "20", "10"));
    expect_everywhere(&world, "first", "committed");
    expect_amounts(&world, "70", "120", "110");

    propose(&world.shop, "too-much", 60000, MOVE("50", "50", "-111"));
    expect_everywhere(&world, "too-much", "aborted");
    expect_reason(&world.shop, "too-much", "web: ");
    expect_reason(&world.shop, "too-much", "CHECK");

    propose(&world.bank, "not-allowed", 60000, MOVE("1", "1", "-2"));
    expect_everywhere(&world, "not-allowed", "aborted");
    expect_reason(&world.bank, "not-allowed", "joint: does not let bank propose");

    propose(&world.shop, "unknown-type", 60000, "[" ADD("bank", "item", "1") "]");
    expect_state(&world.shop, "unknown-type", "aborted");
    expect_reason(&world.shop, "unknown-type", "bank: item");
    expect_amounts(&world, "70", "120", "110");
    /* Whoever reads the types has the changes as changes of the services' own. */
    assert_string_equal(sqlite_text(world.bank.database,
                                    "SELECT count(*) FROM outbox WHERE aggregatetype='extra' AND "
                                    "type='extra.updated'"),
                        "1\n");
    stop_all(&world);
}

#define JOINT(service, ...)                                                                        \
    PROCESS_RUN(KEEPSTEP_BINARY, "joint", "-c", world.service.config, __VA_ARGS__)

static void one_that_is_away_costs_the_others_only_the_timeout(void **state)
{
    struct world world;
    (void)state;
    begin(&world);
    sidecar_start(&world.shop, NULL);
    sidecar_start(&world.bank, NULL);
    propose(&world.shop, "long", 60000, MOVE("-1", "1", "0"));
    expect_state(&world.bank, "long", "reserved");
    struct process_result refused = PROCESS_RUN("sqlite3", "-cmd", ".timeout 5000",
                                                world.bank.database,
                                                "UPDATE extras SET amount=1 WHERE id=1");
    assert_int_not_equal(refused.exit_code, 0);
    assert_non_null(strstr(refused.errors, "reserved"));
    propose(&world.shop, "short", 1000, MOVE("-1", "1", "0")); /* it waits for the first one */
    expect_state(&world.shop, "short", "aborted");
    expect_state(&world.bank, "short", "aborted");
    expect_reason(&world.shop, "short", "no decision within 1000 ms: bank, shop, web have not");
    assert_int_equal(JOINT(shop, "withdraw", "long").exit_code, 0);
    expect_state(&world.shop, "long", "aborted");
    expect_state(&world.bank, "long", "aborted");
    (void)sqlite_text(world.bank.database, "UPDATE extras SET amount=101 WHERE id=1");
    sidecar_start(&world.web, NULL);
    expect_state(&world.web, "long", "aborted");
    expect_state(&world.web, "short", "aborted");
    expect_amounts(&world, "100", "101", "100");
    propose(&world.shop, "again", 60000, MOVE("-1", "1", "0"));
    expect_everywhere(&world, "again", "committed");
    expect_amounts(&world, "99", "102", "100");
    stop_all(&world);
}

/* Each of them wants the same rows: they are made one after the other, in one order for all. */
static void transactions_in_each_others_way_happen_one_after_the_other(void **state)
{
    struct world world;
    (void)state;
    begin(&world);
    start_all(&world);
    for (int i = 0; i < 10; i++)
        propose(&world.shop, test_format("t%d", i), 60000, MOVE("-3", "2", "1"));
    for (int i = 0; i < 10; i++)
        expect_everywhere(&world, test_format("t%d", i), "committed");
    expect_amounts(&world, "70", "120", "110");
    stop_all(&world);
}

static void a_crash_at_any_moment_changes_nothing_of_the_outcome(void **state)
{
    static const char *const moments[] = {
        "joint_before_note",   "joint_after_note",      "joint_before_vote",
        "joint_after_vote",    "joint_before_decision", "joint_after_decision",
        "joint_before_settle", "joint_after_settle",
    };
    struct world world;
    (void)state;
    begin(&world);
    sidecar_start(&world.shop, NULL);
    sidecar_start(&world.web, NULL);
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
        sidecar_start(&world.bank, moments[i]);
        propose(&world.shop, moments[i], 60000, MOVE("-2", "1", "1"));
        if (process_wait(world.bank.process, LIMIT_MS) != 128 + 9)
            test_fail("%s: the crash point was not passed: %s", moments[i],
                      process_errors(world.bank.process));
        sidecar_start(&world.bank, NULL);
        expect_everywhere(&world, moments[i], "committed");
        sidecar_stop(&world.bank);
    }
    expect_amounts(&world, "84", "108", "108");
    sidecar_stop(&world.shop);
    sidecar_stop(&world.web);
}

static void a_command_shows_waits_and_withdraws(void **state)
{
    struct world world;
    (void)state;
    begin(&world);
    sidecar_start(&world.shop, NULL);
    sidecar_start(&world.bank, NULL);
    propose(&world.shop, "one", 60000, MOVE("-1", "1", "0"));
    expect_state(&world.bank, "one", "reserved");
    expect_state(&world.shop, "one", "reserved");
    struct process_result result = JOINT(shop, "list");
    assert_non_null(strstr(result.output, "u item {\"id\":1}"));
    assert_non_null(strstr(result.output, "reserved"));
    result = JOINT(bank, "show", "one", "--proposer", "shop");
    assert_int_equal(result.exit_code, 0);
    assert_non_null(strstr(result.output, "web -"));
    result = JOINT(shop, "wait", "one", "--timeout", "0");
    assert_int_equal(result.exit_code, 75);
    assert_string_equal(result.output, "unknown: here it is reserved\n");
    result = JOINT(shop, "show", "nothing");
    assert_int_equal(result.exit_code, 65);
    result = JOINT(bank, "withdraw", "one", "--proposer", "shop");
    if (result.exit_code != 0)
        test_fail("%s", result.errors);
    result = JOINT(shop, "wait", "one");
    assert_int_equal(result.exit_code, 1);
    assert_string_equal(result.output,
                        "aborted: bank has withdrawn: an operator has withdrawn it\n");
    result = JOINT(bank, "withdraw", "one", "--proposer", "shop");
    assert_int_equal(result.exit_code, 65);
    expect_state(&world.bank, "one", "aborted");
    sidecar_start(&world.web, NULL);
    propose(&world.shop, "two", 60000, MOVE("-1", "1", "0"));
    result = JOINT(shop, "wait", "two");
    assert_string_equal(result.output, "committed\n");
    assert_int_equal(result.exit_code, 0);
    stop_all(&world);
}

static void expect_published(const struct sidecar *service)
{
    sidecar_expect(service,
                   "SELECT (SELECT count(*) FROM outbox WHERE sequence IS NULL) + (SELECT count(*) "
                   "FROM keepstep_relay_partition WHERE last_sequence <> acknowledged_sequence)",
                   "0\n");
}

/* The others have acted on its vote, which its database has forgotten (rule 69). */
static void a_restored_service_makes_what_was_committed_without_it(void **state)
{
    struct world world;
    (void)state;
    begin(&world);
    start_all(&world);
    propose(&world.shop, "before", 60000, MOVE("-1", "1", "0"));
    expect_everywhere(&world, "before", "committed");
    expect_published(&world.bank);
    const char *backup = sidecar_back_up(&world.bank);
    propose(&world.shop, "lost", 60000, MOVE("-10", "10", "0"));
    expect_everywhere(&world, "lost", "committed");
    expect_published(&world.bank);
    sidecar_stop(&world.bank);
    sidecar_restore(&world.bank, backup);
    struct process_result init = PROCESS_RUN(KEEPSTEP_BINARY, "init", "-c", world.bank.config,
                                             "--restored", "--new-incarnation", "--existing-rows");
    if (init.exit_code != 0)
        test_fail("%s", init.errors);
    sidecar_start(&world.bank, NULL);
    expect_state(&world.bank, "lost", "committed");
    assert_int_equal(
        sqlite_number(world.bank.database, "SELECT late FROM keepstep_joint WHERE id='lost'"), 1);
    propose(&world.shop, "after", 60000, MOVE("-100", "0", "100"));
    expect_state(&world.bank, "after", "aborted");
    propose(&world.shop, "again", 60000, MOVE("-9", "9", "0"));
    expect_everywhere(&world, "again", "committed");
    expect_amounts(&world, "80", "120", "100");
    stop_all(&world);
}

static unsigned int random_below(unsigned int *seed, unsigned int limit)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % limit;
}

/* Proposals of two services, the services' own writes, and kills: the sum of the three amounts
 * stays, and all tell the same of every transaction. */
static void whatever_happens_the_sum_stays(void **state)
{
    enum { ROUNDS = 40 };
    struct world world;
    unsigned int seed = 20261130;
    (void)state;
    begin_with(&world, "bank");
    start_all(&world);
    for (int round = 0; round < ROUNDS; round++) {
        const struct sidecar *proposer = random_below(&seed, 2) == 0 ? &world.shop : &world.bank;
        struct sidecar *victim = world.all[random_below(&seed, 3)];
        int amount = (int)random_below(&seed, 30);
        propose(proposer, test_format("r%d", round), 60000,
                test_format("[{\"service\":\"shop\",\"type\":\"item\",\"key\":{\"id\":1},"
                            "\"op\":\"u\",\"add\":{\"amount\":%d}},"
                            "{\"service\":\"bank\",\"type\":\"extra\",\"key\":{\"id\":1},"
                            "\"op\":\"u\",\"add\":{\"amount\":%d}}]",
                            round % 3 == 0 ? amount : -amount, round % 3 == 0 ? -amount : amount));
        (void)PROCESS_RUN("sqlite3", "-cmd", ".timeout 2000", victim->database,
                          victim == &world.bank ? "UPDATE extras SET name=name||'x' WHERE id=1"
                                                : "UPDATE items SET name=name||'x' WHERE id=1");
        if (random_below(&seed, 5) == 0) {
            process_kill(victim->process);
            sidecar_start(victim, NULL);
        }
    }
    for (int round = 0; round < ROUNDS; round++) {
        const char *sql = state_of(test_format("r%d", round));
        const struct sidecar *both[] = {&world.shop, &world.bank};
        const char *settled[2];
        for (size_t i = 0; i < 2; i++) {
            const char *open = test_format(
                "SELECT count(*) FROM keepstep_joint WHERE id='r%d' AND state IN "
                "('committed','aborted')",
                round);
            if (!sqlite_wait_for(both[i]->database, open, "1\n", LIMIT_MS))
                test_fail("%s: r%d is %s\n%s", both[i]->name, round,
                          sqlite_text(both[i]->database, sql), process_errors(both[i]->process));
            settled[i] = sqlite_text(both[i]->database, sql);
        }
        assert_string_equal(settled[0], settled[1]);
    }
    int64_t shop = sqlite_number(world.shop.database, "SELECT amount FROM items WHERE id=1");
    int64_t bank = sqlite_number(world.bank.database, "SELECT amount FROM extras WHERE id=1");
    assert_int_equal(shop + bank, 200);
    assert_int_equal(
        sqlite_number(world.shop.database,
                      "SELECT count(*) > 0 FROM keepstep_joint WHERE state='committed'"),
        1);
    expect_amounts(&world, test_format("%d", (int)shop), test_format("%d", (int)bank), "100");
    stop_all(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(what_all_can_do_happens_everywhere_and_what_one_cannot_nowhere, 180),
        TEST_WITH_LIMIT(one_that_is_away_costs_the_others_only_the_timeout, 180),
        TEST_WITH_LIMIT(transactions_in_each_others_way_happen_one_after_the_other, 180),
        TEST_WITH_LIMIT(a_crash_at_any_moment_changes_nothing_of_the_outcome, 300),
        TEST_WITH_LIMIT(a_command_shows_waits_and_withdraws, 180),
        TEST_WITH_LIMIT(a_restored_service_makes_what_was_committed_without_it, 180),
        TEST_WITH_LIMIT(whatever_happens_the_sum_stays, 300),
    };
    return TEST_RUN(tests);
}
