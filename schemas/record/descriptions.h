/* Remembers how Kafka Connect described the last records of each topic, because the next ones
 * mostly begin with the same bytes. */
#ifndef SCHEMAS_RECORD_DESCRIPTIONS_H
#define SCHEMAS_RECORD_DESCRIPTIONS_H

#include "common/status.h"

struct descriptions;

/** One thread at a time may use it, and it is used with forms that outlive it.
 * @return OK; FATAL (no memory). */
enum status descriptions_new(struct descriptions **ret_descriptions, struct error *err) MUST_CHECK;
void descriptions_free(struct descriptions *descriptions);

#endif
