/* Makes topics by Kafka's admin API. */
#ifndef COMMON_KAFKA_TOPIC_H
#define COMMON_KAFKA_TOPIC_H

#include "common/kafka_client.h"
#include "common/topic_design.h"

struct kafka_new_topic {
    const char *name;
    int32_t partitions;
    const struct topic_design *design;
};

/** Make a topic. Do not ask a mock cluster.
 * @return OK, also where it exists already; RETRY (also where there are too few brokers for its
 * replicas: they may still be starting); FATAL (its name or a setting is refused). */
enum status kafka_topic_create(rd_kafka_t *handle, const struct kafka_new_topic *topic,
                               int timeout_ms, struct error *err) MUST_CHECK;

#endif
