/* How all SQL stores write a run of changes. */
#ifndef CONSUMER_STORE_SQL_APPLY_H
#define CONSUMER_STORE_SQL_APPLY_H

#include "consumer/store/sql/table.h"

/** How the segments of a run are made and written. */
struct sql_segments {
    /** @return whether the change at `index` may be written together with those from `start` on.
     * Asked of each change in turn; of the one at `start` the answer does not matter. */
    bool (*joins)(void *context, size_t start, size_t index);
    /** Write the changes of [start, end), which are of different entities. */
    enum status (*write)(void *context, size_t start, size_t end, struct error *err);
    void *context;
};

/** Cut a run into segments in which no entity occurs twice, and write one after the other. */
enum status sql_segments_write(const struct sql_segments *segments,
                               const struct change *const *changes, size_t count,
                               struct error *err) MUST_CHECK;

#endif
