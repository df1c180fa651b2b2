/* Lines of `keepstep status` on change sets. */
#ifndef OPERATE_STATUS_SETS_H
#define OPERATE_STATUS_SETS_H

#include "producer/outbox/outbox.h"

/** What is known without the outbox. */
struct status_sets {
    bool whole;      /* transactions are published whole */
    int64_t largest; /* changes of the largest set since the relay began; -1: not known */
};

/** Append whether transactions are published whole, the largest that was, and how many are set
 * aside. @return OK; RETRY; FATAL. */
enum status status_sets_append(struct outbox *outbox, const struct status_sets *sets,
                               struct buffer *text, struct buffer *json,
                               struct error *err) MUST_CHECK;

#endif
