/* A message of librdkafka as a record. Only the files of this folder may include it. */
#ifndef CONSUMER_FEED_MESSAGE_H
#define CONSUMER_FEED_MESSAGE_H

#include "common/kafka_client.h"
#include "schemas/change.h"

/** @param headers  room for the first `headers_max` of its headers.
 * @return the record; it borrows from the message and from `headers`. */
struct record message_record(const rd_kafka_message_t *message, struct header *headers,
                             size_t headers_max);

#endif
