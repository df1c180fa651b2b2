/* The control topic: a channel's topic that is compacted, and read from its beginning to its end.
 */
#include "common/kafka_control_topic.h"

#include "common/clock.h"
#include "common/kafka_channel.h"
#include "common/kafka_retention.h"

#include <stdlib.h>

#define CONTROL_IDLE_US (INT64_C(10) * 1000 * 1000)

struct control_topic {
    struct kafka_channel channel;
    struct kafka_channel_topic topic;
    struct topic_choice choice;
    int64_t next; /* offset of the next record to read; -1: nothing was read yet */
};

enum status control_topic_open(const struct control_options *options,
                               struct control_topic **ret_topic, struct error *err)
{
    const struct kafka_channel_options of_channel = {.group = options->group,
                                                     .settings = options->settings,
                                                     .setting_count = options->setting_count,
                                                     .stop = options->stop};
    struct control_topic *topic = calloc(1, sizeof *topic);
    if (topic == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the control topic");
    topic->topic = (struct kafka_channel_topic){.what = "control topic",
                                                .name = options->topic,
                                                .is_compacted = true,
                                                .make = options->make,
                                                .kind = TOPIC_CONTROL,
                                                .choice = &topic->choice};
    topic->choice = options->choice;
    topic->next = -1;
    enum status status = kafka_channel_open(&topic->channel, &of_channel, err);
    if (status == STATUS_OK)
        *ret_topic = topic;
    else
        free(topic);
    return status;
}

void control_topic_close(struct control_topic *topic)
{
    if (topic != NULL)
        kafka_channel_close(&topic->channel, 0);
    free(topic);
}

enum status control_topic_check(struct control_topic *topic, struct error *err)
{
    return kafka_channel_check(&topic->channel, &topic->topic, err);
}

static enum status control_topic_assign(struct control_topic *topic, int64_t offset,
                                        struct error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic->topic.name, 0)->offset = offset;
    rd_kafka_resp_err_t code = rd_kafka_assign(topic->channel.consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_channel_fail(&topic->channel, &topic->topic, code, err);
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
        return kafka_channel_fail(&topic->channel, &topic->topic, message->err, err);
    rd_kafka_timestamp_type_t type;
    int64_t time_ms = rd_kafka_message_timestamp(message, &type);
    const struct control_record record = {
        .key = {.data = message->key, .length = message->key_len},
        .value = {.data = message->payload, .length = message->len},
        .offset = message->offset,
        .appended_us = type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME ? time_ms * 1000 : 0,
    };
    topic->next = message->offset + 1;
    return visit(context, &record, err);
}

enum status control_topic_read(struct control_topic *topic, control_visit *visit, void *context,
                               int64_t *ret_end, struct error *err)
{
    struct log_bounds bounds;
    enum status status = kafka_log_bounds(topic->channel.consumer,
                                          (struct topic_partition){topic->topic.name, 0},
                                          KAFKA_CHANNEL_TIMEOUT_MS, &bounds, err);
    if (status != STATUS_OK)
        return status == STATUS_STOP ? (err->status = STATUS_ABORT) : status;
    if (topic->next < 0)
        status = control_topic_assign(topic, bounds.first, err);
    else if (bounds.end < topic->next)
        status = error_set(err, STATUS_ABORT, "control topic %s was made anew", topic->topic.name);
    int64_t heard_us = clock_monotonic_us();
    while (status == STATUS_OK && topic->next < bounds.end) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(topic->channel.consumer,
                                                             KAFKA_CHANNEL_POLL_MS);
        if (message != NULL) {
            heard_us = clock_monotonic_us();
            status = control_topic_take(topic, message, visit, context, err);
            rd_kafka_message_destroy(message);
        } else if (atomic_load(topic->channel.options.stop) ||
                   clock_monotonic_us() - heard_us > CONTROL_IDLE_US) {
            status = error_set(err, STATUS_RETRY, "control topic %s was not read to its end",
                               topic->topic.name);
        }
    }
    *ret_end = topic->next;
    return status;
}

enum status control_topic_write(struct control_topic *topic, struct slice key, struct slice value,
                                struct error *err)
{
    return kafka_channel_write(&topic->channel, &topic->topic, key, value, err);
}

enum status control_topic_log_end(struct control_topic *topic, struct topic_partition tp,
                                  int64_t *ret_end, struct error *err)
{
    return kafka_log_end(topic->channel.consumer, tp, KAFKA_CHANNEL_TIMEOUT_MS, ret_end, err);
}

enum status control_topic_retention(struct control_topic *topic, const char *of,
                                    struct topic_retention *ret_retention, struct error *err)
{
    const struct kafka_channel *channel = &topic->channel;
    /* A question of the consumer's waits behind its fetch, up to half a second each. */
    rd_kafka_t *handle = channel->producer != NULL ? channel->producer : channel->consumer;
    return kafka_retention_read(handle, of, channel->options.stop, ret_retention, err);
}
