/* A consumer group as its coordinator sees it: who of it was assigned what. */
#ifndef COMMON_KAFKA_GROUP_H
#define COMMON_KAFKA_GROUP_H

#include "common/kafka_client.h"

/** Ask the brokers, waiting at most timeout_ms.
 * @return OK with what kafka_group_free() gives back; RETRY, also where there is no such group. */
enum status kafka_group_describe(rd_kafka_t *handle, const char *name, int timeout_ms,
                                 const struct rd_kafka_group_list **ret_group,
                                 struct error *err) MUST_CHECK;

/** NULL is a no-op. */
void kafka_group_free(const struct rd_kafka_group_list *group);

/** @return whether what was assigned stands: no rebalance is under way. */
bool kafka_group_is_stable(const struct rd_kafka_group_list *group);

/** @return the member that a partition was assigned to, the group's; NULL where there is none, or
 * no group. */
const struct rd_kafka_group_member_info *kafka_group_owner(const struct rd_kafka_group_list *group,
                                                           struct topic_partition tp);

#endif
