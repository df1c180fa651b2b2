/* A topic's log in Kafka, as a comparison reads it. */
#ifndef OPERATE_COMPARE_LOG_MENTIONS_H
#define OPERATE_COMPARE_LOG_MENTIONS_H

#include "operate/compare/mentions.h"
#include "schemas/config/config.h"

/** @param entry  of the type, published or applied. All outlives the log.
 * @return OK; RETRY; FATAL. */
enum status log_mentions_new(const struct config *config, const struct config_entry *entry,
                             const struct entity_schema *schema, struct mention_log **ret_log,
                             struct error *err) MUST_CHECK;

/** NULL is a no-op. */
void log_mentions_free(struct mention_log *log);

#endif
