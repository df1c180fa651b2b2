/* The time that a query may take. */
#include "common/row_query.h"

#include "common/clock.h"

enum status row_query_check_time(const struct row_query *query, struct error *err)
{
    return clock_monotonic_us() <= query->until_us
               ? STATUS_OK
               : error_set(err, STATUS_RETRY,
                           "reading table %s takes longer than limits.scan_time_s", query->table);
}
