/* Runs a query of two texts in SQLite. */
#ifndef COMMON_SQLITE_SCAN_H
#define COMMON_SQLITE_SCAN_H

#include "common/row_query.h"
#include "common/sqlite_session.h"

/** @return OK; what visit() returned; RETRY; FATAL. */
enum status sqlite_scan_run(sqlite3 *database, struct row_query *query,
                            struct error *err) MUST_CHECK;

#endif
