/* Keepstep's topics: created with rule 17's settings, refused where they differ. */
#ifndef PRODUCER_KAFKA_TOPICS_H
#define PRODUCER_KAFKA_TOPICS_H

#include "common/kafka_client.h"
#include "schemas/config.h"

/** As kafka_producer_topic(). */
enum status kafka_topics_ensure(rd_kafka_t *handle, const struct config_entry *entry,
                                int64_t *ret_size_max, struct error *err) MUST_CHECK;

#endif
