/* The tables of local copies, as all SQL stores keep them: their statements are texts of each
 * database with the names of a table filled in, prepared for the columns that a change brings. */
#ifndef CONSUMER_STORE_SQL_TABLE_H
#define CONSUMER_STORE_SQL_TABLE_H

#include "common/buffer.h"
#include "consumer/store/sql/session.h"

#define SQL_TEXT_SIZE_MAX ((size_t)1024 * 1024)

/** What a table's column can hold. Databases round and cut in silence, so the store checks. */
struct column_limits {
    bool takes_no_null;
    bool is_float;       /* of 32 bits */
    bool is_integer;     /* `min` and `max` hold, of decimals too */
    bool is_exact;       /* a key's decimal is written with exactly `digits_behind` digits */
    bool drops_sign;     /* of a zero below zero */
    bool counts_bytes;   /* `length_max` counts bytes, not characters */
    uint64_t length_max; /* 0: no limit */
    int64_t min;
    uint64_t max;
    uint32_t digits_before; /* of a decimal; 0 with `digits_behind` 0: no limit */
    uint32_t digits_behind;
    const char *time_min; /* NULL: no limit */
    const char *time_max;
    unsigned int form; /* how its values are bound; each database has its own */
};

/** How changes are written to their table. */
enum row_form {
    ROW_UPSERT,
    ROW_UPDATE, /* by the key */
    ROW_DELETE, /* by the key */
    ROW_INSERT, /* what is absent takes its default */
    ROW_FIND,   /* which of the keys of many rows are there */
    ROW_FORMS
};

/** A statement for the columns that changes bring. */
struct row_statement {
    bool is_prepared;
    enum row_form form;
    bool present[ENTITY_COLUMNS_MAX];
    uint16_t columns[ENTITY_COLUMNS_MAX]; /* that it binds, in order */
    size_t count;
    union {
        void *statement;     /* the database's, */
        unsigned int number; /* or what its name there is made of */
    };
};

#define SPARSE_SHAPES_MAX 16

/** A prepared mapping. First part of what a database knows of a table. */
struct mapped_table {
    struct store *store;
    const struct sql_dialect *dialect;
    const struct mapping *mapping;
    const char *name;
    bool keeps_order;    /* of all changes, not only of those of an entity */
    bool has_other_keys; /* a unique index that is not the mapped key */
    struct column_limits limits[ENTITY_COLUMNS_MAX];
    struct row_statement rows[ROW_FORMS];           /* of whole images */
    struct row_statement sparse[SPARSE_SHAPES_MAX]; /* shapes of images that lack columns */
    size_t sparse_next;                             /* the one to be replaced */
};

/** What the catalogue says of a column. */
struct catalogue_column {
    bool fits;                       /* its type keeps the values of the schema's column exactly */
    const char *better;              /* the type to declare where it does not */
    char collation[STORE_NAME_SIZE]; /* "": keys compare bytewise by it, */
    const char *bytewise;            /* and otherwise the one to declare */
};

/** How a database writes statements on local copies. The texts stand in its row.sql, where
 * sql_text_append() says how they are filled in. */
struct sql_dialect {
    const char *table_create;
    const char *table_widen;
    const char *row_upsert;
    const char *row_upsert_key; /* where nothing but the key is bound; NULL: no other */
    const char *row_update;
    const char *row_update_key; /* the same: finds whether the row is there */
    const char *row_delete;
    const char *row_insert; /* this and the next NULL: never asked for */
    const char *row_find;
    size_t key_columns_max; /* 0: no limit */

    char quote;           /* of names */
    const char *reserved; /* what names of the database's own tables begin with; NULL: nothing */
    int denied;           /* native code where a role may not make tables; 0: there are no roles */

    /** Append the quoted name of a mapping's table; NULL: one name. */
    void (*append_table)(struct buffer *sql, const struct mapping *mapping);
    /** Append what stands behind a column's name where it is created. */
    void (*append_type)(struct buffer *sql, const struct mapping *mapping, size_t index);
    /** Append the value that is bound for a column; NULL: "?". */
    void (*append_value)(struct buffer *sql, const struct mapped_table *table, size_t index);
    /** Append the rows of a statement that takes many; NULL: no text has {rows}. */
    void (*append_rows)(struct buffer *sql, const struct mapped_table *table,
                        const struct row_statement *row);
    const char *grants; /* what roles need on Keepstep's own tables; NULL: there are no roles */
    /** Append what the agent's role needs on a mapping's table; NULL: no more than on any. */
    void (*append_grants)(struct buffer *sql, const struct mapping *mapping);
    /** Refuse a column that cannot be made; NULL: all can. @return OK; FATAL. */
    enum status (*check_new)(const struct column *column, struct error *err);

    /** Sent behind the BEGIN of what makes a table, so that two do not do it at a time; NULL. */
    const char *lock;
    unsigned int order_id; /* of the statement for store_sql_order() */
    bool ignores_case;     /* in the names of columns */
    /** Say what the catalogue's column keeps of the schema's, and set table->limits.
     * @param row  of table_columns. @return OK; FATAL (refused for a reason of the database's own).
     */
    enum status (*check_column)(struct mapped_table *table, size_t index,
                                const struct store_row *row, struct catalogue_column *ret_found,
                                struct error *err);
    /** Refuse what else around the table would change a copy; NULL: nothing does.
     * @return OK; RETRY; FATAL. */
    enum status (*check_more)(struct mapped_table *table, struct error *err);

    /** Prepare a statement, in the place of what it was before. */
    enum status (*row_prepare)(const struct mapped_table *table, struct row_statement *row,
                               const char *sql, struct error *err);
    /** Free a prepared statement; NULL: it goes with the session. */
    void (*row_free)(struct row_statement *row);

    /** Judge what limits cannot say of a text that is written to a column; NULL: nothing.
     * @return NULL where it fits, else the reason. */
    const char *(*judge)(const struct mapped_table *table, size_t index, struct slice text);
    /** Silence the table's triggers for what this transaction writes, or let them speak again (rule
     * 25). */
    enum status (*silence)(const struct mapped_table *table, bool silent, struct error *err);
    bool silence_stays; /* where a savepoint is undone */
    /** Write a run of changes that were judged, as store_ops.apply(). */
    enum status (*write)(struct mapped_table *table, const struct change *const *changes,
                         size_t count, struct error *err);
};

#define SQL_DIALECT_TEXTS                                                                          \
    .table_create = SQL_TABLE_CREATE, .table_widen = SQL_TABLE_WIDEN,                              \
    .row_upsert = SQL_ROW_UPSERT, .row_update = SQL_ROW_UPDATE,                                    \
    .row_update_key = SQL_ROW_UPDATE_KEY, .row_delete = SQL_ROW_DELETE

/** What the places of a text are filled with. */
struct sql_text {
    const struct sql_dialect *dialect;
    const struct mapping *mapping;
    const struct mapped_table *table; /* where it is prepared: for # and {rows} */
    const struct row_statement *row;  /* for {rows} and the lists bound and others */
    size_t added;                     /* for the list added */
};

/** Append a text whose places are filled in. {table}: the table's name. {rows}: the rows of a
 * statement that takes many. {LIST|SEPARATOR|ITEM}: ITEM for each column of a list, where @ is its
 * name, # the value that is bound and % its type. Lists: all; key; first (of the key); bound (by
 * the statement, in that order); others (of those that are bound, without the key); added. */
void sql_text_append(struct buffer *sql, const struct sql_text *text, const char *form);

/** Append the quoted name of a mapping's table. */
void sql_table_name_append(struct buffer *sql, const struct sql_dialect *dialect,
                           const struct mapping *mapping);

/** Append the table's name as the statements on the catalogue take it: as in SQL where it may name
 * a schema, otherwise as it is. */
void sql_catalogue_name_append(struct buffer *out, const struct sql_dialect *dialect,
                               const struct mapping *mapping);

/** Append `name` between quotes; a quote in it is doubled. */
void sql_name_append(struct buffer *sql, const char *name, char quote);

/** @return what a column of the mapping's schema is called in the table. */
const char *mapping_column(const struct mapping *mapping, size_t index);

/** @return the prepared table of an entity type, or NULL. */
struct mapped_table *sql_table_find(const struct sql_tables *tables, const char *entity_type);

/** @return a table of which nothing is prepared; NULL: out of memory. */
struct mapped_table *sql_table_new(struct store *store, const struct sql_dialect *dialect,
                                   const struct mapping *mapping);
void sql_table_free(struct mapped_table *table);

/** Take `table`, in the place of an earlier one of its entity type; on failure it is freed.
 * @return OK; RETRY (memory). */
enum status sql_tables_take(struct sql_tables *tables, struct mapped_table *table,
                            struct error *err) MUST_CHECK;
void sql_tables_done(struct sql_tables *tables);

/** @return the statement of a form for the columns that a change brings, NULL where it is not
 * prepared. Only updates and upserts have statements of their own for images that lack columns. */
struct row_statement *sql_row_find(struct mapped_table *table, enum row_form form,
                                   const struct change *change);

/** Find it or prepare it. A statement for images that lack columns takes the place of the oldest of
 * these, which nothing may be waiting for. @param change  NULL: one that has all columns. */
enum status sql_row_prepare(struct mapped_table *table, enum row_form form,
                            const struct change *change, struct row_statement **ret_row,
                            struct error *err) MUST_CHECK;

#endif
