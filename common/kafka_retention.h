/* Asks a broker when a topic's retention reaches which place in its log. */
#ifndef COMMON_KAFKA_RETENTION_H
#define COMMON_KAFKA_RETENTION_H

#include "common/kafka_client.h"
#include "common/topic_retention.h"

#include <stdatomic.h>

/** Look at all partitions of a topic, with a request for each mark and two for each partition. A
 * topic that is compacted, or that keeps its records for ever, costs none of them.
 * @param stop  once it is true no further request is made; NULL: never.
 * @return OK; RETRY (no answer, or not allowed); FATAL. topic_retention_done() is legal after any.
 */
enum status kafka_retention_read(rd_kafka_t *handle, const char *topic, const atomic_bool *stop,
                                 struct topic_retention *ret_retention,
                                 struct error *err) MUST_CHECK;

#endif
