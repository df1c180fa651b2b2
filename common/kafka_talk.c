/* The topics through which services talk, over a channel. What was joined is assigned to the
 * channel's consumer. */
#include "common/kafka_talk.h"

#include "common/clock.h"
#include "common/kafka_channel.h"

#include <stdio.h>
#include <stdlib.h>

#define TALK_TOPICS_MAX   1024
#define TALK_FLUSH_MS     1000
#define TALK_HASTY_MS     "50"
#define TALK_MAKE_US      (INT64_C(5) * 1000 * 1000)
#define TALK_MAKE_WAIT_US (INT64_C(100) * 1000)

struct talk_topic {
    char *data_topic; /* NULL: the talk topic */
    char *name;
    bool is_made;
    int64_t next; /* offset of the next record to read; -1: it was not joined */
};

struct kafka_talk {
    struct kafka_talk_options options;
    struct kafka_channel channel;
    struct talk_topic *topics;
    size_t count;
    rd_kafka_message_t *message; /* what the last record borrows from */
};

enum status kafka_talk_topic(const char *control_topic, const char *data_topic,
                             char ret_name[static TOPIC_NAME_SIZE], struct error *err)
{
    int length = data_topic == NULL
                     ? snprintf(ret_name, TOPIC_NAME_SIZE, "%s-talk", control_topic)
                     : snprintf(ret_name, TOPIC_NAME_SIZE, "%s-rows-%s", control_topic, data_topic);
    if (length >= 0 && length < TOPIC_NAME_SIZE)
        return STATUS_OK;
    return error_set(error_config(err), STATUS_FATAL,
                     "topic %s-rows-%s: a topic's name has at most %d characters; name a shorter "
                     "control_topic:",
                     control_topic, data_topic, TOPIC_NAME_SIZE - 1);
}

enum status kafka_talk_open(const struct kafka_talk_options *options, struct kafka_talk **ret_talk,
                            struct error *err)
{
    const struct kafka_channel_options of_channel = {
        .group = options->group,
        .settings = options->settings,
        .setting_count = options->setting_count,
        .fetch_wait_ms = options->is_hasty ? TALK_HASTY_MS : NULL,
        .stop = options->stop};
    struct kafka_talk *talk = calloc(1, sizeof *talk);
    if (talk == NULL)
        return error_set(err, STATUS_RETRY, "no memory for the talk topic");
    talk->options = *options;
    enum status status = kafka_channel_open(&talk->channel, &of_channel, err);
    if (status == STATUS_OK)
        *ret_talk = talk;
    else
        free(talk);
    return status;
}

static void talk_return(struct kafka_talk *talk)
{
    if (talk->message != NULL)
        rd_kafka_message_destroy(talk->message);
    talk->message = NULL;
}

void kafka_talk_close(struct kafka_talk *talk)
{
    if (talk == NULL)
        return;
    talk_return(talk);
    kafka_channel_close(&talk->channel, TALK_FLUSH_MS);
    for (size_t i = 0; i < talk->count; i++) {
        free(talk->topics[i].data_topic);
        free(talk->topics[i].name);
    }
    free(talk->topics);
    free(talk);
}

static bool talk_is(const struct talk_topic *topic, const char *data_topic)
{
    if (data_topic == NULL || topic->data_topic == NULL)
        return data_topic == topic->data_topic;
    return strcmp(topic->data_topic, data_topic) == 0;
}

static enum status talk_add(struct kafka_talk *talk, const char *data_topic, struct error *err)
{
    const char *control = talk->options.control_topic;
    struct talk_topic added = {.next = -1};
    char name[TOPIC_NAME_SIZE];
    enum status status = kafka_talk_topic(control, data_topic, name, err);
    if (status != STATUS_OK)
        return status;
    struct talk_topic *more = talk->count == TALK_TOPICS_MAX
                                  ? NULL
                                  : realloc(talk->topics, (talk->count + 1) * sizeof *more);
    if (more != NULL)
        talk->topics = more;
    added.name = more == NULL ? NULL : strdup(name);
    added.data_topic = added.name == NULL || data_topic == NULL ? NULL : strdup(data_topic);
    if (added.name == NULL || (data_topic != NULL && added.data_topic == NULL)) {
        free(added.name);
        return error_set(err, STATUS_RETRY, "no memory for the topic %s", name);
    }
    talk->topics[talk->count++] = added;
    return STATUS_OK;
}

static enum status talk_find(struct kafka_talk *talk, const char *data_topic,
                             struct talk_topic **ret_topic, struct error *err)
{
    size_t index = 0;
    while (index < talk->count && !talk_is(&talk->topics[index], data_topic))
        index++;
    enum status status = index < talk->count ? STATUS_OK : talk_add(talk, data_topic, err);
    if (status == STATUS_OK)
        *ret_topic = &talk->topics[index];
    return status;
}

static struct kafka_channel_topic talk_channel_topic(const struct kafka_talk *talk,
                                                     const struct talk_topic *topic)
{
    return (struct kafka_channel_topic){.what = topic->data_topic == NULL ? "talk topic"
                                                                          : "rows topic",
                                        .name = topic->name,
                                        .make = true,
                                        .kind = topic->data_topic == NULL ? TOPIC_TALK : TOPIC_ROWS,
                                        .choice = &talk->options.choice};
}

/* A topic that was just made is not known to each broker at once. */
static enum status talk_make(struct kafka_talk *talk, struct talk_topic *topic, struct error *err)
{
    const struct kafka_channel_topic of_channel = talk_channel_topic(talk, topic);
    int64_t begun_us = clock_monotonic_us();
    enum status status = STATUS_OK;
    while (!topic->is_made) {
        error_clear(err);
        status = kafka_channel_check(&talk->channel, &of_channel, err);
        topic->is_made = status == STATUS_OK;
        if (status != STATUS_RETRY || clock_monotonic_us() - begun_us > TALK_MAKE_US ||
            atomic_load(talk->options.stop))
            break;
        clock_sleep_us(TALK_MAKE_WAIT_US);
    }
    return status;
}

/* Assigns all that were joined, each from where it was read up to. */
static enum status talk_assign(struct kafka_talk *talk, const struct talk_topic *joined,
                               struct error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)talk->count);
    for (size_t i = 0; i < talk->count; i++) {
        const struct talk_topic *topic = &talk->topics[i];
        if (topic->next >= 0)
            rd_kafka_topic_partition_list_add(list, topic->name, 0)->offset = topic->next;
    }
    rd_kafka_resp_err_t code = rd_kafka_assign(talk->channel.consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    const struct kafka_channel_topic of_channel = talk_channel_topic(talk, joined);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? STATUS_OK
               : kafka_channel_fail(&talk->channel, &of_channel, code, err);
}

enum status kafka_talk_make(struct kafka_talk *talk, const char *data_topic, struct error *err)
{
    struct talk_topic *topic = NULL;
    enum status status = talk_find(talk, data_topic, &topic, err);
    return status == STATUS_OK ? talk_make(talk, topic, err) : status;
}

enum status kafka_talk_join(struct kafka_talk *talk, const char *data_topic, struct error *err)
{
    struct talk_topic *topic = NULL;
    int64_t end = 0;
    enum status status = talk_find(talk, data_topic, &topic, err);
    if (status == STATUS_OK && topic->next >= 0)
        return STATUS_OK;
    talk_return(talk);
    if (status == STATUS_OK)
        status = talk_make(talk, topic, err);
    if (status == STATUS_OK)
        status = kafka_log_end(talk->channel.consumer, (struct topic_partition){topic->name, 0},
                               KAFKA_CHANNEL_TIMEOUT_MS, &end, err);
    if (status != STATUS_OK)
        return status;
    topic->next = end;
    status = talk_assign(talk, topic, err);
    if (status != STATUS_OK)
        topic->next = -1;
    return status;
}

enum status kafka_talk_write(struct kafka_talk *talk, const char *data_topic, struct slice key,
                             struct slice value, struct error *err)
{
    struct talk_topic *topic = NULL;
    enum status status = talk_find(talk, data_topic, &topic, err);
    if (status != STATUS_OK)
        return status;
    const struct kafka_channel_topic of_channel = talk_channel_topic(talk, topic);
    return kafka_channel_write(&talk->channel, &of_channel, key, value, err);
}

static struct talk_topic *talk_topic_of(struct kafka_talk *talk, const rd_kafka_message_t *message)
{
    const char *name = message->rkt == NULL ? "" : rd_kafka_topic_name(message->rkt);
    for (size_t i = 0; i < talk->count; i++) {
        if (strcmp(talk->topics[i].name, name) == 0)
            return &talk->topics[i];
    }
    return NULL;
}

static enum status talk_take(struct kafka_talk *talk, struct kafka_talk_record *ret_record,
                             struct error *err)
{
    const rd_kafka_message_t *message = talk->message;
    struct talk_topic *topic = talk_topic_of(talk, message);
    if (topic == NULL || message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
        return STATUS_OK;
    const struct kafka_channel_topic of_channel = talk_channel_topic(talk, topic);
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
        return error_set(err, STATUS_ABORT, "%s %s was made anew", of_channel.what,
                         of_channel.name);
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return kafka_channel_fail(&talk->channel, &of_channel, message->err, err);
    topic->next = message->offset + 1;
    *ret_record = (struct kafka_talk_record){
        .data_topic = topic->data_topic,
        .key = {.data = message->key, .length = message->key_len},
        .value = {.data = message->payload, .length = message->len},
        .offset = message->offset,
    };
    return STATUS_OK;
}

enum status kafka_talk_poll(struct kafka_talk *talk, int timeout_ms,
                            struct kafka_talk_record *ret_record, struct error *err)
{
    int64_t until_us = clock_monotonic_us() + (int64_t)timeout_ms * 1000;
    enum status status = STATUS_OK;
    *ret_record = (struct kafka_talk_record){0};
    do {
        int64_t left_ms = (until_us - clock_monotonic_us()) / 1000;
        talk_return(talk);
        talk->message = rd_kafka_consumer_poll(
            talk->channel.consumer, left_ms > KAFKA_CHANNEL_POLL_MS ? KAFKA_CHANNEL_POLL_MS
                                    : left_ms < 0                   ? 0
                                                                    : (int)left_ms);
        if (talk->message != NULL)
            status = talk_take(talk, ret_record, err);
    } while (status == STATUS_OK && ret_record->key.data == NULL &&
             ret_record->value.data == NULL && clock_monotonic_us() < until_us &&
             !atomic_load(talk->options.stop));
    return status;
}
