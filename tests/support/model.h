/* What the reference model, the memory store, makes of a log in Kafka. */
#ifndef TESTS_SUPPORT_MODEL_H
#define TESTS_SUPPORT_MODEL_H

#include "tests/support/kafka.h"

/** Apply all that the topic "TEST.item" holds now to an empty memory store; the test fails where
 * that cannot be applied whole. @return the rows as "id|name|amount\n", sorted as texts. */
const char *model_items(struct kafka *kafka, int32_t partitions);

/** @return the SQL that reads them so from a copy in SQLite. */
const char *model_items_sql(void);

#endif
