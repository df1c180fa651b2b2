/* What librdkafka alone needs from produce to poll, at a steady rate: nothing that uses it can be
 * faster.
 *   bare_latency BOOTSTRAP FROM_TOPIC TO_TOPIC EVENTS_PER_SECOND SECONDS
 * It reads one record of FROM_TOPIC. One thread then produces that record again and again, with
 * keys
 * {"id":N}, spread over the partitions of TO_TOPIC. Another thread polls. The settings are those of
 * keepstep: linger 0, all acknowledgements, idempotent, lz4; read committed, fetches wait 50 ms.
 * The first two seconds are not counted. */
#include "bench.h"
#include "kafka.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WARM_SECONDS 2
#define WAIT_US      ((int64_t)30 * 1000000)
#define POLL_MS      50
#define FLUSH_MS     10000
#define SCATTER      7919 /* a prime: neighbours go to partitions that differ */

struct trial {
    rd_kafka_t *producer;
    rd_kafka_t *consumer;
    const char *topic;
    const rd_kafka_message_t *sample;
    rd_kafka_headers_t *headers; /* the sample's; NULL: none */
    int64_t rate;
    int64_t count;
    int64_t warm; /* records that are not counted */
    int partitions;
    _Atomic int64_t *sent_at_us; /* by id, from 1 */
    int64_t *polled_us;          /* by id: time until it was polled; 0: not yet */
    atomic_int joined;           /* partitions that the consumer reads at their end */
};

static int64_t id_of(const rd_kafka_message_t *message)
{
    static const char start[] = "{\"id\":";
    if (message->key_len <= strlen(start) || memcmp(message->key, start, strlen(start)) != 0)
        bench_fail("a record without the key {\"id\":N}");
    return strtoll((const char *)message->key + strlen(start), NULL, 10);
}

static void reported(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client;
    (void)opaque;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        bench_fail("not delivered: %s", rd_kafka_err2str(message->err));
}

static rd_kafka_t *producer_new(const char *bootstrap)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    kafka_set(conf, "bootstrap.servers", bootstrap);
    kafka_set(conf, "linger.ms", "0");
    kafka_set(conf, "acks", "all");
    kafka_set(conf, "enable.idempotence", "true");
    kafka_set(conf, "compression.type", "lz4");
    rd_kafka_conf_set_dr_msg_cb(conf, reported);
    return kafka_new(RD_KAFKA_PRODUCER, conf);
}

static rd_kafka_t *consumer_new(const char *bootstrap)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    kafka_set(conf, "bootstrap.servers", bootstrap);
    kafka_set(conf, "group.id", "bare-latency");
    kafka_set(conf, "enable.auto.commit", "false");
    kafka_set(conf, "enable.partition.eof", "true");
    kafka_set(conf, "isolation.level", "read_committed");
    kafka_set(conf, "fetch.wait.max.ms", "50");
    rd_kafka_t *consumer = kafka_new(RD_KAFKA_CONSUMER, conf);
    (void)rd_kafka_poll_set_consumer(consumer);
    return consumer;
}

/* Take a record of the topic. It lives as long as its consumer, which lives until the end. */
static void read_sample(struct trial *trial, const char *bootstrap, const char *topic)
{
    rd_kafka_t *consumer = consumer_new(bootstrap);
    int64_t deadline = bench_now_us() + WAIT_US;
    kafka_assign(consumer, topic, 0);
    while (bench_now_us() < deadline) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, POLL_MS);
        if (message != NULL && message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            trial->sample = message;
            (void)rd_kafka_message_headers(message, &trial->headers);
            return;
        }
        if (message != NULL)
            rd_kafka_message_destroy(message);
    }
    bench_fail("%s has no record", topic);
}

/* A record without headers. */
static const rd_kafka_message_t *made_sample(void)
{
    static char value[] = "{\"id\":1,\"made\":\"where there is no record that could be copied\"}";
    static const rd_kafka_message_t sample = {.payload = value, .len = sizeof value - 1};
    return &sample;
}

static void *poll_all(void *context)
{
    struct trial *trial = context;
    int64_t missing = trial->count;
    int64_t deadline = bench_now_us() + trial->count * 1000000 / trial->rate + 2 * WAIT_US;
    while (missing > 0) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(trial->consumer, POLL_MS);
        int64_t now = bench_now_us();
        if (now > deadline)
            bench_fail("%" PRId64 " of %" PRId64 " records have not come", missing, trial->count);
        if (message == NULL)
            continue;
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            atomic_fetch_add(&trial->joined, 1);
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            int64_t id = id_of(message);
            if (trial->polled_us[id] == 0)
                missing--;
            trial->polled_us[id] = now - atomic_load(&trial->sent_at_us[id]);
        }
        rd_kafka_message_destroy(message);
    }
    return NULL;
}

static void produce_one(struct trial *trial, int64_t id)
{
    char key[32];
    int length = snprintf(key, sizeof key, "{\"id\":%" PRId64 "}", id);
    rd_kafka_headers_t *headers = trial->headers == NULL ? rd_kafka_headers_new(0)
                                                         : rd_kafka_headers_copy(trial->headers);
    atomic_store(&trial->sent_at_us[id], bench_now_us());
    rd_kafka_resp_err_t code = rd_kafka_producev(
        trial->producer, RD_KAFKA_V_TOPIC(trial->topic),
        RD_KAFKA_V_PARTITION((int32_t)(id * SCATTER % trial->partitions)),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(key, (size_t)length),
        RD_KAFKA_V_VALUE(trial->sample->payload, trial->sample->len), RD_KAFKA_V_HEADERS(headers),
        RD_KAFKA_V_END);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        bench_fail("%s", rd_kafka_err2str(code));
}

/* Delivery reports are served while it waits for the next record's turn. */
static void produce_all(struct trial *trial)
{
    int64_t started = bench_now_us();
    for (int64_t id = 1; id <= trial->count; id++) {
        int64_t due = started + (id - 1) * 1000000 / trial->rate;
        (void)rd_kafka_poll(trial->producer, 0);
        bench_sleep_us(due - bench_now_us());
        produce_one(trial, id);
    }
    if (rd_kafka_flush(trial->producer, FLUSH_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        bench_fail("not all records were acknowledged");
}

static void wait_until_joined(struct trial *trial)
{
    int64_t deadline = bench_now_us() + WAIT_US;
    while (atomic_load(&trial->joined) < trial->partitions) {
        if (bench_now_us() > deadline)
            bench_fail("the consumer does not reach the end of %s", trial->topic);
        bench_sleep_us(10000);
    }
}

int main(int argc, char **argv)
{
    struct trial trial = {.topic = argc == 6 ? argv[3] : NULL,
                          .rate = argc == 6 ? strtoll(argv[4], NULL, 10) : 0};
    pthread_t poller;
    if (trial.rate <= 0)
        bench_fail("bare_latency BOOTSTRAP FROM_TOPIC TO_TOPIC EVENTS_PER_SECOND SECONDS");
    trial.warm = trial.rate * WARM_SECONDS;
    trial.count = trial.warm + trial.rate * strtoll(argv[5], NULL, 10);
    size_t size = (size_t)trial.count + 1;
    trial.sent_at_us = bench_zeroed(size * sizeof *trial.sent_at_us);
    trial.polled_us = bench_zeroed(size * sizeof *trial.polled_us);
    if (strcmp(argv[2], "-") == 0)
        trial.sample = made_sample();
    else
        read_sample(&trial, argv[1], argv[2]);
    trial.producer = producer_new(argv[1]);
    trial.consumer = consumer_new(argv[1]);
    trial.partitions = kafka_partitions(trial.producer, trial.topic);
    kafka_assign(trial.consumer, trial.topic, RD_KAFKA_OFFSET_END);
    if (pthread_create(&poller, NULL, poll_all, &trial) != 0)
        bench_fail("no thread");
    wait_until_joined(&trial);
    produce_all(&trial);
    (void)pthread_join(poller, NULL);

    int64_t counted = trial.count - trial.warm;
    int64_t *polled = bench_sorted(trial.polled_us + 1 + trial.warm, counted);
    printf("{\"events\": %" PRId64 ", \"value_bytes\": %zu, \"p50_ms\": %.2f, \"p90_ms\": %.2f, "
           "\"p99_ms\": %.2f, \"max_ms\": %.2f}\n",
           counted, trial.sample->len, bench_quantile_ms(polled, counted, 0.5),
           bench_quantile_ms(polled, counted, 0.9), bench_quantile_ms(polled, counted, 0.99),
           bench_quantile_ms(polled, counted, 1.0));
    return 0;
}
