/* What the parts of the benchmarks' database connection share. */
#ifndef BENCH_DATABASE_INTERNAL_H
#define BENCH_DATABASE_INTERNAL_H

#include "database.h"

#include <libpq-fe.h>
#include <mysql.h>
#include <sqlite3.h>

/** One of the three is set. */
struct database {
    sqlite3 *sqlite;
    PGconn *postgresql;
    MYSQL *mariadb;
};

#endif
