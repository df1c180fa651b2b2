/* The seam between the code of all SQL stores and one database. Every database has the same
 * statements: the same names, and the same parameters in the same order. A session runs them. */
#ifndef CONSUMER_STORE_SQL_SESSION_H
#define CONSUMER_STORE_SQL_SESSION_H

#include "common/row_query.h"
#include "consumer/store/sql/row.h"

/** X(name): a statement that each database has as SQL_name in its .sql files. It is prepared at its
 * first use and kept. */
#define STORE_SQL_STATEMENTS(X)                                                                    \
    X(META_EXISTS)                                                                                 \
    X(META_READ)                                                                                   \
    X(META_ADD)                                                                                    \
    X(META_SET)                                                                                    \
    X(OUTBOX_COLUMNS)                                                                              \
    X(POSITION_TAKE)                                                                               \
    X(POSITION_READ)                                                                               \
    X(POSITION_LIST)                                                                               \
    X(POSITION_FENCE)                                                                              \
    X(POSITION_FENCE_EPOCH)                                                                        \
    X(SEQUENCE_READ)                                                                               \
    X(SEQUENCE_WRITE)                                                                              \
    X(SEQUENCE_CLEAR)                                                                              \
    X(KEY_CLEAR)                                                                                   \
    X(KEY_SCAN)                                                                                    \
    X(PAUSED_LIST)                                                                                 \
    X(FILL_LIST)                                                                                   \
    X(FILL_ASK)                                                                                    \
    X(FILL_EDIT)                                                                                   \
    X(FILL_NOTE)                                                                                   \
    X(FILL_FINISH)                                                                                 \
    X(POSITION_RAISE)                                                                              \
    X(POSITION_INSTALL)                                                                            \
    X(POSITION_FILLED)                                                                             \
    X(BLOCKED_CLEAR)                                                                               \
    X(PARKED_CLEAR)                                                                                \
    X(SUPERSEDED_CLEAR)                                                                            \
    X(KEY_PRUNE)                                                                                   \
    X(PENDING_INCARNATION)                                                                         \
    X(PENDING_WAITING)                                                                             \
    X(PENDING_NUMBERED)                                                                            \
    X(BLOCKED_READ)                                                                                \
    X(BLOCKED_ADD)                                                                                 \
    X(BLOCKED_DELETE)                                                                              \
    X(BLOCKED_DELETE_SET)                                                                          \
    X(PARKED_COUNT)                                                                                \
    X(PARKED_COUNT_BYTES)                                                                          \
    X(PARKED_ADD)                                                                                  \
    X(PARKED_READ)                                                                                 \
    X(PARKED_READ_ENTITY)                                                                          \
    X(PARKED_READ_SET)                                                                             \
    X(PARKED_READ_AFTER)                                                                           \
    X(PARKED_REVISE)                                                                               \
    X(PARKED_DELETE)                                                                               \
    X(PARKED_DELETE_SET)                                                                           \
    X(PARKED_RETRY_SET)                                                                            \
    X(PARKED_SKIP_SET)                                                                             \
    X(PARKED_ATTEMPT)                                                                              \
    X(PARKED_STATE)                                                                                \
    X(PARKED_UNPLACED)                                                                             \
    X(PARKED_PLACE)                                                                                \
    X(APPLIED)                                                                                     \
    X(PARKED_PRUNE)                                                                                \
    X(SUPERSEDED_KEEP)                                                                             \
    X(SUPERSEDED_READ)                                                                             \
    X(SUPERSEDED_NEXT)                                                                             \
    X(SUPERSEDED_DROP)                                                                             \
    X(TABLE_PLACE)                                                                                 \
    X(TABLE_READ)                                                                                  \
    X(TABLE_COLUMNS)                                                                               \
    X(TABLE_KEY)

/** Of joint transactions (joint.h). */
#define STORE_JOINT_STATEMENTS(X)                                                                  \
    X(JOINT_TABLES)                                                                                \
    X(JOINT_KNOWN)                                                                                 \
    X(JOINT_NOTE)                                                                                  \
    X(JOINT_NOTED)                                                                                 \
    X(JOINT_LOAD)                                                                                  \
    X(JOINT_FIND)                                                                                  \
    X(JOINT_MARK)                                                                                  \
    X(JOINT_MARKED)                                                                                \
    X(JOINT_SETTLED)                                                                               \
    X(JOINT_SAY)                                                                                   \
    X(JOINT_PROPOSE_AGAIN)                                                                         \
    X(JOINT_PRUNE)                                                                                 \
    X(JOINT_LOOK_AWAY)                                                                             \
    X(JOINT_OUTBOX_END)                                                                            \
    X(JOINT_WRITTEN)                                                                               \
    X(JOINT_TOUCHED)                                                                               \
    X(JOINT_TOUCHED_CLEAR)                                                                         \
    X(JOINT_RESERVE)                                                                               \
    X(JOINT_RELEASE)                                                                               \
    X(JOINT_HOLDER)                                                                                \
    X(JOINT_UNCOVERED)                                                                             \
    X(JOINT_FOREIGN)                                                                               \
    X(JOINT_PARENT)                                                                                \
    X(JOINT_PROPOSE)

/** Of joint transactions where several write at a time (joint_guard.c). SQLite leaves them out. */
#define STORE_GUARD_STATEMENTS(X)                                                                  \
    X(JOINT_YIELD)                                                                                 \
    X(JOINT_NOT_DURABLE)                                                                           \
    X(JOINT_LOOK_BACK)                                                                             \
    X(JOINT_NAME_CHANGES)                                                                          \
    X(JOINT_RESERVED_OF)                                                                           \
    X(JOINT_GUARD)                                                                                 \
    X(JOINT_GUARD_FREE)                                                                            \
    X(JOINT_GUARD_COUNT)                                                                           \
    X(JOINT_GUARD_STALE)                                                                           \
    X(JOINT_GUARD_KEEP)                                                                            \
    X(JOINT_IS_OPEN)                                                                               \
    X(JOINT_UNIQUE)

/** A database's own statements get the numbers from STATEMENT_SHARED_COUNT on. */
enum statement_id {
#define STATEMENT_ID(name) STATEMENT_##name,
    STORE_SQL_STATEMENTS(STATEMENT_ID) STORE_JOINT_STATEMENTS(STATEMENT_ID)
        STORE_GUARD_STATEMENTS(STATEMENT_ID)
#undef STATEMENT_ID
            STATEMENT_SHARED_COUNT
};

/** A value to bind, borrowed until send() returns. A text or bytes with `bytes.data` NULL are SQL's
 * NULL. */
struct parameter {
    enum parameter_kind {
        PARAMETER_INTEGER,
        PARAMETER_TEXT,     /* UTF-8 */
        PARAMETER_RAW_TEXT, /* a text from outside: perhaps not UTF-8 */
        PARAMETER_BYTES
    } kind;
    int64_t integer;
    struct slice bytes;
};

static inline struct parameter parameter_integer(int64_t integer)
{
    return (struct parameter){.kind = PARAMETER_INTEGER, .integer = integer};
}

static inline struct parameter parameter_text(const char *text)
{
    return (struct parameter){.kind = PARAMETER_TEXT, .bytes = slice_of(text)};
}

static inline struct parameter parameter_slice(struct slice text)
{
    return (struct parameter){.kind = PARAMETER_TEXT, .bytes = text};
}

static inline struct parameter parameter_raw(struct slice text)
{
    return (struct parameter){.kind = PARAMETER_RAW_TEXT, .bytes = text};
}

static inline struct parameter parameter_bytes(struct slice bytes)
{
    return (struct parameter){.kind = PARAMETER_BYTES, .bytes = bytes};
}

/** An array of parameters and its length: two arguments, or two members of a structure. */
#define PARAMETERS(...)                                                                            \
    (const struct parameter[]){__VA_ARGS__},                                                       \
        sizeof((const struct parameter[]){__VA_ARGS__}) / sizeof(struct parameter)

/** Reads one row of a result. It must not call the session. It sets row->is_last if it needs no
 * more rows. @return OK; any other status is the call's. */
typedef enum status sql_row_read(void *context, struct store_row *row, struct error *err);

/** One execution of a statement, and where its results go. */
struct sql_call {
    unsigned int id; /* enum statement_id, or the database's own */
    const struct parameter *parameters;
    size_t count;
    sql_row_read *read; /* NULL: no rows, or none that matter */
    void *context;      /* of read */
    int64_t *changes;   /* the number of rows it changed or found is added here; may be NULL */
};

/** struct sql_call of a statement and its parameters. */
#define SQL_CALL(name, ...)                                                                        \
    (struct sql_call)                                                                              \
    {                                                                                              \
        STATEMENT_##name, PARAMETERS(__VA_ARGS__), NULL, NULL, NULL                                \
    }
#define SQL_CALL_PLAIN(name) ((struct sql_call){.id = STATEMENT_##name})

/** What a transaction is for. */
enum sql_transaction {
    SQL_WRITE,   /* a batch's, or a repair's: its COMMIT need not wait for the disk */
    SQL_DURABLE, /* its COMMIT waits for the disk */
    SQL_SNAPSHOT /* all reads see one state */
};

struct store_sql;
struct joint_types; /* consumer/joint/joint.h */
struct joint_table; /* consumer/store/sql/joint.h */

/** What each database implements. Statuses are those of store_ops. A lost connection is RETRY with
 * err->connection_lost. */
struct sql_session_ops {
    /** Run a statement. A database that pipelines only sends it. Its rows, changes and errors then
     * come later, at the latest in wait(). So `context` and `changes` must live until wait(), or
     * until a later call could not be sent. */
    enum status (*send)(struct store_sql *self, const struct sql_call *call, struct error *err);
    /** As send(), once for each of `rows` rows of parameters, which have `call->count` parameters
     * each. The statement must not return rows. */
    enum status (*send_rows)(struct store_sql *self, const struct sql_call *call, size_t rows,
                             struct error *err);
    /** Send one command without parameters and results. @param sql  borrowed until wait(). */
    enum status (*execute)(struct store_sql *self, const char *sql, struct error *err);
    /** Run one command without parameters and results now.
     * @return OK, with how many rows it has changed; as wait(). */
    enum status (*change)(struct store_sql *self, const char *sql, int64_t *ret_rows,
                          struct error *err);
    /** Wait for the results of all that was sent. Outside a transaction, also give up the locks and
     * the snapshot of what was read. @return OK; the first error. */
    enum status (*wait)(struct store_sql *self, struct error *err);
    /** Create Keepstep's tables. Called inside a transaction; MariaDB commits it on the way. */
    enum status (*install)(struct store_sql *self, struct error *err);
    /** Begin a transaction. Sent, as by execute(). */
    enum status (*begin)(struct store_sql *self, enum sql_transaction kind, struct error *err);
    /** Commit and wait. With `durable`, wait also until it is on the disk. */
    enum status (*commit)(struct store_sql *self, bool durable, struct error *err);
    /** Legal in any state, cannot fail. */
    void (*rollback)(struct store_sql *self);
    /** Run a query in a snapshot. After a failure the snapshot has ended. */
    enum status (*query)(struct store_sql *self, struct row_query *query, struct error *err);
    /** See whether somebody waits for a table that the snapshot has read. NULL: nobody waits for a
     * reader, or nobody can tell. @return OK; RETRY. */
    enum status (*give_way)(struct store_sql *self, struct error *err);
    /** Others write while a transaction of ours is open: what joint transactions reserve is
     * guarded by keepstep_guard (rule 66), and may be lost with the server's settings (rule 62). */
    bool has_guard;
    /** A SAVEPOINT replaces an earlier one of the same name. */
    bool replaces_savepoints;
    /** 0: rows come one by one. Else the client library keeps whole results in memory, so long
     * results are read in parts of this many rows. */
    size_t part_rows;
};

/** The prepared tables of a store, which owns them; see table.h. */
struct sql_tables {
    const struct sql_dialect *dialect;
    struct mapped_table **items;
    size_t count;
};

/** First part of each SQL store. */
struct store_sql {
    struct store base;
    const struct sql_session_ops *session;
    bool in_transaction;
    bool read_only; /* a role that only reads may not see records: blocked entities are read only in
                       a snapshot */
    bool has_outbox;
    bool in_snapshot;
    int64_t snapshot_time_s;  /* that one may last */
    int64_t scan_rows_s;      /* that are read in it; 0: no limit */
    int64_t until_us;         /* monotonic; the open one ends there */
    struct sql_range *ranges; /* recorded, not yet written: see position.c */
    size_t range_count;
    struct sql_tables tables;
    const struct joint_types *joint_types; /* NULL: not prepared */
    struct joint_table *joint_tables;      /* parallel to them */
};

static inline struct store_sql *store_sql_of(struct store *store)
{
    return (struct store_sql *)store;
}

static inline enum status store_sql_send(struct store_sql *self, struct sql_call call,
                                         struct error *err)
{
    return self->session->send(self, &call, err);
}

static inline enum status store_sql_wait(struct store_sql *self, struct error *err)
{
    return self->session->wait(self, err);
}

/** Send. `read` gets each row, at the latest in wait(). */
static inline enum status store_sql_ask(struct store_sql *self, struct sql_call call,
                                        sql_row_read *read, void *context, struct error *err)
{
    call.read = read;
    call.context = context;
    return self->session->send(self, &call, err);
}

/** The send_rows() of a database that cannot take many rows in one message. */
enum status store_sql_send_each(struct store_sql *self, const struct sql_call *call, size_t rows,
                                struct error *err) MUST_CHECK;

/** Send and wait. */
enum status store_sql_run(struct store_sql *self, struct sql_call call,
                          struct error *err) MUST_CHECK;

/** store_sql_ask() and wait. */
enum status store_sql_query(struct store_sql *self, struct sql_call call, sql_row_read *read,
                            void *context, struct error *err) MUST_CHECK;

/** Send, wait, and read the first column of the first row as a number; `absent` without a row. */
enum status store_sql_number(struct store_sql *self, struct sql_call call, int64_t absent,
                             int64_t *ret_number, struct error *err) MUST_CHECK;

/** Begin and commit a transaction of the store's own. If one of them fails, roll back. */
enum status store_sql_transaction(struct store_sql *self, enum sql_transaction kind,
                                  struct error *err) MUST_CHECK;
enum status store_sql_finish(struct store_sql *self, struct error *err) MUST_CHECK;

/** At opening: with `install` create or update Keepstep's tables, and give the copy its id, another
 * one where `new_copy`. Then compare the schema version with the program's, and find an outbox in
 * the copy's database. @return OK; RETRY; FATAL (no tables: exit code 78; newer ones). */
enum status store_sql_ready(struct store_sql *self, const struct store_options *options,
                            struct error *err) MUST_CHECK;

/** Free what struct store_sql owns. */
void store_sql_done(struct store_sql *self);

/* Slots of store_ops. */
enum status store_sql_meta(struct store *store, struct store_meta *ret_meta, struct error *err);
enum status store_sql_read(struct store *store, const char *topic, int32_t partition,
                           struct partition_state *ret_state, struct error *err);
enum status store_sql_list(struct store *store, struct partition_state **ret_states,
                           size_t *ret_count, struct error *err);
enum status store_sql_take(struct store *store, struct partition_state *state, struct error *err);
enum status store_sql_begin(struct store *store, const struct fence *fences, size_t count,
                            struct error *err);
enum status store_sql_savepoint(struct store *store, bool undo, struct error *err);
enum status store_sql_drop_savepoint(struct store *store, struct error *err);
enum status store_sql_read_pending(struct store *store, struct pending_read *pending,
                                   struct error *err);
enum status store_sql_record_sequence(struct store *store, const char *topic, int32_t partition,
                                      const struct sequence_state *sequence, struct error *err);
enum status store_sql_park(struct store *store, struct parked_record *records, size_t count,
                           struct error *err);
enum status store_sql_read_parked(struct store *store, const struct parked_filter *filter,
                                  struct arena *arena, struct parked_records *ret_parked,
                                  struct error *err);
enum status store_sql_edit_parked(struct store *store, const struct parked_record *record,
                                  enum parked_edit edit, struct error *err);
enum status store_sql_keep_image(struct store *store, const struct superseded_image *image,
                                 struct error *err);
enum status store_sql_read_image(struct store *store, const struct superseded_image *wanted,
                                 struct arena *arena, struct superseded_image *ret_image,
                                 struct error *err);
enum status store_sql_drop_image(struct store *store, const struct superseded_image *image,
                                 struct error *err);
enum status store_sql_commit(struct store *store, bool durable, struct error *err);
void store_sql_rollback(struct store *store);
enum status store_sql_prune(struct store *store, const struct prune *prune, size_t *ret_pruned,
                            struct error *err);
enum status store_sql_snapshot(struct store *store, bool begin, struct error *err);
enum status store_sql_keep(struct store *store, struct error *err);
enum status store_sql_scan(struct store *store, const struct store_scan *scan, struct error *err);
enum status store_sql_clear(struct store *store, const struct mapping *mapping,
                            struct store_clearing *clearing, struct error *err);

enum status store_sql_list_paused(struct store *store, struct paused_types *ret_paused,
                                  struct error *err);
enum status store_sql_list_fills(struct store *store, struct fill_state **ret_fills,
                                 size_t *ret_count, struct error *err);
enum status store_sql_fill(struct store *store, enum fill_edit edit, const struct fill_state *fill,
                           const struct fill_partitions *partitions, struct error *err);

/** The part of store_sql_scan() that reads single keys. */
enum status store_sql_scan_keys(struct store_sql *self, const struct store_scan *scan,
                                struct error *err) MUST_CHECK;

/** @return OK; RETRY (no snapshot is open, or it has lasted too long). */
enum status store_sql_snapshot_check(const struct store_sql *self, struct error *err) MUST_CHECK;

enum status store_sql_applied(struct store *store, const char *token,
                              enum token_verdict *ret_verdict, struct error *err);

/** At `init`: store of each parked record, which an earlier version parked, its place in a
 * sequence. */
enum status store_sql_place_parked(struct store_sql *self, struct error *err) MUST_CHECK;

/** The slots that are the same for every database. */
#define STORE_SQL_SLOTS                                                                            \
    .meta = store_sql_meta, .read = store_sql_read, .list = store_sql_list,                        \
    .places = store_sql_places, .prepare = store_sql_prepare, .apply = store_sql_apply,            \
    .begin = store_sql_begin, .savepoint = store_sql_savepoint,                                    \
    .drop_savepoint = store_sql_drop_savepoint, .record_sequence = store_sql_record_sequence,      \
    .park = store_sql_park, .read_parked = store_sql_read_parked,                                  \
    .edit_parked = store_sql_edit_parked, .keep_image = store_sql_keep_image,                      \
    .read_image = store_sql_read_image, .drop_image = store_sql_drop_image,                        \
    .commit = store_sql_commit, .rollback = store_sql_rollback, .prune = store_sql_prune,          \
    .keep = store_sql_keep, .scan = store_sql_scan, .clear = store_sql_clear,                      \
    .list_fills = store_sql_list_fills, .list_paused = store_sql_list_paused,                      \
    .fill = store_sql_fill, .applied = store_sql_applied

/** Write the ranges that were recorded since the last call. */
enum status store_sql_write_ranges(struct store_sql *self, struct error *err) MUST_CHECK;

/** Read the rows of a pass from the outbox; see pending.h. */
struct pending_pass;
enum status store_sql_pending_rows(struct pending_pass *pass, struct error *err) MUST_CHECK;

#endif
