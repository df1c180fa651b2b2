/* Reads the stream of a fill from the rows topic of a data topic: from the topic's present end on,
 * the records of one attempt, each once and in their order. One thread. */
#ifndef CONSUMER_FEED_ROWS_READER_H
#define CONSUMER_FEED_ROWS_READER_H

#include "schemas/config/config.h"
#include "schemas/fill_record.h"

#include <stdatomic.h>

struct rows_reader;

struct rows_reader_options {
    const struct config *config;
    const char *data_topic;
    const char *id;          /* of the attempt; others' records are passed over */
    const atomic_bool *stop; /* ends each wait */
};

/** Make the topic where it is missing, and stand at its end. The options outlive the reader.
 * @return OK; RETRY; STOP; FATAL: as kafka_talk_make(). */
enum status rows_reader_open(const struct rows_reader_options *options,
                             struct rows_reader **ret_reader, struct error *err) MUST_CHECK;
/** NULL is a no-op. */
void rows_reader_close(struct rows_reader *reader);

/** Take the next part of the attempt, if there is one.
 * @param ret_record  borrowed until the next call; its topic is NULL: there was none in time.
 * @return OK; ABORT (a part is missing or of another form, or the topic was trimmed); RETRY (the
 * broker does not answer). */
enum status rows_reader_poll(struct rows_reader *reader, int timeout_ms, struct record *ret_record,
                             struct fill_head *ret_head, struct error *err) MUST_CHECK;

#endif
