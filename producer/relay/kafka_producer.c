/* The relay's producer over librdkafka: the fate of each record is reported to the relay. */
#include "producer/relay/kafka_producer.h"
#include "common/kafka_client.h"
#include "common/wakeup.h"
#include "producer/relay/kafka_topics.h"

#include <stdio.h>
#include <stdlib.h>

struct kafka_producer {
    rd_kafka_t *handle;
    int64_t batch_bytes;
    struct topic_choice topics;
    delivery_report *report;
};

static enum delivery kafka_producer_verdict(rd_kafka_resp_err_t code)
{
    switch ((int)code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return DELIVERY_DONE;
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
        return DELIVERY_REFUSED;
    default:
        return DELIVERY_FAILED;
    }
}

static void kafka_producer_report(rd_kafka_t *handle, const rd_kafka_message_t *message,
                                  void *opaque)
{
    struct kafka_producer *producer = opaque;
    (void)handle;
    producer->report(message->_private, kafka_producer_verdict(message->err), message->offset,
                     rd_kafka_err2str(message->err));
}

static int64_t kafka_producer_number(const rd_kafka_conf_t *conf, const char *property)
{
    char text[32];
    size_t size = sizeof text;
    return rd_kafka_conf_get(conf, property, text, &size) == RD_KAFKA_CONF_OK
               ? strtoll(text, NULL, 10)
               : 0;
}

enum status kafka_producer_new(const struct config *config, int64_t batch_bytes,
                               delivery_report *report, struct kafka_producer **ret_producer,
                               struct error *err)
{
    char size[32];
    char batch[32];
    (void)snprintf(size, sizeof size, "%lld",
                   (long long)(config->limits.message_bytes + TOPIC_FRAME_BYTES));
    (void)snprintf(batch, sizeof batch, "%lld", (long long)batch_bytes);
    const struct text_pair fixed[] = {
        {"enable.idempotence", "true"},
        {"acks", "all"},
        {"enable.gapless.guarantee", "true"},
        {"message.timeout.ms", "0"},
        {"queue.buffering.max.messages", "100000"},
        {"queue.buffering.max.kbytes", "1048576"},
        {"message.max.bytes", size},
        /* kafka_topics.c asks whether a topic is empty: records of an open transaction count. */
        {"isolation.level", "read_uncommitted"},
        {"batch.size", batch}, /* the last: left out by default */
    };
    const struct text_pair defaults[] = {
        {"compression.type", "lz4"}, {"linger.ms", "0"}, {"batch.size", KAFKA_BATCH_BYTES}};
    const struct kafka_settings layers[] = {
        KAFKA_SETTINGS(defaults),
        {config->kafka, config->kafka_count},
        {fixed, sizeof fixed / sizeof *fixed - (batch_bytes == 0 ? 1 : 0)}};
    rd_kafka_conf_t *conf = NULL;
    struct kafka_producer *producer = calloc(1, sizeof *producer);
    if (producer == NULL)
        return error_set(err, STATUS_RETRY, "no memory");
    enum status status = kafka_conf_new(layers, 3, &conf, err);
    if (status != STATUS_OK)
        goto out;
    producer->report = report;
    producer->topics = config->topics;
    producer->batch_bytes = kafka_producer_number(conf, "batch.size");
    rd_kafka_conf_set_opaque(conf, producer);
    rd_kafka_conf_set_dr_msg_cb(conf, kafka_producer_report);
    status = kafka_handle_new(RD_KAFKA_PRODUCER, conf, &producer->handle, err);
    if (status != STATUS_OK)
        goto out;
    *ret_producer = producer;
    producer = NULL;
out:
    free(producer);
    return status;
}

int64_t kafka_producer_batch_bytes(const struct kafka_producer *producer)
{
    return producer->batch_bytes;
}

void kafka_producer_raise(struct kafka_producer *producer, int wakeup)
{
    rd_kafka_queue_t *events = rd_kafka_queue_get_main(producer->handle);
    rd_kafka_queue_io_event_enable(events, wakeup, &wakeup_raised, sizeof wakeup_raised);
    rd_kafka_queue_destroy(events);
}

static void kafka_producer_ignore(void *record, enum delivery delivery, int64_t offset,
                                  const char *text)
{
    (void)record;
    (void)delivery;
    (void)offset;
    (void)text;
}

void kafka_producer_free(struct kafka_producer *producer)
{
    if (producer == NULL)
        return;
    producer->report = kafka_producer_ignore;
    (void)rd_kafka_purge(producer->handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    (void)rd_kafka_poll(producer->handle, 0);
    rd_kafka_destroy(producer->handle);
    free(producer);
}

enum status kafka_producer_send(struct kafka_producer *producer,
                                const struct kafka_message *message, struct error *err)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(message->header_count);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (size_t i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && i < message->header_count; i++) {
        const struct header *header = &message->headers[i];
        code = rd_kafka_header_add(headers, header->name.data, (ssize_t)header->name.length,
                                   header->value.data, (ssize_t)header->value.length);
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = rd_kafka_producev(
            producer->handle, RD_KAFKA_V_TOPIC(message->tp.topic),
            RD_KAFKA_V_PARTITION(message->tp.partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_KEY(message->key.data, message->key.length),
            RD_KAFKA_V_VALUE((void *)(uintptr_t)message->value.data, message->value.length),
            RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(message->record), RD_KAFKA_V_END);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return STATUS_OK;
    rd_kafka_headers_destroy(headers);
    enum status status = STATUS_FATAL;
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        status = STATUS_REJECT;
    else if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL || code == RD_KAFKA_RESP_ERR__FATAL)
        status = STATUS_RETRY;
    return error_set_native(err, status, (int)code, "topic %s: %s", message->tp.topic,
                            rd_kafka_err2str(code));
}

int kafka_producer_poll(struct kafka_producer *producer, int timeout_ms)
{
    return rd_kafka_poll(producer->handle, timeout_ms);
}

bool kafka_producer_is_answered(struct kafka_producer *producer, const char *topic, int timeout_ms)
{
    return kafka_is_answered(producer->handle, topic, timeout_ms);
}

enum status kafka_producer_reach(struct kafka_producer *producer, const char *topic, int timeout_ms,
                                 struct error *err)
{
    struct error failed = ERROR_INIT;
    struct kafka_topic found;
    enum status status = kafka_topic_describe(producer->handle, topic, timeout_ms, &found, &failed);
    bool is_cut_off = status == STATUS_RETRY &&
                      (failed.native_code == RD_KAFKA_RESP_ERR__TRANSPORT ||
                       failed.native_code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN);
    if (!is_cut_off)
        return STATUS_OK;
    return error_set_native(err, STATUS_RETRY, failed.native_code, "%s", failed.text);
}

bool kafka_producer_is_silence(const struct error *err)
{
    return kafka_error_is_silence((rd_kafka_resp_err_t)err->native_code);
}

enum status kafka_producer_log_ends(struct kafka_producer *producer, struct kafka_log_end *ends,
                                    size_t count, int timeout_ms, struct error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, ends[i].tp.topic, ends[i].tp.partition)->offset =
            RD_KAFKA_OFFSET_END;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(producer->handle, list, timeout_ms);
    for (size_t i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && i < count; i++) {
        const rd_kafka_topic_partition_t *answer = rd_kafka_topic_partition_list_find(
            list, ends[i].tp.topic, ends[i].tp.partition);
        bool known = answer != NULL && answer->err == RD_KAFKA_RESP_ERR_NO_ERROR;
        ends[i].end = known ? answer->offset : -1;
    }
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return STATUS_OK;
    return error_set_native(err, STATUS_RETRY, (int)code, "the log's ends: %s",
                            rd_kafka_err2str(code));
}

enum status kafka_producer_topic(struct kafka_producer *producer, const struct config_entry *entry,
                                 struct topic_settings *ret_settings, struct error *err)
{
    return kafka_topics_ensure(producer->handle, entry, &producer->topics, ret_settings, err);
}
