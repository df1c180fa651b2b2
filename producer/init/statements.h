/* The statements of an origin, by number: each database's install.sql has them under the same
 * names. */
#ifndef PRODUCER_INIT_STATEMENTS_H
#define PRODUCER_INIT_STATEMENTS_H

/** Those that every database has, with the same parameters in the same order. */
#define ORIGIN_STATEMENTS(X)                                                                       \
    X(HAS_RELAY)                                                                                   \
    X(READ_HOLDER)                                                                                 \
    X(INSERT_RELAY)                                                                                \
    X(CREATE_IN_LOG)                                                                               \
    X(CREATE_LOG_END)                                                                              \
    X(NOTE_IN_LOG)                                                                                 \
    X(READ_NOTED)                                                                                  \
    X(CONFIRM_IN_LOG)                                                                              \
    X(RENAME_NOTED)                                                                                \
    X(NOTE_LOG_END)                                                                                \
    X(FORWARD_DROP)                                                                                \
    X(FORWARD_FORGET)                                                                              \
    X(FORWARD_WAIT)                                                                                \
    X(RESTART_RELAY)                                                                               \
    X(RESTART_DROP_ACKNOWLEDGED)                                                                   \
    X(RESTART_UNCLAIM)                                                                             \
    X(RESTART_CHANGESETS)                                                                          \
    X(FIND_COLUMN)                                                                                 \
    X(RESTART_PARTITIONS)                                                                          \
    X(RESTART_MOVED)                                                                               \
    X(RESTART_READ)                                                                                \
    X(RESTART_EXISTING)                                                                            \
    X(RESTART_EXISTING_KEY)                                                                        \
    X(RESTART_CAPTURED)                                                                            \
    X(READ_CAPTURED)                                                                               \
    X(WRITE_CAPTURED)                                                                              \
    X(REPUBLISH_KEYS)                                                                              \
    X(REPUBLISH_PROGRESS)                                                                          \
    X(REPUBLISH_NEWS)                                                                              \
    X(READ_PROGRESS)                                                                               \
    X(WRITE_PROGRESS)                                                                              \
    X(LIST_MADE)                                                                                   \
    X(COUNT_UNPUBLISHED)                                                                           \
    X(PAUSED_LIST)                                                                                 \
    X(PAUSE_TYPE)                                                                                  \
    X(RESUME_TYPE)                                                                                 \
    X(WRITE_EVENTS)                                                                                \
    X(HAS_RESERVED)                                                                                \
    X(FIND_RESERVED)                                                                               \
    X(FIND_UNSETTLED)                                                                              \
    X(LOOK)

/** Those that a server has and a file has not. */
#define ORIGIN_SERVER_STATEMENTS(X) X(NOT_DURABLE)

enum origin_statement {
#define ORIGIN_STATEMENT(name) STATEMENT_##name,
    ORIGIN_STATEMENTS(ORIGIN_STATEMENT) ORIGIN_SERVER_STATEMENTS(ORIGIN_STATEMENT)
#undef ORIGIN_STATEMENT
        STATEMENT_LIFT_LIMIT,     /* PostgreSQL: this transaction may take as long as it takes */
    STATEMENT_LIMIT_WAIT,         /* PostgreSQL: this transaction waits for no row for long */
    STATEMENT_LOCK_OUTBOX,        /* PostgreSQL */
    STATEMENT_HOLD_PROGRESS,      /* two `init` take turns; SQLite's BEGIN does that */
    STATEMENT_LOCK_GAPS,          /* MariaDB: the next transaction locks rows that are not there */
    STATEMENT_REFUSE_HIDDEN_ROWS, /* PostgreSQL: of policies */
    STATEMENT_READ_PLACE,         /* MariaDB: the key to go on behind */
    STATEMENT_WRITE_PLACE,        /* MariaDB */
    STATEMENT_JOINT_UNFIT,        /* PostgreSQL: struct origin_look */
    STATEMENT_HAS_RIGHT,          /* PostgreSQL: whether this login has one; NULL: no such object */
    STATEMENT_SHOW_DATABASE,      /* MariaDB: its name */
    STATEMENT_SHOW_RIGHTS,        /* MariaDB: what this login may do, as statements */
    STATEMENT_FIND_TABLE,         /* MariaDB: what `compare` reads */
    STATEMENT_FIND_FUNCTION,
    STATEMENT_FIND_TRIGGER,
    STATEMENT_FIND_INDEX, /* MariaDB */
    STATEMENT_MOVES,      /* MariaDB: whether @@last_gtid moves inside of transactions */
    STATEMENT_WATCH_MOVES,
    STATEMENT_WATCH_TRIGGER, /* MariaDB: the same with the rights of the relay's role */
    ORIGIN_STATEMENT_COUNT
};

#define ORIGIN_STATEMENT_TEXT(name) [STATEMENT_##name] = SQL_##name,

#endif
