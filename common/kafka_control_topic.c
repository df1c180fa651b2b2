/* The control topic over librdkafka: a consumer that joins no group, and a producer once something
 * is to be written. */
#include "common/kafka_control_topic.h"

#include "common/clock.h"
#include "common/kafka_client.h"
#include "common/kafka_topic.h"

#include <stdlib.h>

#define CONTROL_TIMEOUT_MS 2000
#define CONTROL_WRITE_MS   "5000"
#define CONTROL_POLL_MS    50
#define CONTROL_IDLE_US    (INT64_C(10) * 1000 * 1000)

struct control_topic {
    struct control_options options;
    rd_kafka_t *consumer;
    rd_kafka_t *producer; /* NULL until something is written */
    struct kafka_reason reason;
    int64_t next;             /* offset of the next record to read; -1: nothing was read yet */
    bool reported;            /* the record that is being written has its delivery report */
    rd_kafka_resp_err_t code; /* of that report */
};

static enum status control_topic_fail(const struct control_topic *topic, rd_kafka_resp_err_t code,
                                      struct error *err)
{
    const char *reason = topic->reason.text;
    return error_set_native(err, STATUS_RETRY, (int)code, "control topic %s: %s%s%s%s",
                            topic->options.topic, rd_kafka_err2str(code),
                            *reason == '\0' ? "" : " (", reason, *reason == '\0' ? "" : ")");
}

static void control_topic_reported(rd_kafka_t *handle, const rd_kafka_message_t *message,
                                   void *opaque)
{
    struct control_topic *topic = opaque;
    (void)handle;
    topic->reported = true;
    topic->code = message->err;
}

enum status control_topic_open(const struct control_options *options,
                               struct control_topic **ret_topic, struct error *err)
{
    const struct text_pair fixed[] = {
        {"group.id", options->group},           {"isolation.level", "read_uncommitted"},
        {"enable.auto.commit", "false"},        {"enable.auto.offset.store", "false"},
        {"auto.offset.reset", "error"},         {"enable.partition.eof", "true"},
        {"queued.max.messages.kbytes", "4096"}, {"log_level", "0"}};
    const struct kafka_settings layers[] = {{options->settings, options->setting_count},
                                            KAFKA_SETTINGS(fixed)};
    rd_kafka_conf_t *conf = NULL;
    struct control_topic *topic = calloc(1, sizeof *topic);
    if (topic == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the control topic");
    topic->options = *options;
    topic->next = -1;
    enum status status = kafka_conf_new(layers, 2, &conf, err);
    if (status == STATUS_OK) {
        kafka_conf_keep_reason(conf, &topic->reason);
        status = kafka_handle_new(RD_KAFKA_CONSUMER, conf, &topic->consumer, err);
    }
    if (status != STATUS_OK) {
        free(topic);
        return status;
    }
    *ret_topic = topic;
    return STATUS_OK;
}

void control_topic_close(struct control_topic *topic)
{
    if (topic == NULL)
        return;
    (void)rd_kafka_assign(topic->consumer, NULL);
    rd_kafka_destroy_flags(topic->consumer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    if (topic->producer != NULL) {
        (void)rd_kafka_purge(topic->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_destroy(topic->producer);
    }
    free(topic);
}

static enum status control_topic_make(struct control_topic *topic, struct error *err)
{
    static const struct text_pair settings[] = {{"cleanup.policy", "compact"},
                                                {"min.cleanable.dirty.ratio", "0.1"},
                                                {"segment.ms", "600000"}};
    const struct kafka_new_topic made = {
        .name = topic->options.topic, .partitions = 1, .settings = KAFKA_SETTINGS(settings)};
    enum status status = kafka_topic_create(topic->consumer, &made, CONTROL_TIMEOUT_MS, err);
    if (status == STATUS_OK)
        status = error_set(err, STATUS_RETRY, "control topic %s does not exist yet",
                           topic->options.topic);
    return status;
}

enum status control_topic_check(struct control_topic *topic, struct error *err)
{
    struct kafka_topic found;
    struct topic_settings settings = {.is_compacted = true};
    const char *name = topic->options.topic;
    enum status status = kafka_topic_describe(topic->consumer, name, CONTROL_TIMEOUT_MS, &found,
                                              err);
    if (status != STATUS_OK)
        return status;
    bool is_mock = kafka_is_mock(found.cluster_id);
    if (found.partitions == 0 && is_mock)
        return error_set(err, STATUS_STOP,
                         "control topic %s does not exist, and this broker creates none: name "
                         "%s:1 as an argument of `keepstep broker`",
                         name, name);
    if (found.partitions == 0 && !topic->options.make)
        return error_set(err, STATUS_STOP,
                         "control topic %s does not exist: no sidecar with this `control_topic` "
                         "has run yet",
                         name);
    if (found.partitions == 0)
        return control_topic_make(topic, err);
    if (!is_mock)
        status = kafka_topic_settings(topic->consumer, name, CONTROL_TIMEOUT_MS, &settings, err);
    if (status != STATUS_OK || (found.partitions == 1 && settings.is_compacted))
        return status;
    return error_set(error_config(err), STATUS_FATAL,
                     "control topic %s %s: another program made it. Delete it, and a sidecar makes "
                     "it again, or name another one under control_topic:",
                     name,
                     found.partitions == 1 ? "is not compacted (cleanup.policy=compact)"
                                           : "has more than one partition");
}

static enum status control_topic_assign(struct control_topic *topic, int64_t offset,
                                        struct error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic->options.topic, 0)->offset = offset;
    rd_kafka_resp_err_t code = rd_kafka_assign(topic->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return control_topic_fail(topic, code, err);
    topic->next = offset;
    return STATUS_OK;
}

/* A compacted log has gaps, so its end is where the client says so. */
static enum status control_topic_take(struct control_topic *topic,
                                      const rd_kafka_message_t *message, control_visit *visit,
                                      void *context, struct error *err)
{
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        topic->next = message->offset > topic->next ? message->offset : topic->next;
        return STATUS_OK;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return control_topic_fail(topic, message->err, err);
    const struct control_record record = {
        .key = {.data = message->key, .length = message->key_len},
        .value = {.data = message->payload, .length = message->len},
        .offset = message->offset,
    };
    topic->next = message->offset + 1;
    return visit(context, &record, err);
}

enum status control_topic_read(struct control_topic *topic, control_visit *visit, void *context,
                               int64_t *ret_end, struct error *err)
{
    struct log_bounds bounds;
    enum status status = kafka_log_bounds(topic->consumer,
                                          (struct topic_partition){topic->options.topic, 0},
                                          CONTROL_TIMEOUT_MS, &bounds, err);
    if (status != STATUS_OK)
        return status == STATUS_STOP ? (err->status = STATUS_ABORT) : status;
    if (topic->next < 0)
        status = control_topic_assign(topic, bounds.first, err);
    else if (bounds.end < topic->next)
        status = error_set(err, STATUS_ABORT, "control topic %s was made anew",
                           topic->options.topic);
    int64_t heard_us = clock_monotonic_us();
    while (status == STATUS_OK && topic->next < bounds.end) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(topic->consumer, CONTROL_POLL_MS);
        if (message != NULL) {
            heard_us = clock_monotonic_us();
            status = control_topic_take(topic, message, visit, context, err);
            rd_kafka_message_destroy(message);
        } else if (atomic_load(topic->options.stop) ||
                   clock_monotonic_us() - heard_us > CONTROL_IDLE_US) {
            status = error_set(err, STATUS_RETRY, "control topic %s was not read to its end",
                               topic->options.topic);
        }
    }
    *ret_end = topic->next;
    return status;
}

static enum status control_topic_producer(struct control_topic *topic, struct error *err)
{
    const struct text_pair fixed[] = {{"enable.idempotence", "false"},
                                      {"acks", "all"},
                                      {"message.timeout.ms", CONTROL_WRITE_MS},
                                      {"linger.ms", "0"},
                                      {"log_level", "0"}};
    const struct kafka_settings layers[] = {{topic->options.settings, topic->options.setting_count},
                                            KAFKA_SETTINGS(fixed)};
    rd_kafka_conf_t *conf = NULL;
    enum status status = kafka_conf_new(layers, 2, &conf, err);
    if (status != STATUS_OK)
        return status;
    rd_kafka_conf_set_opaque(conf, topic);
    rd_kafka_conf_set_dr_msg_cb(conf, control_topic_reported);
    return kafka_handle_new(RD_KAFKA_PRODUCER, conf, &topic->producer, err);
}

enum status control_topic_write(struct control_topic *topic, struct slice key, struct slice value,
                                struct error *err)
{
    enum status status = topic->producer == NULL ? control_topic_producer(topic, err) : STATUS_OK;
    if (status != STATUS_OK)
        return status;
    topic->reported = false;
    topic->code = rd_kafka_producev(
        topic->producer, RD_KAFKA_V_TOPIC(topic->options.topic), RD_KAFKA_V_PARTITION(0),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY((void *)(uintptr_t)key.data, key.length),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)value.data, value.length), RD_KAFKA_V_END);
    if (topic->code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        return error_set(err, STATUS_REJECT, "control topic %s: the record is too large",
                         topic->options.topic);
    if (topic->code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return control_topic_fail(topic, topic->code, err);
    while (!topic->reported && !atomic_load(topic->options.stop))
        (void)rd_kafka_poll(topic->producer, CONTROL_POLL_MS);
    if (!topic->reported)
        return error_set(err, STATUS_RETRY, "control topic %s: ended before it was acknowledged",
                         topic->options.topic);
    if (topic->code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        return error_set(err, STATUS_REJECT, "control topic %s: the record is too large",
                         topic->options.topic);
    return topic->code == RD_KAFKA_RESP_ERR_NO_ERROR ? STATUS_OK
                                                     : control_topic_fail(topic, topic->code, err);
}

enum status control_topic_log_end(struct control_topic *topic, struct topic_partition tp,
                                  int64_t *ret_end, struct error *err)
{
    return kafka_log_end(topic->consumer, tp, CONTROL_TIMEOUT_MS, ret_end, err);
}
