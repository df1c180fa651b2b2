/* A real Apache Kafka for tests: one for each test program, started by the first test that needs
 * it. */
#ifndef TESTS_SUPPORT_KAFKA_H
#define TESTS_SUPPORT_KAFKA_H

#include "common/slice.h"
#include "tests/support/test.h"

struct kafka;
struct process;

/** One consumed record, valid during the callback. */
struct kafka_record {
    const char *topic;
    int32_t partition;
    int64_t offset;
    struct slice key;    /* data NULL: no key */
    struct slice value;  /* data NULL: a tombstone */
    const char *headers; /* "name=value\n" for each, in order */
};

/** @return the shared Kafka, running. Skips the test with a reason if Java or the jars cannot be
 * had. All is removed when the program ends. */
struct kafka *kafka_start(void);

/** The same at a given port. Call it before the first kafka_start(). */
struct kafka *kafka_start_at(int port);

/** Add lines to the shared Kafka's server.properties. Call it before the first start. */
void kafka_configure(const char *line);

/** Allow everybody an operation on a topic ("DESCRIBE", "DESCRIBE_CONFIGS" …), and nobody what is
 * not allowed so. The broker needs an authorizer (kafka_configure()). */
void kafka_allow_only(struct kafka *kafka, const char *topic, const char *operation);

/** Let a further broker join the shared Kafka's cluster, as its node `node` (2 …), also once more
 * after it was killed: with the data that it had. The first node alone is the controller.
 * @return the broker; it ends with the program. */
struct process *kafka_join(struct kafka *kafka, int node);

/** @return "127.0.0.1:PORT". */
const char *kafka_bootstrap(const struct kafka *kafka);

/** End it cleanly, or by SIGKILL. kafka_start_again() gets the same data and port. */
void kafka_stop(struct kafka *kafka);
void kafka_kill(struct kafka *kafka);
void kafka_start_again(struct kafka *kafka);

/** Stop it with SIGSTOP, and let it go on with SIGCONT. While stopped, the broker does not
 * answer. */
void kafka_pause(struct kafka *kafka);
void kafka_continue(struct kafka *kafka);

/** Create a topic; the test fails if that fails. `config` is "name=value;name=value" or NULL. */
void kafka_create_topic(struct kafka *kafka, const char *topic, int partitions, const char *config);

/** The same, with one partition whose replicas are on some nodes; the first one leads. */
#define KAFKA_NODES_MAX 8
void kafka_create_topic_on(struct kafka *kafka, const char *topic, const int32_t *nodes,
                           size_t node_count, const char *config);

/** @return the node that leads a topic's only partition, -1: none. @param ret_in_sync  how many
 * replicas are in sync. */
int kafka_leader(struct kafka *kafka, const char *topic, int *ret_in_sync);

void kafka_delete_topic(struct kafka *kafka, const char *topic);

/** Raise the number of partitions of a topic. */
void kafka_add_partitions(struct kafka *kafka, const char *topic, int partitions);

/** Delete the records before `offset`, as retention does. */
void kafka_trim(struct kafka *kafka, const char *topic, int32_t partition, int64_t offset);

/** Produce one record and wait for its acknowledgement. `key` and `value` may be NULL; `headers` is
 * {"name", "value", …, NULL} or NULL. @return its offset. */
int64_t kafka_produce(struct kafka *kafka, const char *topic, int32_t partition, const char *key,
                      const char *value, const char *const headers[]);

/** Produce one record to partition 0 in its own Kafka transaction, which is then committed or
 * aborted. @return the record's offset. The transaction's marker takes the next one. */
int64_t kafka_produce_transaction(struct kafka *kafka, const char *topic, const char *key,
                                  const char *value, bool commit);

/** The same in two steps. One transaction at a time may be open. */
int64_t kafka_open_transaction(struct kafka *kafka, const char *topic, const char *key,
                               const char *value);
void kafka_end_transaction(struct kafka *kafka, bool commit);

typedef void kafka_record_callback(const struct kafka_record *record, void *context);

/** Call `callback` for each committed record that the topic holds now, one partition after the
 * other, each in the order of its offsets. @return how many records there were. */
int64_t kafka_consume_all(struct kafka *kafka, const char *topic, kafka_record_callback *callback,
                          void *context);

/** The same for several topics, one after the other. */
int64_t kafka_consume_topics(struct kafka *kafka, const char *const *topics, size_t topic_count,
                             kafka_record_callback *callback, void *context);

/** @return all committed records, one line each: "PARTITION OFFSET KEY VALUE\n". */
const char *kafka_text(struct kafka *kafka, const char *topic);

/** @return the committed offset of a consumer group, -1 if there is none. */
int64_t kafka_committed(struct kafka *kafka, const char *group, const char *topic,
                        int32_t partition);

#endif
