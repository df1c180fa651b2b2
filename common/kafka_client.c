/* Uses librdkafka: configures clients, translates their errors, and writes their log into ours. */
#include "common/kafka_client.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KAFKA_TEXT_SIZE 512
#define LEADER_US       (100 * 1000)  /* between two questions about a partition without a leader */
#define UNKNOWN_US      (1000 * 1000) /* in which it may seem not to be there at all */

/* Keepstep's defaults; the user's settings may replace them. */
static const struct text_pair kafka_defaults[] = {
    {"client.id", "keepstep"},
    {"log.connection.close", "false"},
    {"socket.keepalive.enable", "true"},
    /* After an outage of the broker a copy waits at most this much longer. */
    {"reconnect.backoff.max.ms", "2000"},
};

/* @return how many bytes of a text may be logged. The client repeats the part of
 * sasl.oauthbearer.config that it cannot read, and that may hold a secret. */
static int kafka_text_length(const char *text)
{
    static const char before[] = "beginning at";
    const char *secret = strstr(text, "sasl.oauthbearer.config");
    const char *end = secret == NULL ? NULL : strstr(secret, before);
    if (secret != NULL && end == NULL)
        return (int)(secret - text) + (int)strlen("sasl.oauthbearer.config");
    return end == NULL ? (int)strlen(text) : (int)(end - text);
}

/* Settings that override all others. Without this one a producer that asks for a topic would create
 * it, if the broker allows that. The topic would have one partition and the writers' timestamps
 * (rule 17). */
static const struct text_pair kafka_own[] = {
    {"allow.auto.create.topics", "false"},
};

static void kafka_log(const rd_kafka_t *handle, int level, const char *facility, const char *text)
{
    (void)handle;
    enum log_level to = LOG_LEVEL_DEBUG;
    /* An operator cannot change what these warn of: a setting of Keepstep's own, settings of
     * `kafka:` that producers and consumers share, the old protocol of the mock cluster. */
    if (strstr(text, "enable.gapless.guarantee is experimental") != NULL ||
        strstr(text, "property and will be ignored by this") != NULL ||
        strstr(text, "allow.auto.create.topics=false not supported by broker") != NULL)
        return;
    if (level <= 3) /* syslog: up to LOG_ERR */
        to = LOG_LEVEL_ERROR;
    else if (level == 4)
        to = LOG_LEVEL_WARNING;
    else if (level <= 6)
        to = LOG_LEVEL_INFO;
    log_write(to, "kafka", "%s: %.*s", facility, kafka_text_length(text), text);
}

static enum status kafka_conf_set(rd_kafka_conf_t *conf, const struct kafka_settings *settings,
                                  struct error *err)
{
    for (size_t i = 0; i < settings->count; i++) {
        char text[KAFKA_TEXT_SIZE];
        const struct text_pair *setting = &settings->list[i];
        if (rd_kafka_conf_set(conf, setting->name, setting->value, text, sizeof text) ==
            RD_KAFKA_CONF_OK)
            continue;
        return error_set(error_config(err), STATUS_FATAL, "kafka property \"%s\": %.*s",
                         setting->name, kafka_text_length(text), text);
    }
    return STATUS_OK;
}

/* Newer versions of librdkafka may choose another protocol by default. Older ones do not know this
 * setting; their error is ignored. */
static void kafka_conf_set_classic(rd_kafka_conf_t *conf)
{
    char text[KAFKA_TEXT_SIZE];
    (void)rd_kafka_conf_set(conf, "group.protocol", "classic", text, sizeof text);
}

enum status kafka_conf_new(const struct kafka_settings *layers, size_t layer_count,
                           rd_kafka_conf_t **ret_conf, struct error *err)
{
    const struct kafka_settings defaults = KAFKA_SETTINGS(kafka_defaults);
    const struct kafka_settings own = KAFKA_SETTINGS(kafka_own);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, kafka_log);
    enum status status = kafka_conf_set(conf, &defaults, err);
    for (size_t i = 0; status == STATUS_OK && i < layer_count; i++)
        status = kafka_conf_set(conf, &layers[i], err);
    if (status == STATUS_OK)
        status = kafka_conf_set(conf, &own, err);
    if (status != STATUS_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    kafka_conf_set_classic(conf);
    *ret_conf = conf;
    return STATUS_OK;
}

/* Keep the text without the client's name of the broker and without how long it took. */
static void kafka_keep_reason(rd_kafka_t *handle, int code, const char *text, void *context)
{
    struct kafka_reason *reason = context;
    const char *colon = strstr(text, ": ");
    (void)handle;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        return;
    if (colon != NULL && strstr(text, "/bootstrap: ") != NULL)
        text = colon + 2;
    size_t length = (size_t)kafka_text_length(text);
    const char *after = strstr(text, " (after ");
    if (after != NULL && (size_t)(after - text) < length)
        length = (size_t)(after - text);
    utf8_format(reason->text, sizeof reason->text, "%.*s", (int)length, text);
}

void kafka_conf_keep_reason(rd_kafka_conf_t *conf, struct kafka_reason *reason)
{
    rd_kafka_conf_set_error_cb(conf, kafka_keep_reason);
    rd_kafka_conf_set_opaque(conf, reason);
}

enum status kafka_handle_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **ret_handle,
                             struct error *err)
{
    char text[KAFKA_TEXT_SIZE];
    rd_kafka_t *handle = rd_kafka_new(type, conf, text, sizeof text);
    if (handle == NULL) {
        rd_kafka_resp_err_t code = rd_kafka_last_error();
        rd_kafka_conf_destroy(conf);
        return error_set_native(err, STATUS_FATAL, (int)code, "kafka client: %.*s",
                                kafka_text_length(text), text);
    }
    if (type == RD_KAFKA_CONSUMER)
        (void)rd_kafka_poll_set_consumer(handle);
    *ret_handle = handle;
    return STATUS_OK;
}

enum status kafka_error_status(rd_kafka_resp_err_t code)
{
    switch ((int)code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return STATUS_OK;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
    case RD_KAFKA_RESP_ERR__ISR_INSUFF:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR__WAIT_CACHE:
    case RD_KAFKA_RESP_ERR__IN_PROGRESS:
    case RD_KAFKA_RESP_ERR__RETRY:
    case RD_KAFKA_RESP_ERR__INTR:
    case RD_KAFKA_RESP_ERR__SSL:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_STALE_CTRL_EPOCH:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case RD_KAFKA_RESP_ERR_NOT_CONTROLLER:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
    case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_PREFERRED_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT:
    case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED:
        return STATUS_RETRY;
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST:
    case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED:
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
        return STATUS_ABORT;
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR__NO_OFFSET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        return STATUS_STOP;
    default:
        return STATUS_FATAL;
    }
}

bool kafka_error_is_unknown(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
           code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
}

bool kafka_error_is_silence(rd_kafka_resp_err_t code)
{
    switch ((int)code) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__SSL:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
        return true;
    default:
        return false;
    }
}

enum status kafka_error_of_silence(const rd_kafka_t *handle, rd_kafka_resp_err_t code,
                                   const char *reason, struct error *err)
{
    char servers[512] = ""; /* a longer list stays away */
    size_t size = sizeof servers;
    if (rd_kafka_conf_get(rd_kafka_conf((rd_kafka_t *)(uintptr_t)handle), "bootstrap.servers",
                          servers, &size) != RD_KAFKA_CONF_OK)
        servers[0] = '\0';
    return error_set_native(err, STATUS_RETRY, (int)code,
                            "no broker can be used at %.400s%s%s%s; start it, or correct "
                            "kafka.bootstrap.servers or another setting under `kafka:`",
                            servers, *reason == '\0' ? "" : " (", reason,
                            *reason == '\0' ? "" : ")");
}

enum status kafka_topic_describe(rd_kafka_t *handle, const char *topic, int timeout_ms,
                                 struct kafka_topic *ret_topic, struct error *err)
{
    enum status status = STATUS_OK;
    const struct rd_kafka_metadata *metadata = NULL;
    char *cluster_id = NULL;
    rd_kafka_resp_err_t code;
    rd_kafka_topic_t *named = rd_kafka_topic_new(handle, topic, NULL);

    if (named == NULL) {
        code = rd_kafka_last_error();
        return error_set_native(err, STATUS_FATAL, (int)code, "topic \"%s\": %s", topic,
                                rd_kafka_err2str(code));
    }
    code = rd_kafka_metadata(handle, 0, named, &metadata, timeout_ms);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topic_cnt == 1)
        code = metadata->topics[0].err;
    bool absent = code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
                  code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
    if (kafka_error_is_silence(code)) {
        status = kafka_error_of_silence(handle, code, rd_kafka_err2str(code), err);
        goto out;
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && !absent) {
        status = kafka_error_status(code) == STATUS_RETRY ? STATUS_RETRY : STATUS_FATAL;
        status = error_set_native(err, status, (int)code, "describe topic \"%s\": %s", topic,
                                  rd_kafka_err2str(code));
        goto out;
    }
    ret_topic->partitions = absent || metadata->topic_cnt != 1 ? 0
                                                               : metadata->topics[0].partition_cnt;
    cluster_id = rd_kafka_clusterid(handle, timeout_ms);
    (void)snprintf(ret_topic->cluster_id, sizeof ret_topic->cluster_id, "%s",
                   cluster_id == NULL ? "" : cluster_id);
out:
    if (cluster_id != NULL)
        rd_kafka_mem_free(handle, cluster_id);
    if (metadata != NULL)
        rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(named);
    return status;
}

bool kafka_is_answered(rd_kafka_t *handle, const char *topic, int timeout_ms)
{
    struct error failed = ERROR_INIT;
    struct kafka_topic found;
    return kafka_topic_describe(handle, topic, timeout_ms, &found, &failed) == STATUS_OK ||
           !kafka_error_is_silence((rd_kafka_resp_err_t)failed.native_code);
}

/* Ask once for the offset of a logical one (beginning, end). */
static rd_kafka_resp_err_t kafka_ask_offset(rd_kafka_t *handle, struct topic_partition tp,
                                            int64_t logical, int timeout_ms, int64_t *ret_offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *asked = rd_kafka_topic_partition_list_add(list, tp.topic,
                                                                          tp.partition);
    asked->offset = logical;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(handle, list, timeout_ms);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = asked->err;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && asked->offset < 0)
        code = RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE;
    *ret_offset = asked->offset;
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

/* @return whether the answer may be another one soon. A handle that has not heard of a new leader
 * yet, or a broker that is about to come back, knows no partition. */
static bool kafka_is_leaderless(rd_kafka_resp_err_t code, int64_t asked_us)
{
    return code == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
           code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
           (code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION && asked_us < UNKNOWN_US);
}

static rd_kafka_resp_err_t kafka_offset_of(rd_kafka_t *handle, struct topic_partition tp,
                                           int64_t logical, int timeout_ms, int64_t *ret_offset)
{
    const int64_t begun = clock_monotonic_us();
    const int64_t until = begun + (int64_t)timeout_ms * 1000;
    for (;;) {
        int64_t now = clock_monotonic_us();
        int left_ms = now < until ? (int)((until - now) / 1000) : 0;
        rd_kafka_resp_err_t code = kafka_ask_offset(handle, tp, logical, left_ms, ret_offset);
        now = clock_monotonic_us();
        if (!kafka_is_leaderless(code, now - begun) || now + LEADER_US >= until)
            return code;
        clock_sleep_us(LEADER_US);
    }
}

static enum status kafka_bounds_status(rd_kafka_resp_err_t code, struct topic_partition tp,
                                       struct error *err)
{
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return STATUS_OK;
    return error_set_native(err, kafka_error_status(code), (int)code,
                            "%s [%d]: read the ends of its log: %s", tp.topic, (int)tp.partition,
                            rd_kafka_err2str(code));
}

enum status kafka_log_end(rd_kafka_t *handle, struct topic_partition tp, int timeout_ms,
                          int64_t *ret_end, struct error *err)
{
    rd_kafka_resp_err_t code = kafka_offset_of(handle, tp, RD_KAFKA_OFFSET_END, timeout_ms,
                                               ret_end);
    return kafka_bounds_status(code, tp, err);
}

enum status kafka_log_begin(rd_kafka_t *handle, struct topic_partition tp, int timeout_ms,
                            int64_t *ret_begin, struct error *err)
{
    rd_kafka_resp_err_t code = kafka_offset_of(handle, tp, RD_KAFKA_OFFSET_BEGINNING, timeout_ms,
                                               ret_begin);
    return kafka_bounds_status(code, tp, err);
}

enum status kafka_log_bounds(rd_kafka_t *handle, struct topic_partition tp, int timeout_ms,
                             struct log_bounds *ret_bounds, struct error *err)
{
    int64_t until = clock_monotonic_us() + (int64_t)timeout_ms * 1000;
    enum status status = kafka_log_begin(handle, tp, timeout_ms, &ret_bounds->first, err);
    if (status != STATUS_OK)
        return status;
    int64_t left_ms = (until - clock_monotonic_us()) / 1000;
    return kafka_log_end(handle, tp, left_ms < 0 ? 0 : (int)left_ms, &ret_bounds->end, err);
}

int64_t kafka_log_end_seen(rd_kafka_t *handle, struct topic_partition tp)
{
    int64_t low = -1;
    int64_t high = -1;
    rd_kafka_resp_err_t code = rd_kafka_get_watermark_offsets(handle, tp.topic, tp.partition, &low,
                                                              &high);
    return code != RD_KAFKA_RESP_ERR_NO_ERROR || high < 0 ? -1 : high;
}

bool kafka_is_mock(const char *cluster_id)
{
    static const char mock[] = "mockCluster";
    return strncmp(cluster_id, mock, sizeof mock - 1) == 0;
}
