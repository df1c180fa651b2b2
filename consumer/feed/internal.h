/* What feed.c and assign.c share. */
#ifndef CONSUMER_FEED_INTERNAL_H
#define CONSUMER_FEED_INTERNAL_H

#include "common/kafka_client.h"
#include "consumer/feed/feed.h"

struct feed_topic {
    const char *name;
    int32_t partitions;
    bool is_sequenced; /* Keepstep's own: a record that is missing from its middle is a gap */
    bool is_compacted;
    bool is_checked; /* its retention, once (rule 16) */
    bool is_absent;  /* told so */
};

struct feed {
    const struct config *config;
    rd_kafka_t *handle;
    rd_kafka_message_t *message; /* the one that the last poll gave out */
    size_t taken_count;          /* since the last feed_refill() */
    size_t taken_bytes;
    struct feed_topic *described;
    size_t topic_count;
    char group[FEED_GROUP_SIZE];
    char cluster_id[STORE_NAME_SIZE];
    enum feed_event_type pending;   /* a rebalance that waits for its answer */
    struct feed_position *assigned; /* by the last rebalance; names of `described` */
    size_t assigned_count;
    char unread_topic[STORE_NAME_SIZE]; /* of a partition that was assigned and is not read; "" */
    bool closing;
    bool fenced;              /* the handle is dead; only feed_close() is left */
    int64_t cut_off_until_us; /* feed_note_cut_off() */
    char reason[ERROR_TEXT_SIZE];
    struct header headers[FEED_HEADERS_MAX];
};

/** librdkafka's rebalance callback: notes the list and leaves the poll. */
void feed_rebalanced(rd_kafka_t *handle, rd_kafka_resp_err_t code,
                     rd_kafka_topic_partition_list_t *list, void *opaque);

/** The coordinator was not reached, or the session has run out, a short while ago. */
void feed_note_cut_off(struct feed *feed);

/** Let librdkafka look at its queue again: where it was full it does so once a second only. */
void feed_refill(struct feed *feed);

/** To the topics that exist. */
enum status feed_subscribe(struct feed *feed, struct error *err) MUST_CHECK;

#endif
