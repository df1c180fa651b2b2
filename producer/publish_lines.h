/* `keepstep publish`: change events from lines of JSON into the outbox. */
#ifndef PRODUCER_PUBLISH_LINES_H
#define PRODUCER_PUBLISH_LINES_H

#include "schemas/config/config.h"
#include "schemas/entity_schema.h"

#include <stdint.h>
#include <stdio.h>

/** Write each line of `in` as one event, at most 1000 a transaction. A line is one JSON object:
 *
 *     {"type":"order.updated","key":{"id":42},"after":{"id":42,"name":"pen"}}
 *
 * `type` ends in created, updated, deleted or read; `key` may be a bare scalar where the key has
 * one column; `op` (c, u, d, r; follows from `type`), `before`, `traceparent` and `partition_key`
 * may be left out. Empty lines are skipped. Every event is checked as the relay will check it.
 * @param schemas      parallel to config->publish.
 * @param ret_written  events that are committed, also where it fails.
 * @return OK; REJECT naming the line (nothing of its transaction stays); RETRY; FATAL. */
enum status publish_lines(const struct config *config, const struct entity_schema *const *schemas,
                          FILE *in, int64_t *ret_written, struct error *err) MUST_CHECK;

#endif
