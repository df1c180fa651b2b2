/* Joint transactions over three brokers: while the broker that leads their topic is killed, nothing
 * that it acknowledged is lost, and all services decide alike. */
#include "tests/support/joint_world.h"

#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUNDS      60
#define KILL_FIRST  15 /* rounds at which the leader is killed, the second time another one */
#define KILL_SECOND 40
#define ROUND_US    INT64_C(100000)
#define TOPICS      "topics: {replication_factor: 3, min_insync_replicas: 2}\n"

static const enum database_kind kinds[JOINT_SERVICES] = {DATABASE_SQLITE, DATABASE_SQLITE,
                                                         DATABASE_SQLITE};

/* The first broker is the controller, which nobody replaces, so it must not lead. */
static const int32_t nodes[] = {2, 3, 1};

struct cluster {
    struct kafka *kafka;
    const char *topic; /* of joint transactions */
    struct process *brokers[4];
};

/* @return the leader, when all three replicas are in sync. */
static int await_replicas(const struct cluster *cluster)
{
    int in_sync = 0;
    for (int i = 0; i < JOINT_WORLD_WAIT_MS / 100; i++) {
        int leader = kafka_leader(cluster->kafka, cluster->topic, &in_sync);
        if (leader > 0 && in_sync == 3)
            return leader;
        clock_sleep_us(100000);
    }
    test_fail("%d replicas are in sync", in_sync);
}

static void begin_cluster(struct cluster *cluster)
{
    cluster->kafka = kafka_start();
    cluster->topic = sidecar_topic("keepstep-joint");
    for (int node = 2; node <= 3; node++)
        cluster->brokers[node] = kafka_join(cluster->kafka, node);
    kafka_create_topic_on(cluster->kafka, cluster->topic, nodes, 3,
                          "min.insync.replicas=2;retention.ms=-1;"
                          "message.timestamp.type=LogAppendTime");
    assert_int_equal(await_replicas(cluster), nodes[0]);
}

static int kill_leader(struct cluster *cluster)
{
    int leader = await_replicas(cluster);
    assert_in_range(leader, 2, 3);
    process_kill(cluster->brokers[leader]);
    return leader;
}

static void propose(const struct joint_world *world, int round)
{
    struct joint_move move = {(size_t)round % JOINT_SERVICES, 60000, {1, 1, 1}};
    move.amounts[round % JOINT_SERVICES] = -2;
    joint_world_propose(world, test_format("r%d", round), &move);
    clock_sleep_us(ROUND_US);
}

/** What of the topic a reader of it has seen. */
struct reading {
    char proposed[ROUNDS];
    int64_t last[JOINT_SERVICES];
};

/* @return the text behind "name=" in a record's headers; the test fails if there is none. */
static const char *header(const struct kafka_record *record, const char *name)
{
    const char *at = strstr(record->headers, test_format("%s=", name));
    if (at == NULL)
        test_fail("no %s: %s", name, record->headers);
    at += strlen(name) + 1;
    return test_format("%.*s", (int)strcspn(at, "\n"), at);
}

/* Each service's records must be there without a gap, in the order of their numbers. */
static void read_record(const struct kafka_record *record, void *context)
{
    static const char *const names[JOINT_SERVICES] = {"shop", "bank", "web"};
    struct reading *reading = context;
    int64_t sequence = strtoll(header(record, "ce_sequence"), NULL, 10);
    const char *key = test_format("%.*s", SLICE_ARGS(record->key));
    int round = -1;
    for (size_t i = 0; i < JOINT_SERVICES; i++) {
        if (strcmp(header(record, "ce_source"), names[i]) == 0) {
            assert_int_equal(sequence, reading->last[i] + 1);
            reading->last[i] = sequence;
        }
    }
    if (strcmp(header(record, "ce_kind"), "proposal") == 0 &&
        sscanf(key, "{\"id\":\"r%d\"", &round) == 1) {
        assert_in_range(round, 0, ROUNDS - 1);
        reading->proposed[round]++;
    }
}

static void expect_nothing_lost(const struct joint_world *world, const struct cluster *cluster)
{
    struct reading reading = {.last = {0}};
    (void)kafka_consume_all(world->kafka, cluster->topic, read_record, &reading);
    for (int round = 0; round < ROUNDS; round++)
        assert_int_equal(reading.proposed[round], 1);
    for (size_t i = 0; i < JOINT_SERVICES; i++) {
        const char *sql = test_format("SELECT acknowledged_sequence FROM keepstep_relay_partition "
                                      "WHERE topic = '%s'",
                                      cluster->topic);
        assert_int_equal(joint_world_number(world, i, sql), (int)reading.last[i]);
    }
}

static void what_was_acknowledged_outlives_the_leader(void **state)
{
    struct cluster cluster = {.kafka = NULL};
    struct joint_world world;
    int killed = 0;
    (void)state;
    begin_cluster(&cluster);
    joint_world_begin(&world, kinds, TOPICS);
    joint_world_start_all(&world);
    for (int round = 0; round < ROUNDS; round++) {
        if (round == KILL_FIRST) {
            killed = kill_leader(&cluster);
        } else if (round == KILL_SECOND) {
            cluster.brokers[killed] = kafka_join(cluster.kafka, killed);
            killed = kill_leader(&cluster);
            assert_int_not_equal(killed, nodes[0]);
        }
        propose(&world, round);
    }
    int committed = 0;
    int sum = 0;
    for (int round = 0; round < ROUNDS; round++) {
        const char *outcome = joint_world_outcome(&world, test_format("r%d", round));
        if (strcmp(outcome, "committed\n") == 0)
            committed++;
        else
            assert_string_equal(outcome, "aborted\n");
    }
    for (size_t i = 0; i < JOINT_SERVICES; i++)
        sum += joint_world_number(
            &world, i, test_format("SELECT amount FROM %s WHERE id = 1", joint_world_tables[i]));
    assert_int_equal(sum, 300);
    assert_in_range(committed, 1, ROUNDS);
    joint_world_stop_all(&world);
    expect_nothing_lost(&world, &cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_WITH_LIMIT(what_was_acknowledged_outlives_the_leader, 500),
    };
    kafka_configure("offsets.topic.replication.factor=3\n"
                    "default.replication.factor=3\n"
                    "min.insync.replicas=2");
    return TEST_RUN(tests);
}
