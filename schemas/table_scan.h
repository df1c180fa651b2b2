/* Reads rows of a table, all of them or those of some keys, as a database's SQL writes them: for
 * copies and for what a service publishes. */
#ifndef SCHEMAS_TABLE_SCAN_H
#define SCHEMAS_TABLE_SCAN_H

#include "common/row_query.h"
#include "schemas/column_sql.h"
#include "schemas/row_scan.h"

/** Which rows of which table, and who runs the query. Borrows everything. */
struct table_scan {
    struct column_sql columns;
    const char *table;        /* quoted */
    const struct slice *keys; /* as scanned rows have them, each once; NULL: all rows */
    size_t key_count;         /* 0 with keys: no row, but the table is opened */
    const char *index;        /* that a query of some keys goes by; NULL: the database chooses */
    const char *lock;         /* ends such a query; NULL: nobody is kept from the rows */
    int64_t until_us;         /* monotonic; the scan ends there */
    int64_t rows_s;           /* most that are read a second; 0: no limit */
    row_visit *visit;
    void *context; /* of visit */
    enum status (*run)(void *session, struct row_query *query, struct error *err);
    void *session;
};

/** Hand the rows to visit(), in no order, one at a time. Keys without a row are left out.
 * @return OK; what visit() or run() returned; RETRY (no memory, or a row that is too large). */
enum status table_scan_run(const struct table_scan *scan, struct error *err) MUST_CHECK;

#endif
