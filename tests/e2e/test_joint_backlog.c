/* Joint transactions of services that have much else to publish, on three kinds of database over a
 * real Kafka: they are decided while that is published (rule 71), and what they change says which
 * transaction it was (rule 75). */
#include "tests/support/joint_world.h"
#include "tests/support/session.h"

#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define LIMIT_S 600
#define BACKLOG 100000 /* rows of each service: to publish them takes ten times a decision */

static const enum database_kind kinds[JOINT_SERVICES] = {DATABASE_POSTGRESQL, DATABASE_MARIADB,
                                                         DATABASE_SQLITE};
static const char *const types[JOINT_SERVICES] = {"item", "extra", "item"};

static void propose(const struct joint_world *world, const char *id, int amount)
{
    const struct joint_move move = {
        .proposer = JOINT_SHOP, .timeout_ms = 60000, .amounts = {amount, amount, amount}};
    joint_world_propose(world, id, &move);
}

/* Rows of the outbox, as a service writes them that has no table for them; not committed. */
static struct session *write_backlog(const struct joint_world *world, size_t service)
{
    bool is_mariadb = kinds[service] == DATABASE_MARIADB;
    const char *numbers = kinds[service] == DATABASE_POSTGRESQL
                              ? "SELECT n::text AS n FROM generate_series(3, %d) AS g (n)"
                              : "WITH RECURSIVE g (n) AS (SELECT 3 UNION ALL SELECT n + 1 FROM g "
                                "WHERE n < %d) SELECT n FROM g";
    const char *key = is_mariadb ? "concat('{\"id\":', n, '}')" : "'{\"id\":' || n || '}'";
    const char *value = is_mariadb
                            ? "concat('{\"op\":\"c\",\"before\":null,\"after\":{\"id\":', n, "
                              "',\"name\":\"a\",\"amount\":1}}')"
                            : "'{\"op\":\"c\",\"before\":null,\"after\":{\"id\":' || n || "
                              "',\"name\":\"a\",\"amount\":1}}'";
    char rows[256];
    struct session *session = session_open(world->all[service].url);
    (void)snprintf(rows, sizeof rows, numbers, BACKLOG + 2);
    if (is_mariadb)
        session_run(session, "SET max_recursive_iterations = 1000000", NULL);
    session_run(session, "BEGIN", NULL);
    session_run(session,
                test_format("INSERT INTO outbox (aggregatetype, aggregateid, type, payload) "
                            "SELECT '%s', %s, '%s.created', %s FROM (%s) AS t",
                            types[service], key, types[service], value, rows),
                NULL);
    return session;
}

/* All are committed at once, so that none is published before the last one is written. */
static void write_backlogs(const struct joint_world *world)
{
    struct session *sessions[JOINT_SERVICES];
    for (size_t i = 0; i < JOINT_SERVICES; i++)
        sessions[i] = write_backlog(world, i);
    for (size_t i = 0; i < JOINT_SERVICES; i++) {
        session_run(sessions[i], "COMMIT", NULL);
        session_close(sessions[i]);
    }
}

static int waiting(const struct joint_world *world, size_t service)
{
    return joint_world_number(world, service,
                              "SELECT count(*) FROM outbox WHERE sequence IS NULL AND "
                              "aggregatetype <> 'keepstep.joint'");
}

static void note_headers(const struct kafka_record *record, void *context)
{
    int *found = context;
    bool has_name = strstr(record->headers,
                           "ce_joint={\"id\":\"first\",\"proposer\":\"shop\"}\n") != NULL;
    assert_true(has_name || strstr(record->headers, "ce_joint=") == NULL);
    *found += has_name;
}

static void what_a_joint_transaction_changes_says_which_one_it_was(void **state)
{
    struct joint_world world;
    (void)state;
    joint_world_begin(&world, kinds, "");
    joint_world_start_all(&world);
    propose(&world, "first", 1);
    joint_world_expect_everywhere(&world, "first", "committed");
    for (size_t i = 0; i < JOINT_SERVICES; i++) {
        int found = 0;
        (void)database_text(world.all[i].url, test_format("UPDATE %s SET name = 'two' WHERE id = 1",
                                                          joint_world_tables[i]));
        if (!database_wait_for(world.all[i].url,
                               "SELECT count(*) FROM outbox WHERE sequence IS NULL", "0\n",
                               JOINT_WORLD_WAIT_MS))
            test_fail("%s", process_errors(world.all[i].process));
        sidecar_stop(&world.all[i]); /* what is in flight is delivered */
        (void)kafka_consume_all(world.kafka, sidecar_topic(world.all[i].name), note_headers,
                                &found);
        assert_int_equal(found, 1);
        assert_string_equal(
            database_text(world.all[i].url, "SELECT count(joint), max(joint) FROM outbox"),
            "1|{\"id\":\"first\",\"proposer\":\"shop\"}\n");
    }
    kafka_stop(world.kafka);
}

static int compare_times(const void *left, const void *right)
{
    int64_t one = *(const int64_t *)left;
    int64_t other = *(const int64_t *)right;
    return (one > other) - (one < other);
}

/* TEST_DECISIONS=100 says how long so many decisions take, one after the other, beside backlogs
 * that are written again where they end. */
static void measure(const struct joint_world *world, int count)
{
    int64_t *times = calloc((size_t)count, sizeof *times);
    int beside = 0;
    assert_non_null(times);
    for (int n = 0; n < count; n++) {
        bool ends = false;
        for (size_t i = 0; i < JOINT_SERVICES; i++)
            ends = ends || waiting(world, i) < BACKLOG / 4;
        if (ends)
            write_backlogs(world);
        const char *id = test_format("m%d", n);
        const char *sql = test_format("SELECT state FROM keepstep_joint WHERE id = '%s'", id);
        int64_t begun = clock_monotonic_us();
        propose(world, id, n % 2 == 0 ? 1 : -1);
        while (strcmp(database_text(world->all[JOINT_SHOP].url, sql), "committed\n") != 0)
            clock_sleep_us(1000);
        times[n] = clock_monotonic_us() - begun;
        beside += waiting(world, 0) > 0 && waiting(world, 1) > 0 && waiting(world, 2) > 0;
    }
    qsort(times, (size_t)count, sizeof *times, compare_times);
    (void)printf("note: %d decisions, %d of them beside three backlogs: p50 %.1f ms, p99 %.1f ms, "
                 "most %.1f ms\n",
                 count, beside, (double)times[count / 2] / 1000,
                 (double)times[count * 99 / 100] / 1000, (double)times[count - 1] / 1000);
    free(times);
}

static void a_joint_transaction_is_decided_while_backlogs_are_published(void **state)
{
    struct joint_world world;
    const char *wanted = getenv("TEST_DECISIONS");
    (void)state;
    joint_world_begin(&world, kinds, "");
    joint_world_start_all(&world);
    propose(&world, "first", 1); /* from then on all of them have read the log to its end */
    joint_world_expect_everywhere(&world, "first", "committed");
    write_backlogs(&world);
    propose(&world, "second", 1);
    joint_world_expect(&world, JOINT_SHOP, "second", "committed");
    for (size_t i = 0; i < JOINT_SERVICES; i++)
        assert_true(waiting(&world, i) > 0);
    if (wanted != NULL)
        measure(&world, (int)strtol(wanted, NULL, 10));
    joint_world_stop_all(&world);
    kafka_stop(world.kafka);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(what_a_joint_transaction_changes_says_which_one_it_was, LIMIT_S),
        TEST_WITH_LIMIT(a_joint_transaction_is_decided_while_backlogs_are_published, LIMIT_S),
    };
    return TEST_RUN(tests);
}
