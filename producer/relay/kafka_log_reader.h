/* Reads parts of the log: its last part, so that a relay finds what was published already (rule
 * 10), or what stands between two positions. */
#ifndef PRODUCER_RELAY_KAFKA_LOG_READER_H
#define PRODUCER_RELAY_KAFKA_LOG_READER_H

#include "common/topic_partition.h"
#include "schemas/change.h"
#include "schemas/config/config.h"

#include <stdatomic.h>

/** One partition's part of the log. */
struct log_range {
    struct topic_partition tp;
    int64_t anchor;           /* one record that is read first, if the log still has it; -1: none */
    int64_t from;             /* then from here on, but behind the anchor */
    int64_t until;            /* not this one; it may lie behind the end. 0: up to the end */
    bool must_exist;          /* a topic that does not exist is FATAL; otherwise it is waited for */
    struct log_bounds bounds; /* set by the reader, as it began to read */
};

/** Called for each record with its range. The record is borrowed until it returns. */
typedef enum status log_visit(void *context, struct log_range *range, const struct record *record,
                              struct error *err);

/** Called often while the log is read or waited for. Anything but OK ends the reading. */
typedef enum status log_tick(void *context, struct error *err);

struct log_reading {
    const struct config *config;
    const char *reader; /* in the group's name: "relay" */
    struct log_range *ranges;
    size_t count;
    log_visit *visit;
    log_tick *tick; /* NULL: none */
    void *context;  /* of both */
    const atomic_bool *stop;
};

/** Read every range, uncommitted records too, at most up to the end that its log has now.
 * @return OK; RETRY; FATAL with exit code 78 if a log ends before `anchor`, or before `from` where
 * it is to be read up to its end; what `visit` and `tick` return. */
enum status kafka_log_read(const struct log_reading *reading, struct error *err) MUST_CHECK;

#endif
