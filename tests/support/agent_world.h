/* An agent in a thread of its own, on librdkafka's mock cluster and an SQLite copy. */
#ifndef TESTS_SUPPORT_AGENT_WORLD_H
#define TESTS_SUPPORT_AGENT_WORLD_H

#include "tests/support/sql.h"

#include "common/kafka_client.h"
#include "consumer/agent/agent.h"

#include <librdkafka/rdkafka_mock.h>
#include <pthread.h>

#define AGENT_WORLD_PARTITIONS 2

/** The thread of an agent. */
struct agent_thread {
    struct agent *agent;
    atomic_bool stop;
    enum status status;
    struct error err;
    pthread_t thread;
};

/** A mock cluster with the topic "order", a copy of it, and the agent's configuration. */
struct agent_world {
    const char *database;
    struct entity_schema *schema;
    rd_kafka_t *producer;
    rd_kafka_mock_cluster_t *cluster;
    struct text_pair kafka;
    struct config_entry entry;
    struct mapping mapping;
    struct config config;
    struct agent_metrics *metrics;
    struct agent_options options;
    struct agent_thread run;
    int keys[AGENT_WORLD_PARTITIONS]; /* ids whose records belong in partition 0, 1, … */
};

/** Make the cluster and the copy. The agent is not started yet.
 * @param partitions  of the topic; at most AGENT_WORLD_PARTITIONS. */
void agent_world_make(struct agent_world *world, int partitions);
void agent_world_done(struct agent_world *world);

/** What agent_world_send() sends. */
struct agent_world_event {
    int partition;
    int sequence;       /* in its partition */
    const char *text;   /* the new value of column "a" */
    int headers_before; /* of another program, before Keepstep's */
    int changeset_end;  /* 0: it is alone */
    int id;             /* of the row; 0: the partition's key */
    bool is_fork;       /* it follows another event than the one before it */
    const char *type;   /* NULL: "order" */
};

/** Publish an update of the partition's key, and wait for the broker. */
void agent_world_send(struct agent_world *world, const struct agent_world_event *event);
/** The same in two steps, so that several are sent together. */
void agent_world_put(struct agent_world *world, const struct agent_world_event *event);
void agent_world_flush(struct agent_world *world);

/** Start the agent's thread; end it, which must succeed; wait until it ends by itself. */
void agent_world_start(struct agent_world *world);
void agent_world_end(struct agent_world *world);
void agent_world_join(struct agent_world *world);

/** Wait until a change set of partition 0 is open of which so many records were read; 0: none is.
 * (What counts events changes behind the COMMIT: it is looked at once the agent has ended.) */
void agent_world_expect_open(struct agent_world *world, int64_t records);

#endif
