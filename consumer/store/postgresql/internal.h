/* What the files of the PostgreSQL store share: the session and its pipeline, prepared statements,
 * parameters, arrays of values. */
#ifndef CONSUMER_STORE_POSTGRESQL_INTERNAL_H
#define CONSUMER_STORE_POSTGRESQL_INTERNAL_H

#include "common/buffer.h"
#include "common/postgresql_session.h"
#include "consumer/store/sql/prepare.h"

/** X(name): a statement that PostgreSQL alone has. */
#define STORE_POSTGRESQL_STATEMENTS(X)                                                             \
    X(POSITION_DURABLE)                                                                            \
    X(KEY_ADD)                                                                                     \
    X(KEY_CLAIM)                                                                                   \
    X(KEY_READ)                                                                                    \
    X(JOINT_TRIGGERS)                                                                              \
    X(JOINT_MAY_TRY)                                                                               \
    X(JOINT_UNFIT)                                                                                 \
    X(JOINT_HAS_OLD)                                                                               \
    X(JOINT_SEES_OLD)                                                                              \
    X(APPLYING_SET)                                                                                \
    X(CATALOGUE_LOCK)                                                                              \
    X(CATALOGUE_ORDER)

enum postgresql_statement_id {
    STATEMENT_POSTGRESQL = STATEMENT_SHARED_COUNT - 1,
#define STATEMENT_ID(name) STATEMENT_##name,
    STORE_POSTGRESQL_STATEMENTS(STATEMENT_ID)
#undef STATEMENT_ID
        STATEMENT_COUNT
};

/** How the elements of a column's array travel. */
enum wire {
    WIRE_INT8,
    WIRE_FLOAT8,
    WIRE_BOOL,
    WIRE_BYTEA,
    WIRE_TEXT,
    WIRE_TIMESTAMPTZ,
    WIRE_TIMESTAMP,
    WIRE_DATE,
    WIRE_TIME
};

/** How a schema's column type is kept in a type of the database. */
struct column_form {
    enum column_type type;
    const char *typname;  /* pg_type.typname */
    const char *declared; /* in SQL, without its modifier */
    enum wire wire;
    int64_t smallest; /* with WIRE_INT8: the type's range */
    int64_t largest;
};

#define QUEUE_MAX 64

/** A statement that was sent; its result is there after the next sync. */
struct queued {
    const char *what; /* for errors */
    PGresult *result;
    bool *prepared; /* of a statement that it prepares, cleared if that fails; else NULL */
    sql_row_read *read;
    void *context;
    int64_t *changes;
};

#define KEPT_QUERIES 16

/** A query that is prepared under a number; it is used again by its text. */
struct kept_query {
    char *sql; /* NULL: the place is free */
    unsigned int number;
    bool is_prepared;
};

/** A partition that this session took. No other session raises its durable position. */
struct taken {
    char topic[STORE_NAME_SIZE];
    int32_t partition;
    int64_t epoch;
};

struct store_postgresql {
    struct store_sql sql;
    PGconn *connection; /* in pipeline mode, except while it installs */
    bool prepared[STATEMENT_COUNT];
    struct queued queue[QUEUE_MAX];
    size_t queued;
    size_t synced;               /* so many of the queue have their results */
    struct buffer scratch;       /* encoded parameters of the statement being sent */
    unsigned int row_statements; /* names given so far */
    struct kept_query kept[KEPT_QUERIES];
    unsigned int kept_count; /* prepared so far */
    struct taken *taken;
    size_t taken_count;
    struct buffer arrays[ENTITY_COLUMNS_MAX]; /* of the run being written; keep their memory */
};

static inline struct store_postgresql *store_postgresql_of(struct store *store)
{
    return (struct store_postgresql *)store;
}

/* Session. */

/** Send one statement without parameters, which is not kept prepared. */
enum status store_postgresql_send_sql(struct store_postgresql *self, const char *sql,
                                      struct error *err) MUST_CHECK;

/** Send a row statement that takes the first `count` of self->arrays; `what` is kept until the next
 * sync. */
enum status store_postgresql_send_row(struct store_postgresql *self, const char *name,
                                      const char *what, size_t count, struct error *err) MUST_CHECK;

/** Run a query of few rows, in one message, outside of a snapshot: there each statement sees what
 * is committed once it has its locks. Statuses as of store_postgresql_sync(), and what the query's
 * visit() returned. */
enum status store_postgresql_query(struct store_postgresql *self, const struct row_query *query,
                                   struct error *err) MUST_CHECK;
void store_postgresql_query_done(struct store_postgresql *self);

/** Add a place to the queue of what was sent; or take the last one back, as nothing was. */
enum status store_postgresql_queue_add(struct store_postgresql *self, const char *what,
                                       struct error *err) MUST_CHECK;
enum status store_postgresql_queue_sent(struct store_postgresql *self, int sent, const char *what,
                                        struct error *err) MUST_CHECK;

/** Prepare a statement and wait for the verdict. */
enum status store_postgresql_prepare_sql(struct store_postgresql *self, const char *name,
                                         const char *sql, struct error *err) MUST_CHECK;

/** Read the results of all that was sent. They stay until the next send.
 * @return OK; the first error, with *ret_failed its place in the queue (may be NULL). */
enum status store_postgresql_sync(struct store_postgresql *self, size_t *ret_failed,
                                  struct error *err) MUST_CHECK;

/** @return the first row of a result; raise its index for the next one. */
struct store_row store_postgresql_row(PGresult *result);

/** Append text as PostgreSQL can hold it. A text that is not UTF-8, contains a NUL or begins with
 * "\x" becomes "\x" and its bytes in hexadecimal. */
void store_postgresql_encode(struct buffer *out, struct slice text);

/** @return whether these are UTF-8 without NUL. */
bool store_postgresql_is_text(struct slice text);

/** Wait for what was sent, and leave the pipeline, until PQenterPipelineMode(). */
enum status store_postgresql_leave_pipeline(struct store_postgresql *self,
                                            struct error *err) MUST_CHECK;

/* Arrays of values. */

void array_begin(struct buffer *array, enum wire wire);
void array_append(struct buffer *array, const void *bytes, size_t length);
void array_append_text(struct buffer *array, struct slice text);
void array_append_integer(struct buffer *array, int64_t integer);
void array_append_null(struct buffer *array);

/** Write the number of elements into the head. */
void array_end(struct buffer *array, size_t count);

/** @return the SQL type of an element, "bigint". */
const char *wire_name(enum wire wire);

/** Append a value in the form of its column.
 * @return OK; REJECT (held) where the database would not keep it exactly; `change` names the
 * entity.
 */
enum status store_postgresql_encode_value(const struct mapped_table *table, size_t index,
                                          const struct change *change, struct buffer *array,
                                          struct error *err) MUST_CHECK;

/* Tables. */

/** @return how the table keeps a column of the schema. */
const struct column_form *store_postgresql_form(const struct mapped_table *table, size_t index);

/** @return whether the type rewrites what it is given, as jsonb does. Where a value would not come
 * back as it was, a row statement fails with REWRITTEN_MARK and the column's index in the text. */
bool column_form_rewrites(const struct column_form *form);
#define REWRITTEN_MARK "keepstep: rewritten column "

#define POSTGRESQL_ROW_NAME_SIZE 24

/** Write the name of a prepared row statement. */
void store_postgresql_row_name(const struct row_statement *row, char *ret_name, size_t size);

/* Of the dialect. */
const char *store_postgresql_judge(const struct mapped_table *table, size_t index,
                                   struct slice text);
enum status store_postgresql_write(struct mapped_table *table, const struct change *const *changes,
                                   size_t count, struct error *err);

/** @return whether a run is one of new rows that COPY can write. */
bool store_postgresql_can_copy(const struct mapped_table *table,
                               const struct change *const *changes, size_t count);
/** Write it. Statuses as sql_dialect.write(). */
enum status store_postgresql_copy(struct mapped_table *table, const struct change *const *changes,
                                  size_t count, struct error *err) MUST_CHECK;
extern const struct sql_dialect store_postgresql_dialect;

/* Slots, one file each group. */
enum status store_postgresql_claim_keys(struct store *store, struct key_claim *claims, size_t count,
                                        struct error *err);
enum status store_postgresql_commit(struct store_sql *sql, bool durable, struct error *err);
enum status store_postgresql_open(const struct store_options *options, struct store **ret_store,
                                  struct error *err);
void store_postgresql_close(struct store *store);

extern const struct store_ops store_postgresql_ops;

extern const struct joint_ops joint_postgresql_ops;

#endif
