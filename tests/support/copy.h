/* One local copy that a test drives through an applier, without Kafka: in SQLite, or in each of the
 * databases in turn. */
#ifndef TESTS_SUPPORT_COPY_H
#define TESTS_SUPPORT_COPY_H

#include "tests/support/database_case.h"
#include "tests/support/sql.h"

#include "consumer/apply/applier.h"

#define COPY_TOPIC "order"

struct copy {
    enum database_kind kind;
    const char *url;      /* for database_text() */
    const char *database; /* store_options.path: SQLite's file, a server's URL */
    struct entity_schema *schema;
    struct config_entry entry;
    struct mapping mapping;
    struct config config;
    struct agent_metrics *metrics;
    const struct store_ops *ops; /* what appliers are opened with; its own unless changed */
    struct applier *applier;
    struct batch batch;
    size_t index;
    int64_t offset;                      /* of the next record */
    int32_t partition_count;             /* of the topic; 1 unless changed before copy_open() */
    int claims;                          /* of keys, since copy_watch() */
    void (*at_begin)(struct copy *copy); /* see there */
    void (*at_apply)(struct copy *copy);
    struct error err;
};

/** The test fails where `status` is not OK. */
void copy_must(struct copy *copy, enum status status);

/** Try what waits until nothing is left to do at once: one call does no more than its time allows.
 * @param now_us  wall clock; what is due later is left alone. */
void copy_retry(struct copy *copy, int64_t now_us);

/** The same once the pause between two passes is over. */
void copy_retry_later(struct copy *copy, int64_t now_us);

/** @return how many records are parked, without the skipped. */
int64_t copy_parked(const struct copy *copy);

/** By database_kind: as much of an outbox as the agent looks at, without rows, and the table
 * "orders" with the own row (1, 'own', 'own'). */
extern const char *const copy_outbox_tables[];

/** Make an empty database with the table "orders" (id, a, b) of the entity type "order", and its
 * applier.
 * @param table_sql  run before the agent's prepare, so that a table can have its own constraints.
 */
struct copy *copy_begin(const char *table_sql, bool published_here);

/** The same with the SQL of the kind of database that it runs in. */
struct copy *copy_begin_with(const char *const tables_sql[], bool published_here);
void copy_finish(struct copy *copy);

/** Take another partition too. @return its index. */
size_t copy_take_partition(struct copy *copy, int32_t partition);

/** Another applier that takes the partition. */
struct applier *copy_open(struct copy *copy);

/** Open the copy's applier anew: just before it begins a transaction or writes, it lets at_begin or
 * at_apply, where that is not NULL, act for another, once. Appliers opened later do not. */
void copy_watch(struct copy *copy);

/** Do what `keepstep parked` does beside a running agent. */
enum status copy_try_operate(const struct copy *copy, int64_t parked_id, enum parked_edit edit,
                             struct error *err);
void copy_operate(struct copy *copy, int64_t parked_id, enum parked_edit edit);

/** Add a record to the batch; sequence 0: an unsequenced one; `kind` and `value` may be NULL. */
void copy_add_from(struct copy *copy, const char *source, int sequence, const char *id,
                   const char *previous_id, const char *kind, int key, const char *value);

/** What copy_add() takes as a row: one or both of its columns a and b. */
#define COPY_A(text)   ",\"a\":\"" text "\""
#define COPY_B(text)   ",\"b\":\"" text "\""
#define COPY_A_NULL    ",\"a\":null"
#define COPY_B_NULL    ",\"b\":null"
#define COPY_ROW(a, b) COPY_A(a) COPY_B(b)

/** Add an event of "shop" with the id "e<sequence>". */
void copy_add(struct copy *copy, int sequence, int key, const char *op, const char *row);

/** Apply and empty the batch; the test fails where that is not OK. */
void copy_apply(struct copy *copy);

/** Run SQL on its database. @return the rows, as database_text(). */
const char *copy_text(const struct copy *copy, const char *sql);

/** @return the whole number in the first column of the first row. */
int64_t copy_number(const struct copy *copy, const char *sql);

/** @return "id|a|b\n" of each row. */
const char *copy_rows(const struct copy *copy);

/** @return its partition, until the next call of the applier. */
const struct partition_state *copy_where(const struct copy *copy);

#endif
