/* The only door to librdkafka: configuration, errors, topics, and its log within ours. */
#ifndef COMMON_KAFKA_CLIENT_H
#define COMMON_KAFKA_CLIENT_H

#include "common/status.h"
#include "common/text_pair.h"
#include "common/topic_partition.h"

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

/** How much a relay sends as one batch and a fetch of an agent reads of a partition, at most. A
 * broker always gives a first batch whole. If it is larger than what was asked for, the other
 * partitions get nothing, and an agent reads one of them far ahead of the others. */
#define KAFKA_BATCH_BYTES "131072"

/** Make a configuration from layers of settings; a later layer wins. Keepstep's defaults are the
 * first layer, and what no client may change is the last. The user's layer is `kafka:` of the
 * configuration, which config_load() has checked. The log callback is set.
 * @return OK with a conf that the caller owns until kafka_handle_new() takes it; FATAL naming the
 * setting. */
enum status kafka_conf_new(const struct kafka_settings *layers, size_t layer_count,
                           rd_kafka_conf_t **ret_conf, struct error *err) MUST_CHECK;

/** Open a client. `conf` is taken in every case. A consumer is polled only by
 * rd_kafka_consumer_poll().
 * @return OK; FATAL. */
enum status kafka_handle_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **ret_handle,
                             struct error *err) MUST_CHECK;

/** @return what the caller does after an error of the client: RETRY after a transient error or a
 * missing right (rule 22), ABORT when fenced, STOP at an unknown topic or a truncated log, FATAL
 * otherwise. */
enum status kafka_error_status(rd_kafka_resp_err_t code);

/** @return whether an error code means that no broker answers; false: a broker has answered. */
bool kafka_error_is_silence(rd_kafka_resp_err_t code);

/** The error of a silence: which brokers were asked, `reason` where it is not "", what to do next.
 * @return RETRY. */
enum status kafka_error_of_silence(const rd_kafka_t *handle, rd_kafka_resp_err_t code,
                                   const char *reason, struct error *err);

/** @return whether an error code means that a topic or a partition is not known. It may be gone, or
 * the broker, or librdkafka's cache, may not know it yet right after an outage. */
bool kafka_error_is_unknown(rd_kafka_resp_err_t code);

#define KAFKA_CLUSTER_ID_SIZE 256

struct kafka_topic {
    int32_t partitions;                     /* 0: it does not exist */
    char cluster_id[KAFKA_CLUSTER_ID_SIZE]; /* "": unknown */
};

/** Ask the brokers for a topic, without creating it. @return OK; RETRY; FATAL. */
enum status kafka_topic_describe(rd_kafka_t *handle, const char *topic, int timeout_ms,
                                 struct kafka_topic *ret_topic, struct error *err) MUST_CHECK;

/** Ask for the bounds of a partition's log. A handle that reads only committed records gets the
 * last stable offset as the end. Waits at most timeout_ms; rd_kafka_query_watermark_offsets() could
 * wait longer.
 * @return OK; RETRY; STOP (no such partition); FATAL. */
enum status kafka_log_bounds(rd_kafka_t *handle, struct topic_partition tp, int timeout_ms,
                             struct log_bounds *ret_bounds, struct error *err) MUST_CHECK;

/** @return whether a broker answers a question about a topic within the time. */
bool kafka_is_answered(rd_kafka_t *handle, const char *topic, int timeout_ms);

/** Ask only for the beginning, or only for the end. Statuses as kafka_log_bounds(). */
enum status kafka_log_begin(rd_kafka_t *handle, struct topic_partition tp, int timeout_ms,
                            int64_t *ret_begin, struct error *err) MUST_CHECK;
enum status kafka_log_end(rd_kafka_t *handle, struct topic_partition tp, int timeout_ms,
                          int64_t *ret_end, struct error *err) MUST_CHECK;

/** @return the end of a partition's log as the handle's last fetch saw it; -1: nothing was fetched
 * yet. It is the high watermark, so it counts records of open transactions. No broker is asked. */
int64_t kafka_log_end_seen(rd_kafka_t *handle, struct topic_partition tp);

/** @return whether a cluster id is that of librdkafka's mock cluster. */
bool kafka_is_mock(const char *cluster_id);

#define KAFKA_REASON_SIZE 256

/** The last reason that the client gave for not using a broker; "": none. */
struct kafka_reason {
    char text[KAFKA_REASON_SIZE];
};

/** Keep the errors of brokers in `reason` instead of logging them. It is written while the handle
 * is polled, and must outlive the handle. */
void kafka_conf_keep_reason(rd_kafka_conf_t *conf, struct kafka_reason *reason);

#endif
