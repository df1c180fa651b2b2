/* What all topics have in common through which services tell each other something: they have one
 * partition, are made by whoever needs them, and are written one record at a time. One thread uses
 * a channel. */
#ifndef COMMON_KAFKA_CHANNEL_H
#define COMMON_KAFKA_CHANNEL_H

#include "common/kafka_client.h"
#include "common/slice.h"
#include "common/topic_design.h"

#include <stdatomic.h>

#define KAFKA_CHANNEL_TIMEOUT_MS 2000
#define KAFKA_CHANNEL_POLL_MS    50

struct kafka_channel_options {
    const char *group;                /* no group is joined; some brokers want a name */
    const struct text_pair *settings; /* of the configuration's `kafka:` */
    size_t setting_count;
    const char *fetch_wait_ms; /* that a broker keeps a fetch without a record; NULL: the client's
                                * default */
    const atomic_bool *stop;   /* ends each wait */
};

struct kafka_channel {
    struct kafka_channel_options options;
    rd_kafka_t *consumer;
    rd_kafka_t *producer; /* NULL until something is written */
    struct kafka_reason reason;
    uintptr_t written;        /* number of the record that is being written */
    uintptr_t reported;       /* of the last one that has its delivery report */
    rd_kafka_resp_err_t code; /* of that report */
};

/** A topic as it has to be. */
struct kafka_channel_topic {
    const char *what; /* "control topic": begins each message about it */
    const char *name;
    bool is_compacted;
    bool make; /* make it where it is missing */
    enum topic_kind kind;
    const struct topic_choice *choice; /* for its making */
};

/** Open a channel. No broker is asked yet. @return OK; FATAL. */
enum status kafka_channel_open(struct kafka_channel *channel,
                               const struct kafka_channel_options *options,
                               struct error *err) MUST_CHECK;

/** @param flush_ms  how long it may take to send what was written and not acknowledged. */
void kafka_channel_close(struct kafka_channel *channel, int flush_ms);

/** Look whether a topic is there, and as it has to be.
 * @return OK; RETRY (no answer, or it is not there yet); STOP (not there, and not made here); FATAL
 * with exit code 78 (its policy is another one, or it has several partitions). */
enum status kafka_channel_check(struct kafka_channel *channel,
                                const struct kafka_channel_topic *topic,
                                struct error *err) MUST_CHECK;

/** Write one record, and wait until the broker has acknowledged it.
 * @return OK; RETRY; REJECT (it is too large). */
enum status kafka_channel_write(struct kafka_channel *channel,
                                const struct kafka_channel_topic *topic, struct slice key,
                                struct slice value, struct error *err) MUST_CHECK;

/** Set the error for a code of the client. @return RETRY. */
enum status kafka_channel_fail(const struct kafka_channel *channel,
                               const struct kafka_channel_topic *topic, rd_kafka_resp_err_t code,
                               struct error *err);

#endif
