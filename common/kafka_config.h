/* A setting of a topic, as a broker tells it. */
#ifndef COMMON_KAFKA_CONFIG_H
#define COMMON_KAFKA_CONFIG_H

#include <stdbool.h>

/** It is borrowed until the visitor returns. */
struct kafka_config {
    const char *name;
    const char *value; /* NULL: the broker does not tell */
    bool is_own;       /* set at this topic: not the brokers' default */
};

/** To whom settings are handed, one by one. */
struct kafka_config_visitor {
    void (*visit)(void *context, const struct kafka_config *config);
    void *context;
};

#endif
