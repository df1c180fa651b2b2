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
    X(CATALOGUE_VERSION)                                                                           \
    X(CATALOGUE_DEFERRED)                                                                          \
    X(JOINT_HAS_SETS)                                                                              \
    X(JOINT_NEXT_SET)                                                                              \
    X(JOINT_NAME_WRITTEN)

enum sqlite_statement_id {
    STATEMENT_SQLITE = STATEMENT_SHARED_COUNT - 1,
#define STATEMENT_ID(name) STATEMENT_##name,
    STORE_SQLITE_STATEMENTS(STATEMENT_ID)
#undef STATEMENT_ID
        STATEMENT_COUNT
};

#define KEPT_STATEMENTS 32

struct store_sqlite {
    struct store_sql sql;
    sqlite3 *database;
    bool is_wal;
    bool has_written;               /* rows of copies in the open transaction */
    struct pending_memory *pending; /* see pending.c */
    bool has_deferred;              /* some foreign key is checked at COMMIT only */
    bool defers;                    /* all are, within this transaction: see store_ops.defer */
    bool has_pragma;                /* defer_foreign_keys is on, within this transaction */
    int busy_ms;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    sqlite3_stmt *kept[KEPT_STATEMENTS]; /* of texts that are made while it runs; NULL: free */
    size_t kept_next;                    /* the next to be replaced */
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

/** Prepare SQL, or find it among the last KEPT_STATEMENTS texts that were. It stays the session's,
 * and is valid until the next call; the caller resets it. @return OK; RETRY; FATAL. */
enum status store_sqlite_keep(struct store_sqlite *self, const char *sql,
                              sqlite3_stmt **ret_statement, struct error *err) MUST_CHECK;

/** BEGIN IMMEDIATE. */
enum status store_sqlite_begin(struct store_sqlite *self, struct error *err) MUST_CHECK;

extern const struct joint_ops joint_sqlite_ops;

struct joint_part;
/** Let the keys that a promise has taken be given to nobody else, or refuse it.
 * @return OK; REJECT; RETRY; FATAL. */
enum status joint_sqlite_keys(struct store *store, const struct joint_part *part,
                              struct error *err);

/* Of the dialect. */
enum status store_sqlite_silence(const struct mapped_table *table, bool silent, struct error *err);
enum status store_sqlite_write(struct mapped_table *table, const struct change *const *changes,
                               size_t count, struct error *err);
extern const struct sql_dialect store_sqlite_dialect;

/* Slots, one file each group. */
enum status store_sqlite_claim_keys(struct store *store, struct key_claim *claims, size_t count,
                                    struct error *err);
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
