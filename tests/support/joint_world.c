/* Makes three services that change their databases together, and says what they made of it. */
#include "tests/support/joint_world.h"

#include "tests/support/session.h"

#include <stdio.h>
#include <stdlib.h>

const char *const joint_world_tables[JOINT_SERVICES] = {"items", "extras", "items"};

static const char *const names[JOINT_SERVICES] = {"shop", "bank", "web"};
static const char *const types[JOINT_SERVICES] = {"item", "extra", "item"};

static const char *const columns[] = {
    [DATABASE_SQLITE] = "id INTEGER PRIMARY KEY, name TEXT NOT NULL, amount INTEGER",
    [DATABASE_POSTGRESQL] = "id bigint PRIMARY KEY, name text NOT NULL, amount bigint",
    [DATABASE_MARIADB] = ("id BIGINT PRIMARY KEY, name TEXT CHARACTER SET utf8mb4 NOT NULL, amount "
                          "BIGINT"),
};

static void configure(struct joint_world *world, size_t i, const char *url)
{
    world->all[i] = sidecar_make_on(
        world->kafka, names[i], url,
        test_format("%spublish:\n  %s: {table: %s, topic: %s, joint: [shop, bank, web]}\n",
                    world->yaml, types[i], joint_world_tables[i], sidecar_topic(names[i])));
}

void joint_world_begin(struct joint_world *world,
                       const enum database_kind kinds[static JOINT_SERVICES], const char *yaml)
{
    world->kafka = kafka_start();
    world->yaml = yaml;
    for (size_t i = 0; i < JOINT_SERVICES; i++) {
        const char *table = joint_world_tables[i];
        const char *url = database_make(kinds[i], names[i]);
        (void)database_text(
            url, test_format("CREATE TABLE %s (%s CHECK (amount >= 0))", table, columns[kinds[i]]));
        (void)database_text(
            url, test_format("INSERT INTO %s VALUES (1, 'one', 100), (2, 'two', 100)", table));
        configure(world, i, url);
        sidecar_init(&world->all[i], NULL);
    }
}

void joint_world_start(struct joint_world *world, size_t service, const char *failpoint)
{
    struct sidecar *sidecar = &world->all[service];
    sidecar_start(sidecar, failpoint);
    if (!process_wait_for(sidecar->process, "keepstep .* starts", JOINT_WORLD_WAIT_MS))
        test_fail("%s does not start: %s", sidecar->name, process_errors(sidecar->process));
}

void joint_world_start_all(struct joint_world *world)
{
    for (size_t i = 0; i < JOINT_SERVICES; i++)
        joint_world_start(world, i, NULL);
}

void joint_world_stop_all(struct joint_world *world)
{
    for (size_t i = 0; i < JOINT_SERVICES; i++)
        sidecar_stop(&world->all[i]);
}

void joint_world_restore(struct joint_world *world, size_t service, const char *url)
{
    struct sidecar *sidecar = &world->all[service];
    int starts = sidecar->starts;
    configure(world, service, url);
    sidecar->starts = starts;
    struct process_result init = PROCESS_RUN(
        KEEPSTEP_BINARY, "init", "-c", sidecar->admin != NULL ? sidecar->admin : sidecar->config,
        "--restored", "--new-incarnation", "--existing-rows");
    if (init.exit_code != 0)
        test_fail("%s", init.errors);
    sidecar_grant(sidecar);
}

void joint_world_expect_published(const struct joint_world *world, size_t service)
{
    const char *sql = "SELECT (SELECT count(*) FROM outbox WHERE sequence IS NULL) + (SELECT "
                      "count(*) FROM keepstep_relay_partition WHERE last_sequence <> "
                      "acknowledged_sequence)";
    if (!database_wait_for(world->all[service].url, sql, "0\n", JOINT_WORLD_WAIT_MS))
        test_fail("%s has not published all: %s", names[service],
                  process_errors(world->all[service].process));
}

void joint_world_propose_text(const struct joint_world *world, const char *id, size_t proposer,
                              int timeout_ms, const char *changes)
{
    (void)database_text(world->all[proposer].url,
                        test_format("INSERT INTO keepstep_joint (id, timeout_ms, changes) "
                                    "VALUES ('%s', %d, '%s')",
                                    id, timeout_ms, changes));
}

void joint_world_propose(const struct joint_world *world, const char *id,
                         const struct joint_move *move)
{
    const char *changes = "";
    for (size_t i = 0; i < JOINT_SERVICES; i++) {
        if (move->amounts[i] != 0)
            changes = test_format("%s%s{\"service\":\"%s\",\"type\":\"%s\",\"key\":{\"id\":1},"
                                  "\"op\":\"u\",\"add\":{\"amount\":%d}}",
                                  changes, *changes == '\0' ? "" : ",", names[i], types[i],
                                  move->amounts[i]);
    }
    joint_world_propose_text(world, id, move->proposer, move->timeout_ms,
                             test_format("[%s]", changes));
}

static const char *state_of(const char *id)
{
    return test_format("SELECT state FROM keepstep_joint WHERE id = '%s'", id);
}

void joint_world_expect(const struct joint_world *world, size_t service, const char *id,
                        const char *state)
{
    const struct sidecar *sidecar = &world->all[service];
    if (database_wait_for(sidecar->url, state_of(id), test_format("%s\n", state),
                          JOINT_WORLD_WAIT_MS))
        return;
    test_fail(
        "%s: %s is %s, not %s: %s\n%s", sidecar->name, id,
        database_text(sidecar->url, state_of(id)), state,
        database_text(sidecar->url,
                      test_format("SELECT reason, votes FROM keepstep_joint WHERE id = '%s'", id)),
        process_errors(sidecar->process));
}

void joint_world_expect_everywhere(const struct joint_world *world, const char *id,
                                   const char *state)
{
    for (size_t i = 0; i < JOINT_SERVICES; i++)
        joint_world_expect(world, i, id, state);
}

void joint_world_expect_vote(const struct joint_world *world, size_t reader, const char *id,
                             size_t voter)
{
    const struct sidecar *sidecar = &world->all[reader];
    const char *sql = test_format("SELECT count(*) FROM keepstep_joint WHERE id = '%s' AND votes "
                                  "LIKE '%%\"%s\",\"vote\"%%'",
                                  id, names[voter]);
    if (!database_wait_for(sidecar->url, sql, "1\n", JOINT_WORLD_WAIT_MS))
        test_fail("%s has read no vote of %s on %s: %s", sidecar->name, names[voter], id,
                  process_errors(sidecar->process));
}

/* @return whether it will not change any more by itself. */
static bool is_final(const struct sidecar *sidecar, const char *state)
{
    return strcmp(state, "committed\n") == 0 || strcmp(state, "aborted\n") == 0 ||
           strcmp(state, "held\n") == 0 ||
           strstr(process_errors(sidecar->process), "joint transactions stand still") != NULL;
}

struct joint_outcome {
    const struct joint_world *world;
    const char *id;
    const char *states[JOINT_SERVICES];
};

static bool all_are_final(void *context)
{
    struct joint_outcome *outcome = context;
    bool all = true;
    for (size_t i = 0; i < JOINT_SERVICES; i++) {
        const struct sidecar *sidecar = &outcome->world->all[i];
        outcome->states[i] = database_text(sidecar->url, state_of(outcome->id));
        all = is_final(sidecar, outcome->states[i]) && all;
    }
    return all;
}

const char *joint_world_outcome(const struct joint_world *world, const char *id)
{
    struct joint_outcome outcome = {.world = world, .id = id};
    const char *const *states = outcome.states;
    (void)test_wait(all_are_final, &outcome, JOINT_WORLD_WAIT_MS);
    bool is_alike = strcmp(states[0], states[1]) == 0 && strcmp(states[0], states[2]) == 0;
    if (is_alike && (strcmp(states[0], "committed\n") == 0 || strcmp(states[0], "aborted\n") == 0))
        return states[0];
    return test_format("they differ: shop %sbank %sweb %s", states[0], states[1], states[2]);
}

int joint_world_number(const struct joint_world *world, size_t service, const char *sql)
{
    return (int)strtol(database_text(world->all[service].url, sql), NULL, 10);
}

void joint_world_expect_amounts(const struct joint_world *world,
                                const int amounts[static JOINT_SERVICES])
{
    for (size_t i = 0; i < JOINT_SERVICES; i++) {
        const char *sql = test_format("SELECT amount FROM %s WHERE id = 1", joint_world_tables[i]);
        assert_int_equal(joint_world_number(world, i, sql), amounts[i]);
        assert_int_equal(joint_world_number(world, i, "SELECT count(*) FROM keepstep_reserved"), 0);
    }
}

const char *joint_world_write(const struct joint_world *world, size_t service, const char *sql)
{
    struct session *session = session_open(world->all[service].url);
    const char *error = session_try(session, sql, NULL);
    session_close(session);
    return error;
}
