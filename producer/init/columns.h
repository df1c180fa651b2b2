/* What `init` remembers of the columns that an entity type's triggers publish, and says of them. */
#ifndef PRODUCER_INIT_COLUMNS_H
#define PRODUCER_INIT_COLUMNS_H

#include "producer/init/origin.h"

#include <stdio.h>

/** Of whom it remembers, and to whom it says. */
struct init_columns {
    struct origin *origin;
    const struct config *config;
    const struct config_entry *entry;
    const struct entity_schema *schema;
    bool republishes; /* it is about to publish the rows once more */
    FILE *out;
};

/** Before the triggers are made: entities keep their partitions.
 * @return OK; RETRY; FATAL with exit code 78 where the entry names another partition key than the
 * events have that were published. */
enum status init_columns_check(const struct init_columns *columns, struct error *err) MUST_CHECK;

/** Behind it: note what they publish now, and say which columns are newer than rows that were
 * published. @return OK; RETRY; FATAL. */
enum status init_columns_note(const struct init_columns *columns, struct error *err) MUST_CHECK;

/** Say what follows where the triggers that were there did not capture the table whole: what it
 * wrote meanwhile is in no outbox. @return OK; RETRY; FATAL. */
enum status init_columns_mended(const struct init_columns *columns, struct error *err) MUST_CHECK;

/** @return OK; FATAL with exit code 78, and the reason, where the rows of an entity type cannot be
 * published once more without harm. */
enum status init_columns_may_republish(const struct config *config, const char *entity_type,
                                       struct error *err) MUST_CHECK;

#endif
