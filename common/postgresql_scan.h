/* Reads the rows of a whole table in a snapshot, a few at a time, and gives way to those who wait
 * for the table. */
#ifndef COMMON_POSTGRESQL_SCAN_H
#define COMMON_POSTGRESQL_SCAN_H

#include "common/buffer.h"
#include "common/postgresql_session.h"
#include "common/row_query.h"

#define POSTGRESQL_SCAN_PARAMETERS_MAX 64 /* of a run */

/** A query of two columns over one table. */
struct postgresql_scan {
    const char *table;            /* quoted */
    const char *query;            /* names the table, and the parameters $1… */
    struct slice_list parameters; /* texts */
    int64_t until_us;             /* monotonic; the scan ends there */
    int64_t rows_s;               /* that visit() takes a second; 0: it does not wait */
    text_pair_visit *visit;
    void *context;
};

/** Begin a read-only transaction all of whose statements see one state. It may be left idle, and
 * last, for `seconds`. */
enum status postgresql_snapshot_begin(PGconn *connection, int64_t seconds,
                                      struct error *err) MUST_CHECK;

/** Give way: see whether somebody waits for a table that this transaction has read. Legal between
 * two statements of it. @return OK; RETRY (roll back). */
enum status postgresql_snapshot_keep(PGconn *connection, struct error *err) MUST_CHECK;

/** See whether the snapshot still has a table's rows: of one that was rewritten, emptied or
 * replaced after the snapshot began it has none, without an error (rule 32). Partitions that came
 * or went since count too. The table must have been read before, so that nobody can do that from
 * now on. @param table  quoted. @return OK; RETRY. */
enum status postgresql_snapshot_has(PGconn *connection, const char *table,
                                    struct error *err) MUST_CHECK;

/** Run the query inside of such a transaction and hand each row to `visit`. One row is in memory.
 * @return OK; RETRY, also where postgresql_snapshot_keep() or postgresql_snapshot_has() return it;
 * what visit() returned. */
enum status postgresql_scan_run(PGconn *connection, const struct postgresql_scan *scan,
                                struct error *err) MUST_CHECK;

/** Write the parameters of the query's current run as texts that end with a NUL, each.
 * @return OK; RETRY; FATAL (too many). */
enum status postgresql_scan_parameters(const struct row_query *query, struct buffer *texts,
                                       struct slice parameters[POSTGRESQL_SCAN_PARAMETERS_MAX],
                                       struct error *err) MUST_CHECK;

/** As postgresql_scan_run(), once for each run of the query. */
enum status postgresql_scan_query(PGconn *connection, struct row_query *query,
                                  struct error *err) MUST_CHECK;

#endif
