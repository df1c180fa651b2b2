/* A real Apache Kafka for tests: one a test program, started by the first test that asks. */
#ifndef TESTS_SUPPORT_KAFKA_H
#define TESTS_SUPPORT_KAFKA_H

#include "common/slice.h"
#include "tests/support/test.h"

struct kafka;

/** One consumed record; valid during the callback. */
struct kafka_record {
    const char *topic;
    int32_t partition;
    int64_t offset;
    struct slice key;    /* data NULL: no key */
    struct slice value;  /* data NULL: a tombstone */
    const char *headers; /* "name=value\n" for each, in their order */
};

/** @return the shared Kafka, running. Skips the test with the reason where Java or the jars are
 * not to be had. Everything of it is gone when the program ends. */
struct kafka *kafka_start(void);

/** The same at a port of one's choice, before the first kafka_start(). */
struct kafka *kafka_start_at(int port);

/** Give the shared Kafka further lines of its server.properties; before its first start. */
void kafka_configure(const char *line);

/** @return "127.0.0.1:PORT". */
const char *kafka_bootstrap(const struct kafka *kafka);

/** End it cleanly, or by SIGKILL; its data stays for kafka_start_again(), as does its port. */
void kafka_stop(struct kafka *kafka);
void kafka_kill(struct kafka *kafka);
void kafka_start_again(struct kafka *kafka);

/** Make it stand still (SIGSTOP) and go on (SIGCONT): a broker that does not answer. */
void kafka_pause(struct kafka *kafka);
void kafka_continue(struct kafka *kafka);

/** `config` is "name=value;name=value" or NULL. The test fails where it cannot be created. */
void kafka_create_topic(struct kafka *kafka, const char *topic, int partitions, const char *config);
void kafka_delete_topic(struct kafka *kafka, const char *topic);

/** Raise its number of partitions. */
void kafka_add_partitions(struct kafka *kafka, const char *topic, int partitions);

/** Delete the records in front of `offset`, as retention does. */
void kafka_trim(struct kafka *kafka, const char *topic, int32_t partition, int64_t offset);

/** Produce one record and wait until it is acknowledged. `key` and `value` may be NULL; `headers`
 * is {"name", "value", …, NULL} or NULL. @return its offset. */
int64_t kafka_produce(struct kafka *kafka, const char *topic, int32_t partition, const char *key,
                      const char *value, const char *const headers[]);

/** Produce one record to partition 0 in a Kafka transaction of its own, which is committed or
 * aborted behind it. @return its offset; the transaction's marker takes the next one. */
int64_t kafka_produce_transaction(struct kafka *kafka, const char *topic, const char *key,
                                  const char *value, bool commit);

/** The same in steps, one transaction at a time: it is open until it is ended. */
int64_t kafka_open_transaction(struct kafka *kafka, const char *topic, const char *key,
                               const char *value);
void kafka_end_transaction(struct kafka *kafka, bool commit);

typedef void kafka_record_callback(const struct kafka_record *record, void *context);

/** Call `callback` for every committed record the topic holds now, partition after partition in
 * the order of offsets within each. @return how many there were. */
int64_t kafka_consume_all(struct kafka *kafka, const char *topic, kafka_record_callback *callback,
                          void *context);

/** The same for several topics, one after the other. */
int64_t kafka_consume_topics(struct kafka *kafka, const char *const *topics, size_t topic_count,
                             kafka_record_callback *callback, void *context);

/** @return all committed records as text, one line each: "PARTITION OFFSET KEY VALUE\n". */
const char *kafka_text(struct kafka *kafka, const char *topic);

/** @return the committed offset of a consumer group, -1 without one. */
int64_t kafka_committed(struct kafka *kafka, const char *group, const char *topic,
                        int32_t partition);

#endif
