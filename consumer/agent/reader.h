/* The reader: a thread that polls and decodes the next batch while the agent's thread applies one.
 *
 * The two threads share nothing; they hand things over. reader_begin() lends the reader the feed,
 * an empty batch and the agent's partitions. From then on only the reader touches these, and only
 * the agent's thread touches the database. reader_end() takes them back: the reader rests, and the
 * agent's thread may do with everything what it likes.
 *
 * The reader decides nothing. It adds records to the batch, and notes in `next_end` where a log
 * ends. It stops at everything else: an assignment, a revocation, an error, a record to be compared
 * with an anchor, a record for which there is no memory. That event stays with the feed as unread,
 * so the agent's thread meets it at its next poll, when the reader rests. */
#ifndef CONSUMER_AGENT_READER_H
#define CONSUMER_AGENT_READER_H

#include "consumer/agent/internal.h"

/** What is lent to the reader, from reader_begin() to reader_end(). */
struct reader_loan {
    struct feed *feed;
    struct batch *batch;                /* to be filled */
    struct agent_partition *partitions; /* the reader writes only `next_end` */
    size_t partition_count;
    struct schema_finder finder;
};

/** Start the thread. It rests. All functions are for the agent's thread.
 * @return OK; FATAL (no memory; with exit code 71 where the system gives no thread). */
enum status reader_new(struct reader **ret_reader, struct error *err) MUST_CHECK;

/** End the thread. It must rest. NULL is a no-op. */
void reader_free(struct reader *reader);

/** Let the reader fill the batch. It goes on until the batch is full, something must be decided, or
 * reader_end() is called. */
void reader_begin(struct reader *reader, const struct reader_loan *loan);

/** Take back what was lent. It waits at most until the record is decoded that the reader is at. */
void reader_end(struct reader *reader);

#endif
