/* Prints how many records a topic has; 0 if there is no such topic.
 *   count_records BOOTSTRAP TOPIC */
#include "../bench.h"
#include "../kafka.h"

#include <inttypes.h>
#include <stdio.h>

#define WAIT_MS 10000

int main(int argc, char **argv)
{
    if (argc != 3)
        bench_fail("count_records BOOTSTRAP TOPIC");
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    kafka_set(conf, "bootstrap.servers", argv[1]);
    kafka_set(conf, "allow.auto.create.topics", "false");
    rd_kafka_t *client = kafka_new(RD_KAFKA_CONSUMER, conf);
    int partitions = kafka_partitions(client, argv[2]);
    int64_t count = 0;
    for (int i = 0; i < partitions; i++) {
        int64_t first = 0;
        int64_t end = 0;
        if (rd_kafka_query_watermark_offsets(client, argv[2], i, &first, &end, WAIT_MS) !=
            RD_KAFKA_RESP_ERR_NO_ERROR)
            bench_fail("%s/%d: no offsets", argv[2], i);
        count += end - first;
    }
    rd_kafka_destroy(client);
    printf("%" PRId64 "\n", count);
    return 0;
}
