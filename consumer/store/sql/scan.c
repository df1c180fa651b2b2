/* How the SQL stores read a copy in one snapshot. */
#include "consumer/store/sql/session.h"

enum status store_sql_snapshot(struct store *store, bool begin, struct error *err)
{
    (void)store, (void)begin;
    return error_set(err, STATUS_STOP, "snapshots are not built yet");
}

enum status store_sql_scan(struct store *store, const struct store_scan *scan, struct error *err)
{
    (void)store, (void)scan;
    return error_set(err, STATUS_STOP, "scans are not built yet");
}
