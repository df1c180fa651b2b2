/* What the files of the SQLite store share: the session, its statements, parameters and errors. */
#ifndef CONSUMER_STORE_SQLITE_INTERNAL_H
#define CONSUMER_STORE_SQLITE_INTERNAL_H

#include "common/sqlite_session.h"
#include "consumer/store/sql/prepare.h"

/** X(name): a statement that SQLite alone has. */
#define STORE_SQLITE_STATEMENTS(X)                                                                 \
    X(DURABLE_POSITION)                                                                            \
    X(DURABLE_COUNT)                                                                               \
    X(KEY_CLAIM)                                                                                   \
    X(KEY_READ)                                                                                    \
    X(APPLYING_SET)                                                                                \
    X(APPLYING_CLEAR)                                                                              \
    X(PENDING_WAITING_NEW)                                                                         \
    X(PENDING_POSITION)                                                                            \
    X(PENDING_LAST)                                                                                \
    X(CATALOGUE_ORDER)                                                                             \
    X(CATALOGUE_DEFERRED)

enum sqlite_statement_id {
    STATEMENT_SQLITE = STATEMENT_SHARED_COUNT - 1,
#define STATEMENT_ID(name) STATEMENT_##name,
    STORE_SQLITE_STATEMENTS(STATEMENT_ID)
#undef STATEMENT_ID
        STATEMENT_COUNT
};

struct store_sqlite {
    struct store_sql sql;
    sqlite3 *database;
    bool is_wal;
    bool has_written;               /* rows of copies in the open transaction */
    struct pending_memory *pending; /* see pending.c */
    bool has_deferred;              /* some foreign key is checked at COMMIT only */
    bool defers;                    /* all are, within this transaction: see store_ops.defer */
    int busy_ms;
    sqlite3_stmt *statements[STATEMENT_COUNT];
};

static inline struct store_sqlite *store_sqlite_of(struct store *store)
{
    return (struct store_sqlite *)store;
}

/** Set the error of a result code. @return its status. */
enum status store_sqlite_fail(struct store_sqlite *self, int code, const char *doing,
                              struct error *err);

/** Run SQL without parameters. */
enum status store_sqlite_execute(struct store_sqlite *self, const char *sql,
                                 struct error *err) MUST_CHECK;

/** Bind and step once; the caller ends it with sqlite3_reset(). What is bound is borrowed till
 * then.
 * @return OK with *ret_row telling whether there is a row. */
enum status store_sqlite_start(struct store_sqlite *self, unsigned int id,
                               const struct parameter *parameters, size_t count,
                               sqlite3_stmt **ret_statement, bool *ret_row,
                               struct error *err) MUST_CHECK;

/** Step a started statement again. */
enum status store_sqlite_next(struct store_sqlite *self, sqlite3_stmt *statement, bool *ret_row,
                              struct error *err) MUST_CHECK;

/** Run a statement to its end. @param ret_changes  rows that it changed; may be NULL. */
enum status store_sqlite_run(struct store_sqlite *self, unsigned int id,
                             const struct parameter *parameters, size_t count, int64_t *ret_changes,
                             struct error *err) MUST_CHECK;

/** Read the first column of the first row as a number; `absent` where there is no row. */
enum status store_sqlite_number(struct store_sqlite *self, unsigned int id,
                                const struct parameter *parameters, size_t count, int64_t absent,
                                int64_t *ret_number, struct error *err) MUST_CHECK;

/** BEGIN IMMEDIATE. */
enum status store_sqlite_begin(struct store_sqlite *self, struct error *err) MUST_CHECK;

/** Copy a text column into `size` bytes, cut where it is longer. */
void store_sqlite_copy(sqlite3_stmt *statement, int column, char *ret_text, size_t size);

/** Copy a column into an arena; NULL stays NULL. @return false without memory. */
bool store_sqlite_keep(sqlite3_stmt *statement, int column, struct arena *arena,
                       struct slice *ret_bytes) MUST_CHECK;

/** @return the current row for what all stores read alike. */
struct store_row store_sqlite_row(sqlite3_stmt *statement);

/* Of the dialect. */
enum status store_sqlite_silence(const struct mapped_table *table, bool silent, struct error *err);
enum status store_sqlite_write(struct mapped_table *table, const struct change *const *changes,
                               size_t count, struct error *err);
extern const struct sql_dialect store_sqlite_dialect;

/* Slots, one file each group. */
enum status store_sqlite_commit(struct store_sql *sql, bool durable, struct error *err);
enum status store_sqlite_open(const struct store_options *options, struct store **ret_store,
                              struct error *err);
void store_sqlite_close(struct store *store);
void store_sqlite_pending_done(struct store_sqlite *self);
enum status store_sqlite_read_pending(struct store *store, struct pending_read *pending,
                                      struct error *err);
/** Switch what COMMIT waits for: true the disk, false (WAL only) nothing. Not in a transaction. */
enum status store_sqlite_synchronous(struct store_sqlite *self, bool full,
                                     struct error *err) MUST_CHECK;
/** @return OK; REJECT (waiting) where a deferred foreign key is violated. */
enum status store_sqlite_check_deferred(struct store_sqlite *self, const char *what,
                                        struct error *err) MUST_CHECK;

extern const struct store_ops store_sqlite_ops;

#endif
