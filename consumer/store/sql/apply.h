/* Cuts a run of changes into segments that can be written together. */
#ifndef CONSUMER_STORE_SQL_APPLY_H
#define CONSUMER_STORE_SQL_APPLY_H

#include "consumer/store/sql/table.h"

/** What a database does with the segments of a run. */
struct sql_segments {
    /** @return whether the change at `index` may join the segment that begins at `start`. Called
     * for each change in turn, for the first one too; there the answer is ignored. */
    bool (*joins)(void *context, size_t start, size_t index);
    /** Write the changes of [start, end). No entity occurs twice in them. */
    enum status (*write)(void *context, size_t start, size_t end, struct error *err);
    void *context;
};

/** Cut a run into segments in which no entity occurs twice, and write them in order. */
enum status sql_segments_write(const struct sql_segments *segments,
                               const struct change *const *changes, size_t count,
                               struct error *err) MUST_CHECK;

#endif
