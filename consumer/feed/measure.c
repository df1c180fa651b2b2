/* Asks the broker what only the agent's numbers need: where a log begins, how long it is kept. */
#include "consumer/feed/internal.h"

#include "common/clock.h"
#include "common/kafka_configs.h"

#define RETENTION_US       (INT64_C(300) * 1000 * 1000)
#define RETENTION_AGAIN_US (INT64_C(30) * 1000 * 1000)

enum status feed_log_begin(struct feed *feed, struct topic_partition tp, int timeout_ms,
                           int64_t *ret_begin, struct error *err)
{
    return kafka_log_begin(feed->handle, tp, timeout_ms, ret_begin, err);
}

int64_t feed_retention_ms(struct feed *feed, const char *topic, int timeout_ms)
{
    struct error ignored = ERROR_INIT;
    struct topic_settings settings;
    struct feed_topic *found = feed_topic_find(feed, topic);
    int64_t now_us = clock_monotonic_us();
    if (found == NULL || kafka_is_mock(feed->cluster_id))
        return -1;
    if (now_us < found->retention_at_us)
        return found->retention_ms;
    bool is_known = kafka_topic_settings(feed->handle, topic, timeout_ms, &settings, &ignored) ==
                    STATUS_OK;
    found->retention_at_us = now_us + (is_known ? RETENTION_US : RETENTION_AGAIN_US);
    found->retention_ms = is_known ? settings.retention_ms : -1;
    return found->retention_ms;
}

bool feed_is_answered(struct feed *feed, int timeout_ms)
{
    return feed->topic_count == 0 ||
           kafka_is_answered(feed->handle, feed->described[0].name, timeout_ms);
}
