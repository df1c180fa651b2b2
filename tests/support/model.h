/* The rows that the reference model, the memory store, makes from a log in Kafka. */
#ifndef TESTS_SUPPORT_MODEL_H
#define TESTS_SUPPORT_MODEL_H

#include "tests/support/kafka.h"

/** Apply all that the topic "TEST.item" holds now to an empty memory store. The test fails if
 * something cannot be applied. @return the rows as "id|name|amount\n", sorted as texts. */
const char *model_items(struct kafka *kafka, int32_t partitions);

/** @return SQL that reads the rows of a copy in SQLite in the same form. */
const char *model_items_sql(void);

#endif
