/* The hash by which Kafka's Java clients choose a partition. */
#ifndef COMMON_MURMUR2_H
#define COMMON_MURMUR2_H

#include "common/slice.h"

#include <stdint.h>

/** @return murmur2 as org.apache.kafka.common.utils.Utils.murmur2() computes it. */
int32_t murmur2(struct slice bytes);

/** @return the partition of a record key where there are `partition_count` (> 0) partitions. */
int32_t murmur2_partition(struct slice key, int32_t partition_count);

#endif
