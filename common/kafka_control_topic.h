/* The control topic: one partition, compacted, through which services tell each other about
 * themselves. What is applied and published never waits for it. */
#ifndef COMMON_KAFKA_CONTROL_TOPIC_H
#define COMMON_KAFKA_CONTROL_TOPIC_H

#include "common/slice.h"
#include "common/status.h"
#include "common/text_pair.h"
#include "common/topic_design.h"
#include "common/topic_partition.h"
#include "common/topic_retention.h"

#include <stdatomic.h>

struct control_topic;

struct control_options {
    const char *topic;
    const char *group;                /* no group is joined; some brokers want a name */
    const struct text_pair *settings; /* of the configuration's `kafka:` */
    size_t setting_count;
    bool make;                  /* make the topic where it is missing */
    struct topic_choice choice; /* for its making */
    const atomic_bool *stop;    /* ends each wait */
};

/** One record of it. It is borrowed until the visitor returns. value.data NULL: a tombstone. */
struct control_record {
    struct slice key;
    struct slice value;
    int64_t offset;
    int64_t appended_us; /* by the broker's clock; 0: only the writer's is known */
};
typedef enum status control_visit(void *context, const struct control_record *record,
                                  struct error *err);

/** Open it. No broker is asked yet. The options outlive it. @return OK; RETRY; FATAL. */
enum status control_topic_open(const struct control_options *options,
                               struct control_topic **ret_topic, struct error *err) MUST_CHECK;
/** NULL is a no-op. */
void control_topic_close(struct control_topic *topic);

/** Look whether the topic is there, and as it has to be. It is made if `make` says so.
 * @return OK; RETRY (no answer, or it is not there yet); STOP (not there, and not made here); FATAL
 * with exit code 78 (it is not compacted, or has several partitions: the text has the command). */
enum status control_topic_check(struct control_topic *topic, struct error *err) MUST_CHECK;

/** Hand over the records behind those that were handed over before, up to the end of the log.
 * @param ret_end  the end of the log that was reached.
 * @return OK; what visit() returned; ABORT (the topic was made anew: read it from a new handle);
 * RETRY. */
enum status control_topic_read(struct control_topic *topic, control_visit *visit, void *context,
                               int64_t *ret_end, struct error *err) MUST_CHECK;

/** Write one record, and wait until the broker has acknowledged it. @return OK; RETRY; REJECT (it
 * is too large). */
enum status control_topic_write(struct control_topic *topic, struct slice key, struct slice value,
                                struct error *err) MUST_CHECK;

/** Ask where a partition of any topic ends. @return OK; RETRY; STOP (it is not there); FATAL. */
enum status control_topic_log_end(struct control_topic *topic, struct topic_partition tp,
                                  int64_t *ret_end, struct error *err) MUST_CHECK;

/** Ask when the retention of any topic reaches which place in its log. @return as
 * kafka_retention_read(). */
enum status control_topic_retention(struct control_topic *topic, const char *of,
                                    struct topic_retention *ret_retention,
                                    struct error *err) MUST_CHECK;

#endif
