/* Which entities the log mentions between two stamps (rule 34). */
#ifndef OPERATE_COMPARE_MENTIONS_H
#define OPERATE_COMPARE_MENTIONS_H

#include "common/topic_partition.h"
#include "operate/compare/participant.h"

/** A part of one partition's log. */
struct log_span {
    int32_t partition;
    int64_t from;
    int64_t until;            /* not this one */
    struct log_bounds bounds; /* set by the reading: where the log begins and ends */
};

struct mention {
    int32_t partition;
    int64_t offset;
    struct slice key;    /* of the entity; borrowed */
    bool covers_earlier; /* offsets before it are missing, and may have been of the same entity */
};

typedef enum status mention_visit(void *context, const struct mention *mention, struct error *err);

struct mention_reading {
    struct log_span *spans;
    size_t count;
    mention_visit *visit;
    void *context;
    struct tick tick;
};

/** One topic's log, as the comparison sees it. */
struct mention_log {
    /** Ask for the cluster and the topic. @param ret_cluster_id  valid as long as the log.
     * @return OK (0 partitions: no such topic); RETRY; FATAL. */
    enum status (*describe)(struct mention_log *log, const char **ret_cluster_id,
                            int32_t *ret_partition_count, struct error *err);
    /** Visit all records of the spans that are of the entity type, whatever their kind, also those
     * of transactions that were aborted or are open. A span whose log begins later or ends earlier
     * is read as far as it is there. Where offsets are missing in a span, as in a topic that is
     * compacted, it is read once more, on to the log's end.
     * @return OK; RETRY; FATAL; what the visit returned. */
    enum status (*read)(struct mention_log *log, const struct mention_reading *reading,
                        struct error *err);
};

#endif
