/* A consumer group as its coordinator sees it: its members and their partitions. */
#ifndef COMMON_KAFKA_GROUP_H
#define COMMON_KAFKA_GROUP_H

#include "common/kafka_client.h"

/** Ask the brokers, and wait at most timeout_ms.
 * @return OK with a group for kafka_group_free(); RETRY, also where there is no such group. */
enum status kafka_group_describe(rd_kafka_t *handle, const char *name, int timeout_ms,
                                 const struct rd_kafka_group_list **ret_group,
                                 struct error *err) MUST_CHECK;

/** NULL is a no-op. */
void kafka_group_free(const struct rd_kafka_group_list *group);

/** @return whether the assignment is final: no rebalance is running. */
bool kafka_group_is_stable(const struct rd_kafka_group_list *group);

/** @return the member that a partition is assigned to, borrowed from the group; NULL where there is
 * none, or no group. */
const struct rd_kafka_group_member_info *kafka_group_owner(const struct rd_kafka_group_list *group,
                                                           struct topic_partition tp);

#endif
