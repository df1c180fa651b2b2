/* Keepstep's topics: created with the settings of rule 17, refused if they differ. */
#ifndef PRODUCER_RELAY_KAFKA_TOPICS_H
#define PRODUCER_RELAY_KAFKA_TOPICS_H

#include "common/kafka_client.h"
#include "producer/relay/kafka_producer.h"

/** As kafka_producer_topic(). */
enum status kafka_topics_ensure(rd_kafka_t *handle, const struct config_entry *entry,
                                const struct topic_choice *choice,
                                struct topic_settings *ret_settings, struct error *err) MUST_CHECK;

#endif
