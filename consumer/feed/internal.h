/* What feed.c and assign.c share. */
#ifndef CONSUMER_FEED_INTERNAL_H
#define CONSUMER_FEED_INTERNAL_H

#include "common/kafka_client.h"
#include "consumer/feed/feed.h"

struct feed_topic {
    const char *name;
    int32_t partitions;
    bool is_sequenced; /* written by Keepstep's relays: a missing number is a gap */
    bool is_compacted;
    bool is_checked;         /* its retention was checked (rule 16) */
    bool is_absent;          /* the log says so */
    int64_t retention_ms;    /* -1: for ever, or not known */
    int64_t retention_at_us; /* monotonic; when it is asked for next */
    int64_t
        gone_at_us; /* monotonic: from then on a topic that is not found is gone; 0: it was found */
};

struct feed {
    const struct config *config;
    rd_kafka_t *handle;
    rd_kafka_queue_t *queue;     /* of the consumer: for feed_wake() */
    rd_kafka_message_t *message; /* that the last poll gave out */
    bool is_unread;              /* the next poll gives it once more */
    size_t taken_count;          /* since the last feed_refill() */
    size_t taken_bytes;
    struct feed_topic *described;
    size_t topic_count;
    char group[FEED_GROUP_SIZE];
    char instance[STORE_NAME_SIZE]; /* the static name in the group */
    char cluster_id[STORE_NAME_SIZE];
    enum feed_event_type rebalance; /* FEED_ASSIGN or FEED_REVOKE waits for its answer; FEED_NONE */
    struct feed_position *assigned; /* by the last rebalance; names are those of `described` */
    size_t assigned_count;
    char unread_topic[STORE_NAME_SIZE]; /* was assigned but is not read; "": none */
    bool is_rejoining;                  /* no assignment has come since feed_rejoin() */
    bool closing;
    bool fenced;              /* after an outage: only feed_close() is left, then another feed */
    int64_t cut_off_until_us; /* monotonic: until then being fenced may be an outage's fault */
    char reason[ERROR_TEXT_SIZE];
    struct header headers[FEED_HEADERS_MAX];
};

/** librdkafka's rebalance callback: notes what is assigned, and ends the poll. */
void feed_rebalanced(rd_kafka_t *handle, rd_kafka_resp_err_t code,
                     rd_kafka_topic_partition_list_t *list, void *opaque);

/** @return what is known of a topic; NULL where it is none of the feed's. */
struct feed_topic *feed_topic_find(const struct feed *feed, const char *topic);

/** Note that a broker was not reached, or that the group's session has run out. */
void feed_note_cut_off(struct feed *feed);

/** Name the cause of an error after which the handle is of no use.
 * @return FATAL; ABORT where feed_is_fenced(). */
enum status feed_fatal(struct feed *feed, rd_kafka_resp_err_t code, const char *text,
                       struct error *err) MUST_CHECK;

/** Say that another agent has this one's name. @return FATAL with exit code 78. */
enum status feed_is_doubled(const struct feed *feed, struct error *err) MUST_CHECK;

/** Make librdkafka fetch at once where its queue was full; by itself it waits up to a second. */
void feed_refill(struct feed *feed);

/** Subscribe to the topics that exist. */
enum status feed_subscribe(struct feed *feed, struct error *err) MUST_CHECK;

#endif
