/* Reads the end of the log, so that a relay finds what it has published already (rule 10). */
#ifndef PRODUCER_KAFKA_LOG_READER_H
#define PRODUCER_KAFKA_LOG_READER_H

#include "schemas/change.h"
#include "schemas/config.h"

#include <stdatomic.h>

struct log_range {
    const char *topic;
    int32_t partition;
    int64_t from; /* -1: the log's beginning */
    int64_t end;  /* set by the reader: the log's end as it began to read */
    bool must_exist; /* a topic that is not there (any more) is FATAL, not waited for */
};

/** Called for each record with its range; borrowed until it returns. */
typedef enum status log_visit(void *context, struct log_range *range, const struct record *record,
                              struct error *err);

/** Read every range to the end that its log had at the call.
 * @return OK; RETRY; FATAL with exit code 78 where a log ends before `from`; what `visit` says. */
enum status kafka_log_read(const struct config *config, struct log_range *ranges, size_t count,
                           log_visit *visit, void *context, const atomic_bool *stop,
                           struct error *err) MUST_CHECK;

#endif
