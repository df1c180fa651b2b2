/* Makes topics. Whether a topic that exists is as it should be is for the caller to say. */
#include "common/kafka_topic.h"

#define TEXT_SIZE 512

static enum status kafka_topic_created(rd_kafka_event_t *event, const char *name, struct error *err)
{
    if (event == NULL)
        return error_set(err, STATUS_RETRY, "topic %s: creating it took too long", name);
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const char *text = rd_kafka_event_error_string(event);
    const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && result != NULL) {
        size_t count = 0;
        const rd_kafka_topic_result_t **topics = rd_kafka_CreateTopics_result_topics(result,
                                                                                     &count);
        if (count == 1) {
            code = rd_kafka_topic_result_error(topics[0]);
            text = rd_kafka_topic_result_error_string(topics[0]);
        }
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return STATUS_OK;
    if (text == NULL)
        text = rd_kafka_err2str(code);
    if (code == RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR)
        return error_set_native(err, STATUS_RETRY, (int)code,
                                "topic %s: %s; start more brokers, or write a smaller "
                                "topics.replication_factor",
                                name, text);
    return error_set_native(
        err, kafka_error_status(code), (int)code, "topic %s: it cannot be made%s: %s", name,
        code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ? " (allow Create)" : "", text);
}

enum status kafka_topic_create(rd_kafka_t *handle, const struct kafka_new_topic *topic,
                               int timeout_ms, struct error *err)
{
    char text[TEXT_SIZE];
    enum status status = STATUS_OK;
    rd_kafka_event_t *event = NULL;
    rd_kafka_NewTopic_t *made = rd_kafka_NewTopic_new(
        topic->name, topic->partitions, topic->design->replication_factor, text, sizeof text);
    if (made == NULL)
        return error_set(error_config(err), STATUS_FATAL, "topic %s: %s", topic->name, text);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(handle);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(handle,
                                                                 RD_KAFKA_ADMIN_OP_CREATETOPICS);
    for (size_t i = 0; i < topic->design->count; i++) {
        const struct topic_setting *setting = &topic->design->settings[i];
        if (setting->demand != TOPIC_ANY)
            (void)rd_kafka_NewTopic_set_config(made, setting->name, setting->value);
    }
    (void)rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, text, sizeof text);
    rd_kafka_CreateTopics(handle, &made, 1, options, queue);
    event = rd_kafka_queue_poll(queue, timeout_ms);
    status = kafka_topic_created(event, topic->name, err);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(made);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return status;
}
