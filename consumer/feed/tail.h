/* Reads a topic as it is and as it grows, for people: it joins no group, and commits no offset. One
 * thread. */
#ifndef CONSUMER_FEED_TAIL_H
#define CONSUMER_FEED_TAIL_H

#include "schemas/change.h"
#include "schemas/config/config.h"

struct tail;

enum tail_from { TAIL_BEGINNING, TAIL_END, TAIL_OFFSET, TAIL_TIME };

/** Where it begins in each partition. */
struct tail_start {
    enum tail_from from;
    int64_t value; /* an offset; a wall clock in microseconds */
};

struct tail_options {
    const struct config *config;
    const char *topic;
    int32_t partition; /* -1: all */
    struct tail_start start;
};

/** A record, and what only its message says. */
struct tail_record {
    struct record record;  /* borrowed until the next call; its topic is NULL: there was none */
    const char *time_type; /* "create", "logappend", "unknown": whose clock record.time_us is */
    int32_t broker;
};

/** Read "beginning", "end", an offset, or a time of RFC 3339. @return false for anything else. */
bool tail_start_read(const char *text, struct tail_start *ret_start);

/** Find the topic's partitions, their ends, and where to begin. Options are not kept, but what they
 * point to is.
 * @return OK; RETRY (no broker answers); STOP (no such topic or partition); FATAL. */
enum status tail_open(const struct tail_options *options, struct tail **ret_tail,
                      struct error *err) MUST_CHECK;
/** NULL is a no-op. */
void tail_close(struct tail *tail);

/** Take the next committed record. @return OK; RETRY (an error of the broker: call it again). */
enum status tail_poll(struct tail *tail, int timeout_ms, struct tail_record *ret_record,
                      struct error *err) MUST_CHECK;

/** @return whether all that was there when it was opened was taken. */
bool tail_is_at_end(const struct tail *tail);

/** @return whether a record was there when it was opened. */
bool tail_was_there(const struct tail *tail, const struct record *record);

#endif
