/* Topics and records in the Kafka of a test program, through librdkafka. */
#include "tests/support/kafka.h"

#include "common/buffer.h"
#include "common/clock.h"
#include "tests/support/kafka_private.h"

#include <stdio.h>

#define KAFKA_WAIT_MS  30000
#define KAFKA_TEXT_MAX ((size_t)64 * 1024 * 1024)

struct kafka_delivery {
    bool done;
    rd_kafka_resp_err_t problem;
    int64_t offset;
};

static void kafka_set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[512];
    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK)
        test_fail("%s", text);
}

static void kafka_on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    struct kafka_delivery *delivery = message->_private;
    (void)client, (void)opaque;
    *delivery = (struct kafka_delivery){
        .done = true, .problem = message->err, .offset = message->offset};
}

static rd_kafka_t *kafka_open(struct kafka *kafka, rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char text[512];
    kafka_set(conf, "bootstrap.servers", kafka->bootstrap);
    kafka_set(conf, "log_level", "0");
    kafka_set(conf, "allow.auto.create.topics", "false"); /* only a test makes topics */
    kafka_set(conf, "reconnect.backoff.max.ms", "200");
    rd_kafka_t *client = rd_kafka_new(type, conf, text, sizeof text);
    if (client == NULL)
        test_fail("%s", text);
    return client;
}

static rd_kafka_t *kafka_client(struct kafka *kafka)
{
    if (kafka->client != NULL)
        return kafka->client;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    kafka_set(conf, "linger.ms", "0");
    rd_kafka_conf_set_dr_msg_cb(conf, kafka_on_delivery);
    kafka->client = kafka_open(kafka, RD_KAFKA_PRODUCER, conf);
    return kafka->client;
}

/* @return why an admin call for one topic failed, NULL if it did not. */
static const char *kafka_topic_problem(rd_kafka_event_t *event)
{
    if (event == NULL)
        return "no answer";
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return test_format("%s", rd_kafka_event_error_string(event));
    size_t count = 0;
    const rd_kafka_topic_result_t **results = NULL;
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_CREATETOPICS_RESULT)
        results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event),
                                                      &count);
    else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_CREATEPARTITIONS_RESULT)
        results = rd_kafka_CreatePartitions_result_topics(
            rd_kafka_event_CreatePartitions_result(event), &count);
    else
        results = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event),
                                                      &count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            return rd_kafka_err2str(code);
    }
    return NULL;
}

static void kafka_finish_topic(rd_kafka_queue_t *queue, const char *what, const char *topic)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, KAFKA_WAIT_MS);
    const char *problem = kafka_topic_problem(event);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    if (problem != NULL)
        test_fail("%s topic %s: %s", what, topic, problem);
}

static void kafka_configure_topic(rd_kafka_NewTopic_t *new_topic, const char *config)
{
    char *settings = strcpy((char *)(uintptr_t)test_format("%*s", (int)strlen(config), ""), config);
    char *rest = NULL;
    for (char *name = strtok_r(settings, ";", &rest); name != NULL;
         name = strtok_r(NULL, ";", &rest)) {
        char *value = strchr(name, '=');
        if (value == NULL)
            test_fail("not name=value: %s", name);
        *value++ = '\0';
        (void)rd_kafka_NewTopic_set_config(new_topic, name, value);
    }
}

static int kafka_partitions(rd_kafka_t *client, const char *topic);

static void kafka_create(struct kafka *kafka, const char *topic, rd_kafka_NewTopic_t *new_topic)
{
    rd_kafka_t *client = kafka_client(kafka);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(client,
                                                                 RD_KAFKA_ADMIN_OP_CREATETOPICS);
    (void)rd_kafka_AdminOptions_set_operation_timeout(options, KAFKA_WAIT_MS, NULL, 0);
    rd_kafka_CreateTopics(client, &new_topic, 1, options, queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_NewTopic_destroy(new_topic);
    kafka_finish_topic(queue, "create", topic);
    (void)kafka_partitions(client, topic);
}

void kafka_create_topic(struct kafka *kafka, const char *topic, int partitions, const char *config)
{
    char text[512];
    rd_kafka_NewTopic_t *new_topic = rd_kafka_NewTopic_new(topic, partitions, 1, text, sizeof text);
    if (new_topic == NULL)
        test_fail("%s", text);
    if (config != NULL)
        kafka_configure_topic(new_topic, config);
    kafka_create(kafka, topic, new_topic);
}

void kafka_create_topic_on(struct kafka *kafka, const char *topic, const int32_t *nodes,
                           size_t node_count, const char *config)
{
    char text[512];
    int32_t replicas[KAFKA_NODES_MAX];
    assert_in_range(node_count, 1, KAFKA_NODES_MAX);
    memcpy(replicas, nodes, node_count * sizeof *nodes);
    rd_kafka_NewTopic_t *new_topic = rd_kafka_NewTopic_new(topic, 1, -1, text, sizeof text);
    if (new_topic == NULL ||
        rd_kafka_NewTopic_set_replica_assignment(new_topic, 0, replicas, node_count, text,
                                                 sizeof text) != RD_KAFKA_RESP_ERR_NO_ERROR)
        test_fail("%s", text);
    kafka_configure_topic(new_topic, config);
    kafka_create(kafka, topic, new_topic);
}

int kafka_leader(struct kafka *kafka, const char *topic, int *ret_in_sync)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_t *client = kafka_client(kafka);
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    int leader = -1;
    *ret_in_sync = 0;
    if (rd_kafka_metadata(client, 0, handle, &metadata, KAFKA_WAIT_MS) ==
        RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (metadata->topic_cnt == 1 && metadata->topics[0].partition_cnt == 1) {
            leader = metadata->topics[0].partitions[0].leader;
            *ret_in_sync = metadata->topics[0].partitions[0].isr_cnt;
        }
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(handle);
    return leader;
}

void kafka_delete_topic(struct kafka *kafka, const char *topic)
{
    rd_kafka_t *client = kafka_client(kafka);
    rd_kafka_DeleteTopic_t *old_topic = rd_kafka_DeleteTopic_new(topic);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_DeleteTopics(client, &old_topic, 1, NULL, queue);
    rd_kafka_DeleteTopic_destroy(old_topic);
    kafka_finish_topic(queue, "delete", topic);
}

void kafka_add_partitions(struct kafka *kafka, const char *topic, int partitions)
{
    char text[512];
    rd_kafka_t *client = kafka_client(kafka);
    rd_kafka_NewPartitions_t *more = rd_kafka_NewPartitions_new(topic, (size_t)partitions, text,
                                                                sizeof text);
    if (more == NULL)
        test_fail("%s", text);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_CreatePartitions(client, &more, 1, NULL, queue);
    rd_kafka_NewPartitions_destroy(more);
    kafka_finish_topic(queue, "add partitions to", topic);
    int64_t deadline = clock_monotonic_us() + (int64_t)KAFKA_WAIT_MS * 1000;
    while (kafka_partitions(client, topic) != partitions && clock_monotonic_us() < deadline)
        clock_sleep_us(50000);
}

void kafka_trim(struct kafka *kafka, const char *topic, int32_t partition, int64_t offset)
{
    rd_kafka_t *client = kafka_client(kafka);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
    rd_kafka_DeleteRecords_t *records = rd_kafka_DeleteRecords_new(list);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_DeleteRecords(client, &records, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, KAFKA_WAIT_MS);
    bool done = event != NULL && rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_DeleteRecords_destroy(records);
    rd_kafka_topic_partition_list_destroy(list);
    if (!done)
        test_fail("%s [%d] cannot be trimmed", topic, (int)partition);
}

static rd_kafka_headers_t *kafka_headers(const char *const headers[])
{
    rd_kafka_headers_t *list = rd_kafka_headers_new(8);
    for (size_t i = 0; headers != NULL && headers[i] != NULL && headers[i + 1] != NULL; i += 2)
        (void)rd_kafka_header_add(list, headers[i], -1, headers[i + 1], -1);
    return list;
}

struct kafka_message {
    const char *topic;
    int32_t partition;
    const char *key;
    const char *value;
};

/** Send a message. Takes ownership of `headers`. @return the offset. */
static int64_t kafka_send(rd_kafka_t *client, const struct kafka_message *message,
                          rd_kafka_headers_t *headers)
{
    static struct kafka_delivery delivery; /* outlives a test that gives up waiting */
    delivery.done = false;
    struct slice key = slice_of(message->key);
    struct slice value = slice_of(message->value);
    rd_kafka_resp_err_t code = rd_kafka_producev(
        client, RD_KAFKA_V_TOPIC(message->topic), RD_KAFKA_V_PARTITION(message->partition),
        RD_KAFKA_V_KEY(key.data, key.length),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)value.data, value.length),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_OPAQUE(&delivery), RD_KAFKA_V_END);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_headers_destroy(headers);
        test_fail("produce to %s: %s", message->topic, rd_kafka_err2str(code));
    }
    (void)rd_kafka_flush(client, KAFKA_WAIT_MS);
    if (!delivery.done || delivery.problem != RD_KAFKA_RESP_ERR_NO_ERROR)
        test_fail("produce to %s: %s", message->topic,
                  delivery.done ? rd_kafka_err2str(delivery.problem) : "no answer");
    return delivery.offset;
}

int64_t kafka_produce(struct kafka *kafka, const char *topic, int32_t partition, const char *key,
                      const char *value, const char *const headers[])
{
    struct kafka_message message = {
        .topic = topic, .partition = partition, .key = key, .value = value};
    return kafka_send(kafka_client(kafka), &message, kafka_headers(headers));
}

static void kafka_check(rd_kafka_error_t *problem)
{
    if (problem != NULL)
        test_fail("transaction: %s", rd_kafka_error_string(problem));
}

int64_t kafka_open_transaction(struct kafka *kafka, const char *topic, const char *key,
                               const char *value)
{
    struct kafka_message message = {.topic = topic, .key = key, .value = value};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    kafka_set(conf, "transactional.id", topic);
    rd_kafka_conf_set_dr_msg_cb(conf, kafka_on_delivery);
    kafka->transaction = kafka_open(kafka, RD_KAFKA_PRODUCER, conf);
    kafka_check(rd_kafka_init_transactions(kafka->transaction, KAFKA_WAIT_MS));
    kafka_check(rd_kafka_begin_transaction(kafka->transaction));
    return kafka_send(kafka->transaction, &message, kafka_headers(NULL));
}

void kafka_end_transaction(struct kafka *kafka, bool commit)
{
    kafka_check(commit ? rd_kafka_commit_transaction(kafka->transaction, KAFKA_WAIT_MS)
                       : rd_kafka_abort_transaction(kafka->transaction, KAFKA_WAIT_MS));
    rd_kafka_destroy(kafka->transaction);
    kafka->transaction = NULL;
}

int64_t kafka_produce_transaction(struct kafka *kafka, const char *topic, const char *key,
                                  const char *value, bool commit)
{
    int64_t offset = kafka_open_transaction(kafka, topic, key, value);
    kafka_end_transaction(kafka, commit);
    return offset;
}

static rd_kafka_resp_err_t kafka_ask_partitions(rd_kafka_t *client, const char *topic,
                                                int *ret_count)
{
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t code = rd_kafka_metadata(client, 0, handle, &metadata, KAFKA_WAIT_MS);
    rd_kafka_topic_destroy(handle);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = metadata->topics[0].err;
        *ret_count = metadata->topics[0].partition_cnt;
        rd_kafka_metadata_destroy(metadata);
    }
    return code;
}

/** @return how many partitions a topic has. The broker shows a new topic only after a moment, and
 * later still if the name was used before. */
static int kafka_partitions(rd_kafka_t *client, const char *topic)
{
    int count = 0;
    rd_kafka_resp_err_t code = kafka_ask_partitions(client, topic, &count);
    int64_t deadline = clock_monotonic_us() + (int64_t)KAFKA_WAIT_MS * 1000;
    while (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART && clock_monotonic_us() < deadline) {
        clock_sleep_us(50000);
        code = kafka_ask_partitions(client, topic, &count);
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        test_fail("topic %s: %s", topic, rd_kafka_err2str(code));
    return count;
}

static void kafka_hand_over(const rd_kafka_message_t *message, kafka_record_callback *callback,
                            void *context)
{
    struct buffer text;
    buffer_init(&text, KAFKA_TEXT_MAX);
    rd_kafka_headers_t *headers = NULL;
    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        const char *name = NULL;
        const void *value = NULL;
        size_t length = 0;
        for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &length) == 0; i++)
            buffer_append_format(&text, "%s=%.*s\n", name, (int)length,
                                 value == NULL ? "" : (const char *)value);
    }
    struct kafka_record record = {
        .topic = rd_kafka_topic_name(message->rkt),
        .partition = message->partition,
        .offset = message->offset,
        .key = {.data = message->key, .length = message->key_len},
        .value = {.data = message->payload, .length = message->len},
        .headers = buffer_text(&text),
    };
    callback(&record, context);
    buffer_done(&text);
}

/* Read one partition to its end. */
static int64_t kafka_consume_partition(rd_kafka_t *consumer, const char *topic, int32_t partition,
                                       kafka_record_callback *callback, void *context)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_resp_err_t code = rd_kafka_assign(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    int64_t count = 0;
    while (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, KAFKA_WAIT_MS);
        code = message == NULL ? RD_KAFKA_RESP_ERR__TIMED_OUT : message->err;
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            kafka_hand_over(message, callback, context);
            count++;
        }
        if (message != NULL)
            rd_kafka_message_destroy(message);
    }
    return code == RD_KAFKA_RESP_ERR__PARTITION_EOF ? count : -1;
}

int64_t kafka_consume_topics(struct kafka *kafka, const char *const *topics, size_t topic_count,
                             kafka_record_callback *callback, void *context)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    kafka_set(conf, "group.id", "tests-consume-all");
    kafka_set(conf, "enable.auto.commit", "false");
    kafka_set(conf, "enable.partition.eof", "true");
    kafka_set(conf, "isolation.level", "read_committed");
    kafka_set(conf, "fetch.wait.max.ms", "50");
    rd_kafka_t *consumer = kafka_open(kafka, RD_KAFKA_CONSUMER, conf);
    (void)rd_kafka_poll_set_consumer(consumer);
    int64_t total = 0;
    for (size_t i = 0; i < topic_count && total >= 0; i++) {
        int partitions = kafka_partitions(kafka_client(kafka), topics[i]);
        for (int32_t partition = 0; partition < partitions && total >= 0; partition++) {
            int64_t count = kafka_consume_partition(consumer, topics[i], partition, callback,
                                                    context);
            total = count < 0 ? -1 : total + count;
        }
    }
    (void)rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    if (total < 0)
        test_fail("a topic, the first is %s, cannot be read to its end", topics[0]);
    return total;
}

int64_t kafka_consume_all(struct kafka *kafka, const char *topic, kafka_record_callback *callback,
                          void *context)
{
    return kafka_consume_topics(kafka, &topic, 1, callback, context);
}

static void kafka_append_record(const struct kafka_record *record, void *context)
{
    buffer_append_format(context, "%d %lld %.*s %.*s\n", record->partition,
                         (long long)record->offset, SLICE_ARGS(record->key),
                         SLICE_ARGS(record->value));
}

const char *kafka_text(struct kafka *kafka, const char *topic)
{
    struct buffer text;
    buffer_init(&text, KAFKA_TEXT_MAX);
    (void)kafka_consume_all(kafka, topic, kafka_append_record, &text);
    const char *kept = test_format("%s", buffer_text(&text));
    buffer_done(&text);
    return kept;
}

int64_t kafka_committed(struct kafka *kafka, const char *group, const char *topic,
                        int32_t partition)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    kafka_set(conf, "group.id", group);
    kafka_set(conf, "enable.auto.commit", "false");
    rd_kafka_t *consumer = kafka_open(kafka, RD_KAFKA_CONSUMER, conf);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition);
    rd_kafka_resp_err_t code = rd_kafka_committed(consumer, list, KAFKA_WAIT_MS);
    int64_t offset = list->elems[0].offset < 0 ? -1 : list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(consumer);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        test_fail("committed offset of %s: %s", group, rd_kafka_err2str(code));
    return offset;
}

static rd_kafka_AclOperation_t kafka_operation(const char *name)
{
    int operation = RD_KAFKA_ACL_OPERATION_ALL;
    while (operation < RD_KAFKA_ACL_OPERATION__CNT &&
           strcmp(rd_kafka_AclOperation_name((rd_kafka_AclOperation_t)operation), name) != 0)
        operation++;
    if (operation == RD_KAFKA_ACL_OPERATION__CNT)
        test_fail("no operation %s", name);
    return (rd_kafka_AclOperation_t)operation;
}

void kafka_allow_only(struct kafka *kafka, const char *topic, const char *operation)
{
    char text[512] = "";
    rd_kafka_t *client = kafka_client(kafka);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AclBinding_t *binding = rd_kafka_AclBinding_new(
        RD_KAFKA_RESOURCE_TOPIC, topic, RD_KAFKA_RESOURCE_PATTERN_LITERAL, "User:*", "*",
        kafka_operation(operation), RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, text, sizeof text);
    if (binding == NULL)
        test_fail("%s", text);
    rd_kafka_CreateAcls(client, &binding, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, KAFKA_WAIT_MS);
    size_t count = 0;
    const rd_kafka_acl_result_t **results = event == NULL
                                                ? NULL
                                                : rd_kafka_CreateAcls_result_acls(
                                                      rd_kafka_event_CreateAcls_result(event),
                                                      &count);
    if (count != 1 || rd_kafka_acl_result_error(results[0]) != NULL)
        test_fail("the right %s on topic %s is not given", operation, topic);
    rd_kafka_event_destroy(event);
    rd_kafka_AclBinding_destroy(binding);
    rd_kafka_queue_destroy(queue);
}
