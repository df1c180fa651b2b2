/* What goes wrong on purpose in the demo: an event published twice, and a poisoned one. */
#include "operate/demo.h"

#include "common/kafka_client.h"
#include "schemas/change.h"

#include <string.h>

#define DEMO_TIMEOUT_MS 10000
#define DEMO_PARTITIONS 3

static enum status demo_open(const struct demo *demo, rd_kafka_type_t type, rd_kafka_t **ret_handle,
                             struct error *err)
{
    const struct text_pair properties[] = {
        {"bootstrap.servers", demo->bootstrap},
        {"group.id", "keepstep-demo"}, /* librdkafka wants one; the group is never joined */
        {"enable.auto.commit", "false"},
        {"auto.offset.reset", "earliest"},
    };
    rd_kafka_conf_t *conf = NULL;
    const struct kafka_settings settings = {properties, type == RD_KAFKA_CONSUMER ? 4 : 1};
    enum status status = kafka_conf_new(&settings, 1, &conf, err);
    if (status == STATUS_OK)
        status = kafka_handle_new(type, conf, ret_handle, err);
    return status;
}

struct demo_record {
    const char *topic;
    int32_t partition;
    struct slice key;
    struct slice value;
    rd_kafka_headers_t *headers; /* demo_produce() takes them */
};

static enum status demo_produce(const struct demo *demo, const struct demo_record *record,
                                struct error *err)
{
    rd_kafka_t *producer = NULL;
    enum status status = demo_open(demo, RD_KAFKA_PRODUCER, &producer, err);
    if (status != STATUS_OK) {
        rd_kafka_headers_destroy(record->headers);
        return status;
    }
    rd_kafka_resp_err_t code = rd_kafka_producev(
        producer, RD_KAFKA_V_TOPIC(record->topic), RD_KAFKA_V_PARTITION(record->partition),
        RD_KAFKA_V_KEY(record->key.data, record->key.length),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)record->value.data, record->value.length),
        RD_KAFKA_V_HEADERS(record->headers), RD_KAFKA_V_END);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        rd_kafka_headers_destroy(record->headers);
    else
        code = rd_kafka_flush(producer, DEMO_TIMEOUT_MS);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        status = error_set_native(err, STATUS_FATAL, code, "could not produce to \"%s\": %s",
                                  record->topic, rd_kafka_err2str(code));
    rd_kafka_destroy(producer);
    return status;
}

static enum status demo_copy(const struct demo *demo, const rd_kafka_message_t *message,
                             struct error *err)
{
    rd_kafka_headers_t *headers = NULL;
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return error_set(err, STATUS_FATAL, "the record to copy has no headers");
    const struct demo_record record = {.topic = rd_kafka_topic_name(message->rkt),
                                       .partition = message->partition,
                                       .key = {message->key, message->key_len},
                                       .value = {message->payload, message->len},
                                       .headers = rd_kafka_headers_copy(headers)};
    return demo_produce(demo, &record, err);
}

enum status demo_publish_twice(struct demo *demo, struct error *err)
{
    rd_kafka_t *consumer = NULL;
    rd_kafka_topic_partition_list_t *list = NULL;
    rd_kafka_message_t *message = NULL;
    enum status status = demo_open(demo, RD_KAFKA_CONSUMER, &consumer, err);
    if (status != STATUS_OK)
        return status;
    list = rd_kafka_topic_partition_list_new(DEMO_PARTITIONS);
    for (int32_t i = 0; i < DEMO_PARTITIONS; i++)
        rd_kafka_topic_partition_list_add(list, demo_types[0], i)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
    (void)rd_kafka_assign(consumer, list);
    message = rd_kafka_consumer_poll(consumer, DEMO_TIMEOUT_MS);
    if (message == NULL || message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        status = error_set(err, STATUS_FATAL, "could not read topic \"%s\"", demo_types[0]);
    else
        status = demo_copy(demo, message, err);
    if (status == STATUS_OK)
        demo->injected[0]++;
    if (message != NULL)
        rd_kafka_message_destroy(message);
    rd_kafka_topic_partition_list_destroy(list);
    (void)rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    return status;
}

enum status demo_publish_poison(struct demo *demo, struct error *err)
{
    static const char *const pairs[][2] = {
        {"ce_specversion", "1.0"},
        {"ce_id", "import-2026-1"},
        {"ce_source", "nightly-import"},
        {"ce_type", "note.created"},
        {"content-type", "application/json"},
    };
    struct slice key = slice_of("{\"id\":\"poisoned\"}");
    struct slice value = slice_of("{\"op\":\"c\",\"before\":null,\"after\":"
                                  "{\"id\":\"poisoned\",\"author\":42,\"body\":\"no text\"}}");
    rd_kafka_headers_t *headers = rd_kafka_headers_new(5);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        (void)rd_kafka_header_add(headers, pairs[i][0], -1, pairs[i][1], -1);
    const struct demo_record record = {.topic = demo_types[DEMO_TYPES - 1],
                                       .partition = partition_of(key, DEMO_PARTITIONS),
                                       .key = key,
                                       .value = value,
                                       .headers = headers};
    enum status status = demo_produce(demo, &record, err);
    if (status == STATUS_OK)
        demo->injected[DEMO_TYPES - 1]++;
    return status;
}
