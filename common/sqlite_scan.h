/* Runs a query of two texts in SQLite. */
#ifndef COMMON_SQLITE_SCAN_H
#define COMMON_SQLITE_SCAN_H

#include "common/row_query.h"
#include "common/sqlite_session.h"

/** @return OK; what visit() returned; RETRY; FATAL. */
enum status sqlite_scan_run(sqlite3 *database, struct row_query *query,
                            struct error *err) MUST_CHECK;

/** The same by a statement that was prepared from the query's text. It is reset behind it. */
enum status sqlite_scan_statement(sqlite3_stmt *statement, struct row_query *query,
                                  struct error *err) MUST_CHECK;

#endif
