/* The relay's Kafka producer: idempotent, without gaps, without a deadline for a record (rule 11).
 */
#ifndef PRODUCER_RELAY_KAFKA_PRODUCER_H
#define PRODUCER_RELAY_KAFKA_PRODUCER_H

#include "common/topic_partition.h"
#include "common/topic_settings.h"
#include "schemas/change.h"
#include "schemas/config/config.h"

struct kafka_producer;

/** What became of one record. */
enum delivery {
    DELIVERY_DONE,
    DELIVERY_REFUSED, /* the broker will never take this record */
    DELIVERY_FAILED,  /* not sent, or not known: the producer must be replaced */
};

/** Where a partition's log ends. */
struct kafka_log_end {
    struct topic_partition tp;
    int64_t end; /* -1: not known */
};

/** Called by kafka_producer_poll(), for the records of a partition in the order of sending. */
typedef void delivery_report(void *record, enum delivery delivery, int64_t offset,
                             const char *text);

struct kafka_message {
    struct topic_partition tp;
    struct slice key;
    struct slice value;
    const struct header *headers;
    size_t header_count;
    void *record; /* handed to the delivery report */
};

/** @param batch_bytes  a topic would refuse larger batches with every record; 0: as configured.
 * @return OK; RETRY (no memory); FATAL. */
enum status kafka_producer_new(const struct config *config, int64_t batch_bytes,
                               delivery_report *report, struct kafka_producer **ret_producer,
                               struct error *err) MUST_CHECK;

/** @return how many bytes of records it sends as one batch at most; a larger record goes alone. */
int64_t kafka_producer_batch_bytes(const struct kafka_producer *producer);

/** Raise a wakeup (common/wakeup.h) whenever there are events to serve. Clear it before
 * kafka_producer_poll(), which then serves all of them. */
void kafka_producer_raise(struct kafka_producer *producer, int wakeup);

/** What is queued is dropped without a report. NULL: nothing happens. */
void kafka_producer_free(struct kafka_producer *producer);

/** Copy a record into the queue.
 * @return OK; RETRY (queue full: poll); REJECT (larger than the client sends); FATAL. */
enum status kafka_producer_send(struct kafka_producer *producer,
                                const struct kafka_message *message, struct error *err) MUST_CHECK;

/** Serve delivery reports, waiting at most timeout_ms. @return how many events were served. */
int kafka_producer_poll(struct kafka_producer *producer, int timeout_ms);

/** Ask the broker for a topic. @return whether it has answered within timeout_ms. */
bool kafka_producer_is_answered(struct kafka_producer *producer, const char *topic, int timeout_ms);

/** Wait until a broker can be reached; one that is there may answer later.
 * @return OK; RETRY where none was reached within timeout_ms. */
enum status kafka_producer_reach(struct kafka_producer *producer, const char *topic, int timeout_ms,
                                 struct error *err) MUST_CHECK;

/** @return whether an error of this file or of the log's reader says that no broker answers. */
bool kafka_producer_is_silence(const struct error *err);

/** Ask where the logs of partitions end, waiting at most timeout_ms. @return OK; RETRY. */
enum status kafka_producer_log_ends(struct kafka_producer *producer, struct kafka_log_end *ends,
                                    size_t count, int timeout_ms, struct error *err) MUST_CHECK;

/** Make sure that an entry's topic exists as it is configured (rule 17); create it if it is
 * missing.
 * @param ret_settings  all 0 if the broker is a mock cluster, which has none.
 * @return OK; RETRY; FATAL with exit code 78 if it differs. */
enum status kafka_producer_topic(struct kafka_producer *producer, const struct config_entry *entry,
                                 struct topic_settings *ret_settings, struct error *err) MUST_CHECK;

#endif
