/* Runs a query of two texts in MariaDB. */
#ifndef COMMON_MARIADB_SCAN_H
#define COMMON_MARIADB_SCAN_H

#include "common/mariadb_statement.h"
#include "common/row_query.h"

#define MARIADB_SCAN_PARAMETERS_MAX 64 /* of a run */

/** The caller sets the session's max_statement_time: one statement reads the whole table.
 * @return OK; what visit() returned; RETRY, also where the table was altered or emptied after the
 * snapshot began; FATAL. */
enum status mariadb_scan_run(MYSQL *session, struct row_query *query, struct error *err) MUST_CHECK;

#endif
