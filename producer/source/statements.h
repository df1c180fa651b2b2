/* The statements of a source, by number: each database's .sql files have them under the same names,
 * with the same parameters in the same order. */
#ifndef PRODUCER_SOURCE_STATEMENTS_H
#define PRODUCER_SOURCE_STATEMENTS_H

#define SOURCE_STATEMENTS(X)                                                                       \
    X(READ_LEASE)                                                                                  \
    X(HAS_WAIT_TABLES)                                                                             \
    X(HELD_BACK)                                                                                   \
    X(READ_PROGRESS)                                                                               \
    X(LOAD_PARTITIONS)                                                                             \
    X(SOURCE_SET_ASIDE)                                                                            \
    X(SOURCE_LAST_ROW)                                                                             \
    X(SOURCE_OPEN_KEYS)                                                                            \
    X(SOURCE_OPEN_ROWS)

enum source_statement {
#define SOURCE_STATEMENT(name) STATEMENT_##name,
    SOURCE_STATEMENTS(SOURCE_STATEMENT)
#undef SOURCE_STATEMENT
        SOURCE_STATEMENT_COUNT
};

#define SOURCE_STATEMENT_TEXT(name) [STATEMENT_##name] = SQL_##name,

#endif
