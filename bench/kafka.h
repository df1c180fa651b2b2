/* librdkafka for the benchmark programs: settings, clients, partitions. Each function exits on an
 * error. */
#ifndef BENCH_KAFKA_H
#define BENCH_KAFKA_H

#include <stdint.h>

#include <librdkafka/rdkafka.h>

void kafka_set(rd_kafka_conf_t *conf, const char *name, const char *value);

/** Takes `conf` over. */
rd_kafka_t *kafka_new(rd_kafka_type_t type, rd_kafka_conf_t *conf);

/** @return how many partitions the topic has. */
int kafka_partitions(rd_kafka_t *client, const char *topic);

/** Read all partitions of a topic from an offset on; also RD_KAFKA_OFFSET_END. */
void kafka_assign(rd_kafka_t *consumer, const char *topic, int64_t offset);

#endif
