/* Reads and changes the settings of topics, and reads those of brokers. Do not ask a mock cluster:
 * it has none. */
#ifndef COMMON_KAFKA_CONFIGS_H
#define COMMON_KAFKA_CONFIGS_H

#include "common/kafka_client.h"
#include "common/kafka_config.h"
#include "common/topic_settings.h"

/** Hand over all settings of a topic. @return OK; RETRY (no answer, or not allowed). */
enum status kafka_configs_read(rd_kafka_t *handle, const char *topic, int timeout_ms,
                               const struct kafka_config_visitor *visitor,
                               struct error *err) MUST_CHECK;

/** Change settings of a topic, and keep all others that are its own. The client library can only
 * replace all of a topic's settings at once. So they are read first and written back together with
 * the change: what somebody else changes between the two is undone.
 * @return OK; RETRY (no answer, or not allowed); FATAL (the broker refuses a value, or hides one
 * that would be lost). */
enum status kafka_configs_change(rd_kafka_t *handle, const char *topic,
                                 const struct kafka_settings *changes, int timeout_ms,
                                 struct error *err) MUST_CHECK;

/** Read the settings of a topic that rules depend on. @return OK; RETRY (no answer, or not
 * allowed).
 */
enum status kafka_topic_settings(rd_kafka_t *handle, const char *topic, int timeout_ms,
                                 struct topic_settings *ret_settings, struct error *err) MUST_CHECK;

#endif
