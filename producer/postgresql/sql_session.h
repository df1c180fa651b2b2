/* The session of a service's PostgreSQL database: made anew when it was lost. */
#ifndef PRODUCER_POSTGRESQL_SQL_SESSION_H
#define PRODUCER_POSTGRESQL_SQL_SESSION_H

#include "common/postgresql_session.h"
#include "producer/sql/session.h"

struct sql_postgresql {
    struct sql_session base;
    PGconn *connection; /* NULL: lost, or never opened */
    bool *prepared;     /* by statement, in this session */
    PGresult *result;   /* whose rows are being read; NULL: none */
    int row;
};

extern const struct sql_session_ops sql_postgresql_ops;

/** Drop a session that is gone, as after each statement. @return `status`. */
enum status sql_postgresql_judge(struct sql_postgresql *self, enum status status,
                                 const struct error *err);

#endif
