/* librdkafka for the benchmark programs. */
#include "kafka.h"
#include "bench.h"

#define METADATA_MS 10000

void kafka_set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[512];
    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK)
        bench_fail("%s", text);
}

rd_kafka_t *kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char text[512];
    kafka_set(conf, "log_level", "3"); /* errors; a new broker's coordinator may need a while */
    rd_kafka_t *client = rd_kafka_new(type, conf, text, sizeof text);
    if (client == NULL)
        bench_fail("%s", text);
    return client;
}

int kafka_partitions(rd_kafka_t *client, const char *topic)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    if (rd_kafka_metadata(client, 0, handle, &metadata, METADATA_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        bench_fail("no metadata of %s", topic);
    int count = metadata->topics[0].partition_cnt;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(handle);
    return count;
}

void kafka_assign(rd_kafka_t *consumer, const char *topic, int64_t offset)
{
    int count = kafka_partitions(consumer, topic);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
    for (int i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = offset;
    if (rd_kafka_assign(consumer, list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        bench_fail("cannot assign %s", topic);
    rd_kafka_topic_partition_list_destroy(list);
}
