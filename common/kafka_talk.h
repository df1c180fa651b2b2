/* The topics through which services talk: questions and answers in one, and rows in one for each
 * data topic. Each has one partition and keeps its records for a day. One consumer reads all that
 * were joined, and one producer writes them. One thread uses a handle. */
#ifndef COMMON_KAFKA_TALK_H
#define COMMON_KAFKA_TALK_H

#include "common/slice.h"
#include "common/status.h"
#include "common/text_pair.h"
#include "common/topic_design.h"

#include <stdatomic.h>
#include <stdint.h>

struct kafka_talk;

struct kafka_talk_options {
    const char *control_topic;        /* the names begin with it */
    const char *group;                /* no group is joined; some brokers want a name */
    const struct text_pair *settings; /* of the configuration's `kafka:` */
    size_t setting_count;
    struct topic_choice choice; /* for the making of topics */
    bool is_hasty;           /* fetch often: it is used for moments, and joins topics meanwhile */
    const atomic_bool *stop; /* ends each wait */
};

/** A record. It is borrowed until the next call. */
struct kafka_talk_record {
    const char *data_topic; /* whose rows topic it is from; NULL: from the talk topic */
    struct slice key;
    struct slice value; /* data NULL: none */
    int64_t offset;
};

#define TOPIC_NAME_SIZE 250 /* of any topic in Kafka, with its NUL */

/** Write the name of a talk topic, or of a data topic's rows topic.
 * @param data_topic  NULL: the talk topic's. @return OK; FATAL with exit code 78 (it is too long).
 */
enum status kafka_talk_topic(const char *control_topic, const char *data_topic,
                             char ret_name[static TOPIC_NAME_SIZE], struct error *err) MUST_CHECK;

/** Open it. No broker is asked yet. The options outlive it. @return OK; RETRY; FATAL. */
enum status kafka_talk_open(const struct kafka_talk_options *options, struct kafka_talk **ret_talk,
                            struct error *err) MUST_CHECK;
/** Send what is still to be sent, for a second at most. NULL is a no-op. */
void kafka_talk_close(struct kafka_talk *talk);

/** Make a topic where it is missing, and look whether it is as it has to be. Who only writes to it
 * needs no more. Once that was done this is a no-op.
 * @param data_topic  whose rows topic; NULL: the talk topic.
 * @return OK; RETRY (no answer, no right, or not there yet); STOP (a mock broker, which makes
 * none); FATAL with exit code 78 (it is compacted, or has several partitions). */
enum status kafka_talk_make(struct kafka_talk *talk, const char *data_topic,
                            struct error *err) MUST_CHECK;

/** The same, and read the topic from its present end on. Once it was joined this is a no-op.
 * @return as kafka_talk_make(). */
enum status kafka_talk_join(struct kafka_talk *talk, const char *data_topic,
                            struct error *err) MUST_CHECK;

/** Write a record, and wait until the broker has acknowledged it.
 * @return OK; RETRY; REJECT (it is too large for the topic). */
enum status kafka_talk_write(struct kafka_talk *talk, const char *data_topic, struct slice key,
                             struct slice value, struct error *err) MUST_CHECK;

/** Wait for the next record of the joined topics.
 * @param ret_record  key and value without data: there was none in time.
 * @return OK; RETRY; ABORT (a topic was made anew: open another handle). */
enum status kafka_talk_poll(struct kafka_talk *talk, int timeout_ms,
                            struct kafka_talk_record *ret_record, struct error *err) MUST_CHECK;

#endif
