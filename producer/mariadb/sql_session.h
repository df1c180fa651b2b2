/* The session of a service's MariaDB database: made anew when it was lost. */
#ifndef PRODUCER_MARIADB_SQL_SESSION_H
#define PRODUCER_MARIADB_SQL_SESSION_H

#include "common/mariadb_statement.h"
#include "producer/sql/session.h"

struct sql_mariadb {
    struct sql_session base;
    MYSQL *handle; /* NULL: lost, or never opened */
    struct sql_mariadb_statement *statements;
    struct mariadb_statement *running; /* whose rows are being read; NULL: none */
};

extern const struct sql_session_ops sql_mariadb_ops;

#endif
