/* Lines of `keepstep status` on change sets. */
#ifndef OPERATE_STATUS_SETS_H
#define OPERATE_STATUS_SETS_H

#include "consumer/store/store.h"
#include "producer/outbox/outbox.h"

/** What is known without the outbox. */
struct status_sets {
    bool whole;      /* transactions are published whole */
    int64_t largest; /* changes of the largest set since the relay began; -1: not known */
};

/** Append whether transactions are published whole, the largest that was, how many are set aside,
 * and where only a part of one has numbers. @return OK; RETRY; FATAL. */
enum status status_sets_append(struct outbox *outbox, const struct status_sets *sets,
                               struct buffer *text, struct buffer *json,
                               struct error *err) MUST_CHECK;

/** Append how much of the next change set is in the log, and since when, where its end is not there
 * yet: a part of a line, and the member "open_set". The log is read from the copy's position on.
 * @param end  of the log; -1: not known. */
void status_open_set_append(const struct config *config, const struct partition_state *state,
                            int64_t end, struct buffer *text, struct buffer *json);

#endif
