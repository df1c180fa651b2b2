/* The upper bound for a relay: librdkafka's own idempotent producer with the same records and
 * headers.
 *   bare_producer BOOTSTRAP FROM_TOPIC TO_TOPIC COUNT
 * It reads COUNT records of a topic into memory before the clock starts. Then it publishes them to
 * another topic, in the same partitions, and waits until all are acknowledged. */
#include "bench.h"
#include "kafka.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_LIMIT_US ((int64_t)120 * 1000000)
#define FLUSH_MS      120000

struct producer {
    const char *bootstrap;
    rd_kafka_message_t **messages;
    size_t count;
    size_t acknowledged;
};

/* @return the consumer. The messages live as long as it does. */
static rd_kafka_t *read_all(struct producer *producer, const char *topic, size_t count)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    kafka_set(conf, "bootstrap.servers", producer->bootstrap);
    kafka_set(conf, "group.id", "bare-producer");
    kafka_set(conf, "enable.auto.commit", "false");
    rd_kafka_t *consumer = kafka_new(RD_KAFKA_CONSUMER, conf);
    (void)rd_kafka_poll_set_consumer(consumer);
    kafka_assign(consumer, topic, 0);
    producer->messages = bench_allocate(count * sizeof(rd_kafka_message_t *));
    int64_t deadline = bench_now_us() + READ_LIMIT_US;
    while (producer->count < count) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 100);
        if (message != NULL && message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            producer->messages[producer->count++] = message;
        else if (message != NULL)
            rd_kafka_message_destroy(message);
        if (bench_now_us() > deadline)
            bench_fail("%s has only %zu of %zu records", topic, producer->count, count);
    }
    return consumer;
}

static void delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client;
    struct producer *producer = opaque;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        bench_fail("not delivered: %s", rd_kafka_err2str(message->err));
    producer->acknowledged++;
}

static void produce(rd_kafka_t *client, const char *topic, const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers = NULL;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR)
        headers = rd_kafka_headers_copy(headers);
    else
        headers = rd_kafka_headers_new(0);
    for (;;) {
        code = rd_kafka_producev(client, RD_KAFKA_V_TOPIC(topic),
                                 RD_KAFKA_V_PARTITION(message->partition),
                                 RD_KAFKA_V_KEY(message->key, message->key_len),
                                 RD_KAFKA_V_VALUE(message->payload, message->len),
                                 RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            break;
        (void)rd_kafka_poll(client, 10);
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        bench_fail("%s", rd_kafka_err2str(code));
}

static double produce_all(struct producer *producer, const char *topic)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    kafka_set(conf, "bootstrap.servers", producer->bootstrap);
    kafka_set(conf, "enable.idempotence", "true");
    kafka_set(conf, "acks", "all");
    kafka_set(conf, "compression.type", "lz4");
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_conf_set_opaque(conf, producer);
    rd_kafka_t *client = kafka_new(RD_KAFKA_PRODUCER, conf);
    produce(client, topic, producer->messages[0]); /* connects, and gets the producer's id */
    (void)rd_kafka_flush(client, FLUSH_MS);
    producer->acknowledged = 0;
    int64_t started = bench_now_us();
    for (size_t i = 0; i < producer->count; i++) {
        produce(client, topic, producer->messages[i]);
        (void)rd_kafka_poll(client, 0);
    }
    if (rd_kafka_flush(client, FLUSH_MS) != RD_KAFKA_RESP_ERR_NO_ERROR ||
        producer->acknowledged != producer->count)
        bench_fail("only %zu of %zu acknowledged", producer->acknowledged, producer->count);
    double seconds = (double)(bench_now_us() - started) / 1e6;
    rd_kafka_destroy(client);
    return seconds;
}

int main(int argc, char **argv)
{
    size_t count = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;
    if (count == 0)
        bench_fail("bare_producer BOOTSTRAP FROM_TOPIC TO_TOPIC COUNT");
    struct producer producer = {.bootstrap = argv[1]};
    rd_kafka_t *consumer = read_all(&producer, argv[2], count);
    int64_t bytes = 0;
    for (size_t i = 0; i < producer.count; i++)
        bytes += (int64_t)producer.messages[i]->len;
    double seconds = produce_all(&producer, argv[3]);
    printf("{\"events\": %zu, \"seconds\": %.3f, \"events_per_second\": %.0f, "
           "\"mean_value_bytes\": %" PRId64 "}\n",
           producer.count, seconds, (double)producer.count / seconds,
           bytes / (int64_t)producer.count);
    for (size_t i = 0; i < producer.count; i++)
        rd_kafka_message_destroy(producer.messages[i]);
    free(producer.messages);
    (void)rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    return 0;
}
