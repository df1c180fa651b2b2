/* One local copy that a test drives through an applier, without Kafka. It is in SQLite, or in each
 * of the databases in turn. */
#ifndef TESTS_SUPPORT_COPY_H
#define TESTS_SUPPORT_COPY_H

#include "tests/support/database_case.h"
#include "tests/support/sql.h"

#include "consumer/apply/applier.h"

#define COPY_TOPIC "order"

struct copy {
    enum database_kind kind;
    const char *url;      /* for database_text() */
    const char *database; /* store_options.path: SQLite's file, or a server's URL */
    struct entity_schema *schemas[2];
    struct config_entry entries[2];
    struct mapping mappings[2];
    size_t mapping_count; /* 1: orders; 2: order_lines too, see copy_begin_two() */
    struct config config;
    struct agent_metrics *metrics;
    const struct store_ops *ops; /* for appliers; the database's own unless changed */
    struct applier *applier;
    struct batch batch;
    size_t index;
    int64_t offset;          /* of the next record */
    int64_t committed_us;    /* wall clock; what the next records say of their commit; 0: nothing */
    int changeset_end;       /* of the next sequenced records; 0: each is alone */
    const char *incarnation; /* of the next sequenced records */
    int32_t partition_count; /* of the topic; 1 unless changed before copy_open() */
    int claims;              /* how many keys were claimed since copy_watch() */
    void (*at_begin)(struct copy *copy); /* see copy_watch() */
    void (*at_apply)(struct copy *copy);
    struct error err;
};

/** The test fails unless `status` is OK. */
void copy_must(struct copy *copy, enum status status);

/** Retry parked records until no more can be done now. One call of the applier stops when its time
 * is up. @param now_us wall clock; records due later are left alone */
void copy_retry(struct copy *copy, int64_t now_us);

/** The same after the pause between two passes. */
void copy_retry_later(struct copy *copy, int64_t now_us);

/** @return how many records are parked, without the skipped ones. */
int64_t copy_parked(const struct copy *copy);

/** By database_kind: the tables of an outbox that the agent reads, without rows, and the table
 * "orders" with the own row (1, 'own', 'own'). */
extern const char *const copy_outbox_tables[];

/** Make an empty database with the table "orders" (id, a, b) of the entity type "order", and its
 * applier. @param table_sql runs before the agent's prepare(), so that the table can have
 * constraints of its own */
struct copy *copy_begin(const char *table_sql, bool published_here);

/** The same, with SQL for each kind of database. */
struct copy *copy_begin_with(const char *const tables_sql[], bool published_here);

/** The same with the entity type "line", in the table "order_lines" with the same columns, beside
 * it. */
struct copy *copy_begin_two(const char *const tables_sql[]);
void copy_finish(struct copy *copy);

/** Take another partition. @return its index. */
size_t copy_take_partition(struct copy *copy, int32_t partition);

/** @return another applier, which takes the partition. */
struct applier *copy_open(struct copy *copy);

/** Open the copy's applier anew, with another store. */
void copy_use(struct copy *copy, const struct store_ops *ops);

/** Open the copy's applier anew. Before its next transaction it calls at_begin, and before its next
 * write at_apply, unless that is NULL. Each is called once. They act for somebody else. Appliers
 * that are opened later do not call them. */
void copy_watch(struct copy *copy);

/** Do what `keepstep parked` does while an agent runs. */
enum status copy_try_operate(const struct copy *copy, int64_t parked_id, enum parked_edit edit,
                             struct error *err);
void copy_operate(struct copy *copy, int64_t parked_id, enum parked_edit edit);

/** How copy_begin() calls the incarnation, and a later one. */
#define COPY_INCARNATION       "0193a7c0-0000-7000-8000-000000000001"
#define COPY_LATER_INCARNATION "0193a7c0-0000-7000-8000-000000000002"

/** Add a record to the batch. Sequence 0 makes an unsequenced one; `kind` and `value` may be
 * NULL. */
void copy_add_from(struct copy *copy, const char *source, int sequence, const char *id,
                   const char *previous_id, const char *kind, int key, const char *value);

/** Rows for copy_add(): one or both of its columns a and b. */
#define COPY_A(text)   ",\"a\":\"" text "\""
#define COPY_B(text)   ",\"b\":\"" text "\""
#define COPY_A_NULL    ",\"a\":null"
#define COPY_B_NULL    ",\"b\":null"
#define COPY_ROW(a, b) COPY_A(a) COPY_B(b)

/** Add an event of "shop" with the id "e<sequence>", of a line. */
void copy_add_line(struct copy *copy, int sequence, int key, const char *op, const char *row);

/** The same of an order. */
void copy_add(struct copy *copy, int sequence, int key, const char *op, const char *row);

/** Apply and empty the batch, in which all change sets must have their ends. The test fails unless
 * that is OK. */
void copy_apply(struct copy *copy);

/** Run SQL on the copy's database. @return the rows, as database_text() writes them. */
const char *copy_text(const struct copy *copy, const char *sql);

/** @return the whole number in the first column of the first row. */
int64_t copy_number(const struct copy *copy, const char *sql);

/** @return "id|a|b\n" of each row. */
const char *copy_rows(const struct copy *copy);

/** @return the state of its partition, valid until the next call of the applier. */
const struct partition_state *copy_where(const struct copy *copy);

#endif
