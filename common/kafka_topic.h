/* Makes topics by Kafka's admin API. */
#ifndef COMMON_KAFKA_TOPIC_H
#define COMMON_KAFKA_TOPIC_H

#include "common/kafka_client.h"

struct kafka_new_topic {
    const char *name;
    int32_t partitions;
    struct kafka_settings settings; /* of the topic, as Kafka names them */
};

/** Make a topic with as many replicas as the broker gives by default. Do not ask a mock cluster.
 * @return OK, also where it exists already; RETRY; FATAL (its name or a setting is refused). */
enum status kafka_topic_create(rd_kafka_t *handle, const struct kafka_new_topic *topic,
                               int timeout_ms, struct error *err) MUST_CHECK;

#endif
