/* What Keepstep's topics have to be like, with the reason for each setting. Whoever makes a topic
 * and whoever compares one reads it here. */
#ifndef COMMON_TOPIC_DESIGN_H
#define COMMON_TOPIC_DESIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum topic_kind {
    TOPIC_DATA,    /* changes of entity types */
    TOPIC_CONTROL, /* how far the services are */
    TOPIC_TALK,    /* questions and answers */
    TOPIC_ROWS,    /* rows of a data topic's types, in answers and fills */
    TOPIC_JOINT,   /* records of joint transactions (rule 74) */
};

/** What an operator may choose. 0: the brokers' default, and records of a data topic for ever. */
struct topic_choice {
    int64_t replication_factor;
    int64_t min_insync_replicas;
    int64_t retention_s;     /* of a data topic; 0: for ever */
    int64_t retention_bytes; /* of each of its partitions; 0: no limit */
    int64_t record_bytes;    /* of the largest record of a data topic */
};

enum topic_demand {
    TOPIC_EXACTLY,
    TOPIC_AT_LEAST, /* a number, or more */
    TOPIC_AT_MOST,  /* a number below 0 has no limit, so it is more */
    TOPIC_ANY,      /* only shown */
};

#define TOPIC_FRAME_BYTES 65536 /* for headers and framing, above the size of a record */

#define TOPIC_VALUE_SIZE   24
#define TOPIC_SETTINGS_MAX 8

struct topic_setting {
    const char *name; /* as Kafka names it */
    char value[TOPIC_VALUE_SIZE];
    enum topic_demand demand;
    const char *reason; /* half a sentence */
};

struct topic_design {
    int32_t replication_factor; /* -1: the brokers' default */
    struct topic_setting settings[TOPIC_SETTINGS_MAX];
    size_t count;
};

void topic_design_make(enum topic_kind kind, const struct topic_choice *choice,
                       struct topic_design *ret_design);

/** @return whether a value is as the setting demands. @param value  as Kafka gives it. */
bool topic_setting_holds(const struct topic_setting *setting, const char *value);

/** @return "data", "control", "talk", "rows", "joint". */
const char *topic_kind_name(enum topic_kind kind);

#endif
