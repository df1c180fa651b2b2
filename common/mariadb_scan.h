/* Reads the rows of whole tables of MariaDB in a snapshot. */
#ifndef COMMON_MARIADB_SCAN_H
#define COMMON_MARIADB_SCAN_H

#include "common/mariadb_statement.h"
#include "common/row_query.h"

#define MARIADB_SCAN_PARAMETERS_MAX 64 /* of a run */

/** Read the server's time in whole seconds, before a snapshot begins. Not within a transaction. */
enum status mariadb_snapshot_time(MYSQL *session, int64_t *ret_time_s,
                                  struct error *err) MUST_CHECK;

/** See whether the snapshot has the rows of the table that has this name now. Another one may have
 * got the name after the snapshot began, and that is no error of its own. Nobody can do that from
 * the first statement on that reads the table. A table that was changed in the second before the
 * snapshot counts as replaced too, because the server keeps that time in whole seconds.
 * @param table  quoted. @param time_s  of the snapshot. @return OK; RETRY. */
enum status mariadb_snapshot_has(MYSQL *session, const char *table, int64_t time_s,
                                 struct error *err) MUST_CHECK;

/** Run the query. The caller sets the session's max_statement_time, because one statement reads the
 * whole table.
 * @return OK; what visit() returned; RETRY, also where the table was altered or emptied after the
 * snapshot began; FATAL. */
enum status mariadb_scan_run(MYSQL *session, struct row_query *query, struct error *err) MUST_CHECK;

/** Run its only run by a statement that was prepared from its text before. Statuses as above. */
enum status mariadb_scan_once(struct mariadb_statement *statement, struct row_query *query,
                              struct error *err) MUST_CHECK;

#endif
