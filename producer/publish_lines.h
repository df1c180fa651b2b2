/* Writes change events from lines of JSON into the outbox. */
#ifndef PRODUCER_PUBLISH_LINES_H
#define PRODUCER_PUBLISH_LINES_H

#include "schemas/config/config.h"
#include "schemas/entity_schema.h"

#include <stdint.h>
#include <stdio.h>

/** Write each line of `in` as one event; up to 1000 events share a transaction. A line is a JSON
 * object:
 *
 *     {"type":"order.updated","key":{"id":42},"after":{"id":42,"name":"pen"}}
 *
 * * `type` ends in created, updated, deleted or read. `key` may be a bare scalar if the key has one
 * column. `op` (c, u, d, r; it follows from `type`), `before`, `traceparent` and `partition_key`
 * are optional. Empty lines are skipped. Every event is checked as the relay will check it.
 * @param schemas      parallel to config->publish.
 * @param ret_written  how many events are committed, also after an error.
 * * @return OK; REJECT naming the line (its transaction is rolled back); RETRY; FATAL. */
enum status publish_lines(const struct config *config, const struct entity_schema *const *schemas,
                          FILE *in, int64_t *ret_written, struct error *err) MUST_CHECK;

#endif
