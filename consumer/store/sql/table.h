/* The tables of local copies and the statements that write their rows, for all SQL stores. A
 * statement is a text of the database with the table's names filled in. */
#ifndef CONSUMER_STORE_SQL_TABLE_H
#define CONSUMER_STORE_SQL_TABLE_H

#include "common/buffer.h"
#include "consumer/store/sql/session.h"
#include "schemas/column_sql.h"

#define SQL_TEXT_SIZE_MAX ((size_t)1024 * 1024)

/** What a table's column can hold. Databases round and cut without an error, so the store judges
 * every value itself (rule 28). */
struct column_limits {
    bool takes_no_null;
    bool is_timestamp;   /* MariaDB's TIMESTAMP, for struct column_sql */
    bool is_float;       /* of 32 bits */
    bool is_integer;     /* `min` and `max` hold, of decimals too */
    bool is_exact;       /* of a key: a decimal must have exactly `digits_behind` digits */
    bool drops_sign;     /* -0.0 becomes 0 */
    bool counts_bytes;   /* `length_max` counts bytes, not characters */
    uint64_t length_max; /* 0: no limit */
    int64_t min;
    uint64_t max;
    uint32_t digits_before; /* of a decimal; 0 with `digits_behind` 0: no limit */
    uint32_t digits_behind;
    const char *time_min; /* NULL: no limit */
    const char *time_max;
    unsigned int form; /* how values are bound; the meaning is the database's own */
};

/** What a statement does with rows. */
enum row_form {
    ROW_UPSERT,
    ROW_UPDATE, /* by the key */
    ROW_DELETE, /* by the key */
    ROW_INSERT, /* columns without a value take their default */
    ROW_FIND,   /* reads which of many keys exist */
    ROW_FORMS
};

/** A prepared statement. It serves all changes that bring values for the same columns. */
struct row_statement {
    bool is_prepared;
    enum row_form form;
    bool present[ENTITY_COLUMNS_MAX];
    uint16_t columns[ENTITY_COLUMNS_MAX]; /* that it binds, in order */
    size_t count;
    union { /* the database's: */
        void *statement;
        unsigned int number; /* part of the statement's name */
    };
};

#define SPARSE_SHAPES_MAX 16

/** A prepared mapping. */
struct mapped_table {
    struct store *store;
    const struct sql_dialect *dialect;
    const struct mapping *mapping;
    const char *name;
    bool keeps_order;    /* of all changes, not only of those of an entity */
    bool has_other_keys; /* a unique index that is not the mapped key */
    struct column_limits limits[ENTITY_COLUMNS_MAX];
    struct row_statement rows[ROW_FORMS];           /* for images with all columns */
    struct row_statement sparse[SPARSE_SHAPES_MAX]; /* for images that lack columns */
    size_t sparse_next;                             /* the next to be replaced */
};

/** What the catalogue says of a column. */
struct catalogue_column {
    bool fits;                       /* its type keeps the values of the schema's column exactly */
    const char *better;              /* the type to declare where it does not */
    char collation[STORE_NAME_SIZE]; /* "": keys compare bytewise by it, */
    const char *bytewise;            /* and otherwise the one to declare */
};

/** What is different from database to database in statements on local copies. Each database has one
 * constant of these. Where a member says NULL it may be left out. */
struct sql_dialect {
    /* The statements, from the database's row.sql. sql_text_append() says how they are written. */
    const char *table_create;
    const char *table_widen;
    const char *row_upsert;
    const char *row_upsert_key; /* where the key is all that is bound; NULL: as any other */
    const char *row_update;
    const char *row_update_key; /* where the key is all that is bound: counts the rows that exist */
    const char *row_delete;
    const char *row_insert;
    const char *row_find; /* NULL: never used */
    /* A row that is locked is waited for, but not as long as deadlocks are let be: the agent
     * yields.
     */
    const char *row_lock;     /* ends a query of rows by key; NULL: nobody else writes */
    const char *row_index;    /* that it goes by, so that it waits for no other row; NULL */
    const char *row_patience; /* what lets such a query wait; NULL: `row_lock` says it */
    const char *table_clear;  /* deletes {limit} rows, of a range {from} to {to} */
    const char *table_blocks; /* reads where that range ends; NULL: rows are counted */
    const char *table_keep;   /* keeps the table from being emptied or altered until the transaction
                                 ends; NULL: what is done with its rows does that */
    const char *table_version; /* of a kept table that no index of values, foreign key or partition
                                  adds to: a query by its name, whose number is another one when
                                  it allows less than it did; NULL: `version_id` tells it */
    const char *lock;          /* taken before a table is made, so that only one agent does; NULL */
    const char *grants;        /* rights on Keepstep's own tables; NULL: there are no roles */
    unsigned int order_id;     /* of the statement that store_sql_order() runs */
    unsigned int version_id; /* of the one whose number is another one when a kept table allows less
                                than it did; 0: a look at the catalogue costs no more */

    const struct column_dialect *columns; /* how the database writes a row as JSON */

    /* Names and limits. */
    char quote;             /* around names */
    bool ignores_case;      /* of column names */
    const char *reserved;   /* prefix of the database's own tables; NULL: none */
    size_t key_columns_max; /* 0: no limit */
    int denied;         /* native code of a missing right to make tables; 0: there are no roles */
    const int *lacking; /* and, up to 0, of a function of Keepstep's that is not there, or not for
                           the role; NULL: there are none */
    bool silence_stays; /* going back to a savepoint does not end silence() */

    /** Append the quoted name of a mapping's table. NULL: its name is one name. */
    void (*append_table)(struct buffer *sql, const struct mapping *mapping);
    /** Append the type of a column that is made, and its constraints. */
    void (*append_type)(struct buffer *sql, const struct mapping *mapping, size_t index);
    /** Append the value that is bound for a column. NULL: "?". */
    void (*append_value)(struct buffer *sql, const struct mapped_table *table, size_t index);
    /** Append the rows of a statement that takes many at once. NULL: no text has {rows}. */
    void (*append_rows)(struct buffer *sql, const struct mapped_table *table,
                        const struct row_statement *row);
    /** Append grants for a mapping's table, after those that every table gets. NULL: none. */
    void (*append_grants)(struct buffer *sql, const struct mapping *mapping);

    /** Check that the database can make a column for a column of the schema. NULL: it always can.
     * @return OK; FATAL. */
    enum status (*check_new)(const struct column *column, struct error *err);
    /** Judge a column of the catalogue, and set table->limits[index].
     * @param row  of the statement table_columns.
     * @return OK with *ret_found filled; FATAL (refused for a reason that only this database has).
     */
    enum status (*check_column)(struct mapped_table *table, size_t index,
                                const struct store_row *row, struct catalogue_column *ret_found,
                                struct error *err);
    /** Check what else belongs to the table: foreign keys, triggers. NULL: nothing to check.
     * @return OK; RETRY; FATAL. */
    enum status (*check_more)(struct mapped_table *table, struct error *err);

    /** Prepare a row statement. If one is prepared in `row`, it is freed first. */
    enum status (*row_prepare)(const struct mapped_table *table, struct row_statement *row,
                               const char *sql, struct error *err);
    /** Free a prepared row statement. NULL: it ends with the session. */
    void (*row_free)(struct row_statement *row);

    /** Judge a text by rules that struct column_limits cannot express. NULL: there are none.
     * @return NULL: it fits; else the reason why not. */
    const char *(*judge)(const struct mapped_table *table, size_t index, struct slice text);
    /** Silence Keepstep's triggers on the table in this transaction, or end that (rule 25). */
    enum status (*silence)(const struct mapped_table *table, bool silent, struct error *err);
    /** Write a run of changes; all of them were judged. As store_ops.apply(). */
    enum status (*write)(struct mapped_table *table, const struct change *const *changes,
                         size_t count, struct error *err);
};

#define SQL_DIALECT_TEXTS                                                                          \
    .table_create = SQL_TABLE_CREATE, .table_widen = SQL_TABLE_WIDEN,                              \
    .row_upsert = SQL_ROW_UPSERT, .row_update = SQL_ROW_UPDATE,                                    \
    .row_update_key = SQL_ROW_UPDATE_KEY, .row_delete = SQL_ROW_DELETE,                            \
    .row_insert = SQL_ROW_INSERT, .table_clear = SQL_TABLE_CLEAR

/** What the places in a text are filled with. */
struct sql_text {
    const struct sql_dialect *dialect;
    const struct mapping *mapping;
    const struct mapped_table *table; /* where it is prepared: for # and {rows} */
    const struct row_statement *row;  /* for {rows} and the lists bound and others */
    size_t added;                     /* for the list added */
    int64_t from;                     /* for {from} and {to} */
    int64_t to;
    int64_t limit; /* for {limit} */
};

/** Append `form` with its places filled in. {table} is the table's name, {rows} the rows of a
 * statement that takes many, {from}, {to} and {limit} numbers. {LIST|SEPARATOR|ITEM} is ITEM for
 * each column of a list; in it @ is the column's name, # the value that is bound and % its type.
 * The lists are: all columns; key; first (column of the key); bound (all that the statement binds,
 * in that order); others (bound, but not of the key); added (the one new column). */
void sql_text_append(struct buffer *sql, const struct sql_text *text, const char *form);

/** Append the quoted name of a mapping's table. */
void sql_table_name_append(struct buffer *sql, const struct sql_dialect *dialect,
                           const struct mapping *mapping);

/** Append the table's name as statements on the catalogue take it: quoted where it may contain a
 * schema, otherwise as it is. */
void sql_catalogue_name_append(struct buffer *out, const struct sql_dialect *dialect,
                               const struct mapping *mapping);

/** Append the names of the key's columns in the table: a JSON array. */
void sql_key_append(struct buffer *out, const struct mapping *mapping);

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

/** @return how a change is written: whole images as upserts, whatever their operation, or as
 * inserts where the change says so. */
enum row_form sql_row_form(const struct change *change);

/** @return the prepared statement for a change, or NULL. Updates and upserts of images that lack
 * columns have statements of their own; all other changes share one a form. */
struct row_statement *sql_row_find(struct mapped_table *table, enum row_form form,
                                   const struct change *change);

/** Find the statement for a change, or prepare it. A new statement for images that lack columns
 * replaces the oldest of these, so the caller must be done with that one.
 * @param change  NULL: one with all columns. */
enum status sql_row_prepare(struct mapped_table *table, enum row_form form,
                            const struct change *change, struct row_statement **ret_row,
                            struct error *err) MUST_CHECK;

#endif
