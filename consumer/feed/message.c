/* Takes a message of librdkafka apart. */
#include "consumer/feed/message.h"

static size_t message_headers(const rd_kafka_message_t *message, struct header *headers,
                              size_t headers_max)
{
    rd_kafka_headers_t *found = NULL;
    size_t count = 0;
    if (rd_kafka_message_headers(message, &found) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    while (count < headers_max) {
        const char *name = NULL;
        const void *value = NULL;
        size_t size = 0;
        if (rd_kafka_header_get_all(found, count, &name, &value, &size) !=
            RD_KAFKA_RESP_ERR_NO_ERROR)
            break;
        headers[count++] = (struct header){.name = slice_of(name),
                                           .value = {.data = value, .length = size}};
    }
    return count;
}

struct record message_record(const rd_kafka_message_t *message, struct header *headers,
                             size_t headers_max)
{
    int64_t time_ms = rd_kafka_message_timestamp(message, NULL);
    return (struct record){
        .topic = rd_kafka_topic_name(message->rkt),
        .partition = message->partition,
        .offset = message->offset,
        .time_us = time_ms > 0 ? time_ms * 1000 : 0,
        .key = {.data = message->key, .length = message->key == NULL ? 0 : message->key_len},
        .value = {.data = message->payload, .length = message->payload == NULL ? 0 : message->len},
        .headers = headers,
        .header_count = message_headers(message, headers, headers_max)};
}
