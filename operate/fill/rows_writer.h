/* Writes the stream of a fill into the rows topic of its data topic. One thread. */
#ifndef OPERATE_FILL_ROWS_WRITER_H
#define OPERATE_FILL_ROWS_WRITER_H

#include "operate/fill/source.h"

#include <stdatomic.h>

struct rows_writer;

struct rows_writer_options {
    const struct config *config;
    const char *data_topic;
    const char *id;          /* of the attempt */
    const atomic_bool *stop; /* ends each wait */
};

/** Make the topic where it is missing. The options outlive the writer.
 * @return OK; RETRY; STOP; FATAL: as kafka_talk_make(). */
enum status rows_writer_open(const struct rows_writer_options *options,
                             struct rows_writer **ret_writer, struct error *err) MUST_CHECK;
/** What is not sent yet is dropped. NULL is a no-op. */
void rows_writer_close(struct rows_writer *writer);

/** @return the sink of a stream. It waits while the broker is slower than the source; `end` returns
 * when all was acknowledged. Its functions return OK; RETRY (told to stop); ABORT (a record that
 * the topic does not take; the broker lost one); FATAL. */
struct fill_sink rows_writer_sink(struct rows_writer *writer);

/** Tell whoever reads that the attempt is void. @return as the sink's functions. */
enum status rows_writer_void(struct rows_writer *writer, const char *reason,
                             struct error *err) MUST_CHECK;

#endif
