/* The statements of an outbox, by number: each database's relay.sql has them under the same names.
 */
#ifndef PRODUCER_OUTBOX_STATEMENTS_H
#define PRODUCER_OUTBOX_STATEMENTS_H

/** Those that every database has, with the same parameters in the same order. */
#define OUTBOX_STATEMENTS(X)                                                                       \
    X(READ_LEASE)                                                                                  \
    X(TAKE_LEASE)                                                                                  \
    X(RELEASE_LEASE)                                                                               \
    X(RENEW_LEASE)                                                                                 \
    X(LOAD_PARTITIONS)                                                                             \
    X(LOAD_WAITING)                                                                                \
    X(LOAD_SETS)                                                                                   \
    X(LOAD_JOINT)                                                                                  \
    X(CLAIM_ROWS)                                                                                  \
    X(CLAIM_PARTITIONS)                                                                            \
    X(CLAIM_TYPES)                                                                                 \
    X(READ_TYPE)                                                                                   \
    X(MOVE_SCAN)                                                                                   \
    X(MOVE_NOTE)                                                                                   \
    X(MOVE_ROWS)                                                                                   \
    X(MOVE_TYPE)                                                                                   \
    X(LOAD_CLAIMED)                                                                                \
    X(ACKNOWLEDGE)                                                                                 \
    X(NOTE_READ)                                                                                   \
    X(SET_ASIDE)                                                                                   \
    X(HOLD_SET_ASIDE)                                                                              \
    X(SET_ASIDE_REST)                                                                              \
    X(LOAD_GROUP)                                                                                  \
    X(WRITE_KEYS)                                                                                  \
    X(FIND_ROW)                                                                                    \
    X(HELD_BACK)                                                                                   \
    X(HAS_FILL_TABLE)                                                                              \
    X(UNREAD)                                                                                      \
    X(COUNT_ROWS)                                                                                  \
    X(FIND_SET_ASIDE)                                                                              \
    X(RETRY_SET)                                                                                   \
    X(DROP_SET)                                                                                    \
    X(CUT_SET)                                                                                     \
    X(RELEASE_BEHIND)                                                                              \
    X(PAUSED_LIST)                                                                                 \
    X(TOKEN)                                                                                       \
    X(HAS_POSITION_TABLE)                                                                          \
    X(HAS_WAIT_TABLES)                                                                             \
    X(IS_PREPARED)

enum outbox_statement {
#define OUTBOX_STATEMENT(name) STATEMENT_##name,
    OUTBOX_STATEMENTS(OUTBOX_STATEMENT)
#undef OUTBOX_STATEMENT
        STATEMENT_NOT_DURABLE, /* the settings that outbox.h's lease has; SQLite has none */
    STATEMENT_LOCK_LEASE,      /* as READ_LEASE, and keeps the row until the transaction's end */
    STATEMENT_LIST_WAITING,
    STATEMENT_LIST_SET_ASIDE,
    STATEMENT_LIST_ALL,
    /* The purge in one statement; without it the rows are read one by one, then deleted. */
    STATEMENT_PURGE,
    STATEMENT_PURGE_APPLIED,
    STATEMENT_PURGE_SCAN,
    STATEMENT_PURGE_SCAN_APPLIED,
    STATEMENT_PURGE_ROW,
    STATEMENT_PURGE_MOVED,
    /* CLAIM_ROWS and CLAIM_PARTITIONS for one row: cheaper where there are few. */
    STATEMENT_CLAIM_ROW,
    STATEMENT_CLAIM_PARTITION,
    STATEMENT_SIGNATURE,     /* a text that is another one once another session has committed */
    STATEMENT_COUNT_FITTING, /* MariaDB: how many rows of LOAD_WAITING fit */
    STATEMENT_COUNT_FITTING_SETS, /* MariaDB: the same of LOAD_SETS */
    STATEMENT_JOIN_BY_HASH,       /* PostgreSQL: before statements over unnest() */
    STATEMENT_SLEEP,              /* PostgreSQL: commits notify from now on */
    STATEMENT_OLDER_ENDED, /* PostgreSQL: whether all transactions from before SLEEP have ended */
    STATEMENT_AWAKE,
    OUTBOX_STATEMENT_COUNT
};

#define OUTBOX_STATEMENT_TEXT(name) [STATEMENT_##name] = SQL_##name,

#endif
