/* Names a partition of a topic, and says where its log begins and ends. */
#ifndef COMMON_TOPIC_PARTITION_H
#define COMMON_TOPIC_PARTITION_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/** Passed by value; the topic's name is borrowed. */
struct topic_partition {
    const char *topic;
    int32_t partition;
};

static inline bool topic_partition_equal(struct topic_partition left, struct topic_partition right)
{
    return left.partition == right.partition && strcmp(left.topic, right.topic) == 0;
}

/** The records of a log: from `first` on, up to the one before `end`. */
struct log_bounds {
    int64_t first;
    int64_t end;
};

#endif
