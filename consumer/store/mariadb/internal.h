/* What the files of the MariaDB store share: the session, its statements, parameters, tables. */
#ifndef CONSUMER_STORE_MARIADB_INTERNAL_H
#define CONSUMER_STORE_MARIADB_INTERNAL_H

#include "common/mariadb_statement.h"
#include "consumer/store/sql/session.h"

/** X(name): a statement that MariaDB alone has. */
#define STORE_MARIADB_STATEMENTS(X)                                                                \
    X(APPLYING)                                                                                    \
    X(PLACE_READ)                                                                                  \
    X(CATALOGUE_SERVER)                                                                            \
    X(CATALOGUE_ORDER)                                                                             \
    X(CATALOGUE_TABLE)                                                                             \
    X(CATALOGUE_COLUMN)                                                                            \
    X(CATALOGUE_NEEDED)                                                                            \
    X(CATALOGUE_INDEXES)                                                                           \
    X(CATALOGUE_CASCADE)                                                                           \
    X(CATALOGUE_INSERT_TRIGGERS)

enum mariadb_statement_id {
    STATEMENT_MARIADB = STATEMENT_SHARED_COUNT - 1,
#define STATEMENT_ID(name) STATEMENT_##name,
    STORE_MARIADB_STATEMENTS(STATEMENT_ID)
#undef STATEMENT_ID
        STATEMENT_COUNT
};

#define STATEMENT_PLACES_MAX 24

/** A statement of a .sql file, prepared. Its parameters are written ?1, ?2 …; MariaDB knows places
 * only, so that each place knows its parameter. */
struct fixed_statement {
    struct mariadb_statement *prepared; /* NULL: not yet */
    uint8_t parameters[STATEMENT_PLACES_MAX];
    size_t place_count;
};

/** How rows are written; each form is one array statement of a table. */
enum row_form {
    ROW_UPSERT,  /* ON DUPLICATE KEY UPDATE; only where the table allows it */
    ROW_UPDATE,  /* by the key; of images that lack columns see struct sparse_update */
    ROW_INSERT,  /* columns that are absent take their default */
    ROW_DELETE,  /* by the key */
    ROW_PRESENT, /* which of PRESENT_KEYS keys are there, locked; not an array */
    ROW_FORMS
};

#define PRESENT_KEYS    64
#define KEY_COLUMNS_MAX 16 /* as many as an index may have */

/** How a column's values are bound. */
enum bind_form { BIND_INTEGER, BIND_DOUBLE, BIND_TEXT, BIND_BYTES };

/** What a table's column can hold; databases round and cut in silence, so the store checks. */
struct column_limits {
    enum bind_form form;
    bool nullable;
    bool is_float;
    bool is_timestamp; /* seconds since 1970 */
    bool is_integer;   /* min and max hold, of decimals too */
    bool counts_bytes; /* length_max counts bytes, not characters */
    int64_t min;
    uint64_t max;
    uint32_t digits_before; /* of a decimal */
    uint32_t digits_behind;
    uint64_t length_max; /* 0: no limit */
};

/** One value of an array: which member counts, the column's form says. */
union array_value {
    int64_t integer;
    double number;
    const char *text;
};

/** One column's values over the rows of a chunk; an indicator tells NULL and absent. */
struct column_array {
    union array_value *values;
    unsigned long *lengths;
    char *indicators;
};

/** An UPDATE of the columns that some images have. A parameter that an array's indicator tells to
 * leave alone will not do: where the column was NULL the server writes '' or 0 into it. */
struct sparse_update {
    struct mariadb_statement *statement; /* NULL: not prepared */
    bool present[ENTITY_COLUMNS_MAX];
};

#define SPARSE_UPDATES_MAX 16

/** A prepared mapping. */
struct mapped_table {
    const struct mapping *mapping;
    const char *name;
    bool keeps_order; /* of all changes, not only of those of an entity */
    bool upserts;     /* no unique index but the mapped key, and no trigger before an insert */
    struct column_limits limits[ENTITY_COLUMNS_MAX];
    struct mariadb_statement *rows[ROW_FORMS];
    struct sparse_update sparse[SPARSE_UPDATES_MAX];
    size_t sparse_next; /* the one to be replaced */
};

struct store_mariadb {
    struct store_sql sql;
    MYSQL *session;
    bool applying;      /* the user variable that silences triggers is set */
    bool installs;      /* it is opened by `init`, which sees all of the catalogue */
    bool timestamps_64; /* TIMESTAMP reaches 2106 */
    size_t packet_size; /* the most that the server takes at once */
    struct fixed_statement statements[STATEMENT_COUNT];
    struct mariadb_parameter *values; /* of the statement being run, one a place */
    size_t value_count;               /* that there is room for */
    struct mariadb_statement *key_read;
    struct mariadb_statement *key_claim;
    struct mapped_table **tables;
    size_t table_count;
    struct column_array arrays[ENTITY_COLUMNS_MAX]; /* of the running chunk */
    size_t array_columns;                           /* that are allocated, each of array_rows */
    size_t array_rows;
};

static inline struct store_mariadb *store_mariadb_of(struct store *store)
{
    return (struct store_mariadb *)store;
}

#define PARAMETERS_MAX (PRESENT_KEYS * KEY_COLUMNS_MAX)

/** Query with a fixed statement; mariadb_statement_end() before the next one.
 * @return OK with *ret_row telling whether there is a row. */
enum status store_mariadb_start(struct store_mariadb *self, unsigned int id,
                                const struct parameter *parameters, size_t count,
                                struct mariadb_statement **ret_statement, bool *ret_row,
                                struct error *err) MUST_CHECK;

/** Run a statement to its end. @param ret_matched  rows that did; may be NULL. */
enum status store_mariadb_run(struct store_mariadb *self, unsigned int id,
                              const struct parameter *parameters, size_t count,
                              uint64_t *ret_matched, struct error *err) MUST_CHECK;

/** The seam's send() and send_rows(). */
enum status store_mariadb_send(struct store_sql *sql, const struct sql_call *call,
                               struct error *err) MUST_CHECK;
enum status store_mariadb_send_rows(struct store_sql *sql, const struct sql_call *call, size_t rows,
                                    struct error *err) MUST_CHECK;

/** Read the first column of the first row as a number; `absent` where there is no row. */
enum status store_mariadb_number(struct store_mariadb *self, unsigned int id,
                                 const struct parameter *parameters, size_t count, int64_t absent,
                                 int64_t *ret_number, struct error *err) MUST_CHECK;

/** Outside a transaction: end what a SELECT began, so that no snapshot and no lock stays. */
void store_mariadb_release(struct store_mariadb *self);

/** @return the current row for what all stores read alike. */
struct store_row store_mariadb_row(struct mariadb_statement *statement);

/** @return the prepared table of a mapping's entity type, or NULL. */
struct mapped_table *store_mariadb_table(struct store_mariadb *self, struct slice entity_type);
void store_mariadb_table_free(struct mapped_table *table);

/** Append `name` in backticks. */
void store_mariadb_append_name(struct buffer *sql, const char *name);
const char *store_mariadb_column_name(const struct mapping *mapping, size_t index);

/** Prepare the array statement of a form, unless it is. */
enum status store_mariadb_row_prepare(struct store_mariadb *self, struct mapped_table *table,
                                      enum row_form form, struct error *err) MUST_CHECK;

/** Find or prepare the UPDATE of exactly the columns that are present, in the place of the oldest.
 * @param ret_statement  valid until the next call. */
enum status store_mariadb_sparse_prepare(struct store_mariadb *self, struct mapped_table *table,
                                         const bool present[static ENTITY_COLUMNS_MAX],
                                         struct mariadb_statement **ret_statement,
                                         struct error *err) MUST_CHECK;

/** Read the catalogue of a table that is there: fill limits and `upserts`, and mark in `missing`
 * the columns that must be added. @return OK; FATAL (what it holds would not be kept exactly). */
enum status store_mariadb_check(struct store_mariadb *self, struct mapped_table *table,
                                bool missing[static ENTITY_COLUMNS_MAX],
                                struct error *err) MUST_CHECK;

/** Judge every value of a change, and that its key is whole. @return OK; REJECT (held). */
enum status store_mariadb_judge(const struct store_mariadb *self, const struct mapped_table *table,
                                const struct change *change, struct error *err) MUST_CHECK;

/** The form in which a value is bound as text: cut, borrowed from the value. */
struct slice store_mariadb_text(const struct column *column, struct slice text);

/** Append the key as MariaDB writes it, each part behind its length. */
void store_mariadb_key(const struct mapped_table *table, const struct change *change,
                       struct buffer *key);
void store_mariadb_key_part(struct buffer *key, struct slice part);

/** Write changes of which no two have the same key; of ROW_UPDATE all have the same columns.
 * @param ret_matched  rows that there were (an upsert: not told). */
enum status store_mariadb_write(struct store_mariadb *self, struct mapped_table *table,
                                enum row_form form, const struct change *const *changes,
                                size_t count, uint64_t *ret_matched, struct error *err) MUST_CHECK;

/** Mark which of `count` changes have a row, which is locked by it. */
enum status store_mariadb_present(struct store_mariadb *self, struct mapped_table *table,
                                  const struct change *const *changes, size_t count,
                                  bool *ret_present, struct error *err) MUST_CHECK;
void store_mariadb_arrays_free(struct store_mariadb *self);

/** Append `create` and the rest of a CREATE TABLE. @return OK; FATAL (a column that cannot be). */
enum status store_mariadb_append_table(struct buffer *sql, const struct mapping *mapping,
                                       const char *create, struct error *err) MUST_CHECK;

/* Slots, one file each group. */
enum status store_mariadb_commit(struct store_sql *sql, bool durable, struct error *err);
enum status store_mariadb_open(const struct store_options *options, struct store **ret_store,
                               struct error *err);
void store_mariadb_close(struct store *store);
enum status store_mariadb_places(struct store *store, struct place *places, size_t count,
                                 bool record, struct error *err);
enum status store_mariadb_prepare(struct store *store, const struct mapping *mapping,
                                  struct error *err);
enum status store_mariadb_order(struct store *store, const struct mapping *mapping,
                                const struct copies *copies, struct table_order *ret_order,
                                struct error *err);
enum status store_mariadb_apply(struct store *store, const struct mapping *mapping,
                                const struct change *const *changes, size_t count,
                                struct error *err);
enum status store_mariadb_claim_keys(struct store *store, struct key_claim *claims, size_t count,
                                     struct error *err);

extern const struct store_ops store_mariadb_ops;

#endif
