/* Shared by kafka.c and kafka_records.c. */
#ifndef TESTS_SUPPORT_KAFKA_PRIVATE_H
#define TESTS_SUPPORT_KAFKA_PRIVATE_H

#include "tests/support/kafka.h"

#include <librdkafka/rdkafka.h>
#include <sys/types.h>

struct process;

struct kafka {
    struct process *process;
    const char *directory;
    const char *bootstrap;
    const char *line; /* from kafka_configure() */
    int port;
    int controller_port;
    pid_t owner;
    rd_kafka_t *transaction; /* the producer of the open one */
    rd_kafka_t *client;      /* producer and admin client, made at the first use */
};

#endif
