/* Joint transactions of services on three kinds of database over a real Kafka: whoever crashes, and
 * whatever the services write meanwhile, they happen in all of them or in none. */
#include "tests/support/sidecar.h"

#include "tests/support/session.h"

#define LIMIT_MS 60000
#define SERVICES 3

/* Each is the only writer of its type; shop proposes. */
static const struct {
    const char *name;
    enum database_kind kind;
    const char *table;
    const char *entry;
    const char *columns;
} services[SERVICES] = {
    {"shop", DATABASE_POSTGRESQL, "items", "item: {table: items, joint: []}",
     "id bigint PRIMARY KEY, name text NOT NULL, amount bigint CHECK (amount >= 0)"},
    {"bank", DATABASE_MARIADB, "extras", "extra: {table: extras, joint: [shop]}",
     "id BIGINT PRIMARY KEY, name TEXT CHARACTER SET utf8mb4 NOT NULL, amount BIGINT CHECK (amount "
     ">= 0)"},
    {"web", DATABASE_SQLITE, "items", NULL,
     "id INTEGER PRIMARY KEY, name TEXT NOT NULL, amount INTEGER CHECK (amount >= 0)"},
};

struct world {
    struct kafka *kafka;
    struct sidecar all[SERVICES];
};

static void begin(struct world *world)
{
    world->kafka = kafka_start();
    for (size_t i = 0; i < SERVICES; i++) {
        const char *url = database_make(services[i].kind, services[i].name);
        const char *entry = services[i].entry != NULL
                                ? services[i].entry
                                : test_format("item: {table: items, topic: %s, joint: [shop]}",
                                              sidecar_topic("web"));
        (void)database_text(
            url, test_format("CREATE TABLE %s (%s)", services[i].table, services[i].columns));
        (void)database_text(url,
                            test_format("INSERT INTO %s VALUES (1, 'one', 100), (2, 'two', 100)",
                                        services[i].table));
        world->all[i] = sidecar_make_on(world->kafka, services[i].name, url,
                                        test_format("publish:\n  %s\n", entry));
        sidecar_init(&world->all[i], NULL);
    }
}

/* Each must run before it can be stopped. */
static void start_all(struct world *world)
{
    for (size_t i = 0; i < SERVICES; i++) {
        sidecar_start(&world->all[i], NULL);
        assert_true(process_wait_for(world->all[i].process, "keepstep .* starts", LIMIT_MS));
    }
}

static void stop_all(struct world *world)
{
    for (size_t i = 0; i < SERVICES; i++)
        sidecar_stop(&world->all[i]);
}

#define ADD(service, type)                                                                         \
    "{\"service\":\"" service "\",\"type\":\"" type "\",\"key\":{\"id\":1},\"op\":\"u\","          \
    "\"add\":{\"amount\":%d}}"

static void propose(const struct world *world, const char *id, int shop, int bank, int web)
{
    const char *changes = test_format(
        "[" ADD("shop", "item") "," ADD("bank", "extra") "," ADD("web", "item") "]", shop, bank,
        web);
    (void)database_text(world->all[0].url,
                        test_format("INSERT INTO keepstep_joint (id, timeout_ms, changes) "
                                    "VALUES ('%s', 60000, '%s')",
                                    id, changes));
}

static const char *state_of(const char *id)
{
    return test_format("SELECT state FROM keepstep_joint WHERE id = '%s'", id);
}

static void expect_everywhere(const struct world *world, const char *id, const char *state)
{
    for (size_t i = 0; i < SERVICES; i++) {
        const struct sidecar *service = &world->all[i];
        if (database_wait_for(service->url, state_of(id), test_format("%s\n", state), LIMIT_MS))
            continue;
        test_fail(
            "%s: %s is %s, not %s: %s\n%s", service->name, id,
            database_text(service->url, state_of(id)), state,
            database_text(service->url, test_format("SELECT reason, votes FROM keepstep_joint "
                                                    "WHERE id = '%s'",
                                                    id)),
            process_errors(service->process));
    }
}

static int amount_of(const struct world *world, size_t i)
{
    const char *sql = test_format("SELECT amount FROM %s WHERE id = 1", services[i].table);
    return (int)strtol(database_text(world->all[i].url, sql), NULL, 10);
}

static void expect_amounts(const struct world *world, int shop, int bank, int web)
{
    const int amounts[SERVICES] = {shop, bank, web};
    for (size_t i = 0; i < SERVICES; i++) {
        assert_int_equal(amount_of(world, i), amounts[i]);
        assert_string_equal(
            database_text(world->all[i].url, "SELECT count(*) FROM keepstep_reserved"), "0\n");
    }
}

static void what_all_can_do_happens_everywhere_and_what_one_cannot_nowhere(void **state)
{
    struct world world;
    (void)state;
    begin(&world);
    start_all(&world);
    propose(&world, "first", -30, 20, 10);
    expect_everywhere(&world, "first", "committed");
    expect_amounts(&world, 70, 120, 110);
    for (size_t i = 0; i < SERVICES; i++) {
        const char *id = test_format("too-much-%zu", i);
        propose(&world, id, i == 0 ? -71 : 1, i == 1 ? -121 : 1, i == 2 ? -111 : 1);
        expect_everywhere(&world, id, "aborted");
        const char *reason = database_text(
            world.all[0].url, test_format("SELECT reason FROM keepstep_joint WHERE id = '%s'", id));
        if (strstr(reason, test_format("%s: ", services[i].name)) == NULL ||
            strcasestr(reason, "constraint") == NULL)
            test_fail("the reason of %s is: %s", id, reason);
    }
    expect_amounts(&world, 70, 120, 110);
    stop_all(&world);
}

static void crash_at_each_moment(struct world *world, size_t victim)
{
    static const char *const moments[] = {
        "joint_before_note",   "joint_after_note",      "joint_before_vote",
        "joint_after_vote",    "joint_before_decision", "joint_after_decision",
        "joint_before_settle", "joint_after_settle",
    };
    struct sidecar *service = &world->all[victim];
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
        const char *id = test_format("%s-%s", service->name, moments[i]);
        sidecar_start(service, moments[i]);
        propose(world, id, -2, 1, 1);
        if (process_wait(service->process, LIMIT_MS) != 128 + 9)
            test_fail("%s: the crash point was not passed: %s", id,
                      process_errors(service->process));
        sidecar_start(service, NULL);
        assert_true(process_wait_for(service->process, "keepstep .* starts", LIMIT_MS));
        expect_everywhere(world, id, "committed");
        sidecar_stop(service);
    }
    sidecar_start(service, NULL);
    assert_true(process_wait_for(service->process, "keepstep .* starts", LIMIT_MS));
}

static void a_crash_at_any_moment_changes_nothing_of_the_outcome(void **state)
{
    struct world world;
    (void)state;
    begin(&world);
    start_all(&world);
    for (size_t i = 0; i < SERVICES; i++) {
        if (services[i].kind == DATABASE_SQLITE)
            continue; /* test_joint.c */
        sidecar_stop(&world.all[i]);
        crash_at_each_moment(&world, i);
    }
    expect_amounts(&world, 68, 116, 116);
    stop_all(&world);
}

static unsigned int random_below(unsigned int *seed, unsigned int limit)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % limit;
}

/* A write of the service's own, of the same row or of another one. It may be refused. */
static void write_beside(const struct world *world, size_t i, int id)
{
    struct session *session = session_open(world->all[i].url);
    (void)session_try(
        session, test_format("UPDATE %s SET name = 'w%d' WHERE id = %d", services[i].table, id, id),
        NULL);
    session_close(session);
}

static void whatever_happens_the_sum_stays(void **state)
{
    enum { ROUNDS = 40 };
    struct world world;
    unsigned int seed = 20261130;
    (void)state;
    begin(&world);
    start_all(&world);
    for (int round = 0; round < ROUNDS; round++) {
        size_t victim = random_below(&seed, SERVICES);
        int bank = (int)random_below(&seed, 30) - 15;
        int web = (int)random_below(&seed, 30) - 15;
        propose(&world, test_format("r%d", round), -bank - web, bank, web);
        write_beside(&world, victim, 1 + (int)random_below(&seed, 2));
        if (random_below(&seed, 5) == 0) {
            process_kill(world.all[victim].process);
            sidecar_start(&world.all[victim], NULL);
        }
    }
    for (int round = 0; round < ROUNDS; round++) {
        const char *id = test_format("r%d", round);
        const char *settled = test_format("SELECT count(*) FROM keepstep_joint WHERE id = '%s' AND "
                                          "state IN ('committed', 'aborted')",
                                          id);
        if (!database_wait_for(world.all[0].url, settled, "1\n", LIMIT_MS))
            test_fail("%s is %s\n%s", id, database_text(world.all[0].url, state_of(id)),
                      process_errors(world.all[0].process));
        const char *outcome = database_text(world.all[0].url, state_of(id));
        expect_everywhere(&world, id, test_format("%.*s", (int)strcspn(outcome, "\n"), outcome));
    }
    assert_string_equal(database_text(world.all[0].url,
                                      "SELECT count(*) > 0 FROM keepstep_joint WHERE state = "
                                      "'committed'"),
                        "t\n");
    assert_int_equal(amount_of(&world, 0) + amount_of(&world, 1) + amount_of(&world, 2), 300);
    expect_amounts(&world, amount_of(&world, 0), amount_of(&world, 1), amount_of(&world, 2));
    stop_all(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(what_all_can_do_happens_everywhere_and_what_one_cannot_nowhere, 180),
        TEST_WITH_LIMIT(a_crash_at_any_moment_changes_nothing_of_the_outcome, 400),
        TEST_WITH_LIMIT(whatever_happens_the_sum_stays, 300),
    };
    return TEST_RUN(tests);
}
