/* Follows a topic's log and remembers where it mentions some entities (rule 43): between the stamp
 * of a source and the position of a copy, which moves on. One thread. */
#ifndef OPERATE_REPAIR_LOG_FOLLOWER_H
#define OPERATE_REPAIR_LOG_FOLLOWER_H

#include "operate/compare/mentions.h"

/** What is remembered of an entity in one partition; -1: no such record. */
struct followed_mention {
    int64_t last_below; /* the last one below the stamp */
    int64_t first_from; /* the first one at the stamp or above */
};

struct log_follower {
    struct mention_log *log;
    const int64_t *stamp; /* by partition; borrowed, like the keys */
    int32_t partition_count;
    const struct slice *keys; /* canonical, sorted, each once */
    size_t key_count;
    struct log_span *spans; /* by partition: what was read */
    bool is_begun;
    struct followed_mention *mentions; /* by key, then by partition */
};

/** Begin; the caller has set all up to the keys. Nothing is read yet. @return OK; RETRY (memory).
 */
enum status log_follower_init(struct log_follower *follower, struct error *err) MUST_CHECK;
void log_follower_done(struct log_follower *follower);

/** Read on up to the log's end, uncommitted records too. The first time begin at the lower one of
 * the stamp and `positions`.
 * @return OK; RETRY (also where the log begins later, so that nobody knows what has changed). */
enum status log_follower_read(struct log_follower *follower, const int64_t *positions,
                              struct error *err) MUST_CHECK;

/** @return whether all between the stamp and these positions was read. */
bool log_follower_has_read(const struct log_follower *follower, const int64_t *positions);

/** @return whether the log mentions a key between the stamp and these positions. */
bool log_follower_mentions(const struct log_follower *follower, size_t key,
                           const int64_t *positions);

#endif
