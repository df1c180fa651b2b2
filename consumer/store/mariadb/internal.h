/* What the files of the MariaDB store share: the session, its statements, parameters, tables. */
#ifndef CONSUMER_STORE_MARIADB_INTERNAL_H
#define CONSUMER_STORE_MARIADB_INTERNAL_H

#include "common/mariadb_statement.h"
#include "consumer/store/sql/prepare.h"

/** X(name): a statement that MariaDB alone has. */
#define STORE_MARIADB_STATEMENTS(X)                                                                \
    X(KEY_CLAIM)                                                                                   \
    X(APPLYING)                                                                                    \
    X(CATALOGUE_SERVER)                                                                            \
    X(CATALOGUE_VERSION)                                                                           \
    X(CATALOGUE_ORDER)                                                                             \
    X(CATALOGUE_CASCADE)                                                                           \
    X(CATALOGUE_INSERT_TRIGGERS)                                                                   \
    X(JOINT_OLD_PART)

enum mariadb_statement_id {
    STATEMENT_MARIADB = STATEMENT_SHARED_COUNT - 1,
#define STATEMENT_ID(name) STATEMENT_##name,
    STORE_MARIADB_STATEMENTS(STATEMENT_ID)
#undef STATEMENT_ID
        STATEMENT_COUNT
};

#define STATEMENT_PLACES_MAX 24

/** A prepared statement of a .sql file, whose parameters are written ?1, ?2 …. MariaDB knows only
 * places, each of which is one `?`. */
struct fixed_statement {
    struct mariadb_statement *prepared;       /* NULL: not yet */
    uint8_t parameters[STATEMENT_PLACES_MAX]; /* of each place, from 0 on */
    size_t place_count;
};

#define FOUND_KEYS      64 /* that one statement looks for */
#define KEY_COLUMNS_MAX 16 /* as many as an index may have */

/** How a column's values are bound: column_limits.form. */
enum bind_form { BIND_INTEGER, BIND_DOUBLE, BIND_TEXT, BIND_BYTES };

/** One value of an array. The column's form says which member is used. */
union array_value {
    int64_t integer;
    double number;
    const char *text;
};

/** One column's values over the rows of a chunk. The indicators mark what is NULL or absent. */
struct column_array {
    union array_value *values;
    unsigned long *lengths;
    char *indicators;
};

#define KEPT_QUERIES 8

/** A query of few rows that stays prepared. */
struct kept_query {
    char *sql; /* NULL: the place is free */
    char *table;
    struct mariadb_statement *statement;
};

struct store_mariadb {
    struct store_sql sql;
    MYSQL *session;
    int64_t snapshot_time_s; /* the server's, when the open snapshot began */
    bool applying;           /* the user variable that silences triggers is set */
    bool has_time;           /* statements are not bounded in time, since an earlier transaction */
    bool installs;           /* it is opened by `init`, which sees all of the catalogue */
    bool timestamps_64;      /* TIMESTAMP reaches 2106 */
    size_t packet_size;      /* the most that the server takes at once */
    struct fixed_statement statements[STATEMENT_COUNT];
    struct mariadb_parameter *values; /* of the statement being run, one a place */
    size_t value_count;               /* that there is room for */
    struct mariadb_statement *key_read;
    struct kept_query kept[KEPT_QUERIES];
    size_t kept_count;     /* that took a place so far */
    int64_t emptied_to_us; /* of joint transactions decided before, nothing is left to be emptied */
    struct column_array arrays[ENTITY_COLUMNS_MAX]; /* of the running chunk */
    size_t array_columns;                           /* that are allocated, each of array_rows */
    size_t array_rows;
};

static inline struct store_mariadb *store_mariadb_of(struct store *store)
{
    return (struct store_mariadb *)store;
}

struct joint_ops;
extern const struct joint_ops joint_mariadb_ops;

/** The seam's send() and send_rows(). */
enum status store_mariadb_send(struct store_sql *sql, const struct sql_call *call,
                               struct error *err) MUST_CHECK;
enum status store_mariadb_send_rows(struct store_sql *sql, const struct sql_call *call, size_t rows,
                                    struct error *err) MUST_CHECK;

struct row_query;

/** Run a query of few rows, which the session's own limit of time is enough for. Statuses as those
 * of mariadb_scan_run(). */
enum status store_mariadb_query(struct store_mariadb *self, struct row_query *query,
                                struct error *err) MUST_CHECK;
void store_mariadb_query_done(struct store_mariadb *self);

/** @return the part of a value's text that is bound, borrowed from it. */
struct slice store_mariadb_text(const struct column *column, struct slice text);

/** Append the key as MariaDB writes it. The length of each part stands before the part. */
void store_mariadb_key(const struct mapped_table *table, const struct change *change,
                       struct buffer *key);
void store_mariadb_key_part(struct buffer *key, struct slice part);

/** Check that the server takes the row in one message. @return OK; REJECT (held). */
enum status store_mariadb_judge_size(const struct mapped_table *table, const struct change *change,
                                     struct error *err) MUST_CHECK;

/** Changes to write. No two have the same key; those of a ROW_UPDATE have the same columns. */
struct rows_written {
    enum row_form form;
    const struct change *const *changes;
    size_t count;
    uint64_t matched; /* set: rows that existed; unknown for an upsert */
};

/** Write them as arrays, in chunks. */
enum status store_mariadb_write_rows(struct mapped_table *table, struct rows_written *rows,
                                     struct error *err) MUST_CHECK;

/** Mark which of `count` changes have a row, and lock these rows. */
enum status store_mariadb_find_rows(struct mapped_table *table, const struct change *const *changes,
                                    size_t count, bool *ret_present, struct error *err) MUST_CHECK;
void store_mariadb_arrays_free(struct store_mariadb *self);

/* Of the dialect. */
enum status store_mariadb_check_column(struct mapped_table *table, size_t index,
                                       const struct store_row *row,
                                       struct catalogue_column *ret_found, struct error *err);
enum status store_mariadb_check_more(struct mapped_table *table, struct error *err);
enum status store_mariadb_write(struct mapped_table *table, const struct change *const *changes,
                                size_t count, struct error *err);
extern const struct sql_dialect store_mariadb_dialect;

/* Slots, one file each group. */
enum status store_mariadb_commit(struct store_sql *sql, bool durable, struct error *err);
enum status store_mariadb_open(const struct store_options *options, struct store **ret_store,
                               struct error *err);
void store_mariadb_close(struct store *store);
enum status store_mariadb_order(struct store *store, const struct mapping *mapping,
                                const struct copies *copies, struct table_order *ret_order,
                                struct error *err);
enum status store_mariadb_claim_keys(struct store *store, struct key_claim *claims, size_t count,
                                     struct error *err);

extern const struct store_ops store_mariadb_ops;

#endif
