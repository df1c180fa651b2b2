/* The session of a service's SQLite database. */
#ifndef PRODUCER_SQLITE_SQL_SESSION_H
#define PRODUCER_SQLITE_SQL_SESSION_H

#include "producer/sql/session.h"
#include "common/sqlite_session.h"

struct sql_sqlite {
    struct sql_session base;
    sqlite3 *db;
    sqlite3_stmt **statements; /* by number, each prepared at its first use */
    sqlite3_stmt *running;     /* whose rows are being read; NULL: none */
    bool stepped;              /* run() has stepped to a row that next() has not given yet */
};

/** Prepare a statement ahead of its first use. One that SQLite does not need is OK.
 * @return OK; RETRY; FATAL, also where a table that it names is missing. */
enum status sql_sqlite_prepare(struct sql_sqlite *self, unsigned statement,
                               struct error *err) MUST_CHECK;

extern const struct sql_session_ops sql_sqlite_ops;

#endif
