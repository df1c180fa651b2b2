/* Opens a librdkafka consumer, polls it message by message (rule 31) and closes it. */
#include "common/utf8.h"
#include "consumer/feed/internal.h"
#include "consumer/feed/message.h"

#include "common/clock.h"
#include "common/kafka_configs.h"
#include "common/log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FEED_DESCRIBE_MS    10000
#define FEED_FIND_MS        1000
#define FEED_MS_OF_A_SECOND 1000

/* How much librdkafka fetches ahead: enough for the next batch while one is written. */
#define FEED_QUEUE_COUNT   "4000"
#define FEED_QUEUE_KIB     "4096"
#define FEED_FETCH_BYTES   "2097152"
#define FEED_METADATA_MS   "30000" /* after which new partitions are noticed */
#define FEED_LEAVE_US      (INT64_C(5) * 1000 * 1000)
#define FEED_LEAVE_POLL_MS 20
#define FEED_CUT_OFF_US    (INT64_C(60) * 1000 * 1000)
#define FEED_GONE_US       (INT64_C(10) * 1000 * 1000)
#define FEED_REFILL_COUNT  1000
#define FEED_REFILL_BYTES  ((size_t)1 << 19)

static const char *feed_user_property(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->kafka_count; i++) {
        if (strcmp(config->kafka[i].name, name) == 0)
            return config->kafka[i].value;
    }
    return NULL;
}

/** Refuse a window in which single keys are forgotten before the topic forgets their records
 * (rule 16). */
enum status feed_check_window(const struct config *config, const char *topic, int64_t retention_ms,
                              struct error *err)
{
    int64_t window_s = config->limits.idempotency_window_s;
    int64_t retention_s = retention_ms / FEED_MS_OF_A_SECOND +
                          (retention_ms % FEED_MS_OF_A_SECOND > 0);
    if (window_s == 0 || (retention_ms >= 0 && retention_s <= window_s))
        return STATUS_OK;
    if (retention_ms < 0)
        return error_set(error_config(err), STATUS_FATAL,
                         "limits.idempotency_window_s: %lld is too short: topic '%s' keeps its "
                         "records for ever; write 0 (for ever), or give the topic a retention.ms",
                         (long long)window_s, topic);
    return error_set(error_config(err), STATUS_FATAL,
                     "limits.idempotency_window_s: %lld is too short: topic '%s' keeps its "
                     "records for %lld s; write that or more, or 0 (for ever)",
                     (long long)window_s, topic, (long long)retention_s);
}

static void feed_tell_absent(struct feed_topic *topic)
{
    bool is_absent = topic->partitions == 0;
    if (is_absent && !topic->is_absent)
        log_warning("agent",
                    "topic '%s' does not exist yet; the relay of its service creates it, and what "
                    "it brings is applied from then on",
                    topic->name);
    else if (!is_absent && topic->is_absent)
        log_info("agent", "topic '%s' is there now", topic->name);
    topic->is_absent = is_absent;
}

/** @return whether a topic that was there may come back: right after an outage a broker may not
 * know it yet. */
static bool feed_may_come_back(struct feed_topic *topic, int32_t partitions)
{
    int64_t now = clock_monotonic_us();
    if (partitions > 0 || topic->partitions == 0) {
        topic->gone_at_us = 0;
        return false;
    }
    if (topic->gone_at_us == 0)
        topic->gone_at_us = now + FEED_GONE_US;
    return now < topic->gone_at_us;
}

/** Where no broker answers, nothing is known of what is gone: the time begins again. */
static void feed_forget_gone(struct feed *feed)
{
    for (size_t i = 0; i < feed->topic_count; i++)
        feed->described[i].gone_at_us = 0;
}

/** Ask for a topic's cluster id, its partition count, and the settings that a rule is about. */
static enum status feed_describe_topic(struct feed *feed, rd_kafka_t *handle,
                                       struct feed_topic *topic, int timeout_ms, struct error *err)
{
    struct topic_settings settings;
    struct kafka_topic found;
    enum status status = kafka_topic_describe(handle, topic->name, timeout_ms, &found, err);
    if (status != STATUS_OK) {
        feed_forget_gone(feed);
        return status;
    }
    if (feed_may_come_back(topic, found.partitions))
        return error_set(err, STATUS_RETRY, "topic '%s' is not known to the broker any more",
                         topic->name);
    topic->partitions = found.partitions;
    (void)snprintf(feed->cluster_id, sizeof feed->cluster_id, "%s", found.cluster_id);
    feed_tell_absent(topic);
    bool asks = topic->is_sequenced ||
                (!topic->is_checked && feed->config->limits.idempotency_window_s > 0);
    if (topic->partitions == 0 || kafka_is_mock(feed->cluster_id) || !asks)
        return STATUS_OK;
    status = kafka_topic_settings(handle, topic->name, timeout_ms, &settings, err);
    if (status == STATUS_OK && !topic->is_checked)
        status = feed_check_window(feed->config, topic->name, settings.retention_ms, err);
    if (status != STATUS_OK) {
        if (!topic->is_checked)
            topic->partitions = 0; /* do not read it before it is checked */
        return status;
    }
    topic->is_checked = true;
    topic->is_compacted = settings.is_compacted;
    return STATUS_OK;
}

enum status feed_describe_again(struct feed *feed, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < feed->topic_count && status == STATUS_OK; i++)
        status = feed_describe_topic(feed, feed->handle, &feed->described[i], FEED_DESCRIBE_MS,
                                     err);
    return status;
}

size_t feed_missing_topics(const struct feed *feed)
{
    size_t missing = 0;
    for (size_t i = 0; i < feed->topic_count; i++)
        missing += feed->described[i].partitions == 0;
    return missing;
}

enum status feed_find_topics(struct feed *feed, bool *ret_found, struct error *err)
{
    enum status status = STATUS_OK;
    *ret_found = false;
    for (size_t i = 0; i < feed->topic_count && status == STATUS_OK; i++) {
        struct feed_topic *topic = &feed->described[i];
        if (topic->partitions > 0)
            continue;
        status = feed_describe_topic(feed, feed->handle, topic, FEED_FIND_MS, err);
        *ret_found = *ret_found || topic->partitions > 0;
    }
    return status;
}

/** Describe all topics with a handle of its own: the consumer's settings depend on the answer. */
static enum status feed_describe(struct feed *feed, const struct feed_options *options,
                                 struct error *err)
{
    const struct text_pair group = {"group.id", feed->group};
    const struct kafka_settings layers[] = {{options->config->kafka, options->config->kafka_count},
                                            {&group, 1}};
    rd_kafka_conf_t *conf = NULL;
    rd_kafka_t *probe = NULL;
    enum status status = kafka_conf_new(layers, 2, &conf, err);
    if (status == STATUS_OK)
        status = kafka_handle_new(RD_KAFKA_CONSUMER, conf, &probe, err);
    for (size_t i = 0; i < options->topic_count && status == STATUS_OK; i++) {
        struct feed_topic *topic = &feed->described[i];
        topic->name = options->topics[i];
        for (size_t j = 0; j < options->config->apply_count; j++) {
            const struct config_entry *entry = &options->config->apply[j];
            if (strcmp(entry->topic, topic->name) == 0 && !entry->foreign)
                topic->is_sequenced = true;
        }
        status = feed_describe_topic(feed, probe, topic, FEED_DESCRIBE_MS, err);
    }
    if (probe != NULL)
        rd_kafka_destroy(probe);
    return status;
}

void feed_note_cut_off(struct feed *feed)
{
    feed->cut_off_until_us = clock_monotonic_us() + FEED_CUT_OFF_US;
}

/** librdkafka's error callback, within the poll. ALL_BROKERS_DOWN is not always reported: treat one
 * unreachable broker as an outage. Fatal errors also come as messages, which end the agent. */
static void feed_on_error(rd_kafka_t *handle, int code, const char *text, void *opaque)
{
    struct feed *feed = opaque;
    (void)handle;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || code == RD_KAFKA_RESP_ERR__TRANSPORT ||
        code == RD_KAFKA_RESP_ERR__TIMED_OUT)
        feed_note_cut_off(feed);
    if (code != RD_KAFKA_RESP_ERR__FATAL)
        log_warning("agent", "kafka: %s", text);
}

static enum status feed_create(struct feed *feed, const struct config *config, struct error *err)
{
    bool mock = kafka_is_mock(feed->cluster_id);
    (void)snprintf(feed->instance, sizeof feed->instance, "%.200s-%.40s", feed->group,
                   config->instance);
    const struct text_pair defaults[] = {
        {"topic.metadata.refresh.interval.ms", FEED_METADATA_MS},
        {"fetch.wait.max.ms", "50"},
        {"queued.min.messages", FEED_QUEUE_COUNT},
        {"queued.max.messages.kbytes", FEED_QUEUE_KIB},
        {"fetch.max.bytes", FEED_FETCH_BYTES},
        {"fetch.message.max.bytes", KAFKA_BATCH_BYTES},
        {"session.timeout.ms", mock ? "6000" : "10000"},
    };
    const struct text_pair fixed[] = {
        {"group.id", feed->group},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "error"},
        {"isolation.level", "read_committed"},
        {"enable.partition.eof", "true"},
        {"partition.assignment.strategy", "range"},
        {"group.instance.id", feed->instance}, /* the last: not for a mock cluster */
    };
    const struct kafka_settings layers[] = {KAFKA_SETTINGS(defaults),
                                            {config->kafka, config->kafka_count},
                                            {fixed, sizeof fixed / sizeof *fixed - (mock ? 1 : 0)}};
    rd_kafka_conf_t *conf = NULL;
    enum status status = kafka_conf_new(layers, 3, &conf, err);
    if (status != STATUS_OK)
        return status;
    rd_kafka_conf_set_opaque(conf, feed);
    rd_kafka_conf_set_rebalance_cb(conf, feed_rebalanced);
    rd_kafka_conf_set_error_cb(conf, feed_on_error);
    status = kafka_handle_new(RD_KAFKA_CONSUMER, conf, &feed->handle, err);
    if (status == STATUS_OK)
        feed->queue = rd_kafka_queue_get_consumer(feed->handle);
    return status;
}

void feed_group_name(const struct config *config, const char *copy_id,
                     char ret_group[static FEED_GROUP_SIZE])
{
    const char *group = feed_user_property(config, "group.id");
    const char *last_dash = strrchr(copy_id, '-');
    const char *end = last_dash == NULL ? copy_id : last_dash + 1;
    if (group != NULL)
        (void)snprintf(ret_group, FEED_GROUP_SIZE, "%s", group);
    else
        (void)snprintf(ret_group, FEED_GROUP_SIZE, "keepstep-%.200s-%.12s", config->service, end);
}

enum status feed_open(const struct feed_options *options, struct feed **ret_feed, struct error *err)
{
    const struct config *config = options->config;
    struct feed *feed = calloc(1, sizeof *feed);
    if (feed == NULL)
        return error_set(err, STATUS_FATAL, "no memory for the feed");
    enum status status = STATUS_OK;
    feed->config = config;
    feed->topic_count = options->topic_count;
    feed->described = calloc(options->topic_count + 1, sizeof *feed->described);
    feed_group_name(config, options->copy_id, feed->group);
    if (options->group_suffix != NULL)
        (void)strncat(feed->group, options->group_suffix,
                      sizeof feed->group - strlen(feed->group) - 1);
    if (feed->described == NULL)
        status = error_set(err, STATUS_FATAL, "no memory for the feed");
    if (status == STATUS_OK)
        status = feed_describe(feed, options, err);
    if (status == STATUS_OK)
        status = feed_create(feed, config, err);
    if (status == STATUS_OK)
        status = feed_subscribe(feed, err);
    if (status != STATUS_OK) {
        feed_close(feed);
        return status;
    }
    *ret_feed = feed;
    return STATUS_OK;
}

/** Leave the group within FEED_LEAVE_US; rd_kafka_consumer_close() waits for a silent broker. */
static void feed_leave(struct feed *feed)
{
    int64_t until = clock_monotonic_us() + FEED_LEAVE_US;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(feed->handle);
    rd_kafka_error_t *failed = rd_kafka_consumer_close_queue(feed->handle, queue);
    while (failed == NULL && !rd_kafka_consumer_closed(feed->handle) &&
           clock_monotonic_us() < until) {
        /* The queue also holds records that were fetched and not read. */
        rd_kafka_message_t *unread = rd_kafka_consume_queue(queue, FEED_LEAVE_POLL_MS);
        if (unread != NULL)
            rd_kafka_message_destroy(unread);
    }
    if (failed != NULL)
        rd_kafka_error_destroy(failed);
    rd_kafka_queue_destroy(queue);
}

static void *feed_destroy_thread(void *handle)
{
    rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return NULL;
}

/** librdkafka 2.0.2 waits for ever for a consumer whose topic was deleted under it.
 * @return whether it has ended within FEED_LEAVE_US; otherwise it still uses the feed. */
static bool feed_destroy_handle(rd_kafka_t *handle)
{
    pthread_t thread;
    int64_t until = clock_wall_us() + FEED_LEAVE_US;
    struct timespec limit = {.tv_sec = until / 1000000, .tv_nsec = until % 1000000 * 1000};
    if (pthread_create(&thread, NULL, feed_destroy_thread, handle) != 0) {
        (void)feed_destroy_thread(handle);
        return true;
    }
    if (pthread_timedjoin_np(thread, NULL, &limit) == 0)
        return true;
    (void)pthread_detach(thread);
    log_warning(
        "agent",
        "librdkafka does not end the consumer, as after a topic was deleted; it is left alone");
    return false;
}

void feed_close(struct feed *feed)
{
    if (feed == NULL)
        return;
    feed->closing = true;
    if (feed->message != NULL)
        rd_kafka_message_destroy(feed->message);
    if (feed->queue != NULL)
        rd_kafka_queue_destroy(feed->queue);
    if (feed->handle != NULL) {
        /* A subscription that still waits for the revocation would outlive the group's end in
         * librdkafka 2.0.2, which aborts the process then. */
        if (feed->is_rejoining)
            (void)rd_kafka_unsubscribe(feed->handle);
        if (feed->rebalance != FEED_NONE)
            (void)rd_kafka_assign(feed->handle, NULL);
        feed_leave(feed);
        if (!feed_destroy_handle(feed->handle))
            return;
    }
    free(feed->described);
    free(feed->assigned);
    free(feed);
}

/** One header more than allowed is read: decoding refuses a record with that many. */
static void feed_read_record(struct feed *feed, struct feed_event *event)
{
    const rd_kafka_message_t *message = feed->message;
    event->type = FEED_RECORD;
    event->record = message_record(message, feed->headers, FEED_HEADERS_MAX);
    event->tp = (struct topic_partition){event->record.topic, message->partition};
    event->offset = message->offset;
    feed->taken_count++;
    feed->taken_bytes += event->record.value.length;
    if (feed->taken_count >= FEED_REFILL_COUNT || feed->taken_bytes >= FEED_REFILL_BYTES)
        feed_refill(feed);
}

enum status feed_is_doubled(const struct feed *feed, struct error *err)
{
    return error_set_native(error_config(err), STATUS_FATAL, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID,
                            "another agent of group '%s' runs under the same instance name; "
                            "give each its own `instance:`",
                            feed->group);
}

/** The group has fenced this member. After an outage its own earlier session may be the cause, so
 * it joins anew once. If another agent has the same name, one of the two is fenced again, and ends.
 */
static enum status feed_fenced(struct feed *feed, struct error *err)
{
    /* An unread failure is looked at again, maybe much later: the first look counts. */
    feed->fenced = feed->fenced || clock_monotonic_us() < feed->cut_off_until_us;
    if (feed->fenced)
        return error_set(err, STATUS_ABORT,
                         "the group has put this member out after an outage of the brokers");
    return feed_is_doubled(feed, err);
}

enum status feed_fatal(struct feed *feed, rd_kafka_resp_err_t code, const char *text,
                       struct error *err)
{
    char native[ERROR_TEXT_SIZE];
    if (code == RD_KAFKA_RESP_ERR__FATAL)
        code = rd_kafka_fatal_error(feed->handle, native, sizeof native);
    if (code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID)
        return feed_fenced(feed, err);
    if (code == RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT)
        return error_set_native(error_config(err), STATUS_FATAL, (int)code,
                                "the broker does not allow the group's session timeout: set "
                                "kafka.session.timeout.ms between its "
                                "group.min.session.timeout.ms and group.max.session.timeout.ms");
    return error_set_native(err, STATUS_FATAL, (int)code, "kafka: %s", text);
}

bool feed_is_fenced(const struct feed *feed)
{
    return feed->fenced;
}

static enum status feed_read_error(struct feed *feed, struct feed_event *event, struct error *err)
{
    const rd_kafka_message_t *message = feed->message;
    const char *text = rd_kafka_message_errstr(message);
    if (message->rkt != NULL) {
        event->tp = (struct topic_partition){rd_kafka_topic_name(message->rkt), message->partition};
        event->offset = message->offset;
    }
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        event->type = FEED_END;
        return STATUS_OK;
    }
    if (message->err == RD_KAFKA_RESP_ERR__FATAL ||
        message->err == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID)
        return feed_fatal(feed, message->err, text, err);
    if (kafka_error_is_unknown(message->err) && message->rkt != NULL && message->partition >= 0) {
        feed_assign_again(feed); /* whose checks say whether the partition is gone */
        return error_set_native(err, STATUS_RETRY, (int)message->err, "kafka: %s", text);
    }
    enum status status = kafka_error_status(message->err);
    if (status == STATUS_STOP && message->rkt != NULL && message->partition >= 0) {
        utf8_format(feed->reason, sizeof feed->reason,
                    "%.300s: the log does not hold the next offset (truncated, recreated or "
                    "past its retention)",
                    text);
        event->reason = feed->reason;
        event->type = FEED_STOPPED;
        return STATUS_OK;
    }
    if (status == STATUS_FATAL)
        return feed_fatal(feed, message->err, text, err);
    log_warning("agent", "kafka: %s", text);
    return STATUS_OK;
}

void feed_unread(struct feed *feed)
{
    feed->is_unread = feed->message != NULL; /* a rebalance is given until it is answered */
}

void feed_wake(struct feed *feed)
{
    rd_kafka_queue_yield(feed->queue);
}

static void feed_next_message(struct feed *feed, int timeout_ms)
{
    if (feed->message != NULL)
        rd_kafka_message_destroy(feed->message);
    feed->message = NULL;
    if (feed->rebalance == FEED_NONE)
        feed->message = rd_kafka_consumer_poll(feed->handle, timeout_ms);
}

enum status feed_poll(struct feed *feed, int timeout_ms, struct feed_event *ret_event,
                      struct error *err)
{
    *ret_event = (struct feed_event){.type = FEED_NONE};
    if (!feed->is_unread)
        feed_next_message(feed, timeout_ms);
    feed->is_unread = false;
    if (feed->message != NULL) {
        if (feed->message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            return feed_read_error(feed, ret_event, err);
        feed_read_record(feed, ret_event);
    } else if (feed->rebalance != FEED_NONE) {
        ret_event->type = feed->rebalance;
        ret_event->assigned = feed->assigned;
        ret_event->assigned_count = feed->assigned_count;
    }
    return STATUS_OK;
}
