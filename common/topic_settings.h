/* The settings of a topic that Keepstep's rules depend on. */
#ifndef COMMON_TOPIC_SETTINGS_H
#define COMMON_TOPIC_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

struct topic_settings {
    int64_t retention_ms;      /* below 0: records stay for ever */
    int64_t retention_bytes;   /* of a partition; below 0: no limit */
    int64_t message_bytes_max; /* the largest batch of records */
    bool is_compacted;
    bool is_log_append_time; /* timestamps come from the broker's clock */
};

#endif
