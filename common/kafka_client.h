/* The only door to librdkafka: configuration, errors, topics, and its log in ours. */
#ifndef COMMON_KAFKA_CLIENT_H
#define COMMON_KAFKA_CLIENT_H

#include "common/status.h"
#include "common/text_pair.h"
#include "common/topic_partition.h"
#include "common/topic_settings.h"

#include <librdkafka/rdkafka.h>

/** Settings of a client, as librdkafka names them. */
struct kafka_settings {
    const struct text_pair *list;
    size_t count;
};

#define KAFKA_SETTINGS(array)                                                                      \
    {                                                                                              \
        (array), sizeof(array) / sizeof *(array)                                                   \
    }

/** Make a configuration from layers of settings; a later layer wins. Keepstep's defaults for every
 * client come before them, and what no client may change comes after them. The user's layer is
 * `kafka:` of the configuration, which config_load() has checked. The log callback is set.
 * @return OK with a conf the caller owns until kafka_handle_new() takes it; FATAL naming the
 * setting. */
enum status kafka_conf_new(const struct kafka_settings *layers, size_t layer_count,
                           rd_kafka_conf_t **ret_conf, struct error *err) MUST_CHECK;

/** Open a client; takes `conf` in every case. A consumer is polled by rd_kafka_consumer_poll()
 * alone.
 * @return OK; FATAL. */
enum status kafka_handle_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **ret_handle,
                             struct error *err) MUST_CHECK;

/** What an error code of the client means for the caller: transient → RETRY, fenced → ABORT,
 * unknown topic, log truncated → STOP, authorization → RETRY (rule 22), other → FATAL. */
enum status kafka_error_status(rd_kafka_resp_err_t code);

/** @return whether an error code says that no broker answers; false: a broker has answered. */
bool kafka_error_is_silence(rd_kafka_resp_err_t code);

#define KAFKA_CLUSTER_ID_SIZE 256

/** What the brokers say of a topic. */
struct kafka_topic {
    int32_t partitions;                     /* 0: it does not exist */
    char cluster_id[KAFKA_CLUSTER_ID_SIZE]; /* of the brokers; "": they do not tell */
};

/** Ask the brokers for a topic, without creating it. @return OK; RETRY; FATAL. */
enum status kafka_topic_describe(rd_kafka_t *handle, const char *topic, int timeout_ms,
                                 struct kafka_topic *ret_topic, struct error *err) MUST_CHECK;

/** Ask for the bounds of a partition's log. A handle that reads only what is committed gets the
 * last stable offset as the end. Waits at most timeout_ms, unlike
 * rd_kafka_query_watermark_offsets(), which waits for an answer however long.
 * @return OK; RETRY; STOP (no such partition); FATAL. */
enum status kafka_log_bounds(rd_kafka_t *handle, struct topic_partition tp, int timeout_ms,
                             struct log_bounds *ret_bounds, struct error *err) MUST_CHECK;

/** Ask for the end alone. Statuses as kafka_log_bounds(). */
enum status kafka_log_end(rd_kafka_t *handle, struct topic_partition tp, int timeout_ms,
                          int64_t *ret_end, struct error *err) MUST_CHECK;

/** The end of a partition's log as the handle's last fetch has seen it (the high watermark: records
 * of open transactions included). No broker is asked. @return -1: nothing was fetched yet. */
int64_t kafka_log_end_seen(rd_kafka_t *handle, struct topic_partition tp);

/** Read a topic's settings. A mock cluster has none: do not ask it.
 * @return OK; RETRY (no answer, or not allowed). */
enum status kafka_topic_settings(rd_kafka_t *handle, const char *topic, int timeout_ms,
                                 struct topic_settings *ret_settings, struct error *err) MUST_CHECK;

/** @return whether a cluster id is that of librdkafka's mock cluster. */
bool kafka_is_mock(const char *cluster_id);

#define KAFKA_REASON_SIZE 256

/** Why the client cannot use a broker, as it said last; "": it has said nothing. */
struct kafka_reason {
    char text[KAFKA_REASON_SIZE];
};

/** Keep the errors of brokers in `reason`, and do not log them. It is written while the handle is
 * polled, and must outlive it. */
void kafka_conf_keep_reason(rd_kafka_conf_t *conf, struct kafka_reason *reason);

#endif
