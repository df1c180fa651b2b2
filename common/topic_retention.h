/* When a topic's retention reaches a place in its log. */
#ifndef COMMON_TOPIC_RETENTION_H
#define COMMON_TOPIC_RETENTION_H

#include "common/topic_partition.h"

#define RETENTION_MARKS 8

/** One partition's log at the moment it was looked at. */
struct partition_retention {
    struct log_bounds bounds;      /* end 0: nothing is known */
    int64_t kept[RETENTION_MARKS]; /* by mark: the first record that is still kept then; the end of
                                    * the log where none is */
};

struct topic_retention {
    double retention_s;            /* 0: it keeps its records, or that is not known */
    double marks[RETENTION_MARKS]; /* seconds from then on, rising from 0 */
    struct partition_retention *partitions;
    int32_t partition_count;
};

/** Choose the marks: the last one is two days away, or as long as the topic keeps a record. */
void topic_retention_mark(struct topic_retention *retention);

/** @return about how long the record at an offset, which somebody has not read, is still kept; 0
 * where it may be gone now. NaN: not known, there is no such record, it is kept for longer than the
 * last mark, or it is so young that whoever reads it is not behind. Pure. */
double topic_retention_left_s(const struct topic_retention *retention, int32_t partition,
                              int64_t offset);

void topic_retention_done(struct topic_retention *retention);

#endif
