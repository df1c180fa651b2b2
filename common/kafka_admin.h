/* What an administrator asks of a cluster and does with its topics. One thread uses a handle. Do
 * not ask a mock cluster for settings: it has none. */
#ifndef COMMON_KAFKA_ADMIN_H
#define COMMON_KAFKA_ADMIN_H

#include "common/kafka_config.h"
#include "common/status.h"
#include "common/text_pair.h"
#include "common/topic_settings.h"

#include <stdint.h>

struct kafka_admin;
struct topic_design;

#define KAFKA_ADMIN_TEXT_SIZE 256

struct kafka_admin_options {
    const struct text_pair *settings; /* of the configuration's `kafka:` */
    size_t setting_count;
    int timeout_ms; /* of each question */
};

/** Open a handle. No broker is asked yet. The options' settings outlive the call only.
 * @return OK; FATAL. */
enum status kafka_admin_open(const struct kafka_admin_options *options,
                             struct kafka_admin **ret_admin, struct error *err) MUST_CHECK;
/** NULL is a no-op. */
void kafka_admin_close(struct kafka_admin *admin);

struct kafka_admin_cluster {
    int brokers;
    char id[KAFKA_ADMIN_TEXT_SIZE]; /* "": unknown */
    bool is_mock;
};

/** Ask who is there. @return OK; RETRY, with the reason that the client gives. */
enum status kafka_admin_cluster(struct kafka_admin *admin, struct kafka_admin_cluster *ret_cluster,
                                struct error *err) MUST_CHECK;

/** The highest versions of requests that a broker answers. -1: not known. */
struct kafka_admin_requests {
    int produce;
    int fetch;
};

/** Ask a broker which requests it knows, over a handle of its own. @return OK; RETRY; FATAL. */
enum status kafka_admin_requests(const struct kafka_admin_options *options,
                                 struct kafka_admin_requests *ret_requests,
                                 struct error *err) MUST_CHECK;

/** The client library's version in numbers: 0x020002ff is 2.0.2. */
struct kafka_library {
    int running;
    int compiled; /* with the headers of this one */
    const char *text;
};
struct kafka_library kafka_library(void);

struct kafka_admin_topic {
    int32_t partitions; /* 0: it does not exist */
    int replicas;       /* of the partition that has the fewest */
    int replicas_max;
    int in_sync; /* of the partition that has the fewest */
    bool has_leaders;
};

/** Ask for a topic, without creating it. @return OK; RETRY; FATAL (its name is refused). */
enum status kafka_admin_topic(struct kafka_admin *admin, const char *topic,
                              struct kafka_admin_topic *ret_topic, struct error *err) MUST_CHECK;

/** As kafka_configs_read(). */
enum status kafka_admin_settings(struct kafka_admin *admin, const char *topic,
                                 const struct kafka_config_visitor *visitor,
                                 struct error *err) MUST_CHECK;

/** As kafka_topic_settings(). */
enum status kafka_admin_rules(struct kafka_admin *admin, const char *topic,
                              struct topic_settings *ret_settings, struct error *err) MUST_CHECK;

/** Make a topic, and wait until a broker knows it. @return as kafka_topic_create(). */
enum status kafka_admin_create(struct kafka_admin *admin, const char *topic, int32_t partitions,
                               const struct topic_design *design, struct error *err) MUST_CHECK;

/** As kafka_configs_change(). */
enum status kafka_admin_change(struct kafka_admin *admin, const char *topic,
                               const struct text_pair *changes, size_t count,
                               struct error *err) MUST_CHECK;

#endif
