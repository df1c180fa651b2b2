/* Reads records from Kafka, one at a time, as a member of a group. The caller decides the offsets.
 */
#ifndef CONSUMER_FEED_FEED_H
#define CONSUMER_FEED_FEED_H

#include "common/topic_partition.h"
#include "consumer/store/store.h"

#define FEED_HEADERS_MAX   (RECORD_HEADERS_READ + 1) /* one more, to notice too many */
#define FEED_METADATA_SIZE 256
#define FEED_OFFSET_NONE   (-1)

struct feed;

struct feed_options {
    const struct config *config;
    const char *copy_id;
    const char *group_suffix; /* behind the group's name; NULL: none */
    const char *const *topics;
    size_t topic_count;
};

/** Where a partition is read from, or how far it is. */
struct feed_position {
    struct topic_partition tp;
    int64_t offset;
};

enum feed_event_type {
    FEED_NONE,
    FEED_RECORD,  /* `record` is borrowed until the next feed_poll() */
    FEED_END,     /* the partition is read up to `offset` */
    FEED_ASSIGN,  /* answer with feed_assign() */
    FEED_REVOKE,  /* answer with feed_unassign() */
    FEED_STOPPED, /* the partition cannot be read on: `reason` */
};

struct feed_event {
    enum feed_event_type type;
    struct record record;
    struct topic_partition tp;
    int64_t offset;
    const char *reason;
    const struct feed_position *assigned; /* sorted by (topic, partition); the feed's own names */
    size_t assigned_count;
};

#define FEED_GROUP_SIZE 256

/** Name the consumer group of a copy's agents: `group.id` where configured, else the service's name
 * and the end of the copy id. Its beginning is a time, which copies may share. */
void feed_group_name(const struct config *config, const char *copy_id,
                     char ret_group[static FEED_GROUP_SIZE]);

/** Check that single keys outlive the records of a topic (rule 16). @param retention_ms  below 0:
 * for ever. @return OK; FATAL with exit code 78. */
enum status feed_check_window(const struct config *config, const char *topic, int64_t retention_ms,
                              struct error *err) MUST_CHECK;

/** Connect, describe the topics, and join the group for those that exist. All functions but
 * feed_group_name() and feed_wake() are for one thread at a time.
 * @return OK; RETRY (no broker answers); FATAL, with exit code 78 where single keys would be
 * forgotten before the topic forgets their records (rule 16). */
enum status feed_open(const struct feed_options *options, struct feed **ret_feed,
                      struct error *err) MUST_CHECK;

/** Leave the group (a static member stays in it). NULL is a no-op. */
void feed_close(struct feed *feed);

/** Wait for the next event, FEED_NONE after the timeout. Transient errors of brokers are only
 * logged.
 * @return OK; ABORT (feed_is_fenced(): open another feed); FATAL, with exit code 78 where another
 * process has this instance's name. */
enum status feed_poll(struct feed *feed, int timeout_ms, struct feed_event *ret_event,
                      struct error *err) MUST_CHECK;

/** Let the next feed_poll() give the last event, or the last failure, once more. */
void feed_unread(struct feed *feed);

/** Let a feed_poll() that waits in another thread return. If none waits, a later one may return
 * FEED_NONE before its timeout. @thread any. */
void feed_wake(struct feed *feed);

/** @return whether the group has put this member out after an outage: open another feed. */
bool feed_is_fenced(const struct feed *feed);

/** @return the group's name, and the cluster's id. */
const char *feed_group(const struct feed *feed);
const char *feed_cluster_id(const struct feed *feed);

/** Ask again for the partition counts and settings of all topics. @return OK; RETRY; FATAL. */
enum status feed_describe_again(struct feed *feed, struct error *err) MUST_CHECK;

/** @return the partitions that a topic had when it was described; 0 for an unknown topic. */
int32_t feed_partition_count(const struct feed *feed, const char *topic);

/** @return whether Keepstep's own relays write the topic. */
bool feed_is_sequenced(const struct feed *feed, const char *topic);

/** @return whether a sequenced topic was compacted when it was described: numbers go missing
 * (rule 17). */
bool feed_loses_numbers(const struct feed *feed, const char *topic);

/** Begin to read these partitions, each at its offset. */
enum status feed_assign(struct feed *feed, const struct feed_position *assigned, size_t count,
                        struct error *err) MUST_CHECK;

/** Let feed_poll() give the last FEED_ASSIGN again. */
void feed_assign_again(struct feed *feed);

/** Read nothing any more: the partitions were revoked. */
enum status feed_unassign(struct feed *feed, struct error *err) MUST_CHECK;

/** Stop or go on reading; the group membership stays. */
enum status feed_pause(struct feed *feed, struct topic_partition tp, bool pause,
                       struct error *err) MUST_CHECK;
enum status feed_pause_all(struct feed *feed, bool pause, struct error *err) MUST_CHECK;

/** Read on from another offset; an unread event of the partition is forgotten. @return OK; RETRY
 * (its reading has not begun yet); STOP; FATAL. */
enum status feed_seek(struct feed *feed, struct topic_partition tp, int64_t offset,
                      struct error *err) MUST_CHECK;

/** How far a partition is applied, and what the copy says of itself. */
struct feed_hint {
    struct feed_position position; /* offset FEED_OFFSET_NONE: there is no hint */
    char metadata[FEED_METADATA_SIZE];
};

/** Tell the group how far partitions are, for lag tools and for the checks of rule 8. It is one
 * request, and nobody waits for it: a broker answers the requests of a connection in turn, so many
 * of them would delay heartbeats. */
void feed_commit_hints(struct feed *feed, const struct feed_hint *hints, size_t count);

/** Read the group's hint. @return OK; RETRY. */
enum status feed_read_hint(struct feed *feed, struct topic_partition tp, int timeout_ms,
                           struct feed_hint *ret_hint, struct error *err) MUST_CHECK;

/** Ask the broker for the bounds of a log; its end is the last stable offset.
 * @return OK; RETRY; STOP (the topic, as it was described, has no such partition). */
enum status feed_log_bounds(struct feed *feed, struct topic_partition tp, int timeout_ms,
                            struct log_bounds *ret_bounds, struct error *err) MUST_CHECK;

/** Ask the broker where a log ends, with what open transactions withhold, on a handle of its own:
 * it costs a connection. @return OK; RETRY; STOP (as before). */
enum status feed_written_end(struct feed *feed, struct topic_partition tp, int timeout_ms,
                             int64_t *ret_end, struct error *err) MUST_CHECK;

/** Ask the broker for the last stable offset alone. @return OK; RETRY. */
enum status feed_stable_end(struct feed *feed, struct topic_partition tp, int timeout_ms,
                            int64_t *ret_end, struct error *err) MUST_CHECK;

/** Ask the broker where a log begins. @return OK; RETRY. */
enum status feed_log_begin(struct feed *feed, struct topic_partition tp, int timeout_ms,
                           int64_t *ret_begin, struct error *err) MUST_CHECK;

/** @return how long a topic keeps a record; -1: for ever, or not known. The broker is asked every
 * few minutes, and waited for within the time. */
int64_t feed_retention_ms(struct feed *feed, const char *topic, int timeout_ms);

/** @return whether a broker answers within the time. */
bool feed_is_answered(struct feed *feed, int timeout_ms);

/** @return the log's end as the last fetch saw it, with the records of open transactions; -1:
 * nothing was fetched yet. */
int64_t feed_log_end_seen(struct feed *feed, struct topic_partition tp);

/** @return whether an error of the feed means that no broker answers. */
bool feed_is_silence(const struct error *err);

/** @return how many of the topics did not exist when they were described. */
size_t feed_missing_topics(const struct feed *feed);

/** Describe the missing topics again.
 * @return OK with whether one exists now: feed_rejoin(); RETRY; FATAL as feed_open(). */
enum status feed_find_topics(struct feed *feed, bool *ret_found, struct error *err) MUST_CHECK;

/** Find a partition without an owner in the group, or one that was assigned to this member although
 * it does not read the topic. That happens when the group's leader comes back under its static
 * name: the coordinator repeats the last assignment, whatever has come or gone since.
 * @return OK with whether there is one: feed_rejoin(); RETRY. */
enum status feed_find_unowned(struct feed *feed, bool *ret_found, struct error *err) MUST_CHECK;

/** See whether another agent has joined the group under this one's name. It stays: who joined again
 * would put it out.
 * @return OK, also where the group does not say; FATAL with exit code 78: it has. */
enum status feed_find_double(const struct feed *feed, struct error *err) MUST_CHECK;

/** Give all partitions up, and join the group again for all topics that exist.
 * @return OK; RETRY; FATAL; ABORT where feed_is_fenced(). */
enum status feed_rejoin(struct feed *feed, struct error *err) MUST_CHECK;

#endif
