/* One local copy in SQLite that a test drives through an applier, without Kafka. */
#ifndef TESTS_SUPPORT_COPY_H
#define TESTS_SUPPORT_COPY_H

#include "tests/support/sql.h"

#include "consumer/applier.h"

#define COPY_TOPIC "order"

struct copy {
    const char *database;
    struct entity_schema *schema;
    struct config_entry entry;
    struct mapping mapping;
    struct config config;
    struct agent_metrics *metrics;
    const struct store_ops *ops; /* what appliers are opened with; SQLite's unless changed */
    struct applier *applier;
    struct batch batch;
    size_t index;
    int64_t offset;          /* of the next record */
    int32_t partition_count; /* of the topic; 1 unless changed before copy_open() */
    struct error err;
};

/** The test fails where `status` is not OK. */
void copy_must(struct copy *copy, enum status status);

/** Make copy.db with the table "orders" (id, a, b) of the entity type "order", and its applier.
 * @param table_sql  run before the agent's prepare, so that a table can have its own constraints.
 */
struct copy *copy_begin(const char *table_sql, bool published_here);
void copy_finish(struct copy *copy);

/** Another applier that takes the partition. */
struct applier *copy_open(struct copy *copy);

/** Add a record to the batch; sequence 0: an unsequenced one; `kind` and `value` may be NULL. */
void copy_add_from(struct copy *copy, const char *source, int sequence, const char *id,
                   const char *previous_id, const char *kind, int key, const char *value);

/** Add an event of "shop" with the id "e<sequence>"; `row` is ",\"a\":\"x\"". */
void copy_add(struct copy *copy, int sequence, int key, const char *op, const char *row);

/** Apply and empty the batch; the test fails where that is not OK. */
void copy_apply(struct copy *copy);

/** @return "id|a|b\n" of each row. */
const char *copy_rows(const struct copy *copy);

struct applier_partition copy_where(const struct copy *copy);

#endif
